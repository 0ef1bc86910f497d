"""Whisper's decoder one token at a time: preallocated caches, cross-attention keys and values computed once.

In: encoder outputs and tokens. Out: hidden states and logits. A row is one candidate text; the `group` rows
of one window (beams, samples) share that window's cross-attention keys and values.

Why not `whisper.model.TextDecoder` with its hooks: that one concatenates every cache at every step and
recomputes nothing smartly, so that a small model spends its time in Python and in copies.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from k2d.whisper.caches import AudioCache, TextCache, attend
from k2d.whisper.model import Whisper
from k2d.whisper.processor import EXACT, Parts
from k2d.whisper.products import Multiply, product
from k2d.whisper.vocabulary import Vocabulary


@dataclass
class _Layer:
    """One block's weights."""

    norm1: tuple[Tensor, Tensor]
    qkv: Multiply
    out: Multiply
    norm2: tuple[Tensor, Tensor]
    cross_q: Multiply
    cross_kv: Multiply
    cross_out: Multiply
    norm3: tuple[Tensor, Tensor]
    up: Multiply  # and gelu
    down: Multiply


class IncrementalDecoder:
    """The weights of a decoder, laid out for decoding; they follow the model's device and dtype."""

    def __init__(self, model: Whisper, first_special: int, parts: Parts = EXACT):
        """first_special: see `Vocabulary`. parts: what a float32 model on a CPU computes in."""
        self.parts = parts
        self.n_head = model.dims.n_text_head
        self.n_state = model.dims.n_text_state
        self.scale = (self.n_state // self.n_head) ** -0.5
        self.n_ctx = model.dims.n_text_ctx
        decoder = model.decoder
        self.embedding = decoder.token_embedding.weight.detach()
        self.audio_dtype = torch.bfloat16 if parts.caches == "bfloat16" else self.embedding.dtype
        # Hidden states out of products in bfloat16 are less exact than what a second look at many tokens saves.
        looked_at = Vocabulary.EXACT // 4 if parts.decoder == "bfloat16" else Vocabulary.EXACT
        self.vocabulary = Vocabulary(self.embedding, first_special, parts.vocabulary, looked_at)
        self.positions = decoder.positional_embedding.detach()
        self.norm = self._norm(decoder.ln)
        self.layers = [self._layer(block) for block in decoder.blocks]
        self.recording: tuple | None = None  # stream and memory pool of CUDA graphs, and the latest one

    def _norm(self, module) -> tuple[Tensor, Tensor]:
        # A model in half precision keeps these in float32; a GPU's layer norm wants one type.
        return tuple(p.detach().to(self.positions.dtype) for p in (module.weight, module.bias))

    def _layer(self, block) -> _Layer:
        def linear(*modules, gelu: bool = False, kind: str = self.parts.decoder) -> Multiply:
            weights = [m.weight.detach() for m in modules]
            biases = [
                torch.zeros(len(w), dtype=w.dtype, device=w.device) if m.bias is None else m.bias.detach()
                for m, w in zip(modules, weights)
            ]
            return product(kind, torch.cat(weights), torch.cat(biases), gelu)

        attention, cross = block.attn, block.cross_attn
        return _Layer(
            norm1=self._norm(block.attn_ln),
            qkv=linear(attention.query, attention.key, attention.value),
            out=linear(attention.out),
            norm2=self._norm(block.cross_attn_ln),
            cross_q=linear(cross.query),
            cross_kv=linear(cross.key, cross.value, kind=self.parts.encoder),  # of many rows
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
        self.prompt = 0  # positions of the longest prompt
        self.padding: Tensor | None = None  # (windows, 1, 1, prompt) additive, where prompts differ in length
        self.starts: Tensor | None = None  # (rows,) first position that is not padding
        self.audio = self._listen(features)
        self.text: TextCache  # of `prefill`

    def _split_heads(self, x: Tensor) -> Tensor:
        """(n, length, n_state) to (n, heads, length, head size)."""
        return x.view(*x.shape[:2], self.decoder.n_head, -1).transpose(1, 2)

    def _additive(self, hidden: Tensor) -> Tensor:
        """-inf where `hidden` is true, else 0: what is added to scores."""
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(hidden, float("-inf"))

    def _listen(self, features: Sequence[Tensor]) -> AudioCache:
        """What all steps read of the encoder's outputs, (frames_i, n_state) each."""
        cache, frames = AudioCache(self.decoder.n_head, self.decoder.audio_dtype), [len(f) for f in features]
        audio = pad_sequence(list(features), batch_first=True)
        for layer in self.decoder.layers:
            cache.add(layer.cross_kv(audio), frames)
        return cache

    # -- the two kinds of steps -----------------------------------------------------------------------------
    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Run the prompts, one a window, padded on the left to one length. Returns (windows, length,
        n_state).

        Afterwards there are `group` rows for each window.
        """
        self.prompt = longest = max(map(len, prompts))
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
        rows = self.windows * self.group
        layers, steps = len(self.decoder.layers), self.length - longest
        self.text = TextCache(layers, rows, self.group, heads, size, steps, x, zero=self.static)
        for i, layer in enumerate(self.decoder.layers):
            q, k, v = self._qkv(x, layer)
            self.text.add_prompt(k, v)
            x = self._after_self_attention(x, attend(q, k, v, mask), layer, i)
        self.starts = starts.repeat_interleave(self.group)
        if int(starts.max()):
            self.padding = self._additive(index[None] < starts[:, None])[:, None, None]
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
        now = self._position - self.prompt
        hidden = self._additive(torch.arange(self.length - self.prompt, device=self.device) > now)
        places = (self._position - self.starts).clamp_(max=self.decoder.n_ctx - 1)
        x = (self.decoder.embedding[self._tokens] + self.decoder.positions[places])[:, None]
        for i, layer in enumerate(self.decoder.layers):
            q, k, v = self._qkv(x, layer)
            self.text.put_at(i, now, k, v)
            x = self._after_self_attention(x, self.text.attend(i, q, self.padding, hidden), layer, i)
        return self.decoder.logits(x[:, 0], exact=True)

    def _step(self, tokens: Tensor, position: int) -> Tensor:
        """Hidden states (rows, n_state); attends to the positions there are."""
        places = (position - self.starts).clamp_(max=self.decoder.n_ctx - 1)
        x = (self.decoder.embedding[tokens] + self.decoder.positions[places])[:, None]
        for i, layer in enumerate(self.decoder.layers):
            q, k, v = self._qkv(x, layer)
            self.text.put(i, position - self.prompt, k, v)
            x = self._after_self_attention(x, self.text.attend(i, q, self.padding), layer, i)
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

        q = layer.cross_q(F.layer_norm(x, (size,), *layer.norm2)) * self.decoder.scale
        # The rows of one window stand together, so its keys are read once for all of them.
        q = self._split_heads(q.view(self.windows, -1, size))
        context = self.audio.attend(index, q)
        x = x + layer.cross_out(context.transpose(1, 2).reshape(n * length, size))

        hidden = layer.up(F.layer_norm(x, (size,), *layer.norm3))
        return (x + layer.down(hidden)).view(n, length, size)

    # -- moving rows ----------------------------------------------------------------------------------------
    def reorder(self, source: Sequence[int]) -> None:
        """Row i goes on from what row source[i], of the same window, has said; that row must go on from itself."""
        changed = [i for i, j in enumerate(source) if i != j]
        if changed:
            self.text.reorder(changed, [source[i] for i in changed])

    def keep(self, windows: Sequence[int]) -> None:
        """Drop all windows but these: finished ones must not cost memory traffic any more."""
        index = torch.tensor(windows, device=self.device)
        rows = (index[:, None] * self.group + torch.arange(self.group, device=self.device)).view(-1)
        self.windows = len(windows)
        self.audio.keep(index)
        self.text.keep(index, rows)
        self.starts = self.starts[rows]
        if self.padding is not None:
            self.padding = self.padding[index]
        self._graph = self._logits = None
