"""A sample of chunks, spread over the distances, for eyes and ears.

In: chunks with their scores, streaming. Out: chunks by stratum, drawn at random from a seed, with the number
of chunks each stands for, and the difference of the two texts.
"""

import base64
import io
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import soundfile

from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio
from k2d.explore.spectrogram import spectrogram
from k2d.label.select import Chunk
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


def sound(audio) -> str:
    """Audio as a data URI, MP3 where the sound library writes it (every browser plays it), else FLAC."""
    buffer = io.BytesIO()
    kind = "MP3" if "MP3" in soundfile.available_formats() else "FLAC"
    soundfile.write(buffer, audio, SAMPLE_RATE, format=kind)
    mime = "audio/mpeg" if kind == "MP3" else "audio/flac"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def sounds(items: Sequence[Sampled], utterances, megabytes: float) -> dict[str, tuple[str, str]]:
    """id -> (sound, spectrogram), data URIs, of the first items that fit into `megabytes`; chunks without audio
    are left out."""

    def readable() -> Iterator[tuple[str, np.ndarray]]:
        for item in items:
            try:
                yield item.chunk.id, utterances[item.chunk.id]
            except (BadAudio, KeyError, OSError):
                continue

    found: dict[str, tuple[str, str]] = {}
    room = megabytes * 1e6
    cores, read = os.cpu_count() or 1, readable()
    # MP3 is slow to write, and the sound library writes without Python's lock.
    with ThreadPoolExecutor(cores) as pool:
        while some := list(islice(read, cores)):
            for (chunk, audio), uri in zip(some, pool.map(sound, [audio for _, audio in some]), strict=True):
                both = uri, spectrogram(audio)
                room -= sum(map(len, both))
                if room < 0:
                    return found
                found[chunk] = both
    return found
