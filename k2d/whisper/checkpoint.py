"""Loading and saving models of the Whisper family.

In: a name or path in any published form. Out: a `Checkpoint` (model, tokenizer, hash, config).
Forms read: our own folder, OpenAI `.pt`, Hugging Face folder, CTranslate2 folder, ids of the Hugging Face Hub, and the
names that openai-whisper downloads. Forms written: our own folder (safetensors) and OpenAI `.pt`.

Our folder holds `model.safetensors`, `config.json` ({"dims": {...}, "trim_padding": false, ...}) and, where
the vocabulary is not Whisper's own, `tokenizer.model` (sentencepiece). `"frozen": {"source": "tiny.en@…"}`
says that tensors not stored are those of another checkpoint, which is how a model that was trained on top of
a frozen encoder is kept small.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import safetensors.torch
import torch

from k2d.errors import CheckpointError
from k2d.tables import atomic
from k2d.text.tokenizer import SentencePieceTokenizer, Tokenizer, WhisperTokenizer
from k2d.whisper import formats
from k2d.whisper.identity import model_identity, own_config, resolve, weight_files
from k2d.whisper.model import ModelDimensions, Whisper, convert


@dataclasses.dataclass
class Checkpoint:
    model: Whisper
    tokenizer: Tokenizer
    hash: str  # of weights, configuration and tokenizer: identity.model_identity
    path: str
    config: dict

    @property
    def dims(self) -> ModelDimensions:
        return self.model.dims

    @property
    def trim_padding(self) -> bool:
        """Whether short utterances may be decoded with an encoder context shorter than 30 s."""
        return bool(self.config.get("trim_padding", False))


def load(name_or_path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Load a checkpoint of any form; the model is in eval mode. Raises CheckpointError."""
    path = resolve(name_or_path)
    dims, state, config = _read(path)
    model = Whisper(dims)
    _load_state(model, state, path)
    model = convert(model, device, dtype).eval()
    return Checkpoint(model, _tokenizer(path, dims), model_identity(name_or_path).digest, str(name_or_path), config)


def load_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """Only the tokenizer of a checkpoint."""
    path = resolve(name_or_path)
    return _tokenizer(path, read_dims(path))


def read_dims(name_or_path: str | Path) -> ModelDimensions:
    """Only the dimensions of a checkpoint (of our folder, only the config is read)."""
    path = resolve(name_or_path)
    config = own_config(path)
    return ModelDimensions(**config["dims"]) if config else _read(path)[0]


def save(folder: str | Path, model: Whisper, tokenizer: Tokenizer, config: dict | None = None) -> None:
    """Write our folder. With config["frozen"], tensors equal to the source's are left out.

    Each file appears whole; the weights come last, so that a folder with weights is complete.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {**(config or {}), "dims": dataclasses.asdict(model.dims)}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if frozen := config.get("frozen"):
        _, source, _ = _read(resolve(frozen["source"]))
        state = {
            name: tensor
            for name, tensor in state.items()
            if name not in source or not torch.equal(tensor.float(), source[name].float())
        }
    if isinstance(tokenizer, SentencePieceTokenizer):
        with atomic(folder / "tokenizer.model", "wb") as stream:
            stream.write(tokenizer.model_proto)
    with atomic(folder / "config.json") as stream:
        stream.write(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    with atomic(folder / "model.safetensors", "wb") as stream:
        stream.write(safetensors.torch.save(state, metadata={"format": "pt"}))


def save_openai(path: str | Path, model: Whisper) -> None:
    """Write an OpenAI `.pt`, which openai-whisper's `load_model` reads."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    with atomic(path, "wb") as stream:
        torch.save({"dims": dataclasses.asdict(model.dims), "model_state_dict": state}, stream)


def _read(path: Path) -> tuple[ModelDimensions, dict, dict]:
    """(dimensions, tensors, config) of a checkpoint of any form."""
    if path.is_file():
        return *formats.read_openai(path), {}
    config = own_config(path)
    if config:
        dims = ModelDimensions(**config["dims"])
        state = safetensors.torch.load_file(weight_files(path)[0])
        if frozen := config.get("frozen"):
            _, source, _ = _read(resolve(frozen["source"]))
            wanted = Whisper(dims).state_dict()
            for name, tensor in source.items():
                if name in wanted and name not in state and wanted[name].shape == tensor.shape:
                    state[name] = tensor
        return dims, state, config
    if (path / "model.bin").exists():
        return *formats.read_ctranslate2(path), {}
    if (path / "config.json").exists():
        return *formats.read_huggingface(path), {}
    raise CheckpointError(
        f"{path}: not a Whisper checkpoint. Expected an OpenAI .pt file, or a folder with config.json and "
        "model.safetensors (ours or Hugging Face's), or with model.bin (CTranslate2)"
    )


def _load_state(model: Whisper, state: dict, path: Path) -> None:
    wanted = model.state_dict()
    missing = sorted(set(wanted) - set(state))
    unexpected = sorted(set(state) - set(wanted))
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    problems = [
        f"{what}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{path}: the tensors do not fit the dimensions it states; {'; '.join(problems)}"
        )
    model.load_state_dict(state)


def _tokenizer(path: Path, dims: ModelDimensions) -> Tokenizer:
    own = path / "tokenizer.model"
    if own.is_file():
        tokenizer = SentencePieceTokenizer(own)
        if tokenizer.vocab_size != dims.n_vocab:
            raise CheckpointError(
                f"{own}: the vocabulary has {tokenizer.vocab_size} tokens, the model {dims.n_vocab}; "
                "put the tokenizer.model that the model was trained with beside it"
            )
        return tokenizer
    try:
        return WhisperTokenizer(dims.n_vocab)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
