"""Every signal as a finder of bad labels: how often it is right, and which kinds of them it sees.

In: the labels' true errors and kinds (`label_quality`) and their scores. Out: for each signal AUC, and precision and
recall at the limit from which on it speaks against a label. Analysis only, for it reads references.

Intervals are of a bootstrap over recordings: chunks of one recording share its speaker, room and noise, and are drawn
together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from k2d.explore.detection import aucs
from k2d.explore.kinds import KINDS
from k2d.explore.label_quality import BAD, LabelQuality
from k2d.label.distance import Choices
from k2d.label.scores import Columns, Scores
from k2d.label.segments import segment_distances
from k2d.score.significance import recording_draws
from k2d.tables import Cursor

WORSE = 0.8  # the limit of the published figures
DRAWS = 500
SEGMENT = "segment"


@dataclass(frozen=True)
class Signal:
    """What a score says against a label. limit: beyond which it says so; None for a recipe's α, NaN for one
    without. high: whether large values do, else small ones. of_label: it needs no validator. kept: the share of
    the labels that are not beyond its limit, of one that has no other."""

    name: str
    limit: float | None
    high: bool = True
    of_label: bool = False
    kept: float | None = None


_WHISPER_LOOPS, _WHISPER_DOUBTS, _WHISPER_SILENCE = 2.4, -1.0, 0.6  # defaults of openai-whisper's transcribe
FINDERS = (
    Signal("mer", None),
    Signal("per", None),
    Signal("comp", None),
    Signal("fused", float("nan"), kept=0.75),
    Signal("zh_cer", 0.5),  # limits of conf/selections/both_languages.rule
    Signal("en_wer", 0.7),
    Signal("translated", 0.3),  # transcribed.rule
    Signal("loop_teacher", 0.0, of_label=True),  # ngram.rule
    Signal("loop_aux", 0.0),
    Signal("blank_aux", 0.0),
    Signal("caption", 0.5, of_label=True),  # comp_clean.rule
    Signal("compression_teacher", _WHISPER_LOOPS, of_label=True),
    Signal("avg_logprob", _WHISPER_DOUBTS, high=False, of_label=True),
    Signal("no_speech", _WHISPER_SILENCE, of_label=True),
    Signal("temperature", 0.0, of_label=True),
    Signal("confidence", float("nan"), high=False, of_label=True),
    Signal("untexted", float("nan"), of_label=True),
    Signal("chars_per_second", float("nan"), of_label=True),
    Signal("compression_aux", _WHISPER_LOOPS),
    Signal("avg_logprob_aux", _WHISPER_DOUBTS, high=False),
    Signal("no_speech_aux", _WHISPER_SILENCE),
    Signal("temperature_aux", 0.0),
)


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; None where it cannot be had."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Spotting:
    """What one signal finds. labels: that have it. limit: None without one. auc: true error above which a label counts
    as bad -> the chance that a bad one looks worse than a good one. precision, recall: at the limit, of labels above
    BAD. kinds: kind -> (bad labels found at the limit, bad labels there are); None without a limit. Of segments, a bad
    one is of the kind of its label.
    """

    signal: str
    labels: int
    limit: float | None
    auc: Mapping[float, Interval]
    precision: Interval
    recall: Interval
    kinds: Mapping[str, tuple[int, int]] | None = None


@dataclass(frozen=True)
class _Labels:
    """Arrays of (labels,): the true error, which recording it is of by number, and the kind where it is bad."""

    error: np.ndarray
    recording: np.ndarray
    kind: Sequence[str | None]


def spot(
    quality: LabelQuality,
    scores: Scores,
    alpha: float,
    choices: Choices | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[Spotting]:
    """Every signal of FINDERS among the scores of one validator, in their order, and the distances of single segments
    where the quality is by segment.

    alpha: the limit of mer, per, comp and of segments. choices, labels: how the distances were made, and
    chunk -> label, both for segments.
    """
    ids = list(quality.chunks)
    numbers: dict[str, int] = {}
    recordings = np.array([numbers.setdefault(quality.recordings[i], len(numbers)) for i in ids], dtype=np.int64)
    chunks = _Labels(
        np.array([counts.text_rate for counts in quality.chunks.values()]),
        recordings,
        [quality.kinds.get(i) for i in ids],
    )
    found = []
    if quality.segments and labels is not None and len(scores.texts) == 1:
        (text,) = scores.texts.values()
        segments, distances = _segments(quality, ids, recordings, labels, Cursor(text), choices or Choices())
        found.append(_spot(SEGMENT, distances, alpha, segments))
    present = [signal for signal in FINDERS if signal.name in scores.names]
    columns = Columns(scores, [signal.name for signal in present]).of(ids)
    for signal in present:
        column, sign = columns[signal.name], 1.0 if signal.high else -1.0
        known = column[np.isfinite(column)]
        limit = alpha if signal.limit is None else signal.limit
        if signal.kept is not None and len(known):
            limit = float(np.quantile(known, signal.kept))
        found.append(_spot(signal.name, column, limit, chunks, sign))
    first = ("mer", "per", "comp", SEGMENT)  # beside the distances of chunks
    return sorted(found, key=lambda each: first.index(each.signal) if each.signal in first else len(first))


def _segments(quality: LabelQuality, ids, recordings, labels, validator: Cursor, choices: Choices):
    """True errors of single segments, and their distances."""
    rows = [(i, r) for i, r in zip(ids, recordings, strict=True) if quality.segments.get(i)]
    texts = [validator.get(i) or "" for i, _ in rows]
    distances = segment_distances([labels[i] for i, _ in rows], texts, choices)
    errors = [[counts.text_rate for counts in quality.segments[i]] for i, _ in rows]
    kinds = [quality.kinds.get(i) if e > BAD else None for (i, _), own in zip(rows, errors, strict=True) for e in own]
    where = np.concatenate([np.full(len(e), r) for e, (_, r) in zip(errors, rows, strict=True)] or [np.zeros(0, int)])
    errors, distances = (np.concatenate(parts or [np.zeros(0)]) for parts in (errors, distances))
    return _Labels(errors, where.astype(np.int64), kinds), distances


def _spot(name: str, score: np.ndarray, limit: float, labels: _Labels, sign: float = 1.0) -> Spotting:
    known = np.isfinite(score)
    score, error, recording = sign * score[known], labels.error[known], labels.recording[known]
    said = score > sign * limit  # nothing is above NaN
    has_limit = np.isfinite(limit)
    bad = error > BAD

    def measure(weights: np.ndarray) -> np.ndarray:
        """(draws, 4): AUC above BAD, above WORSE, precision, recall."""
        right, all_said, all_bad = (weights @ column.astype(float) for column in (bad & said, said, bad))
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = right / all_said, right / all_bad
        return np.stack([*(aucs(error > above, weights, score) for above in (BAD, WORSE)), *shares], 1)

    if not len(score):
        nothing = Interval(None)
        return Spotting(name, 0, limit if has_limit else None, {BAD: nothing, WORSE: nothing}, nothing, nothing)
    value = measure(np.ones((1, len(score))))[0]
    spread = _drawn(measure, recording)
    first, worse, precision, recall = (_interval(v, column) for v, column in zip(value, spread.T, strict=True))
    kinds = None
    if has_limit:
        kind = [k for k, there in zip(labels.kind, known, strict=True) if there]
        there, seen = Counter(kind), Counter(k for k, flag in zip(kind, said, strict=True) if flag)
        kinds = {k: (seen[k], there[k]) for k in KINDS}
    nothing = Interval(None)
    return Spotting(
        name,
        len(score),
        limit if has_limit else None,
        {BAD: first, WORSE: worse},
        precision if has_limit else nothing,
        recall if has_limit else nothing,
        kinds,
    )


def _drawn(measure, recording: np.ndarray) -> np.ndarray:
    """What is measured on draws of the recordings, (draws, columns); none where there is one recording alone."""
    names, place = np.unique(recording, return_inverse=True)
    if len(names) < 2:
        return np.full((1, 4), np.nan)
    blocks = recording_draws(len(names), DRAWS, np.random.default_rng(0), width=len(place))
    return np.concatenate([measure(times[:, place].astype(float)) for times in blocks])


def _interval(value: float, draws: np.ndarray) -> Interval:
    if not np.isfinite(value):
        return Interval(None)
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return Interval(round(float(value), 4))
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(*(round(float(x), 4) for x in (value, low, high)))
