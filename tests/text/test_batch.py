"""Units of many texts at once: those of the plain functions, text by text, in codes that agree between texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypinyin.constants import PHRASES_DICT

from k2d.text.batch import Lines
from k2d.text.loops import has_loop, most_frequent
from k2d.text.normalise import normalise, variants
from k2d.text.units import is_chinese, is_english, split

PHRASES = sorted(PHRASES_DICT)[::211]
PIECE = st.one_of(
    st.sampled_from(PHRASES),
    st.sampled_from(["machine", " learning ", "'go'", "don't", "x-", "ﬁne", "e\u0301", "½", "مَرْحَبًا", "kubernetes"]),
    st.sampled_from(["，", " ", "<|2.00|>", "\u200b", "\u0301", "😀", "\t", "\x01", "-", "'", "瞭解", "旋乾轉坤"]),
    st.sampled_from(PHRASES).map(lambda phrase: phrase * 7),
    st.sampled_from([*variants("always"), *variants("usage"), "甚麼", "連絡", "藉著", "寫著名字"]),
    st.text(max_size=6, alphabet=st.characters(exclude_categories=["Cs"])),
)
TEXTS = st.lists(st.lists(PIECE, max_size=12).map("".join), max_size=8)


@settings(max_examples=100)
@given(TEXTS, st.booleans(), st.booleans())
def test_normalised_units_and_loops(texts, fold, usage):
    lines = Lines(texts, fold, usage)
    expected = [normalise(text, fold, usage) for text in texts]
    assert lines.normalised == expected
    seen: dict[str, str] = {}
    for text, codes in zip(expected, lines.units, strict=True):
        words = split(text)
        assert len(codes) == len(words)
        for word, code in zip(words, codes, strict=True):
            assert seen.setdefault(word, code) == code  # one word, one code, in all texts
    assert len(set(seen.values())) == len(seen)
    if fold and not usage:
        assert lines.loops().tolist() == [has_loop(text) for text in texts]
        assert lines.loops(2, 1).tolist() == [most_frequent(text, 2) > 1 for text in lines.normalised]


@settings(max_examples=100)
@given(TEXTS)
def test_languages_apart(texts):
    lines = Lines(texts)
    for text, chinese, english in zip(lines.normalised, lines.chinese(), lines.english(), strict=True):
        assert chinese == "".join(filter(is_chinese, split(text)))
        assert len(english) == sum(map(is_english, split(text)))


@pytest.mark.parametrize("texts", [["a <|", "|> b"], ["<|x", "y|> z", "<|1.00|>"], ["|><|4|", "5|>"]])
def test_tokens_end_in_the_text_they_begin_in(texts):
    assert Lines(texts).normalised == list(map(normalise, texts))


def test_nothing_and_blank_lines():
    assert Lines([]).units == []
    lines = Lines(["", "\n", "<|0.00|>"])
    assert lines.units == ["", "", ""] and lines.lengths.tolist() == [0, 0, 0]
    assert not np.any(lines.loops())
