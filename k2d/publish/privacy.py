"""Label texts in, the ones that may hold somebody's private data out, for a person to look at.

A student repeats what its labels say, and a published model cannot be called back. These patterns
find what has a form: e-mail addresses, telephone numbers, identity and card numbers, student numbers. Names
and stories have none: a clean list is no proof.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from k2d.text import timestamps

# Numbers are often spoken and written as words: 零九一二 and "at gmail dot com".
_DIGITS = str.maketrans("〇零一二三四五六七八九０１２３４５６７８９", "00123456789" + "0123456789")
_SEPARATOR = r"[\s.\-‐–—()/]*"


def _digits(count: str) -> str:
    """So many digits, any separators between them."""
    return rf"\d(?:{_SEPARATOR}\d){{{count}}}"


# In this order; text that one kind has claimed is not reported again by a later one.
PATTERNS = {
    "e-mail": re.compile(
        r"[\w.+-]+\s*[@＠]\s*[\w-]+(?:\s*\.\s*[a-z][\w-]*)+"
        r"|[\w.+-]+ at [\w-]+(?: dot [\w-]+)*? dot (?:com|edu|org|net|gov|io|tw|cn|hk|jp|uk)\b"
        r"(?: dot [a-z]{2}\b)?",
        re.IGNORECASE | re.ASCII,
    ),
    # Taiwan: a letter, 1 2 8 9 or a second letter (older residence permits), 8 digits. Mainland: 17 digits
    # and a digit or X.
    "identity number": re.compile(
        rf"(?<![A-Za-z0-9])(?:[A-Za-z]{_SEPARATOR}[1289A-Da-d]{_SEPARATOR}{_digits('7')}|"
        rf"[1-9]{_SEPARATOR}{_digits('15')}{_SEPARATOR}[\dXx])(?![A-Za-z0-9])"
    ),
    "card number": re.compile(rf"(?<!\d)[3-6]{_SEPARATOR}{_digits('14')}(?!\d)"),
    "student number": re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]{_SEPARATOR}{_digits('7')}(?!\d)"),
    # International, Taiwanese mobile (09…) and landline (0…), or any eight digits and more.
    "telephone number": re.compile(
        rf"\+{_SEPARATOR}{_digits('7,14')}|(?<!\d)0{_SEPARATOR}{_digits('7,9')}(?!\d)|(?<!\d){_digits('7,13')}(?!\d)"
    ),
}


@dataclass(frozen=True)
class Finding:
    id: str
    kind: str
    text: str


def find_in(text: str) -> Iterator[tuple[str, str]]:
    """(kind, matched text) of everything in one label that looks private."""
    plain = timestamps.strip(text)
    searched = plain.translate(_DIGITS)
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(searched):
            yield kind, plain[match.start() : match.end()].strip()
        # translate() keeps positions, and so must the erasing.
        searched = pattern.sub(lambda m: "\n" * len(m[0]), searched)


def find(labels: Iterable[tuple[str, str]]) -> list[Finding]:
    """labels: pairs of id and text."""
    return [Finding(i, kind, text) for i, label in labels for kind, text in find_in(label)]
