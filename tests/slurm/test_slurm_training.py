"""Two processes on two nodes, told by Slurm's variables alone where to meet, train as two local ones do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cluster import wait_for
from training_material import world  # noqa: F401
from training_processes import options, train

ROOT = Path(__file__).resolve().parents[2]


def losses(output: Path) -> list[float]:
    stats = torch.load(output / "checkpoint.pth", weights_only=True)["reporter"]["stats"]
    return [stats[epoch][phase]["loss"] for epoch in sorted(stats) for phase in ("train", "valid")]


def test_two_nodes_reach_the_loss_of_two_local_processes_and_a_stop_changes_nothing(world, cluster, tmp_path):  # noqa: F811
    changes = {"num_iters_per_epoch": 12, "max_epoch": 2, "log_interval": 2}
    assert train(options(world, tmp_path / "local", **changes), tmp_path / "log", world_size=2) == 0
    words = options(world, tmp_path / "slurm", **changes)
    process = subprocess.Popen(
        [sys.executable, ROOT / "utils/slurm.py", "--num_nodes", "2", "--num_threads", "1", "train.log",
         sys.executable, "-m", "k2d.bin.train", *words],
        cwd=tmp_path,
        env={**cluster.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    log = tmp_path / "train.log"
    begun = ":train:1-2batch"
    wait_for(lambda: log.exists() and begun in log.read_text(), 300, "training does not start", cluster.logs)
    job = re.search(r"Slurm job (\d+) on n\[1-2\]", log.read_text())[1]
    cluster.call("scancel", "--batch", "--signal=USR1", job)
    output, _ = process.communicate(timeout=600)
    text = log.read_text()
    assert process.returncode == 0, output + text[-3000:]
    assert "the job has saved its state and goes on in another job" in output
    assert text.count("# status 75") == 1
    assert re.search(r"goes on after batch \d+ of 12", text)
    assert losses(tmp_path / "slurm") == pytest.approx(losses(tmp_path / "local"), rel=1e-4)
