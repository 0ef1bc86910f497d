"""Subtitles as people write them, and what comes out."""

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.corpus.subtitles import Cue, read_cues, usable_cues
from k2d.errors import DataError

WORDS = st.text(string.ascii_letters + "深度學習模型 ", min_size=1, max_size=12).filter(lambda s: s.strip())


def cues_of(tmp_path, text: str, encoding: str = "utf-8") -> list[Cue]:
    path = tmp_path / "x.srt"
    path.write_bytes(text.encode(encoding))
    return read_cues(path)


@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:01,000 --> 00:00:02,500\n你好 model\n",
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n你好 model\r\n",
        "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:09 is no cue\n\n"
        "00:01.000 --> 00:02.500 align:start\n你好\nmodel\n",
        "1\n00:00:01.0 --> 00:00:02.5\n<i>你好</i> {\\an8}<v Lee>model&nbsp;\n",
        "1\n0:00:01,000-->0:00:02,500\n你好 model",
    ],
)
def test_forms_of_one_cue(tmp_path, text):
    assert cues_of(tmp_path, text) == [Cue(1.0, 2.5, "你好 model")]


def test_utf_16_with_its_mark_is_read(tmp_path):
    assert cues_of(tmp_path, "1\n00:00:01,000 --> 00:00:02,500\n你好\n", "utf-16") == [Cue(1.0, 2.5, "你好")]


def test_rolling_captions_say_a_line_once(tmp_path):
    text = "00:01.000 --> 00:02.000\na b\n\n00:02.000 --> 00:04.000\na b\n\n00:04.000 --> 00:05.000\nc\n"
    assert cues_of(tmp_path, text) == [Cue(1.0, 4.0, "a b"), Cue(4.0, 5.0, "c")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing here\n", "no cue"),
        ("1\n00:00:05,000 --> 00:00:02,000\nx\n", "x.srt:2: the cue ends at 2.000 s, before it starts"),
    ],
)
def test_what_is_no_subtitle_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        cues_of(tmp_path, text)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 900), WORDS), min_size=1, max_size=12))
def test_cues_come_in_order_without_overlap_and_lose_no_words(tmp_path_factory, entries):
    def code(centiseconds: int) -> str:
        return f"00:{centiseconds // 6000:02d}:{centiseconds // 100 % 60:02d}.{centiseconds % 100:02d}0"

    text = "\n\n".join(f"{code(a)} --> {code(a + d)}\n{words}" for a, d, words in entries)
    path = tmp_path_factory.mktemp("cues") / "x.vtt"
    path.write_text(f"WEBVTT\n\n{text}\n", encoding="utf-8")
    cues = read_cues(path)
    for before, after in pairwise(cues):
        assert before.end <= after.start + 1e-9
    assert all(cue.end > cue.start for cue in cues)
    said = " ".join(cue.text for cue in cues)
    assert all(" ".join(words.split()) in said for _, _, words in entries)


def test_cues_of_another_recording_are_not_usable():
    cues = [Cue(10.0 * n, 10.0 * n + 5, "x") for n in range(10)]
    assert usable_cues(cues, 96.0) == (cues, "")
    assert usable_cues(cues, 40.0)[1] == "6 of 10 cues end after 40 s, where the recording does"
    assert usable_cues([Cue(0.0, 31.0, "long"), Cue(31.0, 33.0, "x")], 40.0) == ([Cue(31.0, 33.0, "x")], "")
