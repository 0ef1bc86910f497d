"""Files of torch.save that are whole: written so that they appear at once, and refused where they were cut.

In: paths. Out: a file that is complete or not there, and a sentence about one that is neither.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from k2d.errors import DataError


def check_whole(path: Path, remedy: str) -> Path:
    """The path; DataError for a file that is missing or was cut: torch.save ends a file with its table of contents."""
    if not path.exists():
        raise DataError(f"{path}: no such file; {remedy}")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: cut short or damaged, {path.stat().st_size} bytes are there; {remedy}")
    return path


@contextlib.contextmanager
def whole_saves() -> Iterator[None]:
    """Inside, torch.save to a path is atomic: the file appears whole, or the older one stays."""
    save = torch.save

    def save_whole(obj, f, *args, **kwargs):
        if not isinstance(f, (str, os.PathLike)):
            return save(obj, f, *args, **kwargs)
        path = Path(f)
        # One name for all attempts: what a killed one left is overwritten by the next, or removed by the step.
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with open(temporary, "wb") as stream:
                save(obj, stream, *args, **kwargs)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if not isinstance(error, (OSError, RuntimeError)):
                raise
            kept = "the previous one is intact" if path.exists() else "there is none yet"
            raise OSError(
                f"{path}: saving the checkpoint failed ({error}); {kept}. Free space and run again: training goes on "
                "from there"
            ) from error

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save
