"""References of chunks, where a corpus or an audit has them; for analysis only, never for selection.

In: a Kaldi text file of chunk ids, or a directory with segments and text of the recordings (or of the chunks, as k2d
audit makes it), and the chunks. Out: the units that were said in each chunk.

A reference utterance may end in the middle of a chunk. Its units are spread evenly over its time, and each is given
to the chunk that lies there.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from k2d.datadir import Segment, read_segments
from k2d.errors import DataError
from k2d.held_out import AUDIT
from k2d.label.chunk_directory import Chunk
from k2d.tables import read_table
from k2d.text import timestamps
from k2d.text.units import units

# A chunk ends at a timestamp, a little before or after the last sound. Reference units up to this
# far outside belong to the chunk nearest to them; others have been left out by the labelling.
EDGE = 0.5  # seconds


@dataclass(frozen=True)
class References:
    """`spoken`: chunk -> the units said there, for every chunk of a recording that has a reference. `uncovered`:
    reference units that no chunk holds, of `total`."""

    spoken: Mapping[str, Sequence[str]]
    uncovered: int
    total: int


def read_references(path: str | Path, chunks: Sequence[Chunk]) -> References:
    """Raises DataError for references of other recordings, and for references or chunks without times."""
    path = Path(path)
    if path.is_dir() and _is_of_chunks(path / "text", {chunk.id for chunk in chunks}):
        path /= "text"
    if not path.is_dir():
        said = read_table(path)
        spoken = {c.id: spoken_units(said[c.id]) for c in chunks if c.id in said}
        if not spoken:
            raise DataError(f"{path}: not one chunk's id is in it; expected a text file of chunks, or a directory")
        return References(spoken, 0, sum(map(len, spoken.values())))
    timed = _timed_recordings(path)
    recordings: dict[str, list[Chunk]] = {}
    for chunk in sorted(chunks, key=lambda c: (c.start, c.id)):
        if isnan(chunk.end):
            raise DataError(
                f"chunk {chunk.id!r} does not tell its place; expected a segments file, or ids "
                "<recording>-<start>-<end> in centiseconds as the labelling stage writes them"
            )
        if chunk.recording in timed:
            recordings.setdefault(chunk.recording, []).append(chunk)
    if not recordings:
        raise DataError(f"{path}: not one recording of the chunks; expected references of their recordings")
    spoken, left_out = {}, 0
    for recording, times in timed.items():
        held, outside = _place(times, recordings.get(recording, []))
        spoken |= held
        left_out += outside
    return References(spoken, left_out, sum(map(len, timed.values())))


def _is_of_chunks(text: Path, ids: set[str]) -> bool:
    """Whether a text file is of chunks, not of utterances, of which some may be called and cut like a chunk."""
    said = read_table(text).keys() if text.is_file() else set()
    return 2 * len(said & ids) > len(said)


def audited_texts(folder: str | Path) -> Path:
    """The texts of a data directory that k2d audit made. DataError where nothing was answered, or no audit made it."""
    folder = Path(folder)
    if not (folder / AUDIT).is_file():
        raise DataError(f"{folder}: no {AUDIT} there; expected a data directory that k2d audit made")
    if not (folder / "text").is_file():
        raise DataError(f"{folder}: no answer so far; k2d audit --output_dir {folder} goes on")
    return folder / "text"


def spoken_units(text: str) -> list[str]:
    return units(timestamps.strip(text))


def _timed_recordings(folder: Path) -> dict[str, list[tuple[float, str]]]:
    """recording -> (seconds, unit) of everything said in it, in order."""
    said, places = read_table(folder / "text"), read_segments(folder / "segments")
    for utterance in said:
        if utterance not in places:
            raise DataError(f"{folder}/segments: no line for {utterance}, which {folder}/text has")
        if places[utterance].end is None:
            raise DataError(f"{folder}/segments: {utterance!r} has no end; a reference needs times")
    timed: dict[str, list[tuple[float, str]]] = {}
    for utterance in sorted(said, key=lambda i: (places[i].recording, places[i].start, i)):
        timed.setdefault(places[utterance].recording, []).extend(_timed(places[utterance], said[utterance]))
    return timed


def _timed(segment: Segment, text: str) -> list[tuple[float, str]]:
    """(seconds, unit), evenly spread over the utterance."""
    spoken = spoken_units(text)
    step = (segment.end - segment.start) / max(1, len(spoken))
    return [(segment.start + (i + 0.5) * step, unit) for i, unit in enumerate(spoken)]


def _place(times: Sequence[tuple[float, str]], chunks: Sequence[Chunk]) -> tuple[dict[str, list[str]], int]:
    """Units of one recording to the chunks that hold their times. `chunks` are sorted by start and do not
    overlap. Returns the units of each chunk and how many none holds."""
    starts = [c.start for c in chunks]
    held: dict[str, list[str]] = {c.id: [] for c in chunks}
    left_out = 0
    for time, unit in times:
        after = bisect_right(starts, time)
        near = chunks[max(0, after - 1) : after + 1]
        distances = [(max(c.start - time, time - c.end, 0.0), c.start, c.id) for c in near]
        distance, _, chunk = min(distances, default=(float("inf"), 0.0, ""))
        if distance <= EDGE:
            held[chunk].append(unit)
        else:
            left_out += 1
    return held, left_out
