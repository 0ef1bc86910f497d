"""Calls of utils/slurm.py as processes that a test can wait for."""

import re
import subprocess
import sys
from pathlib import Path

from cluster import wait_for

ROOT = Path(__file__).resolve().parents[2]
SLURM = ROOT / "utils/slurm.py"


def call(cluster, folder: Path, *arguments, **variables) -> subprocess.Popen:
    """Begin utils/slurm.py in a folder."""
    return subprocess.Popen(
        [sys.executable, SLURM, *map(str, arguments)],
        cwd=folder,
        env={**cluster.environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen, seconds: float = 300) -> tuple[int, str]:
    """(exit status, output) of a call."""
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def slurm_id(process: subprocess.Popen) -> str:
    """Id of the job that a call has submitted, from its first line."""
    return re.search(r"submitted as (\d+)", process.stdout.readline())[1]


def lose_a_node_of_an_array(cluster, folder: Path) -> tuple[Path, str, list[int]]:
    """Four jobs on n5 and n6, of which n6 dies: (folder, output, the jobs that were there).

    With --no-requeue Slurm drops them, so that utils/slurm.py has to submit them again.
    """
    config = (ROOT / "conf/slurm.conf").read_text() + "command sbatch --no-requeue --partition=third\n"
    (folder / "conf").mkdir()
    (folder / "conf/slurm.conf").write_text(config)
    script = 'echo "$SLURMD_NODENAME" >> ran.JOB; until [ -e go ]; do sleep 0.1; done'
    process = call(cluster, folder, "JOB=1:4", "--num_threads", 8, "JOB.log", "bash", "-c", script)
    ran = [folder / f"ran.{number}" for number in range(1, 5)]
    # The shell makes a file before it writes to it.
    wait_for(lambda: all(path.exists() and path.read_text() for path in ran), 120, "no jobs", cluster.logs)
    lost = [number for number, path in enumerate(ran, 1) if path.read_text().strip() == "n6"]
    cluster.kill_node("n6")
    (folder / "go").touch()
    status, output = ended(process)
    cluster.start_node("n6")
    assert status == 0, output
    return folder, output, lost
