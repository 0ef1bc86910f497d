"""What a step was made from, by content: a touched file is the same file, a changed one is not.

In: files, tables, data directories, models, finished steps. Out: an `Identity`, a path with the digest of what counts.
Hashes of large files are remembered (in $XDG_CACHE_HOME/k2d/hashes) under the file's device, inode, size and times.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from k2d.audio.stamps import FileStamps
from k2d.errors import DataError, UsageError
from k2d.tables import atomic, scan

LARGE = 1 << 22  # bytes from which on a hash is worth remembering
RECORD = "step.json"


@dataclass(frozen=True)
class Identity:
    """An input of a step. `path` is where it lay, `digest` its content; only the digest decides."""

    path: str
    digest: str


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
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a file here, make it or correct the path") from None
    # The time of the last change of the inode (ctime) cannot be set by hand, so a replaced file is always noticed.
    stamp = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k2d/hashes"
    entry = cache / hashlib.sha256(os.path.abspath(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    try:
        known = json.loads(entry.read_text())
        if known["stamp"] == stamp:
            return known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        with atomic(entry) as handle:
            json.dump({"stamp": stamp, "sha256": found}, handle)
    except OSError:
        pass  # a home that cannot be written to costs time, not correctness
    return found


def of_file(path) -> Identity:
    return Identity(str(path), file_digest(path))


def of_yaml(path) -> Identity:
    """The parsed content: comments and layout do not matter. Raises UsageError for what is not YAML."""
    try:
        return Identity(str(path), digest_of(yaml.safe_load(Path(path).read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: no YAML can be read from it ({error}); correct the file or the path") from None


def tables_of(folder: Path) -> list[str]:
    """Names of the Kaldi tables of a directory."""
    names = ("wav.scp", "segments", "text")
    return sorted(
        p.name
        for p in Path(folder).iterdir()
        if p.is_file() and (p.name in names or p.name.startswith(("text.", "utt2", "reco2")))
    )


def _tables(folder: Path, names: Iterable[str]) -> dict[str, str]:
    names = list(names) or tables_of(folder)
    return {name: file_digest(folder / name) for name in names if (folder / name).is_file()}


def of_tables(folder, *names: str) -> Identity:
    """Contents of the Kaldi tables of a directory: of all, or of those named that are there."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such directory; expected Kaldi tables there")
    return Identity(str(folder), digest_of(_tables(folder, names)))


def of_data(folder, *names: str) -> Identity:
    """Tables as `of_tables`, and the stamps of the audio that wav.scp names: `names` leave out tables that do not
    count, such as references.
    """
    folder = Path(folder)
    if not (folder / "wav.scp").is_file():
        raise DataError(f"{folder}: no wav.scp there; expected a Kaldi data directory")
    stamps = hashlib.sha256()
    of = FileStamps()
    for _, recording, source in scan(folder / "wav.scp"):
        stamps.update(f"{recording} {of(source)}\n".encode())
    return Identity(str(folder), digest_of([_tables(folder, names), stamps.hexdigest()]))


def of_step(folder) -> Identity:
    """The key of the finished step that made a directory. Raises DataError where it is not finished."""
    folder = Path(folder)
    try:
        return Identity(str(folder), json.loads((folder / RECORD).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{folder}: not finished (no {RECORD} there); run the stage that makes it") from None
