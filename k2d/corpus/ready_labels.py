"""Subtitles that a teacher has written before, in place of stage 2.

In: recordings with .srt or .vtt files. Out: the directory of chunks that `k2d.bin.label` would write, without
the facts that only decoding knows (log-probability, no-speech probability, temperature).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from k2d.audio.sources import recordings
from k2d.corpus.subtitles import Cue
from k2d.datadir import DataDir
from k2d.label.archive import ShardWriter
from k2d.label.chunk_directory import ChunkTotals, chunks_of, write_chunk_directory
from k2d.text.transcript import TimedText, Transcript, as_whisper_writes
from k2d.work import identity
from k2d.work.identity import Identity, digest_of, file_digest
from k2d.work.step import Step


def write_ready_labels(
    out: Path, data: DataDir, cues: Mapping[str, list[Cue]], subtitles: Mapping[str, Path], longest: float
) -> ChunkTotals | None:
    """Chunks of at most `longest` seconds in `out`; None if they are there already, from the same files."""
    files = {recording: file_digest(subtitles[recording]) for recording in sorted(cues)}
    step = Step(
        "ready_labels",
        out,
        inputs={"data": identity.of_data(data.path), "subtitles": Identity(str(data.path), digest_of(files))},
        options={"max_chunk": longest},
        arguments={"data": str(data.path), "max_chunk": longest},
    )

    def transcripts() -> Iterator[Transcript]:
        for recording in sorted(cues):
            segments = [TimedText(cue.start, cue.end, as_whisper_writes(cue.text)) for cue in cues[recording]]
            yield Transcript(recording, data.utt2dur[recording], None, segments)

    with step:
        if step.done:
            return None
        chunks = chunks_of(transcripts(), longest, continued=False)
        placed = ShardWriter(out / "audio", step.key).write(chunks, recordings(data).read)
        totals = write_chunk_directory(out, placed, data, copied=True)
        step.finish(recordings=len(cues))
        return totals
