#!/usr/bin/env python3
"""Join data directories.

    utils/combine_data.py data/both data/one data/two

In:  data directories. Out: one with the tables that all of them have and the lines of skipped.txt of any.
     Labels that say what made them (step.json) must have been made alike: by the same models, options and code.
"""

import argparse
import sys
from pathlib import Path

import in_venv  # noqa: F401

from k2d.datadir import DataDir
from k2d.errors import DataError, guarded
from k2d.wording import counted
from k2d.work import identity, provenance
from k2d.work.identity import RECORD, owner_of, record_in
from k2d.work.step import Step


def made_by(parts: list[Path]) -> dict:
    """What made the labels, if all say it; DataError where steps, options, models or code differ."""
    records = [owner_of(part) or part for part in parts]  # of a part of a split, the split's
    made = [provenance.of_labels(record_in(record)) for record in records]
    if not all(made):
        return {}
    for record, found in zip(records, made, strict=True):
        for key, value in made[0].items():
            if found.get(key) != value:
                raise DataError(f"{record / RECORD}: made with other {key} than {records[0]}; make both anew")
    return made[0]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", type=Path, nargs="+")
    args = parser.parse_args(argv)
    return guarded("combine_data.py", lambda: combine(args), args.out)


def combine(args: argparse.Namespace) -> int:
    given = [part for part in args.parts if part.name != RECORD]  # of split8/*
    parts = sorted(given, key=lambda p: (p.parent, not p.name.isdigit(), p.name.zfill(9)))
    if not parts:
        raise DataError(f"{args.parts[0]}: is not a data directory; give the directories to join")
    for part in parts:
        if not part.is_dir():
            raise DataError(f"{part}: no such directory")
    inputs = {str(part): identity.of_tables(part) for part in parts}
    with Step("combine_data", args.out, inputs=inputs, options={}, arguments=vars(args)) as step:
        facts = made_by(parts)
        if not step.done:
            DataDir.combine(parts, args.out)
            step.finish(labels=facts)
        count = len(DataDir(args.out).segments)
    skipped = args.out / "skipped.txt"
    lost = len(skipped.read_text(encoding="utf-8").splitlines()) if skipped.is_file() else 0
    made = f"{counted(count, 'utterance')} of {counted(len(parts), 'part')}"
    print(f"combine_data.py: {made} in {args.out}, {lost} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
