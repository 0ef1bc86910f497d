"""mini_cs on a minute of speech: several α and selections side by side, and what other options leave alone.

Its models are random ones, which are quick: what they write is all one here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from decoding_material import random_pair  # noqa: E402

SHORT = "--condition_on_previous false --temperatures 0 --max_new_tokens 16"
TINY = [
    *("--local_data_opts", "--lecture_hours 0.02 --scale 0.1 --sets lectures,dev,test_out"),
    *("--teacher", "models/teacher", "--validator", "models/validator"),
    *("--test_sets", "test_out", "--decode_untrained", "false", "--side_by_side", "2", "--train_threads", "1"),
    *("--selection", "comp mer@8", "--alpha", "9"),  # of which no chunk is dropped
    *("--teacher_opts", SHORT, "--validator_opts", SHORT, "--test_opts", SHORT),
    *("--store_encoder_out", "false", "--cache_teacher", "false"),
    *("--timing_opts", "--rounds 1 --max_seconds 5 --max_new_tokens 8"),
    *("--train_opts", "--max_epoch 2 --num_iters_per_epoch 2 --use_tensorboard false --use_matplotlib false"),
    *("--stop_stage", "7"),
]
STUDENTS = ("student_comp@9", "student_mer@8")
MEASURED = {"exp/speed", "exp/report"}  # how fast the models are, and the tables that say it


@pytest.fixture
def recipe(tmp_path):
    """A copy of mini_cs beside the repository's code; returns a function that runs it."""
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing: recipes run in it")
    for name in ("utils", "tools", "k2d", "conf", "egs/TEMPLATE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "egs/mini_cs/k2d1"
    leave_out = shutil.ignore_patterns("data", "exp", ".k2d")
    shutil.copytree(ROOT / "egs/mini_cs/k2d1", folder, symlinks=True, ignore=leave_out)
    random_pair(folder / "models/teacher", folder / "models/validator")

    def run(*options, fails=False):
        result = subprocess.run(
            ["./run.sh", *TINY, *options], cwd=folder, capture_output=True, text=True, timeout=900,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert (result.returncode != 0) == fails, result.stdout[-3000:] + result.stderr[-3000:]
        return result

    run.folder = folder
    return run


def records(folder: Path) -> dict[str, bytes]:
    """step.json of every step of a recipe but the measurement of speed, in whose key the batch is."""
    found = {str(path.parent.relative_to(folder)): path.read_bytes() for path in folder.glob("*/**/step.json")}
    return {name: record for name, record in found.items() if name not in MEASURED and "/.k2d/" not in name}


def test_a_sweep_is_one_table_and_other_options_redo_only_what_they_decide(recipe):
    folder = recipe.folder
    first = recipe()
    assert ": moved to " not in first.stderr
    for student in STUDENTS:
        record = json.loads((folder / f"exp/{student}/model.json").read_text())
        selection, alpha = student.removeprefix("student_").split("@")
        assert (record["role"], record["selection"], record["alpha"]) == ("student", selection, float(alpha))
    table = (folder / "RESULTS.md").read_text().partition("## Error rates")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row.startswith("student")] == list(STUDENTS)

    # Nothing of this changes any content.
    made = records(folder)
    os.utime(folder / "conf/train_student.yaml")
    os.utime(folder / "data/dev/text")
    (folder / "data/dev/.text.swp").write_text("an editor was here")
    shutil.copytree(folder / "models/teacher", folder / "copy/teacher")
    others = ("--teacher", "copy/teacher", "--nj", "2", "--batch_size", "3", "--side_by_side", "1")
    again = recipe(*others, "--stop_stage", "6")
    assert records(folder) == made
    asked = [name for name in made if name.startswith(("data/lectures_", "exp/")) and not name.endswith("/score")]
    assert again.stdout.count("is done; nothing to do") >= len(asked)

    # A mistake on the command line touches nothing.
    wrong = recipe("--train_opts", "--max_epok 3", "--nbest", "1", fails=True)
    assert "--max_epok" in wrong.stderr and records(folder) == made

    # How many epochs are averaged decides the average and what is made of it, and not the training.
    one = ("--selection", "comp", "--alpha", "9")
    recipe(*one, "--stage", "5", "--stop_stage", "6", "--nbest", "1")
    other = records(folder)
    of_average = ("average", "heads", "decode_test_out", "decode_test_out/score")
    changed = {name for name in made if made[name] != other.get(name)}
    assert changed == {f"exp/{STUDENTS[0]}/{name}" for name in of_average}

    # What was made with the first options lies aside, and comes back.
    back = recipe("--stage", "5", "--stop_stage", "6")
    assert back.stderr.count("was moved back from") == 4, "the average, its heads, its transcripts, and their speed"
    assert records(folder) == made

    # Labels that the validator has revised lie beside the teacher's.
    recipe(*one, "--revise", "models/validator", "--stage", "3", "--stop_stage", "4")
    assert made.items() <= records(folder).items()
    revised = folder / "data/lectures_teacher_by_validator"
    sources = {line.split("\t")[1] for line in (revised / "sources.tsv").read_text().splitlines()}
    assert sources <= {"label", "decode_validator"}
    assert (folder / f"data/{revised.name}_comp@9/text").is_file()
