"""Processes on two nodes, told by Slurm's variables alone where to meet."""

import json
import re
from pathlib import Path

import pytest
import torch


def losses(folder: Path) -> list[float]:
    stats = torch.load(folder / "train/checkpoint.pth", weights_only=True)["reporter"]["stats"]
    return [stats[epoch][phase]["loss"] for epoch in sorted(stats) for phase in ("train", "valid")]


def test_two_nodes_reach_the_loss_of_two_local_processes_and_a_stop_changes_nothing(trainings):
    folder, output = trainings.slurm.result()
    text = (folder / "train.log").read_text()
    assert "the job has saved its state and goes on in another job" in output
    assert text.count("# status 75") == 1
    assert re.search(r"goes on after batch \d+ of 12", text)
    assert losses(folder) == pytest.approx(losses(trainings.local.result()), rel=1e-4)


def test_two_nodes_of_two_gpus_are_four_processes_that_know_their_ranks_and_gpus(meeting):
    """What k2d.sh starts for --num_nodes 2 --ngpu 2, up to the place where GPUs are opened."""
    met = json.loads(re.search(r"^met: (.*)$", meeting.result(), re.MULTILINE)[1])
    assert met == [
        {"rank": 2 * node + gpu, "local_rank": gpu, "node": f"n{node + 1}", "devices": "0,1"}
        for node in range(2)
        for gpu in range(2)
    ]
