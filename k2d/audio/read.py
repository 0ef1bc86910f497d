"""Recordings and segments in, 16 kHz mono float32 out; log-mel features.

In: sources as `wav.scp` names them: a path, "file.ark:offset" or "command |".
Out: float32 arrays in [-1, 1] at 16 kHz, or a BadAudio that says what is wrong with which recording.

A part of a file is read by seeking, never by decoding all of it; k2d/audio/files.py says which library reads what.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np

from k2d.audio.files import open_source
from k2d.constants import SAMPLE_RATE, SHORTEST
from k2d.errors import BadAudio

_ONE_STEP = 2.0**-14  # a signal that stays within one 16-bit step up and down is digital silence
_MARGIN = 0.05  # seconds decoded on both sides of a part, so that the resampler sees no edge there


@dataclass(frozen=True)
class Header:
    """What a recording says of itself: sampling rate (Hz), channels, seconds (None: not said)."""

    rate: int
    channels: int
    seconds: float | None


def header(source, allow_pipes: bool = False) -> Header:
    """Rate, channels and seconds of a source, from its header where it has one. Raises BadAudio."""
    reader = open_source(str(source), allow_pipes)
    try:
        return Header(
            reader.rate, reader.channels, None if reader.frames is None else reader.frames / reader.rate
        )
    finally:
        reader.close()


def recording_duration(source, allow_pipes: bool = False) -> float:
    """Seconds of a source, from its header if it tells, else by decoding it. Raises BadAudio."""
    seconds = header(source, allow_pipes).seconds
    if seconds is None:
        return len(read_audio(source, allow_pipes=allow_pipes)) / SAMPLE_RATE
    return seconds


def _resample(audio: np.ndarray, rate: int) -> np.ndarray:
    if rate == SAMPLE_RATE or not len(audio):
        return audio
    import soxr  # what librosa.resample calls; librosa itself costs a second to import

    return soxr.resample(audio, rate, SAMPLE_RATE, quality="HQ").astype(np.float32, copy=False)


def _too_short(source: str, seconds: float) -> BadAudio:
    return BadAudio(source, "too short", f"{seconds:.3f} s, expected at least {SHORTEST} s; remove it")


def pcm16(audio: np.ndarray) -> np.ndarray:
    """Float audio in [-1, 1] as 16-bit integers; what is louder is clipped."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


def is_silent(audio: np.ndarray) -> bool:
    return bool(np.ptp(audio) <= _ONE_STEP)


def read_audio(source, start: float = 0.0, end: float | None = None, allow_pipes: bool = False) -> np.ndarray:
    """Read a source, or its part from `start` to `end` (seconds): (samples,) float32, mono, 16 kHz.

    Channels are averaged and other rates resampled. `end` may lie up to 0.5 s beyond the recording,
    as rounded segment ends do.

    Raises BadAudio for a recording that is missing, empty, truncated, not audio, shorter than 0.1 s,
    not finite, or, read whole, digital silence (a silent part of it is a pause), and for a part
    outside of it. "command |" runs only with `allow_pipes`.
    """
    source = str(source)
    if start < 0 or (end is not None and end <= start):
        raise ValueError(f"{source}: part from {start} to {end} s; expected 0 <= start < end")
    reader = open_source(source, allow_pipes)
    try:
        rate = reader.rate
        total = None if reader.frames is None else reader.frames / rate
        if total is not None and (start >= total or (end is not None and end > total + 0.5)):
            if total < SHORTEST:
                raise _too_short(source, total)
            raise BadAudio(
                source, "outside", f"{start} to {end} s of a recording of {total:.2f} s; correct segments"
            )
        # Begin at a frame that falls on the 16 kHz grid, so that a part equals the same part of the whole.
        grid = rate // gcd(rate, SAMPLE_RATE)
        margin = 0.0 if rate == SAMPLE_RATE else _MARGIN
        first = max(0, int((start - margin) * rate)) // grid * grid
        last = None if end is None else round((end + margin) * rate)
        if last is not None and reader.frames is not None:
            last = min(last, reader.frames)
        audio = reader.read(first, last).mean(axis=1, dtype=np.float32)
    finally:
        reader.close()
    audio = _resample(audio, rate)
    offset = round(start * SAMPLE_RATE) - first * SAMPLE_RATE // rate
    audio = audio[offset : None if end is None else offset + round((end - start) * SAMPLE_RATE)]
    if len(audio) < SHORTEST * SAMPLE_RATE:
        raise _too_short(source, len(audio) / SAMPLE_RATE)
    if not np.isfinite(audio).all():
        raise BadAudio(source, "NaN", "samples are not finite numbers; export the recording again")
    if start == 0.0 and end is None and is_silent(audio):
        raise BadAudio(source, "silence", "every sample is zero; check the microphone or the channel")
    return np.ascontiguousarray(audio)


