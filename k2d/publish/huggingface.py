"""A checkpoint as a Hugging Face folder, loadable by transformers' WhisperForConditionalGeneration
and WhisperProcessor, and by our own loader.

Beside the published files a model with its own vocabulary keeps its `tokenizer.model`, from which we read it.
"""

import json
from pathlib import Path

import safetensors.torch
import torch

from k2d.atomic import atomic
from k2d.constants import ENCODER_FRAMES_PER_SECOND, HOP_LENGTH, MEL_FRAMES_PER_SECOND, N_FFT, SAMPLE_RATE
from k2d.errors import CheckpointError
from k2d.publish.tokenizer_json import byte_level_json, tokenizer_json
from k2d.text.tokenizer import SentencePieceTokenizer, Tokenizer
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.formats.names import openai_to_hf_name
from k2d.whisper.heads import heads_of
from k2d.whisper.logit_rules import blank_tokens, suppressed_tokens
from k2d.whisper.model import ModelDimensions, Whisper


def model_config(dims: ModelDimensions, tokenizer: Tokenizer, dtype: torch.dtype) -> dict:
    """config.json. CheckpointError for a model that the form cannot hold."""
    if dims.n_audio_state != dims.n_text_state:
        raise CheckpointError(
            f"the encoder is {dims.n_audio_state} wide and the decoder {dims.n_text_state}; Hugging Face's "
            "Whisper has one width"
        )
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "is_encoder_decoder": True,
        "d_model": dims.n_audio_state,
        "num_mel_bins": dims.n_mels,
        "vocab_size": dims.n_vocab,
        "encoder_layers": dims.n_audio_layer,
        "encoder_attention_heads": dims.n_audio_head,
        "encoder_ffn_dim": 4 * dims.n_audio_state,
        "decoder_layers": dims.n_text_layer,
        "decoder_attention_heads": dims.n_text_head,
        "decoder_ffn_dim": 4 * dims.n_text_state,
        "num_hidden_layers": dims.n_audio_layer,
        "max_source_positions": dims.n_audio_ctx,
        "max_target_positions": dims.n_text_ctx,
        "activation_function": "gelu",
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "bos_token_id": tokenizer.eot,
        "eos_token_id": tokenizer.eot,
        "pad_token_id": tokenizer.eot,
        "decoder_start_token_id": tokenizer.sot,
        "dtype": str(dtype).removeprefix("torch."),
    }


def generation_config(model: Whisper, tokenizer: Tokenizer, language: str = "zh") -> dict:
    """What transformers' generation needs to know of the special tokens, the same rules as ours, and of the heads that
    words are timed by. language: to decode in where none is asked for; auto: it detects one."""
    options = DecodingOptions(timestamps=False)
    config = {
        "bos_token_id": tokenizer.eot,
        "eos_token_id": tokenizer.eot,
        "pad_token_id": tokenizer.eot,
        "decoder_start_token_id": tokenizer.sot,
        "prev_sot_token_id": tokenizer.sot_prev,
        "no_timestamps_token_id": tokenizer.no_timestamps,
        "max_initial_timestamp_index": options.last_initial_timestamp(model.dims.n_audio_ctx),
        "max_length": model.dims.n_text_ctx,
        "return_timestamps": False,
        "is_multilingual": tokenizer.multilingual,
        "suppress_tokens": suppressed_tokens(tokenizer, options),
        "begin_suppress_tokens": blank_tokens(tokenizer),
        "alignment_heads": [list(head) for head in heads_of(model)],
    }
    if tokenizer.multilingual:
        config["task"] = "transcribe"
        # Without a language transformers detects one for each window, and code-switched speech is read in both.
        if language != "auto":
            config["language"] = language if language in tokenizer.languages else tokenizer.languages[0]
        config["lang_to_id"] = {f"<|{code}|>": tokenizer.language_token(code) for code in tokenizer.languages}
        config["task_to_id"] = {"transcribe": tokenizer.transcribe, "translate": tokenizer.translate}
    return config


def preprocessor_config(dims: ModelDimensions) -> dict:
    """Whisper's log-mel: 16 kHz, 25 ms windows every 10 ms, 30 s at a time."""
    seconds = dims.n_audio_ctx // ENCODER_FRAMES_PER_SECOND
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": dims.n_mels,
        "sampling_rate": SAMPLE_RATE,
        "n_fft": N_FFT,
        "hop_length": HOP_LENGTH,
        "chunk_length": seconds,
        "n_samples": SAMPLE_RATE * seconds,
        "nb_max_frames": MEL_FRAMES_PER_SECOND * seconds,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, dict]:
    """Names and contents of the tokenizer's JSON files. WhisperTokenizer rebuilds byte-level BPE whatever the file
    says, and transformers' pipeline takes no other, so that is what a vocabulary of another kind is written as."""
    own = isinstance(tokenizer, SentencePieceTokenizer)
    library = byte_level_json(tokenizer) if own else tokenizer_json(tokenizer)
    end = "<|endoftext|>"
    config = {
        "processor_class": "WhisperProcessor",
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "unk_token": end,
        "additional_special_tokens": [t["content"] for t in library["added_tokens"] if t["special"]],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
        "tokenizer_class": "WhisperTokenizer",
    }
    return {
        "tokenizer.json": library,
        "tokenizer_config.json": config,
        "vocab.json": library["model"]["vocab"],
        "added_tokens.json": {t["content"]: t["id"] for t in library["added_tokens"]},
    }


def save_huggingface(folder: Path, model: Whisper, tokenizer: Tokenizer, language: str = "zh") -> None:
    """Write the folder; the weights come last, so that a folder with weights is complete."""
    state = {openai_to_hf_name(name): t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    dtype = next(model.parameters()).dtype
    files = {
        "config.json": model_config(model.dims, tokenizer, dtype),
        "generation_config.json": generation_config(model, tokenizer, language),
        "preprocessor_config.json": preprocessor_config(model.dims),
        **tokenizer_files(tokenizer),
    }
    for name, content in files.items():
        with atomic(folder / name) as stream:
            stream.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    merges = files["tokenizer.json"]["model"]["merges"]
    with atomic(folder / "merges.txt") as stream:
        stream.write("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
    if isinstance(tokenizer, SentencePieceTokenizer):
        with atomic(folder / "tokenizer.model", "wb") as stream:
            stream.write(tokenizer.model_proto)
    with atomic(folder / "model.safetensors", "wb") as stream:
        stream.write(safetensors.torch.save(state, metadata={"format": "pt"}))
