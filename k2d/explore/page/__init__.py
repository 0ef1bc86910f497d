"""The look that all pages share: a template and its data in, one self-contained HTML page out.

A page opens from the disk and asks the network for nothing: style, scripts, the charting library (vendor/, fetched by
tools/vendor_uplot.sh) and the data stand inside it. Templates are jinja2's; every page extends base.html.j2.
"""

import json
import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

# What would end the script that JSON stands in, or a line of it.
_UNSAFE = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(template: str, *, title: str, data: dict, **names) -> str:
    """A page. data: what its script reads, JSON without NaN. names: what the template shows without a script.

    Nothing of either can become markup: JSON is escaped for the script it stands in, text by jinja2.
    """
    page = _environment().get_template(template).render(title=title, data=as_json(data), **names)
    return page.encode("utf-8", "replace").decode("utf-8")  # a name of a folder may be no UTF-8


def as_json(data: object) -> Markup:
    """JSON that may stand in a <script>: no character of it ends the script. ValueError for NaN and infinities."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(str.maketrans(_UNSAFE)))


def prose(text: str) -> Markup:
    """What is written for RESULTS.md, for a page: `code` and *emphasis* of Markdown, all else as it is."""
    safe = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"(?<!\w)\*(\w[^*<>]*)\*(?!\w)", r"<em>\1</em>", safe))


def name(text: str) -> Markup:
    """A name such as student_comp@keep0.5_small, which may break before an @ and behind an underscore; an
    --option stays whole."""
    breaks = {"@": "<wbr>@", "_": "_<wbr>"}

    def marked(found: re.Match) -> str:
        return breaks.get(found[0]) or f'<span class="whole">{found[0]}</span>'

    return Markup(re.sub(r"--\w+|[@_]", marked, str(escape(text))))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("k2d.explore", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": name, "prose": prose}
    environment.globals["inline"] = lambda name: Markup(environment.loader.get_source(environment, name)[0])
    return environment
