"""Training that is asked to stop: by Slurm before a time limit (SIGUSR1), at preemption or by kill (SIGTERM).

In: signals. Out: every process of the training stops after the same update; rank 0 writes `within_epoch_<n>.pth`
first, from which the next run goes on with the next batch, to the very losses of a run that was not stopped.
After SIGUSR1 the exit status is 75, which utils/slurm.py takes for "go on in another job"; after SIGTERM the
process ends as that signal ends one.

The file holds model, optimizers, schedulers, scaler, statistics of the epoch so far, and the random state of
every rank. A resumed epoch reads its first batches once more without training on them, because the random state
of loader workers cannot be stored.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

CONTINUE = 75  # as in utils/slurm.py
ASKED: list[int] = []  # signals that have asked for a stop


def listen() -> None:
    """From now on SIGUSR1 and SIGTERM ask for a stop, in place of ending the process."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, _ask)


def _ask(number: int, _frame) -> None:
    ASKED.append(number)
    for child in multiprocessing.active_children():
        if not child.daemon:  # the processes of ESPnet's own launcher
            os.kill(child.pid, number)
    # Loader workers die of the same SIGTERM; torch would raise an error for that in the middle of an update.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def end(number: int) -> NoReturn:
    """End the process, asked by this signal."""
    if number == signal.SIGTERM:
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    raise SystemExit(CONTINUE)


@contextlib.contextmanager
def ends_as_asked() -> Iterator[None]:
    """Inside, signals ask for a stop. An error after that (a process of the group was gone first) ends this
    process as the stop would have; so does a child's end with CONTINUE. A child that has failed has said why.
    """
    listen()
    try:
        yield
    except Exception as error:
        if ASKED:
            print(f"stopped by signal {ASKED[0]} ({type(error).__name__}: {error})", file=sys.stderr, flush=True)
            end(ASKED[0])
        if getattr(error, "exit_code", None) == CONTINUE:  # torch's ProcessExitedException
            end(signal.SIGUSR1)
        if getattr(error, "exit_code", None) == 1:
            raise SystemExit(1) from None
        raise
