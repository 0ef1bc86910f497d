"""Counts agree with their nouns."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from k2d.wording import audio_length, counted, part_of

ROOT = Path(__file__).resolve().parents[1]
# What messages count.
NOUNS = (
    r" (more |other |added )?(chunks|utterances|recordings|files|labels|references|inputs|models|selections|students|"
    r"exports|transcripts|texts|findings|gates|checks|rounds|places|weights|windows|versions|lines|pairs|hours)\b"
)


def test_a_noun_follows_its_number():
    assert [counted(n, "chunk") for n in (0, 1, 2, 12345)] == ["0 chunks", "1 chunk", "2 chunks", "12,345 chunks"]
    assert counted(1, "pass", "passes") == "1 pass" and counted(2, "pass", "passes") == "2 passes"


def test_a_length_of_audio_has_digits_that_say_something():
    lengths = {0: "0.0 s", 36.04: "36.0 s", 83: "1.4 min", 360: "0.10 h", 5400: "1.50 h", 216_000_000: "60,000.0 h"}
    assert {seconds: audio_length(seconds) for seconds in lengths} == lengths
    assert (part_of(180, 396), part_of(60, 120)) == ("0.05 h of 0.11 h", "1.0 min of 2.0 min"), "in one unit"
    assert part_of(12, 7200) == "12.0 s of 2.00 h", "0.00 h would say nothing"


@pytest.mark.parametrize("folder", ["k2d", "egs"])
def test_no_message_says_1_chunks(folder):
    """A noun behind a number comes from `counted`."""
    wrong = []
    for file in ROOT.glob(f"{folder}/**/*.py"):
        for text in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts = text.values if isinstance(text, ast.JoinedStr) else []
            for value, words in pairwise(parts):
                plural = re.match(NOUNS, str(getattr(words, "value", "")))
                if plural and isinstance(value, ast.FormattedValue) and not value.format_spec:
                    wrong.append(f"{file.relative_to(ROOT)}:{value.lineno}: {ast.unparse(text)}")
    assert wrong == []
