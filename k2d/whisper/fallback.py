"""Decode a batch of windows, and decode again at higher temperatures the ones that failed.

In: log-mels with their prompts. Out: hypotheses in the same order. A batch that does not fit into memory is
halved and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from k2d.whisper.decoding import DecodingOptions, Engine, Hypothesis, initial_tokens, needs_fallback, window_seed


@dataclass
class Window:
    """One stretch of audio to decode.

    mel: (n_mels, frames). previous: ids of the text before it. name and seek (frames) seed the sampling.
    """

    name: str
    seek: int
    mel: Tensor
    previous: list[int] = field(default_factory=list)
    language: str | None = None


def decode_windows(engine: Engine, windows: Sequence[Window], options: DecodingOptions) -> list[Hypothesis]:
    """Hypotheses of the windows, each from the first temperature that does not fail."""
    features = halve_when_out_of_memory(lambda part: engine.encode([w.mel for w in part]), windows)
    results: list[Hypothesis | None] = [None] * len(windows)
    pending = list(range(len(windows)))
    for temperature in options.temperatures:
        found = halve_when_out_of_memory(
            lambda part, t=temperature: _generate(engine, windows, features, part, options, t), pending
        )
        for index, hypothesis in zip(pending, found):
            hypothesis.language = windows[index].language
            results[index] = hypothesis
        pending = [i for i in pending if needs_fallback(results[i], options)]
        if not pending:
            break
    return results


def _generate(engine, windows, features, indices, options, temperature) -> list[Hypothesis]:
    chosen = [windows[i] for i in indices]
    return engine.generate(
        [features[i] for i in indices],
        [initial_tokens(engine.tokenizer, engine.dims.n_text_ctx, w.previous, options, w.language) for w in chosen],
        options,
        temperature,
        [window_seed(options.seed, w.name, w.seek, temperature) for w in chosen],
    )


def halve_when_out_of_memory(work: Callable[[Sequence], list], items: Sequence) -> list:
    """work(items), in two halves if the memory does not suffice, and so on down to single items."""
    try:
        return work(items)
    except (MemoryError, RuntimeError) as error:
        if len(items) < 2 or not _is_out_of_memory(error):
            raise
    # Outside of the handler, so that the failed batch's tensors are no longer referenced by the traceback.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return halve_when_out_of_memory(work, items[:middle]) + halve_when_out_of_memory(work, items[middle:])


def _is_out_of_memory(error: Exception) -> bool:
    """torch raises OutOfMemoryError on a GPU; its CPU allocator and CTranslate2 raise plain RuntimeErrors."""
    text = str(error).lower()
    return (
        isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
        or "out of memory" in text
        or "can't allocate memory" in text
        or "failed to allocate" in text
    )
