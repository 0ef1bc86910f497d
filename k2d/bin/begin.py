"""Ask many steps, one after the other, whether there is something to do.

    k2d begin

`--begin` without a start of Python for each; k2d.sh asks so.
Reads commands as `k2d parse` does, and answers each at once by a line: the exit status of `k2d COMMAND … --begin` (0:
nothing to do, 3: something, else: it cannot begin), and what was said. Errors go where errors go.
"""

import contextlib
import importlib
import io
import sys
import traceback

from k2d.bin.main import named, unknown
from k2d.bin.parse import commands_in
from k2d.options import CommandParser

LISTED = ("runs", 2.5)


def parser() -> CommandParser:
    return CommandParser("begin", __doc__)


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
    for words in commands_in(sys.stdin.buffer):
        status, said = ask(words)
        print(status, said, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
