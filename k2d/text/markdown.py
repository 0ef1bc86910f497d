"""Cells in, a Markdown table out: for RESULTS.md, reports of stages and model cards."""

from collections.abc import Collection, Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """Its lines. left: numbers of the columns of words; those of numbers stand to the right."""
    rules = ["---" if column in left else "---:" for column in range(len(header))]
    return [_row(header), "|" + "|".join(rules) + "|", *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
