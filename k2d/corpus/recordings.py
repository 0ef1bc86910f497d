"""Folders of long recordings, audio or video, nested as they come.

In: a folder. Out: one id for each recording, its file and its length, what lies beside it, and what cannot be used with
the reason.
"""

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import soundfile
from tqdm import tqdm

from k2d.atomic import atomic
from k2d.audio.inputs import SOUND, VIDEO, walk
from k2d.audio.read import read_audio, recording_duration, write_flac
from k2d.constants import SAMPLE_RATE, file_name
from k2d.corpus.clips import File
from k2d.corpus.joined import Reject
from k2d.corpus.subtitles import SUFFIXES
from k2d.errors import BadAudio, DataError
from k2d.processes import ordered_map
from k2d.tables import safe_id
from k2d.work.identity import file_digest

SHORTEST_RECORDING = 1.0  # seconds of a recording
DIFFER = 2.0, 0.05  # seconds, and share of the length, by which two formats of one recording do not differ
_AT_ONCE = 500  # files checked between two writes of the cache
LABELS = (".json", *SUFFIXES, ".txt")  # what may lie beside a recording, in the order of preference
# Transcripts in forms that are not read.
UNREAD = tuple(
    ".lrc .smi .sami .sub .stl .ttml .dfxp .json3 .srv1 .srv2 .srv3 .textgrid .eaf .trs .docx .doc .odt .rtf".split()
)


@dataclass(frozen=True)
class Recording:
    """id; path of the sound; source: the folder it lies in, relative to the tree; beside: transcripts of its name;
    unread: those in other forms; others: files of its name in other formats.
    """

    id: str
    path: Path
    source: str
    beside: tuple[Path, ...] = ()
    unread: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()

    @property
    def subtitles(self) -> Path | None:
        """Those beside it, the one of the shortest name."""
        own = [path for path in self.beside if path.suffix.lower() in SUFFIXES]
        return min(own, key=lambda path: (len(path.name), path.name), default=None)


@dataclass
class Tree:
    """What a walk through a folder finds. other: suffix -> files that are neither recordings nor transcripts."""

    recordings: list[Recording] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    other: Counter = field(default_factory=Counter)


def find_recordings(folder: Path) -> Tree:
    """Every recording of a tree in order of path, links followed, hidden files left out.

    Files of one stem in one folder are one recording: a lecture's sound beside its video. The sound is taken,
    since it is smaller; `in_any_format` tells apart those of another length. Transcripts belong to a recording by their
    stem, also with a language behind it (lecture1.zh-TW.vtt); of two stems to the longer one.
    """
    tree = Tree()
    taken: set[str] = set()
    for here, files, why in walk(folder):
        if why:
            tree.rejects.append(Reject(str(here), "unreadable folder", why))
        by_stem: dict[str, list[Path]] = {}
        transcripts: list[Path] = []
        for name in files:
            path = here / name
            # A line break, or bytes that are no UTF-8.
            if any(unicodedata.category(c) in ("Cc", "Cs") for c in str(path)):
                message = f"{str(path)!a}: no table can hold this name; rename the file, or the folder"
                tree.rejects.append(Reject(ascii(name), "unusable name", message))
            elif path.suffix.lower() in SOUND + VIDEO:
                by_stem.setdefault(path.stem, []).append(path)
            else:
                if path.suffix.lower() in LABELS + UNREAD:
                    transcripts.append(path)
                if path.suffix.lower() not in LABELS:
                    tree.other[path.suffix.lower() or "no suffix"] += 1
        source = here.relative_to(folder).as_posix()
        beside_of: dict[str | None, list[Path]] = {}
        for transcript in transcripts:
            beside_of.setdefault(_stem_of(transcript, by_stem), []).append(transcript)
        for stem, paths in by_stem.items():
            paths.sort(key=lambda p: (p.suffix.lower() in VIDEO, p.name))
            name = _id_of(stem if source == "." else f"{source}/{stem}", paths[0], taken)
            own = beside_of.get(stem, [])
            own.sort(key=lambda path: ((LABELS + UNREAD).index(path.suffix.lower()), len(path.name), path.name))
            beside, unread = (tuple(t for t in own if t.suffix.lower() in forms) for forms in (LABELS, UNREAD))
            tree.recordings.append(Recording(name, paths[0], source, beside, unread, tuple(paths[1:])))
    return tree


def _stem_of(transcript: Path, stems: Container[str]) -> str | None:
    """That of the recording which a transcript belongs to: the longest that its name begins with, up to a dot."""
    stem = transcript.name
    while stem and (stem := stem.rpartition(".")[0]) not in stems:
        pass
    return stem or None


def _id_of(name: str, path: Path, taken: set[str]) -> str:
    """An id that no other recording has; names may differ in characters that no id may have."""
    found = safe_id(name)
    if found in taken:
        found = f"{found}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    taken.add(found)
    return found


def same_content(recordings: Sequence[Recording]) -> list[Reject]:
    """Recordings whose files are, byte by byte, those of another.

    The one with a transcript beside it is taken, else the one of the shorter path ("talk.wav" rather than
    "copy of talk.wav"). Only files of one size are read.
    """
    by_size: dict[int, list[Recording]] = {}
    for recording in sorted(recordings, key=lambda r: (not r.beside, len(str(r.path)), str(r.path))):
        with suppress(OSError):  # labelling will say what is wrong with it
            by_size.setdefault(recording.path.stat().st_size, []).append(recording)
    first: dict[str, Recording] = {}
    rejects = []
    for recording in (r for same in by_size.values() if len(same) > 1 for r in same):
        try:
            digest = file_digest(recording.path)
        except (OSError, DataError) as error:
            why = error.strerror if isinstance(error, OSError) else "it cannot be read to its end"
            message = f"{recording.path}: {why}; look at the permissions, the disk or the network"
            rejects.append(Reject(recording.id, "unreadable", message))
            continue
        original = first.setdefault(digest, recording)
        if original is not recording:
            message = f"{recording.path}: the same file as {original.path}, which is used"
            rejects.append(Reject(recording.id, "duplicate", message))
    return rejects


def in_any_format(
    recordings: Sequence[Recording], read: Callable[[Sequence[Recording]], tuple[dict, list[Reject]]]
) -> tuple[list[Recording], dict, list[Reject]]:
    """(recordings, what `read` gives of each that can be used, rejects), with another format in the place of what
    cannot be used. A file of another length is no other format, but another recording. read: such as `check` and
    `convert`.
    """
    found, rejects = read(recordings)
    while bad := [r for r in recordings if r.id not in found and r.others]:
        others = [replace(r, path=r.others[0], others=r.others[1:]) for r in bad]
        more, worse = read(others)
        instead = {r.id: r for r in others}
        recordings, found, rejects = [instead.get(r.id, r) for r in recordings], found | more, rejects + worse
    recordings, apart = _of_other_lengths(recordings, found)
    if apart:
        apart, more, worse = in_any_format(apart, read)
        found, rejects, recordings = found | more, rejects + worse, recordings + apart
    unused = [
        Reject(str(other), "other format", f"{other}: another format of {r.path.name}, which is used")
        for r in recordings[: len(recordings) - len(apart)]  # the others have theirs
        if r.id in found
        for other in r.others
    ]
    return recordings, found, rejects + unused


def _of_other_lengths(recordings: Sequence[Recording], found: Mapping) -> tuple[list[Recording], list[Recording]]:
    """(recordings, others that only have their stem in common with one of them: recorders that count from 1 again)."""
    taken, kept, apart = {r.id for r in recordings}, [], []
    length = cache(_length)
    for recording in recordings:
        same = [replace(recording, others=())]
        for path in recording.others if recording.id in found else ():
            at = next((n for n, one in enumerate(same) if not _differ(length(one.path), length(path))), None)
            if at is not None:
                same[at] = replace(same[at], others=(*same[at].others, path))
                continue
            mine = [tuple(t for t in some if t.name.startswith(f"{path.name}."))
                    for some in (recording.beside, recording.unread)]  # fmt: skip
            name = _id_of(f"{recording.id}{path.suffix}", path, taken)
            same.append(Recording(name, path, recording.source, *mine))
        theirs = {t for one in same[1:] for t in (*one.beside, *one.unread)}
        beside, unread = (tuple(t for t in some if t not in theirs) for some in (same[0].beside, same[0].unread))
        kept.append(recording if recording.id not in found else replace(same[0], beside=beside, unread=unread))
        apart += same[1:]
    return kept, apart


def _length(path: Path) -> float | None:
    """Seconds; None of a file that cannot be used."""
    try:
        return recording_duration(str(path))
    except BadAudio:
        return None


def _differ(one: float | None, other: float | None) -> bool:
    """Whether files so long can be no two formats of one recording; of one that cannot be used nothing is known."""
    if one is None or other is None:
        return False
    return abs(one - other) > max(DIFFER[0], DIFFER[1] * max(one, other))


def check(
    recordings: Sequence[Recording], cache: Path | None, whole: bool, nj: int, damaged: str = "warn"
) -> tuple[dict[str, float], list[Reject]]:
    """(recording -> seconds, rejects). whole: decode everything, which finds damage that headers hide, and
    which damaged "skip" refuses.

    Answers are kept in `cache`, if there is to be one, by size and time of the file, so a second run opens what is new
    or changed.
    """
    known: dict[str, list] = json.loads(cache.read_text(encoding="utf-8")) if cache and cache.exists() else {}
    form = f"whole{'' if damaged == 'warn' else f' {damaged}'}" if whole else "header"
    stamps = {r.id: f"{File(str(r.path)).stamp()} {form}" for r in recordings}
    todo = [r for r in recordings if known.get(r.id, [None])[0] != stamps[r.id]]
    with tqdm(total=len(todo), desc="recordings", unit="", disable=None, mininterval=1.0) as bar:
        for first in range(0, len(todo), _AT_ONCE):
            part = todo[first : first + _AT_ONCE]
            jobs = [(str(r.path), whole, damaged) for r in part]
            for recording, answer in zip(part, ordered_map(_check_one, jobs, nj), strict=True):
                known[recording.id] = [None if answer[1] in BadAudio.PASSING else stamps[recording.id], *answer]
                bar.update()
            if cache:
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


def _check_one(job: tuple[str, bool, str]) -> list:
    """[seconds, reason, message] of a file; reason "" if it can be used."""
    path, whole, damaged = job
    try:
        seconds = len(read_audio(path, damaged=damaged)) / SAMPLE_RATE if whole else recording_duration(path)
    except BadAudio as error:
        return [0.0, error.reason, str(error)]
    if seconds < SHORTEST_RECORDING:
        return [seconds, "too short", f"{path}: too short; {seconds:.2f} s, expected at least {SHORTEST_RECORDING} s"]
    return [seconds, "", ""]


def convert(
    recordings: Sequence[Recording], folder: Path, nj: int, damaged: str = "warn"
) -> tuple[dict[str, tuple[str, float]], list[Reject]]:
    """(recording -> (FLAC file in `folder`, seconds), rejects): sets that are read again and again, in parts.

    A copy gets its source's time and stays while both have the same, since what replaces a source may be older than the
    copy; damaged "skip" looks at the source again, since a copy does not tell what its source lacked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(str(r.path), str(folder / f"{file_name(r.id)}.flac"), damaged) for r in recordings]
    made: dict[str, tuple[str, float]] = {}
    rejects = []
    for recording, job, answer in zip(recordings, jobs, ordered_map(_convert_one, jobs, nj), strict=True):
        seconds, reason, message = answer
        if reason:
            rejects.append(Reject(recording.id, reason, message))
        else:
            made[recording.id] = (job[1], seconds)
    return made, rejects


def _convert_one(job: tuple[str, str, str]) -> list:
    source, target, damaged = job
    times = [os.stat(path).st_mtime_ns if os.path.exists(path) else None for path in (source, target)]
    if damaged == "warn" and times[0] == times[1] is not None:
        return [soundfile.info(target).duration, "", ""]
    try:
        audio = read_audio(source, damaged=damaged)
    except BadAudio as error:
        return [0.0, error.reason, str(error)]
    with atomic(target, "wb") as handle:
        write_flac(handle, audio)
        handle.flush()
        os.utime(handle.fileno(), ns=(times[0], times[0]))
    return [len(audio) / SAMPLE_RATE, "", ""]


def by_source(recordings: Sequence[Recording], ids: Mapping[str, object]) -> dict[str, str]:
    """recording -> the id of the folder it lies in, which stands for its speaker: a course has one
    lecturer.
    """
    return {r.id: safe_id(r.source) if r.source != "." else r.id for r in recordings if r.id in ids}
