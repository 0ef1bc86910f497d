"""Check command lines without running them.

    k2d parse < commands

Reads one command a line, as `k2d` takes them, quoted as in a shell: "label --model large-v2 --data data/lectures …".
Every command's own parser reads its words, and its own check whether the options fit each other. Nothing is written.
Ends with status 1 after naming every line that would not run.
"""

import argparse
import contextlib
import importlib
import io
import shlex
import sys

from k2d.bin.main import named, unknown
from k2d.errors import UserError
from k2d.options import CommandParser

LISTED = ("runs", 2)


def parser() -> argparse.ArgumentParser:
    return CommandParser("parse", __doc__)


def problem(words: list[str]) -> str | None:
    """What is wrong with a command, or None."""
    word, *options = words
    name = named(word)
    if name is None:
        return unknown(word)
    module = importlib.import_module(f"k2d.bin.{name}")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            if hasattr(module, "check_words"):  # its parser is another program's
                module.check_words(options)
            else:
                args = module.parser().parse_args(options)
                if hasattr(module, "check"):
                    module.check(args)
    except UserError as error:
        return str(error)
    except SystemExit:  # argparse has said what is wrong
        return said.getvalue().strip().splitlines()[-1].partition("error: ")[2] or said.getvalue()
    return None


def main(argv: list[str] | None = None) -> int:
    parser().parse_args(argv)
    problems = {}
    for line in sys.stdin:
        if (words := shlex.split(line)) and (found := problem(words)):
            problems.setdefault(f"{words[0]}: {found}")
    for each in problems:
        print(f"k2d {each}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
