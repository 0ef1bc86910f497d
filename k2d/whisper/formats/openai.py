"""An OpenAI `.pt`: {"dims": {...}, "model_state_dict": {...}}, of any torch since 0.1.10."""

from pathlib import Path

from torch import Tensor

from k2d.errors import CheckpointError
from k2d.whisper import heads
from k2d.whisper.formats.stored import Stored, StoredTensor, dimensions
from k2d.whisper.formats.torch_file import load_torch

_EXPECTED = "an OpenAI Whisper checkpoint (a torch file of tensors with the keys 'dims' and 'model_state_dict')"
_GGML = (b"lmgg", b"GGUF", b"tjgg", b"fmgg")
# Names of files that are part of a folder, which is the model.
_OF_A_FOLDER = (".safetensors", ".bin", ".json", ".msgpack", ".h5")


def open_openai(path: Path) -> Stored:
    with open(path, "rb") as stream:
        magic = stream.read(4)
    if magic in _GGML:
        raise CheckpointError(
            f"{path}: a model of whisper.cpp (GGML), which only whisper.cpp reads; give the OpenAI .pt "
            "or the Hugging Face folder that it was made from"
        )
    if path.suffix in _OF_A_FOLDER:
        raise CheckpointError(
            f"{path}: part of a model; give its folder, {path.parent}, with config.json and the tokenizer's files in it"
        )
    content = load_torch(path, _EXPECTED)
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or "dims" not in content:
        found = ", ".join(map(str, list(content)[:5])) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: not an OpenAI Whisper checkpoint: expected {_EXPECTED}; found {found}")
    if bad := [name for name, tensor in state.items() if not isinstance(tensor, Tensor)]:
        raise CheckpointError(f"{path}: {bad[0]} is not a tensor; expected {_EXPECTED}")
    tensors = {name: StoredTensor.of(tensor, path) for name, tensor in state.items()}
    dims = dimensions(content["dims"], path)
    stated = heads.stored(content.get("alignment_heads"), dims)
    return Stored("openai", path, dims, path, tensors, alignment_heads=stated)
