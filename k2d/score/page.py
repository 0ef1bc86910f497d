"""Tables, statements and drawings in, one self-contained HTML page out."""

import html
import re
from collections.abc import Sequence

from k2d.score.tables import Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #888; } th:first-child, td:first-child { text-align: left; }
p, li { max-width: 60rem; } svg { max-width: 100%; height: auto; }
.reached { color: #17692b; } .missed { color: #a3210f; }
"""


def page(
    title: str,
    facts: Sequence[str],
    aims: Sequence[str],
    tables: Sequence[Table],
    drawings: Sequence[tuple[str, str]],
) -> str:
    """`aims` are Markdown list items with a bold verdict; `drawings` are pairs of heading and SVG."""
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        "<ul>" + "".join(f"<li>{_inline(fact)}</li>" for fact in facts) + "</ul>",
    ]
    if aims:
        items = "".join(f"<li>{_inline(aim.removeprefix('- '))}</li>" for aim in aims)
        parts.append(f"<h2>Aims</h2>\n<ul>{items}</ul>")
    for heading, svg in drawings:
        parts.append(f"<h2>{html.escape(heading)}</h2>\n{svg}")
    parts += [table.html() for table in tables]
    return "\n".join(parts) + "</body></html>\n"


def _inline(markdown: str) -> str:
    """Bold verdicts and code spans; everything else as it stands."""
    text = html.escape(markdown, quote=False)
    text = re.sub(r"\*\*(reached|missed)\*\*", r'<strong class="\1">\1</strong>', text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)
