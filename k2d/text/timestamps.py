"""Whisper's `<|…|>` tokens inside a text: take them out, read them, write them.

In: text such as `<|0.00|>你好<|2.40|><|2.40|>machine learning<|5.20|><|continued|>`.
Out: the plain text, or its segments with start and end in seconds.
"""

import re
from collections.abc import Iterable

from k2d.constants import CONTINUED, N_TIMESTAMPS, TIMESTAMP_STEP

TOKEN = re.compile(r"<\|[^|<>]*\|>")
TIME = re.compile(r"<\|(\d+(?:\.\d+)?)\|>")
_TOKENS = re.compile(r"(?<!\s)\s*(?:<\|[^|<>]*\|>\s*)+")
# Scripts written without spaces: between two of these a removed token leaves nothing behind.
_UNSPACED = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


def token(seconds: float) -> str:
    """How Whisper writes a time: `<|1.20|>`."""
    return f"<|{seconds:.2f}|>"


TIMES = tuple(token(i * TIMESTAMP_STEP) for i in range(N_TIMESTAMPS))  # all of them, in order


def unspaced(character: str) -> bool:
    """Whether a character is of a script that is written without spaces."""
    return bool(_UNSPACED.match(character))


def strip(text: str) -> str:
    """The text without any `<|…|>` token.

    Where a token stood between two Chinese characters nothing is left; elsewhere one space, so that
    the last word of one segment never grows together with the first of the next.
    """

    def joint(match: re.Match) -> str:
        before = text[max(0, match.start() - 1) : match.start()]
        after = text[match.end() : match.end() + 1]
        return "" if _UNSPACED.match(before) and _UNSPACED.match(after) else " "

    return _TOKENS.sub(joint, text).strip() if "<|" in text else text.strip()


def parse(text: str) -> list[tuple[float, float | None, str]]:
    """Segments (start, end, text) in the order they stand, times in seconds from the chunk's start.

    A segment with no closing timestamp (the chunk was cut inside it) has end None. Text before the first
    timestamp starts at 0.0. Pairs with no text between them are pauses and give no segment; tokens that
    are not times are dropped. The start that `<|continued|>` marks gives no segment either: see `continued`.
    """
    segments = []
    start, position = 0.0, 0
    for match in TIME.finditer(text):
        words = strip(text[position : match.start()])
        time = float(match[1])
        if words:
            segments.append((start, time, words))
        start, position = time, match.end()
    rest = strip(text[position:])
    if rest:
        segments.append((start, None, rest))
    return segments


def within(text: str, seconds: float) -> str:
    """The text with times behind `seconds` moved there, on Whisper's grid of 0.02 s."""
    latest = token(int(seconds / TIMESTAMP_STEP + 1e-6) * TIMESTAMP_STEP)
    return TIME.sub(lambda match: latest if float(match[1]) > seconds else match[0], text)


def continued(text: str) -> float | None:
    """Where the segment starts whose text stands in the next chunk, in seconds; None for a text without one.

    Such a text ends in `<|27.00|><|continued|>`.
    """
    if not text.endswith(CONTINUED):
        return None
    times = TIME.findall(text)
    return float(times[-1]) if times else 0.0


def format(segments: Iterable[tuple[float, float | None, str]], continued: float | None = None) -> str:
    """`<|0.00|>…<|5.20|>` of segments (start, end, text), two decimals; end None leaves the segment open.

    continued: start of a segment without text here, as `continued` reads it.
    """
    said = "".join(f"{token(start)}{text}" + ("" if end is None else token(end)) for start, end, text in segments)
    return said if continued is None else f"{said}{token(continued)}{CONTINUED}"
