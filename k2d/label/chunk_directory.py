"""A data directory of pseudo-labelled chunks out of finished transcripts.

In: transcripts of recordings in order of id. Out: the directory of the data contract: wav.scp, text with
timestamps, text.prev, utt2spk, spk2utt, utt2dur and the decoding facts (`utt2avg_logprob` …).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from k2d.audio import SAMPLE_RATE
from k2d.datadir import DataDir, Segment, invert, write_numbers, write_segments, write_table
from k2d.label.archive import ShardWriter
from k2d.label.chunks import LONGEST, Chunk, pack
from k2d.whisper.long_form import Transcript
from k2d.whisper.sources import AudioSource


@dataclass
class Counts:
    recordings: int = 0
    chunks: int = 0
    chunk_seconds: float = 0.0


def write_chunk_directory(
    out: Path,
    transcripts: Iterable[Transcript],
    data: DataDir,
    source: AudioSource,
    key: str,
    longest: float = LONGEST,
    continued: bool = False,
    copy: bool = True,
) -> Counts:
    """Pack transcripts to chunks and write them.

    copy: chunk audio goes to FLAC archives under `out`/audio; otherwise `segments` point into the recordings.
    key: digest of what decides the chunks.
    """
    counts = Counts()
    previous: dict[str, str] = {}

    def chunks():
        for transcript in transcripts:
            counts.recordings += 1
            before = ""
            for chunk in pack(transcript.recording, transcript.segments, transcript.duration, longest, continued):
                previous[chunk.id] = before
                before = chunk.text
                yield chunk

    if copy:
        placed = ShardWriter(out / "audio", key).write(chunks(), source.read)
    else:
        placed = (
            (chunk, data.wav[chunk.recording], round((chunk.end - chunk.start) * SAMPLE_RATE)) for chunk in chunks()
        )
    wav: dict[str, str] = {}
    segments: list[Segment] = []
    text: dict[str, str] = {}
    durations: dict[str, float] = {}
    speakers: dict[str, str] = {}
    facts: dict[str, dict[str, float]] = {}
    for chunk, place, samples in placed:
        if copy:
            wav[chunk.id] = place
        else:
            wav[chunk.recording] = place
            segments.append(Segment(chunk.id, chunk.recording, chunk.start, chunk.end))
        text[chunk.id] = chunk.text
        durations[chunk.id] = samples / SAMPLE_RATE
        speakers[chunk.id] = _speaker(data, chunk)
        for name, value in chunk.facts().items():
            facts.setdefault(name, {})[chunk.id] = value
        counts.chunks += 1
        counts.chunk_seconds += samples / SAMPLE_RATE

    if not copy:
        write_segments(out / "segments", segments)
    else:
        (out / "segments").unlink(missing_ok=True)
    write_table(out / "text", text)
    write_table(out / "text.prev", previous)
    write_table(out / "utt2spk", speakers)
    write_table(out / "spk2utt", invert(speakers))
    write_numbers(out / "utt2dur", durations)
    for name, values in facts.items():
        write_numbers(out / f"utt2{name}", values)
    write_table(out / "wav.scp", wav)  # last: a directory that opens is complete
    return counts


def _speaker(data: DataDir, chunk: Chunk) -> str:
    """The recording's speaker where the data say it; else the recording stands for its speaker."""
    return (data.utt2spk or {}).get(chunk.recording, chunk.recording)
