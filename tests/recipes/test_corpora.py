"""The corpus recipes on small corpora of exactly the published form: ASCEND to the exports, COOL to its labels.
What comes after stage 1 is k2d.sh alone, and Common Voice's and NTUML2021's options are ASCEND's.

Only db.sh differs from real use, and on the command line what makes it small: other models and two updates.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/egs")]
import corpora  # noqa: E402
from decoding_material import SHORT, random_model, random_pair  # noqa: E402

from k2d.whisper import checkpoint  # noqa: E402

SMALL = [
    *("--ngpu", "0", "--batch_size", "4", "--nbest", "1", "--selection", "full"),
    *("--test_opts", SHORT),
    *("--publish_opts", "--utterances 1", "--timing_opts", "--rounds 1 --max_seconds 5 --max_new_tokens 8"),
    "--train_opts",
    "--max_epoch 1 --num_iters_per_epoch 2 --batch_size 2 --accum_grad 1 --use_amp false --num_workers 0 "
    "--use_tensorboard false --use_matplotlib false",
]
RECIPES = ("cool", "ntuml2021", "commonvoice_zh_tw", "ascend")

needs_venv = pytest.mark.skipif(
    not (ROOT / "tools/venv/bin/python").exists(), reason="tools/venv is missing: recipes run in it"
)


class Clone:
    """A clone of the repository in which one recipe can be run without touching anybody's data."""

    def __init__(self, folder: Path, corpus: str, **database: object):
        for name in ("utils", "tools", "k2d", "conf"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "egs").mkdir()
        for other in (*RECIPES, "TEMPLATE", "mini_cs"):
            if other != corpus:
                (folder / "egs" / other).symlink_to(ROOT / "egs" / other)
        self.recipe = folder / "egs" / corpus / "k2d1"
        shutil.copytree(
            ROOT / "egs" / corpus / "k2d1",
            self.recipe,
            symlinks=True,
            ignore=shutil.ignore_patterns("data", "exp", "db.sh"),
        )
        names = ("COOL", "COOL_TEST", "COOL_DEV", "NTUML2021", "COMMONVOICE_ZH_TW", "ASCEND")
        lines = [f"{name}={shlex.quote(str(database.get(name, '')))}\n" for name in names]
        (self.recipe / "db.sh").write_text("".join(lines) + "COUNTS=any\n")

    def run(self, *options: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["./run.sh", *options],
            cwd=self.recipe,
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def succeed(clone: Clone, *options: str) -> subprocess.CompletedProcess:
    result = clone.run(*SMALL, *options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def row_of(results: str, start: str) -> list[str]:
    line = next(line for line in results.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@needs_venv
def test_ascend_from_another_initial_student_to_its_exports(tmp_path):
    """Random models, which are quick, and the sentences of the corpus as labels."""
    checkpoint.save(tmp_path / "random/teacher", *random_model())
    checkpoint.save(tmp_path / "random/student", *random_model(1, n_text_layer=1))
    sentences, start = "text:data/train/reference/text", str(tmp_path / "random/student")
    models = ("--teacher", str(tmp_path / "random/teacher"), "--labels", sentences, "--validator", sentences)
    options = (*models, "--student_init", start, "--side_by_side", "2")
    (tmp_path / "clone").mkdir()
    clone = Clone(tmp_path / "clone", "ascend", ASCEND=corpora.ascend_parquet(tmp_path / "ASCEND"))
    first = succeed(clone, *options)
    assert "\nError rates (" in first.stdout, "on the terminal"
    assert "\nstudent_full (paper) " in first.stdout
    assert (clone.recipe / "exp/student_full_teacher_text/publish/huggingface/README.md").exists()
    assert (clone.recipe / "data/preparation.md").exists()
    results = (clone.recipe / "RESULTS.md").read_text()
    assert row_of(results, "student_full (paper)")[-2] == "22.07"
    assert all(float(rate.split()[0]) >= 0 for rate in row_of(results, "student_full_teacher_text")[-2:])
    assert "## Label quality" in results, "references of the training set are there for the analysis"
    assert row_of(results.partition("## By topic")[2], "model") == ["model", "education", "sports"]
    made = json.loads((clone.recipe / "exp/student_full_teacher_text/init/parameters.json").read_text())
    assert made["init"] == start
    assert row_of(results, "student_full_teacher_text")[2] != "×1.00", "a size of its own"

    again = succeed(clone, *options, "--stage", "2")
    assert ": moved to " not in again.stderr
    assert "\nError rates (" in again.stdout
    made = [json.loads(path.read_text())["step"] for path in clone.recipe.glob("*/**/step.json")]
    steps = len(made) - made.count("ASCEND") - made.count("check")  # these are brought up to date in place
    assert again.stdout.count("is done; nothing to do") == steps, "every step, and none but these"


@needs_venv
def test_cool_with_subtitles_in_place_of_the_teacher(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "clone").mkdir()
    clone = Clone(tmp_path / "clone", "cool", **corpora.cool(tmp_path / "recordings"))
    random_pair(tmp_path / "teacher", tmp_path / "validator")
    models = ("--teacher", str(tmp_path / "teacher"), "--validator", str(tmp_path / "validator"))
    succeed(clone, *models, "--labels", "subtitles", "--stop_stage", "2")
    assert (clone.recipe / "data/train_subtitles/text").stat().st_size
    assert not (clone.recipe / "data/train_teacher").exists(), "the teacher labelled nothing"


@needs_venv
@pytest.mark.parametrize(
    ("corpus", "published"), [("commonvoice_zh_tw", corpora.common_voice), ("ntuml2021", corpora.ntuml2021)]
)
def test_a_corpus_is_ready_for_the_teacher(tmp_path, corpus, published):
    release = published(tmp_path / "published")
    (tmp_path / "clone").mkdir()
    result = Clone(tmp_path / "clone", corpus, **{corpus.upper(): release}).run(*SMALL, "--stop_stage", "1")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    for name in ("train", "dev", "test", "test_long"):
        assert re.search(rf"ok +data/{name} +\d+ recording", result.stdout)
    assert "check: no problem that would stop a later stage" in result.stdout


@needs_venv
def test_cool_tests_on_every_corpus_that_is_there(tmp_path):
    (tmp_path / "corpus").mkdir()
    paths = corpora.cool(tmp_path / "corpus")
    del paths["COOL_DEV"]
    paths["NTUML2021"] = corpora.ntuml2021(tmp_path / "ML2021_ASR_ST")
    clone = Clone(tmp_path, "cool", **paths, ASCEND=corpora.ascend_parquet(tmp_path / "ASCEND"))
    result = clone.run(*SMALL, "--stop_stage", "1")
    assert result.returncode == 0, result.stderr
    assert "db.sh has no COMMONVOICE_ZH_TW: CV16 is not tested" in result.stderr
    for name in ("ntuml2021_dev", "ntuml2021_test_long", "ascend_test", "ascend_test_long", "cool_test"):
        assert re.search(rf"ok +data/{name} +\d+ recording", result.stdout)


@needs_venv
def test_a_damaged_corpus_stops_stage_one_with_one_sentence(tmp_path):
    corpus = corpora.ntuml2021(tmp_path / "ML2021_ASR_ST")
    shard = next(corpus.glob("data/test-*"))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    result = Clone(tmp_path, "ntuml2021", NTUML2021=corpus).run("--ngpu", "0", "--stop_stage", "1")
    assert result.returncode != 0
    assert f"{shard}: no parquet file" in result.stderr
    assert "Traceback" not in result.stderr


@needs_venv
@pytest.mark.parametrize("corpus", RECIPES)
def test_a_dry_run_shows_every_stage_and_runs_none(tmp_path, corpus):
    clone = Clone(tmp_path, corpus)
    before = sorted(clone.recipe.rglob("*"))
    result = clone.run("--dry_run", "--ngpu", "4")
    assert result.returncode == 0, result.stderr
    assert sorted(clone.recipe.rglob("*")) == before, "a dry run writes nothing"
    for stage in range(1, 9):
        assert f"# Stage {stage}: " in result.stdout
    for command in ("label", "decode", "distance", "select", "init_student", "train", "average", "align_heads", "score",
                    "report", "publish"):  # fmt: skip
        assert f"k2d {command} " in result.stdout
    for selection in ("full", "ngram", "mer", "per", "comp"):
        assert f"exp/student_{selection}/train" in result.stdout
    assert "h of recordings, teacher large-v2" in result.stdout and "\nin all " in result.stdout
    column = {"cool": "COOLTEST", "ntuml2021": "NTUML2021", "commonvoice_zh_tw": "CV16", "ascend": "ASCEND"}[corpus]
    assert f"test_long:{column}" in result.stdout, "of the paper's table"
    if corpus == "cool":
        assert "60,000.0 h of recordings" in result.stdout
        assert "data/cv_test_long" in result.stdout and "data/ascend_test" in result.stdout
