"""ESPnet's training logs in; out: curves by epoch, and how long each model was trained."""

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


def curves_in(log: str) -> Curves:
    """Statistics of every epoch that an ESPnet log tells; an epoch repeated after a restart counts
    as it was told last. Empty where the log has none."""
    curves: Curves = {}
    for line in log.splitlines():
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
    """How a model was trained, and how long. passes: over its labels, None where the log does not tell the batches of
    one. best: the lowest cross-entropy on the development set, reached at update best_updates."""

    curves: Curves
    updates: float
    passes: float | None
    best: float | None
    best_updates: float | None


def read_training(model: Path) -> TrainingLog | None:
    """Of a folder in exp/, from the first log that tells of an epoch and its configuration; None where none does."""
    logs = (path.read_text(encoding="utf-8", errors="replace") for path in training_logs(model))
    log, curves = next(((log, found) for log in logs if (found := curves_in(log))), ("", {}))
    batches = curves.get(("train", "total_count"))
    if not batches:
        return None
    a_pass = _BATCHES.findall(log)
    accumulated = _accumulated(model / "train/config.yaml")
    valid = curves.get(("valid", "ce"), {})
    best = min(valid, key=valid.get, default=None)
    last = max(batches.values())
    return TrainingLog(
        curves,
        updates=last / accumulated,
        passes=last / int(a_pass[-1]) if a_pass else None,
        best=None if best is None else valid[best],
        best_updates=batches[best] / accumulated if best in batches else None,
    )


def _accumulated(config: Path) -> int:
    """Batches an update."""
    found = _ACCUMULATED.search(config.read_text(encoding="utf-8")) if config.is_file() else None
    return int(found[1]) if found else 1


def read_trainings(experiment: Experiment) -> dict[str, TrainingLog]:
    """model -> how it was trained, for every model that has a training log."""
    found = {model.name: read_training(experiment.root / model.name) for model in experiment.models}
    return {name: training for name, training in found.items() if training}


def shown_statistics(curves: Curves) -> list[str]:
    """What is worth a drawing: what was measured on validation data, apart from the trainer's own counting; the loss
    first."""
    names = {name for part, name in curves if part == "valid" and not name.endswith(("time", "count"))}
    return sorted(names, key=lambda name: (name != "loss", name))
