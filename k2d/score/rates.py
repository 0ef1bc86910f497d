"""Aligned units in, error counts out: mixed error rate, by language, at switch points.

Every rate is errors summed over the corpus divided by reference units summed over
the corpus. Who owns an error:

* a hit, a substitution and a deletion belong to the language of the *reference* unit;
* an insertion belongs to the language of the *inserted* unit (it has no reference unit).

So zh, en and other add up to the whole, errors and units alike.

A switch point is the place between two reference units of different language (zh, en);
units of no language, such as a number, are stepped over. The units on its two sides are
the ones at risk: their substitutions and deletions, and the insertions between them, are
the errors at switch points.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from k2d.score.alignment import DELETION, HIT, INSERTION, SUBSTITUTION, Pair
from k2d.text.units import LANGUAGES, is_chinese, is_english, language_of


@dataclass(frozen=True)
class Counts:
    """Numbers of units. `units` are the reference's: hits + substitutions + deletions."""

    hits: int = 0
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
        )

    @property
    def errors(self) -> int:
        return self.substitutions + self.insertions + self.deletions

    @property
    def units(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float | None:
        """Errors per reference unit; None where there is no reference unit to divide by."""
        return self.errors / self.units if self.units else None

    @property
    def text_rate(self) -> float:
        """The rate of a single text: where nothing was said, errors are divided by one, so there is always one."""
        return self.errors / max(1, self.units)

    def as_dict(self) -> dict:
        return {
            "rate": None if self.rate is None else round(self.rate, 6),
            "errors": self.errors,
            "units": self.units,
            "hits": self.hits,
            "substitutions": self.substitutions,
            "insertions": self.insertions,
            "deletions": self.deletions,
        }


def count(pairs: Iterable[Pair]) -> Counts:
    totals = {HIT: 0, SUBSTITUTION: 0, INSERTION: 0, DELETION: 0}
    for pair in pairs:
        totals[pair.op] += 1
    return Counts(totals[HIT], totals[SUBSTITUTION], totals[INSERTION], totals[DELETION])


def count_by_language(pairs: Iterable[Pair]) -> dict[str, Counts]:
    parts: dict[str, list[Pair]] = {name: [] for name in LANGUAGES}
    for pair in pairs:
        parts[language_of(pair.hyp if pair.ref is None else pair.ref)].append(pair)
    return {name: count(part) for name, part in parts.items()}


def switch_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """The steps of an alignment that lie at a language change of the reference."""
    return [pairs[i] for i in sorted(_at_switches(pairs))]


def _at_switches(pairs: Sequence[Pair]) -> set[int]:
    """Places of the steps at a language change."""
    at_switch: set[int] = set()
    last, last_language = None, None
    for position, pair in enumerate(pairs):
        if pair.ref is None:
            continue
        unit_language = language_of(pair.ref)
        if unit_language == "other":
            continue
        if last is not None and unit_language != last_language:
            between = range(last + 1, position)
            at_switch.update((last, position), (i for i in between if pairs[i].op == INSERTION))
        last, last_language = position, unit_language
    return at_switch


# Distances to a switch are counted together so: 1 is the unit beside it, "none" a text without any.
SWITCH_DISTANCES = ("1", "2", "3-4", "5-8", "9+", "none")
_FIRST_OF_RANGE = (1, 2, 3, 5, 9)


def count_by_switch_distance(pairs: Sequence[Pair]) -> dict[str, Counts]:
    """Counts by how far a step is from the nearest switch point, in reference units: 1 are `switch_pairs`, every
    reference unit further adds one, and an insertion is as far as a unit in its place would be."""
    parts: dict[str, list[Pair]] = {name: [] for name in SWITCH_DISTANCES}
    at_switch = _at_switches(pairs)
    if not at_switch:
        return {name: count(pairs if name == "none" else ()) for name in SWITCH_DISTANCES}
    ways = (range(len(pairs)), range(len(pairs) - 1, -1, -1))
    from_left, from_right = (_distances(pairs, at_switch, way) for way in ways)
    for pair, left, right in zip(pairs, from_left, reversed(from_right), strict=True):
        parts[SWITCH_DISTANCES[bisect_right(_FIRST_OF_RANGE, min(left, right)) - 1]].append(pair)
    return {name: count(part) for name, part in parts.items()}


def _distances(pairs: Sequence[Pair], at_switch: set[int], way: Iterable[int]) -> list[float]:
    """Distance of each step, in the order of `way`, to the last switch passed on it."""
    found, passed = [], float("inf")
    for position in way:
        if position in at_switch:
            passed = 1
            found.append(1)
        elif pairs[position].ref is None:
            found.append(passed + 1)
        else:
            passed += 1
            found.append(passed)
    return found


def error_runs(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Stretches of errors between two hits."""
    for right, steps in groupby(pairs, lambda pair: pair.op == HIT):
        if not right:
            yield list(steps)


def other_language(run: Iterable[Pair]) -> tuple[list[str], list[str]] | None:
    """(English words, Chinese characters) of a run of errors where one side has English words and the other none of
    them, but more Chinese: the term was translated, or spelt by its sound. None elsewhere.
    """
    said, written = ([unit for unit in side if unit is not None] for side in zip(*((p.ref, p.hyp) for p in run)))
    for english_side, other in ((said, written), (written, said)):
        english = [unit for unit in english_side if is_english(unit)]
        chinese = [unit for unit in other if is_chinese(unit)]
        if english and not any(map(is_english, other)) and len(chinese) > sum(map(is_chinese, english_side)):
            return english, chinese
    return None


def longest_run(pairs: Iterable[Pair], op: str) -> int:
    """Most consecutive steps of one kind: how long the longest stretch lost or invented is."""
    longest = run = 0
    for pair in pairs:
        run = run + 1 if pair.op == op else 0
        longest = max(longest, run)
    return longest
