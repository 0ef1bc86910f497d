"""Long recordings cut at silence, for models that take one utterance at a time.

In: audio of any length, 16 kHz, a few seconds at a time, and again from any place on. Out: pieces of at most 30 s; what
lies between them is silence.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from k2d.constants import SAMPLE_RATE, SHORTEST, WINDOW

LAST = 5.0  # seconds before the longest piece's end among which the quietest place is a cut, where there is no pause
PAUSE = 1.0  # seconds; such a pause ends a piece, so that the piece's times are those of speech
MARGIN = 0.1  # seconds of the pause that a piece keeps on either side: soft beginnings and ends of words
SILENCE = 35.0  # decibels below the loud parts of the recording
_FRAME = 512  # samples
_NOTHING = 1e-3  # amplitude: the loudness of a recording that is digital silence but for moments


class Loudness:
    """The loudness of a recording, in frames of 32 ms, taken as its blocks pass by: 1 MB for two hours."""

    def __init__(self):
        self.samples, self._frames = 0, []
        self._rest = np.zeros(_FRAME // 2, np.float32)  # the first frame is centred on the first sample

    def of(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same blocks."""
        for block in blocks:
            self.samples += len(block)
            audio = np.concatenate([self._rest, block])
            self._take(audio)
            self._rest = audio[len(audio) // _FRAME * _FRAME :].copy()
            yield block

    def _take(self, audio: np.ndarray) -> None:
        import librosa  # takes a second, and most models cut nothing

        if len(audio) >= _FRAME:
            rms = librosa.feature.rms(y=audio, frame_length=_FRAME, hop_length=_FRAME, center=False)
            self._frames.append(rms[0])

    def sounds(self) -> list[tuple[int, int]]:
        """(start, end) in samples of what is not silence, each with its margins; those that touch are one.

        As librosa.effects.split, which takes a recording as a whole, and so as much memory as that needs.
        """
        import librosa

        self._take(np.concatenate([self._rest, np.zeros(_FRAME, np.float32)]))
        loudness = np.concatenate(self._frames)
        # Measured at the loud parts, since one knock at the microphone is louder than all speech.
        level = max(float(np.percentile(loudness, 98)), _NOTHING)
        loud = librosa.amplitude_to_db(loudness, ref=level, top_db=None) > -SILENCE
        loud = np.concatenate([[False], loud, [False]])
        edges = np.flatnonzero(loud[1:] != loud[:-1]).reshape(-1, 2) * _FRAME
        margin = round(MARGIN * SAMPLE_RATE)
        sounds: list[tuple[int, int]] = []
        for start, end in edges.tolist():
            start, end = max(0, start - margin), min(self.samples, end + margin)
            if sounds and start <= sounds[-1][1]:
                sounds[-1] = (sounds[-1][0], end)
            elif start < end:
                sounds.append((start, end))
        return sounds


def _quietest(audio: np.ndarray) -> int:
    """The sample in the middle of the quietest 0.1 s."""
    width = round(0.1 * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    return int(np.argmin(energy[width:] - energy[:-width])) + width // 2


def pieces(
    sounds: Iterable[tuple[int, int]], cut: Callable[[int, int], np.ndarray], longest: float = WINDOW
) -> Iterator[tuple[int, np.ndarray]]:
    """(first sample, audio) of pieces in order, each of at most `longest` seconds.

    sounds: of the recording. cut(start, end): its samples, asked for in order, and once more from the same place on.

    A piece ends in a pause: at the first of a second or more, else at the last before it would be too long. Only
    sound without any pause for so long is cut inside, where it is quietest within the last seconds.
    """
    most, last = round(longest * SAMPLE_RATE), round(min(LAST, longest / 2) * SAMPLE_RATE)
    for start, end in _stretches(sounds, cut, most, last):
        if end - start >= SHORTEST * SAMPLE_RATE:
            yield start, cut(start, end)


def _stretches(
    sounds: Iterable[tuple[int, int]], cut: Callable[[int, int], np.ndarray], most: int, last: int
) -> Iterator[tuple[int, int]]:
    """(start, end) in samples of the pieces."""
    piece: tuple[int, int] | None = None
    for start, end in sounds:
        if piece and start - piece[1] < PAUSE * SAMPLE_RATE and end - piece[0] <= most:
            piece = (piece[0], end)
            continue
        if piece:
            yield piece
        while end - start > most:
            place = start + most - last + _quietest(cut(start, start + most)[most - last :])
            yield start, place
            start = place
        piece = (start, end)
    if piece:
        yield piece
