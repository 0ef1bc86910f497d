"""Work spread over processes.

In: a function and items. Out: its results, in the order of the items.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

_PR_SET_PDEATHSIG = 1  # Linux: a signal for a process when its parent is gone


def _end_with(parent: int) -> None:
    """In a process of a pool: end when its parent does, however that happens; it would wait for work for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os.kill(os.getpid(), signal.SIGKILL)


def ordered_map(function: Callable, items: Iterable, jobs: int) -> Iterator:
    """`function` of each item, in order, by `jobs` processes; never more than a few items ahead.

    Below two jobs, or two items in a sequence, all stays in this process. The bound keeps memory flat: a pool's own
    `map` would read the whole input first.
    """
    if isinstance(items, Sequence):
        jobs = min(jobs, len(items))
    if jobs < 2:
        yield from map(function, items)
        return
    # Forked children share the dictionaries that are loaded already.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    with ProcessPoolExecutor(jobs, context, _end_with, (os.getpid(),)) as pool:
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
