"""Whisper's encoder on a CPU with the products of its matrices in bfloat16.

In: log-mel features. Out: encoder outputs, float32. Only what is multiplied is rounded: sums of products, the residual
stream, layer norms and softmax are float32. Processors that multiply bfloat16 tiles (AMX) do so eight times as fast as
float32; on others this may be slow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.whisper.bfloat16 import BF16, product
from k2d.whisper.model import AudioEncoder


class _Block:
    """A block's weights; adds to the residual stream in place."""

    def __init__(self, block):
        attention = block.attn
        self.heads = attention.n_head
        parts = (attention.query, attention.key, attention.value)
        weights = torch.cat([p.weight.detach() for p in parts])
        biases = torch.cat([torch.zeros(len(p.weight)) if p.bias is None else p.bias.detach() for p in parts])
        self.norm1, self.norm2 = _norm(block.attn_ln), _norm(block.mlp_ln)
        self.qkv = product(weights, biases)
        self.out = _linear(attention.out)
        self.up, self.down = _linear(block.mlp[0], gelu=True), _linear(block.mlp[2])

    def __call__(self, x: Tensor) -> None:
        """x: (length, n_state) float32."""
        length, size = x.shape
        parts = self.qkv(self.norm1(x).to(BF16)).view(1, length, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # (1, heads, length, head size) each
        attended = F.scaled_dot_product_attention(q, k, v)
        x += self.out(attended.transpose(1, 2).reshape(length, size))
        x += self.down(self.up(self.norm2(x).to(BF16)))


def _norm(module) -> Callable[[Tensor], Tensor]:
    weight, bias = module.weight.detach(), module.bias.detach()
    return lambda x: F.layer_norm(x, weight.shape, weight, bias)


def _linear(linear, gelu: bool = False) -> Callable[[Tensor], Tensor]:
    return product(linear.weight.detach(), linear.bias.detach(), gelu)


class _Convolution:
    """A convolution over three frames with gelu behind it, as a product: each frame beside its neighbours."""

    def __init__(self, convolution, stride: int):
        self.stride = stride
        self.product = product(
            convolution.weight.detach().transpose(1, 2).flatten(1), convolution.bias.detach(), gelu=True
        )

    def __call__(self, x: Tensor) -> Tensor:
        """(frames, channels) to (frames / stride, n_state), both bfloat16."""
        frames, channels = x.shape
        x = F.pad(x, (0, 0, 1, 1))
        shape = ((frames - 1) // self.stride + 1, 3 * channels)
        return self.product(x.as_strided(shape, (self.stride * channels, 1)).contiguous())


class BFloat16Encoder:
    """The weights of a float32 encoder, laid out for products in bfloat16."""

    def __init__(self, encoder: AudioEncoder):
        self.convolutions = _Convolution(encoder.conv1, 1), _Convolution(encoder.conv2, 2)
        self.positions = encoder.positional_embedding.detach()
        self.blocks = [_Block(block) for block in encoder.blocks]
        self.norm = _norm(encoder.ln_post)

    def __call__(self, mel: Tensor) -> Tensor:
        """mel: (n_mels, frames ≤ 2 · n_audio_ctx). Returns (frames / 2, n_state), both float32."""
        x = mel.t().to(BF16, memory_format=torch.contiguous_format)
        for convolution in self.convolutions:
            x = convolution(x)
        if len(x) > len(self.positions):
            raise ValueError(f"{mel.shape[1]} feature frames do not fit the encoder's {2 * len(self.positions)}")
        x = x + self.positions[: len(x)]
        for block in self.blocks:
            block(x)
        return self.norm(x)
