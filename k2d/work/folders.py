"""What lies in a folder: a JSON record that may be missing or torn, how large everything is, a size in words; and the
folder of what is remembered between runs.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import DataError
from k2d.work.lock import DirectoryLock


def json_or_none(path: str | Path) -> dict | None:
    """A JSON object, or None where there is none."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_result(path: Path) -> dict:
    """What a stage has measured. Raises DataError for what is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); run the stage that writes it again") from error


def write_json(path: str | Path, value: object) -> None:
    """A record that people may read too, whole or not at all."""
    with atomic(path) as handle:
        json.dump(value, handle, indent=1, ensure_ascii=False)
        handle.write("\n")


@contextmanager
def whole_folder(folder: Path, patience: float = 0.0) -> Iterator[Path | None]:
    """An empty folder that becomes `folder` when the block ends without an error; None where that is there.

    One process at a time makes it, and removes what a killed one has left. patience: seconds to wait for another that
    makes it, then Locked.
    """
    unfinished = folder.with_name(f".{folder.name}.tmp")
    with DirectoryLock(folder, patience=patience):
        shutil.rmtree(unfinished, ignore_errors=True)
        if folder.exists():
            yield None
            return
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            os.rename(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/k2d or ~/.cache/k2d."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k2d"


def remember(path: Path, value: object) -> None:
    """Write a record of the cache. A home that cannot be written to costs time, not correctness."""
    with suppress(OSError), atomic(path) as handle:
        json.dump(value, handle)


def size_of_folder(folder: Path) -> int:
    """Bytes of all files in it."""
    total = 0
    for here, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(here, name)).st_size
            except OSError:  # a file that another process has just replaced
                continue
    return total


def size_in_words(count: float) -> str:
    """Bytes as people read them: "12 B", "1.5 kB", "3.8 TB"."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} TB"
