"""The threshold explorer: one HTML page that shows what every α would keep, and lets one listen.

In: a data directory of chunks, its scores, perhaps references. Out: the page, self-contained: data, drawing
code and sampled audio are inside it, so it opens from the disk and asks the network for nothing.

Chunks are read once and counted into bins of a hundredth of distance, so the page is as small for seven
million chunks as for seven hundred.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from k2d.atomic import atomic
from k2d.audio.options import DEFAULT, AudioOptions
from k2d.datadir import DataDir
from k2d.explore import detection
from k2d.explore.label_quality import BAD, label_quality
from k2d.explore.page import as_json, render
from k2d.explore.sample import Reservoir, Sampled, difference, join, stratum
from k2d.explore.sounds import Sounds, open_located, sounds
from k2d.label.chunk_directory import in_blocks, read_chunks
from k2d.label.scores import Columns, Scores
from k2d.tables import Cursor
from k2d.text import timestamps
from k2d.work.folders import write_json

STEP = 0.01  # of the slider
_BINS = 152  # up to 1.50, and one for all beyond
_METRIC = re.compile(r"^(comp|per|mer)(_\w+)?$")
_OTHERS = (
    "en_share_teacher", "en_share_aux", "zh_cer", "en_wer", "chars_per_second", "compression_teacher",
    "avg_logprob", "caption", "translated", "untexted", "dur",
)  # fmt: skip
_KEPT_VALUES = 20_000  # of each other signal, for its histogram


@dataclass(frozen=True)
class Page:
    """What the page shows: where the slider starts, how much audio and how many chunks go in."""

    alpha: float = 0.4
    audio_mb: float = 8.0
    per_stratum: int = 20
    audio: AudioOptions = DEFAULT
    seed: int = 0
    reference: str | None = None
    bad_above: float = BAD
    title: str | None = None


def metrics_of(scores: Scores) -> list[str]:
    """The distances among the scores: δ_comp first, then δ_PER, then δ_MER, of each validator."""
    names = sorted(name for name in scores.names if _METRIC.match(name))
    return sorted(names, key=lambda name: ("comp", "per", "mer").index(name.split("_")[0]))


def _loop_score(scores: Scores, whose: str = "teacher") -> str | None:
    return next((name for name in (f"loop_{whose}", f"loop_{whose}_max") if name in scores.names), None)


def gather(data: DataDir, scores: Scores, page: Page) -> tuple[str, dict | None, Sounds]:
    """(the page, the analysis of detection or None, the page's sounds). The analysis is made from `page.reference`."""
    metrics, loop = metrics_of(scores), _loop_score(scores)
    others = [name for name in _OTHERS if name in scores.names]
    asked = metrics + others + [name for name in (loop, _loop_score(scores, "aux")) if name]
    columns = Columns(scores, asked)
    validators = {tag: Cursor(path) for tag, path in scores.texts.items()}
    quality = label_quality(data, page.reference) if page.reference else None
    counts = _Counts(metrics)
    values: dict[str, list[float]] = {name: [] for name in others}
    drawn = Reservoir(page.per_stratum, page.seed)
    for block in in_blocks(read_chunks(data)):
        found = columns.of([chunk.id for chunk in block])
        table = [found[name].tolist() for name in asked]
        rows = [
            {name: column[i] for name, column in zip(asked, table, strict=True)} for i in range(len(block))
        ]
        for chunk, row in zip(block, rows, strict=True):
            loops = bool(loop and row[loop] == 1)
            counts.add(row, loops, chunk.seconds)
            for name in others:
                if len(values[name]) < _KEPT_VALUES and math.isfinite(row[name]):
                    values[name].append(row[name])
            where = stratum(row[metrics[0]], loops) if metrics else "0.0"
            place = drawn.place(where)
            texts = {tag: cursor.get(chunk.id) or "" for tag, cursor in validators.items()}
            if place is not None:
                item = Sampled(chunk, texts, {n: v for n, v in row.items() if math.isfinite(v)}, where)
                if quality and chunk.id in quality.chunks:
                    item.extra["reference"] = join(quality.references.spoken[chunk.id])
                    item.extra["true_error"] = round(quality.chunks[chunk.id].text_rate, 4)
                drawn.put(place, item)
    audit = None
    if quality and metrics:
        audit = quality.audit(scores, metrics, page.bad_above)
    analysis = detection.analyse(audit, seed=page.seed) if audit is not None and len(audit.bad) else None
    sample = [item for items in drawn.strata().values() for item in items]
    clips = _sounds(data, sample, page, metrics)
    payload = {
        "title": page.title or data.path.name,
        "alpha": page.alpha,
        "step": STEP,
        "metrics": metrics,
        "counts": counts.facts(),
        "others": {name: _histogram(found) for name, found in values.items() if found},
        "sample": [_card(item) for item in sample],
        "with_sound": list(clips.uris),
        "sound_note": clips.says(),
        "analysis": analysis and analysis | {"bad_above": page.bad_above},
    }
    return render(
        "explorer.html.j2", title=payload["title"], data=payload, sounds=as_json(clips.uris), plain=_plain(payload)
    ), analysis, clips


class _Counts:
    """Chunks and seconds by bin of distance, apart for looping teachers."""

    def __init__(self, metrics: list[str]):
        self.chunks = {m: [[0] * _BINS, [0] * _BINS] for m in metrics}
        self.seconds = {m: [[0.0] * _BINS, [0.0] * _BINS] for m in metrics}
        self.total, self.length, self.loops, self.unscored = 0, 0.0, 0, 0

    def add(self, row: Mapping[str, float], loops: bool, seconds: float) -> None:
        seconds = seconds if seconds > 0 else 0.0
        self.total += 1
        self.length += seconds
        self.loops += loops
        self.unscored += any(math.isnan(row[m]) for m in self.chunks)
        for m in self.chunks:
            if math.isnan(row[m]):
                continue
            # Bin b holds (b − 1)·STEP < δ <= b·STEP, so a sum up to bin α/STEP is what δ <= α keeps.
            place = min(math.ceil(round(row[m] / STEP, 4)), _BINS - 1)
            self.chunks[m][loops][place] += 1
            self.seconds[m][loops][place] += seconds

    def facts(self) -> dict:
        return {
            "chunks": self.chunks,
            "seconds": {
                m: [[round(s, 2) for s in part] for part in parts] for m, parts in self.seconds.items()
            },
            "total": self.total,
            "total_seconds": round(self.length, 2),
            "loops": self.loops,
            "unscored": self.unscored,
        }


def write_page(folder: Path, data: DataDir, scores: Scores, page: Page) -> tuple[int, dict | None, Sounds]:
    """explorer.html, with references detection.json and detection.md; returns its characters, the analysis, the sounds.
    """
    text, analysis, clips = gather(data, scores, page)
    with atomic(folder / "explorer.html") as handle:
        handle.write(text)
    if analysis is not None:
        write_json(folder / "detection.json", analysis)
        with atomic(folder / "detection.md") as handle:
            handle.write("# Are bad labels found?\n\n" + detection.markdown(analysis))
    return len(text), analysis, clips


def _histogram(values: list[float], bins: int = 32) -> dict:
    """Counts between the 0.5th and 99.5th percentile; what lies beyond is in the outer bins."""
    low, high = np.quantile(values, [0.005, 0.995])
    high = high if high > low else low + 1
    counts, _ = np.histogram(np.clip(values, low, high), bins, (low, high))
    return {
        "low": float(low),
        "high": float(high),
        "counts": counts.tolist(),
        "median": float(np.median(values)),
    }


def _card(item: Sampled) -> dict:
    """One chunk of the sample as the page wants it."""
    chunk = item.chunk
    teacher = timestamps.strip(chunk.text)
    return {
        "id": chunk.id,
        "recording": chunk.recording,
        "start": None if math.isnan(chunk.start) else chunk.start,
        "seconds": None if math.isnan(chunk.seconds) else round(chunk.seconds, 2),
        "stratum": item.stratum,
        "weight": round(item.weight, 2),
        "scores": {name: round(value, 4) for name, value in item.scores.items()},
        "teacher": teacher,
        "validators": {tag: timestamps.strip(text) for tag, text in item.validators.items()},
        "diff": {tag: difference(teacher, timestamps.strip(text)) for tag, text in item.validators.items()},
        **item.extra,
    }


def _sounds(data: DataDir, sample: list[Sampled], page: Page, metrics: list[str]) -> Sounds:
    """Sounds and spectrograms of the chunks nearest to α first, as far as they fit."""

    def nearness(item: Sampled) -> tuple[float, str]:
        distance = item.scores.get(metrics[0], 2.0) if metrics else 2.0
        return abs(distance - page.alpha), item.chunk.id

    utterances = open_located(data, page.audio)
    ids = [item.chunk.id for item in sorted(sample, key=nearness)]
    return sounds([(i, utterances, i) for i in ids], page.audio_mb)


def _plain(payload: dict) -> dict:
    """What the page shows where scripts are off: the share that each α keeps by each distance, and some chunks."""
    facts, metrics = payload["counts"], payload["metrics"]
    whole = facts["total_seconds"] or facts["total"] or 1
    kind = "seconds" if facts["total_seconds"] else "chunks"
    rows = []
    for tenth in range(11):
        kept = [sum(sum(part[: 10 * tenth + 1]) for part in facts[kind][m]) for m in metrics]
        rows.append([f"{tenth / 10:.1f}", *(f"{100 * k / whole:.1f} %" for k in kept)])

    def nearness(chunk: dict) -> float:
        return abs(chunk["scores"].get(metrics[0], 9.0) - payload["alpha"]) if metrics else 0.0

    return {
        "metrics": metrics,
        "kind": "speech" if kind == "seconds" else "chunks",
        "kept": rows,
        "chunks": sorted(payload["sample"], key=nearness)[:30],
    }
