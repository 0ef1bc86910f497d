"""The chunks of a data directory of pseudo-labelled speech, streaming.

In: a directory as `k2d label` writes it (labelling.py), or one that others made. Out: `Chunk`s in order of id.
"""

import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from k2d.constants import read_chunk_id
from k2d.datadir import DataDir, parse_segment
from k2d.errors import DataError
from k2d.tables import Cursor, blocks, scan


@dataclass(frozen=True)
class Chunk:
    """One pseudo-labelled chunk. `seconds` is NaN where nothing tells; times are of the recording."""

    id: str
    text: str
    recording: str
    start: float
    end: float
    seconds: float


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
            value = segments.get(key)
            if value is None:
                raise DataError(f"{data.path / 'text'}:{line}: {key!r} has no line in segments")
            segment = segments.parsed(key, value, parse_segment)
            if not named:
                recording, start = segment.recording, segment.start
                end = math.nan if segment.end is None else segment.end
        seconds = durations.number(key) if durations is not None else None
        if recordings is not None and recording not in recordings:
            continue
        yield Chunk(key, text, recording, start, end, seconds if seconds is not None else end - start)


def in_blocks(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """So many chunks at a time that arrays of them stay small."""
    return blocks(chunks, 1000, 500_000, lambda chunk: len(chunk.text))
