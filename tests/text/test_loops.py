"""h(x) is the paper's: an n-gram of characters more than c times."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.text.loops import ends_in_loop, has_loop, most_frequent


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("謝謝大家" * 8, True),
        ("thank you " * 6, True),
        ("thank you " * 5, False),
        ("哈" * 11, True),  # overlapping: 6 times 哈哈哈哈哈哈
        ("哈" * 10, False),
        ("<|0.00|>嗯嗯<|1.00|><|1.00|>" * 12, True),  # timestamp tokens do not hide a loop
        ("", False),
    ],
)
def test_known_texts(text, loops):
    assert has_loop(text) is loops


@given(st.text(alphabet="ab ", max_size=60), st.integers(1, 8), st.integers(1, 6))
def test_equals_counting(text, n, c):
    counts = Counter(text[i : i + n] for i in range(len(text) - n + 1))
    assert (most_frequent(text, n, c) > c) == (max(counts.values(), default=0) > c)
    assert most_frequent(text, n) == max(counts.values(), default=0)


def test_a_sequence_that_ends_in_a_loop():
    before = [7, 3, 9, 1]
    assert ends_in_loop([*before, *[5, 6] * 18]) and ends_in_loop([*before, *range(20)] + list(range(20)) * 6)
    assert not ends_in_loop([*before, *[5, 6] * 17])  # a chant may be as long
    assert not ends_in_loop([5, 6] * 30 + before)  # it is over
    assert not ends_in_loop(list(range(10)) * 5)
