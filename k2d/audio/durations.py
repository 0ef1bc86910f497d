"""utt2dur and reco2dur of a data directory that lacks them.

In: a data directory. Out: utt2dur (utterance, seconds) and, where there are segments, reco2dur (recording, seconds):
what reading the audio gives. What cannot be read has no entry.

    <data>/.durations    recording, seconds, stamp of its file: what was measured here, or came with the data

Entries that came with the data stay. All are made again when the file behind the recording changes.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from k2d.audio.read import recording_duration
from k2d.audio.stamps import FileStamps
from k2d.constants import SHORTEST
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, may_not
from k2d.processes import ordered_map
from k2d.tables import read_numbers, read_table, write_numbers, write_table

MEASURED = ".durations"
SECONDS = 60.0  # between two writes of what has been measured
DIGITS = 4


def make_durations(data: DataDir, nj: int = 1, allow_pipes: bool = False) -> dict[str, str]:
    """Write what utt2dur and reco2dur lack, measured in `nj` processes; recording -> "reason: why it has no entry".

    Raises DataError where tables cannot be read.
    """
    name = "reco2dur" if data.has_segments else "utt2dur"
    there = _numbers(data.path / name)
    measured = _read_measured(data.path / MEASURED)
    stamps = FileStamps()
    now = {recording: stamps(source) for recording, source in data.wav.items()}
    known = {r for r, seconds in there.items() if r in measured and abs(seconds - measured[r][0]) < 10**-DIGITS}
    kept = {r: seconds for r, seconds in there.items() if r not in known}  # what came with the data
    mine = {r: entry for r, entry in measured.items() if r not in kept and entry[0] >= SHORTEST}
    found = {r: mine[r] for r in now if r in mine and mine[r][1] == now[r]}
    bad: dict[str, str] = {}
    wanted = {r: data.wav[r] for r in now if r not in kept and r not in found}
    saved, refused = time.monotonic(), False
    for recording, seconds in _measure(wanted, nj, allow_pipes):
        if isinstance(seconds, str):
            bad[recording] = seconds
            continue
        found[recording] = seconds, now[recording]
        if time.monotonic() - saved > SECONDS and not refused:
            refused = not _write_measured(data.path / MEASURED, found)
            saved = time.monotonic()
    # What came with the data is believed of the audio that is there now, and measured when that is replaced.
    seen = found | {recording: (seconds, now[recording]) for recording, seconds in kept.items() if recording in now}
    if seen != measured and not refused:
        _write_measured(data.path / MEASURED, seen)
    recordings = kept | {recording: seconds for recording, (seconds, _) in found.items()}
    if recordings != there:
        write_numbers(data.path / name, recordings, DIGITS)
    if data.has_segments:
        _write_of_segments(data, recordings)
    return bad


def recording_seconds(data: DataDir) -> dict[str, float]:
    """recording -> seconds, as far as the tables tell them of the audio that is there now."""
    path, replaced = data.path / "reco2dur", _replaced(data)
    known = _numbers(path) if path.is_file() or data.has_segments else data.utt2dur or {}
    return {recording: seconds for recording, seconds in known.items() if recording not in replaced}


def utterance_seconds(data: DataDir) -> dict[str, float]:
    """utterance -> seconds, likewise."""
    known, replaced = data.utt2dur or {}, _replaced(data)
    if not replaced:
        return dict(known)
    segments = data.segments
    return {u: seconds for u, seconds in known.items() if u in segments and segments[u].recording not in replaced}


def _replaced(data: DataDir) -> set[str]:
    """Recordings whose audio is not the one that was looked at here."""
    stamps, wav = FileStamps(), data.wav
    measured = _read_measured(data.path / MEASURED)
    return {r for r, (_, then) in measured.items() if r in wav and stamps(wav[r]) != then}


def _measure(wanted: Mapping[str, str], nj: int, allow_pipes: bool) -> Iterator[tuple[str, float | str]]:
    """(recording, seconds, or why there are none)."""
    tasks = [(source, allow_pipes) for source in wanted.values()]
    yield from zip(wanted, ordered_map(_seconds, tasks, nj if len(tasks) >= 2 * nj else 1))


def _seconds(task: tuple[str, bool]) -> float | str:
    try:
        return recording_duration(*task)
    except BadAudio as error:
        return f"{error.reason}: {error}"


def _write_of_segments(data: DataDir, recordings: Mapping[str, float]) -> None:
    """utt2dur of segments: entries that came with the data stay where the segment does."""
    there, made = _numbers(data.path / "utt2dur"), {}
    for name, segment in data.segments.items():
        end = recordings.get(segment.recording, 0.0) if segment.end is None else segment.end
        if name in there:
            made[name] = there[name]
        elif end - segment.start >= SHORTEST:
            made[name] = end - segment.start
    if made != there:
        write_numbers(data.path / "utt2dur", made, DIGITS)


def _numbers(path: Path) -> dict[str, float]:
    return read_numbers(path) if path.is_file() else {}


def _read_measured(path: Path) -> dict[str, tuple[float, str]]:
    """recording -> (seconds, stamp); nothing where the file is not ours."""
    try:
        table = read_table(path) if path.is_file() else {}
        parts = {recording: value.split(" ", 1) for recording, value in table.items()}
        return {recording: (float(seconds), stamp) for recording, (seconds, stamp) in parts.items()}
    except (DataError, ValueError):
        return {}


def _write_measured(path: Path, found: Mapping[str, tuple[float, str]]) -> bool:
    """False where the directory may only be read, which may have all durations."""
    try:
        write_table(path, {recording: f"{seconds:.{DIGITS}f} {stamp}" for recording, (seconds, stamp) in found.items()})
    except OSError as error:
        if not may_not(error):
            raise
        return False
    return True
