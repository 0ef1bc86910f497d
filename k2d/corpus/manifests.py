"""Labels in the forms of other programs: NeMo's manifest, Lhotse's cuts, parquet of a Hugging Face data set.

In: a file of JSON lines (also .gz), a .parquet file, or a folder of such. Out: an `Entry` for each utterance.

NeMo       {"audio_filepath": …, "duration": …, "text": …}, with "offset" where the utterance is part of a file
Lhotse     a MonoCut a line, with its recording and supervisions; or a supervision a line
parquet    columns text (or sentence, transcription, transcript), audio, id
"""

import contextlib
import gzip
import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from k2d.atomic import atomic
from k2d.audio.read import LATE, recording_duration, write_flac
from k2d.constants import SAMPLE_RATE, chunk_id, file_name
from k2d.corpus.clips import Clip, File, ParquetCell, read_clips
from k2d.datadir import DataDirWriter, Segment
from k2d.errors import BadAudio, DataError
from k2d.tables import fault_of_id, safe_id
from k2d.text import timestamps
from k2d.text.transcript import as_whisper_writes, seconds_of

TEXTS = ("text", "sentence", "transcription", "transcript")  # names of the column that holds what was said
_ODD = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)  # of odd entries
_KINDS = "expected NeMo's manifest, Lhotse's cuts or supervisions (JSON lines), or parquet with a column text"


@dataclass(frozen=True)
class Entry:
    """An utterance. start and end: seconds in the recording; end None: to its end. text: with timestamp tokens, in
    seconds of the utterance, where times are told. audio: None where it is not said where it lies.
    """

    id: str
    recording: str
    start: float
    end: float | None
    text: str
    audio: File | ParquetCell | None = None
    speaker: str | None = None

    def __post_init__(self):
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(f"{self.id} is said from {self.start} to {self.end} s")


def is_manifest(path: Path) -> bool:
    """Whether a file or folder has one of these forms, by its name or its first character."""
    if path.is_dir():
        return any(file.suffix == ".parquet" for file in files_of(path))
    if path.suffix == ".parquet" or path.name.endswith((".jsonl", ".jsonl.gz")):
        return True
    with open(path, "rb") as stream:
        return stream.read(64).lstrip()[:1] == b"{"


def files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        p for p in path.iterdir() if p.name.endswith((".parquet", ".jsonl", ".jsonl.gz")) and p.name[0] != "."
    )


def read_entries(path: Path) -> Iterator[Entry]:
    """Every utterance in the order of the file. Raises DataError naming file and line."""
    seen: set[str] = set()
    files = files_of(path)
    repeated = _repeated([file for file in files if file.suffix == ".parquet"])
    for file in files:
        for place, entry in _parquet(file, repeated) if file.suffix == ".parquet" else _json_lines(file):
            if entry.id in seen:
                raise DataError(
                    f"{place}: {entry.id!r} a second time; give every utterance a unique id, or one file of the folder"
                )
            seen.add(entry.id)
            yield entry


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(file:number, line) of every line that is not blank."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
            for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig"), 1):
                if line.strip():
                    yield f"{path}:{number}", line
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text in UTF-8; {_KINDS}") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); copy it again") from None


def _json_lines(path: Path) -> Iterator[tuple[str, Entry]]:
    ids = _ids_of_files(path)
    for place, line in _lines(path):
        yield place, _of_line(line, place, path.parent, ids)


def _ids_of_files(path: Path) -> dict[str, str]:
    """An id for each file of NeMo's manifest: its stem, behind folders where files of one stem differ by them."""
    of_stem: dict[str, set[str]] = {}
    for _, line in _lines(path):
        if "audio_filepath" not in line:  # Lhotse's, of which there may be millions
            continue
        with contextlib.suppress(*_ODD):  # which is told when the line is read
            file = json.loads(line)["audio_filepath"]
            of_stem.setdefault(safe_id(Path(file).stem), set()).add(file)
    ids = {}
    for stem, files in of_stem.items():
        folders = {os.path.abspath(os.path.dirname(file)) for file in files}
        shared = os.path.commonpath(folders)
        for file in files:
            folder = os.path.relpath(os.path.abspath(os.path.dirname(file)), shared)
            ids[file] = stem if len(folders) == 1 else safe_id(f"{folder}/{stem}")
    return ids


def _of_line(line: str, place: str, folder: Path, ids: dict[str, str]) -> Entry:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("no object")
        if "audio_filepath" in row:
            return _of_nemo(row, folder, ids)
        if row.get("type", "MonoCut") != "MonoCut":
            raise ValueError(f"a {row['type']}, not a MonoCut; cut it with Lhotse's trim_to_supervisions first")
        if "sources" in row:
            raise ValueError("a recording without its words; give the cuts")
        if "supervisions" in row:
            return _of_cut(row, folder)
        return _of_supervision(row)
    except _ODD as error:
        raise _not_understood(place, error) from None


def _not_understood(place: str, error: Exception) -> DataError:
    return DataError(f"{place}: not understood ({type(error).__name__}: {error}); {_KINDS}")


def _of_nemo(row: dict, folder: Path, ids: dict[str, str]) -> Entry:
    if not isinstance(row["audio_filepath"], str):
        raise TypeError("its audio_filepath is not a path; mix the channels into one file")
    path = _place(row["audio_filepath"], folder)
    recording = ids[row["audio_filepath"]]
    start, seconds = seconds_of(row.get("offset") or 0), row.get("duration")
    part = row.get("offset") is not None
    end = start + seconds_of(seconds) if seconds is not None and part else None
    name = row.get("id") or (
        chunk_id(recording, round(100 * start), round(100 * end)) if end is not None else recording
    )
    said = _text(row["text"], row.get("segments"))
    return Entry(str(name), recording, start, end, said, File(path), row.get("speaker"))


def _of_cut(row: dict, folder: Path) -> Entry:
    start, recording = seconds_of(row["start"]), row.get("recording")
    sources = (recording or {}).get("sources") or []
    if changed := (recording or {}).get("transforms"):
        raise ValueError(f"its recording is changed when Lhotse reads it ({changed[0].get('name')}); save its audio")
    if (channels := sum(len(source.get("channels", "1")) for source in sources)) > 1:
        raise ValueError(f"channel {row.get('channel')} of a recording with {channels}; save its audio")
    said = sorted(row["supervisions"], key=lambda each: each["start"])
    segments = [{"start": s["start"], "end": s["start"] + s["duration"], "text": s.get("text") or ""} for s in said]
    whole = recording is not None and not start and abs(row["duration"] - recording["duration"]) < 0.01
    audio = File(_place(sources[0]["source"], folder)) if sources and sources[0]["type"] == "file" else None
    of = recording["id"] if recording else said[0]["recording_id"] if said else row["id"]
    speakers = {s.get("speaker") for s in said} - {None}
    return Entry(
        str(row["id"]),
        safe_id(str(of)),
        start,
        None if whole else start + seconds_of(row["duration"]),
        _text("", segments),
        audio,
        speakers.pop() if len(speakers) == 1 else None,
    )


def _of_supervision(row: dict) -> Entry:
    start, seconds = seconds_of(row["start"]), seconds_of(row["duration"])
    return Entry(
        str(row["id"]), safe_id(str(row["recording_id"])), start, start + seconds, _text(row["text"], None),
        speaker=row.get("speaker"),
    )  # fmt: skip


def _text(plain: str | None, segments: list[dict] | None) -> str:
    whole = _said(plain).strip()
    if not segments:
        return whole
    timed = [
        (max(0.0, seconds_of(s["start"])), seconds_of(s["end"]), as_whisper_writes(timestamps.strip(_said(s["text"]))))
        for s in segments
    ]
    if backwards := next((one for one in timed if one[1] < one[0]), None):
        raise ValueError(f"{backwards[2].strip()[:40]!r} is said from {backwards[0]} to {backwards[1]} s")
    return timestamps.format(timed)


def _said(text: object) -> str:
    if not isinstance(text, str | int | float | None):
        raise TypeError(f"its text is a {type(text).__name__}")
    return as_whisper_writes("" if text is None else str(text))


def _place(path: str, folder: Path) -> str:
    """A path as it stands, or beside the manifest where it is not found so."""
    beside = folder / path
    return str(beside) if not Path(path).exists() and beside.exists() else path


def _repeated(files: list[Path]) -> set[str]:
    """Names that several rows have, such as FLEURS's ids of sentences."""
    from k2d.corpus.huggingface import open_parquet

    count: Counter = Counter()
    for path in files:
        with open_parquet(path) as table:
            columns = [name for name in ("id", "audio.path") if name in _columns(table)]
            for group in range(table.num_row_groups if columns else 0):
                count.update(_name(row) for row in table.read_row_group(group, columns=columns).to_pylist())
    return {name for name, rows in count.items() if name and rows > 1}


def _columns(table) -> set[str]:
    return {table.schema.column(i).path for i in range(len(table.schema))}


def _name(row: dict) -> str:
    """The id of a row, or the stem of its file, or ""."""
    stem = Path((row.get("audio") or {}).get("path") or "").stem
    return str(row.get("id") or (safe_id(stem) if stem else ""))


def _parquet(path: Path, repeated: set[str]) -> Iterator[tuple[str, Entry]]:
    from k2d.corpus.huggingface import open_parquet

    with open_parquet(path) as table:
        names = set(table.schema_arrow.names)
        text = next((name for name in TEXTS if name in names), None)
        if text is None:
            raise DataError(f"{path}: none of the columns {', '.join(TEXTS)}; it has {', '.join(sorted(names))}")
        paths = "audio.path" in _columns(table)
        wanted = [text, *(name for name in ("id", "speaker", "segments") if name in names)]
        counter = itertools.count()
        for group in range(table.num_row_groups):
            columns = [*wanted, *(["audio.path"] if paths else [])]  # the bytes are not read
            for number, row in enumerate(table.read_row_group(group, columns=columns).to_pylist()):
                place = next(counter)
                name = _name(row)
                if not name or name in repeated:
                    name = "-".join(filter(None, (name, safe_id(f"{path.stem}-{place:06d}"))))
                cell = ParquetCell(str(path), group, number) if "audio" in names else None
                try:
                    said = _text(row[text], row.get("segments"))
                except _ODD as error:
                    raise _not_understood(f"{path}, row {place}", error) from None
                yield f"{path}, row {place}", Entry(name, safe_id(name), 0.0, None, said, cell, row.get("speaker"))


def import_entries(path: Path, out: Path) -> tuple[int, list[BadAudio], list[str]]:
    """Write a data directory of the utterances. Returns how many; of each that is left out why: its audio cannot be
    read, or ends before it does; and the files that may be there another time."""
    entries = sorted(read_entries(path), key=lambda entry: entry.id)
    if not entries:
        raise DataError(f"{path}: no utterance there; {_KINDS}")
    if lacking := next((entry for entry in entries if entry.audio is None), None):
        raise DataError(f"{path}: {lacking.id}: names no file of its audio; {_KINDS}, with audio in files")
    for entry in entries:
        if fault := fault_of_id(entry.id):
            raise DataError(f"{path}: id {entry.id!r} {fault}; choose another id")
    sources, faults = _audio(entries, out)
    faulty = {e.id: fault for e in entries if (fault := faults.get(e.recording) or _outside(e, sources[e.recording]))}
    passing = {key for key, fault in faulty.items() if fault.reason in BadAudio.PASSING}
    gone = {entry.audio.path for entry in entries if entry.id in passing and isinstance(entry.audio, File)}
    entries = [entry for entry in entries if entry.id not in faulty]
    bad = list(faulty.values())
    here = path if path.is_dir() else path.parent  # where paths of a manifest may begin, too
    again = sorted(gone | {str(here / file) for file in gone})
    if not entries:
        raise DataError(f"{path}: no utterance can be used: {bad[0]}")
    used = {entry.recording for entry in entries}
    parts = any(entry.start or entry.end is not None or entry.id != entry.recording for entry in entries)
    with DataDirWriter(out, "text") as data:
        data.table("wav.scp", {recording: file for recording, (file, _) in sources.items() if recording in used})
        for entry in entries:
            if parts:
                data.segment(Segment(entry.id, entry.recording, entry.start, entry.end))
            data.write("text", entry.id, entry.text)
            if all(each.speaker for each in entries):
                data.write("utt2spk", entry.id, safe_id(str(entry.speaker)))
    return len(entries), bad, again


def _outside(entry: Entry, source: tuple[str, float]) -> BadAudio | None:
    """What is wrong with an utterance of times that its audio, (file, seconds), does not have."""
    file, seconds = source
    if entry.start < seconds and (entry.end is None or entry.end <= seconds + LATE):
        return None
    times = f"{entry.start:g} to {entry.end:g} s" if entry.end is not None else f"from {entry.start:g} s on"
    return BadAudio(entry.id, "outside", f"{times} of {file}, which has {seconds:.2f} s; correct the manifest")


def _audio(entries: list[Entry], out: Path) -> tuple[dict[str, tuple[str, float]], dict[str, BadAudio]]:
    """(recording -> its file and seconds, recording -> why it cannot be read). Raises DataError for two files of one
    recording."""
    files: dict[str, str] = {}
    sources: dict[str, tuple[str, float]] = {}
    bad: dict[str, BadAudio] = {}
    cells = [Clip(e.id, e.recording, "", "", e.audio) for e in entries if isinstance(e.audio, ParquetCell)]
    for entry in entries:
        if isinstance(entry.audio, File) and files.setdefault(entry.recording, entry.audio.path) != entry.audio.path:
            raise DataError(
                f"{entry.id}: its recording {entry.recording} is {entry.audio.path}, and for others "
                f"{files[entry.recording]}; give files of one name to two manifests"
            )
    for recording, file in files.items():
        try:
            sources[recording] = file, recording_duration(file)
        except BadAudio as error:
            bad[recording] = error
    cells.sort(key=lambda clip: (clip.audio.file, clip.audio.row_group, clip.audio.row))
    for _, group in itertools.groupby(cells, key=lambda clip: (clip.audio.file, clip.audio.row_group)):
        for clip, audio in read_clips(group):
            if isinstance(audio, BadAudio):
                bad[clip.recording] = audio
                continue
            target = out / "audio" / f"{file_name(clip.id)}.flac"
            with atomic(target, "wb") as handle:
                write_flac(handle, audio)
            sources[clip.recording] = str(target), len(audio) / SAMPLE_RATE
    return sources, bad
