"""Bangs, which a decoder makes of damaged packets, become silence: a few frames much louder than those beside them."""

from collections.abc import Callable, Iterator

import numpy as np

from k2d.audio.time_line import Piece

_LOUD = 4.0  # of full scale: lossy codecs stay below, unless a packet is damaged
_BURST = 2.0  # times the frames around it: what a damaged packet makes
_BURSTS = 10  # more such frames in a row are no damage: the recording is so loud


def without_bursts(pieces: Iterator[Piece], silenced: Callable[[float], None]) -> Iterator[Piece]:
    """Pieces as they are, but for bursts; `silenced` is told the seconds of each.

    Nothing but the pieces beside a burst decides, so that a part is silenced as it is in the whole.
    """
    held, highest, beside, long = [], 0.0, 0.0, False  # pieces of what may be a burst; peaks of them, and before
    for piece in pieces:
        peak = float(np.abs(piece[1]).max(initial=0.0))
        if peak <= _LOUD:
            yield from _judged(held, highest, max(beside, peak), silenced)
            held, highest, beside, long = [], 0.0, peak, False
            yield piece
            continue
        held.append(piece)
        highest = max(peak, highest)
        if long := long or len(held) > _BURSTS:
            yield from held
            held = []
    yield from _judged(held, highest, beside, silenced)


def _judged(held: list[Piece], highest: float, beside: float, silenced: Callable[[float], None]) -> Iterator[Piece]:
    """What may be a burst: as it is, or silence, where what lies beside it is less than half as loud."""
    for rate, audio, before in held:
        if not highest <= _BURST * beside:
            silenced(max(0, len(audio) - before) / rate)
            audio = np.zeros_like(audio)
        yield rate, audio, before
