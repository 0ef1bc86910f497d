"""Files of torch.save that are whole: written so that they appear at once.

In: paths. Out: a file that is complete, or the older one, or none.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from k2d.errors import UserError


class NotSaved(UserError, OSError):
    """A checkpoint that the disk did not take."""


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
            raise NotSaved(
                f"{path}: saving the checkpoint failed ({error}); {kept}. Free space and run again: training goes on "
                "from there"
            ) from error

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save
