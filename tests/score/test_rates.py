"""Alignment and counts, against independent plain implementations."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.score.alignment import HIT, LANGUAGES, Pair, align, language
from k2d.score.rates import Counts, count, count_by_language, longest_run, switch_pairs

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
    assert language(unit) == expected


def test_an_error_belongs_to_the_reference_units_language_and_an_insertion_to_its_own():
    # "learning" misheard, 习 lost, "um" invented.
    pairs = align(["学", "learning", "习", "很", "好", "啊"], ["学", "leaning", "很", "好", "um", "啊"])
    parts = count_by_language(pairs)
    assert parts["en"] == Counts(hits=0, substitutions=1, insertions=1, deletions=0)
    assert parts["zh"] == Counts(hits=4, substitutions=0, insertions=0, deletions=1)


def test_a_run_of_errors_is_paired_within_languages():
    # Same cost whichever reference unit is deleted: the English word is the one that was misheard.
    assert align(["机", "器", "learning"], ["learn"])[-1] == Pair("S", "learning", "learn")
    assert align(["learn"], ["机", "器", "learning"])[-1] == Pair("S", "learn", "learning")


def test_switch_points_take_the_units_on_both_sides_and_insertions_between():
    pairs = align(["我", "们", "用", "model", "来"], ["我", "们", "勇", "the", "model", "来"])
    counts = count(switch_pairs(pairs))
    # At risk: 用|model and model|来: 用 is misheard, model and 来 are right, "the" is invented between.
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
