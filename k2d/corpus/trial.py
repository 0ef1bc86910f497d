"""How fast a recipe's stages were, read from what a trial of a few hours has left behind.

In: a recipe's folder. Out: for "teacher", "validator", "distance" and "training" the rate that
`plan.Plan.speeds` wants, and a sentence that says which files it was measured in. What the trial has not run is
not among them.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from k2d.errors import DataError
from k2d.wording import audio_length, counted
from k2d.work.identity import record_in


@dataclass(frozen=True)
class Rate:
    value: float
    source: str
    model: str = ""  # that was measured, of the decodings


def read_trial(recipe: Path) -> dict[str, Rate]:
    """The rates of the newest outputs of each kind. DataError where there are none at all."""
    rates = {}
    for name, pattern, read in (
        ("teacher", "data/*/speed.json", _decoding),
        ("validator", "exp/*_*/decode_*/speed.json", _decoding),
        ("distance", "exp/*/*/summary.json", _distances),
        ("training", "exp/*/train/log/train.log", _training),
    ):
        found = sorted(recipe.glob(pattern), key=lambda path: path.stat().st_mtime)
        rate = read(found[-1]) if found else None
        if rate is not None:
            rates[name] = Rate(*rate)
    if not rates:
        raise DataError(f"{recipe}: nothing to measure; expected a recipe whose stages 2 to 5 have run")
    return rates


def _decoding(speed: Path) -> tuple[float, str, str] | None:
    record = json.loads(speed.read_text())
    if not record.get("times_real_time"):
        return None
    source = f"{audio_length(record['audio_seconds'])} in {record['seconds']:,.0f} s, {speed}"
    return record["times_real_time"], source, record_in(speed.parent).get("arguments", {}).get("model", "")


def _distances(summary: Path) -> tuple[float, str] | None:
    """Pairs a second of one core."""
    made = record_in(summary.parent)
    found = json.loads(summary.read_text())
    pairs, seconds = found["counts"]["pairs"], made.get("seconds")
    if not seconds:
        return None
    cores = made.get("arguments", {}).get("nj", 1)
    return pairs / seconds / cores, f"{pairs:,} pairs in {seconds:,.1f} s on {counted(cores, 'core')}, {summary}"


def _seconds(log: Path) -> float:
    """What the attempts of a job took, from the ends in its log."""
    return sum(float(found) for found in re.findall(r"^# end .*, ([\d.]+) s$", log.read_text("utf-8"), re.MULTILINE))


def _training(log: Path) -> tuple[float, str] | None:
    """Chunks a second of one device, validation and start included."""
    path, seconds = log.parents[1] / "config.yaml", _seconds(log)
    said = log.read_text("utf-8")
    batches = re.search(r"\[train\] mini-batch sizes summary: N-batch=(\d+), mean=([\d.]+)", said)
    if not path.exists() or not seconds or batches is None:
        return None
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    epochs = len(set(re.findall(r"(\d+)epoch results:", said)))
    devices = config.get("dist_world_size") or max(config.get("ngpu", 0), 1)
    chunks = round(epochs * (config.get("num_iters_per_epoch") or int(batches[1])) * float(batches[2]))
    if not chunks:
        return None
    return chunks / seconds / devices, f"{chunks:,} chunks in {seconds:,.0f} s on {counted(devices, 'device')}, {log}"
