"""Where decoded samples belong on a recording's time line, and the silence between them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from k2d.errors import BadAudio

GRID = 5  # seconds; blocks end at multiples of it, and parts are read from one
JITTER = 0.1  # seconds by which time stamps may differ from what the samples say
_CLOCK_JUMP = 10.0  # seconds; a longer hole of a format whose clock may jump (MPEG, Ogg) is such a jump
_LONGEST_HOLE = 3600.0  # seconds; a longer one is a broken time stamp

Piece = tuple[int, np.ndarray, int]  # rate, (frames, channels), how many of the frames lie before what is wanted


class Clock(NamedTuple):
    """What is known of a recording's time stamps. counted: they were made by counting frames, and tell nothing. jumps:
    they may begin anew in the middle. end: seconds behind which none can lie. exact: they tell the sample."""

    counted: bool
    jumps: bool
    end: float
    exact: bool = False


class TimeLine:
    """Where the next sample belongs: `position` frames of `rate` after `_base` seconds."""

    def __init__(self, clock: Clock):
        self._clock, self.rate, self.position = clock, 0, 0
        self._base = self._shift = 0.0

    @property
    def time(self) -> float:
        return self._base + (self.position / self.rate if self.rate else 0.0)

    def set_rate(self, rate: int, source: str) -> None:
        if rate != self.rate:
            check_form(source, rate, 1)
            self._base, self.position, self.rate = self.time, 0, rate

    def gap(self, stamp: float | None, exact: bool = False, unread: float = 0.0) -> int:
        """Frames of silence before what is stamped so (seconds). exact: after a broken packet small gaps count too.
        unread: seconds for which the bytes before it stand, of which nothing was made: a gap of about so many is none
        of the clock's.
        """
        if stamp is None or self._clock.counted:
            return 0
        gap = stamp + self._shift - self.time
        if abs(gap) <= (0.002 if (exact or self._clock.exact) and gap > 0 else JITTER):
            return 0
        longest = _CLOCK_JUMP if self._clock.jumps and self.time else _LONGEST_HOLE  # sound may begin late
        if gap < 0 or gap > max(longest, 2 * unread) or stamp > self._clock.end:
            self._shift -= gap  # the clock jumped; the sound goes on
            return 0
        return round(gap * self.rate)

    def fits(self, stamp: float | None) -> bool:
        """Whether what is stamped so follows without a gap."""
        return stamp is None or abs(stamp + self._shift - self.time) <= 0.002

    def before(self, start: float) -> int:
        """How many of the next frames lie before `start`."""
        return len(range(self.position, round((start - self._base) * self.rate))) if start < np.inf else 2**62

    def silence(self, count: int, channels: int, start: float) -> Iterator[Piece]:
        while count:
            some = min(count, GRID * self.rate)
            before = self.before(start)
            self.position += some
            count -= some
            if before < some and channels:
                yield self.rate, np.zeros((some, channels), np.float32), before


def check_form(source: str, rate: float, channels: int) -> None:
    """Raise BadAudio for a sampling rate or a number of channels that only a wrong header has."""
    if not 2000 <= rate <= 1_000_000:
        what = f"a sampling rate of {rate:.0f} Hz holds no speech, its header is wrong"
        raise BadAudio(source, "rate", f"{what}; correct it")
    if not 1 <= channels <= 64 or rate * channels > 16_000_000:  # whose seconds would not fit into memory
        raise BadAudio(source, "channels", f"{channels} channels of {rate} Hz, its header is wrong; correct it")
