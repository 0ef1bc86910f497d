"""Sorted Kaldi tables: read as a stream, joined by id, written so that they appear whole.

In: files of `id value` lines, UTF-8, sorted by id in C order. Out: their lines, one after the other, or
dictionaries; a table of seven million texts need not be held.

What every reader and writer takes a table for (docs/tables.md says the same to users):

table    lines in C order of their ids, each id once; UTF-8 without a byte order mark
line     an id, one space or tab, a value; "\\n" ends it, and other control characters of ASCII ("\\r", NUL) stand
         nowhere but in a path of wav.scp, where they cost that recording alone. The line ends that only Unicode knows
         (U+2028, U+0085) are part of a value
id       one character or more, of recordings, utterances and speakers alike: no white space of any kind (no-break and
         ideographic spaces too), nothing invisible (control, zero-width and bidirectional characters)
value    anything else; spaces and tabs around it do not count, and it may be empty
fields   of a value that has several (segments): what spaces and tabs part, and nothing else does
number   digits of ASCII, with sign, point and exponent if need be, and finite: 0.5, -3, 1e-3; not nan, inf, 1e999,
         1_000. Durations are more than 0; distances, rates and counts are not less
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from numbers import Integral
from pathlib import Path
from typing import TextIO

from k2d.atomic import atomic
from k2d.errors import DataError

_ID_END = re.compile(r"[ \t]")
_FIELD = re.compile(r"[^ \t]+")
_LONGEST_SHOWN = 100  # characters of an id in a message
_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
POSITIVE = frozenset({"utt2dur", "reco2dur"})  # tables whose numbers are seconds
NOT_NEGATIVE = frozenset(
    f"utt2{name}"
    for name in "mer per comp errors units num_frames compression temperature no_speech confidence".split()
)
WEIGHT = "utt2weight"  # how much a label counts in the loss, above 0 and at most 1
NUMBERS = POSITIVE | NOT_NEGATIVE | {"utt2avg_logprob", WEIGHT}
MOST_SECONDS = 1e7  # a third of a year: longer than any recording
BYTE_ORDER_MARK = "\ufeff"
SOURCES = "wav.scp"  # where a fault of one recording leaves the others alone
FIX = "utils/fix_data.py"
# Letters, signs and marks, as Unicode has them, that are not seen: fillers, a joiner, variation selectors.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"PK\x03\x04": "unzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz",
               b"\x28\xb5\x2f\xfd": "unzstd"}
REPAIR = f"repair with {FIX}"


def fits_no_id(character: str) -> bool:
    """Whether a character is white space or invisible, so that no id may hold it."""
    category = unicodedata.category(character)
    return category[0] == "Z" or category in ("Cc", "Cf", "Cs") or INVISIBLE.match(character) is not None


def fault_of_id(key: str) -> str | None:
    """What makes a text no id ("holds U+00A0, NO-BREAK SPACE"), or None for one that is."""
    if not key:
        return "is empty"
    if key.isprintable() and " " not in key and (key.isascii() or not INVISIBLE.search(key)):  # nearly all
        return None
    for character in key:
        if fits_no_id(character):
            name = unicodedata.name(character, "a control character")
            return f"holds U+{ord(character):04X}, {name}: an id has no white space and nothing invisible"
    return None


def safe_id(name: str) -> str:
    """A name as an id: no white space, no separators of paths."""
    seen = INVISIBLE.sub("", unicodedata.normalize("NFC", name))
    return re.sub(r"[^\w.+-]+", "_", seen).strip("_.") or "_"


def without_control(value: str) -> str:
    """A value with a space for each control character."""
    return value if value.isprintable() else _CONTROL.sub(" ", value).strip(" \t")


def shown(key: str) -> str:
    """An id as a message quotes it: a line without a blank may be all of a book."""
    return key if len(key) <= _LONGEST_SHOWN else f"{key[:_LONGEST_SHOWN]}…"


def number(text: str) -> float:
    """A number of a table. ValueError where the text is none, or not finite."""
    if not _NUMBER.fullmatch(text) or not isfinite(value := float(text)):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def fields(value: str) -> list[str]:
    """The fields of a value: spaces and tabs part them, other white space does not."""
    return _FIELD.findall(value)


def unpacked_by(head: bytes) -> str | None:
    """The program that unpacks a file of these first bytes; None for what is not compressed."""
    return next((program for magic, program in _COMPRESSED.items() if head.startswith(magic)), None)


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a text file whose first bytes show two or four bytes a character, with a mark or without one;
    its first characters are ASCII, as those of ids and of subtitles are.
    """
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    zeros = "".join("x0"[byte == 0] for byte in head[:4])
    return {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}.get(zeros)


def _split_line(line: str) -> tuple[str, str]:
    """("id", "rest") of one line; space and tab separate, as in Kaldi."""
    key, _, value = line.partition(" ")
    if "\t" in key:
        key, value = _ID_END.split(line, maxsplit=1)
    return key, value.strip(" \t")


def scan(path) -> Iterator[tuple[int, str, str]]:
    """(line number, id, rest of the line) of a table, in order, without ever holding the file.

    Raises DataError naming file and line for a missing file and for whatever is no table as this file defines it.
    """
    for line, key, value, fault in examine(path):
        if fault:
            raise DataError(f"{path}:{line}: {fault}")
        yield line, key, value


def examine(path) -> Iterator[tuple[int, str, str, str | None]]:
    """As `scan`, but a line that does not belong into a table comes with its fault, and the next one follows."""
    path, previous = Path(path), ""
    try:
        lines = path.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: missing; expected a Kaldi table (id, space, value)") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give the right to read it, or look at the disk") from None
    with lines:
        for place, raw in enumerate(lines, 1):
            try:
                text = decode_line(place, raw)
            except ValueError as error:
                yield place, "", "", str(error)
                if place == 1 and (wide_encoding(raw) or unpacked_by(raw)):
                    return  # what follows are no lines
                continue
            key, value = _split_line(text)
            fault = _fault_of_line(text, key, path.name)
            # Python orders strings by code point, which is the byte order of UTF-8: C order.
            if not fault and key <= previous:
                if key == previous or _holds(path, key, place):
                    fault = f"id {shown(key)!r} appears twice; keep one line for each id"
                else:
                    fault = f"id {shown(key)!r} follows {shown(previous)!r}, out of C order; "
                    fault += f"sort with 'LC_ALL=C sort -k1,1' or {FIX}"
            yield place, key, value, fault
            if not fault:
                previous = key


def _fault_of_line(text: str, key: str, table: str) -> str | None:
    if not key:
        return f"expected an id at the start of the line; remove blank lines and leading spaces ({FIX} does)"
    if "\r" in text:
        return f"Windows line end, or a carriage return within the line; {REPAIR}"
    if fault := fault_of_id(key):
        return f"id {shown(key)!r} {fault}; {REPAIR}"
    if table != SOURCES and not text.isprintable() and (control := _CONTROL.search(text)):
        return f"the value of {shown(key)!r} holds U+{ord(control[0]):04X}, a control character; {REPAIR}"
    return None


def decode_line(place: int, raw: bytes) -> str:
    """Line number `place` without its end. ValueError where it is not UTF-8 or begins with a byte order mark."""
    if place == 1 and (wide := wide_encoding(raw)):
        raise ValueError(f"this is {wide.upper()}, expected UTF-8; {REPAIR}")
    try:
        text = raw.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        if place == 1 and (program := unpacked_by(raw)):
            raise ValueError(f"the file is compressed; unpack it with {program}, or remove it") from None
        raise ValueError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8; convert the file, for instance with 'iconv -f big5 -t utf-8'"
        ) from None
    if place == 1 and text.startswith(BYTE_ORDER_MARK):
        raise ValueError(f"a byte order mark stands before the first id; {REPAIR}")
    return text


def _holds(path: Path, key: str, place: int) -> bool:
    """Whether an id stands in the lines before this one."""
    with path.open("rb") as lines:
        before = (line.decode("utf-8", "replace").removesuffix("\n") for line in islice(lines, place - 1))
        return any(_split_line(line)[0] == key for line in before)


def read_table(path) -> dict[str, str]:
    """Read a Kaldi table: id -> rest of the line ("" where there is none), in the file's order.

    Raises DataError with file and line for whatever is no table.
    """
    return {key: value for _, key, value in scan(path)}


def write_table(path, table: Mapping[str, str]) -> None:
    """Write id -> value, sorted by id in C order, atomically.

    Raises DataError for what is no id and for a value with a line break: neither could be read back.
    """
    lines = [_line(path, key, table[key]) for key in sorted(table)]
    with atomic(path) as handle:
        handle.writelines(lines)


def _line(path, key: str, value) -> str:
    """One line of a table. Control characters, which a model may write, become spaces."""
    value = str(value).strip(" \t")
    if fault := fault_of_id(key):
        raise DataError(f"{path}: id {shown(key)!r} {fault}; choose another id")
    if "\n" in value or "\r" in value:
        raise DataError(f"{path}: the value of {shown(key)!r} holds a line break; a table has one line an id")
    value = without_control(value)
    return f"{key} {value}\n" if value else f"{key}\n"


def read_parsed[Value](path, parse: Callable[[str, str], Value]) -> dict[str, Value]:
    """Read a table whose values `parse(id, value)` reads; where it raises ValueError, DataError names the line."""
    found = {}
    for line, key, value in scan(path):
        try:
            found[key] = parse(key, value)
        except ValueError as error:
            raise DataError(f"{path}:{line}: {shown(key)!r} {error}") from None
    return found


@dataclass(frozen=True)
class Checked:
    """A table, read as far as it can be: ids of its lines, what could be parsed, and everything that is wrong.

    well_formed: whether every line is one, so that `ids` lacks none, though values may be wrong.
    """

    ids: set[str]
    values: dict[str, object]
    problems: list[str]
    well_formed: bool


def check(path, parse: Callable[[str, str], object] = lambda key, value: value) -> Checked:
    """As `read_parsed`, but all faults are told, as sentences that name file and line."""
    ids, values, problems, well_formed = set(), {}, [], True
    try:
        for line, key, value, fault in examine(path):
            if fault:
                well_formed = False
            else:
                ids.add(key)
                try:
                    values[key] = parse(key, value)
                except ValueError as error:
                    fault = f"{shown(key)!r} {error}"
            if fault:
                problems.append(f"{path}:{line}: {fault}")
    except DataError as error:  # a file that cannot be read at all
        problems.append(str(error))
        well_formed = False
    return Checked(ids, values, problems, well_formed)


def number_parser(path) -> Callable[[str, str], float]:
    """What reads the values of a table of numbers: finite, and in the range that its name says."""

    def parse(key: str, value: str) -> float:
        try:
            found = number(value)
        except ValueError:
            found, fault = 0.0, "expected one number, a finite one"
        else:
            fault = _out_of_range(path, found)
        if fault:
            raise ValueError(f"has {value!r}, {fault}; correct it, or remove the line")
        return found

    return parse


def read_numbers(path) -> dict[str, float]:
    """Read a table with one number a line (`utt2dur`, `utt2mer` …). DataError where it is none, not finite, or not in
    the range that the table's name says.
    """
    return read_parsed(path, number_parser(path))


def _out_of_range(path, found: float) -> str | None:
    """What is wrong with a number of a table by the table's name."""
    name = Path(path).name
    if name in POSITIVE and not 0 < found <= MOST_SECONDS:
        return f"expected seconds, more than 0 and at most {MOST_SECONDS:.0f}"
    if name in NOT_NEGATIVE and found < 0:
        return "expected a number from 0 on"
    if name == WEIGHT and not 0 < found <= 1:
        return "expected a weight above 0 and at most 1"
    return None


def write_numbers(path, numbers: Mapping[str, float], digits: int = 4) -> None:
    """Write one number a line with `digits` decimals, integers without any.

    Raises DataError for NaN and infinity, which `awk '$2 <= 0.4'` would read as it likes, and for what
    `read_numbers` would refuse.
    """
    write_table(path, {key: _number(path, key, value, digits) for key, value in numbers.items()})


def _number(path, key: str, value: float, digits: int = 4) -> str:
    if not isfinite(value):
        raise DataError(f"{path}: {key!r} has {value}, expected a finite number")
    text = str(int(value)) if isinstance(value, Integral) else f"{float(value) + 0.0:.{digits}f}"
    if fault := _out_of_range(path, float(text)):
        raise DataError(f"{path}: {key!r} has {value}, {fault}")
    return text


class TableWriters:
    """Tables of one folder, written side by side, entry by entry: millions of lines in little memory.

    All appear, whole, when the block ends without an error, in reverse order of their first mention. Entries
    may come in any order; those of a table that does not come in C order are sorted at the end, in memory.
    """

    def __init__(self, folder, *names: str):
        """names: tables to write even where there is no entry for them."""
        self.folder = Path(folder)
        self._names = names
        self._handles: dict[str, TextIO] = {}
        self._last: dict[str, str] = {}
        self._unsorted: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "TableWriters":
        for name in self._names:
            self._open(name)
        return self

    def _open(self, name: str) -> TextIO:
        handle = self._handles[name] = self._stack.enter_context(atomic(self.folder / name))
        self._stack.push(lambda kind, *_: self._sort(name) if kind is None else None)
        return handle

    def write(self, name: str, key: str, value) -> None:
        """Add the line of `key` to the table `name`."""
        handle = self._handles.get(name) or self._open(name)
        if key <= self._last.get(name, ""):
            self._unsorted.add(name)
        self._last[name] = key
        handle.write(_line(self.folder / name, key, value))

    def write_number(self, name: str, key: str, number: float) -> None:
        """As `write_numbers` does."""
        self.write(name, key, _number(self.folder / name, key, number))

    def _sort(self, name: str) -> None:
        if name not in self._unsorted:
            return
        handle = self._handles[name]
        handle.flush()
        with open(handle.name, encoding="utf-8", newline="\n") as written:
            lines = sorted(written, key=lambda line: _split_line(line.rstrip("\n"))[0])
        handle.seek(0)
        handle.truncate()
        handle.writelines(lines)
        self._unsorted.discard(name)

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)


class Cursor:
    """Look up ids in a table, each later than the one before, reading the file once."""

    def __init__(self, path):
        self.path = Path(path)
        self._lines = scan(path)
        self._number = number_parser(path)
        self._current = next(self._lines, None)
        self.line = 0

    def get(self, key: str) -> str | None:
        """The value of `key`, or None; ids must be asked for in C order."""
        while self._current is not None and self._current[1] < key:
            self._current = next(self._lines, None)
        if self._current is None or self._current[1] != key:
            return None
        self.line, _, value = self._current
        self._current = next(self._lines, None)
        return value

    def number(self, key: str) -> float | None:
        """The value of `key` as a number, or None. DataError where it is none, or not finite."""
        value = self.get(key)
        return None if value is None else self.parsed(key, value, self._number)

    def parsed[Value](self, key: str, value: str, parse: Callable[[str, str], Value]) -> Value:
        """What `get` has just found, as `parse(id, value)` reads it; where that raises ValueError, DataError names the
        line."""
        try:
            return parse(key, value)
        except ValueError as error:
            raise DataError(f"{self.path}:{self.line}: {shown(key)!r} {error}") from None

    def close(self) -> None:
        """Read to the end, so that the rest of the file is checked too."""
        for _ in self._lines:
            pass


def merged(left, right) -> Iterator[tuple[str, str | None, str | None, int]]:
    """(id, value in `left`, value in `right`, line) of the union of two tables; None where an id is missing.

    `line` is the line in `left` where there is one, else in `right`.
    """
    first, second = scan(left), scan(right)
    a, b = next(first, None), next(second, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[1] < b[1]):
            yield a[1], a[2], None, a[0]
            a = next(first, None)
        elif a is None or b[1] < a[1]:
            yield b[1], None, b[2], b[0]
            b = next(second, None)
        else:
            yield a[1], a[2], b[2], a[0]
            a, b = next(first, None), next(second, None)


def blocks(items: Iterable, count: int, characters: int, size: Callable) -> Iterator[list]:
    """Group items into lists of at most `count` that together hold about `characters` at most."""
    block: list = []
    total = 0
    for item in items:
        block.append(item)
        total += size(item)
        if len(block) >= count or total >= characters:
            yield block
            block, total = [], 0
    if block:
        yield block
