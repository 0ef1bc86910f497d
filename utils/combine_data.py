#!/usr/bin/env python3
"""Join data directories.

    utils/combine_data.py data/both data/one data/two

In:  data directories. Out: one with the tables that all of them have and the lines of skipped.txt of any.
     Parts that say what made them (step.json) must have been made alike: by the same models, options and code.
"""

import argparse
import sys
from pathlib import Path

from k2d.datadir import DataDir
from k2d.errors import DataError, guarded
from k2d.wording import counted
from k2d.work import identity
from k2d.work.folders import json_or_none
from k2d.work.step import Step


def made_by(parts: list[Path]) -> dict:
    """What made the parts, if all say it (step.json); DataError where steps, options, models or code differ."""
    records = [json_or_none(part / "step.json") for part in parts]
    if not all(record and "data" in record.get("inputs", {}) for record in records):
        return {}  # corpora, of which any go together
    first = None
    for part, record in zip(parts, records, strict=True):
        found = {key: record.get(key) for key in ("step", "options", "revision")}
        inputs = record.get("inputs", {}).items()
        found["inputs"] = {name: entry["digest"] for name, entry in inputs if name != "data"}
        first = first or found
        for key in found:
            if found[key] != first[key]:
                raise DataError(f"{part / 'step.json'}: made with other {key} than {parts[0]}; make both anew")
    return first


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", type=Path, nargs="+")
    args = parser.parse_args(argv)
    return guarded("combine_data.py", lambda: combine(args), args.out)


def combine(args: argparse.Namespace) -> int:
    parts = sorted(args.parts, key=lambda p: (p.parent, not p.name.isdigit(), p.name.zfill(9)))
    for part in parts:
        if not part.is_dir():
            raise DataError(f"{part}: no such directory")
    inputs = {str(part): identity.of_tables(part) for part in parts}
    with Step("combine_data", args.out, inputs=inputs, options={}, arguments=vars(args)) as step:
        facts = made_by(parts)
        if not step.done:
            DataDir.combine(parts, args.out)
            step.finish(parts=facts)
        count = len(DataDir(args.out).segments)
    skipped = args.out / "skipped.txt"
    lost = len(skipped.read_text(encoding="utf-8").splitlines()) if skipped.is_file() else 0
    made = f"{counted(count, 'utterance')} of {counted(len(parts), 'part')}"
    print(f"combine_data.py: {made} in {args.out}, {lost} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
