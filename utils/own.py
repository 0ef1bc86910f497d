#!/usr/bin/env python3
"""Run a command that owns a directory until it, and what it has started, has ended.

    utils/own.py data/stage_1 local/data.sh --seed 0

In: a directory, which need not be there, and a command, which takes the place of this one. Where another process owns
the directory, it is named, and the status is 1.
"""

import os
import sys
from pathlib import Path

import in_venv  # noqa: F401

from k2d.errors import guarded
from k2d.work.lock import DirectoryLock


def own(folder: Path, command: list[str]) -> int:
    sys.argv = command  # the lock says what holds it
    lock = DirectoryLock(folder)
    lock.pass_on()
    os.execvp(command[0], command)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(guarded("own.py", lambda: own(Path(sys.argv[1]), sys.argv[2:])))
