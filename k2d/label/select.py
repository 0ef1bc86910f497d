"""Keep the chunks that meet the criteria of a selection.

In: a data directory of chunks, directories of scores (`utt2mer utt2comp …`, one a validator) and the criteria
(k2d/label/criteria.py). Out: the data directory of the kept chunks, dropped.tsv, and counts of what was kept.

Everything is read side by side in order of id and written as it comes; only the counts, the recordings'
names and the ids by speaker stay in memory.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from k2d.atomic import atomic
from k2d.audio.stamps import is_command
from k2d.constants import digest_of_id
from k2d.datadir import DataDir, SubsetWriter
from k2d.errors import DataError
from k2d.label.chunk_directory import Chunk, in_blocks, read_chunks
from k2d.label.criteria import Criteria, Judgement
from k2d.label.retention import Retention
from k2d.label.scores import Columns, Scores
from k2d.label.segments import seconds_of_segments
from k2d.tables import WEIGHT, Cursor, read_table
from k2d.text import timestamps, trusted
from k2d.text.batch import Lines
from k2d.wording import counted

MISSING = 0.01  # share of chunks that may lack a score
LEAST_CHUNKS = 2  # that a student can be trained on, one of which may be held out to choose its epoch
FEW_CHUNKS = 32  # of the smallest update: from fewer a student learns next to nothing
_DROPPED = ("id", "recording", "start", "end", "reason", "teacher", "validator")


@dataclass
class SegmentCounts:
    """segments, seconds: of all chunks; trusted, trusted_seconds: of the kept ones, those that are trusted."""

    alpha: float
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

    def add(self, chunk: Chunk, flags: np.ndarray, kept: bool) -> None:
        lengths = np.nan_to_num(seconds_of_segments(chunk.text, chunk.seconds))  # an open one of a chunk without length
        self.segments += len(flags)
        self.seconds += float(lengths.sum())
        if kept:
            self.trusted += int(flags.sum())
            self.trusted_seconds += float(lengths[flags].sum())


@dataclass
class Dropped:
    """chunks, seconds: of which this is the first reason; failing: chunks of which it is one of the reasons."""

    chunks: int = 0
    seconds: float = 0.0
    failing: int = 0


@dataclass
class SelectionCounts:
    """What happened: chunks and seconds, kept and for each reason, and chunks that lack a score by its table, with the
    first of them. weight: of what is kept, the mean over its seconds; None where all chunks count alike.
    """

    segments: SegmentCounts | None = None
    weight: float | None = None
    reasons: dict[str, Dropped] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    lacking: Mapping[Path, tuple[int, str]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return self.retention.whole.after.chunks

    @property
    def kept_seconds(self) -> float:
        return self.retention.whole.after.seconds

    @property
    def dropped(self) -> int:
        return sum(reason.chunks for reason in self.reasons.values())

    @property
    def dropped_seconds(self) -> float:
        return sum(reason.seconds for reason in self.reasons.values())

    def add(self, chunk: Chunk, source: str, judged: Judgement, units: int, english: int, switched: bool) -> None:
        """Count a chunk. source: directory of its recording; switched: whether its label is in both languages."""
        length = chunk.seconds if chunk.seconds > 0 else 0.0
        self.retention.add(chunk.recording, source, judged.kept, length, units, english, switched)
        if self.segments:
            self.segments.add(chunk, judged.trusted, judged.kept)
        for reason in judged.failed:
            self.reasons.setdefault(reason, Dropped()).failing += 1
        if judged.failed:
            first = self.reasons[judged.failed[0]]
            first.chunks += 1
            first.seconds += length
            return
        if self.weight is not None and length:
            self.weight += (judged.weight - self.weight) * length / self.kept_seconds


def select(
    data: DataDir,
    scores: Scores,
    criteria: Criteria,
    output: Path,
    sources: Mapping[str, str] | None = None,
    allow_missing: bool = False,
    leave_out: Container[str] = (),
    recordings: Container[str] | None = None,
) -> SelectionCounts:
    """Write the chunks that are kept to `output`, and dropped.tsv.

    sources: recording -> source directory, for the retention counts; one source where it does not say. leave_out: ids
    that are passed over, neither kept nor dropped. recordings: select from their chunks alone. Raises DataError where a
    score that is asked for lacks more than one chunk in a hundred, unless allow_missing.
    """
    if criteria.segments and not scores.texts:
        raise DataError("segments are compared by text, and no directory of scores has one; decode the chunks first")
    output.mkdir(parents=True, exist_ok=True)
    segments = SegmentCounts(criteria.segments.alpha) if criteria.segments else None
    counts = SelectionCounts(segments, weight=0.0 if criteria.weight else None)
    columns = Columns(scores, criteria.names)
    validators = [Cursor(path) for path in scores.texts.values()]
    with SubsetWriter(data, output, criteria.tables) as writer, atomic(output / "dropped.tsv") as dropped:
        dropped.write("\t".join(_DROPPED) + "\n")
        for block in in_blocks(read_chunks(data, leave_out, recordings)):
            labels, ids = [chunk.text for chunk in block], [chunk.id for chunk in block]
            transcripts = [[cursor.get(key) or "" for key in ids] for cursor in validators]
            judged = criteria.judge(labels, columns.of(ids), transcripts)
            for place, (chunk, judgement, words) in enumerate(zip(block, judged, _languages(labels), strict=True)):
                counts.add(chunk, (sources or {}).get(chunk.recording, "."), judgement, *words)
                if judgement.kept:
                    _keep(writer, chunk.id, judgement, criteria)
                else:
                    dropped.write(_row(chunk, judgement.failed[0], [texts[place] for texts in transcripts]))
        counts.lacking = columns.lacking
        _check_enough(counts, data, bool(leave_out), allow_missing)
    return counts


def _languages(labels: Sequence[str]) -> Iterator[tuple[int, int, bool]]:
    """For each label its units, the English ones of them, and whether it is in both languages."""
    lines = Lines(labels)
    for units, english, chinese in zip(lines.lengths.tolist(), lines.english(), lines.chinese(), strict=True):
        yield units, len(english), bool(english and chinese)


def _keep(writer: SubsetWriter, key: str, judged: Judgement, criteria: Criteria) -> None:
    writer.keep(key)
    if criteria.segments:
        writer.write(trusted.TRUSTED, key, trusted.written(judged.trusted))
    if criteria.weight:
        writer.write(WEIGHT, key, f"{judged.weight:.4f}")


def _check_enough(counts: SelectionCounts, data: DataDir, held_out: bool, allow_missing: bool) -> None:
    """DataError where there was nothing to select from, or too many chunks lack a number."""
    chunks = counts.kept + counts.dropped
    if not chunks:
        nothing = "held out, all of it" if held_out else "empty"
        todo = "give more recordings, or test on fewer chunks" if held_out else "label recordings first"
        raise DataError(f"{data.path / 'text'}: {nothing}: nothing to select from; {todo}")
    for path, (count, example) in counts.lacking.items():
        if count > MISSING * chunks and not allow_missing:
            raise DataError(
                f"{path}: no number for {count} of {counted(chunks, 'chunk')}, {example} the first; make the "
                "scores again, or go on without these chunks with --allow_missing"
            )


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
