"""The utterances of a data directory as audio, by id."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from k2d.audio.durations import utterance_seconds
from k2d.audio.read import is_silent, read_audio, recording_duration
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError


class Utterances:
    """The utterances of a data directory by id; see `open_utterances`."""

    def __init__(self, data: DataDir, allow_pipes: bool = False, damaged: str = "warn"):
        self.data = data
        self.allow_pipes, self.damaged = allow_pipes, damaged

    @cached_property
    def _durations(self) -> dict[str, float]:
        return utterance_seconds(self.data)

    def __len__(self) -> int:
        return len(self.data.segments)

    def __iter__(self) -> Iterator[str]:
        return iter(self.data.segments)

    def __contains__(self, utterance: str) -> bool:
        return utterance in self.data.segments

    def _locate(self, utterance: str):
        try:
            segment = self.data.segments[utterance]
        except KeyError:
            raise DataError(f"{self.data.path}: no utterance {utterance!r}") from None
        try:
            return segment, self.data.wav[segment.recording]
        except KeyError:
            raise DataError(
                f"{self.data.path / 'wav.scp'}: no recording {segment.recording!r}, which segments names"
            ) from None

    def __getitem__(self, utterance: str) -> np.ndarray:
        """(samples,) float32 at 16 kHz. Raises BadAudio, also where all of the utterance is silence."""
        segment, source = self._locate(utterance)
        audio = read_audio(source, segment.start, segment.end, self.allow_pipes, self.damaged)
        if is_silent(audio):
            raise BadAudio(source, "silence", f"every sample of utterance {utterance} is the same; remove it")
        return audio

    def duration(self, utterance: str) -> float:
        """Seconds: from utt2dur, else segments, else the recording's header. Raises BadAudio."""
        if utterance not in self._durations:
            segment, source = self._locate(utterance)
            end = segment.end
            if end is None:
                end = recording_duration(source, self.allow_pipes)
            self._durations[utterance] = end - segment.start
        return self._durations[utterance]


def open_utterances(data: DataDir | str | Path, allow_pipes: bool = False, damaged: str = "warn") -> Utterances:
    """`u = open_utterances(data)`: `u[id]` -> (samples,) float32 at 16 kHz, `u.duration(id)` -> seconds.

    damaged: see read_audio.
    """
    return Utterances(data if isinstance(data, DataDir) else DataDir(data), allow_pipes, damaged)
