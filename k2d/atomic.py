"""A file that appears whole or not at all, whatever happens while it is written.

In: a path, and what is written to the handle. Out: the file, once it is complete and on the disk.
"""

import fcntl
import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO

from k2d.errors import DataError


@contextmanager
def atomic(path, mode: str = "w"):
    """Open `path` for writing so that it appears whole or not at all.

    The text goes to a temporary name beside it (`.*.tmp`), is flushed to disk and renamed when the block ends
    without an error; on an error nothing of it is left and an older file stays as it was. What killed writers have
    left, the next one of the same file removes. DataError where a folder is. Makes the folder if needed. `mode` is
    "w" (UTF-8, "\\n" line ends) or "wb".
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"atomic() writes new files: mode 'w' or 'wb', not {mode!r}")
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: a folder is where a file is to be written; move or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short, since a name of 255 bytes leaves no room for more. Who writes the same file meanwhile gets the next number.
    begin = f"{path.parent}/.{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}"
    temporaries = (f"{begin}.{number}.tmp" for number in count())
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    try:
        with next(filter(None, (_new_file(name, mode.replace("w", "x"), text) for name in temporaries))) as handle:
            while _removed_leftover(next(temporaries)):  # of several that were killed
                pass
            try:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
                os.replace(handle.name, path)  # still locked
            except BaseException:
                Path(handle.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        if str(error.filename or begin).startswith(begin):
            error.filename = str(path)  # what was to be written, and on which of the disks
        raise


def _new_file(name: str, mode: str, text: Mapping[str, str]) -> IO | None:
    """A new file, locked where that can be; None where a live writer, or somebody else, has the name."""
    _removed_leftover(name)
    with suppress(FileExistsError), ExitStack() as unless_ours:
        handle = unless_ours.enter_context(open(name, mode, **text))
        if _lock(handle.fileno(), name) is not False:
            unless_ours.pop_all()
            return handle
    return None


def _removed_leftover(name: str) -> bool:
    """Remove what a killed writer has left; whether there was such a file."""
    with suppress(OSError):
        # For writing, since NFS locks nothing else.
        left = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _lock(left, name):
                os.unlink(name)
                return True
        finally:
            os.close(left)
    return False


def _lock(descriptor: int, name: str) -> bool | None:
    """Whether an open file is locked now and still has its name; None where nothing can be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.lstat(name))
    except (BlockingIOError, FileNotFoundError):  # somebody has just finished
        return False
    except OSError:
        return None
