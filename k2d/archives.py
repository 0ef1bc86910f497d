"""Kaldi archives (`x.ark:123`), read by kaldiio; nothing that lies in one is ever run.

In: an archive and perhaps an offset. Out: audio as (rate, samples), matrices, vectors and numpy's arrays as arrays.
"""

import io
import os
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from k2d.errors import DataError

LARGEST = 2**31  # bytes of an entry, which is held in memory: more than 8 h at 16 kHz as float32
_METADATA = 2**25  # bytes, at most, of what a FLAC holds besides samples
# kaldiio would also load b"PKL", which runs code.
_AUDIO, _BINARY, _NUMPY = (b"RIFF", b"fLaC", b"AUDIO"), b"\0B", b"NPY"
# What kaldiio, numpy and libsndfile raise, whatever they find wrong.
_UNREADABLE = ValueError, RuntimeError, AssertionError, EOFError, MemoryError, OverflowError, struct.error, wave.Error


class Truncated(DataError):
    """An archive that ends inside an entry."""


class TooLarge(DataError):
    """An entry that memory has no room for."""


class _WholeReads(io.BufferedReader):
    """A file that gives all it is asked for, or says that it is too short before it makes room for it."""

    def read(self, size: int | None = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else size
        if wanted > left:
            raise Truncated(f"{self.raw.name}: the archive ends inside an entry; write it again")
        if wanted > LARGEST:
            gib = LARGEST / 2**30
            raise TooLarge(f"{self.raw.name}: an entry of more than {gib:.0f} GiB; write it as a file of its own")
        return super().read(size)


def _read(file: _WholeReads) -> np.ndarray | tuple[int, np.ndarray]:
    from kaldiio.matio import read_kaldi

    flag = file.peek(5)[:5]
    if not flag.startswith((*_AUDIO, _BINARY, _NUMPY)):
        raise DataError(f"{file.raw.name}: expected audio, a matrix or a vector at this offset of the archive")
    try:
        if flag.startswith((b"fLaC", b"AUDIO")):
            return _read_sound(file, flag)
        # Arrays of objects are pickles.
        return read_kaldi(file, load_kwargs={"allow_pickle": False} if flag.startswith(_NUMPY) else None)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise Truncated(f"{file.raw.name}: an entry cannot be read ({error}); write the archive again") from None


def _read_sound(file: _WholeReads, flag: bytes) -> tuple[int, np.ndarray]:
    """A sound file that begins here, with its length before it (AUDIO), or a FLAC, whose header tells how long it could
    be at most: kaldiio would read it and all entries behind it.
    """
    import soundfile

    if flag == b"AUDIO":
        file.read(len(flag))
        length = int.from_bytes(file.read(file.read(1)[0]), "little")  # a byte says how many hold the length
    else:  # 20 bits rate, 3 channels - 1, 5 bits a sample - 1, 36 samples
        header = int.from_bytes(file.peek(26)[18:26], "big")
        most = (header & 2**36 - 1) * ((header >> 41 & 7) + 1) * ((header >> 36 & 31) + 1) // 8
        left = os.fstat(file.fileno()).st_size - file.tell()
        length = min(left, most + most // 8 + _METADATA) if most else left
    with soundfile.SoundFile(io.BytesIO(file.read(length))) as sound:
        if sound.frames * sound.channels * 4 > LARGEST:
            raise TooLarge(f"{file.raw.name}: an entry of {sound.frames / sound.samplerate / 3600:.0f} h; cut it")
        return sound.samplerate, sound.read(dtype="float32")


def read_entry(path: str | Path, offset: int, *keys: str) -> np.ndarray | tuple[int, np.ndarray]:
    """The entry at `offset`: (rate, samples) of audio, else a matrix or a vector. keys: one of them must be its id.

    Samples are (frames,) or (frames, channels), integers as they were stored or float32 in [-1, 1]. Raises
    Truncated where the archive ends too early, DataError for what is none of these, pickles among them.
    """
    with _WholeReads(io.FileIO(path)) as file:
        if keys and not any(_stands_before(file, f"{key} ".encode(), offset) for key in keys):
            raise DataError(f"{path}: at {offset} no entry of {keys[0]!r} begins; table and archive do not match")
        file.seek(offset)
        return _read(file)


def _stands_before(file: _WholeReads, key: bytes, offset: int) -> bool:
    if not len(key) <= offset < os.fstat(file.fileno()).st_size:
        return False
    file.seek(offset - len(key))
    return file.read(len(key)) == key


def read_vectors(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """(id, vector or matrix) of every entry of an archive, in order. DataError for anything else."""
    from kaldiio.matio import read_token

    with _WholeReads(io.FileIO(path)) as file:
        while file.peek(1):
            key, found = read_token(file), _read(file)
            if not isinstance(found, np.ndarray):
                raise DataError(f"{path}: {key!r} is audio; expected a vector")
            yield key, found
