"""The torch engine: any device, float32, bfloat16 or float16.

In: log-mels and prompts. Out: hypotheses. On a CPU the encoder runs window by window, because a batch of
eight falls out of the caches and is slower for each window; on a GPU it runs the batch. A CPU computes in
float32, whether it keeps the decoder's weights in float16 or not (`incremental.projection`), and if asked multiplies
in bfloat16 (`encoding`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from k2d.whisper import search
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions, Hypothesis, compression_ratio, rank
from k2d.whisper.encoding import BFloat16Encoder
from k2d.whisper.incremental import DecoderState, IncrementalDecoder
from k2d.whisper.logit_rules import LogitRules
from k2d.whisper.stopwatch import Stopwatch


class TorchEngine:
    name = "torch"

    def __init__(self, checkpoint: Checkpoint, workers: int = 1, bfloat16: bool = False):
        """workers: threads that will call it at once. bfloat16: a float32 model on a CPU multiplies in bfloat16; a
        model that is bfloat16 itself, as on a GPU, needs no word about it.
        """
        self.model = checkpoint.model.eval()
        self.tokenizer = checkpoint.tokenizer
        self.dims = checkpoint.model.dims
        self.trim_padding = checkpoint.trim_padding
        parameter = next(self.model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.decoder = IncrementalDecoder(self.model, self.tokenizer.eot, bfloat16)
        self.bfloat16_encoder = BFloat16Encoder(self.model.encoder) if bfloat16 else None
        self.static = self.device.type == "cuda" and workers == 1  # see DecoderState
        self.stopwatch = Stopwatch()
        self._rules: dict[DecodingOptions, LogitRules] = {}

    def for_worker(self) -> TorchEngine:
        """The same engine with a stopwatch of its own, for one of several threads."""
        worker = copy.copy(self)
        worker.stopwatch = Stopwatch()
        return worker

    @torch.inference_mode()
    def encode(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """mels: (n_mels, frames_i). Returns (frames_i / 2, n_state) each."""
        with self.stopwatch.running("encode_seconds", self.device):
            mels = [m.to(device=self.device, dtype=self.dtype) for m in mels]
            if self.bfloat16_encoder is not None:
                return [self.bfloat16_encoder(m) for m in mels]
            if self.device.type == "cpu" or len({m.shape[-1] for m in mels}) > 1:
                return [self.model.encoder(m[None])[0] for m in mels]
            return list(self.model.encoder(torch.stack(mels)))

    @torch.inference_mode()
    def generate(
        self,
        features: Sequence[Tensor],
        prompts: Sequence[Sequence[int]],
        options: DecodingOptions,
        temperature: float = 0.0,
        seeds: Sequence[int] = (),
    ) -> list[Hypothesis]:
        """One hypothesis a window. features: (frames_i, n_state); prompts: ids; seeds: one a window."""
        with self.stopwatch.running("decode_seconds", self.device):
            hypotheses = self._generate(features, prompts, options, temperature, seeds)
        self.stopwatch.tokens += sum(len(h.tokens) for h in hypotheses)
        return hypotheses

    def _generate(self, features, prompts, options, temperature, seeds) -> list[Hypothesis]:
        group = options.best_of if temperature > 0 else options.beam_size
        n_ctx = self.dims.n_text_ctx
        most = options.max_new_tokens or n_ctx // 2
        # The context holds n_ctx inputs; the last token sampled is not fed back, hence the one.
        limits = [max(1, min(most, n_ctx + 1 - len(p))) for p in prompts]
        longest = max(map(len, prompts))
        state = DecoderState(self.decoder, features, longest + max(limits), group, self.static)
        hidden = state.prefill(prompts)
        sot = longest - 1 - (len(prompts[0]) - 1 - _last_index(prompts[0], self.tokenizer.sot))
        no_speech = self.decoder.logits(hidden[:, sot]).softmax(dim=-1)[:, self.tokenizer.no_speech].tolist()
        logits = self.decoder.logits(hidden[:, -1]).repeat_interleave(group, dim=0)
        rules = self._rules.get(options)
        if rules is None:
            rules = LogitRules(self.tokenizer, options, self.dims.n_audio_ctx, self.device)
            self._rules[options] = rules
        if temperature == 0 and group > 1:
            found = search.beam_search(state, logits, rules, longest, limits, options.patience)
        else:
            generators = []
            if temperature > 0:
                seeds = seeds or [0] * len(prompts)
                generators = [
                    torch.Generator(self.device).manual_seed(seed + sample) for seed in seeds for sample in range(group)
                ]
            found = search.sample(state, logits, rules, longest, limits, temperature, generators)
        return [self._hypothesis(candidates, p, temperature, options) for candidates, p in zip(found, no_speech)]

    def _hypothesis(self, candidates, no_speech, temperature, options) -> Hypothesis:
        best = candidates[
            rank(
                [c.sum_logprob for c in candidates],
                [len(c.tokens) for c in candidates],
                options.length_penalty,
            )
        ]
        return Hypothesis(
            tokens=best.tokens,
            avg_logprob=best.sum_logprob / (len(best.tokens) + 1),
            no_speech_prob=no_speech,
            temperature=temperature,
            compression_ratio=compression_ratio(self.tokenizer.decode(best.tokens).strip()),
            token_logprobs=[round(p, 4) for p in best.token_logprobs],  # as they are stored
        )

    def add_token_logprobs(self, features, prompts, hypotheses: Sequence[Hypothesis]) -> None:
        """Fill in `token_logprobs` of hypotheses that another decoder found: one pass over the finished
        texts.
        """
        with_text = [i for i, h in enumerate(hypotheses) if h.tokens]
        if not with_text:
            return
        texts = [[*prompts[i], *hypotheses[i].tokens] for i in with_text]
        longest = max(map(len, texts))
        state = DecoderState(self.decoder, [features[i] for i in with_text], longest)
        hidden = state.prefill(texts)
        for row, index in zip(hidden, with_text):
            tokens = hypotheses[index].tokens
            before = row[longest - len(tokens) - 1 : longest - 1]  # each token is predicted one place earlier
            logprobs = self.decoder.logits(before, exact=True).log_softmax(dim=-1)
            chosen = logprobs.gather(1, torch.tensor(tokens, device=self.device)[:, None])[:, 0]
            hypotheses[index].token_logprobs = [round(p, 4) for p in chosen.tolist()]

    @torch.inference_mode()
    def detect_language(self, features: Sequence[Tensor]) -> list[dict[str, float]]:
        """Language code to probability, for each encoder output. ValueError for an English-only model."""
        if not self.tokenizer.multilingual:
            raise ValueError("an English-only model cannot detect languages; give the language")
        with self.stopwatch.running("decode_seconds", self.device):
            state = DecoderState(self.decoder, features, 1)
            logits = self.decoder.logits(state.prefill([[self.tokenizer.sot]] * len(features))[:, -1])
        first = self.tokenizer.sot + 1
        probabilities = logits[:, first : first + len(self.tokenizer.languages)].softmax(dim=-1).tolist()
        return [dict(zip(self.tokenizer.languages, row)) for row in probabilities]


def _last_index(items: Sequence[int], item: int) -> int:
    return len(items) - 1 - list(reversed(items)).index(item)
