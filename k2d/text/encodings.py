"""Text files as programs of all systems write them: UTF-8 with or without a byte order mark, UTF-16, UTF-32.

In: a path. Out: its text. DataError names the file, the line, and what is wrong.
"""

from pathlib import Path

from k2d.errors import DataError
from k2d.tables import unpacked_by, wide_encoding


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); correct or remove it") from None
    if program := unpacked_by(raw):
        raise DataError(f"{path}: compressed, not text; unpack it with {program}")
    try:
        return raw.decode(wide_encoding(raw) or "utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        if error.reason == "unexpected end of data":
            raise DataError(f"{path}:{line}: ends inside a character: the file is cut short; copy it again") from None
        raise DataError(
            f"{path}:{line}: not UTF-8; convert the file, for instance with 'iconv -f big5 -t utf-8'"
        ) from None
