"""Sorted Kaldi tables of any size, read line by line and side by side.

In: files of `id value` lines, sorted by id in C order. Out: their lines, joined by id, without ever
holding a file. Sixty thousand hours are seven million chunks: a table of their texts does not fit a laptop.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from k2d.datadir import DataError, scan


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
