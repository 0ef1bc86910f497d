"""How much speech each α keeps, and the α that keeps a share of it.

In: chunks, their scores and a rule in which `alpha` is still a name. Out: for every chunk, or segment, the smallest α
that keeps it, weighed by its seconds.

A larger α keeps all that a smaller one does; of a rule of which that is not true the answer is only near.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from k2d.datadir import DataDir
from k2d.label.chunk_directory import in_blocks, read_chunks
from k2d.label.criteria import TrustedSegments
from k2d.label.distance import MOST_ALPHA
from k2d.label.rule import ALPHA, Rule
from k2d.label.scores import Columns, Scores
from k2d.label.segments import seconds_of_segments
from k2d.tables import Cursor

_PER_UNIT = 10_000  # bins of α: scores have four decimals
_LAST = int(MOST_ALPHA * _PER_UNIT)
_UNKNOWN = 1e-6  # seconds of a chunk of which nothing tells its length: they count where none has one


@dataclass
class KeptByAlpha:
    """seconds: (bins,) kept from this α on, in steps of 0.0001; total: seconds in all."""

    seconds: np.ndarray
    total: float = 0.0

    def share(self, alpha: float) -> float:
        place = int(np.floor(alpha * _PER_UNIT + 1e-6))
        return float(self.seconds[: place + 1].sum()) / self.total if self.total else 0.0

    def alpha_for(self, share: float) -> float | None:
        """The smallest α that keeps at least this share; None where the largest does not."""
        kept = np.cumsum(self.seconds)
        place = int(np.searchsorted(kept, share * self.total * (1 - 1e-9)))
        return place / _PER_UNIT if place < len(kept) and self.total else None

    def add(self, alphas: np.ndarray, seconds: np.ndarray) -> None:
        """alphas: smallest that keeps each, infinite for what none keeps."""
        self.total += float(seconds.sum())
        some = np.isfinite(alphas)
        places = np.ceil(alphas[some] * _PER_UNIT - 1e-3).astype(int)
        inside = places < len(self.seconds)
        self.seconds += np.bincount(places[inside], seconds[some][inside], len(self.seconds))


def kept_by_alpha(
    data: DataDir,
    scores: Scores,
    rule: Rule,
    segments: TrustedSegments | None = None,
    leave_out: Container[str] = (),
    recordings: Container[str] | None = None,
) -> KeptByAlpha:
    """Read the scores once. rule: with `alpha` in it or not. segments: what is kept are segments within α."""
    kept = KeptByAlpha(np.zeros(_LAST + 1))
    columns = Columns(scores, sorted(rule.names - {ALPHA}))
    validators = [Cursor(path) for path in scores.texts.values()] if segments else []
    for block in in_blocks(read_chunks(data, leave_out, recordings)):
        alphas = smallest_alphas(rule, columns.of([chunk.id for chunk in block]), len(block))
        seconds = np.array([chunk.seconds if chunk.seconds > 0 else _UNKNOWN for chunk in block])
        if segments:
            texts = [[cursor.get(chunk.id) or "" for chunk in block] for cursor in validators]
            distances = segments.distances([chunk.text for chunk in block], texts)
            parts = [np.nan_to_num(seconds_of_segments(chunk.text, chunk.seconds)) for chunk in block]
            alphas = np.concatenate([np.maximum(a, d) for a, d in zip(alphas, distances, strict=True)])
            seconds = np.concatenate(parts)
        kept.add(alphas, seconds)
    return kept


def smallest_alphas(rule: Rule, scores: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """(count,) the smallest α from 0 to MOST_ALPHA, in steps of 0.0001, at which the rule keeps a chunk, by bisection;
    else infinite."""

    def keeps(places: np.ndarray) -> np.ndarray:
        kept = np.ones(count, bool)
        for clause in rule.clauses:
            kept &= clause.keeps({**scores, ALPHA: places / _PER_UNIT}, count)
        return kept

    low, high = np.full(count, -1), np.full(count, _LAST)
    never = ~keeps(high)
    for _ in range(_LAST.bit_length()):
        middle = (low + high + 1) // 2
        enough = keeps(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never, np.inf, high / _PER_UNIT)
