"""Several pieces of work at once: in threads, in processes, or begun early.

In: functions. Out: all of them done, or the first error, after which the others stop at their next step.

On a CPU two workers with half the threads each are faster than one with all: CTranslate2's and torch's
kernels leave Python's lock alone, and none of them splits a small matrix over cores without loss.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

Item, Prepared = TypeVar("Item"), TypeVar("Prepared")


class Stopped(Exception):
    """Raised by work that was asked to stop."""


def in_threads(tasks: Sequence[Callable[[Event], None]]) -> None:
    """Run task(stop) for each task, a thread each; `stop` is set once one of them fails or this is interrupted."""
    if not tasks:
        return
    stop = Event()
    if len(tasks) == 1:
        tasks[0](stop)
        return
    with ThreadPoolExecutor(len(tasks), thread_name_prefix="worker") as pool:
        futures = [pool.submit(task, stop) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
        errors = [e for e in (future.exception() for future in futures) if e is not None]
    for error in errors:
        if not isinstance(error, Stopped):
            raise error


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


def readers_for(device) -> int:
    """One core reads a few hundred hours an hour. That is enough for a decoder on a CPU, and too slow for a GPU."""
    return 1 if device.type == "cpu" else 4


def prefetch(items: Iterable[Item], prepare: Callable[[Item], Prepared], readers: int = 1) -> Iterator[Prepared]:
    """prepare(item) for each item, in order, `readers` of them early, each in a thread: reading and resampling leave
    Python's lock alone. What `prepare` raises is raised where its item would come.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
        pending: deque = deque()
        for item in items:
            pending.append(pool.submit(prepare, item))
            if len(pending) > readers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
