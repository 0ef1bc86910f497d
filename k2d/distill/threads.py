"""Work of frozen models on a CPU whose bytes depend on no machine's number of cores.

In: a function and its items. Out: its results, in order, several at a time, each computed by one thread of torch.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from k2d.work import machine


def one_thread_each(function: Callable, items: Sequence, jobs: int, device: str) -> Iterator:
    """`function` of each item, in order, `jobs` at a time (0: as many as there are cores, one on a GPU). No gradient is
    kept.

    The threads share the model. A sum over several threads is rounded otherwise than over one; several utterances with
    a thread each are also faster than one after the other with all.
    """

    def alone(item):
        with torch.inference_mode():
            return function(item)

    jobs = jobs or (machine.threads() if device == "cpu" else 1)
    with ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(alone, items)
