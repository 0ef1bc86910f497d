"""Trainings by two processes, here and on two nodes, and the start of one by four on two nodes of two GPUs."""

import re
import sys
from pathlib import Path

from cluster import Cluster, wait_for
from slurm_calls import ROOT, call, ended
from training_processes import options, train

CHANGES = {"num_iters_per_epoch": 12, "max_epoch": 2, "log_interval": 2}


def train_here(world, folder: Path) -> Path:
    folder.mkdir()
    assert train(options(world, folder / "train", **CHANGES), folder / "log", world_size=2) == 0, folder
    return folder


def train_on_two_nodes(world, cluster: Cluster, folder: Path) -> tuple[Path, str]:
    """(folder, output of the call). SIGUSR1, which Slurm sends before the time limit, comes after some updates."""
    folder.mkdir()
    process = call(
        *(cluster, folder, "--num_nodes", 2, "--num_threads", 1, "train.log"),
        *(sys.executable, "-m", "k2d.bin.main", "train", *options(world, folder / "train", **CHANGES)),
        PYTHONPATH=str(ROOT),
    )
    log = folder / "train.log"

    def begun() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return log.exists() and ":train:1-2batch" in log.read_text()

    wait_for(begun, 600, "training does not start", cluster.logs)
    job = re.search(r"Slurm job (\d+) on n\[1-2\]", log.read_text())[1]
    cluster.call("scancel", "--batch", "--signal=USR1", job)
    status, output = ended(process, 900)
    assert status == 0, output + log.read_text()[-3000:]
    return folder, output


def meet_on_two_nodes(world, cluster: Cluster, folder: Path) -> str:
    """The log of a training for two GPUs on each of two nodes, whose processes meet and do no more."""
    words = [*options(world, folder / "train"), "--ngpu", "2", "--multiprocessing_distributed", "true"]
    process = call(
        *(cluster, folder, "--num_nodes", 2, "--gpu", 2, "--num_threads", 1, "train.log"),
        *(sys.executable, ROOT / "tests/slurm/meeting.py", *words),
        PYTHONPATH=str(ROOT),
    )
    status, output = ended(process, 900)
    log = (folder / "train.log").read_text()
    assert status == 0, output + log[-3000:]
    return log
