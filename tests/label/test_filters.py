"""The rules that come with the project can be read and ask for scores that exist."""

from pathlib import Path

import pytest

from k2d.label.rule import read_rule
from k2d.label.signals import TEXT_SIGNALS

FILTERS = sorted((Path(__file__).parents[2] / "conf/filters").glob("*.rule"))
KNOWN = {"mer", "per", "comp", "loop_teacher", "loop_aux", "blank_aux", *TEXT_SIGNALS}


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.stem)
def test_a_filter_is_a_rule(path):
    text = "".join(line for line in path.read_text("utf-8").splitlines(True) if not line.startswith("#"))
    assert read_rule(text, KNOWN).clauses


def test_there_are_filters():
    assert FILTERS
