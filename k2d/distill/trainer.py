"""What our training adds to ESPnet's trainer: saving that survives a full disk and a kill, and random state.

ESPnet writes checkpoints in place. Here each goes to a temporary name, is flushed and renamed, so whatever
happens (disk full, SIGTERM, SIGKILL, power) the file of the last whole epoch stays, and `--resume true` goes
on from it: an epoch is seeded by its number, so the interrupted one is run again with the same batches, the
same random choices and the same losses.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.sequence_iter_factory import worker_init_fn
from espnet2.train import trainer as espnet_trainer
from torch.utils.data import DataLoader

_SEEDS_A_RANK = 1_000_003  # apart from each other and from seed + epoch + worker


class Trainer(espnet_trainer.Trainer):
    @classmethod
    def run(cls, *args, **kwargs) -> None:
        with whole_saves():
            super().run(*args, **kwargs)

    @staticmethod
    def resume(checkpoint, model, reporter, *args, **kwargs) -> None:
        """As ESPnet's; if the run died between writing checkpoint.pth and the epoch's own file, the latter is
        written now, since averaging would miss it.
        """
        espnet_trainer.Trainer.resume(checkpoint, model, reporter, *args, **kwargs)
        file = Path(checkpoint).parent / f"{reporter.get_epoch()}epoch.pth"
        if rank() == 0 and not file.exists():
            logging.info(f"{file} was not written before the interruption; written now")
            torch.save(model.state_dict(), file)


@contextlib.contextmanager
def whole_saves():
    """Inside, torch.save to a path is atomic: the file appears whole, or the older one stays."""
    save = torch.save

    def save_whole(obj, f, *args, **kwargs):
        if not isinstance(f, (str, os.PathLike)):
            return save(obj, f, *args, **kwargs)
        path = Path(f)
        # One name for all attempts: what a killed one left is overwritten by the next.
        temporary = path.with_name(f".{path.name}.partial")
        try:
            with open(temporary, "wb") as stream:
                save(obj, stream, *args, **kwargs)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if not isinstance(error, (OSError, RuntimeError)):
                raise
            kept = "the previous one is intact" if path.exists() else "there is none yet"
            raise OSError(
                f"{path}: saving the checkpoint failed ({error}); {kept}. Free space and run again with "
                "--resume true"
            ) from error

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save


def rank() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if distributed else 0


class RankSeeds(AbsIterFactory):
    """An iterator factory under which processes that share a batch draw different random numbers.

    ESPnet seeds every process with seed + epoch, so all ranks would give their parts of a batch the same
    noise, prompts and masks. Rank 0, and with it a single process, keeps ESPnet's seeds.
    """

    def __init__(self, factory: AbsIterFactory, seed: int):
        self.factory, self.seed = factory, seed

    def build_iter(self, epoch: int, shuffle: bool | None = None):
        iterator = self.factory.build_iter(epoch, shuffle)
        if rank() > 0:
            seed = self.seed + epoch + rank() * _SEEDS_A_RANK
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            if isinstance(iterator, DataLoader):
                iterator.worker_init_fn = _WorkerSeed(seed)
        return iterator


class _WorkerSeed:
    def __init__(self, seed: int):
        self.seed = seed

    def __call__(self, worker: int) -> None:
        worker_init_fn(worker, self.seed % 2**31)
