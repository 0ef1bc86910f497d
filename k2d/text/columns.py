"""How many columns of a terminal a text takes."""

import unicodedata


def width(text: str) -> int:
    """Columns of the text: two for a Chinese character, none for a combining mark."""
    combining = sum(unicodedata.combining(c) != 0 for c in text)
    return len(text) - combining + sum(unicodedata.east_asian_width(c) in "WF" for c in text)
