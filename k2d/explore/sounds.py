"""Utterances in, sounds that stand inside a page out: each a data URI, with its spectrogram.

The sources of wav.scp are looked for from the folder one stands in, as everywhere, and then from the data directory's
own place, so that a page made from any folder, or of a directory that was moved, has its sounds.
"""

import base64
import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from k2d.audio.options import DEFAULT, AudioOptions
from k2d.audio.stamps import is_command
from k2d.audio.utterances import Utterances
from k2d.constants import SAMPLE_RATE
from k2d.datadir import DataDir
from k2d.errors import DataError, UserError
from k2d.explore.spectrogram import spectrogram


@dataclass(frozen=True)
class Sounds:
    """uris: id -> (sound, spectrogram). unreadable: how many have no sound because their audio cannot be had, and the
    first reason. left: how many were left out for want of room."""

    uris: dict[str, tuple[str, str]]
    unreadable: int = 0
    reason: str = ""
    left: int = 0

    def says(self) -> str:
        """A sentence on what has no sound and why; empty where all has."""
        words = []
        if self.unreadable:
            words.append(f"The audio of {self.unreadable} cannot be read ({self.reason}).")
        if self.left:
            words.append(f"{self.left} have no sound, to keep the page small (--audio_mb).")
        return " ".join(words)


def located(source: str, folder: Path) -> str:
    """A source of wav.scp where it lies: as it is written, or from the data directory `folder` or a folder above it,
    or in `folder` itself where that was moved. Commands, and what is found nowhere, come back as they are."""
    if is_command(source) or os.path.exists(source):
        return source
    path, colon, offset = source.rpartition(":")
    path, rest = (path, colon + offset) if path and offset.isdigit() else (source, "")
    if os.path.exists(path):
        return source
    folder = folder.resolve()
    parts = Path(path).parts
    places = [above / path for above in (folder, *folder.parents)]
    if folder.name in parts:
        places.append(folder.joinpath(*parts[parts.index(folder.name) + 1 :]))
    return next((f"{place}{rest}" for place in places if place.exists()), source)


class _Located(Utterances):
    def _locate(self, utterance: str):
        segment, source = super()._locate(utterance)
        return segment, located(source, self.data.path)


def open_located(data: DataDir | str | Path, audio: AudioOptions = DEFAULT) -> Utterances:
    """As k2d.audio.utterances.open_utterances, from any folder."""
    return _Located(data if isinstance(data, DataDir) else DataDir(data), **audio.reading)


def sound(audio: np.ndarray) -> str:
    """Audio as a data URI, MP3 where the sound library writes it (every browser plays it), else FLAC."""
    buffer = io.BytesIO()
    kind = "MP3" if "MP3" in soundfile.available_formats() else "FLAC"
    soundfile.write(buffer, audio, SAMPLE_RATE, format=kind)
    mime = "audio/mpeg" if kind == "MP3" else "audio/flac"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def sounds(wanted: Iterable[tuple[str, Utterances, str]], megabytes: float) -> Sounds:
    """The sounds of the first that fit into `megabytes`. wanted: (name on the page, utterances, id among them)."""
    wanted = list(wanted)
    if megabytes <= 0:
        return Sounds({}, left=len(wanted))
    faults: list[str] = []
    taken = 0

    def readable() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal taken
        for name, utterances, utterance in wanted:
            taken += 1
            try:
                yield name, utterances[utterance]
            except (UserError, OSError, ValueError) as error:
                faults.append(" ".join(str(error).split()))

    found: dict[str, tuple[str, str]] = {}
    room = megabytes * 1e6
    cores, read = os.cpu_count() or 1, readable()
    # MP3 is slow to write, and the sound library writes without Python's lock.
    with ThreadPoolExecutor(cores) as pool:
        while room > 0 and (some := list(islice(read, cores))):
            for (name, audio), uri in zip(some, pool.map(sound, [audio for _, audio in some]), strict=True):
                both = uri, spectrogram(audio)
                room -= sum(map(len, both))
                if room < 0:
                    break
                found[name] = both
    return Sounds(found, len(faults), faults[0] if faults else "", len(wanted) - len(found) - len(faults))


def of_data(folder: Path, audio: AudioOptions = DEFAULT) -> Utterances | None:
    """The utterances of a data directory; None where there is none."""
    try:
        return open_located(folder, audio)
    except DataError:
        return None
