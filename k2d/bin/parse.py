"""Check command lines without running them.

    k2d parse < commands

Reads commands as `k2d` takes them: the number of their words, and the words, such as label --model large-v2, each
followed by a NUL: printf '%s\\0' "$#" "$@". Each command's parser reads its words, and its check whether the options
are compatible. Nothing is written. The exit status is 1 if any command would not run; all of these are named.
"""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from k2d.bin.main import named, unknown
from k2d.check.findings import Grade
from k2d.check.space import gpus
from k2d.errors import UserError
from k2d.options import CommandParser

LISTED = ("recipes", 2)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("parse", __doc__)
    p.add_argument("--ngpu", type=int, default=0, help="GPUs of this machine that the commands will use")
    return p


def commands_in(stream: BinaryIO) -> Iterator[list[str]]:
    """Commands as they come, each the list of its words."""

    def words() -> Iterator[str]:
        rest = b""
        while part := stream.read1():
            *whole, rest = (rest + part).split(b"\0")
            yield from map(os.fsdecode, whole)

    coming = words()
    for count in coming:
        yield list(islice(coming, int(count)))


def problem(words: list[str]) -> str | None:
    """What is wrong with a command, or None."""
    word, *options = words
    name = named(word)
    if name is None:
        return unknown(word)
    module = importlib.import_module(f"k2d.bin.{name}")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            if hasattr(module, "check_words"):  # its parser is another program's
                module.check_words(options)
            else:
                args = module.parser().parse_args(options)
                if hasattr(module, "check"):
                    module.check(args)
    except UserError as error:
        return str(error)
    except SystemExit:  # argparse has said what is wrong
        return printed.getvalue().strip().splitlines()[-1].partition("error: ")[2] or printed.getvalue()
    return None


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    lacks = [f"{lack.found}; {lack.todo}" for lack in gpus(args.ngpu) if lack.grade is Grade.FAILS]
    problems = {lack: ["parse"] for lack in lacks}  # what is wrong, and in which commands
    for words in commands_in(sys.stdin.buffer):
        if found := problem(words):
            problems.setdefault(found, []).append(words[0])
    for found, commands in problems.items():
        print(f"k2d {', '.join(dict.fromkeys(commands))}: {found}", file=sys.stderr)
    return 1 if problems else 0
