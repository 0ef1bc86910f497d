"""Subtitles that a teacher has written before, in place of stage 2.

In: recordings with .srt or .vtt files. Out: the directory of chunks that `k2d.bin.label` would write, without
the facts that only decoding knows (log-probability, no-speech probability, temperature).
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from k2d.audio.sources import recordings
from k2d.corpus.clips import File
from k2d.corpus.subtitles import READY, Cue
from k2d.datadir import DataDir
from k2d.label.archive import ShardWriter
from k2d.label.chunk_directory import Counts, chunks_of, write_chunk_directory
from k2d.tables import atomic
from k2d.text.transcript import TimedText, Transcript
from k2d.whisper.decoding import compression_ratio
from k2d.work.provenance import write_provenance

UNKNOWN = ("utt2avg_logprob", "utt2no_speech", "utt2temperature")


def _timed(cue: Cue) -> TimedText:
    # Whisper writes a space before a segment of a spaced script; a student learns its form.
    text = f" {cue.text}" if cue.text[0].isascii() and cue.text[0].isalnum() else cue.text
    return TimedText(cue.start, cue.end, text, [], 0, 0.0, 0.0, compression_ratio(cue.text), 0.0)


def write_ready_labels(
    out: Path, data: DataDir, cues: Mapping[str, list[Cue]], subtitles: Mapping[str, Path], longest: float
) -> Counts | None:
    """Chunks of at most `longest` seconds in `out`; None if they are there already, from the same files."""
    digest = hashlib.sha256(f"{longest}".encode())
    for recording in sorted(cues):
        digest.update(f"\n{recording} {File(str(subtitles[recording])).stamp()}".encode())
        digest.update(f" {File(data.wav[recording]).stamp()}".encode())
    key = digest.hexdigest()[:16]
    mark = out / READY
    if mark.exists() and mark.read_text().strip() == key:
        return None
    mark.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)

    def transcripts() -> Iterator[Transcript]:
        for recording in sorted(cues):
            segments = [_timed(cue) for cue in cues[recording]]
            yield Transcript(recording, data.utt2dur[recording], None, segments)

    chunks = chunks_of(transcripts(), longest, continued=False)
    placed = ShardWriter(out / "audio", key).write(chunks, recordings(data).read)
    counts = write_chunk_directory(out, placed, data, copied=True)
    for name in UNKNOWN:
        (out / name).unlink(missing_ok=True)
    write_provenance(out, {"labels": "subtitles", "max_chunk": longest, "recordings": len(cues)})
    with atomic(mark) as handle:
        handle.write(key + "\n")
    return counts
