"""Sorted Kaldi tables: read as a stream, joined by id, written so that they appear whole.

In: files of `id value` lines, UTF-8, sorted by id in C order. Out: their lines, one after the other, or
dictionaries; a table of seven million texts need not be held.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from math import isfinite
from numbers import Integral
from pathlib import Path
from typing import TextIO

from k2d.errors import DataError

_ID_END = re.compile(r"[ \t]")
_SPACE = re.compile(r"\s")


@contextmanager
def atomic(path, mode: str = "w"):
    """Open `path` for writing so that it appears whole or not at all.

    The text goes to a temporary name beside it (`.*.tmp`), is flushed to disk and renamed when the block ends
    without an error; on an error nothing of it is left and an older file stays as it was.
    Makes the folder if needed. `mode` is "w" (UTF-8, "\\n" line ends) or "wb".
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"atomic() writes new files: mode 'w' or 'wb', not {mode!r}")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Random, since two containers share process numbers; short, since a name of 255 bytes leaves no room for more.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode.replace("w", "x"), **text) as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _split_line(line: str) -> tuple[str, str]:
    """("id", "rest") of one line; space and tab separate, as in Kaldi."""
    key, _, value = line.partition(" ")
    if "\t" in key:
        key, value = _ID_END.split(line, maxsplit=1)
    return key, value.strip(" \t")


def scan(path) -> Iterator[tuple[int, str, str]]:
    """(line number, id, rest of the line) of a table, in order, without ever holding the file.

    Raises DataError naming file and line for a missing file, bytes that are not UTF-8, a line without an id,
    a Windows line end, a duplicate id and ids out of C order. Only "\\n" ends a line: other control
    characters are part of the text.
    """
    path, previous = Path(path), ""
    try:
        lines = path.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: missing; expected a Kaldi table (id, space, value)") from None
    with lines:
        for number, raw in enumerate(lines, 1):
            line = decode_line(path, number, raw)
            key, value = _split_line(line)
            if not key:
                raise DataError(
                    f"{path}:{number}: expected an id at the start of the line; remove blank lines "
                    "and leading spaces (utils/fix_data.py does)"
                )
            if line.endswith("\r"):
                raise DataError(f"{path}:{number}: Windows line end; repair with utils/fix_data.py")
            # Python orders strings by code point, which is the byte order of UTF-8: C order.
            if key <= previous:
                if _holds(path, key, number):
                    raise DataError(f"{path}:{number}: id {key!r} appears twice; keep one line for each id")
                raise DataError(
                    f"{path}:{number}: id {key!r} follows {previous!r}, out of C order; "
                    f"sort with 'LC_ALL=C sort -k1,1' or utils/fix_data.py"
                )
            yield number, key, value
            previous = key


def decode_line(path: Path, number: int, raw: bytes) -> str:
    """A line without its end; DataError names the line where it is not UTF-8."""
    try:
        return raw.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{number}: byte 0x{raw[error.start]:02x} is not UTF-8; convert the file, "
            "for instance with 'iconv -f big5 -t utf-8'"
        ) from None


def _holds(path: Path, key: str, number: int) -> bool:
    """Whether an id stands in the lines before this one."""
    with path.open("rb") as lines:
        return any(_split_line(line.decode().removesuffix("\n"))[0] == key for line in islice(lines, number - 1))


def read_table(path) -> dict[str, str]:
    """Read a Kaldi table: id -> rest of the line ("" where there is none), in the file's order.

    Raises DataError with file and line for invalid UTF-8, blank lines, Windows line ends,
    duplicate ids and ids out of C order.
    """
    return {key: value for _, key, value in scan(path)}


def write_table(path, table: Mapping[str, str]) -> None:
    """Write id -> value, sorted by id in C order, atomically.

    Raises DataError for an id that is empty or holds white space and for a value with a line break:
    neither could be read back.
    """
    lines = [_line(path, key, table[key]) for key in sorted(table)]
    with atomic(path) as handle:
        handle.writelines(lines)


def _line(path, key: str, value) -> str:
    """One line of a table."""
    value = str(value).strip(" \t")
    if not key or _SPACE.search(key):
        raise DataError(f"{path}: id {key!r} is empty or holds white space; choose another id")
    if "\n" in value or "\r" in value:
        raise DataError(f"{path}: the value of {key!r} holds a line break; a table has one line an id")
    return f"{key} {value}\n" if value else f"{key}\n"


def read_numbers(path) -> dict[str, float]:
    """Read a table with one number a line (`utt2dur`, `utt2mer` …). DataError where it is none."""
    numbers = {}
    for line, key, value in scan(path):
        try:
            numbers[key] = float(value)
        except ValueError:
            raise DataError(f"{path}:{line}: {key!r} has {value!r}, expected one number") from None
    return numbers


def write_numbers(path, numbers: Mapping[str, float], digits: int = 4) -> None:
    """Write one number a line with `digits` decimals, integers without any.

    Raises DataError for NaN and infinity, which `awk '$2 <= 0.4'` would read as it likes.
    """
    write_table(path, {key: _number(path, key, number, digits) for key, number in numbers.items()})


def _number(path, key: str, number: float, digits: int) -> str:
    if isinstance(number, Integral):
        return str(int(number))
    if not isfinite(number):
        raise DataError(f"{path}: {key!r} has {number}, expected a finite number")
    return f"{float(number) + 0.0:.{digits}f}"


class TableWriters:
    """Tables of one folder, written side by side, entry by entry: millions of lines in little memory.

    All appear, whole, when the block ends without an error, in reverse order of their first mention. Entries
    may come in any order; those of a table that does not come in C order are sorted at the end, in memory.
    """

    def __init__(self, folder, *names: str):
        """names: tables to write even where there is no entry for them."""
        self.folder = Path(folder)
        self._names = names
        self._handles: dict[str, TextIO] = {}
        self._last: dict[str, str] = {}
        self._unsorted: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "TableWriters":
        for name in self._names:
            self._open(name)
        return self

    def _open(self, name: str) -> TextIO:
        handle = self._handles[name] = self._stack.enter_context(atomic(self.folder / name))
        self._stack.push(lambda kind, *_: self._sort(name) if kind is None else None)
        return handle

    def write(self, name: str, key: str, value) -> None:
        """Add the line of `key` to the table `name`."""
        handle = self._handles.get(name) or self._open(name)
        if key <= self._last.get(name, ""):
            self._unsorted.add(name)
        self._last[name] = key
        handle.write(_line(self.folder / name, key, value))

    def write_number(self, name: str, key: str, number: float, digits: int = 4) -> None:
        """As `write_numbers` does."""
        self.write(name, key, _number(self.folder / name, key, number, digits))

    def _sort(self, name: str) -> None:
        if name not in self._unsorted:
            return
        handle = self._handles[name]
        handle.flush()
        with open(handle.name, encoding="utf-8", newline="\n") as written:
            lines = sorted(written, key=lambda line: _split_line(line.rstrip("\n"))[0])
        handle.seek(0)
        handle.truncate()
        handle.writelines(lines)
        self._unsorted.discard(name)

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)


class Cursor:
    """Look up ids in a table, each later than the one before, reading the file once.

    `strays` counts the ids of the file that were never asked for; `missing` those asked for in vain.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._lines = scan(path)
        self._current = next(self._lines, None)
        self.line = 0
        self.strays = 0
        self.missing = 0

    def get(self, key: str) -> str | None:
        """The value of `key`, or None; ids must be asked for in C order."""
        while self._current is not None and self._current[1] < key:
            self.strays += 1
            self._current = next(self._lines, None)
        if self._current is None or self._current[1] != key:
            self.missing += 1
            return None
        self.line, _, value = self._current
        self._current = next(self._lines, None)
        return value

    def number(self, key: str) -> float | None:
        """The value of `key` as a number ("nan" is one), or None. DataError where it is none."""
        value = self.get(key)
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            raise DataError(f"{self.path}:{self.line}: {key!r} has {value!r}, expected one number") from None

    def close(self) -> None:
        """Read to the end, so that the rest of the file is checked and counted too."""
        while self._current is not None:
            self.strays += 1
            self._current = next(self._lines, None)


def joined(left, right) -> Iterator[tuple[str, str | None, str | None, int]]:
    """(id, value in `left`, value in `right`, line) of the union of two tables; None where an id is missing.

    `line` is the line in `left` where there is one, else in `right`.
    """
    first, second = scan(left), scan(right)
    a, b = next(first, None), next(second, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[1] < b[1]):
            yield a[1], a[2], None, a[0]
            a = next(first, None)
        elif a is None or b[1] < a[1]:
            yield b[1], None, b[2], b[0]
            b = next(second, None)
        else:
            yield a[1], a[2], b[2], a[0]
            a, b = next(first, None), next(second, None)


def blocks(items: Iterable, count: int, characters: int, size: Callable) -> Iterator[list]:
    """Group items into lists of at most `count` that together hold about `characters` at most."""
    block: list = []
    total = 0
    for item in items:
        block.append(item)
        total += size(item)
        if len(block) >= count or total >= characters:
            yield block
            block, total = [], 0
    if block:
        yield block
