"""Alignment heads: those of the decoder's cross-attention that tell when a word is said, as (layer, head) pairs.

Every published form has a place for them: `alignment_heads` in transformers' generation_config.json, in CTranslate2's
config.json and in ours; in an OpenAI `.pt` they stand as openai-whisper's `set_alignment_heads` takes them, which
its `load_model` knows by name for OpenAI's own models alone. `k2d align_heads` finds a student's.
"""

import base64
import gzip
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from k2d.text.whisper_import import whisper

Head = tuple[int, int]
ModelDimensions = whisper.model.ModelDimensions


def upper_half(dims: ModelDimensions) -> tuple[Head, ...]:
    """What openai-whisper takes where nothing is known: every head of the upper half of the decoder's layers."""
    return tuple((i, h) for i in range(dims.n_text_layer // 2, dims.n_text_layer) for h in range(dims.n_text_head))


def last_layer(dims: ModelDimensions) -> tuple[Head, ...]:
    return tuple((dims.n_text_layer - 1, head) for head in range(dims.n_text_head))


def heads_of(model: nn.Module) -> tuple[Head, ...]:
    """The heads that a model's words are timed by, in order."""
    return tuple(map(tuple, model.alignment_heads.to_dense().nonzero().tolist()))


def use_heads(model: nn.Module, heads: Iterable[Head]) -> None:
    """Let a model's words be timed by these heads."""
    model.register_buffer("alignment_heads", mask(heads, model.dims).to(model.alignment_heads.device), persistent=False)


def mask(heads: Iterable[Head], dims: ModelDimensions) -> Tensor:
    """(layers, heads), sparse, as `whisper.model.Whisper` keeps them. IndexError for one that there is not."""
    dense = torch.zeros(dims.n_text_layer, dims.n_text_head, dtype=torch.bool)
    for layer, head in heads:
        dense[layer, head] = True
    return dense.to_sparse()


def packed(model: nn.Module) -> str:
    """The argument of openai-whisper's `set_alignment_heads`."""
    return base64.b85encode(gzip.compress(model.alignment_heads.to_dense().cpu().numpy().tobytes(), mtime=0)).decode()


def stored(value: object, dims: ModelDimensions) -> tuple[Head, ...] | None:
    """The heads that a file states, as pairs or packed; None where it states none, or none that this model has.

    Distilled models are published with the heads of their teacher, whose layers they lack: no reason not to read them.
    """
    try:
        if isinstance(value, str | bytes):
            flags = np.frombuffer(gzip.decompress(base64.b85decode(value)), dtype=bool)
            value = np.argwhere(flags.reshape(dims.n_text_layer, dims.n_text_head)).tolist()
        heads = tuple(sorted((int(layer), int(head)) for layer, head in value))
    except (TypeError, ValueError, OSError, EOFError):
        return None
    there = all(0 <= layer < dims.n_text_layer and 0 <= head < dims.n_text_head for layer, head in heads)
    return heads if heads and there else None
