"""Read the next recording while this one is decoded.

In: items and a function that prepares one (reads and computes features). Out: the prepared items in order,
each begun one item early in a thread of its own: reading and resampling leave Python's lock alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Prepared = TypeVar("Item"), TypeVar("Prepared")


def one_ahead(items: Iterable[Item], prepare: Callable[[Item], Prepared]) -> Iterator[Prepared]:
    """prepare(item) for each item, in order; what `prepare` raises is raised where its item would come."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as pool:
        pending = None
        for item in items:
            following = pool.submit(prepare, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
