"""Every recipe's local/data.sh has its options parsed, and does nothing else, where K2D_PARSE_ONLY asks for that."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.parents[1] for path in ROOT.glob("egs/*/k2d1/local/data.sh"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize(
    "words", (["--seed", "3", "--nj", "2"], ["--nj", "two"], ["--nope", "1"], ["extra"]), ids=" ".join
)
def test_a_preparation_only_parses_where_that_is_asked_for(recipe, words):
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing: recipes run in it")
    before = sorted(recipe.iterdir())
    done = subprocess.run(["local/data.sh", *words], cwd=recipe, env={**os.environ, "K2D_PARSE_ONLY": "true"},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    if words[0] == "--seed":
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    else:
        assert done.returncode == 2 and words[-1 if words[0] == "--nj" else 0] in done.stderr
    assert sorted(recipe.iterdir()) == before
