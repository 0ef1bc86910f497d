"""Confidence intervals and the paired test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.score.significance import compare, confidence_interval


def corpus(utterances: int, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    units = generator.integers(5, 30, utterances)
    return generator.binomial(units, rate), units


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    errors, units = corpus(50, 0.2, 1)
    assert confidence_interval(errors, units, seed=3) == confidence_interval(errors, units, seed=3)
    assert confidence_interval(errors, units, seed=3) != confidence_interval(errors, units, seed=4)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=2, max_size=20))
def test_an_interval_holds_the_corpus_rate_of_even_draws(counts):
    errors, units = zip(*counts, strict=True)
    low, high = confidence_interval(errors, units, samples=200)
    rates = [e / u for e, u in counts]
    assert min(rates) - 1e-9 <= low <= high <= max(rates) + 1e-9


def test_the_interval_narrows_with_more_utterances():
    low, high = confidence_interval(*corpus(20, 0.2, 1))
    low_many, high_many = confidence_interval(*corpus(2000, 0.2, 1))
    assert high_many - low_many < (high - low) / 4


def test_the_interval_has_about_its_level():
    """True rate 0.2: of 100 corpora, about 95 intervals hold it."""
    held = 0
    for seed in range(100):
        low, high = confidence_interval(*corpus(60, 0.2, seed), samples=300)
        held += low <= 0.2 <= high
    assert 86 <= held <= 100


def test_two_equal_systems_do_not_differ():
    errors, units = corpus(80, 0.2, 1)
    result = compare(errors, errors, units)
    assert result.difference == 0 and result.p_value == 1


def test_a_consistent_small_gain_is_significant_because_it_is_paired():
    errors, units = corpus(200, 0.3, 1)
    better = np.maximum(errors - (np.arange(200) % 4 == 0), 0)
    result = compare(better, errors, units)
    assert result.difference < 0 and result.p_value < 0.01 and result.high < 0
    # Unpaired intervals overlap: the test must use the pairing.
    assert confidence_interval(better, units)[1] > confidence_interval(errors, units)[0]


def test_the_difference_changes_sign_with_the_order():
    (a, units), (b, _) = corpus(60, 0.3, 1), corpus(60, 0.25, 2)
    one, other = compare(a, b, units), compare(b, a, units)
    assert one.difference == -other.difference and one.p_value == pytest.approx(other.p_value)
    assert one.low == pytest.approx(-other.high, abs=1e-12)


def test_too_little_to_test():
    assert confidence_interval([1], [10]) is None
    assert compare([0, 0], [1, 1], [0, 0]) is None
    with pytest.raises(ValueError, match="2, 3 error counts"):
        compare([1, 2], [1, 2, 3], [1, 2])
