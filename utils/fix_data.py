#!/usr/bin/env python3
"""Repair a data directory in place: ids, order, line ends, byte order marks, repeated lines, tables that disagree.

    utils/fix_data.py data/train

In: a data directory. Out: the same, with the files as they were in .backup beside them (.backup.2 where a second
repair finds others). docs/tables.md says what an id, a number and a line are. In ids, wherever they stand, white space
becomes _ and what is invisible goes; white space of another kind that parts an id from its value becomes a space; so
does a control character in a value. An id in another Unicode form (é as one character or as two) than wav.scp or
segments have it gets theirs. Lines without a usable value (a duration that is nan, a segment that ends before it
starts) are dropped, and named; so are utterances that lack an entry in any table but utt2dur, which
utils/get_utt2dur.py makes, a segment or a recording; spk2utt is made anew, or utt2spk of it where that is missing. Two
lines that say different things of one id are beyond repair: the message names them, and nothing is changed.
"""

import argparse
import re
import sys
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path

import in_venv  # noqa: F401

from k2d.atomic import atomic
from k2d.audio.stamps import is_command
from k2d.datadir import DataDir, invert, parse_segment, parser_of
from k2d.errors import DataError, guarded
from k2d.tables import decode_line, fault_of_id, fields, fits_no_id, wide_encoding, without_control, write_table
from k2d.wording import counted
from k2d.work.lock import DirectoryLock

Table = dict[str, str]
MOST_NAMED = 50  # of what is dropped


def mended(key: str) -> str:
    """The id that is meant: white space within it as _, without what is invisible."""
    key = "_".join(key.split())
    return "".join(character for character in key if not fits_no_id(character))


def forms(ids: Iterable[str]) -> dict[str, str]:
    """Unicode's composed form -> id: two forms of one id look the same."""
    return {unicodedata.normalize("NFC", key): key for key in ids}


def as_known(key: str, known: set[str], known_forms: dict[str, str]) -> str:
    """The id, in the form in which it is known."""
    return key if key in known else known_forms.get(unicodedata.normalize("NFC", key), key)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of a text file of any system, "" for a blank one. DataError where it is no text."""
    raw = path.read_bytes()
    if wide := wide_encoding(raw):
        text = raw.decode(wide, "replace")
        if "\ufffd" in text:
            raise DataError(f"{path}: begins as {wide.upper()} and is none; convert it to UTF-8 first")
        raw = text.encode()
    while raw.startswith(BOM_UTF8):  # one for every program that has written one
        raw = raw.removeprefix(BOM_UTF8)
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")  # of a Macintosh
    for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n"), 1):
        try:
            text = decode_line(number, line).strip("\r")
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        yield number, text.strip()


def readings(name: str, line: str) -> Iterator[tuple[str, str]]:
    """(id, value) as a line can be read: an id ends at a space or tab, or, where none does, at any white space."""
    for separator in (r"[ \t]+", r"\s+"):
        key, value = [*re.split(separator, line, maxsplit=1), ""][:2]
        value = value.replace("\r", " ")
        yield key, value
    if name == "segments":
        yield key, " ".join(value.split())


def read_line(path: Path, line: str, known: set[str] | None) -> tuple[str, str]:
    """Id and value of a line, mended. known: the ids that there are, where another table says it."""
    found = list(readings(path.name, line))
    if fault_of_id(found[0][0]):
        fitting = [reading for reading in found if _fits(path, *reading, known)]
        key, value = fitting[0] if fitting else found[0]
    else:
        key, value = found[0]
    key = mended(key)
    if path.name == "segments" and len(parts := fields(value)) == 3:
        value = " ".join([mended(parts[0]), *parts[1:]])
    elif path.name == "utt2spk":
        value = mended(value)
    return key, value


def _fits(path: Path, key: str, value: str, known: set[str] | None) -> bool:
    """Whether this reading of a line is the one that was meant."""
    if known is not None and mended(key) not in known:
        return False
    if path.name == "wav.scp":
        return bool(value) and (is_command(value) or Path(value.rpartition(":")[0] or value).exists())
    try:
        if path.name == "utt2spk":
            return len(value.split()) == 1
        first, *others = fields(value) or [""]
        parser_of(path)(key, " ".join([mended(first), *others]))
    except ValueError:
        return False
    return True


def parted(path: Path, lines: list[tuple[int, str]], known: set[str] | None) -> Iterator[tuple[int, str]]:
    """Split lines at carriage returns, the line ends of old Macs, where all that follows them are entries of ids that
    have no other line. known: as for `read_line`.
    """
    if not any("\r" in line for _, line in lines):  # nearly all tables
        yield from lines
        return
    own = {mended(line.split(maxsplit=1)[0]) for _, line in lines if line}

    def is_entry(part: str) -> bool:
        key, value = [*part.split(maxsplit=1), "", ""][:2]
        key = mended(key)
        return bool(key) and key not in own and (key in known if known is not None else _fits(path, key, value, None))

    for number, line in lines:
        parts = line.split("\r")
        for part in parts if all(map(is_entry, parts[1:])) else [line]:
            yield number, part.strip()


def clean(path: Path, known: set[str] | None, gone: dict[str, str]) -> tuple[Table, int]:
    """One table, mended, and how many lines were dropped. known: as for `read_line`. gone: id -> why it has no line any
    more, where that is not known already.
    """
    table: dict[str, tuple[str, int]] = {}
    dropped, parse, known_forms = 0, parser_of(path), forms(known or ())
    for number, line in parted(path, list(lines_of(path)), known):
        if not line:
            dropped += 1
            continue
        key, value = read_line(path, line, known)
        value = without_control(value)
        if not key:
            raise DataError(f"{path}:{number}: nothing visible is left of the id; write one")
        if known is not None:
            key = as_known(key, known, known_forms)
        if key in table:
            before, first = table[key]
            if before != value:
                raise DataError(f"{path}:{number}: {key!r} is also on line {first}, with another value")
            dropped += 1
            continue
        try:
            parse(key, value)
        except ValueError as error:
            gone.setdefault(key, f"{path}:{number}: dropped: {key!r} {error}")
            dropped += 1
            continue
        table[key] = (value, number)
    return {key: value for key, (value, _) in table.items()}, dropped


def of_speakers(path: Path, speakers: Table) -> Table:
    """utterance -> speaker. DataError where two claim one."""
    found: Table = {}
    for speaker, ids in speakers.items():
        for key in fields(ids):
            if found.setdefault(key, speaker) != speaker:
                raise DataError(f"{path}: {key!r} is of {found[key]!r} and of {speaker!r}; remove it from one of them")
    return found


def tell(directory: Path, gone: dict[str, str]) -> None:
    """Name what goes, each id once with the first reason; of very many the first ones."""
    said = [why for _, why in sorted(gone.items())]
    for why in said[:MOST_NAMED]:
        print(f"fix_data.py: {why}", file=sys.stderr)
    if len(said) > MOST_NAMED:
        rest = f"{len(said) - MOST_NAMED:,} more"
        print(f"fix_data.py: {directory}: and {rest}; .backup has their lines", file=sys.stderr)


def back_up(directory: Path, names: list[str]) -> Path:
    """Copy the files to .backup, or .backup.2 … where that holds others; returns the folder. Nothing is overwritten."""
    files = {name: (directory / name).read_bytes() for name in names if (directory / name).is_file()}
    number = 1
    while True:
        backup = directory / (".backup" if number == 1 else f".backup.{number}")
        kept = {path.name: path.read_bytes() for path in backup.iterdir()} if backup.is_dir() else {}
        if all(kept.get(name, data) == data for name, data in files.items()):
            break
        number += 1
    for name, data in files.items():
        if name not in kept:
            with atomic(backup / name, "wb") as handle:
                handle.write(data)
    return backup


def fix(directory: Path) -> str:
    data = DataDir(directory)
    by_utterance, by_recording = data.utterance_tables(), data.recording_tables()
    tables: dict[str, Table] = {}
    gone: dict[str, str] = {}
    given: dict[str, int] = {}  # ids of a table, those of lines without a usable value too
    lines = 0

    def take(name: str, known: set[str] | None = None) -> Table:
        nonlocal lines
        before = len(gone)
        tables[name], dropped = clean(directory / name, known, gone)
        given[name] = len(tables[name]) + len(gone) - before
        lines += dropped
        return tables[name]

    def lack(ids: Iterable[str], what: str) -> None:
        for key in ids:
            gone.setdefault(key, f"{directory}: dropped: {key!r} has no {what}")

    wav = take("wav.scp")
    if data.has_segments:
        wav_forms = forms(wav)
        for key, value in take("segments").items():
            recording, times = value.split(maxsplit=1)
            tables["segments"][key] = f"{as_known(recording, wav.keys(), wav_forms)} {times}"
        segments = {key: parse_segment(key, value) for key, value in tables["segments"].items()}
        recording_of = {u: s.recording for u, s in segments.items() if s.recording in wav}
        lack(segments.keys() - recording_of.keys(), "recording in wav.scp")
    else:
        recording_of = {recording: recording for recording in wav}
    utterances = set(recording_of)
    for name in by_utterance:
        table = take(name, set(recording_of))
        if name != "utt2dur":
            lack(utterances - table.keys(), f"line in {name}")
            lack(table.keys() - recording_of.keys(), f"line in {'segments' if data.has_segments else 'wav.scp'}")
            utterances &= table.keys()
    if "utt2spk" not in tables and (directory / "spk2utt").is_file():
        speakers, _ = clean(directory / "spk2utt", None, gone)
        tables["utt2spk"] = of_speakers(directory / "spk2utt", speakers)
        lack(utterances - tables["utt2spk"].keys(), "line in spk2utt")
        utterances &= tables["utt2spk"].keys()
    for name in by_recording:
        take(name, set(wav))
    if not utterances:
        tell(directory, gone)
        raise DataError(f"{directory}: no utterance has an entry in every table, as said above; nothing was changed")
    recordings = {recording_of[u] for u in utterances}
    for name, table in tables.items():
        ids = recordings if name == "wav.scp" or name in by_recording else utterances
        tables[name] = {key: value for key, value in table.items() if key in ids}
        lines += len(table) - len(tables[name])
    if "utt2spk" in tables:
        tables["spk2utt"] = invert(tables["utt2spk"])
    tell(directory, gone)
    back_up(directory, [*tables, "spk2utt"])
    for name, table in tables.items():
        write_table(directory / name, table)
    problems = DataDir(directory).validate()
    if problems:
        raise DataError("\n".join(problems))
    before = given["segments" if data.has_segments else "wav.scp"]
    return (
        f"{directory}: kept {len(utterances)} of {counted(before, 'utterance')}, {len(recordings)} of "
        f"{counted(given['wav.scp'], 'recording')}; dropped {counted(lines, 'line')}"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    return guarded("fix_data.py", lambda: fix_all(parser.parse_args(argv).data))


def fix_all(directories: Iterable[Path]) -> int:
    for directory in directories:
        if obstacles := DataDir(directory).obstacles():
            raise DataError("\n".join(obstacles))
        with DirectoryLock(directory):
            print(f"fix_data.py: {fix(directory)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
