"""A data directory of pseudo-labelled chunks: written out of finished transcripts, and read.

In: transcripts of recordings in order of id. Out: the directory of the data contract: wav.scp, text with
timestamps, text.prev, utt2spk, spk2utt, utt2dur and the decoding facts (`utt2avg_logprob` …); and from any such
directory its chunks, streaming.
"""

import math
from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from k2d.constants import SAMPLE_RATE, read_chunk_id, recording_in
from k2d.datadir import DataDir, DataDirWriter, Segment
from k2d.errors import DataError
from k2d.label.chunks import PackedChunk, pack
from k2d.tables import Cursor, blocks, fields, number, scan
from k2d.text.transcript import Transcript


@dataclass
class ChunkTotals:
    chunks: int = 0
    chunk_seconds: float = 0.0
    segment_seconds: float = 0.0  # of the segments in them


def chunks_of(transcripts: Iterable[Transcript], longest: float, continued: bool) -> Iterator[PackedChunk]:
    """The chunks of recordings, in their order."""
    for transcript in transcripts:
        yield from pack(transcript.recording, transcript.segments, transcript.duration, longest, continued)


def in_place(chunks: Iterable[PackedChunk], data: DataDir) -> Iterator[tuple[PackedChunk, str, int]]:
    """(chunk, source of its recording, samples), for chunks whose audio is not copied."""
    for chunk in chunks:
        yield chunk, data.wav[chunk.recording], round((chunk.end - chunk.start) * SAMPLE_RATE)


def write_chunk_directory(
    out: Path, placed: Iterable[tuple[PackedChunk, str, int]], data: DataDir, copied: bool
) -> ChunkTotals:
    """Write chunks that come in order of recording and time, each with the place of its audio and its samples.

    copied: the place is that of the chunk alone; otherwise `segments` point into the recordings.
    """
    totals = ChunkTotals()
    before: PackedChunk | None = None
    names = ("text", "text.prev", "utt2spk", "utt2dur") + (() if copied else ("segments",))
    with DataDirWriter(out, *names) as tables:
        for chunk, place, samples in placed:
            follows = before is not None and before.recording == chunk.recording
            if copied:
                tables.write("wav.scp", chunk.id, place)
            else:
                if not follows:
                    tables.write("wav.scp", chunk.recording, place)
                tables.segment(Segment(chunk.id, chunk.recording, chunk.start, chunk.end))
            tables.write("text", chunk.id, chunk.text)
            tables.write("text.prev", chunk.id, before.text if follows else "")
            # The recording's speaker where the data say it; else the recording stands for its speaker.
            tables.write("utt2spk", chunk.id, (data.utt2spk or {}).get(chunk.recording, chunk.recording))
            tables.write_number("utt2dur", chunk.id, samples / SAMPLE_RATE)
            for name, value in chunk.facts().items():
                tables.write_number(f"utt2{name}", chunk.id, value)
            totals.chunks += 1
            totals.chunk_seconds += samples / SAMPLE_RATE
            totals.segment_seconds += sum(min(s.end, chunk.end) - s.start for s in chunk.segments)
            before = chunk
    return totals


@dataclass(frozen=True)
class Chunk:
    """One pseudo-labelled chunk. `seconds` is NaN where nothing tells; times are of the recording."""

    id: str
    text: str
    recording: str
    start: float
    end: float
    seconds: float


class HeldOut(Container[str]):
    """Ids of chunks that are held out, and of all that share sound with one of them: another teacher, or another
    longest chunk, cuts a recording elsewhere, and what a test set says must not be learnt under another id either.
    """

    SHARED = 50  # centiseconds by which each reaches into the other; adjacent chunks may touch

    def __init__(self, ids: Iterable[str]):
        self._ids = frozenset(ids)
        stretches: dict[str, list[tuple[int, int]]] = {}
        for named in filter(None, map(read_chunk_id, self._ids)):
            stretches.setdefault(named.recording, []).append((named.start, named.end))
        # recording -> starts in order, and the latest end of those up to each
        self._stretches: dict[str, tuple[list[int], list[int]]] = {}
        for recording, places in stretches.items():
            starts, ends = zip(*sorted(places), strict=True)
            self._stretches[recording] = list(starts), list(accumulate(ends, max))

    def __bool__(self) -> bool:
        return bool(self._ids)

    def __contains__(self, key: str) -> bool:
        if key in self._ids:
            return True
        known = self._stretches.get(recording_in(key))  # most of millions of chunks end here
        if known is None or (named := read_chunk_id(key)) is None:
            return False
        starts, ends = known
        before = bisect_right(starts, named.end - self.SHARED)  # so many begin early enough to share sound
        return before > 0 and ends[before - 1] - named.start >= self.SHARED


def read_chunks(
    data: DataDir, leave_out: Container[str] = (), recordings: Container[str] | None = None
) -> Iterator[Chunk]:
    """The chunks of a data directory in order of id, streaming, without those of the ids `leave_out`; recordings: those
    of these alone. DataError where it has no `text`.
    """
    durations = Cursor(data.path / "utt2dur") if (data.path / "utt2dur").is_file() else None
    segments = Cursor(data.path / "segments") if data.has_segments else None
    for line, key, text in scan(data.path / "text"):
        if key in leave_out:
            continue
        named = read_chunk_id(key)
        recording = named.recording if named else key
        start, end = (named.start / 100, named.end / 100) if named else (0.0, math.nan)
        if segments is not None:
            row = fields(segments.get(key) or "")
            if len(row) != 3:
                raise DataError(f"{data.path / 'text'}:{line}: {key!r} has no line in segments")
            if not named:
                recording, start, end = row[0], number(row[1]), number(row[2])
        seconds = durations.number(key) if durations is not None else None
        if recordings is not None and recording not in recordings:
            continue
        yield Chunk(key, text, recording, start, end, seconds if seconds is not None else end - start)


def in_blocks(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """So many chunks at a time that arrays of them stay small."""
    return blocks(chunks, 1000, 500_000, lambda chunk: len(chunk.text))
