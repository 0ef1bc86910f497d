"""Several pieces of work at once, in threads.

In: functions. Out: all of them done, or the first error, after which the others stop at their next step.

On a CPU two workers with half the threads each are faster than one with all: CTranslate2's and torch's
kernels leave Python's lock alone, and none of them splits a small matrix over cores without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event


class Stopped(Exception):
    """Raised by work that was asked to stop."""


def side_by_side(tasks: Sequence[Callable[[Event], None]]) -> None:
    """Run task(stop) for each task, a thread each; `stop` is set once one of them fails or this is
    interrupted.
    """
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
