"""Keys and values that a decoder's steps attend to, each cache in the layout that its reads are fastest in.

In: keys and values of new positions, (rows, heads, positions, head size); queries of the same shape, scaled. Out:
what attention returns for the queries, (rows, heads, queries, head size). A row is one candidate text.

On a CPU, reading the caches is most of what attention costs, and the layout decides how fast it is. Keys have their
positions last, so that a query multiplies them as they lie, and so have the values of the audio; in bfloat16 on a CPU,
which the audio's alone may be, positions stand before the head size, from where oneDNN packs them fastest.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class TextCache:
    """Keys and values of the text so far: of a window's prompt, which its `group` rows share, and of the `steps` after
    it, of each row.
    """

    def __init__(self, layers: int, rows: int, group: int, heads: int, size: int, steps: int, like: Tensor,
                 zero: bool = False):  # fmt: skip
        """like: a tensor of the device and the type. zero: steps that have not been made are masked, but read."""
        empty = like.new_zeros if zero else like.new_empty
        self.group = group
        self.prompt: list[tuple[Tensor, Tensor]] = []  # as (windows, heads, size, length) and (…, length, size)
        self.keys = empty(layers, rows, heads, size, steps)  # a query multiplies them as they lie
        self.values = empty(layers, rows, heads, steps, size)
        self.filled = steps if zero else 0

    def add_prompt(self, keys: Tensor, values: Tensor) -> None:
        """The next layer's, (windows, heads, length, head size)."""
        keys, values = (x.to(self.keys.dtype) for x in (keys, values))
        self.prompt.append((keys.transpose(2, 3).contiguous(), values.contiguous()))

    def put(self, layer: int, step: int, keys: Tensor, values: Tensor) -> None:
        """Those of a step, (rows, heads, 1, head size)."""
        self.keys[layer][..., step] = keys[:, :, 0]
        self.values[layer][:, :, step] = values[:, :, 0]
        self.filled = step + 1

    def put_at(self, layer: int, step: Tensor, keys: Tensor, values: Tensor) -> None:
        """Those of a step, (1,), that a recorded step reads from memory."""
        self.keys[layer].index_copy_(3, step, keys.transpose(2, 3).to(self.keys.dtype))
        self.values[layer].index_copy_(2, step, values.to(self.values.dtype))

    def attend(self, layer: int, q: Tensor, padding: Tensor | None, hidden: Tensor | None = None) -> Tensor:
        """q: of a step, (rows, heads, 1, head size). Additive: padding (windows, 1, 1, length) of the prompts, hidden
        (steps,) of steps.
        """
        (prompt_keys, prompt_values), q = self.prompt[layer], q.to(self.keys.dtype)
        of_prompt = self._by_window(q) @ prompt_keys
        if padding is not None:
            of_prompt += padding
        of_steps = q @ self.keys[layer][..., : self.filled]
        if hidden is not None:
            of_steps += hidden
        weights = torch.softmax(torch.cat([of_prompt, self._by_window(of_steps)], dim=-1), dim=-1)
        of_prompt, of_steps = weights.split([of_prompt.shape[-1], self.filled], dim=-1)
        context = self._by_row(of_steps) @ self.values[layer][:, :, : self.filled]
        return context + self._by_row(of_prompt @ prompt_values)

    def _by_window(self, x: Tensor) -> Tensor:
        """(rows, heads, 1, n) to (windows, heads, group, n)."""
        return x[:, :, 0].unflatten(0, (-1, self.group)).transpose(1, 2)

    def _by_row(self, x: Tensor) -> Tensor:
        """(windows, heads, group, n) to (rows, heads, 1, n)."""
        return x.transpose(1, 2).flatten(0, 1)[:, :, None]

    def reorder(self, to: Sequence[int], origin: Sequence[int]) -> None:
        """Rows `to` go on from what rows `origin` hold, of the same windows and none of them in `to`."""
        for cache in (self.keys[..., : self.filled], self.values[..., : self.filled, :]):
            if cache.device.type != "cpu":
                cache[:, list(to)] = cache[:, list(origin)]
                continue
            for new, old in zip(to, origin):  # a tenth of the time of rows together
                cache[:, new].copy_(cache[:, old])

    def keep(self, windows: Tensor, rows: Tensor) -> None:
        """Drop all windows, and all rows, but these."""
        self.prompt = [(keys.index_select(0, windows), values.index_select(0, windows)) for keys, values in self.prompt]
        keys = self.keys[..., : self.filled].index_select(1, rows)
        values = self.values[..., : self.filled, :].index_select(1, rows)
        self.keys, self.values = self.keys[:, : len(rows)], self.values[:, : len(rows)]
        self.keys[..., : self.filled], self.values[..., : self.filled, :] = keys, values


class AudioCache:
    """Keys and values of the encoder's outputs, of every layer; read by all rows of a window."""

    def __init__(self, heads: int, dtype: torch.dtype):
        self.heads, self.dtype = heads, dtype
        # (windows, heads, head size, frames); in bfloat16 on a CPU frames before size.
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.mask: Tensor | None = None  # (windows, 1, 1, frames) additive, where some have fewer

    def add(self, both: Tensor, frames: Sequence[int]) -> None:
        """The next layer's keys, and values behind them, (windows, most frames, 2 · n_state); windows have `frames`.

        A layer of 8 windows of tiny.en with AVX512-BF16, one core: 1.6 ms a step in float32, 0.7 in bfloat16; with 5
        rows a window 3.3 and 1.0. float32 with AVX2: 1.0 ms; 1.5 with values the other way round.
        """
        longest = both.shape[1]
        both = both.to(self.dtype)
        if both.device.type == "cpu" and not self._frames_first(both):
            # A matrix is turned in a third of the time of several.
            both = torch.stack([window.t().contiguous() for window in both]).transpose(1, 2)
        order = (2, 0, 3, 1, 4) if self._frames_first(both) else (2, 0, 3, 4, 1)
        keys, values = both.unflatten(-1, (2, self.heads, -1)).permute(order).contiguous()
        self.keys.append(keys)
        self.values.append(values)
        if self.mask is None and min(frames) < longest:
            lengths = torch.tensor(frames, device=both.device)
            beyond = torch.arange(longest, device=both.device)[None] >= lengths[:, None]
            mask = torch.zeros(beyond.shape, dtype=self.dtype, device=both.device)
            self.mask = mask.masked_fill_(beyond, float("-inf"))[:, None, None]

    def attend(self, layer: int, q: Tensor) -> Tensor:
        """q: (windows, heads, queries of all rows, head size)."""
        keys, values = self.keys[layer], self.values[layer]
        if not self._frames_first(keys):
            keys, values = keys.transpose(2, 3), values.transpose(2, 3)
        return attend(q, keys, values, self.mask)

    def keep(self, windows: Tensor) -> None:
        self.keys = [t.index_select(0, windows) for t in self.keys]
        self.values = [t.index_select(0, windows) for t in self.values]
        if self.mask is not None:
            self.mask = self.mask.index_select(0, windows)

    def _frames_first(self, x: Tensor) -> bool:
        return x.device.type == "cpu" and self.dtype == torch.bfloat16


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q · keysᵀ + mask) · values, all (rows, heads, length, head size)."""
    scores = q.to(keys.dtype) @ keys.transpose(2, 3)
    if mask is not None:
        scores += mask.to(scores.dtype)
    return torch.softmax(scores, dim=-1) @ values
