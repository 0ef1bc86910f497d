"""Our folder: model.safetensors and config.json with "dims"; with "frozen", the rest lies in another checkpoint."""

from collections.abc import Callable
from pathlib import Path

from k2d.errors import CheckpointError
from k2d.whisper import heads
from k2d.whisper.files import weight_files
from k2d.whisper.formats.state import EMBEDDING, read_state
from k2d.whisper.formats.stored import Stored, StoredTensor, dimensions, shapes


def open_own(folder: Path, config: dict, open_source: Callable[[bool], Stored] | None) -> Stored:
    """open_source: opens the checkpoint that `frozen` names, of which come tensors of equal shape not stored here; it
    is told whether the embedding may be one of them.
    """
    file = folder / "config.json"
    dims = dimensions(config["dims"], file)
    if not isinstance(trim := config.get("trim_padding", False), bool):
        raise CheckpointError(f"{file}: trim_padding is {trim!r}; expected true or false, as the model was trained")
    tensors: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        tensors |= {name: StoredTensor.of(tensor, path) for name, tensor in read_state(path).items()}
    if open_source:
        source = open_source(EMBEDDING not in tensors).tensors
        for name, shape in shapes(dims):
            if name not in tensors and name in source and source[name].shape == shape:
                tensors[name] = source[name]
    return Stored("k2d", folder, dims, file, tensors, config, heads.stored(config.get("alignment_heads"), dims))
