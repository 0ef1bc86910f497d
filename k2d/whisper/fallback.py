"""Decode a batch of windows, and decode again at higher temperatures the ones that failed.

In: log-mels with their prompts. Out: hypotheses in the same order. Windows without a language get theirs first. A batch
that does not fit into memory is halved and tried again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from k2d.whisper.decoding import DecodingOptions, Engine, Hypothesis, initial_tokens, needs_fallback, window_seed

ROWS = 5  # samples of one window at once


@dataclass
class Window:
    """One stretch of audio to decode.

    mel: (n_mels, frames). previous: ids of the text before it. name and seek (frames) seed the sampling. language: None
    if it is to be detected.
    """

    name: str
    seek: int
    mel: Tensor
    previous: list[int] = field(default_factory=list)
    language: str | None = None


def decode_windows(engine: Engine, windows: Sequence[Window], options: DecodingOptions) -> list[Hypothesis]:
    """Hypotheses of the windows, each from the first temperature that does not fail."""
    features = halve_when_out_of_memory(lambda part: engine.encode([w.mel for w in part]), windows)
    windows = _in_their_language(engine, windows, features)
    results: list[Hypothesis | None] = [None] * len(windows)
    pending = list(range(len(windows)))
    for temperatures in side_by_side(options):
        found = halve_when_out_of_memory(
            lambda part, t=temperatures: _generate(engine, windows, features, part, options, t), pending
        )
        for index, hypothesis in zip(pending, found):
            hypothesis.language = windows[index].language
            results[index] = hypothesis
        pending = [i for i in pending if needs_fallback(results[i], options)]
        if not pending:
            break
    return results


def _in_their_language(engine: Engine, windows: Sequence[Window], features: Sequence[Tensor]) -> list[Window]:
    """The windows, those without a language in the likeliest one."""
    unknown = [i for i, w in enumerate(windows) if w.language is None and engine.tokenizer.multilingual]
    found = engine.detect_language([features[i] for i in unknown]) if unknown else []
    likeliest = {i: max(odds, key=odds.get) for i, odds in zip(unknown, found)}
    return [replace(w, language=likeliest.get(i, w.language)) for i, w in enumerate(windows)]


def side_by_side(options: DecodingOptions) -> list[tuple[float, ...]]:
    """The temperatures in turn, those above 0 behind the first together: (0), (0.2, 0.4, 0.6, 0.8, 1). So many that a
    window has `ROWS` samples at most.

    A window that fails once often fails again, and its samples cost little more side by side than one does: a step
    reads its audio and the weights once for all of them.
    """
    first, *rest = options.temperatures
    groups = [(first,)]
    for temperature in rest:
        before = groups[-1]
        joins = len(groups) > 1 and min(temperature, before[0]) > 0 and (len(before) + 1) * options.best_of <= ROWS
        if joins:
            groups[-1] = (*before, temperature)
        else:
            groups.append((temperature,))
    return groups


def _generate(engine, windows, features, indices, options, temperatures) -> list[Hypothesis]:
    chosen = [windows[i] for i in indices]
    seeds = [[window_seed(options.seed, w.name, w.seek, t) for t in temperatures] for w in chosen]
    tokenizer, n_text_ctx = engine.tokenizer, engine.dims.n_text_ctx
    prompts = [initial_tokens(tokenizer, n_text_ctx, w.previous, options, w.language) for w in chosen]
    return engine.generate([features[i] for i in indices], prompts, options, temperatures, seeds)


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
