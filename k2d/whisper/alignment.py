"""A text that is known, its audio, and when each token of it is said: cross-attention and dynamic time warping.

As openai-whisper's `timing.find_alignment` does it, which has the heads' mean alone; here the heads stay apart, so that
one can ask which of them tell the time. The rows of a matrix are the places of the decoder that predict the text's
tokens, one after the other, and the end of the text: n tokens have n + 1 rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from whisper.model import disable_sdpa
from whisper.timing import dtw, median_filter

from k2d.constants import ENCODER_FRAMES_PER_SECOND

MEDIAN = 7  # frames of 20 ms


def attention(model, encoded: Tensor, start: list[int], tokens: list[int], end: int, frames: int) -> Tensor:
    """(layers, heads, tokens + 1, frames): the attention of every head, normalised over the rows, smoothed over time.

    encoded: (1, n_audio_ctx, width), of a window with `frames` frames of 20 ms before its padding. start: the ids that
    stand before the text, with <|notimestamps|> at last. end: <|endoftext|>.
    """
    scores: list[Tensor] = []
    hooks = [
        block.cross_attn.register_forward_hook(lambda module, given, made: scores.append(made[1][0]))
        for block in model.decoder.blocks
    ]
    try:
        with torch.no_grad(), disable_sdpa():
            model.decoder(torch.tensor([[*start, *tokens, end]], device=encoded.device), encoded)
    finally:
        for hook in hooks:
            hook.remove()
    weights = torch.stack(scores)[..., :frames].float().softmax(dim=-1)
    spread, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    return median_filter((weights - mean) / spread.clamp(min=1e-12), MEDIAN)[:, :, len(start) - 1 : -1]


def token_times(matrix: Tensor) -> np.ndarray:
    """Seconds at which each row of a (rows, frames) matrix begins, on the path of the most attention."""
    rows, columns = dtw(-matrix)
    begins = np.diff(rows, prepend=-1) > 0
    return columns[begins] / ENCODER_FRAMES_PER_SECOND
