"""One table, written as Markdown for RESULTS.md, as text for a terminal; the report's page shows its cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from k2d.text import columns, markdown

ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """`note` stands above the rows and says what the numbers are and how they were made; `unit` says so in a few words
    for a terminal, where there is no room for the note."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    unit: str = ""

    def markdown(self) -> str:
        note = [self.note, ""] if self.note else []
        return "\n".join([f"## {self.title}", "", *note, *markdown.table(self.header, self.rows)]) + "\n"

    def text(self) -> str:
        """For a terminal, as wide as it is: title, unit and aligned columns, without the note."""
        title = f"{self.title} ({self.unit})" if self.unit else self.title
        return "\n".join([title, *columns.aligned(self.header, self.rows)]) + "\n"


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.0712 -> "7.12"; the table's note says that it is percent."""
    return ABSENT if fraction is None else f"{100 * fraction:.{digits}f}"


def interval(low: float | None, high: float | None, shown: Callable[[float], str] = percent) -> str:
    """What stands behind a value: " [6.10, 8.15]"; nothing where there is no interval."""
    return "" if low is None else f" [{shown(low)}, {shown(high)}]"


def mixed_rate(result: Mapping | None) -> str:
    """The MER of a `result.json` with its interval."""
    if result is None:
        return ABSENT
    ends = result["confidence_interval"]
    return percent(result["mer"]["rate"]) + interval(ends["low"], ends["high"])


def times(ratio: float | None) -> str:
    return ABSENT if ratio is None else f"×{ratio:.2f}"


def millions(parameters: int | None) -> str:
    return ABSENT if parameters is None else f"{parameters / 1e6:.1f} M"
