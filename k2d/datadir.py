"""Kaldi data directories: read, write atomically, validate, split, subset, combine.

In: a directory with `wav.scp` and, as far as they exist, `segments text text.* utt2* spk2utt reco2*`.
Out: dictionaries from id to the rest of the line, or new directories of the same form.

Files are UTF-8, sorted by id in C order, one entry a line, one space after the id. Sources named in
`wav.scp` are taken relative to the working directory, as Kaldi does.
"""

import heapq
import mmap
import os
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import DataError, UsageError
from k2d.tables import (
    MOST_SECONDS,
    NUMBERS,
    REPAIR,
    Checked,
    Cursor,
    TableWriters,
    check,
    fault_of_id,
    fields,
    number,
    number_parser,
    read_numbers,
    read_parsed,
    read_table,
    scan,
    shown,
    write_table,
)
from k2d.wording import counted

_TABLES = ("text", "utt2", "spk2", "reco2", "segments")  # how names of tables begin, apart from wav.scp
BEGUN = ".begun.json"  # in a directory whose maker has begun and not finished (work/step.py)
_USUAL = ("text", "segments", "utt2spk", "utt2dur", "spk2utt", "reco2dur")  # tables, if the name is one of these
COPIES = ("~", ".bak", ".old", ".orig", ".save", ".swp", ".tmp")  # what editors and people leave beside a table


def tables_in(folder: Path, *beginnings: str) -> list[str]:
    """Names of a folder's files that begin so ("text." is text, too), without what editors and people leave beside."""
    return sorted(
        p.name
        for p in folder.iterdir()
        if f"{p.name}.".startswith(beginnings) and not p.name.endswith(COPIES) and p.is_file()
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording, in seconds; `end` is None when it runs to the recording's end."""

    id: str
    recording: str
    start: float = 0.0
    end: float | None = None


def parse_segment(key: str, value: str) -> Segment:
    """The utterance of a line of `segments`. ValueError for what is none."""
    try:
        recording, start, end = fields(value)
        start, end = number(start), number(end)
        well_formed = 0 <= start <= MOST_SECONDS and (start < end <= MOST_SECONDS or end == -1)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError(
            f"has {value!r}, expected '<recording> <start> <end>' in seconds with 0 <= start < end <= "
            f"{MOST_SECONDS:.0f} (or end -1: to the end of the recording)"
        )
    if fault := fault_of_id(recording):
        raise ValueError(f"is of recording {recording!r}, which {fault}; {REPAIR}")
    return Segment(key, recording, start, None if end == -1 else end)


def read_segments(path) -> dict[str, Segment]:
    """Read `segments` (utterance, recording, start, end in seconds; end -1 means "to the end")."""
    return read_parsed(path, parse_segment)


def write_segments(path, segments: Iterable[Segment]) -> None:
    """Write `segments`, times with at least two decimals and as many as they need up to four."""
    write_table(path, {s.id: segment_value(s) for s in segments})


def segment_value(segment: Segment) -> str:
    """What stands after the id in `segments`."""
    end = "-1" if segment.end is None else _seconds(segment.end)
    return f"{segment.recording} {_seconds(segment.start)} {end}"


def _seconds(value: float) -> str:
    text = f"{value:.4f}"
    return text[:-2] if text.endswith("00") else text


def parse_speaker(key: str, value: str) -> str:
    """The speaker of a line of `utt2spk`: an id too, since `spk2utt` has it in the first column."""
    if fault := fault_of_id(value):
        raise ValueError(f"has speaker {value!r}, which {fault}; {REPAIR}")
    return value


def parser_of(path: Path) -> Callable[[str, str], object]:
    """What reads the values of a table of a data directory, by its name; those of tables that others invented may be
    words (`nan` is a language), and a rule that names one reads it as numbers.
    """
    name = path.name
    if name == "segments":
        return parse_segment
    if name == "utt2spk":
        return parse_speaker
    if name == "wav.scp":
        return parse_source
    if name in NUMBERS:
        return number_parser(path)
    return lambda key, value: value


def parse_source(key: str, value: str) -> str:
    """The source of a line of `wav.scp`."""
    if not value:
        raise ValueError("has no source, expected a path, 'file.ark:offset' or 'command |'")
    return value


def _what_else(path: Path) -> str:
    """What stands in a file's place."""
    if path.is_dir():
        return "a folder"
    return "not a regular file" if path.exists() else "a link that leads nowhere"


def balanced(seconds: Mapping[str, float], n: int) -> list[list[str]]:
    """Ids in n parts of about the same length, the longest of each first; the same of the same ids and durations.

    Longest first, each to the part with the least so far: never worse than 4/3 of the best.
    """
    parts: list[list[str]] = [[] for _ in range(n)]
    loads = [(0.0, index) for index in range(n)]
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        load, index = loads[0]
        parts[index].append(name)
        heapq.heapreplace(loads, (load + max(seconds[name], 0.01), index))  # of unknown length a little, to be spread
    return parts


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """`spk2utt` of `utt2spk`: speaker -> its utterances in C order, separated by spaces."""
    speakers: dict[str, list[str]] = {}
    for utterance in sorted(utt2spk):
        speakers.setdefault(utt2spk[utterance], []).append(utterance)
    return {speaker: " ".join(utterances) for speaker, utterances in speakers.items()}


class _Whole(Mapping):
    """recording -> Segment of all of it, made when asked for: there may be millions."""

    def __init__(self, wav: Mapping[str, str]):
        self._wav = wav

    def __getitem__(self, recording: str) -> Segment:
        if recording not in self._wav:
            raise KeyError(recording)
        return Segment(recording, recording)

    def __contains__(self, recording) -> bool:
        return recording in self._wav

    def __iter__(self) -> Iterator[str]:
        return iter(self._wav)

    def __len__(self) -> int:
        return len(self._wav)


class DataDir:
    """A Kaldi data directory. Tables are read when first asked for and then kept.

    Without a `segments` file every recording is one utterance of the same id, whole.
    Raises DataError when there is no `wav.scp`, and where the folder may not be read.
    """

    def __init__(self, path):
        self.path = Path(path)
        try:
            names = os.listdir(self.path) if self.path.is_dir() else []
            usable = (self.path / "wav.scp").is_file()
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}; give the right to read it, or look at the disk") from None
        if not usable:
            packed = next((name for name in names if name.startswith("wav.scp.")), None)
            there = f", but {packed}, which is to be unpacked or renamed" if packed else ""
            if os.path.lexists(self.path / "wav.scp"):
                there = f", but {_what_else(self.path / 'wav.scp')} of its name"
            if BEGUN in names:
                raise DataError(f"{self.path}: not finished; make it with its stage (labels: stage 2)")
            raise DataError(f"{self.path}: no wav.scp there{there}; expected a Kaldi data directory")

    def __repr__(self) -> str:
        return f"DataDir({str(self.path)!r})"

    def _optional(self, name: str) -> dict[str, str] | None:
        path = self.path / name
        return read_table(path) if path.is_file() else None

    @cached_property
    def wav(self) -> dict[str, str]:
        """recording -> source: a path, "file.ark:offset" or "command |"."""
        return read_parsed(self.path / "wav.scp", parse_source)

    @property
    def has_segments(self) -> bool:
        return (self.path / "segments").is_file()

    @cached_property
    def segments(self) -> Mapping[str, Segment]:
        """utterance -> Segment; each recording whole when there is no `segments` file."""
        return read_segments(self.path / "segments") if self.has_segments else _Whole(self.wav)

    @cached_property
    def text(self) -> dict[str, str] | None:
        return self._optional("text")

    @cached_property
    def utt2spk(self) -> dict[str, str] | None:
        path = self.path / "utt2spk"
        return read_parsed(path, parse_speaker) if path.is_file() else None

    @cached_property
    def utt2dur(self) -> dict[str, float] | None:
        """utterance -> seconds, or None when the directory does not say."""
        path = self.path / "utt2dur"
        return read_numbers(path) if path.is_file() else None

    def utterance_tables(self) -> list[str]:
        """Names of the files keyed by utterance: text, text.*, utt2*."""
        return tables_in(self.path, "text.", "utt2")

    def recording_tables(self) -> list[str]:
        """Names of the files keyed by recording, apart from wav.scp: reco2*."""
        return tables_in(self.path, "reco2")

    def obstacles(self) -> list[str]:
        """Folders, links that lead nowhere and the like in the places of tables, as sentences: nothing reads those."""
        return [
            f"{path}: {_what_else(path)}, expected a file; correct it"
            for path in sorted(self.path.iterdir())
            if path.name.startswith(_TABLES) and not path.is_file() and (path.is_symlink() or path.name in _USUAL)
        ]

    def validate(self) -> list[str]:
        """Every problem found, as sentences that name file and id; an empty list when all is well.

        Audio is not opened. At most ten ids of one kind of problem are listed.
        """
        problems: list[str] = []

        def read(name: str) -> Checked:
            found = check(self.path / name, parser_of(self.path / name))
            problems.extend(found.problems[:10])
            if len(found.problems) > 10:
                problems.append(f"{self.path / name}: and {counted(len(found.problems) - 10, 'more line')}")
            return found

        def report(name: str, ids: Iterable[str], fault: str, there: Iterable[str] = ()):
            ids = sorted(ids)
            forms = {unicodedata.normalize("NFC", key) for key in there} if ids else ()
            if other := [key for key in ids if unicodedata.normalize("NFC", key) in forms]:
                fault += f" ({len(other)} in that Unicode form, é as one character or as two: {REPAIR})"
            if ids:
                more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
                problems.append(f"{self.path / name}: {fault}: {' '.join(map(shown, ids[:10]))}{more}")

        problems += self.obstacles()
        wav = read("wav.scp")
        if not wav.ids and wav.well_formed:
            problems.append(f"{self.path / 'wav.scp'}: empty; expected at least one recording")
        segments = read("segments") if self.has_segments else wav
        if self.has_segments and wav.well_formed:
            recordings = {s.recording for s in segments.values.values()}
            report("segments", recordings - wav.ids, "recordings that wav.scp does not have", wav.ids)
        tables = {name: read(name) for name in self.utterance_tables()}
        for name, table in tables.items():
            if segments.well_formed:
                report(name, table.ids - segments.ids, "utterances that segments/wav.scp lack", segments.ids)
            if table.well_formed and name != "utt2dur":  # what cannot be read has no duration, and is named elsewhere
                report(name, segments.ids - table.ids, "no entry for")
        for name in self.recording_tables():
            table = read(name)
            if wav.well_formed:
                report(name, table.ids - wav.ids, "recordings that wav.scp does not have")
        if (self.path / "spk2utt").is_file():
            speakers, utt2spk = read("spk2utt"), tables.get("utt2spk")
            if utt2spk is None:
                problems.append(f"{self.path / 'spk2utt'}: there is no utt2spk beside it; {REPAIR}")
            elif not (speakers.problems or utt2spk.problems) and invert(utt2spk.values) != {
                speaker: " ".join(fields(ids)) for speaker, ids in speakers.values.items()
            }:
                problems.append(
                    f"{self.path / 'spk2utt'}: does not agree with utt2spk; "
                    f"repair with 'utils/fix_data.py {self.path}'"
                )
        return problems

    def subset(self, ids: Iterable[str], out) -> "DataDir":
        """Write the utterances `ids` to the directory `out` and return it.

        Keeps every table keyed by utterance, recording or speaker, cut to what the utterances need,
        and `spk2utt`, made anew; drops other files (step.json, skipped.txt, logs, subfolders).
        Raises DataError for ids the directory does not have.
        """
        wanted = set(ids)
        unknown = sorted(wanted - self.segments.keys())
        if unknown:
            raise DataError(f"{self.path}: no utterance {unknown[0]!r}; {counted(len(unknown), 'id')} unknown")
        with SubsetWriter(self, out) as part:
            for utterance in sorted(wanted):
                part.keep(utterance)
        return DataDir(out)

    def recording_seconds(self) -> dict[str, float]:
        """recording -> seconds as far as the tables say (utt2dur, segments); else its bytes on disk.

        A measure for balancing only: bytes stand in for seconds when no table tells, which is fair
        between files of one format.
        """
        seconds = dict.fromkeys(self.wav, 0.0)
        durations = self.utt2dur or {}
        for segment in self.segments.values():
            if segment.id in durations:
                length = durations[segment.id]
            elif segment.end is not None:
                length = segment.end - segment.start
            else:
                try:
                    length = float(os.path.getsize(self.wav.get(segment.recording, "")))
                except OSError:  # missing, a pipe or an archive: its job reports what is wrong
                    length = 1.0
            seconds[segment.recording] = seconds.get(segment.recording, 0.0) + length
        return seconds

    def split(self, n: int, out, durations: Mapping[str, float] | None = None) -> list["DataDir"]:
        """Split into at most `n` directories of about equal duration, `out`/1 … `out`/n.

        Recordings stay whole, because a long-form decoder carries text from one window to the next;
        with fewer recordings than `n` there are as many parts as recordings. `durations` (recording -> seconds)
        defaults to `recording_seconds()`. The same directory always splits the same way.
        """
        if n < 1:
            raise UsageError(f"split into {n} parts: expected at least one")
        durations = dict(durations) if durations is not None else self.recording_seconds()
        utterances: dict[str, list[str]] = {}
        for segment in self.segments.values():
            utterances.setdefault(segment.recording, []).append(segment.id)
        if not utterances:
            raise DataError(f"{self.path}: no utterance to split")
        parts = balanced({name: durations.get(name, 0.0) for name in utterances}, min(n, len(utterances)))
        out = Path(out)
        return [
            self.subset((u for r in part for u in utterances[r]), out / str(number))
            for number, part in enumerate(parts, 1)
        ]

    @staticmethod
    def combine(dirs: Sequence["DataDir | str | Path"], out) -> "DataDir":
        """Write the union of several directories to `out` and return it.

        Keeps the tables that every directory has and the lines of `skipped.txt` of any; drops the
        rest. Recordings may be shared if their source is the same; an utterance in two directories
        is a DataError.
        """
        dirs = [d if isinstance(d, DataDir) else DataDir(d) for d in dirs]
        if not dirs:
            raise DataError(f"{out}: nothing to combine; give at least one data directory")
        with DataDirWriter(out) as union:
            union.table("wav.scp", _union([(d.path / "wav.scp", d.wav) for d in dirs], shared=True))
            if any(d.has_segments for d in dirs):
                for segment in _union([(d.path / "segments", d.segments) for d in dirs]).values():
                    union.segment(segment)
            for kind, shared in ((DataDir.utterance_tables, False), (DataDir.recording_tables, True)):
                for name in sorted(set.intersection(*(set(kind(d)) for d in dirs))):
                    union.table(name, _union([(d.path / name, read_table(d.path / name)) for d in dirs], shared))
        lists = [path for path in (d.path / "skipped.txt" for d in dirs) if path.is_file()]
        if lists:
            skipped = {
                raw.decode("utf-8", "replace")
                for path in lists
                for raw in path.read_bytes().splitlines()
            }
            with atomic(Path(out) / "skipped.txt") as handle:
                handle.writelines(f"{line}\n" for line in sorted(skipped))
        return DataDir(out)


def _union(tables: list[tuple[Path, Mapping]], shared: bool = False) -> dict:
    """Join tables; an id in two of them must be `shared` and have one value, else DataError."""
    union: dict = {}
    for path, table in tables:
        for key, value in table.items():
            if key in union and not (shared and union[key] == value):
                raise DataError(f"{path}: {key!r} is also in another of the directories to combine")
            union[key] = value
    return union


class DataDirWriter(TableWriters):
    """Write a data directory entry by entry, millions of utterances in little memory.

        with DataDirWriter(out) as new:
            new.write("wav.scp", recording, source)
            new.segment(Segment(utterance, recording, 0.0, 2.5))
            new.write("text", utterance, text)

    The directory appears when the block ends without an error; until then an earlier one stays as it was. Its
    `wav.scp` goes first, then its tables that the new one lacks; the new `wav.scp` comes last, so that a killed
    writer leaves no directory that opens. `spk2utt` is made from `utt2spk`. Other files are left alone.
    """

    def __init__(self, out, *names: str):
        """names: tables to write even where there is no entry for them."""
        super().__init__(out, "wav.scp", *names)

    def segment(self, segment: Segment) -> None:
        self.write("segments", segment.id, segment_value(segment))

    def table(self, name: str, table: Mapping[str, str]) -> None:
        """All entries of a table at once."""
        if name not in self._handles:
            self._open(name)
        for key in sorted(table):
            self.write(name, key, table[key])

    def __exit__(self, *error) -> None:
        # Called before any table appears; what it raises is an error of the block.
        self._stack.push(lambda kind, *_: self._finish() if kind is None else None)
        super().__exit__(*error)

    def _finish(self) -> None:
        if "utt2spk" in self._handles:
            self._write_speakers()
        (self.folder / "wav.scp").unlink(missing_ok=True)
        for old in self.folder.iterdir():
            if old.name.startswith(_TABLES) and old.is_file() and old.name not in self._handles:
                old.unlink()

    def _write_speakers(self) -> None:
        """spk2utt, out of utt2spk as it was just written: eight bytes an utterance in memory."""
        self._sort("utt2spk")
        self._handles["utt2spk"].flush()
        self._open("spk2utt")
        places: dict[bytes, array] = {}
        offset = 0
        with open(self._handles["utt2spk"].name, "rb") as lines:
            for line in lines:
                places.setdefault(line.rstrip(b"\n").partition(b" ")[2], array("q")).append(offset)
                offset += len(line)
            if not offset:
                return
            with mmap.mmap(lines.fileno(), 0, access=mmap.ACCESS_READ) as text:
                for speaker in sorted(places):
                    ids = b" ".join(text[start : text.find(b" ", start)] for start in places[speaker])
                    self.write("spk2utt", speaker.decode(), ids.decode())


class SubsetWriter(DataDirWriter):
    """Copy the utterances one keeps, in step with whoever chooses them.

    Every table keyed by utterance is read once, and by recording and speaker what the utterances need is kept.
    """

    def __init__(self, data: DataDir, out, without: Sequence[str] = ()):
        """without: tables that the caller writes himself."""
        names = [name for name in data.utterance_tables() if name not in without]
        names += ["segments"] if data.has_segments else []
        super().__init__(out, *names)
        self.data = data
        self._cursors = {name: Cursor(data.path / name) for name in names}
        self._sources = None if data.has_segments else Cursor(data.path / "wav.scp")
        self._recordings: set[str] = set()

    def keep(self, utterance: str) -> None:
        """Copy one utterance; each must come behind the one before in C order."""
        recording = utterance
        for name, cursor in self._cursors.items():
            value = cursor.get(utterance)
            if value is not None:
                self.write(name, utterance, value)
                if name == "segments":
                    recording = cursor.parsed(utterance, value, parse_segment).recording
        if self._sources is not None:
            source = self._sources.get(utterance)
            if source is None:
                raise DataError(f"{self.data.path / 'wav.scp'}: no recording {utterance!r}, which other tables name")
            self.write("wav.scp", utterance, source)
        self._recordings.add(recording)

    def _finish(self) -> None:
        names = self.data.recording_tables() + ([] if self._sources is not None else ["wav.scp"])
        for name in names:
            found = 0
            for _, recording, value in scan(self.data.path / name):
                if recording in self._recordings:
                    self.write(name, recording, value)
                    found += 1
            if name == "wav.scp" and found < len(self._recordings):
                missing = min(self._recordings - read_table(self.data.path / name).keys())
                raise DataError(f"{self.data.path / name}: no recording {missing!r}, which segments names")
        super()._finish()
