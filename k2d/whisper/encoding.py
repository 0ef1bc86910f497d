"""Whisper's encoder on a CPU with the products of its matrices in bfloat16.

In: log-mel features. Out: encoder outputs, float32. Factors and results of products are rounded; their sums, the
residual stream and layer norms are float32, and softmax is, but for attention by `products`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.whisper.model import AudioEncoder
from k2d.whisper.processor import Parts
from k2d.whisper.products import Multiply, product

ROWS = 500  # queries of a head whose scores are computed at a time, so that they stay in the processor's caches


class _Block:
    """A block's weights; adds to the residual stream in place."""

    def __init__(self, block, parts: Parts):
        attention = block.attn
        self.heads = attention.n_head
        projections = (attention.query, attention.key, attention.value)
        weights = torch.cat([p.weight.detach() for p in projections])
        biases = torch.cat([torch.zeros(len(p.weight)) if p.bias is None else p.bias.detach() for p in projections])
        self.norm1, self.norm2 = _norm(block.attn_ln), _norm(block.mlp_ln)
        self.attention = parts.attention
        self.qkv = product(parts.encoder, weights, biases)
        self.out = _linear(parts.encoder, attention.out)
        self.up, self.down = _linear(parts.encoder, block.mlp[0], gelu=True), _linear(parts.encoder, block.mlp[2])

    def __call__(self, x: Tensor) -> None:
        """x: (length, n_state) float32."""
        qkv = self.qkv(self.norm1(x)).view(len(x), 3, self.heads, -1)
        x += self.out(attend(self.attention, qkv).reshape(x.shape))
        x += self.down(self.up(self.norm2(x)))


def attend(kind: str, qkv: Tensor) -> Tensor:
    """softmax(q · kᵀ / √size) · v of every head. qkv: (length, 3, heads, size). Returns (length, heads, size).

    kind: float32 and bfloat16 are torch's fused attention; products is bfloat16 by two products of matrices a head,
    for which a processor with AVX512-BF16 and no AMX has quick instructions that the fused one does not use (a window
    of tiny.en, one layer: 12 ms in place of 37). Scores are rounded there too, which doubles the error of the fused one
    in bfloat16; that of the encoder's output, which the other products make, grows by a tenth.
    """
    if kind != "products":
        q, k, v = qkv.to(getattr(torch, kind))[None].permute(2, 0, 3, 1, 4)  # (1, heads, length, size) each
        return F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1)
    q, k, v = qkv.to(torch.bfloat16).permute(1, 2, 0, 3)  # (heads, length, size) each
    q = q * (q.shape[-1] ** -0.5 / math.log(2))
    # What all keys have in common softmax does not see; without it, scores are nearer to 0 and rounded less.
    k = (k - k.mean(dim=1, keepdim=True, dtype=torch.float32)).to(torch.bfloat16)
    out = torch.empty(qkv.shape[0], *qkv.shape[2:], dtype=torch.bfloat16)
    for head in range(len(q)):
        for first in range(0, len(out), ROWS):
            scores = q[head, first : first + ROWS] @ k[head].T
            # Softmax without its row's maximum, which takes half the time, and with it where a power is out of range.
            # Without the keys' mean a row's scores add up to 0: the largest is not below it, and the total not below 1.
            weights = scores.exp2()
            total = weights.sum(dim=-1, keepdim=True, dtype=torch.float32)
            if not total.amax() < 1e30:
                weights = (scores - scores.amax(dim=-1, keepdim=True)).exp2()
                total = weights.sum(dim=-1, keepdim=True, dtype=torch.float32)
            out[first : first + ROWS, head] = (weights @ v[head]) / total
    return out


def _norm(module) -> Callable[[Tensor], Tensor]:
    weight, bias = module.weight.detach(), module.bias.detach()
    return lambda x: F.layer_norm(x, weight.shape, weight, bias)


def _linear(kind: str, linear, gelu: bool = False) -> Multiply:
    return product(kind, linear.weight.detach(), linear.bias.detach(), gelu)


class _Convolution:
    """A convolution over three frames with gelu behind it, as a product: each frame beside its neighbours."""

    def __init__(self, convolution, stride: int, kind: str):
        self.stride = stride
        weight = convolution.weight.detach().transpose(1, 2).flatten(1)
        self.product = product(kind, weight, convolution.bias.detach(), gelu=True)

    def __call__(self, x: Tensor) -> Tensor:
        """(frames, channels) to (frames / stride, n_state)."""
        frames, channels = x.shape
        x = F.pad(x, (0, 0, 1, 1))
        shape = ((frames - 1) // self.stride + 1, 3 * channels)
        return self.product(x.as_strided(shape, (self.stride * channels, 1)).contiguous())


def rounding(encoder: AudioEncoder, parts: Parts) -> "RoundingEncoder | None":
    """The encoder in the types of `parts`; None where they round nothing."""
    return RoundingEncoder(encoder, parts) if parts.rounded_in_encoder else None


class RoundingEncoder:
    """The weights of a float32 encoder, laid out for products in the types of `parts`."""

    def __init__(self, encoder: AudioEncoder, parts: Parts):
        self.convolutions = _Convolution(encoder.conv1, 1, parts.encoder), _Convolution(encoder.conv2, 2, parts.encoder)
        self.positions = encoder.positional_embedding.detach()
        self.blocks = [_Block(block, parts) for block in encoder.blocks]
        self.norm = _norm(encoder.ln_post)

    def __call__(self, mel: Tensor) -> Tensor:
        """mel: (n_mels, frames ≤ 2 · n_audio_ctx). Returns (frames / 2, n_state), both float32."""
        x = mel.t().contiguous()
        for convolution in self.convolutions:
            x = convolution(x)
        if len(x) > len(self.positions):
            raise ValueError(f"{mel.shape[1]} feature frames do not fit the encoder's {2 * len(self.positions)}")
        x = self.positions[: len(x)] + x
        for block in self.blocks:
            block(x)
        return self.norm(x)
