"""The array form answers as the plain functions do, text by text."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import opencc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypinyin.constants import PHRASES_DICT

from k2d.text.batch import BatchPhonemizer, Lines, script_pairs, simplified
from k2d.text.loops import has_loop
from k2d.text.normalise import normalise, to_simplified, variants
from k2d.text.phonemes import Phonemizer
from k2d.text.units import is_chinese, is_english, split

PHRASES = sorted(PHRASES_DICT)[::211]
PIECE = st.one_of(
    st.sampled_from(PHRASES),
    st.sampled_from(["machine", " learning ", "'go'", "don't", "x-", "ﬁne", "e\u0301", "½", "مَرْحَبًا", "kubernetes"]),
    st.sampled_from(
        ["，", " ", "<|2.00|>", "\u200b", "\u0301", "😀", "\t", "\x01", "-", "'", "瞭解", "乾坤", "旋乾轉坤"]
    ),
    st.sampled_from(PHRASES).map(lambda phrase: phrase * 7),
    st.sampled_from([*variants("always"), *variants("usage"), *variants("sound"), "甚麼", "連絡", "藉著", "寫著名字"]),
    st.text(max_size=6, alphabet=st.characters(exclude_categories=["Cs"])),
)
TEXTS = st.lists(st.lists(PIECE, max_size=12).map("".join), max_size=8)


@pytest.fixture(scope="module")
def phonemizers():
    return [(BatchPhonemizer(t, f), Phonemizer(t, f)) for t, f in ((False, True), (False, False), (True, True))]


def plain(texts: list[str], fold: bool, usage: bool = False) -> list[str]:
    return [normalise(text, fold, usage) for text in texts]


@settings(max_examples=100)
@given(TEXTS, st.booleans(), st.booleans())
def test_normalised_units_and_loops(texts, fold, usage):
    lines = Lines(texts, fold, usage)
    expected = plain(texts, fold, usage)
    assert lines.normalised == expected
    seen: dict[str, str] = {}
    for text, codes in zip(expected, lines.units, strict=True):
        words = split(text)
        assert len(codes) == len(words)
        for word, code in zip(words, codes, strict=True):
            assert seen.setdefault(word, code) == code  # one word, one code, in the whole block
    assert len(set(seen.values())) == len(seen)
    if fold and not usage:
        assert lines.loops().tolist() == [has_loop(text) for text in texts]
        assert lines.loops(2, 1).tolist() == [has_loop(text, 2, 1) for text in texts]


@settings(max_examples=100)
@given(TEXTS)
def test_languages_apart(texts):
    lines = Lines(texts)
    for text, chinese, english in zip(lines.normalised, lines.chinese(), lines.english(), strict=True):
        assert chinese == "".join(filter(is_chinese, split(text)))
        assert len(english) == sum(map(is_english, split(text)))


@settings(max_examples=40)
@given(texts=TEXTS)
def test_phonemes(phonemizers, texts):
    lines = Lines(texts)
    for batch, one in phonemizers:
        assert lines.phonemes(batch) == [one.encode(text) for text in lines.normalised]


@settings(max_examples=100)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(script_pairs()),
                st.sampled_from(["解", "坤", "轉", "口", " ", "ml", "醜", "小", *variants("always")]),
                st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=8),
            ),
            max_size=10,
        ).map("".join),
        max_size=5,
    )
)
def test_folding_by_table_is_opencc(lines):
    assert simplified("\n".join(lines)) == "\n".join(map(to_simplified, lines))


def test_every_phrase_of_opencc_that_is_no_sum_of_its_characters_is_listed():
    """Read from OpenCC's own dictionary, where its tool is installed beside it."""
    package = Path(opencc.__file__).parent / "clib"
    tool, phrases = package / "bin/opencc_dict", package / "share/opencc/TSPhrases.ocd2"
    if opencc.__version__ != "1.4.2" or not (tool.is_file() and phrases.is_file()):
        pytest.skip("another OpenCC, or none of its tools: whole texts go through it")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "phrases.txt"
        command = [tool, "-i", phrases, "-o", out, "-f", "ocd2", "-t", "text"]
        subprocess.run(command, check=True, capture_output=True)
        rows = [line.split("\t")[:2] for line in out.read_text("utf-8").splitlines()]
    convert, pairs = opencc.OpenCC("t2s").convert, set(script_pairs())
    assert len(rows) > 400
    for phrase, folded in rows:
        if "".join(map(convert, phrase)) != folded.split()[0]:
            assert phrase[:2] in pairs


@pytest.mark.parametrize(
    "texts",
    [
        ["a <|", "|> b"],
        ["<|x", "y|> z", "<|1.00|>"],
        ["<||>a<|<|2|>b|>", "<|3|>\u0338c"],
        ["|><|4|", "5|>"],
    ],
)
def test_tokens_end_in_the_text_they_begin_in(texts):
    assert Lines(texts).normalised == plain(texts, True)


def test_nothing_and_blank_lines():
    assert Lines([]).units == []
    lines = Lines(["", "\n", "<|0.00|>"])
    assert lines.units == ["", "", ""] and lines.lengths.tolist() == [0, 0, 0]
    assert not np.any(lines.loops())
