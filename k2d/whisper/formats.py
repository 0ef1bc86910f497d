"""The published forms of a Whisper checkpoint, each read into (ModelDimensions, state dict).

In: an OpenAI `.pt`, a Hugging Face folder (safetensors, sharded or not) or a CTranslate2 folder.
Out: dimensions and tensors under the names of openai-whisper's `Whisper` module. Nothing is unpickled
beyond tensors, every tensor of the file is accounted for, and what does not fit is named.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from k2d.errors import CheckpointError
from k2d.whisper.model import ModelDimensions

State = dict[str, Tensor]


# -- OpenAI ----------------------------------------------------------------------------------------------


def read_openai(path: Path) -> tuple[ModelDimensions, State]:
    """An OpenAI `.pt`: {"dims": {...}, "model_state_dict": {...}}, loaded weights-only."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return ModelDimensions(**content["dims"]), dict(content["model_state_dict"])
    except Exception as error:
        raise CheckpointError(
            f"{path}: not an OpenAI Whisper checkpoint (a torch file of tensors with the keys 'dims' and "
            f"'model_state_dict'): {error}"
        ) from error


# -- Hugging Face ----------------------------------------------------------------------------------------

_HF_PARTS = [
    (r"^model\.", ""),
    (r"\blayers\.", "blocks."),
    (r"self_attn_layer_norm\.", "attn_ln."),
    (r"encoder_attn_layer_norm\.", "cross_attn_ln."),
    (r"final_layer_norm\.", "mlp_ln."),
    (r"self_attn\.", "attn."),
    (r"encoder_attn\.", "cross_attn."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.out_proj\.", ".out."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"embed_tokens\.", "token_embedding."),
    (r"embed_positions\.weight", "positional_embedding"),
]


def hf_to_openai_name(name: str) -> str:
    """`model.decoder.layers.3.fc1.weight` → `decoder.blocks.3.mlp.0.weight`."""
    for pattern, replacement in _HF_PARTS:
        name = re.sub(pattern, replacement, name)
    return name


def openai_to_hf_name(name: str) -> str:
    """The inverse of `hf_to_openai_name`."""
    side, rest = name.split(".", 1)
    rest = rest.replace("token_embedding.", "embed_tokens.")
    if rest == "positional_embedding":
        return f"model.{side}.embed_positions.weight"
    rest = re.sub(r"^(ln_post|ln)\.", "layer_norm.", rest)
    rest = re.sub(r"^blocks\.", "layers.", rest)
    for ours, theirs in [
        (".cross_attn_ln.", ".encoder_attn_layer_norm."),
        (".attn_ln.", ".self_attn_layer_norm."),
        (".mlp_ln.", ".final_layer_norm."),
        (".cross_attn.", ".encoder_attn."),
        (".attn.", ".self_attn."),
        (".query.", ".q_proj."),
        (".key.", ".k_proj."),
        (".value.", ".v_proj."),
        (".out.", ".out_proj."),
        (".mlp.0.", ".fc1."),
        (".mlp.2.", ".fc2."),
    ]:
        rest = rest.replace(ours, theirs)
    return f"model.{side}.{rest}"


def read_huggingface(folder: Path) -> tuple[ModelDimensions, State]:
    """A Hugging Face folder: config.json and model.safetensors (or its index and shards)."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        dims = ModelDimensions(
            n_mels=config["num_mel_bins"],
            n_audio_ctx=config["max_source_positions"],
            n_audio_state=config["d_model"],
            n_audio_head=config["encoder_attention_heads"],
            n_audio_layer=config["encoder_layers"],
            n_vocab=config["vocab_size"],
            n_text_ctx=config["max_target_positions"],
            n_text_state=config["d_model"],
            n_text_head=config["decoder_attention_heads"],
            n_text_layer=config["decoder_layers"],
        )
    except KeyError as error:
        raise CheckpointError(
            f"{folder}/config.json: not a Whisper configuration: {error} is missing"
        ) from error
    index = folder / "model.safetensors.index.json"
    if index.exists():
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        shards = ["model.safetensors"]
    state: State = {}
    for shard in shards:
        if not (folder / shard).exists():
            raise CheckpointError(
                f"{folder}/{shard} is missing: download the folder again, with every safetensors file"
            )
        state.update(safetensors.torch.load_file(folder / shard))
    state.pop("proj_out.weight", None)  # tied to the token embedding
    return dims, {hf_to_openai_name(name): tensor for name, tensor in state.items()}


# -- CTranslate2 -----------------------------------------------------------------------------------------

_CT2_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_ctranslate2_variables(path: Path) -> dict[str, np.ndarray]:
    """Every variable of a CTranslate2 `model.bin`, by name (layout: design of the format, version 6)."""
    data = path.read_bytes()
    at = 0

    def take(form: str):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def name() -> str:
        nonlocal at
        size = take("H")
        text = data[at : at + size - 1].decode()
        at += size
        return text

    try:
        version = take("I")
        spec = name()
        take("I")  # the specification's revision
        if version < 5 or spec != "WhisperSpec":
            raise CheckpointError(
                f"{path}: expected a WhisperSpec of format version 5 or later, found {spec} {version}"
            )
        variables = {}
        for _ in range(take("I")):
            key = name()
            rank = take("B")
            shape = tuple(struct.unpack_from(f"<{rank}I", data, at))
            at += 4 * rank
            kind, size = take("B"), take("I")
            if kind not in _CT2_TYPES:
                raise CheckpointError(
                    f"{path}: {key} has type {kind}; float32, float16, int8 and int16 are read"
                )
            variables[key] = np.frombuffer(
                data, _CT2_TYPES[kind], size // np.dtype(_CT2_TYPES[kind]).itemsize, at
            )
            variables[key] = variables[key].reshape(shape)
            at += size
        for _ in range(take("I")):
            alias = name()
            variables[alias] = variables[name()]
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path}: truncated or not a CTranslate2 model ({error}); copy it again"
        ) from error
    return variables


def read_ctranslate2(folder: Path) -> tuple[ModelDimensions, State]:
    """A CTranslate2 folder; int8 and int16 weights are scaled back to float32."""
    variables = read_ctranslate2_variables(folder / "model.bin")
    used: set[str] = set()

    def get(key: str) -> Tensor:
        if key not in variables:
            raise CheckpointError(f"{folder}/model.bin: {key} is missing")
        used.add(key)
        value = variables[key]
        if value.ndim and value.dtype in (np.int8, np.int16):
            used.add(key + "_scale")
            scale = variables[key + "_scale"].astype(np.float32)
            return torch.from_numpy(value.astype(np.float32) / scale.reshape(-1, *[1] * (value.ndim - 1)))
        return torch.from_numpy(value.copy())

    state: State = {}

    def norm(ours: str, theirs: str):
        state[f"{ours}.weight"] = get(f"{theirs}/gamma")
        state[f"{ours}.bias"] = get(f"{theirs}/beta")

    def linear(theirs: str, *ours: str):
        """One stored matrix, possibly several of ours stacked; keys have no bias (zeros are stored)."""
        weights = get(f"{theirs}/weight").chunk(len(ours))
        biases = get(f"{theirs}/bias").chunk(len(ours))
        for name, weight, bias in zip(ours, weights, biases, strict=True):
            state[f"{name}.weight"] = weight.contiguous()
            if not name.endswith(".key"):
                state[f"{name}.bias"] = bias.contiguous()

    for conv in ("conv1", "conv2"):
        state[f"encoder.{conv}.weight"] = get(f"encoder/{conv}/weight")
        state[f"encoder.{conv}.bias"] = get(f"encoder/{conv}/bias")
    state["encoder.positional_embedding"] = get("encoder/position_encodings/encodings")
    state["decoder.positional_embedding"] = get("decoder/position_encodings/encodings")
    state["decoder.token_embedding.weight"] = get("decoder/embeddings/weight")
    norm("encoder.ln_post", "encoder/layer_norm")
    norm("decoder.ln", "decoder/layer_norm")
    layers = {side: _count_layers(variables, side) for side in ("encoder", "decoder")}
    for side, count in layers.items():
        for i in range(count):
            ours, theirs = f"{side}.blocks.{i}", f"{side}/layer_{i}"
            norm(f"{ours}.attn_ln", f"{theirs}/self_attention/layer_norm")
            linear(
                f"{theirs}/self_attention/linear_0",
                f"{ours}.attn.query",
                f"{ours}.attn.key",
                f"{ours}.attn.value",
            )
            linear(f"{theirs}/self_attention/linear_1", f"{ours}.attn.out")
            if side == "decoder":
                norm(f"{ours}.cross_attn_ln", f"{theirs}/attention/layer_norm")
                linear(f"{theirs}/attention/linear_0", f"{ours}.cross_attn.query")
                linear(f"{theirs}/attention/linear_1", f"{ours}.cross_attn.key", f"{ours}.cross_attn.value")
                linear(f"{theirs}/attention/linear_2", f"{ours}.cross_attn.out")
            norm(f"{ours}.mlp_ln", f"{theirs}/ffn/layer_norm")
            linear(f"{theirs}/ffn/linear_0", f"{ours}.mlp.0")
            linear(f"{theirs}/ffn/linear_1", f"{ours}.mlp.2")
    n_mels = state["encoder.conv1.weight"].shape[1]
    n_vocab, n_state = state["decoder.token_embedding.weight"].shape
    dims = ModelDimensions(
        n_mels=n_mels,
        n_audio_ctx=state["encoder.positional_embedding"].shape[0],
        n_audio_state=n_state,
        n_audio_head=int(get("encoder/num_heads")),
        n_audio_layer=layers["encoder"],
        n_vocab=n_vocab,
        n_text_ctx=state["decoder.positional_embedding"].shape[0],
        n_text_state=n_state,
        n_text_head=int(get("decoder/num_heads")),
        n_text_layer=layers["decoder"],
    )
    # Scalars are settings of CTranslate2's runtime, the projection is the embedding again.
    left = [k for k in variables if k not in used and variables[k].ndim > 0 and "projection" not in k]
    if left:
        raise CheckpointError(f"{folder}/model.bin: not a plain Whisper, it also holds {', '.join(left[:5])}")
    return dims, state


def _count_layers(variables: dict[str, np.ndarray], side: str) -> int:
    found = {int(m[1]) for k in variables if (m := re.match(rf"{side}/layer_(\d+)/", k))}
    return max(found, default=-1) + 1
