"""Check command lines without running them.

    k2d parse < commands

Reads commands as `k2d` takes them: the number of their words, and the words, such as label --model large-v2, each
followed by a NUL: printf '%s\\0' "$#" "$@". Each command's parser reads its words, and its check whether the options
are compatible. An option that a recipe gives may not come once more from its *_opts, unless it is one of the model's or
the recordings', which a stage may have to itself. Nothing is written. The exit status is 1 if any command would not
run; all of these are named.
"""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from k2d.audio.options import AudioOptions
from k2d.bin.main import named, unknown
from k2d.check.findings import Grade
from k2d.check.space import gpus
from k2d.errors import UserError
from k2d.options import CommandParser, underscored
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig

A_STAGES_OWN = {kind.GROUP for kind in (EngineConfig, DecodingOptions, AudioOptions)}
LISTED = ("recipes", 2)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("parse", __doc__)
    p.add_argument("--ngpu", type=int, default=0, help="GPUs of this machine that the commands will use")
    p.add_argument("--options", default="", help="names of the recipe's own options, for messages")
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


def given_twice(words: Sequence[str], parser: argparse.ArgumentParser) -> str | None:
    """The first option that stands there twice and would be taken once."""
    stages = {a for group in parser._action_groups if group.title in A_STAGES_OWN for a in group._group_actions}
    once = [name for name, action in parser._option_string_actions.items()
            if not isinstance(action, argparse._AppendAction) and action not in stages]  # fmt: skip
    given: Counter[str] = Counter()
    for word in words:
        name = underscored(word).partition("=")[0]
        near = [name] if name in once else [full for full in once if name[:2] == "--" and full.startswith(name)]
        given.update(near if len(near) == 1 else ())
    return next((name for name, count in given.items() if count > 1), None)


def problem(words: list[str], recipes: Sequence[str] = ()) -> str | None:
    """What is wrong with a command, or None. recipes: names of the recipe's own options."""
    word, *options = words
    name = named(word)
    if name is None:
        return unknown(word)
    module = importlib.import_module(f"k2d.bin.{name}")
    printed = io.StringIO()
    reader = module.parser()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            if hasattr(module, "check_words"):  # its parser is another program's
                module.check_words(options)
            else:
                args = reader.parse_args(options)
                if hasattr(module, "check"):
                    module.check(args)
        if twice := given_twice(options, reader):
            own = f"; k2d.sh has a {twice} of its own" if twice[2:] in recipes else ""
            return f"{twice} is given twice, by the recipe or among the options passed on (*_opts): give it once{own}"
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
        if found := problem(words, args.options.split()):
            problems.setdefault(found, []).append(words[0])
    for found, commands in problems.items():
        print(f"k2d {', '.join(dict.fromkeys(commands))}: {found}", file=sys.stderr)
    return 1 if problems else 0
