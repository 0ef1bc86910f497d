"""Read the next recordings while this one is decoded.

In: items and a function that prepares one (reads and computes features). Out: the prepared items in order, each begun
early in a thread of its own: reading and resampling leave Python's lock alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Prepared = TypeVar("Item"), TypeVar("Prepared")


def readers_for(device) -> int:
    """One core reads a few hundred hours an hour. That is enough for a decoder on a CPU, and too slow for a GPU."""
    return 1 if device.type == "cpu" else 4


def ahead(items: Iterable[Item], prepare: Callable[[Item], Prepared], readers: int = 1) -> Iterator[Prepared]:
    """prepare(item) for each item, in order, `readers` of them early; what `prepare` raises is raised where its item
    would come.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
        pending = deque()
        for item in items:
            pending.append(pool.submit(prepare, item))
            if len(pending) > readers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
