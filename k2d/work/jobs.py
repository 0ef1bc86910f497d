"""Several pieces of work at once: in threads, or begun early.

In: functions. Out: all of them done, or the first error, after which the others stop at their next step.

On a CPU two workers with half the threads each are faster than one with all: CTranslate2's and torch's
kernels leave Python's lock alone, and none of them splits a small matrix over cores without loss.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
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
