"""What a decoding is asked for and what it gives back; the vocabulary every engine shares.

In: `DecodingOptions` (Whisper's options, one dataclass). Out: a `Hypothesis` for each 30 s window or
utterance. An engine is anything with the methods of `Engine`; `engine_torch` and `engine_ctranslate2`
are the two.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from k2d.constants import WINDOW
from k2d.options import number_or_none, option, parse_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from k2d.text.tokenizer import Tokenizer
    from k2d.whisper.model import ModelDimensions
    from k2d.whisper.stopwatch import Stopwatch

# Whisper retries a failed window at these temperatures, in this order.
FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def _language(text: str) -> str | None:
    """A code; the names that the whisper command takes ("Chinese") are turned into it, "auto" into None."""
    code = text.strip().lower()
    if code == "auto":
        return None
    if len(code) > 3:
        from whisper.tokenizer import TO_LANGUAGE_CODE

        code = TO_LANGUAGE_CODE.get(code, code)
    return code


def _languages(text: str) -> tuple[str, ...]:
    return tuple(code for code in text.split(",") if code)


def _temperatures(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(t) for t in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers separated by commas, as 0,0.4,0.8") from None


@dataclass(frozen=True)
class DecodingOptions:
    """How to decode; every field changes results, so every field belongs to the key of stored work.

    The defaults are Whisper's. Thresholds set to None switch their test off. Fields made by `option` are options of
    the commands that decode.
    """

    GROUP = "decoding (defaults of openai-whisper's transcribe())"
    # None: auto
    language: str | None = option("zh", "code such as zh or en; auto: detect it in the first window", _language)
    task: str = option("transcribe", "transcribe, or translate to English", choices=("transcribe", "translate"))
    timestamps: bool = True
    beam_size: int = option(1, "beam size (the whisper command and faster-whisper take 5); 1 is greedy")
    patience: float = option(1.0, "beam search of a window ends after patience × beam_size finished hypotheses")
    best_of: int = option(1, "number of samples at temperatures above 0")
    length_penalty: float | None = option(
        None, "alpha of Wu et al. (2016), 0 to 1; none: divide by the length (default)", number_or_none
    )
    temperatures: tuple[float, ...] = option(
        FALLBACK_TEMPERATURES,
        "temperatures to try in turn until a window passes the thresholds (default: long form 0,0.2,0.4,0.6,0.8,1; "
        "short form 0)",
        _temperatures,
    )
    compression_ratio_threshold: float | None = option(2.4, "fail windows above this compression ratio", number_or_none)
    logprob_threshold: float | None = option(-1.0, "fail windows below this mean log-probability", number_or_none)
    no_speech_threshold: float | None = option(
        0.6, "a window above this no-speech probability and below --logprob_threshold is silence", number_or_none
    )
    condition_on_previous: bool = option(True, "prompt each window with the previous text")
    initial_prompt: str = option("", "names and terms, as a prompt; for which windows, see --carry_initial_prompt")
    carry_initial_prompt: bool = option(False, "use --initial_prompt for every window, not only the first")
    hotwords: str = option("", "names and terms to expect, as a prompt for every window")
    suppress_non_speech: bool = True
    suppress_blank: bool = True
    max_initial_timestamp: float = 1.0  # seconds
    max_new_tokens: int | None = option(
        None, "largest number of tokens per window (default: half the context, 224)", int
    )
    mix_languages: tuple[str, ...] = option(
        (), "codes such as zh,en: replace the embedding of --language by the mean of theirs", _languages
    )
    token_confidence: bool = option(
        False,
        "also give the confidence of each text, from token probabilities; with ctranslate2 this takes a second pass",
    )
    seed: int = option(0, "seed of sampling at temperatures above 0", parse_seed)

    def __post_init__(self):
        if self.beam_size < 1 or self.best_of < 1:
            raise ValueError(f"beam_size {self.beam_size} and best_of {self.best_of} must be at least 1")
        if not self.temperatures:
            raise ValueError("temperatures is empty; give at least one, 0 for greedy or beam search")
        if wrong := [t for t in self.temperatures if not 0 <= t < math.inf]:
            raise ValueError(f"temperature {wrong[0]:g}: expected a number from 0 on")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens {self.max_new_tokens} must be at least 1")
        if self.length_penalty is not None and not 0 <= self.length_penalty <= 1:
            raise ValueError(f"length_penalty {self.length_penalty} is not between 0 and 1")
        if not 0 < self.patience < math.inf:
            raise ValueError(f"patience {self.patience} is not positive")

    def last_initial_timestamp(self, n_audio_ctx: int) -> int:
        """Of the timestamp tokens, the number of the last that a window may begin with."""
        return round(self.max_initial_timestamp / (WINDOW / n_audio_ctx))


@dataclass
class Hypothesis:
    """The text of one window or utterance.

    tokens: sampled ids without prompt and end of text. token_logprobs: natural log, one a token (empty where
    the engine does not tell). avg_logprob: mean over the tokens and the end of text, as Whisper counts.
    """

    tokens: list[int]
    avg_logprob: float
    no_speech_prob: float
    temperature: float = 0.0
    compression_ratio: float = 0.0
    token_logprobs: list[float] = field(default_factory=list)
    language: str | None = None


class Engine(Protocol):
    """Runs one model. `tokenizer`, `dims` and `trim_padding` describe it; `stopwatch` counts its work."""

    device: torch.device
    tokenizer: Tokenizer
    dims: ModelDimensions
    trim_padding: bool
    stopwatch: Stopwatch

    def for_worker(self) -> Engine:
        """The same engine for one of several threads, with a stopwatch of its own."""

    def encode(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Log-mels (n_mels, frames_i) to encoder outputs (frames_i / 2, n_state)."""

    def generate(
        self,
        features: Sequence[Tensor],
        prompts: Sequence[Sequence[int]],
        options: DecodingOptions,
        temperatures: Sequence[float] = (0.0,),
        seeds: Sequence[Sequence[int]] = (),
    ) -> list[Hypothesis]:
        """One hypothesis for each encoder output, of the first of the temperatures at which it does not fail, or of the
        last: one temperature, or several above 0, which are sampled side by side, so that a window's audio is read once
        for them. prompts are complete, up to the last token before the text; seeds: one a window and temperature.
        """

    def detect_language(self, features: Sequence[Tensor]) -> list[dict[str, float]]:
        """Language code to probability, for each encoder output."""


def initial_tokens(
    tokenizer: Tokenizer,
    n_text_ctx: int,
    previous: Sequence[int],
    options: DecodingOptions,
    language: str | None,
) -> list[int]:
    """`<|startofprev|> previous … <|startoftranscript|> <|language|> <|task|>`; at most half the context is
    prompt.
    """
    sot = tokenizer.sot_sequence(language or options.language or "en", options.task, options.timestamps)
    if not previous:
        return sot
    return [tokenizer.sot_prev, *previous[-room_for_prompt(n_text_ctx) :], *sot]


def prompts(tokenizer: Tokenizer, n_text_ctx: int, options: DecodingOptions) -> tuple[list[int], list[int]]:
    """(ids before every window, ids before the first one alone): hotwords and the initial prompt; at most half of the
    context, of which text that was decoded gets what is left.
    """

    def ids(text: str) -> list[int]:
        return tokenizer.encode(" " + text.strip()) if text.strip() else []

    prompt, words = ids(options.initial_prompt), ids(options.hotwords)
    always, first = (prompt + words, []) if options.carry_initial_prompt else (words, prompt)
    return always[-room_for_prompt(n_text_ctx) :], first


def room_for_prompt(n_text_ctx: int) -> int:
    """Tokens before a window, without <|startofprev|>: half of the context, as Whisper was trained."""
    return n_text_ctx // 2 - 1


def needs_fallback(hypothesis: Hypothesis, options: DecodingOptions) -> bool:
    """Whether Whisper would try the next temperature: too repetitive or too improbable, and not silence."""
    if is_silence(hypothesis, options):
        return False
    ratio, logprob = options.compression_ratio_threshold, options.logprob_threshold
    return (ratio is not None and hypothesis.compression_ratio > ratio) or (
        logprob is not None and hypothesis.avg_logprob < logprob
    )


def is_silence(hypothesis: Hypothesis, options: DecodingOptions) -> bool:
    """No speech is probable and the text is improbable: a higher temperature would only invent text."""
    return (
        options.no_speech_threshold is not None
        and options.logprob_threshold is not None
        and hypothesis.no_speech_prob > options.no_speech_threshold
        and hypothesis.avg_logprob < options.logprob_threshold
    )


def should_skip(hypothesis: Hypothesis, options: DecodingOptions) -> bool:
    """Whether long-form decoding drops the window as silence."""
    if options.no_speech_threshold is None or not hypothesis.no_speech_prob > options.no_speech_threshold:
        return False
    return options.logprob_threshold is None or not hypothesis.avg_logprob > options.logprob_threshold


def rank(sum_logprobs: Sequence[float], lengths: Sequence[int], length_penalty: float | None) -> int:
    """Index of the best candidate: log-probability over length, or over ((5 + length) / 6)^alpha."""

    def score(total: float, length: int) -> float:
        penalty = max(length, 1) if length_penalty is None else ((5 + length) / 6) ** length_penalty
        return total / penalty

    scores = [score(total, length) for total, length in zip(sum_logprobs, lengths)]
    return max(range(len(scores)), key=scores.__getitem__)


def window_seed(seed: int, recording: str, seek: int, temperature: float) -> int:
    """A seed that depends on what is decoded and never on the batch it is decoded in."""
    digest = hashlib.blake2b(f"{seed} {recording} {seek} {temperature:.3f}".encode(), digest_size=7)
    return int.from_bytes(digest.digest(), "little")
