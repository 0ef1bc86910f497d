"""What each selection kept of what was labelled, from the report that `k2d select` wrote beside it."""

from collections.abc import Sequence
from pathlib import Path

from k2d.score.experiment import Experiment, read_result
from k2d.score.tables import ABSENT, Table, percent


def retention_table(experiment: Experiment) -> Table | None:
    """Hours, code-switching and English before and after; None where no selection says."""
    rows = []
    for folder, selection in experiment.selections.items():
        row = _row(Path(folder) / "report.json")
        if row:
            rows.append([selection.name, *row])
    if not rows:
        return None
    return Table(
        "What the selections kept",
        "Of the labelled chunks that are not held out. Code-switched are chunks with Chinese and English; English is "
        "the share of English words among all units. Where these fall, the selection cleans away what is to be learnt.",
        ["selection", "rule", "chunks", "hours", "of hours", "code-switched before", "after", "English before", "after",
         "dropped most by"],
        rows,
    )  # fmt: skip


def _row(path: Path) -> Sequence[str] | None:
    try:
        report = read_result(path)
        before, after = (report["whole"][when] for when in ("before", "after"))
    except (OSError, KeyError):
        return None
    reasons = sorted(report.get("reasons", {}).items(), key=lambda reason: -reason[1]["chunks"])
    worst = f"{reasons[0][0]} ({reasons[0][1]['chunks']})" if reasons and reasons[0][1]["chunks"] else ABSENT
    return [
        report.get("rule") or ABSENT,
        f"{after['chunks']} of {before['chunks']}",
        f"{after['hours']:.2f}",
        f"{percent(after['hours'] / before['hours'] if before['hours'] else None, 1)}",
        *(percent(side[share], 1) for share in ("switched_share", "english_share") for side in (before, after)),
        worst,
    ]
