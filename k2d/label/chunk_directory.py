"""A data directory of pseudo-labelled chunks out of finished transcripts.

In: transcripts of recordings in order of id. Out: the directory of the data contract: wav.scp, text with
timestamps, text.prev, utt2spk, spk2utt, utt2dur and the decoding facts (`utt2avg_logprob` …).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from k2d.constants import SAMPLE_RATE
from k2d.datadir import DataDir, Segment, segment_value
from k2d.label.chunks import Chunk, chunk_id, pack
from k2d.tables import TableWriters
from k2d.text.transcript import Transcript


@dataclass
class Counts:
    chunks: int = 0
    chunk_seconds: float = 0.0


def chunks_of(transcripts: Iterable[Transcript], longest: float, continued: bool) -> Iterator[Chunk]:
    """The chunks of recordings, in their order."""
    for transcript in transcripts:
        yield from pack(transcript.recording, transcript.segments, transcript.duration, longest, continued)


def in_place(chunks: Iterable[Chunk], data: DataDir) -> Iterator[tuple[Chunk, str, int]]:
    """(chunk, source of its recording, samples), for chunks whose audio is not copied."""
    for chunk in chunks:
        yield chunk, data.wav[chunk.recording], round((chunk.end - chunk.start) * SAMPLE_RATE)


def write_chunk_directory(out: Path, placed: Iterable[tuple[Chunk, str, int]], data: DataDir, copied: bool) -> Counts:
    """Write chunks that come in order of recording and time, each with the place of its audio and its samples.

    copied: the place is that of the chunk alone; otherwise `segments` point into the recordings.
    """
    counts = Counts()
    if copied:
        (out / "segments").unlink(missing_ok=True)
    # speaker -> recording -> its chunks' times, start and end in turn: sixteen bytes a chunk, since there are millions.
    speakers: dict[str, dict[str, array]] = {}
    before: Chunk | None = None
    # wav.scp is the first to be named and so the last to appear: a directory that opens is complete.
    names = ("wav.scp", "text", "text.prev", "utt2spk", "utt2dur", "spk2utt") + (() if copied else ("segments",))
    with TableWriters(out, *names) as tables:
        for chunk, place, samples in placed:
            follows = before is not None and before.recording == chunk.recording
            if copied:
                tables.write("wav.scp", chunk.id, place)
            else:
                if not follows:
                    tables.write("wav.scp", chunk.recording, place)
                segment = Segment(chunk.id, chunk.recording, chunk.start, chunk.end)
                tables.write("segments", chunk.id, segment_value(segment))
            tables.write("text", chunk.id, chunk.text)
            tables.write("text.prev", chunk.id, before.text if follows else "")
            speaker = _speaker(data, chunk)
            tables.write("utt2spk", chunk.id, speaker)
            speakers.setdefault(speaker, {}).setdefault(chunk.recording, array("q")).extend(chunk.centiseconds)
            tables.write_number("utt2dur", chunk.id, samples / SAMPLE_RATE)
            for name, value in chunk.facts().items():
                tables.write_number(f"utt2{name}", chunk.id, value)
            counts.chunks += 1
            counts.chunk_seconds += samples / SAMPLE_RATE
            before = chunk
        for speaker in sorted(speakers):
            tables.write("spk2utt", speaker, " ".join(sorted(_ids(speakers[speaker]))))
    return counts


def _ids(recordings: dict[str, array]) -> Iterator[str]:
    for recording, times in recordings.items():
        for start, end in zip(times[::2], times[1::2]):
            yield chunk_id(recording, start, end)


def _speaker(data: DataDir, chunk: Chunk) -> str:
    """The recording's speaker where the data say it; else the recording stands for its speaker."""
    return (data.utt2spk or {}).get(chunk.recording, chunk.recording)
