"""Cells in, a Markdown table out: for RESULTS.md and the reports of stages."""

from collections.abc import Collection, Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """Lines of a table. left: which columns, from 0, are aligned to the left; the others, of numbers, to the right."""
    rules = ["---" if column in left else "---:" for column in range(len(header))]
    return [row(header), "|" + "|".join(rules) + "|", *map(row, rows)]


def row(cells: Sequence[str]) -> str:
    """A line of a table that is written while it grows."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
