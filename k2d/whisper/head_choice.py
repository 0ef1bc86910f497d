"""Which heads of a decoder tell the time best: its alignment of labels whose times are known, head by head.

In: chunks with labels, `<|0.00|>…<|2.40|><|2.80|>…`, whose segments say when they begin. Out: a set of heads, chosen
one after the other, each the one that lowers the error most; and the errors of every head, on chunks to choose by and
on chunks held out.

An error is how far, in milliseconds, the alignment reaches a segment's first token too early, before the segment ahead
of it has ended, or too late, after it has begun: in the pause between nothing is said, and any time is right. The
first segment of a chunk does not count, for every alignment begins with the chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from k2d.constants import ENCODER_FRAMES_PER_SECOND, N_FRAMES
from k2d.text.tokenizer import Tokenizer
from k2d.whisper.alignment import attention, token_times
from k2d.whisper.features import RecordingFeatures
from k2d.whisper.heads import Head

CAP = 1000.0  # ms: a segment that the teacher has timed wrongly counts no more
CANDIDATES = 16  # the best single heads, of which sets are made


class Start(NamedTuple):
    """A segment's first token, by its place in the text, and the pause in which it is to be reached, in seconds."""

    token: int
    earliest: float
    latest: float


@dataclass(frozen=True)
class Label:
    """Text tokens of a chunk, and what is known of their times."""

    tokens: list[int]
    starts: list[Start]


@dataclass(frozen=True)
class Example:
    """One chunk: the encoder's output (1, n_audio_ctx, width) in half precision, frames of 20 ms before the padding."""

    label: Label
    encoded: Tensor
    frames: int


@dataclass
class Choice:
    """Errors in ms. by_head: of each head alone, (choosing, held out). path: the error, choosing, with each head more.
    rivals: sets that one might guess, by name; errors: of the chosen set and of these, held out."""

    heads: tuple[Head, ...]
    chosen: str
    by_head: dict[Head, tuple[float, float]]
    path: list[tuple[Head, float]]
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    starts: int = 0


def read_label(text: str, tokenizer: Tokenizer, trusted: Sequence[bool] | None = None) -> Label:
    """trusted: for each segment whether its time counts; None: all."""
    marks, tokens, starts, times = iter(trusted or ()), [], [], []
    for token in tokenizer.encode_with_timestamps(text):
        if token >= tokenizer.timestamp_begin:
            times.append((token - tokenizer.timestamp_begin) / ENCODER_FRAMES_PER_SECOND)
            continue
        if (times or not tokens) and next(marks, True) and times and tokens:
            starts.append(Start(len(tokens), times[0], times[-1]))
        times = []
        tokens.append(token)
    return Label(tokens, starts)


@torch.inference_mode()
def example(model, audio: np.ndarray, label: Label, trim_padding: bool) -> Example:
    """audio: (samples,), 16 kHz, at most 30 s."""
    features = RecordingFeatures([audio], model.dims.n_mels)
    size = min(N_FRAMES, features.frames)
    weight = model.encoder.conv1.weight
    mel = features.window(0, size, trim_padding).to(weight.device, weight.dtype)
    return Example(label, model.encoder(mel[None]).half(), size // 2)


class Alignments:
    """Errors of a model's heads over examples: of each alone, and of sets of those that `keep` was told."""

    def __init__(self, model, tokenizer: Tokenizer, language: str, examples: Sequence[Example]):
        self.model, self.examples = model, examples
        self.start = tokenizer.sot_sequence(language, timestamps=False)
        self.eot = tokenizer.eot
        self.kept: list[dict[Head | str, Tensor]] = [{} for _ in examples]

    def _matrices(self, number: int) -> Tensor:
        each = self.examples[number]
        weight = self.model.decoder.token_embedding.weight
        encoded = each.encoded.to(weight.device, weight.dtype)
        return attention(self.model, encoded, self.start, each.label.tokens, self.eot, each.frames)

    def singles(self, progress: Callable[[], object] = lambda: None) -> dict[Head, list[np.ndarray]]:
        """Errors of each head alone, an array for each example."""
        found: dict[Head, list[np.ndarray]] = {}
        for number, each in enumerate(self.examples):
            matrices = self._matrices(number)
            for layer in range(matrices.shape[0]):
                for head in range(matrices.shape[1]):
                    found.setdefault((layer, head), []).append(_errors(each.label, matrices[layer, head]))
            progress()
        return found

    def keep(self, heads: Iterable[Head], sets: Mapping[str, tuple[Head, ...]]) -> None:
        """Compute what `errors` of any of these heads, and of these sets by their names, needs."""
        for number, kept in enumerate(self.kept):
            matrices = self._matrices(number)
            kept.update({head: matrices[head].cpu() for head in heads})
            kept.update({name: torch.stack([matrices[h] for h in of]).mean(dim=0).cpu() for name, of in sets.items()})

    def errors(self, heads: Sequence[Head | str], numbers: Iterable[int]) -> np.ndarray:
        """ms, of the examples of these numbers, aligned by the mean of the heads."""
        mean = (torch.stack([self.kept[n][head] for head in heads]).mean(dim=0) for n in numbers)
        return np.concatenate([_errors(self.examples[n].label, m) for n, m in zip(numbers, mean)])


def _errors(label: Label, matrix: Tensor) -> np.ndarray:
    times = token_times(matrix)
    early_or_late = [(start.earliest - times[start.token], times[start.token] - start.latest) for start in label.starts]
    return 1000 * np.maximum(np.array(early_or_late), 0).max(axis=1)


def capped(errors: np.ndarray) -> float:
    """The mean of errors of at most a second."""
    return float(np.minimum(errors, CAP).mean())


def choose(alignments: Alignments, rivals: dict[str, tuple[Head, ...]], progress=lambda: None) -> Choice:
    """Choose by the examples of even number, look at those of odd number. The best rival is taken where the chosen
    heads do not beat it there, so that nobody's word times become worse.
    """
    count = len(alignments.examples)
    choosing, held_out = range(0, count, 2), range(1, count, 2)
    singles = alignments.singles(progress)
    by_head = {
        head: tuple(capped(np.concatenate([found[n] for n in part])) for part in (choosing, held_out))
        for head, found in singles.items()
    }
    ranked = sorted(by_head, key=lambda head: by_head[head][0])
    candidates = ranked[:CANDIDATES]
    alignments.keep(candidates, rivals)
    chosen, path = (ranked[0],), [(ranked[0], by_head[ranked[0]][0])]
    while left := [head for head in candidates if head not in chosen]:
        tried = {head: capped(alignments.errors((*chosen, head), choosing)) for head in left}
        best = min(tried, key=tried.get)
        if tried[best] >= path[-1][1]:
            break
        chosen, path = (*chosen, best), [*path, (best, tried[best])]
    sets = {"chosen": tuple(sorted(chosen)), **rivals}
    of_sets = {"chosen": alignments.errors(chosen, held_out)}
    of_sets |= {name: alignments.errors([name], held_out) for name in rivals}
    errors = {
        name: {"mean": capped(found), "median": float(np.median(found)), "within_100_ms": float((found <= 100).mean())}
        for name, found in of_sets.items()
    }
    best = min(errors, key=lambda name: errors[name]["mean"])  # of equals the first, the chosen
    return Choice(sets[best], best, by_head, path, errors, len(of_sets["chosen"]))
