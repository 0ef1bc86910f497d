"""A Hugging Face folder: config.json, and model.safetensors or pytorch_model.bin, each in one file or in shards."""

from pathlib import Path

import torch

from k2d.errors import CheckpointError
from k2d.whisper import heads
from k2d.whisper.files import read_json, weight_files
from k2d.whisper.formats.names import hf_to_openai_name
from k2d.whisper.formats.state import read_state
from k2d.whisper.formats.stored import Stored, StoredTensor, dimensions

_DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_vocab": "vocab_size",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}
# What openai-whisper's module computes; another value would be computed wrongly.
_FIXED = {"activation_function": "gelu", "scale_embedding": False}
_PROJECTION = "proj_out.weight"


def open_huggingface(folder: Path) -> Stored:
    file = folder / "config.json"
    config = read_json(file, "Whisper's configuration")
    if missing := [name for name in _DIMENSIONS.values() if name not in config]:
        other = f" but of {config['model_type']}" if config.get("model_type", "whisper") != "whisper" else ""
        raise CheckpointError(
            f"{file}: not a Whisper configuration{other}: {missing[0]} is missing. Other models of Hugging Face go by "
            f"transformers:{folder}"
        )
    for name, value in _FIXED.items():
        if config.get(name, value) != value:
            raise CheckpointError(
                f"{file}: {name} is {config[name]!r}; Whisper's is {value!r}, and no other is computed. Use "
                f"transformers:{folder}"
            )
    dims = dimensions({ours: config[theirs] for ours, theirs in _DIMENSIONS.items()}, file, _DIMENSIONS)
    tensors: dict[str, StoredTensor] = {}
    for shard in weight_files(folder):
        for name, tensor in read_state(shard).items():
            tensors[hf_to_openai_name(name)] = StoredTensor.of(tensor, shard)
    projection = tensors.pop(_PROJECTION, None)  # the token embedding again
    if projection is not None and not config.get("tie_word_embeddings", True):
        embedding = tensors.get("decoder.token_embedding.weight")
        if embedding is None or not torch.equal(projection.load(), embedding.load()):
            raise CheckpointError(
                f"{file}: tie_word_embeddings is false and {_PROJECTION} is not the token embedding; Whisper has one "
                f"matrix for both. Use transformers:{folder}"
            )
    generation = folder / "generation_config.json"
    stated = read_json(generation, "how to generate").get("alignment_heads") if generation.is_file() else None
    return Stored("huggingface", folder, dims, file, tensors, alignment_heads=heads.stored(stated, dims))
