"""Parts of recordings that are read a few seconds at a time.

In: what reads a recording's blocks. Out: its samples between two places. Parts that are asked for in order cost one
reading and the memory of one part.
"""

from collections.abc import Callable, Iterable

import numpy as np

from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio

ROUNDED = 0.1  # seconds by which a recording may end before a part of it does


class Cutter:
    """Parts of recordings of 16 kHz, as they are asked for."""

    def __init__(self, read: Callable[[str], Iterable[np.ndarray]]):
        """read(name): the recording's audio in blocks."""
        self._read, self._name = read, None

    def cut(self, name: str, start: int, end: int) -> np.ndarray:
        """Samples [start, end) of a recording. Raises BadAudio, also where it has become shorter meanwhile."""
        if name != self._name or start < self._first:
            self._name, self._first, self._held = name, 0, np.zeros(0, np.float32)
            self._blocks = iter(self._read(name))
        while self._first + len(self._held) < end and (block := next(self._blocks, None)) is not None:
            unused = max(0, start - self._first)
            self._first += min(unused, len(self._held))
            self._held = np.concatenate([self._held[unused:], block])
        audio = self._held[start - self._first : end - self._first]
        if len(audio) < end - start - ROUNDED * SAMPLE_RATE or not len(audio):
            when = f"it ends before {end / SAMPLE_RATE:.2f} s, and did not when it was read before"
            raise BadAudio(name, "truncated", f"{when}; copy it again, and run this again")
        return audio
