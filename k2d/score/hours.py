"""The table of where the hours of the training recordings went, as labelling has written it down."""

from pathlib import Path

from k2d.label.account import MEANING, read_account
from k2d.score.tables import Table, percent


def hours_table(folder: Path) -> Table | None:
    """Of the directory of labelled chunks; None where it has no summary.tsv."""
    rows = [[MEANING[r.name], f"{r.seconds / 3600:.2f}", percent(r.share, 1)] for r in read_account(folder)]
    note = f"Counted by `k2d label` in {folder}; all but the first row and that of failed windows add up to the first."
    return Table("Where the recordings went", note, ("", "hours", "%"), rows) if rows else None
