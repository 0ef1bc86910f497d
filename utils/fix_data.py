#!/usr/bin/env python3
"""Repair a data directory in place: order, line ends, blank and repeated lines, tables that disagree.

    utils/fix_data.py data/train

In:  a data directory. Out: the same, with the files as they were in .backup beside them (.backup.2 where a
second repair finds others). Utterances that lack
an entry in any table, a segment or a recording are dropped; spk2utt is made anew. Two lines that say
different things of one id are beyond repair: the message names them.
"""

import argparse
import sys
from pathlib import Path

from k2d.datadir import DataDir, invert, read_segments
from k2d.errors import DataError
from k2d.tables import atomic, read_table, write_table


def clean(path: Path) -> int:
    """Rewrite one table sorted, with Unix line ends, no blank or repeated lines; returns lines dropped."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; convert the file first") from None
    table: dict[str, tuple[str, int]] = {}
    dropped = 0
    for number, line in enumerate(lines, 1):
        fields = line.strip().split(maxsplit=1)
        if not fields:
            dropped += number < len(lines)  # what follows the last line's end is no line
            continue
        value = fields[1] if len(fields) == 2 else ""
        if fields[0] in table:
            before, first = table[fields[0]]
            if before != value:
                raise DataError(f"{path}:{number}: {fields[0]!r} is also on line {first}, with another value")
            dropped += 1
        table[fields[0]] = (value, number)
    write_table(path, {key: value for key, (value, _) in table.items()})
    return dropped


def keep(path: Path, ids: set[str]) -> None:
    table = read_table(path)
    if table.keys() - ids:
        write_table(path, {key: value for key, value in table.items() if key in ids})


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
    names = ["wav.scp", *data.utterance_tables(), *data.recording_tables()]
    if data.has_segments:
        names.append("segments")
    backup = back_up(directory, [*names, "spk2utt"])
    lines = sum(clean(directory / name) for name in names)

    wav = read_table(directory / "wav.scp")
    if data.has_segments:
        segments = read_segments(directory / "segments")
        recording_of = {u: s.recording for u, s in segments.items() if s.recording in wav}
    else:
        recording_of = {recording: recording for recording in wav}
    before = len(segments if data.has_segments else wav)
    utterances = set(recording_of)
    for name in data.utterance_tables():
        utterances &= read_table(directory / name).keys()
    if not utterances:
        raise DataError(f"{directory}: no utterance has an entry in every table; compare with {backup}")
    recordings = {recording_of[u] for u in utterances}
    for name in data.utterance_tables() + (["segments"] if data.has_segments else []):
        keep(directory / name, utterances)
    for name in ["wav.scp", *data.recording_tables()]:
        keep(directory / name, recordings)
    if (directory / "utt2spk").is_file():
        write_table(directory / "spk2utt", invert(read_table(directory / "utt2spk")))
    problems = DataDir(directory).validate()
    if problems:
        raise DataError("\n".join(problems))
    return (
        f"{directory}: {len(utterances)} of {before} utterances, {len(recordings)} of {len(wav)} recordings "
        f"kept; {lines} lines dropped"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path)
    args = parser.parse_args(argv)
    for directory in args.data:
        try:
            print(f"fix_data.py: {fix(directory)}")
        except DataError as error:
            print(f"fix_data.py: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
