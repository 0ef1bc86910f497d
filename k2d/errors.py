"""What a user can act on, and one way to say it.

Every error names the file, the id, what was expected and what to do. `guarded` runs a command and prints such an
error as one sentence, with exit status 1; anything else is a fault of the program and keeps its traceback.
"""

import errno
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """What a user can mend; the message is the whole story."""


class DataError(UserError, ValueError):
    """A data file that does not keep the contract; the message names file, line and remedy."""


class Unusable(DataError):
    """One utterance whose audio or label cannot be learnt from, while others can; the message names it."""


class BadAudio(UserError, ValueError):
    """A recording that cannot be used.

    `reason` is one of: missing, empty, truncated, damaged, encrypted, not audio, rate, channels, silence, NaN, too
    loud, too short, too long, outside, command, command failed, unreadable, out of reach. The message, one line, adds
    the source, the detail and what to do, which is `advice`. `recording` is its id, where a table has one.
    """

    # Reasons that lie outside the file, which need not change for it to be read the next time.
    PASSING = ("missing", "out of reach", "command failed")

    recording: str | None = None

    def __init__(self, source, reason: str, advice: str):
        super().__init__(_printable(f"{source}: {reason}; {advice}"))
        self.source, self.reason, self.advice = str(source), reason, _printable(advice)

    def __reduce__(self):  # worker processes hand their exceptions over by pickle
        return BadAudio, (self.source, self.reason, self.advice), {"args": self.args, "recording": self.recording}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read; the message names the file and what was expected."""


class RuleError(UserError, ValueError):
    """A rule that cannot be read; the message shows the place and what is allowed."""


class UsageError(UserError, ValueError):
    """Options that do not fit each other, the model or this machine."""


class Locked(UserError, RuntimeError):
    """Another process works on the same output."""


class Incomplete(UserError, RuntimeError):
    """Jobs whose results are wanted have not ended."""


class TooManySkipped(UserError, RuntimeError):
    """More recordings than --max_skipped could not be used."""


def first_line(error: BaseException) -> str:
    """Of a library's error, for a sentence of ours: the first line of its message, or its name where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line: ours as it is, a library's with the name of its kind."""
    said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())


def disk_is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def may_not(error: BaseException) -> bool:
    """Whether the system refuses: the right is missing, or the disk may only be read."""
    return isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


_MORE_THAN_A_DISK_TAKES = {
    errno.ENAMETOOLONG: "a name too long for the disk",
    errno.EFBIG: "a larger file than the disk, or ulimit -f, allows",
}


def _of_the_disk(error: BaseException | None) -> OSError | None:
    """The system's error that led to this one: torch raises one of its own where it cannot write a file whole."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _why_not_written(folder: str | Path | None) -> str:
    """What keeps a folder from being made or written into, whatever rights there are; "" if nothing does."""
    if folder is None:
        return ""
    path = Path(folder).absolute()
    there = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if there.is_symlink() and not there.exists():
        return f"{there} is a link to {os.readlink(there)}, which is not there"
    if not there.is_dir():
        return f"{there} is not a folder"
    try:
        with tempfile.TemporaryDirectory(dir=there):
            return ""
    except PermissionError:  # which has a message of its own
        return ""
    except OSError as error:
        return "" if disk_is_full(error) else f"{there} takes no new folders ({error.strerror})"


class _AboveBars(logging.Handler):
    """Prints warnings above a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def guarded(command: str, work: Callable[[], int], output: str | Path | None = None, resumes: bool = True) -> int:
    """Run a command; what a user can mend is said in one sentence, with exit status 1. output: the folder it writes.
    resumes: whether the same command goes on where it was stopped.
    """
    if not (log := logging.getLogger("k2d")).handlers:
        log.addHandler(_AboveBars(logging.WARNING))
    try:
        return work()
    except UserError as error:
        print(f"{command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        said = "interrupted; run the same command again and it goes on from here" if resumes else "interrupted"
        print(f"{command}: {said}", file=sys.stderr)
        return 130
    except (OSError, RuntimeError) as raised:
        error = _of_the_disk(raised)
        if error is None:
            raise
        if disk_is_full(error):
            said = f"the disk is full ({error.filename or 'while writing'}); make room"
        elif may_not(error):
            said = f"{error.filename}: {error.strerror}; give the right to read and write it, or name another place"
        elif error.errno in _MORE_THAN_A_DISK_TAKES:
            too_much = _MORE_THAN_A_DISK_TAKES[error.errno]
            print(f"{command}: {error.filename}: {too_much}; name another place", file=sys.stderr)
            return 1
        elif why := _why_not_written(output):
            print(f"{command}: {output}: {why}; name another place", file=sys.stderr)
            return 1
        else:
            raise
        again = "and run the same command again: what is finished is kept" if resumes else "and run the command again"
        print(f"{command}: {said} {again}", file=sys.stderr)
    return 1
