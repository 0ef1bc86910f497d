"""What a check has found, and the table in which people read it.

In: findings. Out: lines of text, the gravest first, each at most as wide as the terminal, or COLUMNS.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path

from k2d.atomic import atomic
from k2d.text.columns import width

COLUMNS = 118  # display columns of a line at most; a Chinese character takes two
SHOWN = 4  # ids in a sentence; a file lists the others


class Grade(IntEnum):
    """How grave a finding is. FAILS: a later stage would stop at it. LEFT_OUT: later stages go on without it. WARNING:
    nothing stops, and the results would be worth less. NOTE: worth knowing.
    """

    FAILS = 0
    LEFT_OUT = 1
    WARNING = 2
    NOTE = 3
    FINE = 4

    @property
    def word(self) -> str:
        return ("fails", "left out", "warning", "note", "ok")[self]


@dataclass(frozen=True)
class Finding:
    """One row. what: a set, a model, a disk; found: in it; todo: "" where nothing is to be done. names: (id, reason) of
    all that the row speaks of, where it speaks of many.
    """

    grade: Grade
    what: str
    found: str
    todo: str = ""
    names: tuple[tuple[str, str], ...] = ()


def _finding(grade: Grade, what: object, found: str, todo: str = "", names: Iterable[tuple[str, str]] = ()) -> Finding:
    return Finding(grade, str(what), found, todo, tuple(names))


fails, left_out, warning, note, fine = (partial(_finding, grade) for grade in Grade)


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = [_short(name) for name in names[:SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _short(name: str, most: int = 60) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def table(findings: Iterable[Finding], columns: int = COLUMNS) -> str:
    """Grade, what, found, what to do: aligned, wrapped, the gravest first."""
    rows = [("", "what", "found", "what to do")]
    rows += [(f.grade.word, f.what, f.found, f.todo) for f in sorted(findings, key=lambda f: f.grade)]
    first = max(width(row[0]) for row in rows)
    second = min(max(width(row[1]) for row in rows), columns // 4)
    rest = columns - first - second - 6
    widths = (first, second, rest * 11 // 20, rest - rest * 11 // 20)
    lines = []
    for row in rows:
        cells = [wrap(cell, size) for cell, size in zip(row, widths)]
        for parts in zip(*(cell + [""] * (max(map(len, cells)) - len(cell)) for cell in cells)):
            lines.append("  ".join(part + " " * (size - width(part)) for part, size in zip(parts, widths)).rstrip())
    rule = "-" * max(width(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:]])


def write_findings(findings: Sequence[Finding], folder: Path) -> None:
    """table.txt, and findings.tsv with every id that a row speaks of: grade, what, id, reason."""
    with atomic(folder / "table.txt") as handle:
        handle.write(table(findings) + "\n")
    with atomic(folder / "findings.tsv") as handle:
        for finding in sorted(findings, key=lambda f: f.grade):
            for name, reason in finding.names:
                words = (finding.grade.word, finding.what, name, reason)
                handle.write("\t".join(" ".join(word.split()) for word in words) + "\n")


def wrap(text: str, size: int) -> list[str]:
    """Lines of at most `size` columns; paths are broken behind a slash."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    if width(text) <= size:
        return [text]
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and width(lines[-1]) + 1 + width(word) <= size:
            lines[-1] += " " + word
            continue
        parts = _pieces(word, size)
        if lines[-1]:
            lines.append(parts[0])
        else:
            lines[-1] = parts[0]
        lines += parts[1:]
    return lines


def _pieces(word: str, size: int) -> list[str]:
    """A word too long for a line, cut behind slashes where that will do."""
    pieces = [""]
    for part in word.replace("/", "/\0").split("\0"):
        if width(pieces[-1]) + width(part) <= size:
            pieces[-1] += part
            continue
        for character in part if width(part) > size else [part]:
            if pieces[-1] and width(pieces[-1]) + width(character) > size:
                pieces.append("")
            pieces[-1] += character
    return pieces
