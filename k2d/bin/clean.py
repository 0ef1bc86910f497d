"""List, and with --free remove, work of other options that lies aside.

    k2d clean                     list it, with sizes, for data/ and exp/
    k2d clean exp --free          remove what was set aside under exp/
    k2d clean --free --work       also the items of finished steps, from which a changed corpus would be made faster

A run never deletes what another one has finished: it moves it to `.k2d/<name>/<key>` beside the directory, and back
when its options are asked for again. This command is the only one that removes it.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from k2d.check.space import size_of_folder
from k2d.errors import UsageError, guarded
from k2d.options import CommandParser
from k2d.work.identity import RECORD
from k2d.work.lock import BESIDE, DirectoryLock
from k2d.work.step import WORK, read_json

LISTED = ("runs", 3)


@dataclass(frozen=True)
class Aside:
    """A folder that could be removed: of which directory, what it is, bytes, and the command that made it."""

    folder: Path
    of: Path
    what: str
    size: int
    command: str


def parser() -> argparse.ArgumentParser:
    p = CommandParser("clean", __doc__)
    p.add_argument("folders", nargs="*", type=Path, default=[Path("data"), Path("exp")], help="default: data exp")
    p.add_argument("--free", action="store_true", help="remove what is listed")
    p.add_argument("--work", action="store_true", help="list, and remove, also work/ of finished steps")
    return p


def found(folder: Path, work: bool) -> Iterator[Aside]:
    """Everything below a folder that lies aside."""
    for here, folders, files in os.walk(folder):
        place = Path(here)
        if place.name == BESIDE:
            for name in sorted(folders):
                for key in sorted((place / name).iterdir()):
                    record = read_json(key / RECORD)
                    what = "finished, of other options" if record else "unfinished, of other options"
                    yield Aside(key, place.parent / name, what, size_of_folder(key), (record or {}).get("command", ""))
            folders[:] = []
        elif work and RECORD in files and WORK in folders:
            yield Aside(place / WORK, place, "items of a finished step", size_of_folder(place / WORK), "")
        folders[:] = [name for name in folders if name != WORK]


def readable(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def run(args: argparse.Namespace) -> int:
    missing = [folder for folder in args.folders if not folder.is_dir()]
    if len(missing) == len(args.folders):
        raise UsageError(f"{missing[0]}: no such directory; run it in a recipe's folder, or name directories")
    listed = [aside for folder in args.folders if folder.is_dir() for aside in found(folder, args.work)]
    for aside in listed:
        made = f"  made by: {aside.command}" if aside.command else ""
        print(f"{readable(aside.size):>8}  {aside.of}: {aside.what}  ({aside.folder}){made}")
        if args.free:
            with DirectoryLock(aside.of):
                shutil.rmtree(aside.folder)
    total = readable(sum(aside.size for aside in listed))
    print(f"clean: {total} in {len(listed)} places {'removed' if args.free else 'lie aside; --free removes them'}")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("clean", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
