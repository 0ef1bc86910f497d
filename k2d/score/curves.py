"""ESPnet's training logs and scored models in, small SVG drawings out."""

import io
import re
from collections.abc import Mapping, Sequence
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


def _svg(figure) -> str:
    """Inline SVG. No date and a fixed salt: the same numbers give the same bytes."""
    import matplotlib
    from matplotlib import pyplot

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "k2d", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _axes(panels: int, width: float = 4.2):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, panels, figsize=(width * panels, 2.8), squeeze=False, layout="constrained")
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
    return figure, axes[0]


def draw_training(curves: Curves) -> str | None:
    """Losses and accuracies by epoch, training and validation; None without validation."""
    # What is measured on validation data, apart from the trainer's own counting.
    names = {name for part, name in curves if part == "valid" and not name.endswith(("time", "count"))}
    names = sorted(names, key=lambda name: (name != "loss", name))
    if not names:
        return None
    figure, axes = _axes(len(names), width=3.4)
    for axis, name in zip(axes, names, strict=True):
        for part, style in (("train", "--"), ("valid", "-")):
            if points := curves.get((part, name)):
                axis.plot(*zip(*sorted(points.items()), strict=True), style, label=part, marker=".", markersize=4)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=8, frameon=False)
    return _svg(figure)


def draw_error_rates(experiment: Experiment) -> str | None:
    """Bars of the mixed error rate with their intervals, one group a test set."""
    import numpy as np

    shown = [m.name for m in experiment.models if any((m.name, s) in experiment.results for s in experiment.test_sets)]
    if not shown:
        return None
    figure, (axis,) = _axes(1, width=2.4 + 0.45 * len(shown) * len(experiment.test_sets))
    width = 0.8 / len(shown)
    for position, name in enumerate(shown):
        rates, below, above = _bars([experiment.results.get((name, s)) for s in experiment.test_sets])
        places = np.arange(len(experiment.test_sets)) + (position - (len(shown) - 1) / 2) * width
        bars = axis.bar(places, rates, width * 0.92, yerr=[below, above], capsize=2, label=name, error_kw={"lw": 0.8})
        axis.bar_label(bars, [f"{r:.1f}" if r == r else "" for r in rates], fontsize=7, padding=2)
    axis.set_xticks(range(len(experiment.test_sets)), experiment.test_sets)
    axis.set_ylabel("MER (%)")
    axis.legend(fontsize=8, frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return _svg(figure)


def _bars(results: Sequence[Mapping | None]) -> tuple[list[float], list[float], list[float]]:
    """Heights in percent and the lengths of the whiskers below and above; NaN where not measured."""
    rates, below, above = [], [], []
    for result in results:
        rate = None if result is None else result["mer"]["rate"]
        rates.append(float("nan") if rate is None else 100 * rate)
        interval = result["confidence_interval"] if result else {"low": None}
        known = rate is not None and interval["low"] is not None
        below.append(max(0.0, 100 * (rate - interval["low"])) if known else 0.0)
        above.append(max(0.0, 100 * (interval["high"] - rate)) if known else 0.0)
    return rates, below, above


def draw_labels(experiment: Experiment) -> str | None:
    """Share of the labelled data that each selection kept."""
    shares = {s.name: s.share for s in experiment.selections.values() if s.share is not None}
    if not shares:
        return None
    figure, (axis,) = _axes(1)
    bars = axis.bar(list(shares), [100 * s for s in shares.values()], 0.6)
    axis.bar_label(bars, [f"{100 * s:.0f}" for s in shares.values()], fontsize=8, padding=2)
    axis.set_ylabel("data kept (%)")
    return _svg(figure)
