"""Recordings of which no part can be read alone: codecs that depend on all that came before, commands, archives.

In: a recording's samples in pieces. Out: an array of them, on disk where it is long, kept for its next part.

Up to eight hours are kept, those that were asked for last: their parts may come in any order, and from several threads,
of which one reads while the others wait.
"""

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

import numpy as np

from k2d.constants import SAMPLE_RATE

_IN_MEMORY = 600 * SAMPLE_RATE  # samples
_KEPT = 8 * 3600 * SAMPLE_RATE  # samples of all that is kept


def scratch_file():
    """A file without a name in $TMPDIR, else /var/tmp, which is no memory."""
    folder = os.environ.get("TMPDIR") or ("/var/tmp" if os.path.isdir("/var/tmp") else None)
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def write_all(file, array: np.ndarray) -> None:
    """Also where a disk that fills up takes a part: the next one is an OSError."""
    data = memoryview(np.ascontiguousarray(array)).cast("B")
    while data:
        data = data[file.write(data) :]


class Wholes:
    """Recordings by a key that changes when they do."""

    def __init__(self):
        self._kept: OrderedDict[tuple, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple, read: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
        """(samples,) float32, to be read from only. Raises what read() does."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _on_disk(read())
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def _on_disk(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """One array of all pieces; only a short one is in memory."""
    waiting, count, file = [], 0, None
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if file is None and count > _IN_MEMORY:
            file = scratch_file()
        if file is not None:
            write_all(file, np.concatenate(waiting))
            waiting.clear()
    if file is None:
        return np.concatenate([np.empty(0, np.float32), *waiting])
    with file:
        return np.memmap(file, np.float32, "r", shape=(count,))
