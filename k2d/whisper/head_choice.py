"""Which heads of a decoder tell the time best: its alignment of labels whose times are known, head by head.

In: chunks with labels, `<|0.00|>…<|2.40|><|2.80|>…`, whose segments say when they begin and end. Out: a set of heads,
chosen one after the other, each the one that lowers the error most; and the errors of every head, on chunks to choose
by and on chunks held out.

An error is how far, in milliseconds, the alignment puts a token from where it would be if all tokens of its segment
were equally long. They are not, but what that adds is the same for all heads. The beginnings of segments alone are
known better, and say less: in the pause ahead of one any time is right, so a head that is late throughout looks good.

Heads that are better by chance make word times worse, so what one would guess is kept unless the chosen heads are
clearly better on the chunks held out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from k2d.constants import ENCODER_FRAMES_PER_SECOND
from k2d.text.tokenizer import Tokenizer
from k2d.whisper.alignment import attention, token_times
from k2d.whisper.features import context_samples, utterance_log_mel
from k2d.whisper.heads import Head

CAP = 1000.0  # ms: a token of a segment that the teacher has timed wrongly counts no more
CANDIDATES = 16  # the best single heads, of which sets are made
LOOKED_AT = 4  # examples to choose by, after which only candidates are kept in memory


@dataclass(frozen=True)
class Label:
    """Text tokens of a chunk, and about when each begins, in seconds; NaN where nothing is known of it."""

    tokens: list[int]
    times: np.ndarray

    @property
    def timed(self) -> int:
        """How many tokens have a time."""
        return int(np.isfinite(self.times).sum())


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


def read_label(text: str, tokenizer: Tokenizer, trusted: Sequence[bool] | None = None) -> Label:
    """trusted: for each segment whether its times count; None: all."""
    marks, tokens, times, begin = iter(trusted or ()), [], [], None
    for token in tokenizer.encode_with_timestamps(text):
        if token < tokenizer.timestamp_begin:
            tokens.append(token)
            continue
        now = (token - tokenizer.timestamp_begin) / ENCODER_FRAMES_PER_SECOND
        if count := len(tokens) - len(times):
            known = next(marks, True) and begin is not None
            times += np.linspace(begin, now, count, endpoint=False).tolist() if known else [np.nan] * count
        begin = now
    return Label(tokens, np.array(times + [np.nan] * (len(tokens) - len(times))))


@torch.inference_mode()
def encoded(model, audio: np.ndarray, trim_padding: bool) -> Tensor:
    """The encoder's output for (samples,), 16 kHz, at most 30 s, as an Example has it."""
    weight = model.encoder.conv1.weight
    mel = utterance_log_mel(audio, model.dims.n_mels, context_samples(len(audio), trim_padding))
    return model.encoder(mel[None].to(weight.device, weight.dtype)).half()


class Alignments:
    """A model's alignments of examples, made in one pass: errors of every head alone, and of sets of the best heads.

    singles: errors (ms) of each head alone, an array for each example. Matrices are kept of the rivals and, once
    LOOKED_AT examples to choose by were seen, of the CANDIDATES best heads.
    """

    def __init__(self, model, tokenizer: Tokenizer, language: str, rivals: Mapping[str, tuple[Head, ...]]):
        self.model, self.rivals = model, rivals
        self.start = tokenizer.sot_sequence(language, timestamps=False)
        self.eot = tokenizer.eot
        self.labels: list[Label] = []
        self.kept: list[dict[Head | str, np.ndarray]] = []
        self.singles: dict[Head, list[np.ndarray]] = {}

    def add(self, example: Example) -> None:
        weight = self.model.decoder.token_embedding.weight
        encoded = example.encoded.to(weight.device, weight.dtype)
        matrices = attention(self.model, encoded, self.start, example.label.tokens, self.eot, example.frames)
        each = {(layer, head): matrices[layer, head] for layer, head in np.ndindex(*matrices.shape[:2])}
        for head, errors in zip(each, _errors(example.label, matrices.flatten(0, 1))):
            self.singles.setdefault(head, []).append(errors)
        means = {name: torch.stack([each[head] for head in heads]).mean(dim=0) for name, heads in self.rivals.items()}
        candidates = self.candidates if self.labels else list(each)
        self.labels.append(example.label)
        self.kept.append({key: m.cpu().numpy() for key, m in (*means.items(), *((h, each[h]) for h in candidates))})
        if len(self.choosing) >= LOOKED_AT:
            for kept in self.kept:
                for head in kept.keys() - {*self.rivals, *self.candidates[:CANDIDATES]}:
                    del kept[head]

    @property
    def choosing(self) -> range:
        """Numbers of the examples to choose by; the others are held out."""
        return range(0, len(self.labels), 2)

    @property
    def held_out(self) -> range:
        return range(1, len(self.labels), 2)

    @property
    def candidates(self) -> list[Head]:
        """Heads whose matrices are kept, the best first."""
        heads = self.kept[0].keys() - self.rivals.keys()
        return sorted(heads, key=lambda head: (self.alone(head, self.choosing), head))

    def alone(self, head: Head, numbers: Iterable[int]) -> float:
        """ms, capped, of one head."""
        return capped([self.singles[head][n] for n in numbers])

    def errors(self, heads: Sequence[Head | str], numbers: Iterable[int]) -> list[np.ndarray]:
        """ms, of each example of these numbers, aligned by the mean of the heads."""
        return [_errors(self.labels[n], np.mean([self.kept[n][head] for head in heads], axis=0)) for n in numbers]


def _errors(label: Label, matrices: Tensor | np.ndarray) -> np.ndarray:
    """(…, timed tokens) in ms of (…, rows, frames)."""
    timed = np.isfinite(label.times)
    return 1000 * np.abs(token_times(matrices)[..., :-1][..., timed] - label.times[timed])


def capped(errors: Sequence[np.ndarray]) -> float:
    """The mean of errors of at most a second."""
    return float(np.minimum(np.concatenate(errors), CAP).mean())


def clearly_less(errors: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    """Whether errors of the same tokens are less in the mean, by more than twice the standard error, chunk by chunk.
    One chunk alone cannot tell.
    """
    if len(errors) < 2:
        return False
    less = np.array([np.minimum(b, CAP).mean() - np.minimum(a, CAP).mean() for a, b in zip(errors, others)])
    return bool(less.mean() > 2 * less.std(ddof=1) / np.sqrt(len(less)))


def choose(alignments: Alignments) -> Choice:
    """Choose by one half of the examples, look at the other. The best rival is taken where the chosen heads are not
    clearly better there, so that nobody's word times become worse.
    """
    choosing, held_out = alignments.choosing, alignments.held_out
    candidates, alone = alignments.candidates, alignments.alone
    by_head = {head: (alone(head, choosing), alone(head, held_out)) for head in alignments.singles}
    chosen, path = (candidates[0],), [(candidates[0], by_head[candidates[0]][0])]
    while left := [head for head in candidates if head not in chosen]:
        tried = {head: capped(alignments.errors((*chosen, head), choosing)) for head in left}
        best = min(tried, key=tried.get)
        if tried[best] >= path[-1][1]:
            break
        chosen, path = (*chosen, best), [*path, (best, tried[best])]
    sets = {"chosen": tuple(sorted(chosen)), **alignments.rivals}
    of_sets = {"chosen": alignments.errors(chosen, held_out)}
    of_sets |= {name: alignments.errors([name], held_out) for name in alignments.rivals}
    errors = {
        name: {"mean": capped(found), "median": float(np.median(np.concatenate(found)))}
        for name, found in of_sets.items()
    }
    taken = min(alignments.rivals, key=lambda name: errors[name]["mean"])
    if clearly_less(of_sets["chosen"], of_sets[taken]):
        taken = "chosen"
    return Choice(sets[taken], taken, by_head, path, errors)
