"""`text.trusted`: for every segment of a label 1 where training may learn from it, else 0."""

from collections.abc import Iterable

from k2d.errors import DataError

TRUSTED = "text.trusted"


def written(flags: Iterable[bool]) -> str:
    """A line's value, flags in the order of `timestamps.parse`."""
    return " ".join("1" if flag else "0" for flag in flags)


def read(uid: str, value: str, segments: int) -> list[bool]:
    """The flags of a line's value; DataError unless there is one for every segment."""
    flags = value.split()
    if len(flags) != segments or not set(flags) <= {"0", "1"}:
        raise DataError(
            f"{TRUSTED}: {uid} has {value!r}, expected 0 or 1 for each of the {segments} segments of its label; "
            "make the selection again with k2d select"
        )
    return [flag == "1" for flag in flags]
