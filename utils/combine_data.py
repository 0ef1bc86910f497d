#!/usr/bin/env python3
"""Join data directories.

    utils/combine_data.py data/both data/one data/two

In:  data directories. Out: one with the tables that all of them have and the lines of skipped.txt of any.
     Where all have a conf.yaml, it is kept with the parts' names, if the same models and code made them.
"""

import argparse
import sys
from pathlib import Path

import yaml

from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.tables import atomic


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
        count = len(DataDir.combine(parts, args.out).segments)
    except DataError as error:
        print(f"combine_data.py: {error}", file=sys.stderr)
        return 1
    skipped = args.out / "skipped.txt"
    lost = len(skipped.read_text(encoding="utf-8").splitlines()) if skipped.is_file() else 0
    print(f"combine_data.py: {count} utterances of {len(parts)} parts in {args.out}, {lost} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
