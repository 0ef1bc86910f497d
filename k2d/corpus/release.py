"""Is this folder the corpus, and is it the release that the figures belong to?"""

import sys
from collections.abc import Mapping
from pathlib import Path

from k2d.errors import DataError


class NotTheCorpus(DataError):
    """A folder that does not look like the corpus; the message says what was looked for."""


def corpus_folder(path: str, variable: str, corpus: str) -> Path:
    """The folder that db.sh names. NotTheCorpus says what to write where."""
    if not path:
        raise NotTheCorpus(f"db.sh: {variable} is empty; write there where {corpus} lies")
    folder = Path(path).expanduser()
    if not folder.exists():
        raise NotTheCorpus(f"db.sh: {variable}={path}: no such folder; write there where {corpus} lies")
    return folder


def not_found(folder: Path, corpus: str, looked_for: str) -> NotTheCorpus:
    """The error for a folder without `looked_for`: it names what is there instead."""
    entries = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir()) if folder.is_dir() else []
    there = ", ".join(entries[:8]) + (" …" if len(entries) > 8 else "") if entries else "nothing"
    said = f"{folder} does not look like {corpus}: looked for {looked_for}, found {there}"
    return NotTheCorpus(f"{said}; correct the path")


def check_counts(corpus: str, found: Mapping[str, int], stated: Mapping[str, int], take_any: bool) -> bool:
    """Compare counts by name with those of the stated release; true if they agree.

    Raises DataError where they differ, or says so on stderr with `take_any`, as COUNTS=any in a recipe's db.sh asks.
    """
    wrong = [
        f"{name}: {found.get(name, 0):,} instead of {count:,}"
        for name, count in stated.items()
        if found.get(name, 0) != count
    ]
    if not wrong:
        return True
    message = f"{corpus}: these are not the files of the stated release: {'; '.join(wrong)}"
    if not take_any:
        raise DataError(f"{message}. Download what is missing, or go on with what is there: COUNTS=any in db.sh")
    print(f"WARNING: {message}. Figures made with them are not those of the paper's sets.", file=sys.stderr)
    return False
