"""Chunk packing: adjacent segments of a recording to chunks of at most 30 s (stage A of the method).

In: a recording's segments, in seconds. Out: chunks with their text, timestamps relative to the chunk's start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from k2d.constants import ROUNDING, SHORTEST, TIMESTAMP_STEP, WINDOW, chunk_id, fits_a_chunk
from k2d.text import timestamps
from k2d.text.transcript import TimedText, facts_of

# A segment that runs on over the chunk's end is marked if more than this lies inside it (the authors' code).
CONTINUED_BEYOND = 1.0


@dataclass
class PackedChunk:
    """A stretch [start, end] of a recording in seconds, its segments, and one that runs on behind it."""

    recording: str
    start: float
    end: float
    segments: list[TimedText] = field(default_factory=list)
    continued: TimedText | None = None

    @property
    def id(self) -> str:
        return chunk_id(self.recording, *self.centiseconds)

    @property
    def centiseconds(self) -> tuple[int, int]:
        return round(self.start * 100), round(self.end * 100)

    @property
    def text(self) -> str:
        """`<|0.00|>…<|5.20|>`, relative to the chunk's start, on the 0.02 s grid.

        A segment that runs on leaves its start and `<|continued|>`.
        """
        timed = [(self._relative(s.start), self._relative(s.end), s.text) for s in self.segments]
        continued = None if self.continued is None else self._relative(self.continued.start)
        return timestamps.format(timed, continued)

    def _relative(self, seconds: float) -> float:
        longest = int((self.end - self.start) / TIMESTAMP_STEP + ROUNDING)
        return min(max(round((seconds - self.start) / TIMESTAMP_STEP), 0), longest) * TIMESTAMP_STEP

    def facts(self) -> dict[str, float]:
        """What a filter may want to know of the decoding, for the `utt2…` files: what of DECODING_FACTS is known."""
        found = facts_of(self.segments, "".join(s.text for s in self.segments).strip())
        return {name: value for name, value in found.items() if value is not None}


def pack(
    recording: str,
    segments: Sequence[TimedText],
    duration: float,
    longest: float = WINDOW,
    continued: bool = False,
) -> list[PackedChunk]:
    """Greedy packing: the next segment joins while the chunk stays within `longest` seconds.

    The segment that would overflow starts the next chunk; one that is longer than `longest` by itself stands
    alone. Segments are cut off at the recording's end (`duration`), and dropped if nothing of them is left, or more
    than 30 s, the model's window, which ready transcripts may have. With `continued`, a chunk into which the
    overflowing segment reaches by more than 1.0 s lasts the full `longest` seconds and says `<|continued|>` at its
    start.
    A chunk of less than 0.1 s is dropped: no word fits into it, and no later stage could read its audio.
    """
    if not 0 < longest <= WINDOW:
        raise ValueError(f"chunks of {longest} s: expected more than 0 and at most {WINDOW:.0f} s, Whisper's context")
    chunks: list[PackedChunk] = []
    for segment in segments:
        start, end = min(segment.start, duration), min(segment.end, duration)
        if end - start < TIMESTAMP_STEP - ROUNDING or not fits_a_chunk(start, end):
            continue
        if chunks and end - chunks[-1].start <= longest + ROUNDING:
            chunks[-1].segments.append(segment)
            chunks[-1].end = max(chunks[-1].end, end)
            continue
        if continued and chunks and segment.start < chunks[-1].start + longest - CONTINUED_BEYOND:
            chunks[-1].continued = segment
            chunks[-1].end = min(chunks[-1].start + longest, duration)
        chunks.append(PackedChunk(recording, start, end, [segment]))
    return [chunk for chunk in chunks if chunk.end - chunk.start > SHORTEST - ROUNDING]
