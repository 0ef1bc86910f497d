"""Keys and values that a decoder's steps attend to, each cache in the layout that its reads are fastest in.

In: keys and values of new positions, (rows, heads, positions, head size); queries of the same shape, scaled. Out:
what attention returns for the queries, (rows, heads, queries, head size). A row is one candidate text.

On a CPU, reading the caches is most of what attention costs, and the layout decides how fast it is. Keys have their
positions last, so that a query multiplies them as they lie, and so have the values of the audio; in bfloat16 on a CPU,
which the audio's alone may be, positions stand before the head size, from where oneDNN packs them fastest.
"""

import torch
from torch import Tensor


class TextCache:
    """Keys and values of the text so far, for `length` positions of every layer."""

    def __init__(self, layers: int, rows: int, heads: int, size: int, length: int, like: Tensor, zero: bool = False):
        """like: a tensor of the device and the type. zero: what no position has filled is masked, but read."""
        empty = like.new_zeros if zero else like.new_empty
        self.values = empty(layers, rows, heads, length, size)
        self.keys = empty(layers, rows, heads, size, length)  # a query multiplies them as they lie

    def put(self, layer: int, first: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values of the positions from `first` on."""
        last = first + keys.shape[2]
        self._keys(layer)[:, :, first:last] = keys
        self.values[layer][:, :, first:last] = values

    def put_at(self, layer: int, position: Tensor, keys: Tensor, values: Tensor) -> None:
        """Those of one position, (1,), that a recorded step reads from memory."""
        self._keys(layer).index_copy_(2, position, keys.to(self.keys.dtype))
        self.values[layer].index_copy_(2, position, values.to(self.values.dtype))

    def attend(self, layer: int, q: Tensor, stop: int, mask: Tensor | None) -> Tensor:
        """q: one position of every row. mask: (rows, 1, 1, stop) additive, or None."""
        return attend(q, self._keys(layer)[:, :, :stop], self.values[layer][:, :, :stop], mask)

    def _keys(self, layer: int) -> Tensor:
        """(rows, heads, length, head size), wherever they lie."""
        return self.keys[layer].transpose(2, 3)

    def reorder(self, to: Tensor, origin: Tensor, begin: int, end: int) -> None:
        """Rows `to` get what rows `origin` hold at positions [begin, end)."""
        for cache in (self.keys[..., begin:end], self.values[..., begin:end, :]):
            cache.index_copy_(1, to, cache.index_select(1, origin))

    def keep(self, rows: Tensor) -> None:
        self.keys, self.values = self.keys.index_select(1, rows), self.values.index_select(1, rows)


class AudioCache:
    """Keys and values of the encoder's outputs, of every layer; read by all rows of a window."""

    def __init__(self):
        self.keys: list[Tensor] = []  # (windows, heads, head size, frames); in bfloat16 on a CPU frames before size
        self.values: list[Tensor] = []  # the same

    def add(self, keys: Tensor, values: Tensor) -> None:
        """The next layer's, (windows, heads, frames, head size).

        A layer of 8 windows of tiny.en with AVX512-BF16, one core: 1.6 ms a step in float32, 0.7 in bfloat16; with 5
        rows a window 3.3 and 1.0. float32 with AVX2: 1.0 ms; 1.5 with values the other way round.
        """
        for kept, new in ((self.keys, keys), (self.values, values)):
            kept.append((new if _is_bfloat16_on_cpu(new) else new.transpose(2, 3)).contiguous())

    def attend(self, layer: int, q: Tensor, mask: Tensor | None) -> Tensor:
        """q: (windows, heads, queries of all rows, head size). mask: (windows, 1, 1, frames) additive, or None."""
        keys, values = self.keys[layer], self.values[layer]
        if not _is_bfloat16_on_cpu(keys):
            keys, values = keys.transpose(2, 3), values.transpose(2, 3)
        return attend(q, keys, values, mask)

    def keep(self, windows: Tensor) -> None:
        self.keys = [t.index_select(0, windows) for t in self.keys]
        self.values = [t.index_select(0, windows) for t in self.values]


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q · keysᵀ + mask) · values, all (rows, heads, length, head size)."""
    scores = q.to(keys.dtype) @ keys.transpose(2, 3)
    if mask is not None:
        scores += mask.to(scores.dtype)
    return torch.softmax(scores, dim=-1) @ values


def _is_bfloat16_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.bfloat16
