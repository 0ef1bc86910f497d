"""Where audio comes from and how to tell that it is still the same.

In: a data directory. Out: 16 kHz audio by id, a cheap stamp of its file, a digest of its samples.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from k2d.audio.durations import recording_seconds
from k2d.audio.read import audio_blocks, joined, recording_duration
from k2d.audio.stamps import FileStamps
from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.errors import BadAudio, in_a_line


class AudioSource:
    """Audio by id. No recording can end a job: whatever goes wrong with one is a BadAudio.

    `stamp(id)` changes when the file behind the id changes (size or modification time) or the part of it
    does; a command's stamp is the command.
    """

    def __init__(
        self,
        blocks: Callable[[str], Iterable[np.ndarray]],
        seconds: Callable[[str], float],
        stamp: Callable[[str], str],
    ):
        self._blocks, self._seconds, self.stamp = blocks, seconds, stamp
        self._known: dict[str, float] = {}

    def blocks(self, name: str) -> Iterator[np.ndarray]:
        """(samples,) float32 at 16 kHz, a few seconds at a time where that can be. Raises BadAudio, and nothing else,
        behind the last block at the latest: till then nothing is known to be sound.
        """
        try:
            yield from self._blocks(name)
        except BadAudio:
            raise
        except Exception as error:
            raise BadAudio(name, "unreadable", f"{in_a_line(error)}; correct or remove it") from error

    def read(self, name: str) -> np.ndarray:
        """All of it, likewise: a quarter of a gigabyte an hour."""
        return joined(self.blocks(name))

    def seconds(self, name: str) -> float:
        """Duration, 0 for audio that cannot be read: reading it will say why. Found once."""
        if name not in self._known:
            try:
                self._known[name] = self._seconds(name)
            except Exception:
                self._known[name] = 0.0
        return self._known[name]


def recordings(data: DataDir, allow_pipes: bool = False, damaged: str = "warn") -> AudioSource:
    """The whole recordings of wav.scp, whatever segments there are. damaged: see read_audio."""
    known = recording_seconds(data)
    stamps = FileStamps()

    def seconds(name: str) -> float:
        return known[name] if name in known else recording_duration(data.wav[name], allow_pipes)

    return AudioSource(
        lambda name: audio_blocks(data.wav[name], allow_pipes, damaged),
        seconds,
        lambda name: stamps(data.wav[name]),
    )


def utterances(data: DataDir, allow_pipes: bool = False, damaged: str = "warn") -> AudioSource:
    """The utterances of a data directory: its segments, or its recordings where it has none."""
    opened = open_utterances(data, allow_pipes, damaged)
    stamps = FileStamps()

    def stamp(name: str) -> str:
        segment = data.segments[name]
        return f"{stamps(data.wav.get(segment.recording, ''))} {segment.start} {segment.end}"

    return AudioSource(lambda name: [opened[name]], opened.duration, stamp)


def files(paths: dict[str, str], damaged: str = "warn") -> AudioSource:
    """Files by name."""
    stamps = FileStamps()
    return AudioSource(
        lambda name: audio_blocks(paths[name], damaged=damaged),
        lambda name: recording_duration(paths[name]),
        lambda name: stamps(paths[name]),
    )


class AudioDigest:
    """The identity of a recording, wherever its file lies: a digest of its samples, taken as they pass by."""

    def __init__(self):
        self.samples, self._state = 0, hashlib.blake2b(digest_size=12)

    def of(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same blocks."""
        for block in blocks:
            self.samples += len(block)
            self._state.update(np.ascontiguousarray(block).data)
            yield block

    @property
    def hexadecimal(self) -> str:
        return self._state.hexdigest()


def audio_digest(audio: np.ndarray) -> str:
    digest = AudioDigest()
    for _ in digest.of([audio]):
        pass
    return digest.hexadecimal
