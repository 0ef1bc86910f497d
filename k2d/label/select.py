"""Keep the chunks that a rule keeps.

In: a data directory of chunks, directories of scores (`utt2mer utt2comp …`, one a validator) and a rule.
Out: the data directory of the kept chunks, dropped.tsv, and counts of what was kept.

Everything is read side by side in order of id and written as it comes; only the counts, the recordings'
names and the ids by speaker stay in memory.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from k2d.audio.stamps import is_command
from k2d.constants import digest_of_id
from k2d.datadir import DataDir, SubsetWriter
from k2d.errors import DataError
from k2d.label.chunk_directory import Chunk, in_blocks, read_chunks
from k2d.label.distance import Choices
from k2d.label.retention import Retention
from k2d.label.rule import Clause, Rule
from k2d.label.scores import SUMMARIES, Columns, Scores
from k2d.label.segments import seconds_of_segments, segment_distances
from k2d.tables import Cursor, atomic, read_table
from k2d.text import timestamps, trusted
from k2d.text.batch import Lines
from k2d.wording import counted

MISSING = 0.01  # share of chunks that may lack a score
LEAST_WEIGHT = 0.0001  # that utt2weight can say
LEAST_CHUNKS = 2  # that a student can be trained on, one of which may be held out to choose its epoch
_DROPPED = ("id", "recording", "start", "end", "reason", "teacher", "validator")


@dataclass
class SelectionCounts:
    """What happened: chunks, seconds, reasons (first failed clause -> chunks, seconds, all that fail it), and chunks
    that lack a score by its table, with the first of them.
    """

    kept: int
    dropped: int
    kept_seconds: float
    dropped_seconds: float
    reasons: dict[str, tuple[int, float, int]]
    retention: Retention
    segments: "TrustedSegments | None" = None
    lacking: Mapping[Path, tuple[int, str]] = field(default_factory=dict)
    weight: float | None = None  # of what is kept, the mean over its seconds; None where all chunks count alike


@dataclass
class TrustedSegments:
    """Which segments of kept chunks are trusted: δ_PER <= alpha, combined over validators by `combine`."""

    alpha: float
    choices: Choices
    combine: str = "mean"
    segments: int = 0
    trusted: int = 0
    seconds: float = 0.0
    trusted_seconds: float = 0.0

    @property
    def share(self) -> float:
        """Of the time that segments last."""
        return self.trusted_seconds / self.seconds if self.seconds else 0.0

    def facts(self) -> dict[str, float]:
        return {
            "alpha": self.alpha,
            "segments": self.segments,
            "trusted": self.trusted,
            "hours": round(self.seconds / 3600, 4),
            "trusted_hours": round(self.trusted_seconds / 3600, 4),
        }

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

    def count(self, label: str, seconds: float, trusted: np.ndarray, kept: bool) -> None:
        lengths = np.nan_to_num(seconds_of_segments(label, seconds))  # an open segment of a chunk of unknown length
        self.segments += len(trusted)
        self.seconds += float(lengths.sum())
        if kept:
            self.trusted += int(trusted.sum())
            self.trusted_seconds += float(lengths[trusted].sum())


def select(
    data: DataDir,
    scores: Scores,
    rule: Rule,
    output: Path,
    sources: Mapping[str, str] | None = None,
    segments: TrustedSegments | None = None,
    weight: Clause | None = None,
    allow_missing: bool = False,
    leave_out: Container[str] = (),
    recordings: Container[str] | None = None,
) -> SelectionCounts:
    """Write the chunks that `rule` keeps to `output`, and dropped.tsv.

    sources: recording -> source directory, for the retention counts; one source where it does not say.
    segments: also write text.trusted, and drop chunks without any segment to trust. weight: also write utt2weight, its
    value for each chunk, at most 1; the rule keeps none for which it is not above 0. leave_out: ids that are passed
    over, neither kept nor dropped. recordings: select from their chunks alone. Raises DataError where a score that the
    rule asks for lacks more than one chunk in a hundred, unless allow_missing.
    """
    if segments and not scores.texts:
        raise DataError("segments are compared by text, and no directory of scores has one; decode the chunks first")
    output.mkdir(parents=True, exist_ok=True)
    first, seconds_of, failing = Counter(), Counter(), Counter()
    retention = Retention()
    totals = Counter()
    with ExitStack() as stack:
        tables = [trusted.TRUSTED] * bool(segments) + [trusted.WEIGHT] * (weight is not None)
        writer = stack.enter_context(SubsetWriter(data, output, tables))
        dropped = stack.enter_context(atomic(output / "dropped.tsv"))
        dropped.write("\t".join(_DROPPED) + "\n")
        columns = Columns(scores, sorted(rule.names | (weight.names if weight else frozenset())))
        validators = [Cursor(path) for path in scores.texts.values()]
        for block in in_blocks(read_chunks(data, leave_out, recordings)):
            found = columns.of([chunk.id for chunk in block])
            reasons = _reasons(rule, found, len(block), failing)
            weights = np.minimum(weight.value(found, len(block)), 1) if weight else None
            lines = Lines([chunk.text for chunk in block])
            english = list(map(len, lines.english()))
            chinese = list(map(len, lines.chinese()))
            transcripts = [[cursor.get(chunk.id) or "" for chunk in block] for cursor in validators]
            confirmed = segments.of([chunk.text for chunk in block], transcripts) if segments else None
            for place, chunk in enumerate(block):
                reason = reasons[place]
                if segments:
                    if not confirmed[place].any():
                        failing[segments.reason] += 1
                        reason = reason or segments.reason
                    segments.count(chunk.text, chunk.seconds, confirmed[place], reason is None)
                length = chunk.seconds if chunk.seconds > 0 else 0.0
                retention.add(
                    chunk.recording,
                    (sources or {}).get(chunk.recording, "."),
                    reason is None,
                    length,
                    int(lines.lengths[place]),
                    english[place],
                    bool(english[place] and chinese[place]),
                )
                totals["seconds" if reason is None else "lost"] += length
                if reason is None:
                    writer.keep(chunk.id)
                    totals["kept"] += 1
                    if segments:
                        writer.write(trusted.TRUSTED, chunk.id, trusted.written(confirmed[place]))
                    if weights is not None:
                        writer.write(trusted.WEIGHT, chunk.id, f"{max(weights[place], LEAST_WEIGHT):.4f}")
                        totals["weighted"] += length * weights[place]
                else:
                    first[reason] += 1
                    seconds_of[reason] += length
                    dropped.write(_row(chunk, reason, [texts[place] for texts in transcripts]))
        if not totals["kept"] and not first:
            nothing = "held out, all of it" if leave_out else "empty"
            todo = "give more recordings, or test on fewer chunks" if leave_out else "label recordings first"
            raise DataError(f"{data.path / 'text'}: {nothing}: nothing to select from; {todo}")
        chunks = totals["kept"] + sum(first.values())
        for path, (count, example) in columns.lacking.items():
            if count > MISSING * chunks and not allow_missing:
                raise DataError(
                    f"{path}: no number for {count} of {counted(chunks, 'chunk')}, {example} the first; make the "
                    "scores again, or go on without these chunks with --allow_missing"
                )
    reasons = {name: (first[name], seconds_of[name], failing[name]) for name in sorted(failing | first)}
    return SelectionCounts(
        totals["kept"],
        sum(first.values()),
        totals["seconds"],
        totals["lost"],
        reasons,
        retention,
        segments,
        columns.lacking,
        (totals["weighted"] / totals["seconds"] if totals["seconds"] else 0.0) if weight else None,
    )


def _reasons(rule: Rule, scores: Mapping[str, np.ndarray], count: int, failing: Counter) -> list[str | None]:
    """For each chunk None, or the first clause it fails; `failing` counts every clause it fails."""
    reasons: list[str | None] = [None] * count
    for clause in rule.clauses:
        kept = clause.keeps(scores, count)
        missing = np.zeros(count, bool)
        for name in clause.names:
            missing |= np.isnan(scores[name])
        for place in np.flatnonzero(~kept).tolist():
            text = f"no number in {', '.join(sorted(clause.names))}" if missing[place] else clause.text
            failing[text] += 1
            reasons[place] = reasons[place] or text
    return reasons


def _row(chunk: Chunk, reason: str, other: Sequence[str]) -> str:
    texts = [timestamps.strip(text) for text in (chunk.text, *other)]
    cells = [chunk.id, chunk.recording, f"{chunk.start:.2f}", f"{chunk.end:.2f}", reason]
    cells += [texts[0], " | ".join(texts[1:])]
    return "\t".join(" ".join(cell.split()) for cell in cells) + "\n"


def first_hours(data: DataDir, hours: float) -> dict[str, float]:
    """recording -> its seconds, of recordings until there are so many hours: fewer hours are part of more.

    In the order of their ids' digests, since corpora are sorted by course or speaker. Raises DataError where nothing
    tells how long the recordings last.
    """
    lasting: Counter[str] = Counter()
    for utterance, seconds in (data.utt2dur or {}).items():
        lasting[data.segments[utterance].recording] += seconds
    if not lasting:
        raise DataError(f"{data.path}: no utt2dur, so that hours cannot be counted; utils/get_utt2dur.py writes it")
    taken: dict[str, float] = {}
    for recording in sorted(lasting, key=digest_of_id):
        if sum(taken.values()) >= hours * 3600:
            break
        taken[recording] = lasting[recording]
    return taken


def source_directories(wav: str | Path) -> dict[str, str]:
    """recording -> directory of its audio, from a wav.scp of whole recordings; commands are "command"."""
    found = {}
    for recording, source in read_table(wav).items():
        found[recording] = "command" if is_command(source) else str(Path(source.strip()).parent)
    return found
