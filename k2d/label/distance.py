"""δ(Ŷ, V̂): how far the validator's text of a chunk is from the teacher's.

In: blocks of pairs (teacher text, validator text). Out: δ_MER, δ_PER, δ_comp and both loop flags.

    δ_MER, δ_PER = edits(Ŷ, V̂) / |V̂|        over units, over phonemes; the validator is the reference
    h(x)         = 1 when some character n-gram occurs more than c times in x
    δ_comp       = max( h(Ŷ), min( 1 − h(V̂), δ_PER ) )
    δ_fused      = min( 1, δ_MER ) + 3 d,  and 10 where h(Ŷ) = 1    (not in the paper)

A looping teacher is dropped by δ_comp; a looping validator alone does not drop the chunk. d is the teacher's own doubt,
the mean negative log-probability of its tokens in nats; the factor lets distance and doubt spread alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from k2d.text import loops
from k2d.text.batch import Lines
from k2d.text.phonemes import phonemizer

ALPHAS = tuple(i / 10 for i in range(1, 11))
METRICS = ("mer", "per", "comp")
MOST_ALPHA = 10.0  # the largest α that can be asked for: δ_fused of a loop, which only it keeps
DOUBT = 3  # weight of d in δ_fused
DECIMALS = 6  # of a distance in its file: enough that no fraction of units falls on the wrong side of an α


@dataclass(frozen=True)
class Choices:
    """What the paper leaves open, or what one may want otherwise. The defaults are ours.

    n, c        : a text loops when some n-gram of characters occurs more than c times
    reference   : whose length divides: "validator", "teacher", or "symmetric" (the longer of the two)
    fold_script : Traditional and Simplified are one script (phonemes are always of Simplified text)
    tones       : tone marks are phonemes
    fallback    : words the lexicon lacks are read by rules; otherwise they contribute nothing
    empty       : the distance to an empty reference: "agree" 0 when both are empty, else 1; "one"; "zero";
                  "paper" 1, but 0 inside δ_comp
    drop_blank  : a chunk whose validator text is blank is invalid whatever its distance
    fold_usage  : with fold_script, what regions write differently is one as well (妳 and 你, 甚麼 and 什麼)
    """

    n: int = loops.N
    c: int = loops.C
    reference: str = "validator"
    fold_script: bool = True
    tones: bool = False
    fallback: bool = True
    empty: str = "agree"
    drop_blank: bool = False
    fold_usage: bool = False

    def __post_init__(self):
        if self.n < 1 or self.c < 1:
            raise ValueError(f"n = {self.n}, c = {self.c}: expected both to be at least 1")
        if self.fold_usage and not self.fold_script:
            raise ValueError("fold_usage without fold_script: expected both, for usage is folded in Simplified")
        if self.reference not in ("validator", "teacher", "symmetric"):
            raise ValueError(f"reference {self.reference!r}: expected validator, teacher or symmetric")
        if self.empty not in ("agree", "one", "zero", "paper"):
            raise ValueError(f"empty {self.empty!r}: expected agree, one, zero or paper")


PAPER = Choices(fallback=False, empty="paper", drop_blank=True)


@dataclass(frozen=True)
class Distances:
    """Arrays of shape (pairs,), in the order of the pairs."""

    mer: np.ndarray
    per: np.ndarray
    comp: np.ndarray
    loop_teacher: np.ndarray
    loop_aux: np.ndarray

    def columns(self) -> dict[str, np.ndarray]:
        """By the names of their files: utt2mer, utt2per …"""
        return {name: getattr(self, name) for name in ("mer", "per", "comp", "loop_teacher", "loop_aux")}


def edits(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Edit distances of strings of one code point a unit, (pairs,) int64."""
    # The hint is where the search for a distance begins; it decides the time and not the answer.
    return cpdist(first, second, scorer=Levenshtein.distance, score_hint=62, dtype=np.int64)


def ratio(
    changed: np.ndarray, teacher: np.ndarray, validator: np.ndarray, reference: str, empty: str
) -> np.ndarray:
    """Edits divided by the reference's length; see `Choices` for `reference` and `empty`."""
    if reference == "symmetric":
        length = np.maximum(teacher, validator)
    else:
        length = validator if reference == "validator" else teacher
    rate = changed / np.maximum(length, 1)
    if empty == "agree":
        return np.where(length == 0, changed > 0, rate)
    return np.where(length == 0, 0.0 if empty == "zero" else 1.0, rate)


def composite(per: np.ndarray, loop_teacher: np.ndarray, loop_aux: np.ndarray) -> np.ndarray:
    """δ_comp = max( h(Ŷ), min( 1 − h(V̂), δ_PER ) )."""
    return np.maximum(loop_teacher, np.minimum(1 - loop_aux.astype(int), per))


def fused(mer: np.ndarray, loop_teacher: np.ndarray, logprob: np.ndarray) -> np.ndarray:
    """δ_fused, (pairs,), NaN where logprob is, the teacher's mean log-probability a token."""
    return np.where((loop_teacher == 1) & np.isfinite(logprob), MOST_ALPHA, np.minimum(mer, 1) - DOUBT * logprob)


def distances(teacher: Sequence[str], validator: Sequence[str], choices: Choices) -> Distances:
    """Distances of pairs of texts, timestamp tokens allowed; one block, held in memory."""
    return of_lines(Lines([*teacher, *validator], choices.fold_script, choices.fold_usage), choices)


def of_lines(lines: Lines, choices: Choices) -> Distances:
    """The same from normalised lines: the first half the teacher's, the second the validator's."""
    pairs = len(lines.units) // 2

    def rate(changed: np.ndarray, lengths: np.ndarray, empty: str) -> np.ndarray:
        return ratio(changed, lengths[:pairs], lengths[pairs:], choices.reference, empty)

    units = lines.units
    mer = rate(edits(units[:pairs], units[pairs:]), lines.lengths, choices.empty)
    loop = lines.loops(choices.n, choices.c)
    folded = lines if choices.fold_script else Lines(lines.normalised)
    sounds = folded.phonemes(phonemizer(choices.tones, choices.fallback))
    lengths = np.fromiter(map(len, sounds), np.int64, 2 * pairs)
    changed = edits(sounds[:pairs], sounds[pairs:])

    per = rate(changed, lengths, choices.empty)
    in_composite = rate(changed, lengths, "zero") if choices.empty == "paper" else per
    return Distances(
        mer=mer,
        per=per,
        comp=composite(in_composite, loop[:pairs], loop[pairs:]),
        loop_teacher=loop[:pairs].astype(np.int64),
        loop_aux=loop[pairs:].astype(np.int64),
    )


def with_options(paper: bool, **changes) -> Choices:
    """The paper's choices or ours, with those of `changes` that are not None put in their place."""
    return replace(PAPER if paper else Choices(), **{k: v for k, v in changes.items() if v is not None})
