"""What decides whether a chunk is kept, and how far its label is trusted.

In: labels, their scores and the validators' texts. Out: a judgement of each. The names in a rule, and the selections
that are shipped, are in k2d/label/rule.py and conf/selections/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from k2d.label.distance import Choices
from k2d.label.rule import Clause, Rule
from k2d.label.scores import SUMMARIES
from k2d.label.segments import segment_distances
from k2d.tables import WEIGHT
from k2d.text import trusted

LEAST_WEIGHT = 0.0001  # that utt2weight can say


@dataclass(frozen=True)
class TrustedSegments:
    """Which segments of kept chunks are trusted: δ_PER <= alpha, combined over validators by `combine`."""

    alpha: float
    choices: Choices
    combine: str = "mean"

    @property
    def reason(self) -> str:
        return f"no segment within {self.alpha:g}"

    def distances(self, labels: Sequence[str], transcripts: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """For each label the δ_PER of its segments, (segments,) float. transcripts: by validator, its texts."""
        join = SUMMARIES[self.combine]
        found = [segment_distances(labels, texts, self.choices) for texts in transcripts]
        return [join(np.stack(rows), axis=0) for rows in zip(*found, strict=True)]

    def of(self, labels: Sequence[str], transcripts: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """For each label its flags, (segments,) bool. transcripts: by validator, its texts."""
        return [found <= self.alpha for found in self.distances(labels, transcripts)]


class Judgement(NamedTuple):
    """What becomes of a chunk.

    failed  : what it fails, in the rule's order; it is dropped for the first, and kept where there is none
    trusted : (segments,) bool, where segments are told apart
    weight  : how much it counts in the loss, above 0 and at most 1
    """

    failed: Sequence[str]
    trusted: np.ndarray | None
    weight: float

    @property
    def kept(self) -> bool:
        return not self.failed


@dataclass(frozen=True)
class Criteria:
    """What decides of a chunk. rule: keeps it. segments: of a kept one, those to learn from; without any it is dropped.
    weight: how much a kept one counts; the rule keeps none for which it is not above 0.
    """

    rule: Rule
    segments: TrustedSegments | None = None
    weight: Clause | None = None

    @property
    def names(self) -> list[str]:
        """Of the scores that are asked for."""
        return sorted(self.rule.names | (self.weight.names if self.weight else frozenset()))

    @property
    def tables(self) -> list[str]:
        """What is written beside the tables of the chunks."""
        return [trusted.TRUSTED] * bool(self.segments) + [WEIGHT] * (self.weight is not None)

    def judge(
        self, labels: Sequence[str], scores: Mapping[str, np.ndarray], transcripts: Sequence[Sequence[str]]
    ) -> list[Judgement]:
        """One for each label. scores: name -> (labels,) float, NaN where a number lacks. transcripts: by validator, its
        texts.
        """
        failed: list[list[str]] = [[] for _ in labels]
        for clause in self.rule.clauses:
            missing, lacking = np.zeros(len(labels), bool), f"no number in {', '.join(sorted(clause.names))}"
            for name in clause.names:
                missing |= np.isnan(scores[name])
            for place in np.flatnonzero(~clause.keeps(scores, len(labels))).tolist():
                failed[place].append(lacking if missing[place] else clause.text)
        confirmed: Sequence[np.ndarray | None] = [None] * len(labels)
        if self.segments:
            confirmed = self.segments.of(labels, transcripts)
            for reasons, flags in zip(failed, confirmed, strict=True):
                reasons += [self.segments.reason] * (not flags.any())
        weights = np.ones(len(labels))
        if self.weight:
            weights = np.clip(self.weight.value(scores, len(labels)), LEAST_WEIGHT, 1)
        return list(map(Judgement, failed, confirmed, weights.tolist()))
