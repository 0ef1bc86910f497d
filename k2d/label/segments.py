"""Distances of single segments: which part of a chunk's label the validator confirms.

In: the teacher's and the validator's text of whole chunks. Out: a distance for every segment of the teacher's.

One alignment of the whole chunk tells how far the validator is from each of its segments, so that a wrong
sentence need not take the right ones around it along. Nothing is decoded for it, and the student still hears the
whole chunk: only what it learns from is chosen (`text.trusted`, which training turns into a mask of the loss).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from k2d.label.distance import Choices
from k2d.text import timestamps
from k2d.text.batch import Lines
from k2d.text.phonemes import phonemizer


@dataclass(frozen=True)
class Errors:
    """Errors of a text's consecutive parts against one reference, (parts,) int64 each.

    A reference unit that is missing between two parts counts in both: it may belong to either.
    `units`: reference units that each part stands for.
    """

    substitutions: np.ndarray
    insertions: np.ndarray
    deletions: np.ndarray
    units: np.ndarray

    @property
    def total(self) -> np.ndarray:
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> np.ndarray:
        """Errors over reference units; for a part that stands for none of them 1, or 0 if it is empty itself."""
        return np.where(self.units == 0, self.total > 0, self.total / np.maximum(self.units, 1))


def errors_of_parts(parts: Sequence[Sequence[str]], reference: Sequence[str]) -> Errors:
    """Align the joined parts to `reference`, lists of units or strings of one code point a unit; count by part."""
    bounds = np.cumsum([0, *map(len, parts)])
    size = int(bounds[-1])
    # Prefix sums over the text's units, and for deletions over the places before each of them and at the end.
    substituted, inserted, missing = np.zeros(size + 1, int), np.zeros(size + 1, int), np.zeros(size + 2, int)
    for op in Levenshtein.opcodes(reference, [unit for part in parts for unit in part]):
        if op.tag == "replace":
            substituted[op.dest_start + 1 : op.dest_end + 1] = 1
        elif op.tag == "insert":
            inserted[op.dest_start + 1 : op.dest_end + 1] = 1
        elif op.tag == "delete":
            missing[op.dest_start + 1] += op.src_end - op.src_start
    substituted, inserted, missing = map(np.cumsum, (substituted, inserted, missing))
    first, last = bounds[:-1], bounds[1:]
    insertions = inserted[last] - inserted[first]
    deletions = missing[last + 1] - missing[first]
    units = last - first - insertions + deletions
    return Errors(substituted[last] - substituted[first], insertions, deletions, units)


def segment_distances(teacher: Sequence[str], validator: Sequence[str], choices: Choices) -> list[np.ndarray]:
    """δ_PER of every segment, for each pair of texts an array (segments,) as `timestamps.parse` counts them.

    The validator is the reference, and the phonemes are those of δ_PER.
    """
    segments = [[text for _, _, text in timestamps.parse(label)] for label in teacher]
    flat = [text for texts in segments for text in texts]
    sounds = Lines([*flat, *validator]).phonemes(phonemizer(choices.tones, choices.fallback))
    found, place = [], 0
    for texts, transcript in zip(segments, sounds[len(flat) :], strict=True):
        found.append(errors_of_parts(sounds[place : place + len(texts)], transcript).rate)
        place += len(texts)
    return found


def seconds_of_segments(label: str, seconds: float) -> np.ndarray:
    """(segments,) durations; a segment left open lasts until the chunk's end, `seconds`."""
    return np.array([(seconds if end is None else end) - start for start, end, _ in timestamps.parse(label)])
