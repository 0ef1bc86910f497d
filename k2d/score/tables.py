"""One table, written as Markdown for RESULTS.md or as HTML for the report page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """`note` stands above the rows and says what the numbers are and how they were made."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [f"## {self.title}", "", self.note, ""] if self.note else [f"## {self.title}", ""]
        lines.append("| " + " | ".join(self.header) + " |")
        lines.append("|---|" + "---:|" * (len(self.header) - 1))
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "\n".join(row(cells, "td") for cells in self.rows)
        return (
            f"<h2>{html.escape(self.title)}</h2>\n<p>{html.escape(self.note)}</p>\n"
            f"<table><thead>{row(self.header, 'th')}</thead>\n<tbody>{body}</tbody></table>\n"
        )


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.0712 -> "7.12"; the table's note says that it is percent."""
    return ABSENT if fraction is None else f"{100 * fraction:.{digits}f}"


def times(ratio: float | None) -> str:
    return ABSENT if ratio is None else f"×{ratio:.2f}"


def millions(parameters: int | None) -> str:
    return ABSENT if parameters is None else f"{parameters / 1e6:.1f} M"
