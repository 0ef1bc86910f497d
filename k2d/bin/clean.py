"""List, and with --free remove, results of other options that were moved aside.

    k2d clean                     list them, with sizes, for data/ and exp/
    k2d clean exp --free          remove those under exp/
    k2d clean --free --work       also intermediate results of finished steps, which a changed corpus would reuse

A run never deletes finished results of other options: it moves them to `.k2d/<name>/<key>` beside the directory, and
back when these options are used again. Only this command removes them.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from k2d.errors import Locked, UsageError
from k2d.options import CommandParser, command
from k2d.wording import counted
from k2d.work.folders import size_in_words, size_of_folder
from k2d.work.identity import RECORD, record_in
from k2d.work.lock import BESIDE, DirectoryLock, beside
from k2d.work.step import CHANGED, WORK

LISTED = ("runs", 3)
FREED = ".freed-"  # of what is being removed: a kill in between must leave nothing that comes back with its options


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
    """Everything below a folder that lies aside, and what lies beside directories that it has links to."""
    for here, folders, files in os.walk(folder):
        place = Path(here)
        if BESIDE in folders:
            for name in sorted(os.listdir(place / BESIDE)):
                if not name.endswith(f".{WORK}"):  # items that a killed run was moving: its next owner puts them back
                    yield from _kept(place / BESIDE / name, place / name)
        for link in (place / name for name in sorted(folders) if (place / name).is_symlink()):
            yield from _kept(beside(link), link)
            if (link / BESIDE).is_dir():
                yield from found(link, work)
        if work and RECORD in files and WORK in folders:
            what = "items of a finished step, reused if the corpus grows"
            yield Aside(place / WORK, place, what, size_of_folder(place / WORK), "")
        folders[:] = [name for name in folders if name not in (WORK, BESIDE)]


def _kept(place: Path, of: Path) -> Iterator[Aside]:
    """What other options of the directory `of` have made, a folder a key."""
    for key in sorted(place.iterdir()) if place.is_dir() else ():
        record = record_in(key)
        what = f"{'finished' if record else 'unfinished'}, of other options or data"
        if key.name.startswith(FREED):
            what = "partly removed"
        elif key.name.startswith(CHANGED):
            what = "changed by hand"
        yield Aside(key, of, what, size_of_folder(key), record.get("command", ""))


def run(args: argparse.Namespace) -> int:
    missing = [folder for folder in args.folders if not folder.is_dir()]
    if len(missing) == len(args.folders):
        raise UsageError(f"{missing[0]}: no such directory; run it in a recipe's folder, or name directories")
    listed = [aside for folder in args.folders if folder.is_dir() for aside in found(folder, args.work)]
    freed, kept = 0, 0
    for aside in listed:
        made = f"  made by: {aside.command}" if aside.command else ""
        print(f"{size_in_words(aside.size):>8}  {aside.of}: {aside.what}  ({aside.folder}){made}")
        if args.free:
            try:
                remove(aside)
                freed += aside.size
            except Locked as error:
                kept += 1
                print(f"clean: kept: {error}", file=sys.stderr)
    if not args.free:
        total = size_in_words(sum(aside.size for aside in listed))
        free = "--free --work" if args.work else "--free"
        there = f"{total} in {counted(len(listed), 'place')}; {free} removes this" if listed else "nothing to remove"
        print(f"clean: {there}")
    else:
        print(f"clean: removed {size_in_words(freed)} in {counted(len(listed) - kept, 'place')}")
    return 1 if kept else 0


def remove(aside: Aside) -> None:
    """Remove it, so that a kill leaves what never comes back. Raises Locked where somebody works on the directory."""
    going = aside.folder
    if not going.name.startswith(FREED):
        # Held only for a rename: what is removed may take hours, in which a run wants the directory.
        with DirectoryLock(aside.of):
            if not aside.folder.exists():
                return  # it has come back meanwhile
            place = beside(aside.of) if aside.folder.name == WORK else aside.folder.parent
            going = place / f"{FREED}{aside.folder.name}.{time.time_ns()}"
            going.parent.mkdir(parents=True, exist_ok=True)
            os.rename(aside.folder, going)
    shutil.rmtree(going, onexc=_gone)


def _gone(_function: object, _path: str, error: BaseException) -> None:
    """Another `k2d clean` has removed it."""
    if not isinstance(error, FileNotFoundError):
        raise error


main = command(parser, run)
