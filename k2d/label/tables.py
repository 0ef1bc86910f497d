"""Sorted Kaldi tables of any size, read line by line and side by side.

In: files of `id value` lines, sorted by id in C order. Out: their lines, joined by id, without ever
holding a file. Sixty thousand hours are seven million chunks: a table of their texts does not fit a laptop.
"""

import multiprocessing
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from k2d.datadir import DataError

_ID_END = re.compile(r"[ \t]")


def scan(path) -> Iterator[tuple[int, str, str]]:
    """(line number, id, rest of the line) of a table, in order.

    Raises DataError naming file and line for a missing file, bytes that are not UTF-8, a line without an id,
    a Windows line end, a duplicate id and ids out of C order. Only "\\n" ends a line: other control
    characters are part of the text.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: missing; expected a Kaldi table (id, space, value)")
    previous = ""
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}:{number}: byte 0x{raw[error.start]:02x} is not UTF-8; convert the file, "
                    "for instance with 'iconv -f big5 -t utf-8'"
                ) from None
            line = line.removesuffix("\n")
            if line.endswith("\r"):
                raise DataError(f"{path}:{number}: Windows line end; repair with utils/fix_data.py")
            key, _, value = line.partition(" ")
            if "\t" in key:
                key, value = _ID_END.split(line, maxsplit=1)
            if not key:
                raise DataError(
                    f"{path}:{number}: expected an id at the start of the line; remove blank lines"
                )
            if key <= previous:
                if key == previous:
                    raise DataError(f"{path}:{number}: id {key!r} appears twice; keep one line for each id")
                raise DataError(
                    f"{path}:{number}: id {key!r} follows {previous!r}, out of C order (or a duplicate); "
                    "sort with 'LC_ALL=C sort -k1,1' or utils/fix_data.py"
                )
            previous = key
            yield number, key, value.strip(" \t")


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


def ordered_map(function: Callable, items: Iterable, jobs: int) -> Iterator:
    """`function` of each item, in order, by `jobs` processes; never more than a few items ahead.

    One job stays in this process. The bound keeps memory flat: a pool's own `map` would read the whole
    input first.
    """
    if jobs < 1:
        raise ValueError(f"{jobs} jobs: expected at least one")
    if jobs == 1:
        yield from map(function, items)
        return
    # Forked children share the dictionaries that are loaded already.
    context = multiprocessing.get_context(
        "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    )
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        pending: deque = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 4 * jobs:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
