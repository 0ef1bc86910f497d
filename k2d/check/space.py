"""Disk, memory and GPUs against the estimate.

In: hours of speech and the plan's numbers. Out: findings.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.check.findings import Finding, fails, fine, warning
from k2d.plan import FLAC, SIZES, Plan, duration, estimate, space
from k2d.wording import counted
from k2d.work import machine
from k2d.work.folders import size_in_words, size_of_folder

SURELY = 0.5  # of the estimate: with less room than this a stage will fail, whatever is wrong with the estimate
ENOUGH = 1.2
LABEL = 2  # the number of its stage
LONG = 6.0  # hours, from which labelling on a CPU is warned of


@dataclass(frozen=True)
class KeptOutputs:
    """What of a plan's outputs depends on a recipe's options. no_copy: labels point into the recordings; stages: up to
    this one.
    """

    no_copy: bool = False
    stages: int = 8


def gigabytes(plan: Plan, outputs: KeptOutputs) -> dict[str, float]:
    """folder -> GB that the stages still to come write into it: "data" and "exp"."""
    need = {"data": 0.0, "exp": 0.0}
    for cost in estimate(plan):
        if 1 < cost.stage <= outputs.stages:  # the copies of the first are made already
            need["data" if cost.stage in (2, 4) else "exp"] += cost.gigabytes
    if outputs.no_copy:
        need["data"] -= plan.train_hours * FLAC
    return need


def disk(need: Mapping[str, float], here: Path = Path(), complete: bool = False) -> list[Finding]:
    """Free space where `data` and `exp` lie, against what they need; what lies there already is counted as made.

    complete: what the stages would write is there, whatever the estimate says.
    """
    places: dict[int, list[str]] = {}
    for folder in need:
        places.setdefault(os.stat(_there(here / folder)).st_dev, []).append(folder)
    return [_room(folders, sum(need[folder] for folder in folders), here, complete) for folders in places.values()]


def _room(folders: Sequence[str], wanted: float, here: Path, complete: bool) -> Finding:
    status = os.statvfs(_there(here / folders[0]))
    free, what = status.f_bavail * status.f_frsize / 1e9, f"disk of {' and '.join(f'{name}/' for name in folders)}"
    message = f"{size_in_words(free * 1e9)} free, {space(wanted)} needed by the estimate"
    if free >= ENOUGH * wanted:
        return fine(what, message)
    made = sum(size_of_folder(here / folder) for folder in folders) / 1e9
    missing = wanted - made
    if made >= 0.1:
        message += f", of which {space(made)} may be there already"
    if free >= ENOUGH * missing:
        return fine(what, message)
    if complete:
        return warning(what, message, "all is made already; make room only if other options are to make it again")
    todo = "make room, or let data/ and exp/ be links to a larger disk"
    if free >= SURELY * missing:
        return warning(what, message, f"{todo}; a full disk stops a stage, but nothing is lost")
    return fails(what, message, todo)


def _there(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def memory(plan: Plan, stages: int = 8) -> list[Finding]:
    """Memory of this machine against the largest jobs at a time of the stages up to this one."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return []
    costs = estimate(plan)
    costs = [cost for cost in costs if 1 < cost.stage <= stages] or costs[:1]
    needed, most = max(((cost.memory * cost.at_a_time, cost) for cost in costs), key=lambda pair: pair[0])
    message = f"{total:,.0f} GB, about {needed:,.0f} GB needed in stage {most.stage} by the estimate"
    if total >= needed:
        return [fine("memory", message)]
    less = "lower --side_by_side" if most.at_a_time > 1 else "decode fewer recordings at a time (--batch_size)"
    return [warning("memory", message, f"{less}, or use a larger machine")]


def time(plan: Plan, stages: int = 8) -> list[Finding]:
    """A warning if labelling would keep a CPU busy for longer than somebody expects who has overlooked that."""
    label = next(cost for cost in estimate(plan) if cost.stage == LABEL)
    hours = label.device_hours + label.core_hours
    if plan.ngpu or stages < LABEL or hours < LONG:
        return []
    return [warning("time", f"labelling takes about {duration(hours)} without a GPU, by the estimate",
                    "use a GPU, or a smaller --teacher; --dry_run estimates all stages")]  # fmt: skip


def gpus(wanted: int) -> list[Finding]:
    """--ngpu against the GPUs of this machine."""
    if not wanted:
        return []
    cards = machine.gpus()
    if len(cards) >= wanted:
        return [fine("GPUs", f"{len(cards)}: {', '.join(sorted(set(cards)))}")]
    return [
        fails("GPUs", f"--ngpu {wanted}, but torch can use {counted(len(cards), 'GPU') if cards else 'no GPU'} here",
              "--ngpu 0 computes on the CPU, --cmd_backend slurm on a cluster")
    ]  # fmt: skip


def nearest_size(parameters: float) -> str:
    """The published size with about so many parameters."""
    return min(SIZES, key=lambda name: abs(SIZES[name].parameters * 1e6 - parameters))
