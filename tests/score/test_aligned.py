"""Aligned texts on the disk, and the kinds of errors in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.errors import DataError
from k2d.score.aligned import Aligned, read_aligned, steps_of, write_aligned
from k2d.score.alignment import align
from k2d.score.corpus import score
from k2d.score.error_kinds import kinds_of
from k2d.text.units import units

UNITS = st.lists(st.sampled_from(["我", "们", "用", "model", "t-shirt", "a", "3", "+", "-", "~", "="]), max_size=10)


def aligned(said: str, written: str, loops: int = 0) -> Aligned:
    ref, hyp = units(said), units(written)
    return Aligned("u", said, written, " ".join(ref), steps_of(align(ref, hyp)), loops, False)


@given(UNITS, UNITS)
def test_an_alignment_comes_back_as_it_was(ref, hyp):
    pairs = align(ref, hyp)
    assert Aligned("u", "", "", " ".join(ref), steps_of(pairs), 0, False).pairs == pairs


def test_scoring_writes_what_is_read_with_the_texts_as_they_were_given(tmp_path):
    said = {"a": "今天，講 Attention。", "b": "好", "c": "不好"}
    written = {"a": "<|0.00|>今天講 tension<|2.00|>", "c": "就是" * 20}
    write_aligned(tmp_path / "aligned.jsonl", score(said, written), said, written)
    a, b, c = read_aligned(tmp_path / "aligned.jsonl")
    assert (a.reference, a.hypothesis) == (said["a"], "今天講 tension")
    assert (a.units, a.steps) == ("今 天 讲 attention", "= = = ~tension")
    assert b.missing and b.steps == "-" and not a.missing
    assert (a.loops, c.loops) == (0, 1)
    (tmp_path / "aligned.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match=r"aligned\.jsonl:1: no aligned text"):
        list(read_aligned(tmp_path / "aligned.jsonl"))


@pytest.mark.parametrize(
    "said, written, kinds",
    [
        ("我们讲 attention 吧", "我们讲 attention 吧", []),
        ("我们讲 attention 吧", "我们讲 tension 吧", ["english", "switch"]),
        ("我们看 deadline 吧", "我们看最后期限吧", ["english", "translated", "switch"]),
        ("这个 report 很长", "这个日報很长", ["english", "translated", "switch"]),
        ("我们看看这个重要的东西", "我们看看这个 important 东西", ["translated"]),
        ("我们看看这个重要的东西", "我们看看这个很要的东西", []),  # another character is no translation
        ("今天我们讲这个很长的题目", "今天题目", ["omitted"]),
        ("好", "", ["omitted"]),
        ("今天讲完了", "今天讲完了谢谢大家收看", ["hallucinated"]),
    ],
)
def test_kinds_of_errors(said, written, kinds):
    assert kinds_of(aligned(said, written)) == kinds


def test_a_loop_is_a_kind_even_where_the_words_were_said():
    assert kinds_of(aligned("好" * 20, "好" * 20, loops=1)) == ["loop"]
