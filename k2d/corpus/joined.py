"""Clips joined to long recordings: what a corpus cut up, put together again in order.

In: clips in order. Out: one FLAC file (16 kHz, 16 bit, mono) for each recording, with the place of every clip
in it, and the clips that were left out with the reason.

A recording appears whole with its index beside it (`<recording>.json`); a run that was killed, or a second
one, makes only recordings whose clips changed.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from k2d.atomic import atomic
from k2d.audio.read import pcm16
from k2d.constants import SAMPLE_RATE
from k2d.corpus.clips import Clip, read_clips
from k2d.errors import BadAudio
from k2d.processes import ordered_map

GAP = 0.3  # seconds of silence between two clips
GRID = 8  # samples, half a millisecond: places in `segments` are exact in their four decimals
# A clip much shorter than the corpus says has lost its end, and its text says more than can be heard.
SHORTER = 0.1  # of the stated duration
GRACE = 0.3  # seconds; encoders pad


@dataclass(frozen=True)
class Placed:
    """A clip inside its recording, in seconds."""

    clip: Clip
    start: float
    end: float


@dataclass(frozen=True)
class Reject:
    """A clip or file that is left out. reason: a few words to count by; message: the whole story."""

    id: str
    reason: str
    message: str


@dataclass
class Joined:
    """recordings: id -> (file, seconds); placed: clips in order."""

    recordings: dict[str, tuple[str, float]]
    placed: list[Placed]
    rejects: list[Reject]


def join(
    clips: Iterable[Clip], folder: Path, nj: int = 1, name: str = "", damaged: str = "warn"
) -> Joined:
    """Write the recordings of `clips` to `folder`. name: of the set, for the progress bar. damaged: see read_audio."""
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.recording, []).append(clip)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(recording, group, str(folder), damaged) for recording, group in groups.items()]
    joined = Joined({}, [], [])
    bar = tqdm(total=len(jobs), desc=f"recordings {name}".strip(), unit="", disable=None, mininterval=1.0)
    with bar:
        for (recording, group, *_), index in zip(jobs, ordered_map(_write_recording, jobs, nj), strict=True):
            bar.update()
            by_id = {clip.id: clip for clip in group}
            joined.placed += [Placed(by_id[i], start, end) for i, start, end in index["placed"]]
            joined.rejects += [Reject(*reject) for reject in index["rejects"]]
            if index["placed"]:
                joined.recordings[recording] = (str(folder / f"{recording}.flac"), index["seconds"])
    return joined


def _write_recording(job: tuple[str, list[Clip], str, str]) -> dict:
    """The index of one recording: {"key", "seconds", "placed": [[id, start, end]], "rejects"}."""
    recording, clips, folder, damaged = job
    path = Path(folder) / f"{recording}.flac"
    beside = path.with_suffix(".json")
    digest = hashlib.sha256(f"{GAP}{'' if damaged == 'warn' else damaged}".encode())
    for clip in clips:
        digest.update(f"\n{clip.id} {clip.seconds} {clip.audio.stamp()}".encode())
    key = digest.hexdigest()[:16]
    if beside.exists():
        known = json.loads(beside.read_text(encoding="utf-8"))
        # A recording of rejects alone has no file.
        if known["key"] == key and (path.exists() or not known["placed"]):
            return known
    placed, rejects = [], []
    silence = np.zeros(round(GAP * SAMPLE_RATE), np.int16)
    samples = 0
    with (
        atomic(path, "wb") as handle,
        soundfile.SoundFile(handle, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as out,
    ):
        for clip, audio in read_clips(clips, damaged):
            wrong = audio if isinstance(audio, BadAudio) else _cut_short(clip, len(audio) / SAMPLE_RATE)
            if wrong is not None:
                rejects.append([clip.id, wrong.reason, f"{clip.id}: {wrong}"])
                continue
            if placed:
                out.write(silence)
                samples += len(silence)
            audio = np.pad(audio, (0, -len(audio) % GRID))
            out.write(pcm16(audio))
            placed.append([clip.id, samples / SAMPLE_RATE, (samples + len(audio)) / SAMPLE_RATE])
            samples += len(audio)
    if not placed:
        os.unlink(path)
    index = {"key": key, "seconds": samples / SAMPLE_RATE, "placed": placed, "rejects": rejects}
    with atomic(beside) as handle:
        json.dump(index, handle, ensure_ascii=False)
    return index


def _cut_short(clip: Clip, seconds: float) -> BadAudio | None:
    if clip.seconds is None or seconds >= clip.seconds * (1 - SHORTER) - GRACE:
        return None
    return BadAudio(
        str(clip.audio),
        "wrong duration",
        f"the corpus says {clip.seconds:.2f} s and {seconds:.2f} s are there",
    )


def speaker_facts(placed: Iterable[Placed]) -> Mapping[str, set[str]]:
    """recording -> its speakers."""
    speakers: dict[str, set[str]] = {}
    for p in placed:
        speakers.setdefault(p.clip.recording, set()).add(p.clip.speaker)
    return speakers
