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

# kaldiio would also load b"PKL", which runs code.
_AUDIO, _BINARY, _NUMPY = (b"RIFF", b"fLaC", b"AUDIO"), b"\0B", b"NPY"


class Truncated(DataError):
    """An archive that ends inside an entry."""


class _WholeReads(io.BufferedReader):
    """A file that gives all it is asked for, or says that it is too short."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:
            raise Truncated(f"{self.raw.name}: the archive ends inside an entry; write it again")
        return data


def _read(file: _WholeReads) -> np.ndarray | tuple[int, np.ndarray]:
    from kaldiio.matio import read_kaldi

    flag = file.peek(5)[:5]
    if not flag.startswith((*_AUDIO, _BINARY, _NUMPY)):
        raise DataError(f"{file.raw.name}: expected audio, a matrix or a vector at this offset of the archive")
    try:
        options = {"dtype": "float32"} if flag == b"AUDIO" else None
        if flag.startswith(_NUMPY):  # whose arrays of objects are pickles
            options = {"allow_pickle": False}
        return read_kaldi(file, load_kwargs=options)
    except DataError:
        raise
    except (ValueError, RuntimeError, AssertionError, EOFError, struct.error, wave.Error) as error:
        raise Truncated(f"{file.raw.name}: an entry cannot be read ({error}); write the archive again") from None


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
