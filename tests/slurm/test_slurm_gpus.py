"""GPUs as Slurm counts and hands them out: what --gpu asks for, and what a job gets to see.

The nodes' GPUs are device files that nobody opens: everything but CUDA itself is real.
"""

import pytest
from slurm_calls import ended

# In a job's script: its node, the GPUs that CUDA will see, how many Slurm says there are, and the controller's record.
FACTS = """
    job=${SLURM_ARRAY_TASK_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}
    record=$(scontrol show job --details "$job" | grep -o "gpu:h100:[^ ]*IDX[^ ]*")
    facts="$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $SLURM_GPUS_ON_NODE $record" """


def test_jobs_share_the_gpus_of_the_nodes_one_each_and_no_more_run_than_there_are(start):
    """Eight jobs of one GPU on two nodes of two: the first four wait for each other."""
    script = f"""{FACTS}
        echo "+ $facts" >> trace
        until [ "$(grep -c + trace)" -ge 4 ]; do sleep 0.1; done
        echo "- $facts" >> trace"""
    status, output = ended(start("JOB=1:8", "--gpu", 1, "JOB.log", "bash", "-c", script))
    assert status == 0, output
    held, most = set(), 0
    for line in (start.folder / "trace").read_text().splitlines():
        sign, node, gpu, count, record = line.split()
        assert (count, record) == ("1", f"gpu:h100:1(IDX:{gpu})")
        assert ((node, gpu) in held) == (sign == "-"), "no two jobs hold the same GPU at a time"
        (held.add if sign == "+" else held.remove)((node, gpu))
        most = max(most, len(held))
    assert most == 4 and not held


@pytest.mark.parametrize(
    "line",
    [
        "option gpu=* --gres=gpu:$0",
        "option gpu=* --partition=gpu --gres=gpu:h100:$0",
        "option gpu=* --gpus-per-node=$0",
    ],
)
def test_a_site_says_how_its_gpus_are_asked_for(start, line):
    (start.folder / "conf").mkdir()
    (start.folder / "conf/slurm.conf").write_text(f"command sbatch\noption gpu=0\n{line}\n")
    script = f'{FACTS}; echo "$SLURM_JOB_PARTITION $facts" > held'
    status, output = ended(start("--gpu", 2, "x.log", "bash", "-c", script))
    assert status == 0, output
    partition, _, *held = (start.folder / "held").read_text().split()
    assert held == ["0,1", "2", "gpu:h100:2(IDX:0-1)"]
    assert partition == ("gpu" if "partition" in line else "main")


def test_a_job_without_gpus_holds_none_and_too_many_are_refused(start):
    script = f'{FACTS}; echo "${{CUDA_VISIBLE_DEVICES-none}} ${{SLURM_GPUS_ON_NODE-none}} $record" > held'
    status, output = ended(start("x.log", "bash", "-c", script))
    assert status == 0, output
    assert (start.folder / "held").read_text().split() == ["none", "none"]
    status, output = ended(start("--gpu", 3, "x.log", "true"))
    assert status == 1
    assert "Slurm refuses the job" in output and "--gres=gpu:3" in output
