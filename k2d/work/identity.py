"""What a step was made from, by content: a touched file is the same file, a changed one is not.

In: files, tables, data directories, models, finished steps. Out: an `Identity`, a path with the digest of what counts.
Hashes of large files are remembered (in $XDG_CACHE_HOME/k2d/hashes) under the file's device, inode, size and times.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import wraps
from itertools import chain
from pathlib import Path

from k2d.audio.inputs import walk
from k2d.audio.stamps import FileStamps, is_command
from k2d.datadir import BEGUN, DataDir, tables_in
from k2d.errors import DataError
from k2d.tables import scan
from k2d.work.folders import cache_folder, json_or_none, remember

LARGE = 1 << 22  # bytes from which on a hash is worth remembering
RECORD = "step.json"  # of finished work, in its directory; of work that has begun: BEGUN


@dataclass(frozen=True)
class Identity:
    """An input of a step. `path` is where it lay, `digest` its content; only the digest decides.

    makers: directories of the steps that made it, and what its content points to, each with the key that was there
    before the content was read (None: unfinished). Whoever works with it holds them (step.py).
    commands: of a data directory, whether its wav.scp has any.
    """

    path: str
    digest: str
    makers: tuple[tuple[Path, str | None], ...] = field(default=(), compare=False)
    commands: bool = field(default=False, compare=False)


def owner_of(path: Path) -> Path | None:
    """The step's directory that `path` is or lies in (three levels up at most), or None."""
    for folder in (path, *list(path.absolute().parents)[:3]):
        if (folder / RECORD).is_file() or (folder / BEGUN).is_file():
            return folder
    return None


def record_in(folder: str | Path, record: str = RECORD) -> dict:
    """What a step's directory says of how it was made, of finished work or of such as has BEGUN; {} where it does not.
    """
    return json_or_none(Path(folder) / record) or {}


def key_in(folder: str | Path, record: str = RECORD) -> str | None:
    """The key of the work in a step's directory, or None."""
    return record_in(folder, record).get("key")


def input_of(folder: str | Path, name: str) -> Path | None:
    """Where an input of the finished work in a step's directory lay, as that was called; None where it does not say."""
    path = record_in(folder).get("inputs", {}).get(name, {}).get("path")
    return Path(path) if path else None


def makers_of(path: Path) -> tuple[tuple[Path, str | None], ...]:
    """The step that made a path and its key, if one did."""
    maker = owner_of(path)
    return ((maker, key_in(maker)),) if maker else ()


def noting_maker(identify: Callable[..., Identity]) -> Callable[..., Identity]:
    """Note who made the path, as it was before `identify(path, …)` read it: somebody may replace it meanwhile."""

    @wraps(identify)
    def noted(path, *more) -> Identity:
        before = makers_of(Path(path))
        found = identify(path, *more)
        return replace(found, makers=(*before, *found.makers))

    return noted


def digest_of(record) -> str:
    """Hexadecimal digest of anything JSON can hold."""
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_digest(path) -> str:
    """sha256 of a file's content. Raises DataError where there is none."""
    path = Path(path)
    try:
        status = path.stat()
        if status.st_size < LARGE:
            return hashlib.sha256(path.read_bytes()).hexdigest()
    except IsADirectoryError:
        hint = f", such as {path / 'text'}" if (path / "text").is_file() else ""
        raise DataError(f"{path}: a folder; expected a file{hint}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a file here, make it or correct the path") from None
    # The time of the last change of the inode (ctime) cannot be set by hand, so a replaced file is always noticed.
    stamp = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    place = os.path.abspath(path).encode("utf-8", "surrogateescape")
    entry = cache_folder() / "hashes" / hashlib.sha256(place).hexdigest()[:32]
    known = json_or_none(entry) or {}
    if known.get("stamp") == stamp:
        return known["sha256"]
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    remember(entry, {"stamp": stamp, "sha256": found})
    return found


@noting_maker
def of_file(path) -> Identity:
    return Identity(str(path), file_digest(path))


def of_tree(path) -> Identity:
    """Sizes and times of the files of a folder, or of one file: of what is too much to be read for its sake."""
    path, stamp = Path(path), FileStamps()
    files = [here / name for here, names, _ in walk(path) for name in names] if path.is_dir() else [path]
    return Identity(str(path), digest_of([[str(file), stamp(str(file))] for file in files]))


def tables_of(folder: Path) -> list[str]:
    """Names of the Kaldi tables of a directory."""
    found = tables_in(folder, "text.", "utt2", "reco2")
    return sorted(found + [name for name in ("wav.scp", "segments") if (folder / name).is_file()])


def _tables(folder: Path, names: Iterable[str]) -> dict[str, str]:
    names = list(names) or tables_of(folder)
    return {name: file_digest(folder / name) for name in names if (folder / name).is_file()}


@noting_maker
def of_tables(folder, *names: str) -> Identity:
    """Contents of the Kaldi tables of a directory: of all, or of those named that are there."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such directory; expected Kaldi tables there")
    return Identity(str(folder), digest_of(_tables(folder, names)))


@noting_maker
def of_data(folder, *names: str) -> Identity:
    """Tables as `of_tables`, and the stamps of the audio that wav.scp names: `names` leave out tables that do not
    count, such as references.
    """
    folder = DataDir(folder).path
    stamps, makers, commands = hashlib.sha256(), {}, False
    of = FileStamps()
    for _, recording, source in scan(folder / "wav.scp"):
        place, command = os.path.dirname(source), is_command(source)
        commands |= command
        if place not in makers:
            makers[place] = makers_of(Path(place)) if place and not command else ()
        stamps.update(f"{recording} {of(source)}\n".encode())
    of_audio = tuple(dict.fromkeys(chain.from_iterable(makers.values())))
    return Identity(str(folder), digest_of([_tables(folder, names), stamps.hexdigest()]), of_audio, commands)


@noting_maker
def of_step(folder) -> Identity:
    """The key of the finished step that made a directory. Raises DataError where it is not finished."""
    folder = Path(folder)
    if key := key_in(folder):
        return Identity(str(folder), key)
    raise DataError(f"{folder}: not finished (no {RECORD} there); run the stage that makes it")
