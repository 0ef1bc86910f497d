"""The corpus recipes on small corpora of exactly the published form: COOL to the exports, ASCEND to the tables.
What comes after stage 1 is k2d.sh alone, and Common Voice's and NTUML2021's options are ASCEND's.

Only db.sh differs from real use, and on the command line what makes it small: mini models and two updates.
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
from decoding_material import random_model  # noqa: E402

from k2d.whisper import checkpoint  # noqa: E402

MODELS = ROOT / "egs/mini_cs/pretrain1/models"
SMALL = [
    *("--ngpu", "0", "--batch_size", "4", "--nbest", "1", "--selection", "full"),
    *("--teacher", str(MODELS / "teacher"), "--validator", str(MODELS / "validator")),
    *("--test_opts", "--temperatures 0"),
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


def stages(clone: Clone, *options: str, last: int, twice: bool) -> str:
    """Run stages 1 to `last`, maybe once more; RESULTS.md. The second run must find all of it done."""
    first = clone.run(*SMALL, *options, "--stage", "1", "--stop_stage", str(last))
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert "\nError rates\nmodel " in first.stdout, "on the terminal"
    assert "\nstudent_full (paper) " in first.stdout
    if twice:
        again = clone.run(*SMALL, *options, "--stage", "2", "--stop_stage", str(last))
        assert again.returncode == 0, again.stderr[-2000:]
        assert ": moved to " not in again.stderr
        assert "\nError rates\nmodel " in again.stdout
        steps = sum(1 for _ in clone.recipe.glob("*/**/step.json"))
        assert again.stdout.count("is done; nothing to do") == steps, "every step, and none but these"
    assert any(clone.recipe.glob("exp/student_full_teacher*/publish/huggingface/README.md")) == (last == 8)
    assert (clone.recipe / "data/preparation.md").exists()
    return (clone.recipe / "RESULTS.md").read_text()


def row_of(results: str, start: str) -> list[str]:
    line = next(line for line in results.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def whole_run(tmp_path):
    """Run the stages of a recipe on a small corpus of its published form: (clone, RESULTS.md)."""
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing: recipes run in it")
    if not (MODELS / "validator").exists():
        pytest.skip("egs/mini_cs/pretrain1/models is missing: its run.sh makes them")

    def run(
        corpus: str, *options: str, last: int = 7, twice: bool = False, **database: object
    ) -> tuple[Clone, str]:
        (tmp_path / "clone").mkdir()
        clone = Clone(tmp_path / "clone", corpus, **database)
        return clone, stages(clone, *options, last=last, twice=twice)

    return run


def test_ascend_from_another_initial_student(whole_run, tmp_path):
    """Quick, since others try the mini models and the exports: the sentences of the corpus are the labels."""
    checkpoint.save(tmp_path / "random/teacher", *random_model())
    checkpoint.save(tmp_path / "random/student", *random_model(1, n_text_layer=1))
    sentences, start = "text:data/train/reference/text", str(tmp_path / "random/student")
    models = ("--teacher", str(tmp_path / "random/teacher"), "--labels", sentences, "--validator", sentences)
    options = (*models, "--student_init", start, "--test_sets", "test", "--side_by_side", "2")
    clone, results = whole_run("ascend", *options, ASCEND=corpora.ascend_parquet(tmp_path / "ASCEND"))
    assert row_of(results, "student_full (paper)")[-1] == "22.07"
    assert float(row_of(results, "student_full_teacher_text")[-1].split()[0]) >= 0
    assert "## Label quality" in results, "references of the training set are there for the analysis"
    assert row_of(results.partition("## By topic")[2], "model") == ["model", "education", "sports"]
    made = json.loads((clone.recipe / "exp/student_full_teacher_text/init/parameters.json").read_text())
    assert made["init"] == start
    assert row_of(results, "student_full_teacher_text")[2] != "×1.00", "a size of its own"


def test_cool_with_subtitles_in_place_of_the_teacher(whole_run, tmp_path):
    (tmp_path / "recordings").mkdir()
    options = ("--labels", "subtitles", "--validator_opts", "--temperatures 0", "--test_sets", "cool_test_long")
    clone, results = whole_run("cool", *options, last=8, twice=True, **corpora.cool(tmp_path / "recordings"))
    assert row_of(results, "teacher (paper)")[-1] == "13.96"
    for row in ("teacher (paper) | 13.23 | 20.64", "teacher (paper) | 110 |"):
        assert row in results, "Tables 3 and 4"
    assert (clone.recipe / "data/train_subtitles/text").exists()
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
    assert "check: nothing would fail" in result.stdout


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
