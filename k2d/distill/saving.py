"""Files of torch.save that are whole: written so that they appear at once.

In: paths. Out: a file that is complete, or the older one, or none.
"""

import contextlib
import os
from collections.abc import Iterator

import torch

from k2d.atomic import atomic
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
        try:
            with atomic(f, "wb") as stream:
                save(obj, stream, *args, **kwargs)
        except (OSError, RuntimeError) as error:
            kept = "; the previous one is intact" if os.path.exists(f) else ""
            raise NotSaved(
                f"{f}: saving the checkpoint failed ({error}){kept}. Free space and run again: training goes on from "
                "the last epoch that was saved"
            ) from error

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save
