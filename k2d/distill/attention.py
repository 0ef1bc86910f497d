"""Attention by products of matrices, for training in bfloat16 on a CPU.

In: queries, keys, values as openai-whisper's modules have them. Out: what its attention gives, with its gradient.
torch's fused attention has no quick instructions on a processor with AVX512-BF16 and without AMX; products have.
"""

from functools import partial

import torch
from torch import Tensor, nn

from k2d.text.whisper_import import whisper


def use_products(module: nn.Module) -> None:
    """Have all attention in a module computed so."""
    for part in module.modules():
        if isinstance(part, whisper.model.MultiHeadAttention):
            part.qkv_attention = partial(attention, part.n_head)


def attention(n_head: int, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, None]:
    """q: (batch, queries, width); k, v: (batch, keys, width). mask: not None where a query sees no later key. Returns
    (batch, queries, width) bfloat16, and None in place of the scores."""
    with torch.autocast(q.device.type, enabled=False):  # which would compute softmax in float32
        q, k, v = (x.bfloat16().unflatten(2, (n_head, -1)).transpose(1, 2) for x in (q, k, v))
        # What all keys have in common softmax does not see; without it, scores are nearer to 0 and rounded less.
        k = k - k.detach().mean(dim=2, keepdim=True, dtype=torch.float32).bfloat16()
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if mask is not None and q.shape[2] > 1:
            scores = scores + mask[: q.shape[2], : q.shape[2]].bfloat16()
        out = scores.softmax(dim=-1) @ v
        return out.transpose(1, 2).flatten(2), None
