#!/usr/bin/env python3
"""Join data directories, or the output directories of one command's parts.

    utils/combine_data.py data/both data/one data/two
    utils/combine_data.py exp/teacher/decode_test exp/teacher/decode_test/parts4/*

In:  directories that have wav.scp (data) or have not (a decoder's: text, utt2*, speed.json).
Out: one directory with the tables that all of them have, skipped.txt of any, speed.json summed, and conf.yaml
     of the first, if all were made by the same models with the same code.
"""

import argparse
import json
import sys
from pathlib import Path

import yaml

from k2d.datadir import DataDir, DataError, atomic, read_table, write_table


def combine_tables(parts: list[Path], out: Path) -> int:
    """Join `text`, `text.*`, `utt2*` of directories without wav.scp; returns the number of lines of text."""
    names = set.intersection(
        *({p.name for p in part.iterdir() if p.name.startswith(("text", "utt2"))} for part in parts)
    )
    if "text" not in names:
        raise DataError(f"{parts[0]}: neither wav.scp nor text in all directories; nothing to combine")
    count = 0
    for name in [*sorted(names - {"text"}), "text"]:  # last the one whose presence says that all is there
        union: dict[str, str] = {}
        for part in parts:
            table = read_table(part / name)
            shared = union.keys() & table.keys()
            if shared:
                raise DataError(f"{part / name}: {min(shared)!r} is also in another of the directories")
            union |= table
        write_table(out / name, union)
        count = len(union)
    skipped = sorted({
        line
        for part in parts
        if (part / "skipped.txt").is_file()
        for line in (part / "skipped.txt").read_text(encoding="utf-8").splitlines()
    })  # fmt: skip
    with atomic(out / "skipped.txt") as handle:
        handle.writelines(f"{line}\n" for line in skipped)
    return count


def combine_speed(parts: list[Path], out: Path) -> None:
    """Sum speed.json over the parts; the real-time factor is that of one machine doing them in turn."""
    total: dict[str, float] = {}
    for part in parts:
        for key, value in json.loads((part / "speed.json").read_text(encoding="utf-8")).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                total[key] = total.get(key, 0) + value
            else:  # such as the engine's name: the same in all
                total[key] = value
    if total.get("audio_seconds"):
        total["real_time_factor"] = total["seconds"] / total["audio_seconds"]
    with atomic(out / "speed.json") as handle:
        json.dump(total, handle, indent=2, sort_keys=True)
        handle.write("\n")


def combine_provenance(parts: list[Path], out: Path) -> None:
    """conf.yaml of the first part, told of the parts; DataError where models or code differ."""
    records = [yaml.safe_load((part / "conf.yaml").read_text(encoding="utf-8")) for part in parts]
    for part, record in zip(parts, records, strict=True):
        for key in ("models", "revision"):
            if record.get(key) != records[0].get(key):
                raise DataError(
                    f"{part / 'conf.yaml'}: made with other {key} than {parts[0]}; make both anew"
                )
    record = {**records[0], "parts": [str(part) for part in parts]}
    with atomic(out / "conf.yaml") as handle:
        yaml.safe_dump(record, handle, allow_unicode=True, sort_keys=True, width=1000)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", type=Path, nargs="+")
    args = parser.parse_args(argv)
    parts = sorted(args.parts, key=lambda p: (p.parent, not p.name.isdigit(), p.name.zfill(9)))
    try:
        for part in parts:
            if not part.is_dir():
                raise DataError(f"{part}: no such directory")
        if all((part / "conf.yaml").is_file() for part in parts):
            combine_provenance(parts, args.out)
        if all((part / "speed.json").is_file() for part in parts):
            combine_speed(parts, args.out)
        if (parts[0] / "wav.scp").is_file():
            count = len(DataDir.combine(parts, args.out).segments)
        else:
            count = combine_tables(parts, args.out)
    except DataError as error:
        print(f"combine_data.py: {error}", file=sys.stderr)
        return 1
    skipped = args.out / "skipped.txt"
    lost = len(skipped.read_text(encoding="utf-8").splitlines()) if skipped.is_file() else 0
    print(f"combine_data.py: {count} utterances of {len(parts)} parts in {args.out}, {lost} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
