"""A text that is known, its audio, and when each token of it is said: cross-attention and dynamic time warping.

As openai-whisper's `timing.find_alignment` does it, which has the heads' mean alone; here the heads stay apart, so that
one can ask which of them tell the time. The rows of a matrix are the places of the decoder that predict the text's
tokens, one after the other, and the end of the text: n tokens have n + 1 rows.

The results are openai-whisper's; the median and the warping are computed for all heads at a time, without its sort of
every window and without a compiler, which take longer than a student's decoder.
"""

import numpy as np
import torch
from torch import Tensor

from k2d.constants import ENCODER_FRAMES_PER_SECOND
from k2d.text.whisper_import import whisper

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
        with torch.no_grad(), whisper.model.disable_sdpa():
            model.decoder(torch.tensor([[*start, *tokens, end]], device=encoded.device), encoded)
    finally:
        for hook in hooks:
            hook.remove()
    weights = torch.stack(scores)[..., :frames].float().softmax(dim=-1)
    spread, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    rows = ((weights - mean) / spread.clamp(min=1e-12))[:, :, len(start) - 1 : -1]
    if frames <= MEDIAN // 2:
        return rows
    for head in rows.flatten(0, 1):  # one at a time stays in the processor's cache
        head.copy_(median_filter(head, MEDIAN))
    return rows


def median_filter(x: Tensor, width: int) -> Tensor:
    """The median of every `width` (odd) neighbours along the last axis, which is mirrored at its ends.

    Of any width // 2 + 2 of the values neither the least nor the greatest is the median: they are dropped, another
    value takes their place, and in the end one is left.
    """
    half, size = width // 2, x.shape[-1]
    x = torch.cat([x[..., 1 : half + 1].flip(-1), x, x[..., -half - 1 : -1].flip(-1)], dim=-1)
    shifted = [x[..., i : i + size] for i in range(width)]
    held, waiting = shifted[: half + 2], shifted[half + 2 :]
    while True:
        held = _inner(held)
        if not waiting:
            return held[0]
        held.append(waiting.pop())


def _inner(values: list[Tensor]) -> list[Tensor]:
    """All but the least and the greatest, place by place."""
    for pick, other in ((torch.minimum, torch.maximum), (torch.maximum, torch.minimum)):
        extreme, left = values[0], []
        for value in values[1:]:
            left.append(other(extreme, value))
            extreme = pick(extreme, value)
        values = left
    return values


def token_times(matrices: Tensor | np.ndarray) -> np.ndarray:
    """Seconds at which each row of (…, rows, frames) begins, (…, rows), on the path of the most attention: from the
    first row and frame to the last ones, by a step to the next row, the next frame, or both.

    The most attention of a path to frame j of a row that enters it at frame k ≤ j is that of the row before at k or
    k - 1, and the row's own sum from k to j; as sums are differences of running sums, the best k for every j is a
    running maximum.
    """
    matrices = np.asarray(torch.as_tensor(matrices).cpu(), dtype=np.float64)
    *batch, rows, frames = matrices.shape
    matrices = matrices.reshape(-1, rows, frames)
    each, columns = np.arange(len(matrices)), np.arange(frames)
    total = np.full((len(matrices), frames), -np.inf)  # of the best path to each frame of a row
    entered, diagonal = [], []  # for each row: the frame k for every j; whether the path comes from k - 1
    for row in range(rows):
        own = matrices[:, row]
        before = total.copy()
        if row == 0:
            before[:, 0] = 0.0
        else:
            before[:, 1:] = np.maximum(total[:, 1:], total[:, :-1])
        diagonal.append(np.pad(total[:, :-1] > total[:, 1:], ((0, 0), (1, 0))))
        running = own.cumsum(axis=-1)
        gain = before - (running - own)
        best = np.maximum.accumulate(gain, axis=-1)
        entered.append(np.maximum.accumulate(np.where(gain == best, columns, 0), axis=-1))
        total = running + best
    begins, last = np.empty((len(matrices), rows), dtype=int), np.full(len(matrices), frames - 1)
    for row in reversed(range(rows)):
        begins[:, row] = entered[row][each, last]
        last = begins[:, row] - diagonal[row][each, begins[:, row]]
    return begins.reshape(*batch, rows) / ENCODER_FRAMES_PER_SECOND
