"""Whisper's decoder one token at a time: preallocated caches, cross-attention keys and values computed once.

In: encoder outputs and tokens. Out: hidden states and logits. A row is one candidate text; the `group` rows
of one window (beams, samples) share that window's cross-attention keys and values.

Why not `whisper.model.TextDecoder` with its hooks: that one concatenates every cache at every step and
recomputes nothing smartly, so that a small model spends its time in Python and in copies.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.whisper import bfloat16 as bf16
from k2d.whisper.model import Whisper

Projection = Callable[[Tensor], Tensor]  # (rows, in) to (rows, out)


def projection(weight: Tensor, bias: Tensor | None) -> Projection:
    """x · weightᵀ + bias as a function of x; weight: (out, in).

    A step multiplies few rows with all the weights, and reading those is what it costs on a CPU. Float32
    weights that float16 holds exactly, as Whisper's published ones, are packed so; the arithmetic stays
    float32 (logits of tiny.en, 4 rows, one core: 2.9 ms instead of 11.2).
    """
    on_cpu = weight.device.type == "cpu"
    if on_cpu and _can_pack() and weight.dtype == torch.float32 and torch.equal(weight.half().float(), weight):
        packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
        return lambda x: torch.ops.quantized.linear_dynamic_fp16(x, packed)
    if on_cpu:
        weight = weight.t().contiguous().t()  # multiplied faster with few rows when it lies so
    return lambda x: F.linear(x, weight, bias)


def _can_pack() -> bool:
    """Whether this torch has FBGEMM's products with float16 and int8 weights; they are for x86."""
    fbgemm = torch.backends.quantized.engine in ("x86", "fbgemm")
    return fbgemm and hasattr(torch.ops.quantized, "linear_dynamic_fp16")


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

    def __init__(self, embedding: Tensor, first_special: int, bfloat16: bool = False):
        """embedding: (n_vocab, n_state). first_special: id from which on no token is text. bfloat16: the hidden
        states come of products in bfloat16, which is less exact than what is saved here.
        """
        self.embedding, self.first_special = embedding, first_special
        self.exact = projection(embedding, None)
        self.rough = None
        if embedding.device.type == "cpu" and _can_pack() and first_special >= self.WORTHWHILE:
            self.rough = (bfloat16 and bf16.int8_product(embedding)) or _int8_projection(embedding)
            self.likeliest = self.EXACT // 4 if bfloat16 else self.EXACT
            self.special = projection(embedding[first_special:], None)

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


def _int8_projection(weight: Tensor) -> Projection:
    """x · weightᵀ with the weights rounded to 127 steps a row and x to 127 steps: FBGEMM's dynamic quantisation.

    With 255 steps of x its sums of two products would leave 16 bits on a processor without VNNI.
    """
    rounded, scales = bf16.rounded_rows(weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch announces another interface, which has no such kernel
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        tensor = torch._make_per_channel_quantized_tensor(rounded, scales.double(), zeros, 0)
    packed = torch.ops.quantized.linear_prepack(tensor, None)
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed, True)


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


@dataclass
class _Layer:
    """One block's weights."""

    norm1: tuple[Tensor, Tensor]
    qkv: Projection
    out: Projection
    norm2: tuple[Tensor, Tensor]
    cross_q: Projection
    cross_kv: Projection
    cross_out: Projection
    norm3: tuple[Tensor, Tensor]
    up: Projection  # and gelu
    down: Projection


class IncrementalDecoder:
    """The weights of a decoder, laid out for decoding; they follow the model's device and dtype."""

    def __init__(self, model: Whisper, first_special: int, bfloat16: bool = False):
        """first_special: see `Vocabulary`. bfloat16: multiply in it, a float32 model on a CPU."""
        self.bfloat16 = bfloat16
        self.n_head = model.dims.n_text_head
        self.n_state = model.dims.n_text_state
        self.scale = (self.n_state // self.n_head) ** -0.5
        self.n_ctx = model.dims.n_text_ctx
        decoder = model.decoder
        self.embedding = decoder.token_embedding.weight.detach()
        self.vocabulary = Vocabulary(self.embedding, first_special, bfloat16)
        self.positions = decoder.positional_embedding.detach()
        self.norm = self._norm(decoder.ln)
        self.layers = [self._layer(block) for block in decoder.blocks]
        self.recording: tuple | None = None  # stream and memory pool of CUDA graphs, and the latest one

    def _norm(self, module) -> tuple[Tensor, Tensor]:
        # A model in half precision keeps these in float32; a GPU's layer norm wants one type.
        return tuple(p.detach().to(self.positions.dtype) for p in (module.weight, module.bias))

    def _layer(self, block) -> _Layer:
        def linear(*modules, gelu: bool = False) -> Projection:
            weights = [m.weight.detach() for m in modules]
            biases = [
                torch.zeros(len(w), dtype=w.dtype, device=w.device) if m.bias is None else m.bias.detach()
                for m, w in zip(modules, weights)
            ]
            if self.bfloat16:
                return bf16.of_float32(bf16.product(torch.cat(weights), torch.cat(biases), gelu))
            multiply = projection(torch.cat(weights), torch.cat(biases))
            return (lambda x: F.gelu(multiply(x))) if gelu else multiply

        attention, cross = block.attn, block.cross_attn
        return _Layer(
            norm1=self._norm(block.attn_ln),
            qkv=linear(attention.query, attention.key, attention.value),
            out=linear(attention.out),
            norm2=self._norm(block.cross_attn_ln),
            cross_q=linear(cross.query),
            cross_kv=linear(cross.key, cross.value),
            cross_out=linear(cross.out),
            norm3=self._norm(block.mlp_ln),
            up=linear(block.mlp[0], gelu=True),
            down=linear(block.mlp[2]),
        )

    def logits(self, hidden: Tensor, exact: bool = False) -> Tensor:
        """hidden: (rows, n_state). Returns (rows, n_vocab) float32; exact: of the unlikely tokens too."""
        normed = F.layer_norm(hidden, (self.n_state,), *self.norm)
        return self.vocabulary.exact(normed).float() if exact else self.vocabulary(normed)


class DecoderState:
    """Caches of a batch of `windows` · `group` rows, for `length` positions.

    A GPU takes longer to be told the hundreds of small kernels of a step than to run them. So a step can have one
    shape at every position (`static`); there it is recorded once as a CUDA graph and then replayed.
    """

    def __init__(
        self,
        decoder: IncrementalDecoder,
        features: Sequence[Tensor],
        length: int,
        group: int = 1,
        static: bool = False,
    ):
        """static: every step attends to all `length` positions, those not yet reached masked. On a GPU it is recorded
        then, which only one thread may do.
        """
        self.decoder, self.static = decoder, static
        self._logits: Tensor | None = None  # of a static step; None since the batch changed its size
        self._graph: torch.cuda.CUDAGraph | None = None
        self.windows, self.group, self.length = len(features), group, length
        self.device, self.dtype = features[0].device, features[0].dtype
        self.padding: Tensor | None = None  # (rows, 1, 1, length) additive, where prompts differ in length
        self.starts: Tensor | None = None  # (rows,) first position that is not padding
        self._cross(features)
        # (layers, rows, heads, head size, length): queries multiply it as it lies. In bfloat16 as the values.
        self.keys: Tensor
        self.values: Tensor  # (layers, rows, heads, length, head size)

    def _split_heads(self, x: Tensor) -> Tensor:
        """(n, length, n_state) to (n, heads, length, head size)."""
        return x.view(*x.shape[:2], self.decoder.n_head, -1).transpose(1, 2)

    def _additive(self, hidden: Tensor) -> Tensor:
        """-inf where `hidden` is true, else 0: what is added to scores."""
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(hidden, float("-inf"))

    def _cross(self, features: Sequence[Tensor]) -> None:
        frames = [len(f) for f in features]
        longest = max(frames)
        audio = features[0].new_zeros(len(features), longest, features[0].shape[1])
        for row, f in zip(audio, features):
            row[: len(f)] = f
        self.audio_mask: Tensor | None = None  # (windows, 1, 1, frames) additive
        if min(frames) < longest:
            lengths = torch.tensor(frames, device=self.device)
            beyond = torch.arange(longest, device=self.device)[None] >= lengths[:, None]
            self.audio_mask = self._additive(beyond)[:, None, None]
        # (windows, heads, head size, frames) both: on a CPU reading them is what a step costs, and a single
        # query reads them fastest this way (values 6.0 ms the other way round, 4.0 ms so; 8 windows, 4
        # layers).
        self.cross_keys, self.cross_values = [], []
        for layer in self.decoder.layers:
            keys, values = layer.cross_kv(audio).chunk(2, dim=-1)
            if self.decoder.bfloat16:
                keys, values = self._split_heads(keys * self.decoder.scale), self._split_heads(values)
                keys, values = bf16.lay_out_cross(keys, values, self.group)
                self.cross_keys.append(keys)
                self.cross_values.append(values)
                continue
            # The softmax scale is folded into the keys, once for all queries.
            self.cross_keys.append(self._split_heads(keys * self.decoder.scale).transpose(2, 3).contiguous())
            self.cross_values.append(self._split_heads(values).transpose(2, 3).contiguous())

    # -- the two kinds of steps -----------------------------------------------------------------------------
    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Run the prompts, one a window, padded on the left to one length. Returns (windows, length,
        n_state).

        Afterwards the caches hold `group` rows for each window.
        """
        longest = max(map(len, prompts))
        tokens = torch.zeros(len(prompts), longest, dtype=torch.int64)
        starts = torch.tensor([longest - len(p) for p in prompts])
        for row, prompt in zip(tokens, prompts):
            row[longest - len(prompt) :] = torch.tensor(prompt)
        tokens, starts = tokens.to(self.device), starts.to(self.device)
        positions = (torch.arange(longest, device=self.device)[None] - starts[:, None]).clamp_(min=0)
        x = self.decoder.embedding[tokens] + self.decoder.positions[positions]

        index = torch.arange(longest, device=self.device)
        visible = index[None, :] <= index[:, None]
        visible = visible[None] & (index[None, None, :] >= starts[:, None, None])
        visible |= torch.eye(longest, dtype=torch.bool, device=self.device)  # padding sees itself, not nothing
        mask = self._additive(~visible)[:, None]

        heads, size = self.decoder.n_head, self.decoder.n_state // self.decoder.n_head
        rows, layers = self.windows * self.group, len(self.decoder.layers)
        # What is masked must be finite all the same.
        empty = torch.zeros if self.static else torch.empty
        dtype = torch.bfloat16 if self.decoder.bfloat16 else self.dtype
        self.values = empty(layers, rows, heads, self.length, size, dtype=dtype, device=self.device)
        if self.decoder.bfloat16:
            self.keys = torch.empty_like(self.values)
        else:
            self.keys = empty(layers, rows, heads, size, self.length, dtype=dtype, device=self.device)
        for i, layer in enumerate(self.decoder.layers):
            q, k, v = self._qkv(x, layer)
            if self.decoder.bfloat16:
                for cache, new in ((self.keys, k), (self.values, v)):
                    cache[i, :, :, :longest] = new.repeat_interleave(self.group, dim=0)
                x = self._after_self_attention(x, bf16.attend(q, k, v, mask), layer, i)
                continue
            self.keys[i, ..., :longest] = k.transpose(2, 3).repeat_interleave(self.group, dim=0)
            self.values[i, ..., :longest, :] = v.repeat_interleave(self.group, dim=0)
            weights = torch.softmax(q @ k.transpose(2, 3) + mask, dim=-1)
            x = self._after_self_attention(x, weights @ v, layer, i)
        self.starts = starts.repeat_interleave(self.group)
        if int(starts.max()):
            hidden = torch.arange(self.length, device=self.device)[None] < self.starts[:, None]
            self.padding = self._additive(hidden)[:, None, None]
        return x

    def step(self, tokens: Tensor, position: int, exact: bool = False) -> Tensor:
        """tokens: (rows,), standing at `position` of the padded sequence. Returns logits (rows, n_vocab), float32;
        static ones are exact, and valid until the next step. exact: see `IncrementalDecoder.logits`.
        """
        if not self.static:
            return self.decoder.logits(self._step(tokens, position), exact)
        first = self._logits is None
        if first:
            self._tokens = tokens.clone()
            self._position = torch.full((1,), position, device=self.device)
        else:
            self._tokens.copy_(tokens)
            self._position.fill_(position)
        if first or self.device.type != "cuda":
            self._logits = self._static_step()  # the first loads the kernels that the recording has to find
        else:
            if self._graph is None:
                self._record()
            self._graph.replay()
        return self._logits

    def _record(self) -> None:
        stream, pool, _ = self.decoder.recording or (
            torch.cuda.Stream(self.device),
            torch.cuda.graph_pool_handle(),
            None,
        )
        graph = torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            # Not torch.cuda.graph(), which empties the allocator's cache each time.
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self._logits = self._static_step()
            except BaseException:
                with suppress(RuntimeError):  # that what was recorded is not whole is known
                    graph.capture_end()
                raise
            graph.capture_end()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        self._graph = graph
        self.decoder.recording = stream, pool, graph  # the pool lives as long as one of its graphs

    def _static_step(self) -> Tensor:
        """The step of `_tokens` at `_position`, without a shape or a number that depends on the position."""
        positions = torch.arange(self.length, device=self.device)[None]
        hidden = (positions > self._position) | (positions < self.starts[:, None])
        mask = self._additive(hidden)[:, None, None]
        places = (self._position - self.starts).clamp_(max=self.decoder.n_ctx - 1)
        x = (self.decoder.embedding[self._tokens] + self.decoder.positions[places])[:, None]
        for i, layer in enumerate(self.decoder.layers):
            q, k, v = self._qkv(x, layer)
            self.keys[i].index_copy_(3, self._position, k.transpose(2, 3))
            self.values[i].index_copy_(2, self._position, v)
            context = torch.softmax(q @ self.keys[i] + mask, dim=-1) @ self.values[i]
            x = self._after_self_attention(x, context, layer, i)
        return self.decoder.logits(x[:, 0], exact=True)

    def _step(self, tokens: Tensor, position: int) -> Tensor:
        """Hidden states (rows, n_state); attends to the positions there are."""
        places = (position - self.starts).clamp_(max=self.decoder.n_ctx - 1)
        x = (self.decoder.embedding[tokens] + self.decoder.positions[places])[:, None]
        stop = position + 1
        for i, layer in enumerate(self.decoder.layers):
            q, k, v = self._qkv(x, layer)
            if self.decoder.bfloat16:
                keys, values = self.keys[i, :, :, :stop], self.values[i, :, :, :stop]
                keys[:, :, position], values[:, :, position] = k[:, :, 0], v[:, :, 0]
                mask = None if self.padding is None else self.padding[..., :stop]
                x = self._after_self_attention(x, bf16.attend(q, keys, values, mask), layer, i)
                continue
            self.keys[i, ..., position] = k[:, :, 0]
            self.values[i, :, :, position] = v[:, :, 0]
            scores = q @ self.keys[i, ..., :stop]
            if self.padding is not None:
                scores += self.padding[..., :stop]
            context = torch.softmax(scores, dim=-1) @ self.values[i, ..., :stop, :]
            x = self._after_self_attention(x, context, layer, i)
        return x[:, 0]

    def _qkv(self, x: Tensor, layer: _Layer) -> tuple[Tensor, Tensor, Tensor]:
        n, length, size = x.shape
        normed = F.layer_norm(x, (size,), *layer.norm1).view(n * length, size)
        parts = layer.qkv(normed).view(n, length, 3, self.decoder.n_head, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        return q * self.decoder.scale, k, v

    def _after_self_attention(self, x: Tensor, context: Tensor, layer: _Layer, index: int) -> Tensor:
        """The rest of a block: output projection, cross-attention, MLP. x: (rows, length, n_state)."""
        n, length, size = x.shape
        x = x.reshape(n * length, size)
        context = context.transpose(1, 2).reshape(n * length, size)
        x = x + layer.out(context)

        q = layer.cross_q(F.layer_norm(x, (size,), *layer.norm2))
        # The rows of one window stand together, so its keys are read once for all of them.
        q = self._split_heads(q.view(self.windows, -1, size))
        keys, values = self.cross_keys[index], self.cross_values[index]
        if self.decoder.bfloat16:
            context = bf16.attend_cross(q, keys, values, self.audio_mask, self.group)
        else:
            scores = q @ keys
            if self.audio_mask is not None:
                scores += self.audio_mask
            context = torch.softmax(scores, dim=-1) @ values.transpose(2, 3)
        x = x + layer.cross_out(context.transpose(1, 2).reshape(n * length, size))

        hidden = layer.up(F.layer_norm(x, (size,), *layer.norm3))
        return (x + layer.down(hidden)).view(n, length, size)

    # -- moving rows ----------------------------------------------------------------------------------------
    def reorder(self, source: Sequence[int], begin: int, end: int) -> None:
        """Row i continues row source[i] (of the same window). Positions [begin, end) differ between them."""
        changed = [i for i, j in enumerate(source) if i != j]
        if not changed or begin == end:
            return
        to = torch.tensor(changed, device=self.device)
        origin = torch.tensor([source[i] for i in changed], device=self.device)
        keys = self.keys[..., begin:end, :] if self.decoder.bfloat16 else self.keys[..., begin:end]
        for cache in (keys, self.values[..., begin:end, :]):
            cache.index_copy_(1, to, cache.index_select(1, origin))

    def keep(self, windows: Sequence[int]) -> None:
        """Drop all windows but these: finished ones must not cost memory traffic any more."""
        index = torch.tensor(windows, device=self.device)
        rows = (index[:, None] * self.group + torch.arange(self.group, device=self.device)).view(-1)
        self.windows = len(windows)
        self.cross_keys = [t.index_select(0, index) for t in self.cross_keys]
        self.cross_values = [t.index_select(0, index) for t in self.cross_values]
        self.keys = self.keys.index_select(1, rows)
        self.values = self.values.index_select(1, rows)
        self.starts = self.starts[rows]
        if self.padding is not None:
            self.padding = self.padding[rows]
        if self.audio_mask is not None:
            self.audio_mask = self.audio_mask[index]
        self._graph = self._logits = None
