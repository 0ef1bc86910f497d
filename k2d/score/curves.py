"""ESPnet's training logs in, curves by epoch out."""

import re
from dataclasses import dataclass
from pathlib import Path

from k2d.score.experiment import Experiment

_EPOCH = re.compile(r"(\d+)epoch results: (.*)")
_PART = re.compile(r"\[(\w+)\] ([^\[]*)")
_VALUE = re.compile(r"(\w+)=(-?\d[\d.]*(?:e[-+]?\d+)?)(?:,|\s|$)")
_BATCHES = re.compile(r"\[train\] Batch sampler: \w+\(N-batch=(\d+)")
_ACCUMULATED = re.compile(r"^accum_grad: (\d+)$", re.MULTILINE)

# epoch -> value, by ("train" or "valid", name of the statistic)
Curves = dict[tuple[str, str], dict[int, float]]


def read_training_log(path: Path) -> Curves:
    """Statistics of every epoch that an ESPnet log tells; an epoch repeated after a restart counts
    as it was told last. Empty where the log has none."""
    curves: Curves = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _EPOCH.search(line):
            for part, values in _PART.findall(match[2]):
                for name, value in _VALUE.findall(values):
                    curves.setdefault((part, name), {})[int(match[1])] = float(value)
    return curves


def training_logs(model: Path) -> list[Path]:
    """Logs of the training of a model, a folder in exp/: its step's, on several nodes one a node."""
    return sorted(model.glob("train/log/train*.log"))


@dataclass(frozen=True)
class TrainingLog:
    """How long a model was trained. passes: over its labels, None where the log does not tell the batches of one.
    best: the lowest cross-entropy on the development set, reached at update best_updates."""

    updates: float
    passes: float | None
    best: float | None
    best_updates: float | None


def read_training(model: Path) -> TrainingLog | None:
    """Of a folder in exp/, from its log and its configuration; None where it has no log of an epoch."""
    path, curves = _told_by(model)
    batches = curves.get(("train", "total_count"))
    if not batches:
        return None
    a_pass = _BATCHES.findall(path.read_text(encoding="utf-8", errors="replace"))
    accumulated = _accumulated(model / "train/config.yaml")
    valid = curves.get(("valid", "ce"), {})
    best = min(valid, key=valid.get, default=None)
    last = max(batches.values())
    return TrainingLog(
        updates=last / accumulated,
        passes=last / int(a_pass[-1]) if a_pass else None,
        best=None if best is None else valid[best],
        best_updates=batches[best] / accumulated if best in batches else None,
    )


def _told_by(model: Path) -> tuple[Path | None, Curves]:
    """The log of a model's training that tells of epochs, the first one of several nodes, and what it tells."""
    told = ((path, read_training_log(path)) for path in training_logs(model))
    return next((found for found in told if found[1]), (None, {}))


def _accumulated(config: Path) -> int:
    """Batches an update."""
    found = _ACCUMULATED.search(config.read_text(encoding="utf-8")) if config.is_file() else None
    return int(found[1]) if found else 1


def trainings(experiment: Experiment) -> dict[str, TrainingLog]:
    """model -> how long it was trained, for every model that has a training log."""
    found = {model.name: read_training(experiment.root / model.name) for model in experiment.models}
    return {name: training for name, training in found.items() if training}


def training_curves(experiment: Experiment) -> dict[str, Curves]:
    """model -> curves, for every model that has a training log."""
    found = {model.name: _told_by(experiment.root / model.name)[1] for model in experiment.models}
    return {name: curves for name, curves in found.items() if curves}


def shown_statistics(curves: Curves) -> list[str]:
    """What is worth a drawing: what was measured on validation data, apart from the trainer's own counting; the loss
    first."""
    names = {name for part, name in curves if part == "valid" and not name.endswith(("time", "count"))}
    return sorted(names, key=lambda name: (name != "loss", name))
