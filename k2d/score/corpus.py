"""References and hypotheses of a test set in, everything `RESULTS.md` says about them out.

Utterances and whole recordings are scored alike: one id, one text. Both sides are stripped
of timestamp tokens, normalised, folded to Simplified and split into units before anything
is counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tqdm import tqdm

from k2d.constants import WINDOW
from k2d.datadir import Segment
from k2d.errors import DataError
from k2d.score import significance
from k2d.score.alignment import DELETION, INSERTION, Pair, align
from k2d.score.rates import Counts, count, count_by_language, count_by_switch_distance, longest_run, switch_pairs
from k2d.text import loops, timestamps
from k2d.text.units import units
from k2d.wording import counted

LONG_RUN = 10  # units: a sentence, no longer a misheard phrase


class ScoringError(DataError):
    """References and hypotheses do not belong together."""


@dataclass(frozen=True)
class Utterance:
    """One scored text. `missing`: no hypothesis of this id, counted as deleted entirely."""

    id: str
    pairs: tuple[Pair, ...]
    counts: Counts
    windows: int
    looping_windows: int
    missing: bool = False

    @property
    def empty(self) -> bool:
        """Something was said and nothing was written (a missing hypothesis is not an empty one)."""
        return not self.missing and all(pair.hyp is None for pair in self.pairs) and len(self.pairs) > 0

    @property
    def rate(self) -> float:
        return self.counts.text_rate


@dataclass(frozen=True)
class Score:
    """A scored test set; utterances in the order of their ids."""

    utterances: tuple[Utterance, ...]

    @cached_property
    def total(self) -> Counts:
        return sum((u.counts for u in self.utterances), Counts())

    @cached_property
    def by_language(self) -> dict[str, Counts]:
        return self._summed(count_by_language)

    @cached_property
    def at_switch_points(self) -> Counts:
        return sum((count(switch_pairs(u.pairs)) for u in self.utterances), Counts())

    @cached_property
    def by_switch_distance(self) -> dict[str, Counts]:
        return self._summed(count_by_switch_distance)

    def _summed(self, count_by: Callable[[Sequence[Pair]], dict[str, Counts]]) -> dict[str, Counts]:
        totals = count_by(())
        for utterance in self.utterances:
            for name, part in count_by(utterance.pairs).items():
                totals[name] += part
        return totals

    @property
    def errors(self) -> list[int]:
        return [u.counts.errors for u in self.utterances]

    @property
    def units(self) -> list[int]:
        return [u.counts.units for u in self.utterances]

    def as_dict(
        self, recordings: Sequence[str] | None = None, *, samples: int = significance.SAMPLES, seed: int = 0
    ) -> dict:
        """The content of `result.json`. Rates are fractions, not percent. recordings: of each utterance, which the
        interval draws together."""
        interval = significance.confidence_interval(self.errors, self.units, recordings, samples=samples, seed=seed)
        return {
            "utterances": len(self.utterances),
            "recordings": len(self.utterances if recordings is None else set(recordings)),
            "mer": self.total.as_dict(),
            "confidence_interval": {
                "low": interval and round(interval[0], 6),
                "high": interval and round(interval[1], 6),
                "level": 0.95,
                "samples": samples,
                "seed": seed,
            },
            "languages": {name: part.as_dict() for name, part in self.by_language.items()},
            "switch_points": self.at_switch_points.as_dict(),
            "switch_distance": {name: part.as_dict() for name, part in self.by_switch_distance.items()},
            "repetitions": {
                "windows": sum(u.looping_windows for u in self.utterances),
                "of_windows": sum(u.windows for u in self.utterances),
                "ids": [u.id for u in self.utterances if u.looping_windows],
            },
            "long_runs": {
                "at_least": LONG_RUN,
                "deletions": [u.id for u in self.utterances if longest_run(u.pairs, DELETION) >= LONG_RUN],
                "insertions": [u.id for u in self.utterances if longest_run(u.pairs, INSERTION) >= LONG_RUN],
            },
            "empty": [u.id for u in self.utterances if u.empty],
            "missing": [u.id for u in self.utterances if u.missing],
        }


def windows(text: str) -> list[str]:
    """A transcript cut at its timestamps into texts of at most 30 s, so that a repetition counts
    alike in short-form and long-form output. Without timestamps: the whole text, once."""
    segments = timestamps.parse(text) if "<|" in text else []
    if not segments:
        return [timestamps.strip(text)]
    packed: list[list[str]] = []
    begin = 0.0
    for start, end, words in segments:
        if not packed or (start if end is None else end) - begin > WINDOW:
            packed.append([])
            begin = start
        packed[-1].append(words)
    return [" ".join(words) for words in packed]


def score_utterance(
    utterance_id: str, reference: str, hypothesis: str | None, fold_usage: bool = False
) -> Utterance:
    text = hypothesis or ""
    ref, hyp = (units(timestamps.strip(side), fold_usage=fold_usage) for side in (reference, text))
    pairs = align(ref, hyp)
    cut = windows(text)
    return Utterance(
        utterance_id,
        tuple(pairs),
        count(pairs),
        windows=len(cut),
        looping_windows=sum(loops.has_loop(window) for window in cut),
        missing=hypothesis is None,
    )


def score(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    *,
    fold_usage: bool = False,
    progress: bool = False,
) -> Score:
    """Score every reference; `fold_usage` as in `normalise`.

    A reference without hypothesis counts as deleted and is reported as missing; a hypothesis without reference raises
    ScoringError (it is another set's).
    """
    if not references:
        raise ScoringError("no reference to score against: the reference text is empty")
    extra = sorted(set(hypotheses) - set(references))
    if extra:
        raise ScoringError(
            f"no reference for {len(extra)} of {counted(len(hypotheses), 'hypothesis', 'hypotheses')}, such as "
            f"{', '.join(extra[:3])}; expected the ids of the reference text. Are these hypotheses "
            "of another test set, or long-form output scored against utterances (then give --segments_from the data "
            "directory of the utterances)?"
        )
    rows: Iterable[str] = sorted(references, key=lambda i: i.encode())
    if progress:
        rows = tqdm(rows, desc="score", unit="utt", leave=False)
    return Score(tuple(score_utterance(i, references[i], hypotheses.get(i), fold_usage) for i in rows))


def join_by_recording(references: Mapping[str, str], segments: Mapping[str, Segment]) -> dict[str, str]:
    """Utterance references joined to one text a recording, in the order of their start times."""
    unknown = sorted(set(references) - set(segments))
    if unknown:
        raise ScoringError(
            f"{len(unknown)} reference ids are not in the segments, such as {', '.join(unknown[:3])}; "
            "expected the segments file of the references' own data directory"
        )
    recordings: dict[str, list[tuple[float, str, str]]] = {}
    for utterance_id, text in references.items():
        segment = segments[utterance_id]
        part = (segment.start, utterance_id, timestamps.strip(text))
        recordings.setdefault(segment.recording, []).append(part)
    return {recording: " ".join(text for _, _, text in sorted(parts)) for recording, parts in recordings.items()}
