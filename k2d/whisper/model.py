"""Whisper's architecture with any dimensions, built on openai-whisper's modules.

In: log-mel features (batch, n_mels, frames), token ids (batch, length). Out: logits.
Two things differ from `whisper.model`: the encoder accepts contexts shorter than 30 s, and the vocabulary
may be any size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2d.text.whisper_import import whisper
from k2d.whisper.heads import mask, upper_half

__all__ = ["AudioEncoder", "ModelDimensions", "Whisper", "convert", "count_parameters", "same_weights"]

ModelDimensions = whisper.model.ModelDimensions


class AudioEncoder(whisper.model.AudioEncoder):
    def forward(self, mel: Tensor) -> Tensor:
        """mel: (batch, n_mels, frames ≤ 2 · n_audio_ctx, 30 s). Returns (batch, frames / 2, n_state).

        Published Whisper models expect exactly 30 s; models whose config says `trim_padding` were trained
        with shorter contexts too, which saves the encoder the silence behind a short utterance.
        """
        x = F.gelu(self.conv1(mel))
        x = F.gelu(self.conv2(x)).permute(0, 2, 1)
        if x.shape[1] > self.positional_embedding.shape[0]:
            raise ValueError(
                f"{mel.shape[-1]} feature frames do not fit the encoder's "
                f"{2 * self.positional_embedding.shape[0]}; cut the audio into windows of at most 30 s"
            )
        x = (x + self.positional_embedding[: x.shape[1]]).to(x.dtype)
        for block in self.blocks:
            x = block(x)
        return self.ln_post(x)


class Whisper(whisper.model.Whisper):
    """An encoder-decoder; `forward(mel, tokens)` gives logits (batch, length, n_vocab)."""

    def __init__(self, dims: ModelDimensions):
        nn.Module.__init__(self)  # the parent's would build an encoder that we replace
        self.dims = dims
        self.encoder = AudioEncoder(
            dims.n_mels, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer
        )
        self.decoder = whisper.model.TextDecoder(
            dims.n_vocab, dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer
        )
        # TextDecoder leaves this as uninitialised memory; a model that is never loaded must not be garbage.
        nn.init.normal_(self.decoder.positional_embedding, std=0.01)
        self.register_buffer("alignment_heads", mask(upper_half(dims), dims), persistent=False)


def convert(module: nn.Module, device: torch.device | str, dtype: torch.dtype) -> nn.Module:
    """Move `module` in place, weights in `dtype`; Whisper's layer norms compute in float32 and stay so."""
    module.to(device=device, dtype=dtype)
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.float()
    return module


def count_parameters(model: nn.Module) -> int:
    """Number of weights, each shared tensor counted once (the output projection is the token embedding)."""
    return sum({p.data_ptr(): p.numel() for p in model.parameters()}.values())


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules hold equal tensors under equal names."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k].cpu(), right[k].cpu()) for k in left)
