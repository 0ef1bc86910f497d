"""From a folder of recordings of which nobody has transcribed anything to a student and a report, by one command; by
correcting twenty labels, to a table of error rates; and what other options leave alone.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/egs")]
import corpora  # noqa: E402
from decoding_material import SHORT, random_pair  # noqa: E402

from k2d.bin.audit import main as audit  # noqa: E402
from k2d.datadir import DataDir  # noqa: E402
from k2d.tables import read_table  # noqa: E402
from k2d.text.timestamps import strip  # noqa: E402

TINY = [
    *("--engine", "torch", "--ngpu", "0", "--nbest", "1", "--side_by_side", "2"),
    *("--teacher_opts", SHORT, "--validator_opts", SHORT, "--test_opts", SHORT),
    *("--timing_opts", "--rounds 1 --max_seconds 5 --max_new_tokens 8", "--stop_stage", "score", "--updates", "2"),
    *("--train_opts", "--use_amp false --num_workers 0 --use_tensorboard false --use_matplotlib false"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A clone with a folder of recordings and two small random models beside it; a function that runs its run.sh."""
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing: recipes run in it")
    home = tmp_path_factory.mktemp("home")
    for name in ("utils", "tools", "k2d"):
        (home / "clone" / name).parent.mkdir(exist_ok=True)
        (home / "clone" / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "conf", home / "clone/conf")
    leave_out = shutil.ignore_patterns("data", "exp")
    recipe = home / "clone/egs/TEMPLATE/k2d1"
    shutil.copytree(ROOT / "egs/TEMPLATE/k2d1", recipe, ignore=leave_out)
    (recipe / "conf/selections").mkdir(parents=True)
    (recipe / "conf/selections/strict.rule").write_text("# Keeps nothing below an alpha of 1.\ncomp + 1 <= alpha\n")
    corpora.mixed_folder(home / "my lectures", sentences=2)
    (home / "my lectures/replies").mkdir()
    for number in range(16):
        sound = np.random.default_rng(number).normal(scale=0.1, size=16000)
        soundfile.write(home / f"my lectures/replies/{number}.wav", sound, 16000)
    random_pair(home / "models/big", home / "models/small")

    def call(*options):
        words = ["clone/egs/TEMPLATE/k2d1/run.sh", "--recordings", "my lectures", *TINY,
                 "--teacher", "models/big", "--validator", "models/small", *options]  # fmt: skip
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=900, env=env)

    call.recipe, call.home = recipe, home
    return call


def test_a_folder_becomes_a_student_and_a_report(run):
    folder = run.recipe
    result = run("--selection", "full strict")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "\nrecordings   0." in result.stdout and "1 × duplicate, 1 × other format, 1 × truncated" in result.stdout
    assert "--labels text:data/recordings/labels" in result.stdout

    # A selection that keeps nothing has no student, and says what would keep more; the rest goes on.
    assert "no student of strict_small: none of 25 chunks kept at alpha 0.4" in result.stdout
    assert re.search(r"alpha 1\.?\d* would keep half", result.stdout)
    assert "explorer_small/explorer.html" in result.stdout
    assert re.search(r"warning: full: \d+ of 25 chunks .*: a student learns next to nothing from so few", result.stdout)
    assert not list((folder / "exp").glob("student_strict*"))

    # Held out, and learnt by nobody.
    chunks = set(DataDir(folder / "data/recordings_big").text)
    dev, held = (set(read_table(folder / f"data/recordings_big_{name}/text")) for name in ("dev", "held_out"))
    student = folder / "exp/student_full_big"
    learnt = set(read_table(student / "data/text"))
    assert dev and held and not dev & held and not learnt & (dev | held) and learnt | dev | held == chunks

    assert "2 updates of" in (student / "train/log/train.log").read_text(), "the log says how long"
    assert json.loads((student / "model.json").read_text())["selection"] == "full"
    report = (folder / "RESULTS.md").read_text()
    assert "No error rate is known" in report and "| student_full_big |" in report and "student_strict" not in report
    assert "- command: `clone/egs/TEMPLATE/k2d1/run.sh --recordings 'my lectures' --engine torch --ngpu 0 " in report
    assert "## Error rates" not in report and "No error rate is known" in result.stdout
    assert "Agreement on held-out recordings (differences in %" in result.stdout, "on the terminal"
    assert "held out, too few to compare models by" in result.stdout


def test_once_more_does_nothing_and_nothing_left_to_train_is_said(run):
    again = run("--selection", "strict", "--stage", "4")
    assert again.returncode != 0
    assert "no student of strict_small" in again.stdout
    assert "no selection keeps enough to train a student on" in again.stderr
    assert "goes on with" not in again.stdout, "the same folder"
    kept = run("--selection", "strict", "--keep", "0.75", "--stage", "4", "--stop_stage", "4", "--recordings", "")
    assert kept.returncode == 0, kept.stderr
    assert re.search("no --recordings: goes on with data/recordings, 28 recordings from .*/my lectures", kept.stdout)
    assert len(read_table(run.recipe / "data/recordings_big_strict@keep0.75_small/text")) == 11, "the long ones of 25"
    assert "keep the same" not in kept.stdout
    assert "k2d audit --data data/recordings_big --scores exp/recordings_big/small" in kept.stdout


def test_a_selection_that_kept_too_little_is_made_again_where_it_now_keeps_more(run):
    rule = run.recipe / "conf/selections/strict.rule"
    before = rule.read_text()
    rule.write_text("comp <= alpha + 9\n")
    try:
        more = run("--selection", "strict", "--stage", "4", "--stop_stage", "4")
    finally:
        rule.write_text(before)
    assert more.returncode == 0, more.stderr
    assert "no student of" not in more.stdout
    assert len(read_table(run.recipe / "data/recordings_big_strict_small/text")) > 2


def test_a_folder_without_recordings_is_refused_before_anything_runs(run, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for message in ("audio or video files in it or below, found notes.txt", "all recordings there are empty"):
        result = run("--recordings", str(tmp_path), "--dry_run")
        assert result.returncode == 1 and message in result.stderr and "nothing was run" in result.stderr
        assert "Stage" not in result.stdout
        (tmp_path / "failed.mp4").touch()


def draw_and_answer(recipe: Path, name: str, count: int) -> set[str]:
    """Ids of the chunks of a new test set that somebody has heard and corrected."""
    with contextlib.chdir(recipe):
        of = ("--data", "data/recordings_big", "--scores", "exp/recordings_big/small", "--count", str(count))
        assert audit([*of, "--output_dir", f"data/{name}", "--page", "audit.html"]) == 0
        drawn = DataDir(f"data/{name}/drawn").text
        said = {key: {"verdict": "usable", "text": f"{strip(label)} 對"} for key, label in drawn.items()}
        Path("audit-answers.json").write_text(json.dumps({"answers": said}))
        assert audit(["--output_dir", f"data/{name}", "--read", "audit-answers.json"]) == 0
    return set(drawn)


@pytest.fixture(scope="module")
def audited(run):
    """Ids of twenty chunks of the test set data/audited."""
    if not (run.recipe / "exp/recordings_big/small/step.json").exists():
        assert run("--selection", "full", "--stop_stage", "select").returncode == 0
    return draw_and_answer(run.recipe, "audited", 20)


TWO = ("--selection", "full comp@9", "--test_sets", "audited")  # of which none drops a chunk
STUDENTS = ("student_full_big", "student_comp@9_small_big")


def test_twenty_corrected_labels_are_a_test_set_and_give_a_table_with_intervals(run, audited):
    assert len(audited) == 20
    result = run(*TWO)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert re.search(r"full and comp@9_small keep the same \d+ chunks, so students of the same seed are", result.stdout)
    report = (run.recipe / "RESULTS.md").read_text()
    assert "| audited |\n" in report and "No error rate is known" not in report
    for model in ("teacher_big", "validator_small", *STUDENTS):
        assert re.search(rf"^\| {model} \|.* \d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\] \|$", report, re.MULTILINE), report
    for student, selection, alpha in zip(STUDENTS, ("full", "comp"), (None, 9.0), strict=True):
        record = json.loads((run.recipe / f"exp/{student}/model.json").read_text())
        assert (record["role"], record["selection"], record.get("alpha")) == ("student", selection, alpha)
        learnt = set(read_table(run.recipe / f"exp/{student}/data/text"))
        assert learnt and not learnt & audited
    assert "audited" in (run.recipe / "exp/report/index.html").read_text()


# Made again by a run with another batch size, since they say how fast the models are, and by every run.
MADE_AGAIN = {"exp/speed", "exp/report", "exp/check"}


def records(folder: Path) -> dict[str, bytes]:
    """step.json of every step of a recipe but those of MADE_AGAIN."""
    found = {str(path.parent.relative_to(folder)): path.read_bytes() for path in folder.glob("*/**/step.json")}
    return {name: record for name, record in found.items() if name not in MADE_AGAIN and "/.k2d/" not in name}


def test_other_options_redo_only_what_they_decide(run, audited):
    folder, home = run.recipe, run.home
    if not (folder / "exp/report/index.html").exists() or "audited" not in (folder / "RESULTS.md").read_text():
        assert run(*TWO).returncode == 0
    made = records(folder)

    # Nothing of this changes any content.
    os.utime(home / "clone/conf/train_student.yaml")
    os.utime(folder / "data/audited/text")
    (folder / "data/audited/.text.swp").write_text("an editor was here")
    shutil.copytree(home / "models/big", home / "copy/big")
    others = ("--teacher", "copy/big", "--nj", "2", "--batch_size", "3", "--side_by_side", "1")
    again = run(*TWO, *others, "--stop_stage", "decode")
    assert again.returncode == 0 and records(folder) == made, again.stderr
    assert again.stderr.count(": moved to ") == 1, "the measurement of speed, in whose key the batch is"
    asked = [name for name in made if name.startswith(("data/recordings_big_", "exp/student")) and "/score" not in name]
    assert again.stdout.count("is done; nothing to do") >= len(asked)

    # A mistake on the command line touches nothing.
    wrong = run(*TWO, "--train_opts", "--max_epok 3", "--nbest", "1")
    assert wrong.returncode == 1 and "--max_epok" in wrong.stderr and records(folder) == made

    # How many epochs are averaged decides the average and what is made of it, and not the training.
    assert run(*TWO, "--stage", "train", "--stop_stage", "decode", "--nbest", "2").returncode == 0
    other = records(folder)
    changed = {name for name in made if made[name] != other.get(name)}
    of_average = ("average", "heads", "decode_audited", "decode_audited/score")
    assert changed == {f"exp/{student}/{name}" for student in STUDENTS for name in of_average}

    # What was made with the first options lies aside, and comes back.
    back = run(*TWO, "--stage", "train", "--stop_stage", "decode")
    assert back.stderr.count("was moved back from") == 7, "averages, their heads and transcripts, and the speed of all"
    assert records(folder) == made

    # Labels that the validator has revised lie beside the teacher's.
    revised = run(*TWO, "--revise", "models/small", "--stage", "validate", "--stop_stage", "select")
    assert revised.returncode == 0 and made.items() <= records(folder).items(), revised.stderr
    sources = (folder / "data/recordings_big_by_small/sources.tsv").read_text()
    assert {line.split("\t")[1] for line in sources.splitlines()} <= {"label", "decode_small"}


def test_what_was_drawn_after_the_training_is_not_scored_until_it_is_unlearnt(run, audited):
    if not (run.recipe / f"exp/{STUDENTS[0]}/model.json").exists():
        assert run(*TWO, "--stop_stage", "train").returncode == 0
    learnt = set(read_table(run.recipe / f"exp/{STUDENTS[0]}/data/text"))
    later = draw_and_answer(run.recipe, "later", 2)
    assert learnt & later
    words = ("--selection", "full", "--test_sets", "later")
    stale = run(*words, "--stage", "decode")
    assert stale.returncode != 0
    said = f"exp/{STUDENTS[0]}/average has learnt from {len(learnt & later)} chunk"
    assert said in stale.stdout + stale.stderr
    assert not list(run.recipe.glob("exp/student*/decode_later")), "no student has decoded in vain"
    assert run(*words, "--stage", "select", "--stop_stage", "score").returncode == 0
    assert not later & set(read_table(run.recipe / f"exp/{STUDENTS[0]}/data/text"))
