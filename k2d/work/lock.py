"""One process at a time owns a directory; others may read it meanwhile.

In: a directory. Out: a lock beside it, `<parent>/.k2d/<name>.lock`, which stays where it is when the directory is
moved. It belongs to the process: the system drops it when the process ends, however that happens.
"""

import fcntl
import json
import os
import shlex
import socket
import stat
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from k2d.errors import Locked, UsageError, may_not

BESIDE = ".k2d"  # the folder beside directories that holds their locks and what is set aside
MOST_NAMED = 16  # of those who share a lock
MOST_SHOWN = 120  # characters of a holder's command


_HELD: weakref.WeakSet["DirectoryLock"] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """A forked child does not hold its parent's locks: a loader's worker may outlive a parent that was killed."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _shortened(command: str) -> str:
    """A long command without its end, but with what it writes."""
    if len(command) <= MOST_SHOWN:
        return command
    words = [part for word in shlex.split(command) for part in word.split("=", word.startswith("--output_dir="))]
    if "--output_dir" in words[2:-1]:  # k2d COMMAND … --output_dir DIR …
        at = words.index("--output_dir", 2)
        command = shlex.join([*words[:2], *words[at : at + 2], *words[2:at], *words[at + 2 :]])
    return command[: MOST_SHOWN - 3] + "..."


def _is_plain(path: Path) -> bool:
    """Whether a path is a file, and no link, pipe or folder: signing it harms nothing else."""
    return stat.S_ISREG(os.lstat(path).st_mode)


def beside(folder: Path) -> Path:
    """Where locks and other work of a directory lie: `<parent>/.k2d/<name>`, of a link those of what it points to."""
    real = Path(os.path.realpath(folder))
    return real.parent / BESIDE / real.name


def refuse_links_to_nowhere(folder: Path) -> None:
    """UsageError where a folder, or one above it, is a link to what is not there: what is made there would lie on
    another disk than it should once the right one is mounted. Not where other work of the folder lies beside that
    place: then its disk is mounted, and only the folder was moved.
    """
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists() and not beside(place).is_dir():
            to = os.path.realpath(place)
            raise UsageError(f"{place} links to {to}, which is not there; is its disk mounted? else mkdir -p {to}")


class DirectoryLock:
    """Holds `folder`: exclusively (its owner) or shared (its readers, or the jobs that fill it together).

    patience: seconds to wait for who holds it. use: of what only such users of the folder are to keep out each other,
    while others have its own lock. Raises Locked, saying who that is and since when, and UsageError for a
    link to nowhere. Where nothing may be written, a reader takes the lock that is there, and does without one where
    there is none.
    """

    def __init__(self, folder: Path, shared: bool = False, patience: float = 0.0, use: str = ""):
        self.folder, self.shared = Path(folder), shared
        place = beside(folder)
        self.path = place.with_name(".".join(filter(None, (place.name, use, "lock"))))
        refuse_links_to_nowhere(self.folder)
        refuse_links_to_nowhere(self.path.parent)
        self._handle = self._open()
        if self._handle is not None:
            self._take(shared, time.monotonic() + patience)
        _HELD.add(self)

    def _open(self) -> TextIO | None:
        for place, kind in ((self.path.parent, "folder"), (self.path, "plain file")):
            if os.path.lexists(place) and not (place.is_dir() if kind == "folder" else _is_plain(place)):
                raise UsageError(f"{place}: no {kind}, and the lock of {self.folder} has to be there; move it away")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # "a+": a holder's name is not lost when somebody else only looks.
            return open(self.path, "a+", encoding="utf-8")  # held until release()
        except OSError as error:
            if not self.shared or not may_not(error):
                raise
            return open(self.path, encoding="utf-8") if os.access(self.path, os.R_OK) else None

    def _take(self, shared: bool, until: float) -> None:
        while not self._taken(shared):
            if time.monotonic() >= until:
                message = f"{self.folder}: in use by {self._holder()}; wait for it to end, or stop it, and run again"
                self._handle.close()
                raise Locked(message)
            time.sleep(0.1)
        self.shared = shared
        self._sign()

    def _taken(self, shared: bool) -> bool:
        try:
            fcntl.flock(self._handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """From here on others may share the directory."""
        fcntl.flock(self._handle, fcntl.LOCK_SH)
        self.shared = True

    def pass_on(self) -> None:
        """Hold it too when this process has become another program, until that and what it has started have ended."""
        os.set_inheritable(self._handle.fileno(), True)

    def _sign(self) -> None:
        """A line for each holder: those who share it may end in any order."""
        words, process = [Path(sys.argv[0]).name, *sys.argv[1:]], os.getpid()
        if run := os.environ.get("K2D_RUN"):  # of k2d.sh, for which this process holds it, and the line that was typed
            words, process = os.environ.get("K2D_COMMAND", "").splitlines() or words, int(run)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {"command": shlex.join(words), "process": process, "host": socket.gethostname(), "since": since}
        with suppress(OSError):  # a full disk must keep nobody from making room
            others = [each for each in self._holders() if self.shared and each["process"] != process][-MOST_NAMED:]
            os.ftruncate(self._handle.fileno(), 0)
            os.write(self._handle.fileno(), "".join(f"{json.dumps(each)}\n" for each in (*others, holder)).encode())

    def _holders(self) -> list[dict]:
        """Who has signed, without the processes of this machine that have ended."""
        self._handle.seek(0)
        signed = []
        for line in self._handle:
            with suppress(ValueError):  # one that was cut
                signed.append(json.loads(line))
        return [each for each in signed if each["host"] != socket.gethostname() or _runs(each["process"])]

    def _holder(self) -> str:
        holders = self._holders()
        if not holders:
            return "another process"
        last = holders[-1]
        return f"{_shortened(last['command'])} (process {last['process']} on {last['host']}, since {last['since']})"

    def release(self) -> None:
        if self._handle is not None:
            self._handle.close()

    def __enter__(self) -> "DirectoryLock":
        return self

    def __exit__(self, *error) -> None:
        self.release()
