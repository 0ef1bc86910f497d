"""A checkpoint on disk: what its headers say, and its tensors, each read when it is asked for.

In: what the reader of a form found. Out: the same, checked: dimensions that make a Whisper, exactly the tensors of
such a Whisper in their shapes, and numbers in them. What does not fit is named with its file.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from k2d.errors import CheckpointError
from k2d.text.whisper_import import whisper
from k2d.whisper.formats.state import check_numbers_of
from k2d.whisper.heads import Head

Shape = tuple[int, ...]
ModelDimensions = whisper.model.ModelDimensions
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_MEANING = {  # of tensors whose shape says what a model was made for
    "encoder.conv1.weight": "its second number is that of mel bands",
    "decoder.token_embedding.weight": "tokens × width: the vocabulary is another",
    "encoder.positional_embedding": "audio positions × width",
    "decoder.positional_embedding": "text positions × width",
}


@dataclass(frozen=True)
class StoredTensor:
    """shape and file are known from a header; load reads the tensor, in the type in which it is stored."""

    shape: Shape
    file: Path
    load: Callable[[], Tensor]

    @classmethod
    def of(cls, tensor: Tensor, file: Path) -> "StoredTensor":
        return cls(tuple(tensor.shape), file, lambda: tensor)


@dataclass(frozen=True)
class Stored:
    """form: "k2d", "openai", "huggingface" or "ctranslate2". place: file or folder. dims as stated in `stated_in`, or
    found in the tensors. tensors under the names of openai-whisper's module. config: of our own folders.
    alignment_heads: None where none are stated.
    """

    form: str
    place: Path
    dims: ModelDimensions
    stated_in: Path
    tensors: dict[str, StoredTensor]
    config: dict = field(default_factory=dict)
    alignment_heads: tuple[Head, ...] | None = None


LARGEST = (1 << 31) - 1  # of a dimension


def dimensions(values: dict, source: Path, named: Mapping[str, str] | None = None) -> ModelDimensions:
    """ModelDimensions of the named numbers; named: what the source calls them. Raises CheckpointError for numbers no
    Whisper can be built with.
    """
    wanted = {field.name for field in dataclasses.fields(ModelDimensions)}
    if not isinstance(values, dict) or set(values) != wanted:
        found = sorted(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise CheckpointError(
            f"{source}: found {found} instead of a Whisper's; expected the dimensions {', '.join(sorted(wanted))}"
        )
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
            said = (named or {}).get(name, name)
            raise CheckpointError(f"{source}: {said} is {value!r}; expected a whole number from 1 to {LARGEST:,}")
    dims = ModelDimensions(**values)
    for side in ("audio", "text"):
        width, heads = getattr(dims, f"n_{side}_state"), getattr(dims, f"n_{side}_head")
        if width % heads:
            raise CheckpointError(
                f"{source}: {heads} attention heads do not divide the {side} width {width} (n_{side}_head, "
                f"n_{side}_state); take the configuration that belongs to the weights"
            )
    if dims.n_audio_state != dims.n_text_state or dims.n_audio_state < 4 or dims.n_audio_state % 2:
        raise CheckpointError(
            f"{source}: widths {dims.n_audio_state} of the encoder and {dims.n_text_state} of the decoder; a Whisper "
            "has one even width for both"
        )
    return dims


def shapes(dims: ModelDimensions) -> Iterator[tuple[str, Shape]]:
    """(name, shape) of every tensor of a Whisper, as `Whisper(dims).state_dict()` has them."""
    n = dims.n_audio_state
    yield "encoder.conv1.weight", (n, dims.n_mels, 3)
    yield "encoder.conv1.bias", (n,)
    yield "encoder.conv2.weight", (n, n, 3)
    yield "encoder.conv2.bias", (n,)
    yield "encoder.positional_embedding", (dims.n_audio_ctx, n)
    yield "decoder.positional_embedding", (dims.n_text_ctx, n)
    yield "decoder.token_embedding.weight", (dims.n_vocab, n)
    for side, layers in (("encoder", dims.n_audio_layer), ("decoder", dims.n_text_layer)):
        for i in range(layers):
            block = f"{side}.blocks.{i}"
            for attention in ("attn", "cross_attn") if side == "decoder" else ("attn",):
                for linear in ("query", "key", "value", "out"):
                    yield f"{block}.{attention}.{linear}.weight", (n, n)
                    if linear != "key":
                        yield f"{block}.{attention}.{linear}.bias", (n,)
                yield from _norm(f"{block}.{attention}_ln", n)
            yield f"{block}.mlp.0.weight", (4 * n, n)
            yield f"{block}.mlp.0.bias", (4 * n,)
            yield f"{block}.mlp.2.weight", (n, 4 * n)
            yield f"{block}.mlp.2.bias", (n,)
            yield from _norm(f"{block}.mlp_ln", n)
    yield from _norm("encoder.ln_post", n)
    yield from _norm("decoder.ln", n)


def _norm(name: str, n: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (n,)
    yield f"{name}.bias", (n,)


def check_tensors(stored: Stored) -> None:
    """Raise CheckpointError unless the tensors are those of a Whisper of the stated dimensions."""
    dims, tensors = stored.dims, stored.tensors
    for side, layers in (("encoder", dims.n_audio_layer), ("decoder", dims.n_text_layer)):
        blocks = [name.split(".")[2] for name in tensors if name.startswith(f"{side}.blocks.")]
        found = len(set(blocks))
        if found != layers:
            raise CheckpointError(
                f"{stored.place}: the tensors do not fit the dimensions that {stored.stated_in} states: {layers} "
                f"{side} layers there, {found} in the weights; take both from one model"
            )
    wanted = dict(shapes(dims))
    problems = {
        "missing": sorted(set(wanted) - set(tensors)),
        "unexpected": sorted(set(tensors) - set(wanted)),
        "of another shape": [
            f"{name} {tensors[name].shape} instead of {shape}" + (f" ({_MEANING[name]})" if name in _MEANING else "")
            for name, shape in wanted.items()
            if name in tensors and tensors[name].shape != shape
        ],
    }
    said = [f"{what}: {', '.join(n[:4])}{' …' if len(n) > 4 else ''}" for what, n in problems.items() if n]
    if said:
        raise CheckpointError(
            f"{stored.place}: the tensors do not fit the dimensions that {stored.stated_in} states; {'; '.join(said)}. "
            "Take both from one model, and download the folder again if it should be one"
        )


def read_tensor(name: str, stored: StoredTensor) -> Tensor:
    """The tensor. Raises CheckpointError for NaN, Inf, and what is no weight (quantised in a way of its own)."""
    tensor = stored.load()
    if tensor.dtype not in _FLOATS:
        raise CheckpointError(
            f"{stored.file}: {name} is stored as {str(tensor.dtype).removeprefix('torch.')}; expected float32, float16 "
            "or bfloat16: take the model as it was before it was quantised"
        )
    check_numbers_of(tensor, name, stored.file)
    return tensor


def check_numbers(stored: Stored) -> None:
    """Read every tensor once, one at a time. About half a second for a gigabyte, where the disk gives it so fast."""
    for name, tensor in stored.tensors.items():
        read_tensor(name, tensor)
