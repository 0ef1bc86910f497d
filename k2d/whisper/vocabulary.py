"""Hidden states to logits, and the likeliest of them.

In: hidden states (rows, n_state). Out: logits (rows, n_vocab); values and ids of the k largest.
"""

import torch
from torch import Tensor

from k2d.whisper import products


class Vocabulary:
    """Hidden states to logits, (rows, n_state) to (rows, n_vocab) float32.

    With Whisper's vocabulary these are half of a step on a CPU, though only the likeliest tokens of a row decide
    anything. So a CPU may multiply all of them in int8, twice as fast, and then the `EXACT` likeliest of each row, and
    every special token and timestamp, once more in float32. The others are moved by what these were wrong by on
    average, since most of a row's error is common to all its tokens. What is left is in the sum over the unlikely
    ones: at tiny.en 0.0005 of a log-probability (standard deviation).
    """

    EXACT = 64  # of each row
    WORTHWHILE = 8192  # tokens; the second multiplication costs more than it saves below

    def __init__(self, embedding: Tensor, first_special: int, kind: str = "int8", exact: int = EXACT):
        """embedding: (n_vocab, n_state). first_special: id from which on no token is text. kind: of the product with
        all tokens, float32, int8 (FBGEMM's) or onednn (its int8). exact: how many of a row are multiplied again.
        """
        self.embedding, self.first_special, self.likeliest = embedding, first_special, exact
        self.exact = products.float32(embedding, None)
        self.rough = None
        possible = {"int8": products.has_fbgemm, "onednn": products.has_onednn}.get(kind)
        if embedding.device.type == "cpu" and first_special >= self.WORTHWHILE and possible and possible():
            self.rough = (products.onednn_int8 if kind == "onednn" else products.int8)(embedding)
            self.special = products.float32(embedding[first_special:], None)

    def __call__(self, hidden: Tensor) -> Tensor:
        if self.rough is None:
            return self.exact(hidden).float()
        logits = self.rough(hidden)
        likely = top(logits[:, : self.first_special], self.likeliest)[1]
        exact = torch.bmm(self.embedding[likely], hidden[:, :, None])[:, :, 0]
        logits += (exact - logits.gather(1, likely)).mean(dim=1, keepdim=True)
        logits.scatter_(1, likely, exact)
        logits[:, self.first_special :] = self.special(hidden)
        return logits


def top(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`x.topk(k)` of (rows, n), by the maxima of blocks first where n is large: the k best stand in k blocks."""
    block = 64
    rows, n = x.shape
    blocks = n // block
    if x.device.type != "cpu" or blocks < 4 * k:
        return x.topk(k, dim=-1)
    whole = x[:, : blocks * block].unflatten(1, (blocks, block))
    first = whole.amax(dim=-1).topk(k, dim=-1).indices * block
    ids = (first[:, :, None] + torch.arange(block)).flatten(1)
    ids = torch.cat([ids, torch.arange(blocks * block, n).expand(rows, -1)], dim=1)
    values, index = x.gather(1, ids).topk(k, dim=-1)
    return values, ids.gather(1, index)
