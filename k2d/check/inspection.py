"""A model's files, looked at before anything runs: what `formats.inspect_model` and `Transcriber.inspect` do.

The seam to k2d.whisper.formats: once these are there, models.py imports them and this file goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from k2d.errors import CheckpointError
from k2d.transcribers import Transcriber
from k2d.whisper import checkpoint
from k2d.whisper.identity import PUBLISHED, own_config, resolve, weight_files
from k2d.whisper.model import ModelDimensions, Whisper


@dataclass(frozen=True)
class ModelFacts:
    path: str
    form: str
    dims: ModelDimensions | None
    vocabulary: str
    languages: tuple[str, ...]
    bytes: int
    findings: tuple[str, ...] = ()


def inspect_model(name_or_path: str | Path, weights: bool = True) -> ModelFacts:
    """Raises CheckpointError for a model that would not load, or that holds weights that are no numbers."""
    name = str(name_or_path)
    if name in PUBLISHED and not Path(name).exists():
        return ModelFacts(name, "download", None, "", (), 0)
    path = resolve(name)
    try:
        dims, state, _ = checkpoint._read(path)
        model = Whisper(dims)
    except CheckpointError:
        raise
    except Exception as error:  # of many kinds, whatever a library finds wrong with its bytes
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CheckpointError(f"{path}: damaged, or no checkpoint ({what}); copy or download it again") from error
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    there = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if lacking := sorted(set(wanted) - set(there)):
        raise CheckpointError(f"{path}: lacks {len(lacking)} weights ({lacking[0]} …); copy or download it again")
    if other := [name for name in wanted if wanted[name] != there[name]]:
        raise CheckpointError(
            f"{path}: {other[0]} has the shape {there[other[0]]}, its configuration says {wanted[other[0]]}; put the "
            "config.json of these weights beside them"
        )
    if weights and (bad := [name for name in wanted if not torch.isfinite(state[name]).all()]):
        raise CheckpointError(f"{path}: {bad[0]} holds NaN or infinity; copy the model again, or train it anew")
    tokenizer = checkpoint._tokenizer(path, dims)
    kind = type(tokenizer).__name__.removesuffix("Tokenizer")
    said = f"{kind}'s vocabulary, {'multilingual' if tokenizer.multilingual else 'English only'}, {dims.n_vocab} tokens"
    languages = tokenizer.languages if tokenizer.multilingual else ()
    return ModelFacts(name, _form(path), dims, said, languages, sum(file.stat().st_size for file in weight_files(path)))


def _form(path: Path) -> str:
    if path.is_file():
        return "openai"
    if own_config(path):
        return "k2d"
    return "ctranslate2" if (path / "model.bin").exists() else "huggingface"


def inspect(transcriber: Transcriber) -> tuple[str, ...]:
    return (f"{transcriber.kind}:{transcriber.identity.path}",)
