"""A CTranslate2 folder: model.bin, whose int8 and int16 weights are scaled back to float32.

The file, little-endian: uint32 version, name of the specification, uint32 its revision, uint32 number of variables; of
each its name, uint8 rank, uint32 sizes, uint8 type, uint32 bytes, data; then aliases. Names are a uint16 length, with
the final NUL, and their bytes. Only what is asked for is read from the disk.
"""

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from k2d.errors import CheckpointError
from k2d.whisper import heads
from k2d.whisper.files import check_file, read_json
from k2d.whisper.formats.stored import Shape, Stored, StoredTensor, dimensions

_TYPES = {  # code: how it is read, and as what torch sees it
    0: (np.float32, torch.float32),
    1: (np.int8, torch.int8),
    2: (np.int16, torch.int16),
    3: (np.int32, torch.int32),
    4: (np.float16, torch.float16),
    5: (np.int16, torch.bfloat16),
}


# Of the tensors whose shapes tell the dimensions.
_RANKS = {
    "encoder.conv1.weight": 3,
    "encoder.positional_embedding": 2,
    "decoder.positional_embedding": 2,
    "decoder.token_embedding.weight": 2,
}


@dataclass(frozen=True)
class Variable:
    data: np.ndarray  # mapped from the disk
    dtype: torch.dtype

    @property
    def shape(self) -> Shape:
        return self.data.shape

    def tensor(self, rows: slice = slice(None)) -> Tensor:
        """A copy in memory, of some rows."""
        copied = torch.from_numpy(np.array(self.data[rows] if self.shape else self.data))
        return copied.view(self.dtype) if self.dtype != copied.dtype else copied


class _Cursor:
    def __init__(self, data: np.ndarray):
        self.data, self.at = data, 0

    def take(self, form: str):
        size = struct.calcsize("<" + form)
        values = struct.unpack("<" + form, self.bytes(size))
        return values[0] if len(values) == 1 else values

    def bytes(self, size: int) -> bytes:
        return self.array(size).tobytes()

    def array(self, size: int) -> np.ndarray:
        if size > len(self.data) - self.at:
            raise ValueError(f"{size:,} bytes were to follow byte {self.at:,}, {len(self.data) - self.at:,} do")
        self.at += size
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        return self.bytes(self.take("H"))[:-1].decode()


def read_variables(path: Path) -> dict[str, Variable]:
    """Every variable of a model.bin, by name. Raises CheckpointError."""
    check_file(path, "a CTranslate2 model of Whisper")
    cursor = _Cursor(np.memmap(path, np.uint8, "r"))
    variables: dict[str, Variable] = {}
    try:
        version, spec = cursor.take("I"), cursor.name()
        cursor.take("I")  # the specification's revision
        if version not in (5, 6) or spec != "WhisperSpec":
            raise CheckpointError(
                f"{path}: expected a WhisperSpec of format version 5 or 6, found {spec[:40]!r} {version}; convert the "
                "model again with ct2-transformers-converter"
            )
        for _ in range(cursor.take("I")):
            key = cursor.name()
            shape = tuple(cursor.take("I") for _ in range(cursor.take("B")))
            kind, size = cursor.take("B"), cursor.take("I")
            if kind not in _TYPES:
                raise CheckpointError(
                    f"{path}: {key} has type {kind}; float32, float16, bfloat16, int8 and int16 are read: convert the "
                    "model again with one of them"
                )
            stored, dtype = _TYPES[kind]
            if math.prod(shape) * np.dtype(stored).itemsize != size:
                raise ValueError(f"{key} is of shape {shape} and of {size:,} bytes, which do not agree")
            variables[key] = Variable(cursor.array(size).view(stored).reshape(shape), dtype)
        for _ in range(cursor.take("I")):
            alias, name = cursor.name(), cursor.name()
            variables[alias] = variables[name]
    except CheckpointError:
        raise
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: truncated or not a CTranslate2 model ({error}); download or copy it again"
        ) from None
    if cursor.at != len(cursor.data):
        raise CheckpointError(
            f"{path}: {len(cursor.data) - cursor.at:,} bytes follow the model's end; damaged: download it again"
        )
    return variables


class _Parts:
    """Variables as tensors of ours; `used` are those that have become one."""

    def __init__(self, path: Path):
        self.path, self.variables = path, read_variables(path)
        self.used: set[str] = set()
        self.tensors: dict[str, StoredTensor] = {}

    def variable(self, key: str) -> Variable:
        if key not in self.variables:
            raise CheckpointError(f"{self.path}: {key} is missing; not a whole Whisper, convert the model again")
        self.used.add(key)
        return self.variables[key]

    def number(self, key: str) -> int:
        value = self.variable(key)
        if math.prod(value.shape) != 1:
            raise CheckpointError(f"{self.path}: {key} is of shape {value.shape}; expected one number")
        return int(value.data.reshape(()))

    def whole(self, key: str) -> tuple[Shape, Callable[[slice], Tensor]]:
        """Shape, and how to read rows of it: scaled back to float32 where it is stored in int8 or int16."""
        value = self.variable(key)
        if value.dtype not in (torch.int8, torch.int16):
            return value.shape, value.tensor
        scale = self.variable(key + "_scale")
        if scale.shape not in ((), (1,), value.shape[:1]):
            raise CheckpointError(f"{self.path}: {key}_scale is of shape {scale.shape}, {key} of {value.shape}")
        by_row = scale.shape == value.shape[:1]

        def load(rows: slice) -> Tensor:
            factors = scale.tensor(rows if by_row else slice(None)).float()
            return value.tensor(rows).float() / factors.reshape(-1, *[1] * (len(value.shape) - 1))

        return value.shape, load

    def add(self, name: str, key: str) -> None:
        shape, load = self.whole(key)
        self.tensors[name] = StoredTensor(shape, self.path, partial(load, slice(None)))

    def norm(self, ours: str, theirs: str) -> None:
        self.add(f"{ours}.weight", f"{theirs}/gamma")
        self.add(f"{ours}.bias", f"{theirs}/beta")

    def linear(self, theirs: str, *ours: str) -> None:
        """One stored matrix, possibly several of ours stacked; keys have no bias (zeros are stored)."""
        for part in ("weight", "bias"):
            shape, load = self.whole(f"{theirs}/{part}")
            rows = shape[0] // len(ours) if shape else 0
            for i, name in enumerate(ours):
                if part == "bias" and name.endswith(".key"):
                    continue
                self.tensors[f"{name}.{part}"] = StoredTensor(
                    (rows, *shape[1:]), self.path, partial(load, slice(i * rows, (i + 1) * rows))
                )


def open_ctranslate2(folder: Path) -> Stored:
    path = folder / "model.bin"
    parts = _Parts(path)
    for conv in ("conv1", "conv2"):
        parts.add(f"encoder.{conv}.weight", f"encoder/{conv}/weight")
        parts.add(f"encoder.{conv}.bias", f"encoder/{conv}/bias")
    parts.add("encoder.positional_embedding", "encoder/position_encodings/encodings")
    parts.add("decoder.positional_embedding", "decoder/position_encodings/encodings")
    parts.add("decoder.token_embedding.weight", "decoder/embeddings/weight")
    parts.norm("encoder.ln_post", "encoder/layer_norm")
    parts.norm("decoder.ln", "decoder/layer_norm")
    layers = {side: _count_layers(parts.variables, side) for side in ("encoder", "decoder")}
    for side, count in layers.items():
        for i in range(count):
            _layer(parts, side, f"{side}.blocks.{i}", f"{side}/layer_{i}")
    shape = {name: tensor.shape for name, tensor in parts.tensors.items()}
    for name, rank in _RANKS.items():
        if len(shape[name]) != rank:
            raise CheckpointError(f"{path}: {name} is of shape {shape[name]}; convert the model again")
    n_vocab, width = shape["decoder.token_embedding.weight"]
    dims = dimensions(
        {
            "n_mels": shape["encoder.conv1.weight"][1],
            "n_audio_ctx": shape["encoder.positional_embedding"][0],
            "n_audio_state": width,
            "n_audio_head": parts.number("encoder/num_heads"),
            "n_audio_layer": layers["encoder"],
            "n_vocab": n_vocab,
            "n_text_ctx": shape["decoder.positional_embedding"][0],
            "n_text_state": width,
            "n_text_head": parts.number("decoder/num_heads"),
            "n_text_layer": layers["decoder"],
        },
        path,
    )
    # Scalars are settings of CTranslate2's runtime, the projection is the embedding again.
    left = [k for k, v in parts.variables.items() if k not in parts.used and v.shape and "projection" not in k]
    if left:
        raise CheckpointError(f"{path}: not a plain Whisper, it also holds {', '.join(left[:5])}")
    config = folder / "config.json"
    stated = read_json(config, "CTranslate2's configuration").get("alignment_heads") if config.is_file() else None
    return Stored("ctranslate2", folder, dims, path, parts.tensors, alignment_heads=heads.stored(stated, dims))


def _layer(parts: _Parts, side: str, ours: str, theirs: str) -> None:
    parts.norm(f"{ours}.attn_ln", f"{theirs}/self_attention/layer_norm")
    parts.linear(
        f"{theirs}/self_attention/linear_0", f"{ours}.attn.query", f"{ours}.attn.key", f"{ours}.attn.value"
    )
    parts.linear(f"{theirs}/self_attention/linear_1", f"{ours}.attn.out")
    if side == "decoder":
        parts.norm(f"{ours}.cross_attn_ln", f"{theirs}/attention/layer_norm")
        parts.linear(f"{theirs}/attention/linear_0", f"{ours}.cross_attn.query")
        parts.linear(f"{theirs}/attention/linear_1", f"{ours}.cross_attn.key", f"{ours}.cross_attn.value")
        parts.linear(f"{theirs}/attention/linear_2", f"{ours}.cross_attn.out")
    parts.norm(f"{ours}.mlp_ln", f"{theirs}/ffn/layer_norm")
    parts.linear(f"{theirs}/ffn/linear_0", f"{ours}.mlp.0")
    parts.linear(f"{theirs}/ffn/linear_1", f"{ours}.mlp.2")


def _count_layers(variables: dict[str, Variable], side: str) -> int:
    found = {int(m[1]) for k in variables if (m := re.match(rf"{side}/layer_(\d+)/", k))}
    return max(found, default=-1) + 1
