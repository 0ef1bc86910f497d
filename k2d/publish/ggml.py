"""A Whisper with a published vocabulary as one file for whisper.cpp, and that file read back.

In: a model and its tokenizer. Out: `ggml-model.bin`, little-endian:

    uint32  0x67676d6c
    int32   n_vocab, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer, n_text_ctx, n_text_state, n_text_head,
            n_text_layer, n_mels, 1: matrices are float16 (0 would be float32)
    int32   n_mels, 201; float32[n_mels × 201]: the mel filters
    int32   count; for each text token in order of id: uint32 length, bytes
    to the end, for each tensor: int32 axes, length of its name, type (0: float32, 1: float16); int32 sizes, the axis
            that varies fastest first; its name in openai-whisper's module; its values

whisper.cpp knows the other tokens by the size of the vocabulary, as openai-whisper does; of any other size it looks for
them where there are none. Matrices are always float16: whisper.cpp loads others, and aborts in its first convolution.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from k2d.atomic import atomic
from k2d.errors import CheckpointError
from k2d.text.tokenizer import WhisperTokenizer
from k2d.text.whisper_import import whisper
from k2d.whisper.formats.stored import shapes
from k2d.whisper.model import ModelDimensions, Whisper

MAGIC = 0x67676D6C
FLOAT32, FLOAT16 = 0, 1
_TYPES = (np.dtype("<f4"), np.dtype("<f2"))
_DIMS = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_ctx", "n_text_state",
    "n_text_head", "n_text_layer", "n_mels",
)  # fmt: skip
# whisper.cpp adds these to float32 and takes them for nothing else.
_ALWAYS_FLOAT32 = ("encoder.positional_embedding", "decoder.positional_embedding")
_CONV_BIASES = ("encoder.conv1.bias", "encoder.conv2.bias")  # a column: whisper.cpp adds it to (frames, channels)


def token_bytes(tokenizer: WhisperTokenizer) -> list[bytes]:
    """The text tokens, as the bytes that they stand for."""
    single = tokenizer._inner.encoding.decode_single_token_bytes
    return [single(i) for i in range(tokenizer.n_merged)]


def save_ggml(path: Path, model: Whisper, tokenizer: WhisperTokenizer) -> None:
    """Write the file, of a model in any type. ValueError for a vocabulary that is not published."""
    if not tokenizer.published:
        raise ValueError("whisper.cpp knows only the vocabularies of the published models")
    filters = whisper.audio.mel_filters("cpu", model.dims.n_mels).numpy().astype("<f4")
    with atomic(path, "wb") as out:
        out.write(struct.pack("<I", MAGIC))
        out.write(struct.pack("<11i", *(getattr(model.dims, name) for name in _DIMS), FLOAT16))
        out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        tokens = token_bytes(tokenizer)
        out.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            out.write(struct.pack("<I", len(token)) + token)
        for name, tensor in model.state_dict().items():
            values = tensor.detach().cpu().squeeze().float().numpy()
            kind = FLOAT16 if values.ndim > 1 and name not in _ALWAYS_FLOAT32 else FLOAT32
            values = values[:, None] if name in _CONV_BIASES else values
            out.write(struct.pack("<3i", values.ndim, len(name.encode()), kind))
            out.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)) + name.encode())
            out.write(np.ascontiguousarray(values, _TYPES[kind]).tobytes())


def read_ggml(path: Path) -> tuple[ModelDimensions, list[bytes], dict[str, torch.Tensor]]:
    """(dimensions, text tokens, tensors by name in the shapes of openai-whisper's module). CheckpointError for a file
    that does not keep the layout.
    """
    try:
        with open(path, "rb") as stream:
            if _numbers(stream, "I", 1)[0] != MAGIC:
                raise ValueError("it does not begin with 0x67676d6c")
            *sizes, _ = _numbers(stream, "i", len(_DIMS) + 1)
            dims = ModelDimensions(**dict(zip(_DIMS, sizes, strict=True)))
            n_mels, n_fft = _numbers(stream, "i", 2)
            _exactly(stream, 4 * n_mels * n_fft)
            tokens = [_exactly(stream, _numbers(stream, "I", 1)[0]) for _ in range(_numbers(stream, "i", 1)[0])]
            expected = dict(shapes(dims))
            state = {name: torch.from_numpy(values.reshape(expected[name])) for name, values in _tensors(stream)}
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise CheckpointError(f"{path}: not a Whisper in whisper.cpp's form ({error}); write it again") from None
    if lacking := expected.keys() - state.keys():
        raise CheckpointError(f"{path}: cut short, without {min(lacking)}; write it again")
    return dims, tokens, state


def _tensors(stream: BinaryIO) -> Iterator[tuple[str, np.ndarray]]:
    while head := stream.read(12):
        axes, length, kind = struct.unpack("<3i", head)
        shape = _numbers(stream, "i", axes)[::-1]
        name = _exactly(stream, length).decode()
        dtype = _TYPES[kind]
        values = np.frombuffer(_exactly(stream, dtype.itemsize * int(np.prod(shape))), dtype)
        yield name, values.reshape(shape).copy()


def _numbers(stream: BinaryIO, kind: str, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}{kind}", _exactly(stream, 4 * count))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it is cut short")
    return data
