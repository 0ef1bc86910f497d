"""Students of several numbers of hours in, the figure of the README and the docs out: SVG that stands by itself."""

import io

from k2d.score.experiment import Experiment, Group

_LEVELS = {"teacher": "--", "untrained": ":"}  # what stands as a level


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


def _axes(panels: int):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, panels, figsize=(3.6 * panels, 2.8), squeeze=False, layout="constrained")
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
    return figure, axes[0]


def draw_ladder(experiment: Experiment) -> str | None:
    """MER against hours of recordings, a panel a test set: a line with its 95 % band for each selection (and tag, where
    there are several), a point for one of a single number of hours, levels for what learnt from no lecture. None where
    no selection has two numbers of hours."""
    lines: dict[tuple[str, str | None], list[Group]] = {}
    for group in experiment.groups:
        if group.record.role == "student" and group.record.hours is not None:
            lines.setdefault((group.record.selection or group.name, group.record.tag), []).append(group)
    tags = {tag for (_, tag), groups in lines.items() if len({g.record.hours for g in groups}) > 1}
    ladders = {key: groups for key, groups in lines.items() if key[1] in tags}
    sets = [s for s in experiment.test_sets if any(experiment.results_of(g, s) for gs in ladders.values() for g in gs)]
    if not sets:
        return None
    figure, axes = _axes(len(sets))
    for axis, test_set in zip(axes, sets, strict=True):
        for (selection, tag), groups in ladders.items():
            points = sorted((g.record.hours, r) for g in groups if (r := experiment.rates(g, test_set)) is not None)
            if not points:
                continue
            label = f"{selection}, {tag}" if len(tags) > 1 and tag else selection
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
        axis.set_xlabel("hours of recordings")
    axes[0].set_ylabel("MER (%)")
    axes[-1].legend(fontsize=8, frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return _svg(figure)
