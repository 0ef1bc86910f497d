"""Long recordings cut at silence, for models that take one utterance at a time.

In: audio of any length, 16 kHz. Out: pieces of at most 30 s, in samples; what lies between them is silence.
"""

from __future__ import annotations

import numpy as np

from k2d.constants import SAMPLE_RATE, SHORTEST, WINDOW

LAST = 5.0  # seconds before the longest piece's end among which the quietest place is a cut, where there is no pause
PAUSE = 1.0  # seconds; such a pause ends a piece, so that the piece's times are those of speech
MARGIN = 0.1  # seconds of the pause that a piece keeps on either side: soft beginnings and ends of words
SILENCE = 35.0  # decibels below the loud parts of the recording
_FRAME = 512  # samples
_NOTHING = 1e-3  # amplitude: the loudness of a recording that is digital silence but for moments


def _level(loudness: np.ndarray, **axes) -> np.ndarray:
    """A recording's loudness: of its loud parts, since one knock at the microphone is louder than all speech."""
    return np.maximum(np.percentile(loudness, 98, **axes), _NOTHING)


def _sounds(audio: np.ndarray) -> list[tuple[int, int]]:
    """Stretches that are not silence, each with its margins; those that touch are one."""
    import librosa

    # Frames side by side: overlapping ones would take several times the memory of a recording of hours.
    intervals = librosa.effects.split(audio, top_db=SILENCE, ref=_level, frame_length=_FRAME, hop_length=_FRAME)
    margin = round(MARGIN * SAMPLE_RATE)
    sounds: list[tuple[int, int]] = []
    for start, end in intervals.tolist():
        start, end = max(0, start - margin), min(len(audio), end + margin)
        if sounds and start <= sounds[-1][1]:
            sounds[-1] = (sounds[-1][0], end)
        else:
            sounds.append((start, end))
    return sounds


def _quietest(audio: np.ndarray, start: int, end: int) -> int:
    """The sample in the middle of the quietest 0.1 s between two samples."""
    width = round(0.1 * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio[start:end], dtype=np.float64))])
    return start + int(np.argmin(energy[width:] - energy[:-width])) + width // 2


def pieces(audio: np.ndarray, longest: float = WINDOW) -> list[tuple[int, int]]:
    """(start, end) in samples of audio (samples,): pieces in order, each of at most `longest` seconds.

    A piece ends in a pause: at the first of a second or more, else at the last before it would be too long. Only
    sound without any pause for so long is cut inside, where it is quietest within the last seconds.
    """
    most = round(longest * SAMPLE_RATE)
    found: list[tuple[int, int]] = []
    for start, end in _sounds(audio):
        if found and start - found[-1][1] < PAUSE * SAMPLE_RATE and end - found[-1][0] <= most:
            found[-1] = (found[-1][0], end)
            continue
        while end - start > most:
            cut = _quietest(audio, start + most - round(min(LAST, longest / 2) * SAMPLE_RATE), start + most)
            found.append((start, cut))
            start = cut
        found.append((start, end))
    return [(start, end) for start, end in found if end - start >= SHORTEST * SAMPLE_RATE]
