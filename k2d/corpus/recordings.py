"""Folders of long recordings, audio or video, nested as they come.

In: a folder. Out: one id for each recording, its file and its length, and what cannot be used with the
reason.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
from tqdm import tqdm

from k2d.audio.read import pcm16, read_audio, recording_duration
from k2d.constants import SAMPLE_RATE
from k2d.corpus.clips import File, safe_id
from k2d.corpus.joined import Reject, in_processes
from k2d.corpus.subtitles import SUFFIXES
from k2d.errors import BadAudio
from k2d.tables import atomic

AUDIO = (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma", ".aif", ".aiff", ".amr")
VIDEO = (".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".3gp")
SHORTEST_RECORDING = 1.0  # seconds of a recording
_AT_ONCE = 500  # files checked between two writes of the cache


@dataclass(frozen=True)
class Recording:
    """id; path of the sound; source: the folder it lies in, relative to the tree; subtitles beside it."""

    id: str
    path: Path
    source: str
    subtitles: Path | None


def find_recordings(folder: Path) -> tuple[list[Recording], list[Reject]]:
    """Every recording of a tree in order of path, links followed, hidden files left out.

    Files of one stem in one folder are one recording: a lecture's sound beside its video. The sound is taken,
    since it is smaller; the others are rejects. Subtitles belong to a recording by their stem, also with a
    language behind it (lecture1.zh-TW.vtt).
    """
    recordings: list[Recording] = []
    rejects: list[Reject] = []
    taken: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        by_stem: dict[str, list[Path]] = {}
        subtitles: list[Path] = []
        for name in sorted(f for f in files if not f.startswith(".")):
            path = Path(here) / name
            if path.suffix.lower() in AUDIO + VIDEO:
                by_stem.setdefault(path.stem, []).append(path)
            elif path.suffix.lower() in SUFFIXES:
                subtitles.append(path)
        source = Path(here).relative_to(folder).as_posix()
        for stem, paths in by_stem.items():
            paths.sort(key=lambda p: (p.suffix.lower() in VIDEO, p.name))
            for other in paths[1:]:
                message = f"{other}: the same lecture as {paths[0].name}, which is taken"
                rejects.append(Reject(str(other), "second form", message))
            name = safe_id(stem if source == "." else f"{source}/{stem}")
            if name in taken:  # two names that differ in characters no id may have
                name = f"{name}-{hashlib.sha256(str(paths[0]).encode()).hexdigest()[:6]}"
            taken.add(name)
            own = [s for s in subtitles if s.stem == stem or s.name.startswith(f"{stem}.")]
            recordings.append(Recording(name, paths[0], source, min(own, key=_subtitle_order, default=None)))
    return recordings, rejects


def _subtitle_order(path: Path) -> tuple[int, str]:
    return len(path.name), path.name


def check(recordings: Sequence[Recording], cache: Path, whole: bool, nj: int) -> tuple[dict[str, float], list[Reject]]:
    """(recording -> seconds, rejects). whole: decode everything, which finds damage that headers hide.

    Answers are kept in `cache` by size and time of the file, so a second run opens what is new or changed.
    """
    known: dict[str, list] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    stamps = {r.id: f"{File(str(r.path)).stamp()} {'whole' if whole else 'header'}" for r in recordings}
    todo = [r for r in recordings if known.get(r.id, [None])[0] != stamps[r.id]]
    with tqdm(total=len(todo), desc="recordings", unit="", disable=None, mininterval=1.0) as bar:
        for first in range(0, len(todo), _AT_ONCE):
            part = todo[first : first + _AT_ONCE]
            jobs = [(str(r.path), whole) for r in part]
            for recording, answer in zip(part, in_processes(_check_one, jobs, nj), strict=True):
                known[recording.id] = [stamps[recording.id], *answer]
                bar.update()
            with atomic(cache) as handle:
                json.dump(known, handle, ensure_ascii=False)
    seconds, rejects = {}, []
    for recording in recordings:
        _, length, reason, message = known[recording.id]
        if reason:
            rejects.append(Reject(recording.id, reason, message))
        else:
            seconds[recording.id] = length
    return seconds, rejects


def _check_one(job: tuple[str, bool]) -> list:
    """[seconds, reason, message] of a file; reason "" if it can be used."""
    path, whole = job
    try:
        seconds = len(read_audio(path)) / SAMPLE_RATE if whole else recording_duration(path)
    except BadAudio as error:
        return [0.0, error.reason, str(error)]
    if seconds < SHORTEST_RECORDING:
        return [seconds, "too short", f"{path}: too short; {seconds:.2f} s, expected at least {SHORTEST_RECORDING} s"]
    return [seconds, "", ""]


def convert(
    recordings: Sequence[Recording], folder: Path, nj: int
) -> tuple[dict[str, tuple[str, float]], list[Reject]]:
    """(recording -> (FLAC file in `folder`, seconds), rejects): sets that are read again and again, in parts.

    A file that is newer than its source stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(str(r.path), str(folder / f"{r.id}.flac")) for r in recordings]
    made: dict[str, tuple[str, float]] = {}
    rejects = []
    for recording, job, answer in zip(recordings, jobs, in_processes(_convert_one, jobs, nj), strict=True):
        seconds, reason, message = answer
        if reason:
            rejects.append(Reject(recording.id, reason, message))
        else:
            made[recording.id] = (job[1], seconds)
    return made, rejects


def _convert_one(job: tuple[str, str]) -> list:
    source, target = job
    if os.path.exists(target) and os.path.getmtime(target) > os.path.getmtime(source):
        return [soundfile.info(target).duration, "", ""]
    try:
        audio = read_audio(source)
    except BadAudio as error:
        return [0.0, error.reason, str(error)]
    with atomic(target, "wb") as handle:
        soundfile.write(handle, pcm16(audio), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return [len(audio) / SAMPLE_RATE, "", ""]


def by_source(recordings: Sequence[Recording], ids: Mapping[str, object]) -> dict[str, str]:
    """recording -> the id of the folder it lies in, which stands for its speaker: a course has one
    lecturer.
    """
    return {r.id: safe_id(r.source) if r.source != "." else r.id for r in recordings if r.id in ids}
