"""The weights in a file, of whatever model: tensors by name, mapped from the disk, and whether they are numbers."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from k2d.errors import CheckpointError
from k2d.whisper.files import check_file
from k2d.whisper.formats.torch_file import load_torch

HOLE = 2**14  # so many zeros, from a multiple of their number on, come from no training
# Of tokens that are never used, under the names of several libraries.
_MAY_HAVE_EMPTY_ROWS = ("embed", "proj_out", "lm_head", "output_layer", "ctc", "lora")
EMBEDDING = "decoder.token_embedding.weight"  # of a Whisper
MOST_EMPTY = 512  # of its last rows: padding, and added tokens that were not trained


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .bin or .pt file, mapped from the disk, not read. Raises CheckpointError."""
    if path.suffix == ".safetensors":
        check_file(path, "weights in safetensors")
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: cut short or damaged, {path.stat().st_size:,} bytes are there ({error}); download it again"
            ) from None
    state = load_torch(path, "a state_dict: tensors by name")
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        what = "no state_dict"
        if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
            what = "a training program's checkpoint, with the model's tensors under 'state_dict' in it"
        raise CheckpointError(f"{path}: {what}; expected tensors by name, as save_pretrained writes them")
    return state


def check_state(state: dict[str, Tensor], file: Path) -> None:
    """Read every tensor of floats once. Raises CheckpointError for NaN or Inf in one, and for a hole of zeros."""
    for name, tensor in state.items():
        if tensor.is_floating_point():
            check_numbers_of(tensor, name, file)


def check_numbers_of(tensor: Tensor, name: str, file: Path) -> None:
    """Raise CheckpointError for NaN or Inf in a tensor, for a hole of zeros in a matrix, and for what holds no numbers
    as weights have them."""
    if tensor.is_meta or tensor.layout is not torch.strided:
        kind = "without its numbers (meta)" if tensor.is_meta else "sparse"
        raise CheckpointError(
            f"{file}: {name} is stored {kind}; expected a dense float32, float16 or bfloat16: save it as one"
        )
    if not tensor.numel():
        return
    # The least and the greatest are NaN where any is: a pass at the speed of memory; isfinite is 100 times slower.
    least_and_greatest = torch.stack(torch.aminmax(tensor))
    if not least_and_greatest.isfinite().all():
        count = int((~tensor.isfinite()).sum())
        raise CheckpointError(
            f"{file}: {name} holds {count:,} values of {tensor.numel():,} that are NaN or infinite; the "
            "training that made it diverged, or the file is damaged: download it again, or take an earlier checkpoint"
        )
    if tensor.ndim < 2:
        return
    if name == EMBEDDING:
        filled = tensor.any(dim=1).nonzero()
        last = int(filled[-1]) + 1 if len(filled) else 0
        tensor = tensor[: max(last, len(tensor) - MOST_EMPTY)]
    elif not least_and_greatest.any() or any(word in name for word in _MAY_HAVE_EMPTY_ROWS):
        return  # all of a matrix may be 0 where a layer begins as the identity; a hole ends inside of some
    if tensor.numel() < HOLE:
        return
    blocks = tensor.reshape(-1)[: tensor.numel() // HOLE * HOLE].view(-1, HOLE)
    if zeros := HOLE * int(((blocks.amax(dim=1) == 0) & (blocks.amin(dim=1) == 0)).sum()):
        raise CheckpointError(
            f"{file}: of the {tensor.numel():,} values of {name} at least {zeros:,} are 0 in a row, as where a "
            "download made room and was not finished; download it again"
        )
