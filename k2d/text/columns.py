"""How many columns of a terminal a text takes, and tables aligned by that."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence


def width(text: str) -> int:
    """Columns of the text: two for a Chinese character, none for a combining mark."""
    combining = sum(unicodedata.combining(c) != 0 for c in text)
    return len(text) - combining + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """Lines of a table for a terminal. left: which columns, from 0, are aligned to the left; the others, of numbers, to
    the right.
    """
    cells = [list(header), *map(list, rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * size for size in widths])

    def padded(column: int, cell: str) -> str:
        blanks = " " * (widths[column] - width(cell))
        return cell + blanks if column in left else blanks + cell

    return ["  ".join(padded(column, cell) for column, cell in enumerate(line)).rstrip() for line in cells]
