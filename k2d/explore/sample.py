"""A sample of chunks, spread over the distances, for eyes and ears (their sounds: sounds.py).

In: chunks with their scores, streaming. Out: chunks by stratum, drawn at random from a seed, with the number
of chunks each stands for, and the difference of the two texts.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from k2d.label.chunk_directory import Chunk
from k2d.text.units import is_chinese, units


@dataclass
class Sampled:
    """A drawn chunk: texts of the validators by tag, its scores, and its stratum."""

    chunk: Chunk
    validators: dict[str, str]
    scores: dict[str, float]
    stratum: str
    weight: float = 1.0
    extra: dict = field(default_factory=dict)


class Reservoir:
    """Keep `size` chunks of each stratum, every chunk with the same chance."""

    def __init__(self, size: int, seed: int):
        self.size = size
        self.seen: dict[str, int] = {}
        self._kept: dict[str, list[Sampled]] = {}
        self._random = random.Random(seed)

    def place(self, stratum: str) -> int | None:
        """Where the next chunk of a stratum would go, or None when it is not drawn."""
        seen = self.seen.get(stratum, 0)
        self.seen[stratum] = seen + 1
        if seen < self.size:
            return seen
        place = self._random.randrange(seen + 1)
        return place if place < self.size else None

    def put(self, place: int, item: Sampled) -> None:
        kept = self._kept.setdefault(item.stratum, [])
        if place < len(kept):
            kept[place] = item
        else:
            kept.append(item)

    def strata(self) -> dict[str, list[Sampled]]:
        """stratum -> its chunks in order of id, each weighted by the chunks it stands for."""
        for stratum, kept in self._kept.items():
            for item in kept:
                item.weight = self.seen[stratum] / len(kept)
        return {s: sorted(self._kept[s], key=lambda item: item.chunk.id) for s in sorted(self._kept)}


def stratum(distance: float, loops: bool) -> str:
    """Tenths of the distance up to 1.0, one stratum beyond, looping teachers apart."""
    if loops:
        return "loop"
    return "0.0" if distance != distance else f"{min(int(distance * 10), 10) / 10:.1f}"


def difference(teacher: str, validator: str) -> list[tuple[str, str, str]]:
    """[(kind, teacher's units, validator's units)], kind "=", "~" (replaced), "-" (teacher alone) or "+".

    Over normalised units, so that script, case and punctuation are no difference.
    """
    from rapidfuzz.distance import Levenshtein

    ours, theirs = units(teacher), units(validator)
    signs = {"equal": "=", "replace": "~", "delete": "-", "insert": "+"}
    return [
        (signs[op.tag], join(ours[op.src_start : op.src_end]), join(theirs[op.dest_start : op.dest_end]))
        for op in Levenshtein.opcodes(ours, theirs)
    ]


def join(words: Sequence[str]) -> str:
    """Units as text: a space between two words, none beside a Chinese character."""
    out = ""
    for word in words:
        out += " " + word if out and not is_chinese(word) and not is_chinese(out[-1]) else word
    return out
