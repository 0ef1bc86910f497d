"""What a step has left out: named in skipped.txt, counted, and too much of it is an error. Imports nothing heavy.

In: id -> why. Out: `<dir>/skipped.txt`, lines `id reason`, in order of id.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from k2d.atomic import atomic
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, TooManySkipped, UserError
from k2d.options import option, whole_number
from k2d.wording import counted

SKIPPED = "skipped.txt"


@dataclass(frozen=True)
class SkipOptions:
    """How much may be left out."""

    GROUP = "what cannot be used"
    max_skipped: int | None = option(None, "fail if more inputs cannot be used (default: no limit)", whole_number)


def why(error: UserError) -> str:
    """What skipped.txt says of an error behind the id: of a recording the reason first, in a word."""
    if not isinstance(error, BadAudio):
        return str(error)
    return f"{error.reason}: {error.advice if error.source == error.recording else error}"


def write_skipped(out: Path, skipped: Mapping[str, str], total: int, most: int | None = None) -> None:
    """Write skipped.txt of `total` inputs. TooManySkipped where more than `most` are left out, or all of them."""
    path = out / SKIPPED
    with atomic(path) as handle:
        handle.writelines(f"{name} {' '.join(message.splitlines())}\n" for name, message in sorted(skipped.items()))
    if total and len(skipped) == total:
        first = min(skipped)
        raise TooManySkipped(
            f"none of {counted(total, 'input')} could be used; {path} says why, of {first}: {skipped[first]}"
        )
    if most is not None and len(skipped) > most:
        raise TooManySkipped(
            f"{counted(len(skipped), 'input')} could not be used, more than --max_skipped {most}; {path} says why. "
            "Correct them, or allow more"
        )


def passing(skipped: Mapping[str, str]) -> list[str]:
    """Those of which the reason may be gone in the next run, though their files stay the same."""
    return sorted(name for name, message in skipped.items() if message.partition(":")[0] in BadAudio.PASSING)


def in_numbers(skipped: Mapping[str, str]) -> str:
    """For the last line of a command."""
    again = len(passing(skipped))
    return f"{len(skipped)} skipped" + (f", of which the next run tries {again} again" if again else "")


def sources_of(names: Iterable[str], data: DataDir) -> list[str]:
    """What wav.scp says of recordings or utterances, each once."""
    recordings = (name if name in data.wav else data.segments[name].recording for name in names)
    return sorted({data.wav[recording] for recording in recordings if recording in data.wav})


def read_skipped(folder: Path) -> dict[str, str]:
    """id -> why, of a directory's skipped.txt; empty where there is none."""
    try:
        lines = (folder / SKIPPED).read_bytes().decode("utf-8").split("\n")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise DataError(f"{folder / SKIPPED}: not UTF-8; run the stage that makes it again") from None
    return {name: why for name, _, why in (line.partition(" ") for line in lines) if name}
