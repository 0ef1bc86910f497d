"""utils/slurm.py and sites whose commands say more than asked, or have several clusters. Stand-ins run the jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "utils"))
from slurm import is_alive, is_held  # noqa: E402

# A site's sbatch: a banner with numbers in it before and after the answer. It notes where it was sent.
SBATCH = """#!/usr/bin/env bash
echo "sbatch:${SLURM_CLUSTERS-}:${SLURM_JOB_ID-}:${SQUEUE_STATES-}" >> calls
[ -z "${ANSWER-}" ] || { echo "$ANSWER"; exit; }
cat > script
SLURM_JOB_ID=4711 setsid bash script > out 2>&1 &
echo $! > pid
echo "*** 12 nodes are down until 2027 ***"
echo 3
echo "4711${SLURM_CLUSTERS:+;$SLURM_CLUSTERS}"
echo "*** see the wiki ***"
"""
# Knows the job while it runs, on its own cluster alone.
SQUEUE = """#!/usr/bin/env bash
echo "squeue:${SLURM_CLUSTERS-}:${SLURM_JOB_ID-}:${SQUEUE_STATES-}:$*" >> calls
echo "*** 12 nodes are down until 2027 ***"
echo "CLUSTER: home"
[[ "$*" == *--jobs=4711* ]] && kill -0 "$(cat pid)" 2> /dev/null && echo "4711|N/A|RUNNING|None"
exit 0
"""
SCANCEL = """#!/usr/bin/env bash
echo "scancel:$*" >> calls
kill -TERM "-$(cat pid)"
"""


@pytest.fixture
def site(tmp_path):
    """Start utils/slurm.py in a folder with the site's commands before all others."""
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def start(*words: str, **environment: str) -> subprocess.Popen:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("SLURM", "SQUEUE"))}
        path = f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [sys.executable, str(ROOT / "utils/slurm.py"), "--retries", "1", *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**kept, **environment, "PATH": path},
        )

    return start


def calls(tmp_path, command: str) -> list[str]:
    return [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith(command)]


def test_a_banner_is_no_job_id_and_the_job_runs_once(site, tmp_path):
    process = site("x.log", "bash", "-c", "echo ran >> ran; sleep 2")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert "submitted as 4711, logs" in output
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert len(calls(tmp_path, "sbatch")) == 1
    assert all("--clusters" not in call for call in calls(tmp_path, "squeue"))


@pytest.mark.parametrize("state", ["RUNNING", "POWER_UP_NODE", "UPDATE_DB", "STATE_OF_NEXT_YEAR"])
def test_what_is_in_the_queue_in_any_other_state_is_alive(state):
    assert is_alive(state) and not is_held(state, "None")
    assert not any(map(is_alive, ("", "COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "LAUNCH_FAILED")))


@pytest.mark.parametrize("state", ["REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_a_job_that_waits_for_an_operator_is_cancelled_before_another_takes_its_place(site, tmp_path, state):
    once = f'[ -e seen ] || {{ touch seen; echo "4711|N/A|{state}|JobHeldUser"; exit; }}\n'
    (tmp_path / "bin/squeue").write_text(SQUEUE.replace("[[ ", once + "[[ "))
    process = site("x.log", "bash", "-c", "sleep 2")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and f"lost ({state}): submitted again" in output
    assert [call.partition(":")[0] for call in (tmp_path / "calls").read_text().split("\n")].index("scancel") > 0
    assert len(calls(tmp_path, "sbatch")) == 2 and len(calls(tmp_path, "scancel")) == 1


def test_all_commands_look_at_the_cluster_that_the_job_is_on(site, tmp_path):
    settings = {"SLURM_CLUSTERS": "far", "SLURM_JOB_ID": "99", "SQUEUE_STATES": "FAILED"}
    process = site("x.log", "bash", "-c", "touch ran; sleep 60", **settings)
    assert "submitted as 4711 of cluster far, logs" in process.stdout.readline()
    while not (tmp_path / "ran").exists() or not calls(tmp_path, "squeue"):
        assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert calls(tmp_path, "sbatch") == ["sbatch:far::"]
    assert all(call.startswith("squeue:far:::--clusters=far ") for call in calls(tmp_path, "squeue"))
    assert calls(tmp_path, "scancel") == ["scancel:--clusters=far 4711"]


def test_an_answer_without_a_job_id_is_shown(site):
    process = site("x.log", "true", ANSWER="job queued, have a nice day")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "no job id" in output and "job queued, have a nice day" in output
