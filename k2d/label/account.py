"""Where the hours of recordings went when they were labelled: into chunks, or what became of them.

In: finished transcripts, and the totals of their chunks. Out: rows of a table, `summary.tsv` beside the chunks; the
same in a sentence. Nothing is decoded for it: every number follows from what the transcripts hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import DataError
from k2d.text.transcript import Transcript
from k2d.wording import audio_length

SUMMARY = "summary.tsv"
RECORDINGS, CHUNKS, PAUSES, NO_SPEECH, DROPPED, FAILED = (
    "recordings", "chunks", "pauses", "no_speech", "dropped", "failed",
)  # fmt: skip
MEANING = {
    RECORDINGS: "audio of the recordings",
    CHUNKS: "became chunks",
    PAUSES: "pauses between chunks, without text",
    NO_SPEECH: "windows left out as without speech (--no_speech_threshold)",
    DROPPED: "text too short for a chunk (0.1 s), too long (30 s), behind the recording's end, or of audio now gone",
    FAILED: "windows that failed at every temperature and were kept (they count above)",
}


@dataclass(frozen=True)
class Row:
    """name: a key of MEANING. All but the first and the last add up to the first."""

    name: str
    seconds: float
    share: float  # of the recordings


@dataclass
class ChunkTotals:
    """Sums over chunks."""

    chunks: int = 0
    seconds: float = 0.0  # of their audio
    overlap: float = 0.0  # of these, what lies in the next chunk too
    segments: float = 0.0  # seconds of the segments in them


@dataclass
class AudioAccount:
    """Sums over recordings, in seconds. no_speech and failed are None where no transcript tells of its windows."""

    recordings: float = 0.0
    segments: float = 0.0
    no_speech: float | None = None
    failed: float | None = None

    def add(self, transcript: Transcript) -> None:
        self.recordings += transcript.duration
        self.segments += sum(s.end - s.start for s in transcript.segments if s.end is not None)
        if transcript.windows is not None:
            self.no_speech = (self.no_speech or 0.0) + transcript.windows["no_speech"]
            self.failed = (self.failed or 0.0) + transcript.windows["failed"]

    def rows(self, chunks: ChunkTotals) -> list[Row]:
        dropped = max(0.0, self.segments - chunks.segments)
        became = chunks.seconds - chunks.overlap
        left = self.recordings - became - (self.no_speech or 0.0) - dropped
        found = {
            RECORDINGS: self.recordings,
            CHUNKS: became,
            PAUSES: max(0.0, left),
            NO_SPEECH: self.no_speech,
            DROPPED: dropped,
            FAILED: self.failed,
        }
        whole = self.recordings or 1.0
        return [Row(name, seconds, seconds / whole) for name, seconds in found.items() if seconds is not None]


def in_words(rows: Sequence[Row]) -> str:
    """One line: of 0.09 h, 44.4 % became chunks; 30.0 % pauses …"""
    first, *others = rows
    shown = [f"{row.share:.1%} {MEANING[row.name]}" for row in others if row.name == CHUNKS or row.seconds > 0.005]
    return f"of {audio_length(first.seconds)}, " + "; ".join(shown)


def write_account(folder: Path, rows: Sequence[Row]) -> None:
    with atomic(folder / SUMMARY) as handle:
        handle.write("what\tseconds\tshare\tmeaning\n")
        handle.writelines(f"{r.name}\t{r.seconds:.2f}\t{r.share:.4f}\t{MEANING[r.name]}\n" for r in rows)


def read_account(folder: Path) -> list[Row]:
    """The rows beside labelled chunks; none where other programs made these. Raises DataError for another table."""
    path = Path(folder) / SUMMARY
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        cells = [line.split("\t") for line in lines]
        rows = [Row(name, float(seconds), float(share)) for name, seconds, share, *_ in cells if name in MEANING]
    except ValueError as error:
        raise DataError(f"{path}: no table of k2d label ({error}); remove it, or label again") from None
    return rows
