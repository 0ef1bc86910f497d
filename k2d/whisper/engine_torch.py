"""The torch engine: any device, float32, bfloat16 or float16.

In: log-mels and prompts. Out: hypotheses. On a CPU the encoder runs window by window, because a batch of
eight falls out of the caches and is slower for each window; on a GPU it runs the batch. A CPU computes in
float32, whether it keeps the decoder's weights in float16 or not, but for parts that it is told to compute in bfloat16
(`processor`).
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from k2d.text.loops import ends_in_loop
from k2d.text.transcript import compression_ratio
from k2d.whisper import search
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions, Hypothesis, needs_fallback, rank
from k2d.whisper.encoder_cache import EncoderCache
from k2d.whisper.encoding import rounding
from k2d.whisper.incremental import DecoderState, IncrementalDecoder
from k2d.whisper.logit_rules import LogitRules
from k2d.whisper.processor import EXACT, Parts
from k2d.whisper.stopwatch import Stopwatch


class TorchEngine:
    name = "torch"

    def __init__(self, checkpoint: Checkpoint, workers: int = 1, parts: Parts = EXACT):
        """workers: threads that will call it at once. parts: what a float32 model on a CPU computes in; one that is
        bfloat16 or float16 itself, as on a GPU, computes so throughout.
        """
        self.model = checkpoint.model.eval()
        self.tokenizer = checkpoint.tokenizer
        self.dims = checkpoint.model.dims
        self.trim_padding = checkpoint.trim_padding
        parameter = next(self.model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.decoder = IncrementalDecoder(self.model, self.tokenizer.eot, parts)
        self.rounding_encoder = rounding(self.model.encoder, parts)
        self.static = self.device.type == "cuda" and workers == 1  # see DecoderState
        self.cache: EncoderCache | None = None
        self.stopwatch = Stopwatch()
        self._rules: dict[DecodingOptions, LogitRules] = {}

    def for_worker(self) -> "TorchEngine":
        """The same engine with a stopwatch of its own, for one of several threads."""
        worker = copy.copy(self)
        worker.stopwatch = Stopwatch()
        return worker

    @torch.inference_mode()
    def encode(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """mels: (n_mels, frames_i). Returns (frames_i / 2, n_state) each."""
        with self.stopwatch.running("encode_seconds", self.device):
            mels = [m.to(device=self.device, dtype=self.dtype) for m in mels]
            return self.cache.outputs(mels, self._encode) if self.cache else self._encode(mels)

    def _encode(self, mels: list[Tensor]) -> list[Tensor]:
        if self.rounding_encoder is not None:
            return [self.rounding_encoder(m) for m in mels]
        if self.device.type == "cpu" or len({m.shape[-1] for m in mels}) > 1:
            return [self.model.encoder(m[None])[0] for m in mels]
        return list(self.model.encoder(torch.stack(mels)))

    @torch.inference_mode()
    def generate(
        self,
        features: Sequence[Tensor],
        prompts: Sequence[Sequence[int]],
        options: DecodingOptions,
        temperatures: Sequence[float] = (0.0,),
        seeds: Sequence[Sequence[int]] = (),
    ) -> list[Hypothesis]:
        """See `Engine`. features: (frames_i, n_state) each."""
        with self.stopwatch.running("decode_seconds", self.device):
            hypotheses = self._generate(features, prompts, options, temperatures, seeds)
        self.stopwatch.tokens += sum(len(h.tokens) for h in hypotheses)
        return hypotheses

    def _generate(self, features, prompts, options, temperatures, seeds) -> list[Hypothesis]:
        sampled = temperatures[0] > 0
        group = options.best_of * len(temperatures) if sampled else options.beam_size
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
        hopeless = self._hopeless(options, temperatures, no_speech)
        if not sampled and group > 1:
            found = search.beam_search(state, logits, rules, longest, limits, options.patience, hopeless)
            return [self._hypothesis(c, p, 0.0, options) for c, p in zip(found, no_speech)]
        generators = [
            torch.Generator(self.device).manual_seed(seed + number)
            for of_window in (seeds or [[0] * len(temperatures)] * len(prompts) if sampled else ())
            for seed in of_window
            for number in range(options.best_of)
        ]
        each = [t for t in temperatures for _ in range(group // len(temperatures))]

        def first_good(window: int, candidates: list) -> Hypothesis | None:
            """That of the first temperature that does not fail, or of the last; None where one before has not ended."""
            for number, temperature in enumerate(temperatures):
                mine = candidates[number * options.best_of : (number + 1) * options.best_of]
                if None in mine:
                    return None
                hypothesis = self._hypothesis(mine, no_speech[window], temperature, options)
                if not needs_fallback(hypothesis, options):
                    break
            return hypothesis

        enough = None if len(temperatures) == 1 else lambda window, found: first_good(window, found) is not None
        found = search.sample(state, logits, rules, longest, limits, each, generators, hopeless, enough)
        return [first_good(window, candidates) for window, candidates in enumerate(found)]

    def _hopeless(self, options, temperatures, no_speech) -> search.Hopeless | None:
        """Whether a text loops so that another temperature will have to be tried. The last one's goes on to its end."""
        most, silent = options.compression_ratio_threshold, options.no_speech_threshold
        if most is None or options.temperatures[-1] in temperatures[:1]:
            return None

        def hopeless(window: int, row: int, tokens: list[int]) -> bool:
            of_last = len(temperatures) > 1 and row >= (len(temperatures) - 1) * options.best_of
            last = of_last and temperatures[-1] == options.temperatures[-1]
            if last or (silent is not None and no_speech[window] > silent):
                return False
            text = [t for t in tokens if t < self.tokenizer.eot]
            return ends_in_loop(text) and compression_ratio(self.tokenizer.decode(text).strip()) > most

        return hopeless

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
