"""How many columns of a terminal a text takes, and tables aligned by that."""

import math
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from k2d.options import terminal_width


def width(text: str) -> int:
    """Columns of the text: two for a Chinese character, none for a combining mark."""
    combining = sum(unicodedata.combining(c) != 0 for c in text)
    return len(text) - combining + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def aligned(
    header: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,), most: float | None = None
) -> list[str]:
    """Lines of a table for a terminal. left: which columns, from 0, are aligned to the left; the others, of numbers, to
    the right. most: columns, by default the terminal's; what does not fit stands below, behind the first column once
    more.
    """
    most = terminal_width(math.inf, math.inf) if most is None else most
    cells = [list(header), *map(list, rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    parts, used = [[0]], widths[0]
    for column, size in enumerate(widths[1:], 1):
        if used + 2 + size > most and len(parts[-1]) > 1:
            parts.append([0])
            used = widths[0]
        parts[-1].append(column)
        used += 2 + size
    cells.insert(1, ["-" * size for size in widths])

    def padded(column: int, cell: str) -> str:
        blanks = " " * (widths[column] - width(cell))
        return cell + blanks if column in left else blanks + cell

    lines = [["  ".join(padded(column, line[column]) for column in part).rstrip() for line in cells] for part in parts]
    return lines[0] + [line for part in lines[1:] for line in ("", *part)]
