"""Alignment and counts, against independent plain implementations."""

from functools import cache

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.label.distance import Choices, distances
from k2d.label.segments import errors_of_parts
from k2d.score.alignment import HIT, align
from k2d.score.rates import (
    SWITCH_DISTANCES,
    Counts,
    count,
    count_by_language,
    count_by_switch_distance,
    longest_run,
    switch_pairs,
)
from k2d.text.units import LANGUAGES, language_of, units

UNITS = st.lists(st.sampled_from(["我", "们", "用", "model", "data", "a", "3", "42"]), max_size=12)


def edit_distance(ref: tuple[str, ...], hyp: tuple[str, ...]) -> int:
    """The textbook recursion, not the library."""

    @cache
    def cost(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(cost(i - 1, j) + 1, cost(i, j - 1) + 1, cost(i - 1, j - 1) + (ref[i - 1] != hyp[j - 1]))

    return cost(len(ref), len(hyp))


@given(UNITS)
def test_identical_texts_have_no_error(text):
    assert count(align(text, text)) == Counts(hits=len(text))


@given(UNITS, UNITS)
def test_errors_are_the_edit_distance(ref, hyp):
    counts = count(align(ref, hyp))
    assert counts.errors == edit_distance(tuple(ref), tuple(hyp))
    assert counts.units == len(ref)


@given(UNITS, UNITS)
def test_counts_are_jiwers(ref, hyp):
    jiwers = jiwer.process_words(" ".join(ref), " ".join(hyp))
    assert count(align(ref, hyp)) == Counts(jiwers.hits, jiwers.substitutions, jiwers.insertions, jiwers.deletions)


@given(st.lists(st.tuples(UNITS, UNITS), min_size=1, max_size=6), st.booleans())
def test_the_faster_ways_count_the_same_errors_as_jiwer(texts, in_parts):
    """Distances of millions of chunks and errors of segments come from rapidfuzz."""
    for ref, hyp in texts:
        counts = count(align(ref, hyp))
        parts = [hyp[:3], hyp[3:]] if in_parts else [hyp]
        found = errors_of_parts(parts, ref)
        # A unit that is missing between two parts counts in both.
        assert found.total.sum() == counts.errors if not in_parts else found.total.sum() >= counts.errors
        assert found.insertions.sum() == counts.insertions and found.substitutions.sum() == counts.substitutions
    found = distances([" ".join(hyp) for _, hyp in texts], [" ".join(ref) for ref, _ in texts], Choices())
    rates = [count(align(units(" ".join(ref)), units(" ".join(hyp)))) for ref, hyp in texts]
    assert found.mer.tolist() == [c.errors / c.units if c.units else float(c.errors > 0) for c in rates]


@given(UNITS, UNITS)
def test_an_alignment_reads_back_as_both_texts(ref, hyp):
    pairs = align(ref, hyp)
    assert [p.ref for p in pairs if p.ref is not None] == ref
    assert [p.hyp for p in pairs if p.hyp is not None] == hyp
    assert all((p.op == HIT) == (p.ref == p.hyp) for p in pairs)


@given(UNITS, UNITS)
def test_languages_add_up_to_the_whole(ref, hyp):
    pairs = align(ref, hyp)
    parts = count_by_language(pairs)
    assert set(parts) == set(LANGUAGES)
    assert sum(parts.values(), Counts()) == count(pairs)


@given(st.lists(st.tuples(UNITS, UNITS), max_size=6))
def test_the_corpus_is_the_sum_of_its_utterances(texts):
    counts = [count(align(r, h)) for r, h in texts]
    total = sum(counts, Counts())
    assert total.errors == sum(edit_distance(tuple(r), tuple(h)) for r, h in texts)
    assert total.units == sum(len(r) for r, _ in texts)


@pytest.mark.parametrize(
    "unit, expected",
    [
        ("我", "zh"),
        ("model", "en"),
        ("café", "en"),
        ("42", "other"),
        ("3d", "en"),
        ("𠮷", "zh"),
        ("%", "other"),
    ],
)
def test_language_of_a_unit(unit, expected):
    assert language_of(unit) == expected


def test_an_error_belongs_to_the_reference_units_language_and_an_insertion_to_its_own():
    # "learning" misheard, 习 lost, "um" invented.
    pairs = align(["学", "learning", "习", "很", "好", "啊"], ["学", "leaning", "很", "好", "um", "啊"])
    parts = count_by_language(pairs)
    assert parts["en"] == Counts(hits=0, substitutions=1, insertions=1, deletions=0)
    assert parts["zh"] == Counts(hits=4, substitutions=0, insertions=0, deletions=1)


def test_switch_points_take_the_units_on_both_sides_and_insertions_between():
    pairs = align(["我", "们", "用", "model", "来"], ["我", "们", "用", "the", "model", "呢"])
    counts = count(switch_pairs(pairs))
    # At risk: 用|model and model|来: 用 and model are right, "the" is invented between, 来 is misheard.
    assert counts == Counts(hits=2, substitutions=1, insertions=1, deletions=0)


def test_a_number_does_not_hide_a_switch_point():
    pairs = align(["用", "3", "model"], ["用", "3", "model"])
    assert [p.ref for p in switch_pairs(pairs)] == ["用", "model"]


@given(st.lists(st.sampled_from(["我", "们", "42"])), UNITS)
def test_one_language_has_no_switch_point(ref, hyp):
    assert switch_pairs(align(ref, hyp)) == []


def test_a_long_run_without_a_common_unit_is_aligned_at_the_same_cost():
    counts = count(align(["我"] * 700, ["x"] * 600))
    assert counts == Counts(substitutions=600, deletions=100)


def test_longest_run_of_lost_units():
    pairs = align(list("一二三四五六"), list("一四六"))
    assert longest_run(pairs, "D") == 2


def test_no_reference_unit_means_no_rate():
    assert count(align([], ["a"])).rate is None


@given(UNITS, UNITS)
def test_distances_to_a_switch_share_out_all_errors_and_begin_at_the_switch(ref, hyp):
    pairs = align(ref, hyp)
    parts = count_by_switch_distance(pairs)
    assert tuple(parts) == SWITCH_DISTANCES and sum(parts.values(), Counts()) == count(pairs)
    assert parts["1"] == count(switch_pairs(pairs))
    switched = bool(switch_pairs(pairs))
    assert parts["none"] == (Counts() if switched else count(pairs))


def test_the_distance_to_a_switch_counts_reference_units():
    ref = "我 们 今 天 在 这 里 用 一 下 model 和 data".split()
    pairs = align(ref, ref)
    # model, 和 and data are all beside a switch, and so is 下; before it nine characters.
    found = {name: part.units for name, part in count_by_switch_distance(pairs).items()}
    assert found == {"1": 4, "2": 1, "3-4": 2, "5-8": 4, "9+": 2, "none": 0}
    added = count_by_switch_distance(align(["我", "用", "model"], ["我", "用", "那", "model"]))
    assert added["1"].insertions == 1
    added = count_by_switch_distance(align(["我", "用", "model"], ["我", "那", "用", "model"]))
    assert added["2"].insertions == 1
