"""The CTranslate2 engine: torch encodes, CTranslate2 decodes with int8 (or float) weights.

In: log-mels and prompts. Out: hypotheses. On a CPU torch multiplies the encoder's matrices about twice as
fast as CTranslate2, and CTranslate2 takes an encoder output in place of features; hence the pair. What
int8 costs: a quarter of tiny.en's segment times move by more than 0.1 s, up to one word in a hundred differs.

What CTranslate2 does not offer in Whisper's way (sampling from a seed of one's own, Google's length
penalty, a limit on new tokens) and what needs no speed (language detection) is left to the torch decoder.
"""

from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from torch import Tensor

from k2d.text.transcript import compression_ratio
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.ctranslate2_conversion import converted
from k2d.whisper.decoding import Hypothesis
from k2d.whisper.engine_torch import TorchEngine
from k2d.whisper.logit_rules import suppressed_tokens
from k2d.whisper.processor import EXACT, Parts


class CTranslate2Engine(TorchEngine):
    name = "ctranslate2"

    def __init__(
        self,
        checkpoint: Checkpoint,
        dtype: str = "int8",
        cache_dir: str | Path | None = None,
        workers: int = 1,
        parts: Parts = EXACT,
    ):
        """dtype of the decoder: int8 or float32 on a CPU, also float16 on a GPU. workers: threads that will
        call `generate` at once. parts: of what torch computes.
        """
        super().__init__(checkpoint, parts=parts)
        folder = converted(self.model, self.tokenizer, dtype, cache_dir)
        index = self.device.index or 0
        self.ctranslate2 = ctranslate2.models.Whisper(
            str(folder),
            device=self.device.type,
            device_index=index if self.device.type == "cuda" else 0,
            compute_type=dtype,
            inter_threads=workers,
            intra_threads=torch.get_num_threads(),
        )

    def _generate(self, features, prompts, options, temperatures, seeds) -> list[Hypothesis]:
        special = options.max_new_tokens is not None or options.length_penalty is not None
        # CTranslate2 takes an input of n_mels rows for features that are yet to be encoded.
        ambiguous = any(len(f) == self.dims.n_mels for f in features)
        if temperatures[0] > 0 or special or ambiguous:
            sampled = super()._generate(features, prompts, options, temperatures, seeds)
            if not special and not options.token_confidence:
                for hypothesis in sampled:  # a fact of all windows or of none: those at temperature 0 lack it
                    hypothesis.token_logprobs = []
            return sampled
        results: list[Hypothesis | None] = [None] * len(prompts)
        for group in _of_one_shape(features, prompts):
            found = self._generate_batch([features[i] for i in group], [prompts[i] for i in group], options)
            for index, hypothesis in zip(group, found):
                results[index] = hypothesis
        if options.token_confidence:
            self.add_token_logprobs(features, prompts, results)
        return results

    def _generate_batch(self, features: list[Tensor], prompts: list[list[int]], options) -> list[Hypothesis]:
        results = self.ctranslate2.generate(
            _view(torch.stack(features)),
            prompts,
            beam_size=options.beam_size,
            patience=options.patience,
            length_penalty=1.0,
            max_length=self.dims.n_text_ctx,
            return_scores=True,
            return_no_speech_prob=True,
            max_initial_timestamp_index=options.last_initial_timestamp(self.dims.n_audio_ctx),
            suppress_blank=options.suppress_blank,
            suppress_tokens=suppressed_tokens(self.tokenizer, options),
        )
        return [self._hypothesis_of(result) for result in results]

    def _hypothesis_of(self, result) -> Hypothesis:
        tokens = list(result.sequences_ids[0])
        # CTranslate2's score is the sum of log-probabilities over the number of tokens.
        total = result.scores[0] * len(tokens)
        return Hypothesis(
            tokens=tokens,
            avg_logprob=total / (len(tokens) + 1),
            no_speech_prob=result.no_speech_prob,
            temperature=0.0,
            compression_ratio=compression_ratio(self.tokenizer.decode(tokens).strip()),
        )


def _of_one_shape(features: Sequence[Tensor], prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Indices of windows that may share a batch: CTranslate2 wants prompts and encoder outputs of one length.

    Previous text fills its half of the context from the third or fourth window of a lecture on, so prompts of
    long recordings do have one length. Cutting them to a few lengths before that would change what is said.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, (feature, prompt) in enumerate(zip(features, prompts)):
        groups.setdefault((len(prompt), len(feature)), []).append(index)
    return list(groups.values())


def _view(features: Tensor) -> ctranslate2.StorageView:
    """(batch, frames, n_state) without a copy; the tensor must outlive the view."""
    if features.device.type == "cpu":
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(features.float().numpy()))
    return ctranslate2.StorageView.from_array(features.contiguous())
