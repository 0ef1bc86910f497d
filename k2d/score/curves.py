"""ESPnet's training logs and scored models in, small SVG drawings out."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.score.experiment import Experiment, Group, Rates

_EPOCH = re.compile(r"(\d+)epoch results: (.*)")
_PART = re.compile(r"\[(\w+)\] ([^\[]*)")
_VALUE = re.compile(r"(\w+)=(-?\d[\d.]*(?:e[-+]?\d+)?)(?:,|\s|$)")
_BATCHES = re.compile(r"\[train\] Batch sampler: \w+\(N-batch=(\d+)")
_ACCUMULATED = re.compile(r"^accum_grad: (\d+)$", re.MULTILINE)
_LEVELS = {"teacher": "--", "untrained": ":"}  # what stands as a level in the drawing of the ladder

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
class Training:
    """How long a model was trained. passes: over its labels, None where the log does not tell the batches of one.
    best: the lowest cross-entropy on the development set, reached at update best_updates."""

    updates: float
    passes: float | None
    best: float | None
    best_updates: float | None


def read_training(model: Path, criterion: str = "ce") -> Training | None:
    """Of a folder in exp/, from its log and its configuration; None where it has no log of an epoch."""
    for path in training_logs(model):
        text = path.read_text(encoding="utf-8", errors="replace")
        curves = read_training_log(path)
        if batches := curves.get(("train", "total_count")):
            a_pass = _BATCHES.findall(text)
            accumulated = _accumulated(model / "train/config.yaml")
            valid = curves.get(("valid", criterion), {})
            best = min(valid, key=valid.get, default=None)
            last = max(batches.values())
            return Training(
                updates=last / accumulated,
                passes=last / int(a_pass[-1]) if a_pass else None,
                best=None if best is None else valid[best],
                best_updates=batches[best] / accumulated if best in batches else None,
            )
    return None


def _accumulated(config: Path) -> int:
    """Batches an update."""
    found = _ACCUMULATED.search(config.read_text(encoding="utf-8")) if config.is_file() else None
    return int(found[1]) if found else 1


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

    shown = [g for g in experiment.groups if any(experiment.results_of(g, s) for s in experiment.test_sets)]
    if not shown:
        return None
    figure, (axis,) = _axes(1, width=2.4 + 0.45 * len(shown) * len(experiment.test_sets))
    width = 0.8 / len(shown)
    for position, group in enumerate(shown):
        rates, below, above = _bars([experiment.rates(group, s) for s in experiment.test_sets])
        places = np.arange(len(experiment.test_sets)) + (position - (len(shown) - 1) / 2) * width
        bars = axis.bar(
            places, rates, width * 0.92, yerr=[below, above], capsize=2, label=group.name, error_kw={"lw": 0.8}
        )
        axis.bar_label(bars, [f"{r:.1f}" if r == r else "" for r in rates], fontsize=7, padding=2)
    axis.set_xticks(range(len(experiment.test_sets)), experiment.test_sets)
    axis.set_ylabel("MER (%)")
    axis.legend(fontsize=8, frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return _svg(figure)


def _bars(found: Sequence[Rates | None]) -> tuple[list[float], list[float], list[float]]:
    """Heights in percent and the lengths of the whiskers below and above; NaN where not measured."""
    heights, below, above = [], [], []
    for rates in found:
        heights.append(float("nan") if rates is None else 100 * rates.mean)
        known = rates is not None and rates.low is not None
        below.append(max(0.0, 100 * (rates.mean - rates.low)) if known else 0.0)
        above.append(max(0.0, 100 * (rates.high - rates.mean)) if known else 0.0)
    return heights, below, above


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


def draw_ladder(experiment: Experiment) -> str | None:
    """MER against hours of recordings, a panel a test set: a line with its 95 % band for each selection (and tag, where
    there are several), levels for what learnt from no lecture. None where students have fewer than two numbers of
    hours."""
    lines: dict[tuple[str, str | None], list[Group]] = {}
    for group in experiment.groups:
        if group.record.role == "student" and group.record.hours is not None:
            lines.setdefault((group.record.selection or group.name, group.record.tag), []).append(group)
    ladders = {key: groups for key, groups in lines.items() if len({g.record.hours for g in groups}) > 1}
    sets = [s for s in experiment.test_sets if any(experiment.results_of(g, s) for gs in ladders.values() for g in gs)]
    if not sets:
        return None
    figure, axes = _axes(len(sets), width=3.6)
    several_tags = len({tag for _, tag in ladders}) > 1
    for axis, test_set in zip(axes, sets, strict=True):
        for (selection, tag), groups in ladders.items():
            points = sorted((g.record.hours, r) for g in groups if (r := experiment.rates(g, test_set)) is not None)
            if not points:
                continue
            label = f"{selection}, {tag}" if several_tags and tag else selection
            hours = [h for h, _ in points]
            (line,) = axis.plot(hours, [100 * r.mean for _, r in points], marker="o", markersize=4, label=label)
            banded = [(h, r) for h, r in points if r.low is not None]
            axis.fill_between(
                [h for h, _ in banded], [100 * r.low for _, r in banded], [100 * r.high for _, r in banded],
                color=line.get_color(), alpha=0.15, linewidth=0,
            )  # fmt: skip
        for group in experiment.groups:
            if group.record.role in _LEVELS and (rates := experiment.rates(group, test_set)) is not None:
                style = _LEVELS[group.record.role]
                axis.axhline(100 * rates.mean, linestyle=style, color="0.4", linewidth=1, label=group.name)
        ticks = sorted({g.record.hours for groups in ladders.values() for g in groups})
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{h:g}" for h in ticks])
        axis.minorticks_off()
        axis.set_title(test_set, fontsize=10)
        axis.set_xlabel("hours of lectures")
    axes[0].set_ylabel("MER (%)")
    axes[-1].legend(fontsize=8, frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return _svg(figure)
