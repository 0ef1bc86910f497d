#!/usr/bin/env python3
"""Run a command that owns a directory until it, and what it has started, has ended.

    utils/own.py data/stage_1 local/data.sh --seed 0

In: a directory, which need not be there, and a command, which takes the place of this one. Where another process owns
the directory, it is named, and the status is 1.
"""

import argparse
import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import in_venv  # noqa: F401

from k2d.errors import UserError, guarded
from k2d.work.lock import DirectoryLock


def own(folder: Path, command: list[str]) -> NoReturn:
    sys.argv = command  # the lock says what holds it
    lock = DirectoryLock(folder)
    lock.pass_on()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script whose first line names no program
            os.execvp("bash", ["bash", *command])
        raise UserError(f"{command[0]}: cannot be run ({error.strerror}); correct its name, or chmod +x it") from None


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("directory", type=Path)
    p.add_argument("command", nargs=argparse.REMAINDER)
    args = p.parse_args()
    if not args.command:
        p.error("which command?")
    sys.exit(guarded("own.py", lambda: own(args.directory, args.command), args.directory))
