"""What our training adds to ESPnet's trainer: saving that survives a full disk and a kill, and random state.

ESPnet writes checkpoints in place. Here each goes to a temporary name, is flushed and renamed, so whatever
happens (disk full, SIGKILL, power) the file of the last whole epoch stays, and `--resume true` goes on from it:
an epoch is seeded by its number, so the interrupted one is run again with the same batches, the same random
choices and the same losses. Asked to stop by a signal (interruption.py), it saves within the epoch.
"""

import logging
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from k2d.distill import espnet_import
from k2d.distill.interruption import ASKED, end
from k2d.distill.saving import whole_saves
from k2d.errors import DataError
from k2d.whisper.files import check_whole

with espnet_import.light():
    from espnet2.iterators.abs_iter_factory import AbsIterFactory
    from espnet2.iterators.sequence_iter_factory import worker_init_fn
    from espnet2.train.reporter import Average, SubReporter, WeightedAverage
    from espnet2.train.trainer import Trainer

_SEEDS_A_RANK = 1_000_003  # apart from each other and from seed + epoch + worker


class DistillTrainer(Trainer):
    @classmethod
    def run(cls, *args, **kwargs) -> None:
        with whole_saves():
            super().run(*args, **kwargs)
        if rank() == 0:
            remove_within_epoch(Path(kwargs["trainer_options"].output_dir))

    @staticmethod
    def resume(checkpoint, model, reporter, *args, **kwargs) -> None:
        """As ESPnet's; if the run died between writing checkpoint.pth and the epoch's own file, the latter is
        written now, since averaging would miss it.
        """
        Trainer.resume(checkpoint, model, reporter, *args, **kwargs)
        file = Path(checkpoint).parent / f"{reporter.get_epoch()}epoch.pth"
        if rank() == 0 and not file.exists():
            logging.info(f"{file} was not written before the interruption; written now")
            torch.save(model.state_dict(), file)

    @classmethod
    def train_one_epoch(cls, *, iterator, model, optimizers, schedulers, scaler, reporter, options, **others) -> bool:
        """As ESPnet's, but from the batch on that an interrupted run of this epoch came to. DataError where no update
        is made: ESPnet would save what it has and end as if it were done.
        """
        epoch = reporter.get_epoch()
        place = WithinEpoch(model, optimizers, schedulers, scaler, reporter, options)
        if hasattr(iterator, "__len__"):
            if len(iterator) < options.accum_grad:
                raise DataError(
                    f"epoch {epoch}: an update takes {options.accum_grad} batches (accum_grad), and an epoch has "
                    f"{len(iterator)}; lower --accum_grad or --batch_size, or learn from more chunks"
                )
            iterator = Batches(iterator, place)
        without_update = super().train_one_epoch(
            iterator=iterator, model=model, optimizers=optimizers, schedulers=schedulers, scaler=scaler,
            reporter=reporter, options=options, **others,
        )  # fmt: skip
        if without_update and "grad_norm" not in reporter.stats:  # those before an interruption count, too
            kept = f"what was saved after epoch {epoch - 1} is kept" if epoch > 1 else "nothing is saved"
            raise DataError(
                f"epoch {epoch}: no update of it had finite gradients; training stops, and {kept}. The same options "
                "begin this epoch again; otherwise lower the learning rate (optim_conf, scheduler_conf), or try "
                "--use_amp false, or look for losses in the log that are not numbers"
            )
        return False


class WithinEpoch:
    """The state of a training between two updates of an epoch, on disk."""

    def __init__(self, model, optimizers, schedulers, scaler, reporter: SubReporter, options):
        self.model = getattr(model, "module", model)  # of DistributedDataParallel
        self.optimizers, self.schedulers, self.scaler = optimizers, schedulers, scaler
        self.reporter, self.accum_grad = reporter, options.accum_grad
        folder = Path(options.output_dir)
        self.path = folder / f"within_epoch_{reporter.get_epoch()}.pth"
        if rank() == 0:
            remove_within_epoch(folder, but=self.path if options.resume else None)
        self.resume = options.resume

    def save(self, done: int, total: int) -> None:
        """Write the state after `done` of `total` batches; all ranks take part."""
        generators = [random_state()]
        if world_size() > 1:
            generators = [None] * world_size()
            torch.distributed.all_gather_object(generators, random_state())
        if rank() == 0:
            stats = {
                name: [(float(value.value), getattr(value, "weight", None)) for value in values]
                for name, values in self.reporter.stats.items()
            }
            state = {
                "batches": (done, total),
                "generators": generators,
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "schedulers": [None if s is None else s.state_dict() for s in self.schedulers],
                "scaler": None if self.scaler is None else self.scaler.state_dict(),
                "stats": stats,
                "counts": (self.reporter.count, self.reporter.total_count),
            }
            torch.save(state, self.path)
            logging.info(f"stopped after batch {done} of {total}; saved in {self.path}")
        if world_size() > 1:
            torch.distributed.barrier()  # whoever ends first has the others killed by some launchers

    def restore(self, total: int) -> tuple[int, dict | None]:
        """Batches done, and this rank's random state for the next one; (0, None) at an epoch's start."""
        if not self.resume or not self.path.exists():
            return 0, None
        check_whole(self.path, "remove it and run again: the epoch is then run from its start")
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        done, of = state["batches"]
        if of != total or len(state["generators"]) != world_size():
            logging.warning(
                f"{self.path} is of {of} batches over {len(state['generators'])} processes, this epoch of {total} "
                f"over {world_size()}: it is run from its start"
            )
            return 0, None
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.schedulers, state["schedulers"]):
            if scheduler is not None:
                scheduler.load_state_dict(saved)
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        for name, values in state["stats"].items():
            self.reporter.stats[name] = [Average(v) if w is None else WeightedAverage(v, w) for v, w in values]
        self.reporter.count, self.reporter.total_count = state["counts"]
        logging.info(f"goes on after batch {done} of {total}, from {self.path}")
        return done, state["generators"][rank()]


class Batches:
    """The batches of an epoch. Between two updates all ranks agree whether one of them was asked to stop."""

    def __init__(self, iterator, place: WithinEpoch):
        self.iterator, self.place = iterator, place

    def __len__(self) -> int:
        return len(self.iterator)

    def __iter__(self) -> Iterator:
        total = len(self.iterator)
        batches = iter(self.iterator)
        done, generator = self.place.restore(total)
        if generator is not None:
            for _ in range(done):
                next(batches)  # loader workers reach the random state that they had
            set_random_state(generator)
        while True:
            # An epoch that is through is validated and saved as ever; the next one stops at its start.
            if done % self.place.accum_grad == 0 and (number := stop_asked()) and done < total:
                if done:
                    self.place.save(done, total)
                end(number)
            try:
                batch = next(batches)
            except StopIteration:
                return
            done += 1
            yield batch


def stop_asked() -> int:
    """The signal that asked any rank to stop, or 0."""
    asked = ASKED[0] if ASKED else 0
    if world_size() == 1:
        return asked
    number = torch.tensor(asked, device="cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
    torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
    return int(number)


def remove_within_epoch(folder: Path, but: Path | None = None) -> None:
    """Remove what interrupted epochs have left, since they are done."""
    for path in folder.glob("within_epoch_*.pth"):
        if path != but:
            path.unlink()


def random_state() -> dict:
    """The state of all random generators of this process, of types that load as weights."""
    kind, keys, *more = np.random.get_state()
    state = {"torch": torch.get_rng_state(), "python": random.getstate()}
    state["numpy"] = (str(kind), torch.from_numpy(keys.astype(np.int64)), *more)
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    kind, keys, *more = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *more))
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def rank() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if distributed else 0


def world_size() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


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
                iterator.worker_init_fn = partial(worker_init_fn, base_seed=seed % 2**31)
        return iterator
