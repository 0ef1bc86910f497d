"""What was measured in, the report's page out: the place to go after a run.

The headline and the main table come first, then what the aims say, the drawings, the error browser and every other
table, the command last. Tables and bars are made here and need no script; the script draws lines, sorts and browses.
What is measured and how it is tested is k2d.score.report's: this takes its tables and statements as they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from k2d.explore.page import as_json, render
from k2d.explore.sounds import Sounds
from k2d.score.curves import Curves, shown_statistics
from k2d.score.experiment import Experiment, Model
from k2d.score.rates import SWITCH_DISTANCES
from k2d.score.tables import ABSENT, Table

# The colour and form of a verdict; one that is not here is shown plainly.
_KINDS = {"reached": ("good", "✓"), "missed": ("bad", "✕"), "not measured": ("mute", "·")}
_STATEMENT = re.compile(r"- (?P<aim>.*?): \*\*(?P<verdict>.+?)\*\*\.?\s*(?P<why>.*)", re.DOTALL)


@dataclass(frozen=True)
class Bar:
    """One bar with its interval, in percent. `kind`: role of the model, which gives the colour."""

    name: str
    kind: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bars:
    title: str
    bars: Sequence[Bar]

    @property
    def most(self) -> float:
        """The value at which a bar is full."""
        ends = [bar.value if bar.high is None else max(bar.high, bar.value) for bar in self.bars]
        return max([*ends, 1e-9])


def report_page(
    experiment: Experiment,
    tables: Sequence[Table],
    statements: Sequence[str],
    *,
    title: str,
    headline: str,
    best: str | None,
    facts: Sequence[str],
    command: str,
    curves: dict[str, Curves],
    texts: dict,
    heard: Sounds,
    explorers: Sequence[tuple[str, str]],
) -> str:
    """tables: the first is the main one. statements: the aims as Markdown list items, each with a verdict in bold.
    best: the model whose errors are shown first.
    curves: of each model's training. texts, heard: of error_browser.browse. explorers: (name, link)."""
    data = {
        "models": [m.name for m in experiment.models],
        "roles": [m.record.role for m in experiment.models],
        "sets": list(experiment.test_sets),
        "best": None if best is None else [m.name for m in experiment.models].index(best),
        "switch": _switch_lines(experiment),
        "switch_distances": SWITCH_DISTANCES,
        "scatters": scatters(experiment),
        "training": _training(curves),
        "heard": list(heard.uris),
    }
    return render(
        "report.html.j2",
        title=title,
        data=data,
        headline=headline,
        facts=facts,
        command=command,
        main=tables[0],
        tables=tables[1:],
        aims=[_aim(statement) for statement in statements],
        rates=rate_bars(experiment),
        languages=language_bars(experiment),
        kept=kept_bars(experiment),
        texts=as_json(texts),
        texts_words=texts["words"],
        worst=_worst(texts, data["models"]),
        sounds=as_json(heard.uris),
        explorers=explorers,
        absent=ABSENT,
        shows={name: bool(data[name]) for name in ("switch", "scatters", "training")},
    )


def _aim(statement: str) -> dict[str, str]:
    match = _STATEMENT.fullmatch(statement)
    if not match:
        return {"aim": statement.removeprefix("- "), "verdict": "", "why": "", "kind": "mute", "sign": ""}
    kind, sign = _KINDS.get(match["verdict"], ("mute", "~"))
    return {**match.groupdict(), "kind": kind, "sign": sign}


def rate_bars(experiment: Experiment) -> list[Bars]:
    """The mixed error rate of each model by test set."""
    made = []
    for test_set in experiment.test_sets:
        bars = []
        for model in experiment.models:
            if (rate := experiment.rate(model.name, test_set)) is not None:
                low, high = _interval(experiment, model, test_set)
                bars.append(Bar(model.name, model.record.role, 100 * rate, low, high))
        made.append(Bars(test_set, bars))
    return [bars for bars in made if bars.bars]


def _interval(experiment: Experiment, model: Model, test_set: str) -> tuple[float | None, float | None]:
    interval = experiment.results[model.name, test_set]["confidence_interval"]
    if interval["low"] is None:
        return None, None
    return 100 * interval["low"], 100 * interval["high"]


def language_bars(experiment: Experiment) -> list[Bars]:
    names = {"zh": "Chinese (CER)", "en": "English (WER)"}
    made = []
    for test_set in experiment.test_sets:
        for language, title in names.items():
            bars = []
            for model in experiment.models:
                result = experiment.results.get((model.name, test_set))
                rate = result and result["languages"][language]["rate"]
                if rate is not None:
                    bars.append(Bar(model.name, model.record.role, 100 * rate))
            made.append(Bars(f"{test_set}, {title}", bars))
    return [bars for bars in made if bars.bars]


def kept_bars(experiment: Experiment) -> Bars | None:
    shares = [
        Bar(s.name, "student", 100 * s.share) for s in experiment.selections.values() if s.share is not None
    ]
    return Bars("Data kept", shares) if shares else None


def _switch_lines(experiment: Experiment) -> dict[str, list[list[float | None] | None]]:
    """set -> for each model its rates in percent by SWITCH_DISTANCES; None where scoring did not say."""
    found = {}
    for test_set in experiment.test_sets:
        lines = []
        for model in experiment.models:
            parts = (experiment.results.get((model.name, test_set)) or {}).get("switch_distance")
            lines.append(parts and [_percent(parts[name]["rate"]) for name in SWITCH_DISTANCES])
        if any(lines):
            found[test_set] = lines
    return found


def _percent(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 3)


def scatters(experiment: Experiment) -> list[dict]:
    """Error rate against hours learnt, α, size and speed, each where at least two values of it were run.

    Students of one selection (and validator, teacher, tag) are a group, joined by a line along α.
    """

    def hours(model: Model) -> float | None:
        selection = experiment.selection_of(model)
        return selection.hours if selection else None

    def alpha(model: Model) -> float | None:
        return model.record.alpha if model.of_selected_labels else None

    def size(model: Model) -> float | None:
        return model.parameters / 1e6 if model.parameters else None

    def speed(model: Model) -> float | None:
        measured = experiment.speed_of(model)
        return measured[0] if measured else None

    axes = (
        ("hours", "Hours of labels learnt", "h", hours),
        ("alpha", "Threshold α", "α", alpha),
        ("size", "Size", "million parameters", size),
        ("speed", "Speed", "times the teacher's", speed),
    )
    made = []
    for key, title, unit, value in axes:
        points = [(value(m), n) for n, m in enumerate(experiment.models)]
        points = sorted((x, n) for x, n in points if x is not None)
        if len({x for x, _ in points}) < 2:
            continue
        sets = {}
        for test_set in experiment.test_sets:
            rows = []
            for x, n in points:
                model = experiment.models[n]
                if (rate := experiment.rate(model.name, test_set)) is not None:
                    low, high = _interval(experiment, model, test_set)
                    group = _group(model) if key == "alpha" else model.name
                    point = {"model": model.name, "group": group, "x": x, "y": 100 * rate, "low": low, "high": high}
                    rows.append(point)
            if rows:
                sets[test_set] = rows
        if sets:
            made.append({"key": key, "title": title, "unit": unit, "joined": key == "alpha", "sets": sets})
    return made


def _group(model: Model) -> str:
    record = model.record
    seed = f"seed {record.seed}" if record.seed else None
    return ", ".join(str(word) for word in (record.selection, record.validator, record.tag, seed) if word)


def _training(curves: dict[str, Curves]) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    """statistic -> model -> "train" and "valid" -> [[epoch, value]], the loss first."""
    names: dict[str, None] = {}
    for found in curves.values():
        names |= dict.fromkeys(shown_statistics(found))
    return {
        name: {
            model: {
                part: [[epoch, value] for epoch, value in sorted(found.get((part, name), {}).items())]
                for part in ("train", "valid")
            }
            for model, found in curves.items()
        }
        for name in names
    }


def _worst(texts: dict, models: Sequence[str], count: int = 20) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """For readers without scripts: (id, reference, [(model, text)]) of the utterances with most errors."""

    def errors(row: list) -> int:
        return sum(sum(step != "=" for step in steps.split()) for steps, _, _ in row[4].values())

    rows = sorted(texts["utterances"], key=lambda row: (-errors(row), row[1]))[:count]
    return [(row[1], row[2], [(models[n], written) for n, (_, written, _) in row[4].items()]) for row in rows]
