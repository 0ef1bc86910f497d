"""Our model's logits are those of Hugging Face's Whisper on the same weights, and of openai-whisper's."""

import dataclasses

import torch
import whisper

from k2d.whisper import checkpoint
from k2d.whisper.formats.names import openai_to_hf_name
from k2d.whisper.identity import TINY_EN
from k2d.whisper.model import ModelDimensions


def hf_config(dims: ModelDimensions):
    from transformers import WhisperConfig  # takes half a second, and every worker collects all tests

    return WhisperConfig(
        vocab_size=dims.n_vocab,
        num_mel_bins=dims.n_mels,
        d_model=dims.n_text_state,
        encoder_layers=dims.n_audio_layer,
        encoder_attention_heads=dims.n_audio_head,
        decoder_layers=dims.n_text_layer,
        decoder_attention_heads=dims.n_text_head,
        encoder_ffn_dim=4 * dims.n_audio_state,
        decoder_ffn_dim=4 * dims.n_text_state,
        max_source_positions=dims.n_audio_ctx,
        max_target_positions=dims.n_text_ctx,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
    )


def inputs(dims: ModelDimensions, batch: int, length: int):
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(batch, dims.n_mels, 2 * dims.n_audio_ctx, generator=generator)
    return mel, torch.randint(0, dims.n_vocab, (batch, length), generator=generator)


@torch.no_grad()
def test_random_weights_read_from_a_hugging_face_folder(tmp_path):
    dims = ModelDimensions(80, 100, 64, 4, 2, 51865, 448, 64, 4, 3)
    torch.manual_seed(0)
    from transformers import WhisperForConditionalGeneration

    theirs = WhisperForConditionalGeneration(hf_config(dims)).eval()
    for parameter in theirs.parameters():  # biases and norms start as constants, which would hide a mix-up
        parameter.add_(0.05 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="1MB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    mel, tokens = inputs(dims, 2, 30)
    want = theirs(input_features=mel, decoder_input_ids=tokens).logits
    for folder in ("whole", "shards"):
        ours = checkpoint.load(tmp_path / folder)
        assert ours.dims == dims
        torch.testing.assert_close(ours.model(mel, tokens), want, atol=1e-4, rtol=0)


@torch.no_grad()
def test_real_tiny_en():
    ours = checkpoint.load(TINY_EN).model
    from transformers import WhisperForConditionalGeneration

    theirs = WhisperForConditionalGeneration(hf_config(ours.dims)).eval()
    state = {openai_to_hf_name(name): tensor for name, tensor in ours.state_dict().items()}
    report = theirs.load_state_dict(state, strict=False)
    assert report.missing_keys == ["proj_out.weight"] and not report.unexpected_keys  # tied to the embedding
    theirs.tie_weights()
    openai = whisper.model.Whisper(whisper.model.ModelDimensions(**dataclasses.asdict(ours.dims))).eval()
    openai.load_state_dict(ours.state_dict())
    t = torch.arange(5 * 16000) / 16000
    sound = 0.2 * torch.sin(2 * torch.pi * (200 + 300 * t) * t)
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(sound))[None]
    tokens = torch.tensor([[50257, 50362, 383, 3280, 318, 257, 1332, 13]])
    got = ours(mel, tokens)
    want = theirs(input_features=mel, decoder_input_ids=tokens).logits
    assert got.std() > 1
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
    torch.testing.assert_close(got, openai(mel, tokens), atol=1e-4, rtol=0)
