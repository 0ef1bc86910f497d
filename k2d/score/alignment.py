"""Two lists of units in, jiwer's alignment of them out, step by step.

A unit is one Chinese character or one Latin word (`k2d.text.units`) and stands for what jiwer calls a word. Many
alignments share the lowest cost; which of them is taken is jiwer's choice, and decides which unit of a run of errors
counts as substituted and which as inserted or deleted.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jiwer

HIT, SUBSTITUTION, DELETION, INSERTION = "=", "S", "D", "I"
_OPS = {"equal": HIT, "substitute": SUBSTITUTION, "delete": DELETION, "insert": INSERTION}
# jiwer splits strings. No unit holds a blank, so joined by blanks they come back one by one.
_SPLIT = jiwer.ReduceToListOfListOfWords(" ")


class Pair(NamedTuple):
    """One step of an alignment. `ref` is None for an insertion, `hyp` for a deletion."""

    op: str
    ref: str | None
    hyp: str | None


def align(ref: Sequence[str], hyp: Sequence[str]) -> list[Pair]:
    """A cheapest alignment of two lists of units, in reading order."""
    (chunks,) = jiwer.process_words(" ".join(ref), " ".join(hyp), _SPLIT, _SPLIT).alignments
    pairs: list[Pair] = []
    for chunk in chunks:
        said = ref[chunk.ref_start_idx : chunk.ref_end_idx]
        written = hyp[chunk.hyp_start_idx : chunk.hyp_end_idx]
        nothing = [None] * max(len(said), len(written))  # one side of deletions and insertions is empty
        pairs += [Pair(_OPS[chunk.type], r, h) for r, h in zip(said or nothing, written or nothing, strict=True)]
    return pairs
