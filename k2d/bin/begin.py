"""Ask many steps, one after the other, whether there is work to do.

    k2d begin

Like `--begin`, but without starting Python for each command; used by k2d.sh. Reads commands as `k2d parse` does, and
answers each with a line: the exit status of `k2d COMMAND … --begin` (0: no work, 3: work to do, else: it cannot begin),
and the message. Errors go to stderr. The command "hold DIR" locks a finished directory for reading until this process
ends, so that no run with other options replaces what this run still needs; the lock names the process $K2D_RUN, which
asks. "look COMMAND…" only says which inputs and options have changed since the command's directory was made.
"""

import contextlib
import importlib
import io
import sys
import traceback
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from k2d.bin.main import named, unknown
from k2d.bin.parse import commands_in
from k2d.errors import guarded
from k2d.options import CommandParser
from k2d.work.identity import of_step
from k2d.work.lock import DirectoryLock
from k2d.work.step import only_looking

LISTED = ("recipes", 1)


def parser() -> CommandParser:
    return CommandParser("begin", __doc__)


class Held(ExitStack):
    """Directories held until the end, each once."""

    def __init__(self):
        super().__init__()
        self.folders: set[str] = set()

    def hold(self, folder: str) -> None:
        """Raises Locked where somebody works on it, DataError where it is not finished."""
        if folder not in self.folders:
            with ExitStack() as each:
                each.enter_context(DirectoryLock(Path(folder), shared=True))
                of_step(folder)
                self.enter_context(each.pop_all())
            self.folders.add(folder)


def ask(words: list[str]) -> tuple[int, str]:
    """(exit status, what was said) of a command with --begin. A command that fails does not end the process."""
    word, *options = words
    name = named(word)
    if name is None:
        print(f"k2d begin: {unknown(word)}", file=sys.stderr)
        return 1, ""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            status = importlib.import_module(f"k2d.bin.{name}").main([*options, "--begin"])
    except SystemExit as error:  # argparse has said what is wrong
        status = error.code
    except Exception:
        traceback.print_exc()
        status = 1
    return status if isinstance(status, int) else 1, " ".join(said.getvalue().split("\n")).strip()


def main(argv: list[str] | None = None) -> int:
    parser().parse_args(argv)
    with Held() as held:
        for words in commands_in(sys.stdin.buffer):
            if words[0] == "hold":
                status, said = guarded("begin", partial(held.hold, words[1]), words[1]) or 0, ""
            elif words[0] == "look":
                with only_looking(), contextlib.redirect_stderr(io.StringIO()):  # the stage itself says what is wrong
                    status, said = ask(words[1:])
            else:
                status, said = ask(words)
            print(status, said, flush=True)
    return 0
