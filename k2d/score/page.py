"""What was measured in, the report's page out: the place to go after a run.

The headline and the main table come first, then what the aims say, the drawings, the error browser and every other
table, the command last. Tables and bars are made here and need no script; the script draws lines, sorts and browses.
What is measured and how it is tested is told by tables and aims (`report`, `aims`): this takes them as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k2d.explore.page import as_json, render
from k2d.explore.sounds import Sounds
from k2d.score.aims import VERDICTS, Aim, best_student, headline
from k2d.score.aligned import errors_in
from k2d.score.curves import TrainingLog, shown_statistics
from k2d.score.experiment import Experiment, Group, Rates, mean_known
from k2d.score.rates import SWITCH_DISTANCES
from k2d.score.tables import ABSENT, Table

_KINDS = dict(zip(VERDICTS, (("good", "✓"), ("bad", "✕"), ("warm", "~"), ("mute", "·")), strict=True))  # colour, sign


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
    aims: Sequence[Aim],
    trainings: Mapping[str, TrainingLog],
    *,
    main: int,
    title: str,
    facts: Mapping[str, str],
    texts: dict,
    clips: Sounds,
    explorers: Sequence[tuple[str, str]],
) -> str:
    """tables: the first `main` of them are the main ones. texts, clips: of error_browser.browse; the errors of the best
    student are shown first. explorers: (name, link). facts: how it was made (provenance.facts).
    """
    best = best_student(experiment)
    data = {
        "groups": [g.name for g in experiment.groups],
        "sets": list(experiment.test_sets),
        "best": best and experiment.models.index(best[0].model),
        "switch": _switch_lines(experiment),
        "switch_distances": SWITCH_DISTANCES,
        "scatters": scatters(experiment),
        "training": _training(trainings),
        "with_sound": list(clips.uris),
    }
    return render(
        "report.html.j2",
        title=title,
        data=data,
        headline=headline(experiment),
        facts=facts,
        main=tables[:main],
        tables=tables[main:],
        aims=[_shown(aim) for aim in aims],
        rates=rate_bars(experiment),
        languages=language_bars(experiment),
        kept=kept_bars(experiment),
        browser=texts,
        texts=as_json(texts),
        worst=_worst(texts),
        sounds=as_json(clips.uris),
        explorers=explorers,
        absent=ABSENT,
        shows={name: bool(data[name]) for name in ("switch", "scatters", "training")},
    )


def _shown(aim: Aim) -> dict[str, str]:
    kind, sign = _KINDS[aim.verdict]
    return {"aim": aim.aim, "verdict": aim.short_verdict, "why": aim.why, "kind": kind, "sign": sign}


def rate_bars(experiment: Experiment) -> list[Bars]:
    """The mixed error rate of each row of the tables by test set."""
    made = []
    for test_set in experiment.test_sets:
        bars = []
        for group in experiment.groups:
            if (rates := experiment.rates(group, test_set)) is not None:
                bars.append(Bar(group.name, group.record.role, 100 * rates.mean, *_interval(rates)))
        made.append(Bars(test_set, bars))
    return [bars for bars in made if bars.bars]


def _interval(rates: Rates) -> tuple[float | None, float | None]:
    return (None, None) if rates.low is None else (100 * rates.low, 100 * rates.high)


def language_bars(experiment: Experiment) -> list[Bars]:
    names = {"zh": "Chinese (CER)", "en": "English (WER)"}
    made = []
    for test_set in experiment.test_sets:
        for language, title in names.items():
            bars = []
            for group in experiment.groups:
                rate = mean_known(r["languages"][language]["rate"] for r in experiment.results_of(group, test_set))
                if rate is not None:
                    bars.append(Bar(group.name, group.record.role, 100 * rate))
            made.append(Bars(f"{test_set}, {title}", bars))
    return [bars for bars in made if bars.bars]


def kept_bars(experiment: Experiment) -> Bars | None:
    shares = [
        Bar(s.name, "student", 100 * s.share) for s in experiment.selections.values() if s.share is not None
    ]
    return Bars("Data kept", shares) if shares else None


def _switch_lines(experiment: Experiment) -> dict[str, list[list[float | None] | None]]:
    """set -> for each row of the tables its rates in percent by SWITCH_DISTANCES; None where scoring did not say."""
    found = {}
    for test_set in experiment.test_sets:
        lines = []
        for group in experiment.groups:
            parts = [r["switch_distance"] for r in experiment.results_of(group, test_set) if "switch_distance" in r]
            means = [mean_known(part[name]["rate"] for part in parts) for name in SWITCH_DISTANCES]
            lines.append([_percent(rate) for rate in means] if parts else None)
        if any(lines):
            found[test_set] = lines
    return found


def _percent(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 3)


def scatters(experiment: Experiment) -> list[dict]:
    """Error rate against hours learnt, α, size and speed, each where at least two values of it were run.

    A point is a row of the tables. Students that differ by the drawn value alone are joined by a line.
    """

    def alpha(group: Group) -> float | None:
        return group.record.alpha if group.of_selected_labels else None

    def size(group: Group) -> float | None:
        return group.model.parameters / 1e6 if group.model.parameters else None

    def speed(group: Group) -> float | None:
        measured = experiment.speed_of(group.model)
        return measured[0] if measured else None

    axes = (
        ("hours", "Hours of labels learnt", "h", experiment.hours_of),
        ("alpha", "Threshold α", "α", alpha),
        ("size", "Size", "million parameters", size),
        ("speed", "Speed", "times the teacher's", speed),
    )
    made = []
    for key, title, unit, value in axes:
        points = [(value(g), n) for n, g in enumerate(experiment.groups)]
        points = sorted((x, n) for x, n in points if x is not None)
        if len({x for x, _ in points}) < 2:
            continue
        # One line where several runs lie along it; a point of its own colour where not.
        joined = key == "alpha" or (key == "hours" and "hours" in experiment.varying)
        sets = {}
        for test_set in experiment.test_sets:
            rows = []
            for x, n in points:
                group = experiment.groups[n]
                if (rates := experiment.rates(group, test_set)) is not None:
                    low, high = _interval(rates)
                    name = _line(group, key) if joined else group.name
                    rows.append(
                        {"model": group.name, "group": name, "x": x, "y": 100 * rates.mean, "low": low, "high": high}
                    )
            if rows:
                sets[test_set] = rows
        if sets:
            made.append({"key": key, "title": title, "unit": unit, "joined": joined, "sets": sets})
    return made


def _line(group: Group, along: str) -> str:
    """What the points of a line have in common, of all that may differ but what the line is drawn along."""
    record = group.record
    words = [record.selection, record.validator if group.of_selected_labels else None, record.tag]
    words.append("revised" if record.revised_by else None)
    words.append(record.threshold if along != "alpha" else None)
    words.append(f"{record.hours:g} h" if along != "hours" and record.hours is not None else None)
    return ", ".join(word for word in words if word)


def _training(trainings: Mapping[str, TrainingLog]) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    """statistic -> model -> "train" and "valid" -> [[epoch, value]], the loss first."""
    names: dict[str, None] = {}
    curves = {model: training.curves for model, training in trainings.items()}
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


def _worst(texts: dict) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """For readers without scripts: (id, reference, [(model, text)]) of the 20 utterances with most errors."""

    def errors(row: list) -> int:
        return sum(errors_in(steps) for steps, _, _ in row[4].values())

    rows = sorted(texts["utterances"], key=lambda row: (-errors(row), row[1]))[:20]
    return [(row[1], row[2], [(texts["systems"][n], written) for n, (_, written, _) in row[4].items()]) for row in rows]
