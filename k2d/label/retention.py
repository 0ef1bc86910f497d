"""What a selection keeps, and of what: so that nobody deletes the code-switching while cleaning.

In: chunks, each with its length, units and whether it was kept. Out: counts before and after, in all, by
recording and by source directory, and a report in Markdown.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from k2d.text.markdown import table

DURATION_BINS = (0, 5, 10, 15, 20, 25, 30, 60)  # seconds; the last bin is open
RATE_BINS = (0, 1, 2, 3, 4, 5, 6, 8, 12)  # units a second; the last bin is open
_SHORT = 60.0  # seconds of speech below which a source's loss says nothing


@dataclass
class Stats:
    """Sums over chunks. Chunks of unknown length count with 0 seconds and in no histogram."""

    chunks: int = 0
    seconds: float = 0.0
    units: int = 0
    english: int = 0
    switched: int = 0  # chunks with both Chinese and English units
    durations: list[int] = field(default_factory=lambda: [0] * len(DURATION_BINS))
    rates: list[int] = field(default_factory=lambda: [0] * len(RATE_BINS))

    def add(self, seconds: float, units: int, english: int, switched: bool) -> None:
        self.chunks += 1
        self.units += units
        self.english += english
        self.switched += switched
        if seconds > 0:
            self.seconds += seconds
            self.durations[bisect_right(DURATION_BINS, seconds) - 1] += 1
            self.rates[bisect_right(RATE_BINS, units / seconds) - 1] += 1

    def facts(self) -> dict[str, float | list[int]]:
        """Hours, share of English units, share of code-switched chunks, units a second, and the chunks in
        each of DURATION_BINS and RATE_BINS.
        """
        return {
            "chunks": self.chunks,
            "hours": round(self.seconds / 3600, 4),
            "units": self.units,
            "english_share": round(self.english / max(self.units, 1), 4),
            "switched_share": round(self.switched / max(self.chunks, 1), 4),
            "units_per_second": round(self.units / self.seconds, 3) if self.seconds else 0.0,
            "durations": self.durations,
            "rates": self.rates,
        }


@dataclass
class BeforeAfter:
    before: Stats = field(default_factory=Stats)
    after: Stats = field(default_factory=Stats)

    def add(self, kept: bool, seconds: float, units: int, english: int, switched: bool) -> None:
        self.before.add(seconds, units, english, switched)
        if kept:
            self.after.add(seconds, units, english, switched)

    @property
    def loss(self) -> float:
        """Share of the hours that was dropped (of the chunks, where no length is known)."""
        if self.before.seconds:
            return 1 - self.after.seconds / self.before.seconds
        return 1 - self.after.chunks / max(self.before.chunks, 1)

    def facts(self) -> dict:
        return {"before": self.before.facts(), "after": self.after.facts(), "loss": round(self.loss, 4)}


class Retention:
    """Counts of a selection, in all, by recording and by source directory."""

    def __init__(self):
        self.whole = BeforeAfter()
        self.recordings: dict[str, BeforeAfter] = {}
        self.sources: dict[str, BeforeAfter] = {}

    def add(self, recording: str, source: str, kept: bool, *facts) -> None:
        for part in (
            self.whole,
            self.recordings.setdefault(recording, BeforeAfter()),
            self.sources.setdefault(source, BeforeAfter()),
        ):
            part.add(kept, *facts)


def outliers(parts: Mapping[str, BeforeAfter]) -> list[str]:
    """Names whose loss is far above the rest, worst first.

    Far is more than three robust standard deviations (1.48 times the median absolute deviation) and more
    than ten points above the median; parts of less than a minute are left out.
    """
    losses = {name: part.loss for name, part in parts.items() if part.before.seconds >= _SHORT}
    if len(losses) < 3:
        return []
    values = np.array(list(losses.values()))
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    far = [name for name, loss in losses.items() if loss > middle + max(3 * spread, 0.1)]
    return sorted(far, key=lambda name: (-losses[name], name))


def markdown(
    retention: Retention,
    rule: str,
    reasons: Iterable[tuple[str, int, float, int]],
) -> str:
    """The report. reasons: (reason, chunks, hours, chunks that fail this clause at all)."""
    whole = retention.whole
    before, after = whole.before.facts(), whole.after.facts()
    lines = ["# What the selection keeps", "", f"Rule: `{rule}`", ""]
    rows = []
    names = {
        "chunks": "chunks",
        "hours": "hours",
        "units": "units (characters and words)",
        "english_share": "English units",
        "switched_share": "code-switched chunks",
        "units_per_second": "units a second",
    }
    for key, title in names.items():
        old, new = before[key], after[key]
        if key.endswith("share"):
            rows.append([title, f"{old:.2%}", f"{new:.2%}", f"{100 * (new - old):+.2f} points"])
        else:
            kept = (f"× {new / old:.2f}" if key == "units_per_second" else f"{new / old:.1%}") if old else ""
            rows.append([title, _plain(old), _plain(new), kept])
    lines += table(["", "before", "after", "kept"], rows)
    lines += ["", "## Reasons", "", "A chunk counts under the first clause it fails.", ""]
    rows = [[f"`{reason}`", str(n), f"{hours:.3f}", str(total)] for reason, n, hours, total in reasons]
    lines += table(["dropped because", "chunks", "hours", "fail this at all"], rows)
    for title, parts in (("Source directories", retention.sources), ("Recordings", retention.recordings)):
        lines += ["", f"## {title}", ""]
        far = outliers(parts)
        if far:
            lines.append(f"**Loss far above the rest:** {', '.join(f'`{name}`' for name in far[:20])}")
            lines += ["", "Listen to some of their dropped chunks before training without them.", ""]
        worst = sorted(parts, key=lambda name: (-parts[name].loss, name))
        if len(worst) > 50:
            lines += [f"The 50 with the greatest loss of {len(worst)}; all of them in report.json.", ""]
        lines += _parts(worst[:50], parts)
    lines += ["", "## Chunk durations", "", *_histogram(whole, "durations", DURATION_BINS, "s")]
    lines += ["", "## Speaking rate", "", *_histogram(whole, "rates", RATE_BINS, "units/s")]
    return "\n".join(lines) + "\n"


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _parts(names: list[str], parts: Mapping[str, BeforeAfter]) -> list[str]:
    header = ["", "hours before", "after", "loss", "English before", "after", "switched before", "after", "units/s"]
    rows = []
    for name in names:
        part = parts[name]
        old, new = part.before.facts(), part.after.facts()
        shares = (f"{facts[key]:.1%}" for key in ("english_share", "switched_share") for facts in (old, new))
        hours = (f"{facts['hours']:.3f}" for facts in (old, new))
        rows.append([f"`{name}`", *hours, f"{part.loss:.1%}", *shares, f"{new['units_per_second']:.2f}"])
    return table(header, rows)


def _histogram(whole: BeforeAfter, kind: str, edges: tuple[int, ...], unit: str) -> list[str]:
    old, new = getattr(whole.before, kind), getattr(whole.after, kind)
    most = max([*old, 1])
    rows = []
    for place, edge in enumerate(edges):
        label = f"{edge}–{edges[place + 1]}" if place + 1 < len(edges) else f"{edge} and more"
        kept = f"{new[place] / old[place]:.0%}" if old[place] else ""
        full, rest = round(30 * new[place] / most), round(30 * old[place] / most)
        bar = "█" * full + "░" * max(rest - full, 0)
        rows.append([label, str(old[place]), str(new[place]), kept, bar])
    return table([unit, "before", "after", "kept", ""], rows, left=(0, 4))
