"""Small checkpoints in exactly the published forms, made by the libraries that publish them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from k2d.publish.huggingface import preprocessor_config, tokenizer_files
from k2d.text.tokenizer import WhisperTokenizer
from k2d.whisper.formats.names import openai_to_hf_name
from k2d.whisper.model import ModelDimensions, Whisper

DIMS = ModelDimensions(80, 1500, 16, 2, 1, 51865, 448, 16, 2, 2)


def whisper_model(dims: ModelDimensions = DIMS) -> Whisper:
    torch.manual_seed(0)
    return Whisper(dims).eval()


def transformers_model(model: Whisper):
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    dims = model.dims
    config = WhisperConfig(
        vocab_size=dims.n_vocab, num_mel_bins=dims.n_mels, d_model=dims.n_audio_state,
        encoder_layers=dims.n_audio_layer, decoder_layers=dims.n_text_layer,
        encoder_attention_heads=dims.n_audio_head, decoder_attention_heads=dims.n_text_head,
        encoder_ffn_dim=4 * dims.n_audio_state, decoder_ffn_dim=4 * dims.n_text_state,
        max_source_positions=dims.n_audio_ctx, max_target_positions=dims.n_text_ctx,
        pad_token_id=50257, bos_token_id=50257, eos_token_id=50257, decoder_start_token_id=50258,
    )  # fmt: skip
    theirs = WhisperForConditionalGeneration(config).eval()
    state = {openai_to_hf_name(name): tensor for name, tensor in model.state_dict().items()}
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    theirs.load_state_dict(state)
    return theirs


def transformers_tokenizer(folder: Path, n_vocab: int = DIMS.n_vocab):
    """transformers' own tokenizer of Whisper, out of the files of a published folder."""
    from transformers import WhisperTokenizerFast

    files = tokenizer_files(WhisperTokenizer(n_vocab))
    files["tokenizer_config.json"]["tokenizer_class"] = "WhisperTokenizer"
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    merges = files["tokenizer.json"]["model"]["merges"]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    return WhisperTokenizerFast.from_pretrained(folder)


def write_huggingface(folder: Path, model: Whisper | None = None) -> Path:
    """A folder as it is downloaded: weights, configuration, features, tokenizer."""
    model = model or whisper_model()
    folder.mkdir(parents=True, exist_ok=True)
    transformers_model(model).save_pretrained(folder)
    transformers_tokenizer(folder, model.dims.n_vocab).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor_config(model.dims)))
    return folder
