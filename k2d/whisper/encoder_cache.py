"""Outputs of an encoder in a folder, for models that have the same one: students whose encoder is their teacher's.

In: log-mels. Out: encoder outputs, on a CPU to the bit what the encoder gives. The folder may be shared by processes,
and deleted at any time.
"""

import errno
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from k2d.atomic import atomic

_NAME = "encoder_out"
_STAYS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)  # what the next write will meet as well
_log = logging.getLogger("k2d.whisper")


def _add(digest, tensor: Tensor) -> None:
    tensor = tensor.detach().cpu().contiguous()
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.flatten().view(torch.uint8).numpy())


class EncoderCache:
    """A file for each window, named by its features and by all that decides the encoder's output."""

    def __init__(self, folder: str | Path, encoder: nn.Module, *computed_in: object):
        """computed_in: what else decides it, such as the device and the types of products."""
        self.folder = Path(folder)
        self.key = hashlib.sha256(repr(computed_in).encode())
        for name, weight in sorted(encoder.state_dict().items()):
            self.key.update(name.encode())
            _add(self.key, weight + 0.0)  # averaging a student's epochs turns -0.0 into 0.0
        self.full = False

    def outputs(self, mels: Sequence[Tensor], encode: Callable[[list[Tensor]], list[Tensor]]) -> list[Tensor]:
        """Encoder output (frames_i / 2, n_state) of each mel (n_mels, frames_i); `encode` makes those that are not
        there yet.
        """
        paths = [self._path(mel) for mel in mels]
        found = [_read(path, mel.device) for path, mel in zip(paths, mels)]
        missing = [i for i, output in enumerate(found) if output is None]
        for i, output in zip(missing, encode([mels[i] for i in missing]) if missing else []):
            found[i] = output
            self._write(paths[i], output)
        return found

    def _path(self, mel: Tensor) -> Path:
        digest = self.key.copy()
        _add(digest, mel)
        name = digest.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.safetensors"

    def _write(self, path: Path, output: Tensor) -> None:
        if self.full:
            return
        try:
            with atomic(path, "wb") as handle:
                handle.write(save({_NAME: output.contiguous()}))
        except OSError as error:
            self.full = error.errno in _STAYS
            what = "no more encoder outputs are" if self.full else "an encoder output is not"
            _log.warning(f"{self.folder}: {what} stored: {error.strerror}; decoding goes on")


def _read(path: Path, device: torch.device) -> Tensor | None:
    """None where there is nothing, or nothing sound."""
    try:
        return load_file(path, device=str(device))[_NAME]
    except (OSError, SafetensorError, KeyError):
        return None
