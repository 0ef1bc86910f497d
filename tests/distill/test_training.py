"""Whole runs of ESPnet's trainer: interrupted and resumed, over two processes, refused for bad input."""

import signal

import pytest
import torch
from training_processes import options, train

from k2d.bin import average
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.model import ModelDimensions, Whisper


def curves(output) -> dict:
    """epoch → phase → the statistics that do not measure time."""
    reporter = torch.load(output / "checkpoint.pth", weights_only=True)["reporter"]
    return {
        epoch: {
            phase: {k: v for k, v in stats.items() if "time" not in k and "cached" not in k}
            for phase, stats in phases.items()
            if phase in ("train", "valid")
        }
        for epoch, phases in reporter["stats"].items()
    }


def weights(output, epoch: int) -> dict:
    return torch.load(output / f"{epoch}epoch.pth", weights_only=True)


def assert_same_run(a, b) -> None:
    assert curves(a) == curves(b)
    for name, tensor in weights(a, 3).items():
        torch.testing.assert_close(tensor, weights(b, 3)[name], atol=0, rtol=0, msg=name)


@pytest.fixture(scope="module", params=[0, 2], ids=["no workers", "2 workers"])
def whole_run(world, request, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "run"
    assert train(options(world, output, num_workers=request.param), output.parent / "log") == 0
    return output, request.param


@pytest.mark.parametrize(
    "accident",
    [
        ("step", 5, signal.SIGKILL),
        ("step", 7, signal.SIGTERM),
        ("rename", ("checkpoint.pth", 2), signal.SIGKILL),
        ("rename", ("2epoch.pth", 1), signal.SIGKILL),
    ],
    ids=["killed in an epoch", "terminated at its start", "killed while saving", "killed between two files"],
)
def test_an_interrupted_run_continues_as_if_nothing_had_happened(world, whole_run, accident, tmp_path):
    whole, workers = whole_run
    if workers and accident[0] == "rename":
        pytest.skip("saving does not depend on workers")
    words = options(world, tmp_path / "run", num_workers=workers)
    assert train(words, tmp_path / "log", accident=accident) == -accident[2]
    assert len(curves(tmp_path / "run")) < 3
    assert train(words, tmp_path / "log") == 0
    assert_same_run(whole, tmp_path / "run")


def test_full_disk_leaves_the_previous_checkpoint(world, whole_run, tmp_path):
    whole, workers = whole_run
    if workers:
        pytest.skip("saving does not depend on workers")
    words = options(world, tmp_path / "run")
    assert train(words, tmp_path / "log", accident=("full", 4)) == 1
    assert "saving the checkpoint failed" in (tmp_path / "log.0").read_text(encoding="utf-8")
    assert "the previous one is intact" in (tmp_path / "log.0").read_text(encoding="utf-8")
    assert list(curves(tmp_path / "run")) == [1]
    assert not list((tmp_path / "run").glob(".*.partial"))
    assert train(words, tmp_path / "log") == 0
    assert_same_run(whole, tmp_path / "run")


def test_average_is_the_mean_of_the_best_epochs_and_loads_like_any_checkpoint(world, whole_run, tmp_path):
    output, _ = whole_run
    values = {epoch: phases["valid"]["ce"] for epoch, phases in curves(output).items()}
    best = sorted(values, key=values.get)[:2]
    average.main(
        f"--exp {output} --init {world.student} --output_dir {tmp_path} --nbest 2 --criterion ce".split()
    )
    got = checkpoint.load(tmp_path).model.state_dict()
    states = [weights(output, epoch) for epoch in best]
    assert all(name.startswith("student.") for name in states[0])  # no tensor of the teacher
    assert {f"student.{name}" for name in got} == set(states[0])
    for name, tensor in got.items():
        mean = sum(state[f"student.{name}"].double() for state in states) / 2
        torch.testing.assert_close(tensor.double(), mean, atol=1e-7, rtol=1e-6)


def test_average_takes_in_the_initial_model_with_its_weight(world, whole_run, tmp_path, capsys):
    output, _ = whole_run
    words = f"--exp {output} --init {world.student} --nbest 1 --criterion ce --output_dir".split()
    average.main([*words, str(tmp_path / "plain")])
    average.main([*words, str(tmp_path / "mixed"), "--init_weight", "0.25"])
    plain, mixed, start = (
        checkpoint.load(folder).model.state_dict() for folder in (tmp_path / "plain", tmp_path / "mixed", world.student)
    )
    assert any(not torch.equal(plain[name], start[name]) for name in plain)
    for name, tensor in mixed.items():
        torch.testing.assert_close(tensor, 0.75 * plain[name] + 0.25 * start[name], atol=1e-6, rtol=1e-5)
    with pytest.raises(SystemExit):
        average.main([*words, str(tmp_path / "bad"), "--init_weight", "1"])
    assert "below 1" in capsys.readouterr().err


def test_two_processes_take_the_same_step_as_one_with_the_joint_batch(world, tmp_path):
    changes = dict(
        batch_conf={"trim_padding": True, "timestamps": 1.0, "prompt": 0.0},
        model_conf={
            "hidden_weight": 0.5,
            "hidden_adaptive": True,
            "ctc_weight": 0.3,
            "freeze_encoder": False,
        },
        optim="sgd",
        optim_conf={"lr": 1.0},  # the step is the gradient
        scheduler=None,
        grad_clip=1e9,
        max_epoch=1,
    )
    for name, world_size in (("one", 1), ("two", 2)):
        words = options(world, tmp_path / name, data=world.few, **changes)
        assert train(words, tmp_path / f"log.{name}", world_size) == 0
    assert curves(tmp_path / "one")[1]["train"]["loss"] == pytest.approx(
        curves(tmp_path / "two")[1]["train"]["loss"], rel=1e-5
    )
    one, two = weights(tmp_path / "one", 1), weights(tmp_path / "two", 1)
    start = checkpoint.load(world.student).model.state_dict()
    moved = 0
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-5, rtol=1e-4, msg=name)
        before = start.get(name.removeprefix("student."))
        moved += before is not None and not torch.equal(before, tensor)
    assert moved > 40


@pytest.mark.parametrize("launcher", ["torchrun", "slurm"])
def test_layer_drop_runs_over_two_processes(world, tmp_path, launcher):
    conf = {"layer_drop": 0.5, "ends_only": 0.3, "kl_weight": 0.0}
    words = options(world, tmp_path / "run", model_conf=conf, num_iters_per_epoch=6, max_epoch=1)
    words[words.index("--student") + 1] = str(world.teacher)
    assert train(words, tmp_path / "log", world_size=2, launcher=launcher) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_conf": {"kl_wieght": 1.0}}, "model_conf: unknown kl_wieght; known are"),
        ({"batch_conf": {"speeed": [0.9]}}, "batch_conf: unknown speeed; known are"),
        ({"no_such_option": 1}, "no_such_option"),
    ],
)
def test_unknown_keys_are_refused(world, tmp_path, change, message):
    assert train(options(world, tmp_path / "run", **change), tmp_path / "log") != 0
    assert message in (tmp_path / "log.0").read_text(encoding="utf-8")


def test_a_teacher_with_another_vocabulary_is_refused(world, tmp_path):
    tokenizer = train_sentencepiece(["别的 vocabulary 在这里"] * 5, 310)
    teacher = Whisper(ModelDimensions(80, 1500, 32, 2, 1, tokenizer.vocab_size, 448, 32, 2, 3))
    checkpoint.save(tmp_path / "other", teacher, tokenizer)
    words = options(world, tmp_path / "run")
    words[words.index("--teacher") + 1] = str(tmp_path / "other")
    assert train(words, tmp_path / "log") == 1
    assert "do not share a vocabulary" in (tmp_path / "log.0").read_text(encoding="utf-8")
