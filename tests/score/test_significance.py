"""Confidence intervals and the paired test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.score.significance import compare, confidence_interval, ratio_interval, share_difference, widening


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
    # Draws lie between the smallest and the largest rate, and are widened around the rate of all.
    whole, wider = sum(errors) / sum(units), widening(len(counts))
    assert whole - wider * (whole - min(rates)) - 1e-9 <= max(low, 0) <= high
    assert high <= (whole + wider * (max(rates) - whole) if whole else 1) + 1e-9


@pytest.mark.parametrize("recordings", [2, 6, 60])
def test_no_error_seen_is_not_no_error_to_come(recordings):
    """The end is beyond what one error in all would give as a rate, and falls with the units that were tried."""
    nothing, units = [0] * recordings, [50] * recordings
    low, high = confidence_interval(nothing, units)
    assert low == 0 and 1 / sum(units) < high < 40 / sum(units)
    assert confidence_interval(nothing, [500] * recordings)[1] < high / 9
    same = compare(nothing, nothing, units)
    assert (same.low, same.high, same.p_value) == (-high, high, 1)


def test_few_recordings_do_not_reach_past_all_wrong_but_inventions_do():
    assert confidence_interval([10, 30], [50, 50])[1] == 1
    assert confidence_interval([10, 300], [50, 50])[1] == pytest.approx(6), "as the worse of the two"


def test_an_interval_of_two_shares():
    """Newcombe's own example: 56 of 70 and 48 of 80."""
    assert share_difference((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    low, high = share_difference((0, 100), (0, 100))
    assert low == pytest.approx(-high) and 0.03 < high < 0.04, "none of a hundred is about three in a hundred"


def test_an_interval_of_a_ratio_is_students_of_the_logarithms():
    # Logarithms 0 and 2 ln 2 about a mean of ln 2: half a width of t(0.975, 1) = 12.706 standard errors of ln 2.
    low, high = ratio_interval([1.0, 4.0], [1.0, 1.0])
    assert np.log2([low, high]) == pytest.approx([1 - 12.706, 1 + 12.706], abs=1e-3)
    assert ratio_interval([2.0, 4.0], [1.0, 2.0]) == pytest.approx((2, 2)) and ratio_interval([1.0], [2.0]) is None


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
    assert confidence_interval([[1, 2], [2, 1]], [5, 5], ["one", "one"]) is None, "one recording"
    assert compare([1, 2, 3], [3, 2, 1], [9, 9, 9], ["a", "a", "a"]) is None
    with pytest.raises(ValueError, match="recordings: 1, texts: 2"):
        confidence_interval([1, 2], [5, 5], ["a"])
    with pytest.raises(ValueError, match="2, 3 error counts"):
        compare([1, 2], [1, 2, 3], [1, 2])


# ------------------------------------------------------------------------------------- over recordings and seeds

RECORDINGS, TEXTS = 60, 10
WHICH = np.repeat(np.arange(RECORDINGS), TEXTS)
UNITS = np.full(RECORDINGS * TEXTS, 15)


def students(generator, seeds: int, hard: np.ndarray, deviation: float = 0.015, rate: float = 0.2) -> np.ndarray:
    """Errors of students, (seeds, texts): a seed is better or worse by `deviation`, a recording by `hard`."""
    chance = generator.normal(0, deviation, (seeds, 1)) + generator.normal(0, 0.01, (seeds, len(hard)))
    rates = np.clip(rate + hard + chance, 0, 1)
    return generator.binomial(15, np.repeat(rates, TEXTS, axis=1))


def resampled(errors: np.ndarray, generator) -> tuple[float, float]:
    """The plain bootstrap, which draws seeds and recordings with replacement alike."""
    by_recording = errors.reshape(len(errors), RECORDINGS, TEXTS).sum(2)
    seeds, recordings = (generator.integers(0, size, (200, size)) for size in (len(errors), RECORDINGS))
    draws = [by_recording[np.ix_(s, r)].mean() for s, r in zip(seeds, recordings, strict=True)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return low / 15 / TEXTS, high / 15 / TEXTS


def test_an_interval_over_three_seeds_holds_the_truth_as_often_as_it_says_and_a_plain_one_does_not():
    """The rate is 0.2 over all recordings and seeds; three seeds of sixty recordings are seen."""
    held = plain = texts_alone = 0
    worlds = 150
    for world in range(worlds):
        generator = np.random.default_rng(world)
        errors = students(generator, 3, generator.normal(0, 0.01, RECORDINGS))
        low, high = confidence_interval(errors, UNITS, WHICH, samples=300)
        held += low <= 0.2 <= high
        low, high = resampled(errors, generator)
        plain += low <= 0.2 <= high
        low, high = confidence_interval(errors[0], UNITS, samples=300)
        texts_alone += low <= 0.2 <= high
    assert held >= 0.93 * worlds
    assert plain < 0.91 * worlds and texts_alone < 0.7 * worlds


def test_two_students_of_one_kind_are_rarely_told_apart():
    told = by_one_seed = 0
    worlds = 150
    for world in range(worlds):
        generator = np.random.default_rng(world)
        hard = generator.normal(0, 0.06, RECORDINGS)
        one, other = (students(generator, 3, hard) for _ in range(2))
        told += compare(one, other, UNITS, WHICH, samples=300).p_value < 0.05
        by_one_seed += compare(one[0], other[0], UNITS, WHICH, samples=300).p_value < 0.05
    assert told <= 0.09 * worlds
    assert by_one_seed > 0.3 * worlds, "what an aim of one seed is worth"


def test_a_true_difference_is_told_by_enough_seeds():
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 0.06, RECORDINGS)
    better, worse = students(generator, 3, hard, 0.005, 0.17), students(generator, 3, hard, 0.005, 0.2)
    result = compare(better, worse, UNITS, WHICH)
    assert result.difference < 0 and result.high < 0 and result.p_value < 0.05
    assert (result.recordings, result.utterances, result.seeds, result.counts_training) == (60, 600, (3, 3), True)


def test_texts_of_one_recording_are_drawn_together():
    """Ten texts that are the same ten times over tell no more than one."""
    generator = np.random.default_rng(0)
    rates = np.repeat(generator.uniform(0, 0.4, RECORDINGS), TEXTS)
    errors = np.round(rates * 15)
    low, high = confidence_interval(errors, UNITS, WHICH)
    low_alone, high_alone = confidence_interval(errors, UNITS)
    assert high - low > 2.5 * (high_alone - low_alone)


def test_a_teacher_has_no_seeds_and_one_seed_says_so():
    errors, units = corpus(80, 0.2, 1)
    teacher = np.minimum(errors + 1, units)
    assert compare(errors, teacher, units).seeds == (0, 0)
    one = compare([errors], teacher, units)
    assert one.seeds == (1, 0) and not one.counts_training
    # Nothing is known of the chance of training: as if there were none.
    assert (one.low, one.high) == (compare(errors, teacher, units).low, compare(errors, teacher, units).high)
    two = compare([errors, np.minimum(errors + (np.arange(80) % 3 == 0), units)], teacher, units)
    assert two.counts_training and two.high - two.low > one.high - one.low


def test_seeds_that_are_alike_add_nothing():
    errors, units = corpus(80, 0.2, 1)
    assert confidence_interval([errors] * 3, units) == pytest.approx(confidence_interval(errors, units), abs=0.005)
