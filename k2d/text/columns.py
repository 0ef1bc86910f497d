"""Text in, the columns that a terminal gives it out."""

import unicodedata


def width(text: str) -> int:
    """A Chinese character has two, a combining mark none."""
    combining = sum(unicodedata.combining(c) != 0 for c in text)
    return len(text) - combining + sum(unicodedata.east_asian_width(c) in "WF" for c in text)
