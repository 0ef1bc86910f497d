"""Whole runs of ESPnet's trainer: interrupted and resumed, over two processes, refused for bad input."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import ProcessContext
from training_material import through_commands
from training_processes import CONTEXT, options, train

from k2d.bin import average, cache_teacher, encode, training_tables
from k2d.bin.train import check_words
from k2d.distill.config import read_config
from k2d.distill.interruption import CONTINUE, ends_as_asked
from k2d.distill.task import parse
from k2d.distill.training import read_words, step_of
from k2d.errors import UsageError
from k2d.tables import read_table, write_table
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.model import ModelDimensions, Whisper

ROOT = Path(__file__).resolve().parents[2]


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
    assert not (tmp_path / "run" / "step.json").exists()
    assert train(words, tmp_path / "log") == 0
    assert_same_run(whole, tmp_path / "run")


def test_full_disk_leaves_the_previous_checkpoint(world, whole_run, tmp_path):
    whole, workers = whole_run
    if workers:
        pytest.skip("saving does not depend on workers")
    words = options(world, tmp_path / "run")
    assert train(words, tmp_path / "log", accident=("full", 4)) == 1
    assert "saving the checkpoint failed" in (tmp_path / "log.0").read_text(encoding="utf-8")
    said = (tmp_path / "log.0").read_text(encoding="utf-8")
    assert "the previous one is intact" in said and "Traceback" not in said
    assert list(curves(tmp_path / "run")) == [1]
    assert not list((tmp_path / "run").glob(".*.tmp"))
    assert train(words, tmp_path / "log") == 0
    assert_same_run(whole, tmp_path / "run")


def test_an_epoch_without_a_valid_update_ends_the_training_and_is_not_saved(world, whole_run, tmp_path):
    output = without_workers(whole_run)
    words = options(world, tmp_path / "run")
    assert train(words, tmp_path / "log", accident=("nan", 4)) == 1
    said = (tmp_path / "log.0").read_text().splitlines()[-1]
    assert said.startswith("train: epoch 2: no update of it had finite gradients; training stops, and what was saved")
    assert curves(tmp_path / "run").keys() == {1} and not (tmp_path / "run/step.json").exists()
    assert train(words, tmp_path / "log") == 0
    assert_same_run(tmp_path / "run", output)


def test_an_epoch_too_short_for_an_update_is_refused(world, tmp_path):
    assert train(options(world, tmp_path / "run", accum_grad=4), tmp_path / "log") == 1
    said = (tmp_path / "log.0").read_text().splitlines()[-1]
    assert said.startswith("train: epoch 1: an update takes 4 batches (accum_grad), and an epoch has 3; lower")
    assert not (tmp_path / "run/checkpoint.pth").exists() and not (tmp_path / "run/step.json").exists()


def test_an_epoch_interrupted_after_its_last_update_is_not_taken_for_one_without(world, tmp_path):
    words = options(world, tmp_path / "run", accum_grad=2)
    assert train(words, tmp_path / "log", accident=("step", 2, signal.SIGUSR1)) == CONTINUE
    assert train(words, tmp_path / "log") == 0
    assert curves(tmp_path / "run").keys() == {1, 2, 3}


def test_average_is_the_mean_of_the_best_epochs_and_loads_like_any_checkpoint(world, whole_run, tmp_path):
    output, _ = whole_run
    values = {epoch: phases["valid"]["ce"] for epoch, phases in curves(output).items()}
    best = sorted(values, key=values.get)[:2]
    words = f"--exp {output} --init {world.student} --output_dir {tmp_path}/average --nbest 2 --criterion ce".split()
    assert average.main(words) == 0
    got = checkpoint.load(tmp_path / "average").model.state_dict()
    assert sorted(json.loads((tmp_path / "average/step.json").read_text())["epochs"]) == sorted(best)
    states = [weights(output, epoch) for epoch in best]
    assert all(name.startswith("student.") for name in states[0])  # no tensor of the teacher
    assert {f"student.{name}" for name in got} == set(states[0])
    for name, tensor in got.items():
        mean = sum(state[f"student.{name}"].double() for state in states) / 2
        torch.testing.assert_close(tensor.double(), mean, atol=1e-7, rtol=1e-6)


def test_a_student_is_decoded_with_the_context_that_it_has_learnt_from(world, whole_run, tmp_path):
    output = shutil.copytree(without_workers(whole_run), tmp_path / "run", symlinks=True)
    written = (output / "config.yaml").read_text(encoding="utf-8")
    assert written.count("trim_padding: true") == 1 and checkpoint.load(world.student).trim_padding

    def averaged(name: str, config: str) -> bool:
        (output / "config.yaml").write_text(config, encoding="utf-8")
        words = f"--exp {output} --init {world.student} --nbest 1 --criterion ce --output_dir {tmp_path}/{name}"
        assert average.main(words.split()) == 0
        return checkpoint.load(tmp_path / name).trim_padding

    padded = written.replace("trim_padding: true", "trim_padding: false")
    assert averaged("trimmed", written) and not averaged("padded", padded)
    assert averaged("stored", padded.replace("- speech\n", "- encoder_out\n")), "the encoder heard it as the model does"


def test_an_average_does_not_make_do_without_one_of_the_best_epochs(world, whole_run, tmp_path, capsys):
    output = shutil.copytree(whole_run[0], tmp_path / "run", symlinks=True)
    values = {epoch: phases["valid"]["ce"] for epoch, phases in curves(output).items()}
    best = min(values, key=values.get)
    (output / f"{best}epoch.pth").unlink()
    words = f"--exp {output} --init {world.student} --output_dir {tmp_path}/average --nbest 2 --criterion ce".split()
    assert average.main(words) == 1
    assert f"{best}epoch.pth is gone, one of the 2 best epochs" in capsys.readouterr().err


def test_a_training_that_has_lost_an_epoch_says_which(world, whole_run, tmp_path):
    output = shutil.copytree(without_workers(whole_run), tmp_path / "run", symlinks=True)
    kept = sorted(path.name for path in output.glob("*epoch.pth"))
    assert kept == ["2epoch.pth", "3epoch.pth"]  # the last one is in checkpoint.pth too, and is written again
    for name in kept:
        (output / name).unlink()
    assert train(options(world, output), tmp_path / "log") == 1
    said = (tmp_path / "log.0").read_text(encoding="utf-8")
    assert f"2epoch.pth: gone, though {output}/checkpoint.pth says that it was written" in said
    assert "Traceback" not in said


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
    assert average.main([*words, str(tmp_path / "bad"), "--init_weight", "1"]) == 1
    assert "below 1" in capsys.readouterr().err


def test_two_processes_take_the_same_step_as_one_with_the_joint_batch(world, tmp_path):
    changes = dict(
        batch_conf={"trim_padding": True, "timestamps": 1.0, "prompt": 0.0},
        model_conf={
            "losses": {"ce": 0.8, "kl": 1.0, "hidden": {"weight": 0.5, "adaptive": True}, "ctc": 0.3},
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
    conf = {"layer_drop": 0.5, "ends_only": 0.3, "losses": {"ce": 0.8}}
    words = options(world, tmp_path / "run", model_conf=conf, num_iters_per_epoch=6, max_epoch=1)
    words[words.index("--student") + 1] = str(world.teacher)
    assert train(words, tmp_path / "log", world_size=2, launcher=launcher) == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_conf": {"loses": {"kl": 1.0}}}, "model_conf: unknown loses; known are"),
        ({"model_conf": {"losses": {"klr": 1.0}}}, "losses: no klr; there are ce, ctc, hidden, kl"),
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


def work_for_espnets_launcher(args, log: Path) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
    from k2d.distill.task import DistillTask

    DistillTask.main_worker(args)


def test_what_stops_a_process_of_espnets_launcher_is_the_last_that_is_said(world, tmp_path):
    training = read_words([*options(world, tmp_path / "run"), "--student", str(tmp_path / "none")])
    args = parse(training.words, training.config, training.where)
    vars(args).update(distributed=True, multiprocessing_distributed=True, dist_rank=0, dist_world_size=1, ngpu=0)
    args.dist_init_method = f"file://{tmp_path}/meeting"
    run = CONTEXT.Process(target=work_for_espnets_launcher, args=(args, tmp_path / "log"))
    run.start()
    with pytest.raises(SystemExit, match="1"), ends_as_asked():
        while not ProcessContext([run], [str(tmp_path / "error")]).join():
            pass
    said = (tmp_path / "log").read_text().splitlines()[-1]
    assert said.startswith(f"train: {tmp_path}/none: no such file or folder")


# ----------------------------------------------------------------------------------------------------- as a step


def without_workers(whole_run):
    output, workers = whole_run
    if workers:
        pytest.skip("a step does not depend on workers")
    return output


def key(words: list[str]) -> str:
    return step_of(read_words(words)).key


@pytest.mark.parametrize("piped", [False, True])
def test_whether_commands_may_run_decides_where_there_are_some(world, tmp_path, piped):
    data = tmp_path / "data"
    shutil.copytree(world.data, data)
    if piped:
        through_commands(data)
    words = options(world, tmp_path / "run", data=data)
    assert (key(words) != key([*words, "--allow_pipes", "true"])) == piped
    assert (key([*words, "--allow_pipes", "false"]) != key([*words, "--allow_pipes", "true"])) == piped


def test_what_is_trained_is_not_trained_again(world, whole_run, tmp_path):
    output = without_workers(whole_run)
    words = options(world, output, num_workers=0)
    yaml = output.parent / "run.yaml"
    yaml.write_text("# a comment\n" + yaml.read_text())
    weights_of = {path: path.stat().st_mtime_ns for path in output.glob("*.pth")}
    assert train([*words, "--log_interval", "3", "--num_workers", "1"], tmp_path / "log") == 0
    assert "is done; nothing to do" in (tmp_path / "log.0").read_text()
    assert {path: path.stat().st_mtime_ns for path in output.glob("*.pth")} == weights_of


def test_the_key_is_the_content_of_what_decides(world, tmp_path):
    words = options(world, tmp_path / "run")
    first = key(words)
    assert key([*words, "--dist_master_port=17", "--use_tensorboard", "true", "--resume", "true"]) == first
    for other in (["--max_epoch", "4"], ["--max_epoch=4"], ["--model_conf", "losses.kl=0.5"], ["--num_threads", "2"]):
        assert key([*words, *other]) != first, other
    assert key([*words, "--max_epoch", "4"]) == key([*words, "--max_epoch=4"])
    no_teacher = words[: words.index("--teacher")] + words[words.index("--teacher") + 2 :]
    assert key(no_teacher) != first
    copy = tmp_path / "student"
    shutil.copytree(world.student, copy)
    words[words.index("--student") + 1] = str(copy)
    assert key(words) == first
    (copy / "config.json").write_text((copy / "config.json").read_text().replace("true", "false"))
    assert key(words) != first


def test_a_training_keeps_its_threads_where_nobody_asks_for_others(world, tmp_path, monkeypatch):
    words = [*options(world, tmp_path / "run"), "--ngpu", "0"]
    at = words.index("--num_threads")
    del words[at : at + 2]

    def threads(*more):
        return step_of(read_words([*words, *more])).options["num_threads"]

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert (threads(), threads("--usual_threads", "3"), threads("--num_threads", "4")) == (2, 3, 4)
    with step_of(read_words(words)) as begun:
        pass
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    for finished in (False, True):
        if finished:
            begun.finish()
        assert threads() == threads("--usual_threads", "3") == 2
        assert threads("--num_threads", "4") == 4, "that was asked for"
        assert threads("--max_epoch", "9") == 8, "which is another training"
    with step_of(read_words([*words, "--max_epoch", "9"])) as other:
        assert (other.aside / begun.key).is_dir() and other.key == step_of(read_words([*words, "--max_epoch", "9"])).key
    assert threads() == 2, "of the training that lies aside"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads("--max_epoch", "9") == 8
    with step_of(read_words(words)) as back:
        assert back.done
    assert threads("--max_epoch", "9") == 8 and threads("--max_epoch", "9", "--num_threads", "2") == 2


def test_a_later_yaml_says_only_what_it_has_otherwise(world, tmp_path):
    words = options(world, tmp_path / "run")
    (tmp_path / "more.yaml").write_text("model_conf: {losses: {kl: 0.5}}\nmax_epoch: 7\n")
    training = read_words(["--config", words[1], "--config", str(tmp_path / "more.yaml"), *words[2:]])
    assert training.config["max_epoch"] == 7
    assert training.config["model_conf"]["losses"] == {"kl": 0.5}
    assert training.config["model_conf"]["specaug"]["apply_time_warp"] is False
    (tmp_path / "more.yaml").write_text("scheduler: onecyclelr\nscheduler_conf: {max_lr: 1.0}\n")
    training = read_words(["--config", words[1], "--config", str(tmp_path / "more.yaml"), *words[2:]])
    assert training.config["scheduler_conf"] == {"max_lr": 1.0}  # warmup_steps was another scheduler's


@pytest.mark.parametrize("recipe", ["ascend", "commonvoice_zh_tw", "mini_cs", "ntuml2021", None])
def test_every_recipes_yaml_is_understood(world, recipe):
    words = ["--config", str(ROOT / "conf/train_student.yaml"), "--tables", "tables", "--output_dir", "out"]
    if recipe:
        words += ["--config", str(ROOT / "egs" / recipe / "k2d1/conf/train_student.yaml")]
    check_words([*words, "--student", "init", "--teacher", "large-v2", "--num_threads", "1", "--ngpu", "0"])


def run_python(code: str, *words: str, cache=None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p)}
    if cache:
        environment["XDG_CACHE_HOME"] = str(cache)
    return subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)


def test_whether_there_is_something_to_do_is_said_without_espnet(world, tmp_path):
    code = (
        "import sys\nfrom k2d.bin.train import main\nstatus = main(sys.argv[1:])\n"
        "assert not {'espnet2', 'torch'} & set(sys.modules)\nsys.exit(status)"
    )
    done = run_python(code, *options(world, tmp_path / "run"), "--begin")
    assert done.returncode == 3, done.stderr


def test_words_are_parsed_before_anything_runs_and_mostly_without_espnet(world, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["--tables", "not/there/yet", *options(world, tmp_path / "run")]
    check_words(words)
    code = (
        "import sys\nfrom k2d.bin.train import check_words\ncheck_words(sys.argv[1:])\n"
        "assert not {'espnet2.tasks', 'torch'} & set(sys.modules)"
    )
    again = run_python(code, *words, "--max_epoch", "9", cache=tmp_path / "cache")
    assert again.returncode == 0, again.stderr
    for wrong, message in (
        (["--max_epoch", "many"], "max_epoch"),
        (["--max_epoc", "9"], "did you mean --max_epoch"),
        (["--optim", "adamwww"], "optim"),
        (["--iterator_type", "chunkk"], "iterator_type"),
        (["--batch_bins", "3M"], "batch_bins"),
        (["--model_conf", "losses.kll=1"], "no kll; there are"),
        (["--batch_conf", "speeed=[0.9]"], "batch_conf: unknown speeed"),
        (["--config", str(tmp_path / "none.yaml")], "none.yaml: no YAML can be read"),
    ):
        with pytest.raises(UsageError, match=message):
            check_words([*words, *wrong])
    with pytest.raises(UsageError, match="unknown no_such_option"):
        check_words(options(world, tmp_path / "run", no_such_option=1))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("--accum_grad 0", "accum_grad 0 (--accum_grad, or in "),
        ("--batch_size 0", "): expected at least 1"),
        ("--dry_run true", "dry_run (--dry_run, or in "),
        ("--print_config", "): with it ESPnet trains nothing; leave it out"),
        ("--collect_stats true", "collect_stats (--collect_stats, or in "),
        ("--max_epoch -1", "max_epoch -1 ("),
        ("--keep_nbest_models 3 0", "keep_nbest_models 0 ("),
        ("--seed -1", "expected a whole number from 0 to"),
        ("--grad_clip -1", "grad_clip -1 (--grad_clip, or in "),
        ("--use_amp true --use_tf32 true", "give --use_amp false"),
        ("--num_iters_per_epoch 3 --accum_grad 4", "an update takes 4 batches (accum_grad), so that no epoch has one"),
        ("--best_model_criterion valid,ce,least", "--best_model_criterion valid ce least: expected"),
        ("--early_stopping_criterion valid cee min", "one of acc, ce, ctc, hidden, kl, kl_gap, loss, and min or max"),
        ("--optim_conf lr=-1", "optim adamw with {'lr': -1}: Invalid learning rate: -1; correct its options"),
        ("--optim_conf lr=[1", "a value cannot be read"),
        ("--optim_conf momentum=0.9", "unexpected keyword argument 'momentum'; correct its options, which are amsgrad"),
        ("--optim lbfgs", "optim lbfgs with {'lr': 0.001}: "),
        ("--scheduler piecewiselinearwarmuplr", "'warmup_steps'; correct its options, which are warmup_lr"),
        ("--scheduler onecyclelr", "unexpected keyword argument 'warmup_steps'; correct"),
        ("--model_conf specaug.time_mask=3", "model_conf: specaug with {"),
        ("--model_conf losses.ce.smooth=0.1", "ce has no option smooth; known are smoothing, chunk"),
        ("--model_conf teacher_dtype=half", "teacher_dtype 'half': expected one of float32"),
        ("--model_conf layer_drop=1.5", "layer_drop 1.5: expected a probability, from 0 to 1"),
        ("--model_conf freeze_encoder=3", "freeze_encoder 3: expected true or false"),
        ("--batch_conf timestamps=2", "batch_conf: timestamps 2: expected a probability, from 0 to 1"),
        ("--batch_conf prompt=often", "prompt 'often': expected a number"),
        ("--batch_conf max_tokens=0", "max_tokens 0: expected at least 1"),
        ("--batch_conf speed=0.9", "speed 0.9: expected a list of numbers, as [0.9,1.1]"),
        ("--batch_conf noise_snr=[5]", "noise_snr [5]: expected a list of 2 numbers"),
        ("--batch_conf language=no", "language False: expected a word"),
    ],
)
def test_values_that_no_training_can_have_are_refused_before_anything_runs(world, tmp_path, wrong, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        check_words([*options(world, tmp_path / "run"), *wrong.split()])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optim": "adamww"}, "run.yaml: argument --optim: invalid choice: 'adamww'"),
        ({"batch_size": 2.5}, "run.yaml: argument --batch_size: invalid int value: '2.5'"),
        ({"batch_size": [4]}, "run.yaml: argument --batch_size: invalid int value"),
        ({"max_epoch": None}, "run.yaml: max_epoch has no value; give one, or leave it out"),
        ({"keep_nbest_models": "few"}, "run.yaml: argument --keep_nbest_models: invalid int value: 'few'"),
        ({"early_stopping_criterion": ["valid", "loss"]}, "--early_stopping_criterion: expected 3 arguments"),
        ({"accum_grad": 0}, "run.yaml): expected at least 1"),
    ],
)
def test_values_of_a_yaml_are_read_as_those_of_a_command_line(world, tmp_path, wrong, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        check_words(options(world, tmp_path / "run", **wrong))


def test_a_scheduler_that_ends_before_the_training_is_told(world, tmp_path):
    shape = {"max_lr": 1e-3, "total_steps": 8}
    words = options(world, tmp_path / "run", scheduler="onecyclelr", scheduler_conf=shape, num_iters_per_epoch=3)
    with pytest.raises(UsageError, match=r"onecyclelr ends after 8 updates, and .* make 9; give --scheduler_conf"):
        check_words(words)
    check_words([*words, "--scheduler_conf", "total_steps=9"])
    check_words([*words, "--updates", "5"])  # which scales epochs when the tables are there


def test_a_number_without_a_point_is_a_number(world, tmp_path):
    yaml = tmp_path / "more.yaml"
    yaml.write_text("optim_conf: {lr: 1e-4, betas: [.9, 1e-1]}\nbatch_conf: {noise: 5e-1, language: en}\n")
    assert read_config([yaml])["optim_conf"] == {"lr": 1e-4, "betas": [0.9, 0.1]}
    words = [*options(world, tmp_path / "run"), "--config", str(yaml), "--optim_conf", "lr=2e-5", "--grad_clip", "1e1"]
    check_words(words)
    training = read_words(words)
    args = parse(training.words, training.config, training.where)
    assert args.optim_conf == {"lr": 2e-5, "betas": [0.9, 0.1]}
    assert args.grad_clip == 10 and args.batch_conf["noise"] == 0.5 and args.batch_conf["language"] == "en"


def look_at_imports() -> None:
    from espnet2.tasks import abs_task

    assert not {"transformers", "librosa"} & set(sys.modules)
    with pytest.raises(AssertionError, match="Adapter none is not supported"):
        abs_task.create_adapter(torch.nn.Linear(1, 1), "none", {})
    assert "transformers" in sys.modules, "what is left out comes when it is called"


@pytest.mark.skipif(CONTEXT.get_start_method() != "forkserver", reason="a GPU has processes of another kind")
def test_help_says_nothing_of_what_no_model_here_has():
    words = [sys.executable, "-m", "k2d.bin.main", "train", "--help", "all"]
    said = subprocess.run(words, capture_output=True, text=True)
    assert said.returncode == 0 and said.stdout.startswith("usage: k2d train") and not said.stderr
    assert "--sharded_ddp" in said.stdout, "every option of ESPnet's"


def test_the_short_help_has_all_that_k2d_adds_and_nothing_that_there_is_not(monkeypatch):
    from k2d.bin import train
    from k2d.distill.config import BatchConfig, DistillConfig
    from k2d.distill.losses import terms
    from k2d.distill.task import DistillTask

    monkeypatch.setenv("COLUMNS", "100")
    shown, known = train.parser().format_help(), DistillTask.get_parser()._option_string_actions
    options = [*train.COMMON, *(action.option_strings[0] for action in train.reader()._actions)]
    assert all(option.split()[0] in known for option in options)
    for field in (*dataclasses.fields(BatchConfig), *dataclasses.fields(DistillConfig)):
        assert f"\n  {field.name} " in shown
    losses = shown.partition("\n  losses ")[2].partition("\n  freeze_encoder ")[0]
    assert set(terms()) <= set(re.findall(r"\w+", losses)), "every loss has its word"


def test_espnet_comes_without_what_no_training_uses():
    process = CONTEXT.Process(target=look_at_imports)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_options_are_read_as_espnet_reads_them(world, tmp_path):
    from k2d.distill import command_line
    from k2d.distill.task import DistillTask

    words = options(world, tmp_path / "run")[2:] + (
        "--optim AdamW --log_level info --use_amp true --batch_bins 3000 --patience none --max_cache_size 1.5G "
        "--optim_conf lr=0.5 --optim_conf betas=[0.9,0.98] --model_conf losses.ce=0.5 --max_epoch 4 --grad_clip 2 "
        "--best_model_criterion valid,ce,min --init_param a:b c --save_strategy all --ignore_init_mismatch yes"
    ).split()
    whole = DistillTask.get_parser()
    described = json.loads(json.dumps(command_line.describe(whole)))
    config = {"scheduler": "warmuplr", "batch_conf": {"noise": 0.5}, "accum_grad": 2}
    given = [command_line.parse(p, {"ce", "kl"}, words, config, "x") for p in (whole, command_line.rebuilt(described))]
    whole, rebuilt = (json.loads(json.dumps(vars(args))) for args in given)  # a default's tuple is a list
    assert whole.pop("required") == ["output_dir"]
    assert rebuilt == whole
    assert given[1].optim == "adamw" and given[1].optim_conf == {"lr": 0.5, "betas": [0.9, 0.98]}


def test_a_cut_checkpoint_is_named_with_its_remedy(world, whole_run, tmp_path):
    output = without_workers(whole_run)
    words = options(world, tmp_path / "run")
    assert train(words, tmp_path / "log", accident=("step", 5, signal.SIGKILL)) == -9
    file = tmp_path / "run" / "checkpoint.pth"
    file.write_bytes(file.read_bytes()[:-1000])
    assert train(words, tmp_path / "log") == 1
    said = (tmp_path / "log.0").read_text()
    assert f"train: {file}: cut short or damaged" in said and f"remove it (rm {file})" in said
    assert "weights_only" not in said and not (tmp_path / "run/step.json").exists()
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    (copy / "checkpoint.pth").write_bytes(b"cut")
    assert average.main(f"--exp {copy} --init {world.student} --output_dir {tmp_path}/average".split()) == 1


def test_training_goes_on_where_files_vanish_and_audio_comes_from_commands(world, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(world.data, data)
    for uid, path in read_table(data / "wav.scp").items():
        shutil.copy(path, data / f"{uid}.wav")
    write_table(data / "wav.scp", {u: f"cat {data}/{u}.wav |" for u in read_table(data / "wav.scp")})
    (data / "utt05.wav").unlink()
    words = [*options(world, tmp_path / "run", data=data, max_epoch=1), "--allow_pipes"]
    assert train(words, tmp_path / "log") == 0
    log = (tmp_path / "log.0").read_text(encoding="utf-8")
    assert log.count("left out: utt05: its audio cannot be read") == 2  # by the training set, and by the validation set
    assert (tmp_path / "run/1epoch.pth").exists()


def test_another_nbest_averages_again_and_trains_nothing(world, whole_run, tmp_path, capsys):
    output = without_workers(whole_run)
    words = f"--exp {output} --init {world.student} --criterion ce --output_dir {tmp_path}/average".split()
    assert average.main([*words, "--nbest", "2"]) == 0
    before = key(options(world, output, num_workers=0))
    assert average.main([*words, "--nbest", "1"]) == 0
    assert key(options(world, output, num_workers=0)) == before
    assert "moved to" in capsys.readouterr().err
    assert average.main([*words, "--nbest", "2"]) == 0
    assert "was moved back from" in capsys.readouterr().err


def test_average_refuses_another_start(world, whole_run, tmp_path, capsys):
    output = without_workers(whole_run)
    assert average.main(f"--exp {output} --init {world.teacher} --output_dir {tmp_path}/average".split()) == 1
    assert f"{output} was not trained from it but from {world.student}" in capsys.readouterr().err
    assert average.main(f"--exp {tmp_path} --init {world.student} --output_dir {tmp_path}/average".split()) == 1
    assert "not finished" in capsys.readouterr().err


def test_tables_of_a_cached_teacher_are_all_that_training_needs(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = options(world, tmp_path / "run", max_epoch=1, batch_conf={"trim_padding": True, "prompt": 0.5})
    yaml = words[1]
    for name, data, noise in (
        ("clean", world.data, ""), ("noisy", world.data, "--noise_snr 0,9"), ("dev", world.few, "")
    ):  # fmt: skip
        assert encode.main(f"--model {world.teacher} --data {data} --output_dir {name} {noise}".split()) == 0
    common = ["--teacher", str(world.teacher), "--data", str(world.data), "--output_dir", "topk"]
    assert cache_teacher.main([*common, "--encoder_out", "clean", "--config", yaml, "--k", "5"]) == 0
    shutil.copytree(world.data, "selected")
    weights = {uid: f"{0.1 + 0.05 * place:.4f}" for place, uid in enumerate(read_table("selected/text"))}
    write_table(Path("selected/utt2weight"), weights)
    tables = f"--data selected --valid_data {world.few} --encoder_out clean noisy --valid_encoder_out dev"
    assert training_tables.main([*tables.split(), "--teacher_topk", "topk", "--output_dir", "tables"]) == 0
    run = ["--config", yaml, "--tables", "tables", "--student", str(world.student), "--output_dir", "run"]
    assert train([*run, "--num_threads", "1"], tmp_path / "log") == 0, (tmp_path / "log.0").read_text()[-2000:]
    of_tables = read_table("tables/utt2weight")
    assert of_tables == weights | {f"{uid}+1": weight for uid, weight in weights.items()}
    found = curves(tmp_path / "run")[1]
    assert found["train"]["kl_gap"] > 0 and found["train"]["kl"] > 0
    assert "kl" not in found["valid"] and found["valid"]["ce"] > 0
    inputs = json.loads((tmp_path / "run/step.json").read_text())["inputs"]
    assert "train weight" in inputs and "valid weight" not in inputs
    made_by = {os.path.relpath(given["path"]) for name, given in inputs.items() if " of step " in name}
    assert made_by == {"clean", "noisy", "dev", "topk"}
    # With labels alone it is another training, by cross-entropy.
    assert training_tables.main([*tables.split(), "--output_dir", "labels"]) == 0
    run[run.index("tables")], run[-1] = "labels", "by_labels"
    assert train([*run, "--num_threads", "1"], tmp_path / "log2") == 0
    assert "kl" not in curves(tmp_path / "by_labels")[1]["train"]
    assert "learns from its labels by cross-entropy" in (tmp_path / "log2.0").read_text()
