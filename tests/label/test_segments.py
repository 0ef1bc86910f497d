"""Distances of single segments: one alignment of the chunk, counted by part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from k2d.label.distance import Choices, distances
from k2d.label.segments import errors_of_parts, seconds_of_segments, segment_distances
from k2d.text import trusted

TEXT = st.text("abcd", max_size=12)


@given(st.lists(TEXT, min_size=1, max_size=5), TEXT)
def test_parts_share_the_errors_of_the_whole(parts, reference):
    errors = errors_of_parts(parts, reference)
    whole = Levenshtein.editops(reference, "".join(parts))
    kinds = [op.tag for op in whole]
    assert errors.substitutions.sum() == kinds.count("replace")
    assert errors.insertions.sum() == kinds.count("insert")
    # What is missing counts once, or in both neighbours.
    assert kinds.count("delete") <= errors.deletions.sum() <= len(parts) * kinds.count("delete")
    assert (errors.units >= 0).all() and len(errors.rate) == len(parts)
    if len(parts) == 1:
        assert errors.total[0] == len(whole) and errors.units[0] == len(reference)


@given(TEXT, TEXT, TEXT)
def test_a_right_text_is_right_in_every_part(before, part, after):
    assert errors_of_parts([before, part, after], before + part + after).total.sum() == 0


def test_what_is_missing_between_two_parts_counts_in_both():
    errors = errors_of_parts(["ab", "cd", "ef"], "abXcdef")
    assert errors.deletions.tolist() == [1, 1, 0] and errors.units.tolist() == [3, 3, 2]
    assert errors.rate.tolist() == pytest.approx([1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    "parts, reference, rates",
    [(["ab"], "", [1.0]), ([""], "", [0.0]), ([""], "ab", [1.0]), (["ab", ""], "ab", [0.0, 0.0])],
)
def test_empty_sides(parts, reference, rates):
    assert errors_of_parts(parts, reference).rate.tolist() == rates


def test_only_the_segment_that_the_validator_denies_is_far_from_it():
    label = "<|0.00|>我們用 machine learning<|2.00|><|2.00|>謝謝大家收看<|4.00|><|4.50|>今天講梯度下降<|7.00|>"
    heard = "我们用 machine learning 这个函数今天讲剃度下降"  # 剃 is read as 梯
    (found,) = segment_distances([label], [heard], Choices())
    assert found[0] == 0 and found[2] == 0 and found[1] > 0.5
    assert distances([label], [heard], Choices()).per[0] < 0.4  # the chunk as a whole is kept, error and all


def test_one_segment_has_the_distance_of_its_chunk():
    pairs = [("今天講 overfitting 的問題", "今天讲 overfit 的問題"), ("好", ""), ("謝謝", "谢谢大家")]
    labels = [f"<|0.00|>{teacher}<|3.00|>" for teacher, _ in pairs]
    found = segment_distances(labels, [heard for _, heard in pairs], Choices())
    assert [row.tolist() for row in found] == [[d] for d in distances(*zip(*pairs), Choices()).per.tolist()]


def test_durations_and_flags():
    label = "<|0.50|>a<|2.00|><|2.00|>b<|4.00|><|4.00|>c"
    assert seconds_of_segments(label, 5.0).tolist() == [1.5, 2.0, 1.0]
    assert trusted.written(np.array([True, False, True])) == "1 0 1"
    assert trusted.read("u", "1 0 1", 3) == [True, False, True]
    for bad in ("1 0", "1 0 2", "", "1 0 x"):
        with pytest.raises(ValueError, match=r"text\.trusted: u has .* each of the 3 segments"):
            trusted.read("u", bad, 3)
