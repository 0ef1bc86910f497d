"""Files of torch.save, read weights-only: a zip, or the pickle of torch before 1.6.

In: a path. Out: what was saved, its tensors mapped from the disk where the file is a zip; a CheckpointError with the
true reason for what is cut, damaged, of a form that cannot be read without running code, or holds more than weights.
torch's own advice, to load such a file with weights_only=False, is not passed on: it would run what is in it.
"""

import re
import warnings
import zipfile
from pathlib import Path

import torch

from k2d.errors import CheckpointError
from k2d.whisper.files import check_file

_UNSUPPORTED = re.compile(
    r"Unsupported (?:global|class|operand)[^:]*: (?:GLOBAL )?([\w.]+)|Can only build Tensor.*|"
    r"unsupported GLOBAL ([\w.]+) whose module"
)


def load_torch(path: Path, what: str):
    """The object in the file. what: is expected there."""
    check_file(path, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript archives, which are refused
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except MemoryError:
        raise
    except Exception as error:  # unpicklers raise whatever the bytes lead them to
        raise CheckpointError(f"{path}: {_reason(error, path)}. Expected {what}") from None


def _reason(error: Exception, path: Path) -> str:
    text = str(error)
    if "legacy .tar" in text:
        return (
            "a tar of torch before 0.1.10, which cannot be read without running what is in it; load it where you trust "
            "it and save its state_dict with a torch of today"
        )
    if "TorchScript" in text:
        return "a TorchScript archive, which is a program; save the state_dict of the model that it was made from"
    if found := _UNSUPPORTED.search(text):
        named = f" ({found[1] or found[2]})" if found[1] or found[2] else ""
        return (
            f"holds objects besides weights{named}, which could run code, and is not loaded; whoever made it can save "
            "its state_dict alone"
        )
    size = f"{path.stat().st_size:,} bytes are there"
    if zipfile.is_zipfile(path):
        return f"damaged ({_first_sentence(text)}); download it again"
    if _starts_as_zip(path):
        return f"cut short, {size} and the end is missing; download it again"
    if isinstance(error, EOFError) or "EOF" in text or "requires a buffer" in text:
        return f"cut short, {size}; download it again"
    return f"no torch file, or a damaged one, {size} ({_first_sentence(text)}); download it again"


def _first_sentence(text: str) -> str:
    return re.split(r"\. |\n", text.strip())[0][:120] or "unreadable"


def _starts_as_zip(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
