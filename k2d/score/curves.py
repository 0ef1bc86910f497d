"""ESPnet's training logs in, curves by epoch out."""

import re
from pathlib import Path

from k2d.score.experiment import Experiment

_EPOCH = re.compile(r"(\d+)epoch results: (.*)")
_PART = re.compile(r"\[(\w+)\] ([^\[]*)")
_VALUE = re.compile(r"(\w+)=(-?\d[\d.]*(?:e[-+]?\d+)?)(?:,|\s|$)")

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


def training_curves(experiment: Experiment) -> dict[str, Curves]:
    """model -> curves, for every model that has a training log."""
    found = {}
    for model in experiment.models:
        for path in training_logs(experiment.root / model.name):
            if curves := read_training_log(path):
                found[model.name] = curves
    return found


def shown_statistics(curves: Curves) -> list[str]:
    """What is worth a drawing: what was measured on validation data, apart from the trainer's own counting; the loss
    first."""
    names = {name for part, name in curves if part == "valid" and not name.endswith(("time", "count"))}
    return sorted(names, key=lambda name: (name != "loss", name))
