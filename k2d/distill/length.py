"""How long a student is trained, from how much there is to learn.

In: the training configuration and the number of chunks. Out: the configuration with batches, epochs and warm-up that
fit.

The paper's 120,000 updates of 256 chunks are 3.8 passes over 60,000 h, and would be 2,300 passes over 100 h. Between,
by this project's choice, updates grow with the square root of the chunks; no chunk is seen more than forty times, but
no training has less than two hundred updates:

    hours   chunks      batch   updates   passes
        1      133         32       200       48
       10    1,333         32     1,560       37
      100   13,333        256     2,100       40
    1,000  133,333        256    15,600       30
   60,000  8,000,000      256   120,000        4

The batch is halved, down to 32, where forty passes would be fewer than a thousand updates. Warm-up takes a twentieth of
the updates, at most the paper's 50. Epochs, after each of which the student is validated, are a hundred updates long,
and there are at least ten and at most 120 of them. A scheduler of so many steps in all gets as many as there are
updates, and one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from k2d.errors import UsageError
from k2d.wording import counted

PAPER_UPDATES, PAPER_CHUNKS = 120_000, 8_000_000
MOST_PASSES = 40
LEAST_UPDATES = 200
SMALLEST_BATCH, MOST_AT_ONCE = 32, 64  # chunks of an update; of one forward pass
FEW_UPDATES = 1000  # below which the batch is halved
EPOCH, LEAST_EPOCHS, MOST_EPOCHS = 100, 10, 120
WARM_UP, MOST_WARM_UP = 1 / 20, 50
CHUNK, FRAMES = 27.0, 50  # mean seconds of a chunk; frames a second of the encoder's output
AUTO = "auto"
LENGTH = ("max_epoch", "num_iters_per_epoch")
_BATCH = ("batch_type", "batch_size", "batch_bins", "accum_grad")
_PIECEWISE = "piecewiselinearwarmuplr"


@dataclass(frozen=True)
class Length:
    """updates, chunks of each, passes over the chunks, updates of warm-up (None: as the configuration says)."""

    updates: int
    batch: int
    chunks: int
    warm_up: int | None

    @property
    def passes(self) -> float:
        return self.updates * min(self.batch, self.chunks) / self.chunks

    def __str__(self) -> str:
        warm_up = "" if self.warm_up is None else f", the first {self.warm_up:,} to warm up"
        return (
            f"{counted(self.updates, 'update')} of {counted(min(self.batch, self.chunks), 'chunk')}{warm_up}: "
            f"{self.passes:,.1f} passes over {counted(self.chunks, 'chunk')}"
        )


def check_updates(text: str) -> str:
    """ "auto" or a whole number. Raises UsageError."""
    if text != AUTO and not (text.isdigit() and int(text)):
        raise UsageError(f"--updates {text}: expected auto, or how many updates")
    return text


def batch_of(config: Mapping) -> int:
    """Chunks of one update."""
    batch = _count(config, "batch_size", 20)
    if config.get("batch_type") == "numel":
        batch = max(1, round(_count(config, "batch_bins", 1_000_000) / (FRAMES * CHUNK)))
    return batch * _count(config, "accum_grad", 1)


def _count(config: Mapping, name: str, default: int) -> int:
    """A number of the YAML, or ESPnet's default. Raises UsageError."""
    value = config.get(name, default)
    if not str(value).isdecimal() or not int(value):
        raise UsageError(f"{name} {value!r}, in the YAML: expected a whole number, at least 1")
    return int(value)


def with_length(config: Mapping, recipe: Mapping, updates: str, chunks: int) -> tuple[dict, Length | None]:
    """The configuration of a training of so many updates, and its length; None where the recipe's YAML says how long.

    config: all YAMLs as one; recipe: those over the shared one; updates: a number, or "auto" for the rule above.
    """
    config = dict(config)
    if updates == AUTO and any(name in recipe for name in LENGTH):
        return config, None
    if not any(name in recipe for name in _BATCH):
        batch = batch_of(config)
        halved = 2 ** math.floor(math.log2(max(MOST_PASSES * chunks / FEW_UPDATES, 1)))
        batch = min(batch, max(SMALLEST_BATCH, halved))
        at_once = min(batch, MOST_AT_ONCE, _count(config, "batch_size", MOST_AT_ONCE))
        config |= {"batch_type": "unsorted", "batch_size": at_once, "accum_grad": batch // at_once}
    batch = batch_of(config)
    wanted = _updates(chunks, batch) if updates == AUTO else int(updates)
    epochs = min(max(LEAST_EPOCHS, round(wanted / EPOCH)), MOST_EPOCHS, wanted)
    an_epoch = math.ceil(wanted / epochs)
    count = epochs * an_epoch
    config |= {"max_epoch": epochs, "num_iters_per_epoch": an_epoch * _count(config, "accum_grad", 1)}
    warm_up = None
    if config.get("scheduler") == _PIECEWISE and "scheduler_conf" not in recipe:
        warm_up = min(MOST_WARM_UP, max(1, round(count * WARM_UP)))
        rate = (config.get("optim_conf") or {}).get("lr")
        if rate is None:
            raise UsageError(f"--updates {updates}: the warm-up leads to the lr of optim_conf, which is missing")
        config["scheduler_conf"] = {
            "warmup_steps_list": [0, warm_up, max(count, warm_up + 1)], "warmup_lr_list": [0.0, rate, rate]
        }  # fmt: skip
    shape = config.get("scheduler_conf")
    if isinstance(shape, dict) and "total_steps" in shape:
        config["scheduler_conf"] = shape | {"total_steps": count + 1}
    return config, Length(count, batch, chunks, warm_up)


def _updates(chunks: int, batch: int) -> int:
    grown = PAPER_UPDATES * math.sqrt(chunks / PAPER_CHUNKS)
    return max(LEAST_UPDATES, round(min(grown, PAPER_UPDATES, MOST_PASSES * chunks / batch)))
