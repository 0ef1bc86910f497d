"""Command lines: one parser for all commands, and options out of a dataclass's fields, so that one is written once.

In: a command's name and docstring; a dataclass whose fields are made by `option`. Out: a parser, and the dataclass with
what was given.

    @dataclass(frozen=True)
    class Clock:
        GROUP = "clock"  # of the help
        speed: float = option(1.0, "of the hands")

    parser = CommandParser("wind", __doc__)
    add_options(parser, Clock)         # --speed
    clock = options_of(Clock, parser.parse_args())
"""

import argparse
import dataclasses
import difflib
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from k2d.constants import LONGEST_FILE_NAME
from k2d.errors import UsageError, guarded

PROGRAM = "k2d "  # before the name of a command
WIDEST = 100  # columns: longer lines of text are hard to read, however wide the terminal is
_DIRECTORIES = ("dir", "data", "out", "exp", "topk")  # last words of options that take one


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal: paragraphs flow, examples and lists keep their lines, options tell defaults."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26, width=terminal_width())

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        """What stands for the value: N for a number of things, DIR for a directory, else the name's last word."""
        word = action.dest.rpartition("_")[2]
        if action.type is int or action.dest.startswith("max_"):
            return "N"
        return "DIR" if word in _DIRECTORIES else word.upper()

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        width -= len(indent)
        filled = "\n\n".join(_paragraph(part, width) for part in re.split(r"\n\s*\n", text.strip()))
        return textwrap.indent(filled, indent)

    def _get_help_string(self, action: argparse.Action) -> str:
        return with_default(action.help or "", action.default if action.option_strings else None).replace("%", "%%")


def with_default(words: str, default: object) -> str:
    """An option's sentence with its default, unless it tells it or there is nothing to tell."""
    nothing = default is False or default in (None, "", (), [], argparse.SUPPRESS)
    if "default" in words or nothing:
        return words
    if isinstance(default, dict):
        shown = ", ".join(f"{name}: {as_written(value)}" for name, value in default.items())
    elif isinstance(default, (list, tuple)):
        shown = " ".join(map(as_written, default))
    else:
        shown = as_written(default)
    return f"{words} (default {shown})"


def as_written(value: object) -> str:
    """A default as one would type it: 30 for 30.0, true for True."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def terminal_width(most: float = WIDEST, elsewhere: float | None = None) -> float:
    """Columns of a line: those of the terminal without the last, `most` at most. elsewhere: in files and pipes,
    whatever the environment says of columns; by default the same.
    """
    if elsewhere is not None and not sys.stdout.isatty():
        return elsewhere
    return max(20, min(shutil.get_terminal_size().columns - 1, most))


# An example to copy; a comment behind it would not survive.
_COMMAND = re.compile(r"\s+(k2d|ffmpeg|srun|torchrun)( [^\s#]\S*)*$")
_ENTRY = re.compile(r"\s*\S+( \S+)* {2,}(?=\S)")  # the left column of a list


def _paragraph(text: str, width: int) -> str:
    """Plain lines flow, and so does the right column of a list; other lines are kept, or wrapped one by one."""
    lines = text.split("\n")
    if any(line.endswith("\\") for line in lines) and max(map(len, lines)) > width:
        lines = [_command(line, width) for line in re.sub(r"\\\n\s*", "", text).split("\n")]
        return "\n".join(lines)
    if not any(re.search(r"^\s|\S {2,}\S", line) for line in lines):
        return _fill(" ".join(lines), width, 0)
    wrapped: list[tuple[str, int]] = []  # (line, where its text begins)
    for line in lines:
        column = len(line) - len(line.lstrip())
        if wrapped and column and column == wrapped[-1][1] and _ENTRY.match(wrapped[-1][0]):
            wrapped[-1] = f"{wrapped[-1][0]} {line.strip()}", column
        elif entry := _ENTRY.match(line):
            wrapped.append((line, entry.end()))
        else:
            wrapped.append((line, column + 4))
    return "\n".join(
        _command(line, width) if _COMMAND.match(line) else _fill(line, width, min(column, width // 2))
        for line, column in wrapped
    )


def _command(line: str, width: int) -> str:
    """A command of several lines, each but the last ending in a backslash; what is quoted stays whole, and an option
    with its value.
    """
    if len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    whole = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: quoted[0].replace(" ", "\0"), line)
    whole = re.sub(r"(?<!\S)(--?\w+) (?=[^-\s]\S{,30}(\s|$))", "\\1\0", whole)
    parts = textwrap.wrap(whole, width - 2, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(parts).replace("\0", " ")


def _fill(line: str, width: int, hanging: int) -> str:
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False)


class CommandParser(argparse.ArgumentParser):
    """The parser of `k2d COMMAND`. Options may be written with hyphens for underscores; a misspelt one is told its
    neighbour; the usage line holds what must be given.
    """

    def __init__(self, command: str, description: str, parents: Sequence[argparse.ArgumentParser] = ()):
        super().__init__(
            prog=f"{PROGRAM}{command}", description=description, formatter_class=_Help, parents=list(parents)
        )
        self._words: list[str] = []  # that are parsed

    def parse_known_args(self, args=None, namespace=None):
        self._words = [self._as_written(word) for word in (sys.argv[1:] if args is None else args)]
        found, unknown = super().parse_known_args(self._words, namespace)
        if fault := fault_of_name(Path(getattr(found, "output_dir", None) or "").name):
            self.error(f"argument --output_dir: {fault}")
        return found, unknown

    def _as_written(self, word: str) -> str:
        plain = underscored(word)
        known = any(name.startswith(plain.partition("=")[0]) for name in self._option_string_actions)
        return plain if known else word

    def format_usage(self) -> str:
        return _fill(self._usage(), terminal_width(), 4) + "\n"

    def format_help(self) -> str:
        self.usage, usage = self.format_usage().strip().removeprefix("usage: ").replace("%", "%%"), self.usage
        try:
            return super().format_help()
        finally:
            self.usage = usage

    def _usage(self) -> str:
        words = ["usage:", self.prog]
        formatter = self._get_formatter()
        for action in self._actions:
            if not action.option_strings:
                words.append(formatter._format_args(action, action.dest.upper()))
            elif action.required:
                value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
                words.append(f"{action.option_strings[0]} {value}".strip())
        return " ".join([*words, "[options]"])

    def error(self, message: str):
        names = [word.partition("=")[0] for word in self._words if word.startswith("--")]
        unknown = [name for name in names if not any(known.startswith(name) for known in self._option_string_actions)]
        if unknown and "are required" in message:  # the misspelt option is probably the one that is missing
            message = f"unrecognized arguments: {' '.join(unknown)}"
        message = with_neighbours(message, self._option_string_actions)
        self.exit(2, f"{self.format_usage()}{self.prog} --help lists all options\n{self.prog}: error: {message}\n")


def fault_of_name(name: str) -> str | None:
    """Why a folder that a command writes cannot be called so, or None: longer names, and such with these endings, are
    given to what lies beside it.
    """
    if (length := len(os.fsencode(name))) > LONGEST_FILE_NAME:
        return f"a name of {length} bytes, expected at most {LONGEST_FILE_NAME}"
    if name.endswith((".lock", ".work")):
        return f"{name} ends in {name[-5:]}, as names of what k2d keeps beside folders do; choose another ending"
    return None


def with_neighbours(message: str, known: Iterable[str]) -> str:
    """argparse's message; of unrecognized options with those that are most likely meant."""
    unknown = message.removeprefix("unrecognized arguments: ")
    if unknown == message:
        return message
    words = unknown.split()
    if words[0].lower() in ("true", "false"):
        return f"{message}; an option takes true or false only if its help shows [true|false]"
    names = [word.partition("=")[0] for word in words if word.startswith("--")]
    hints = filter(None, (nearest(underscored(name), known) for name in names))
    said = ", ".join(dict.fromkeys(hints))
    return f"{message} (did you mean {said}?)" if said else message


def command(
    parser: Callable[[], CommandParser], run: Callable[[argparse.Namespace], int], resumes: bool = True
) -> Callable[[Sequence[str] | None], int]:
    """`main` of a command: words, those of the command line if none are given, to the exit status of its work. resumes:
    see `guarded`.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        words = parser()
        args = words.parse_args(argv)
        name, output = words.prog.removeprefix(PROGRAM), getattr(args, "output_dir", None)
        return guarded(name, lambda: run(args), output, resumes)

    return main


def end_if_parsed_only() -> None:
    """End a program of a recipe's preparation whose options have just been looked at, where no more was asked for:
    k2d.sh has options parsed before its first stage, by $K2D_PARSE_ONLY.
    """
    if os.environ.get("K2D_PARSE_ONLY"):
        sys.exit(0)


def underscored(word: str) -> str:
    """ "--beam-size=5" as "--beam_size=5"; other words stay."""
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if re.fullmatch(r"--[A-Za-z][\w-]*", name) else word


def nearest(word: str, known) -> str | None:
    """The name that a misspelt one most likely stands for."""
    return next(iter(difflib.get_close_matches(word, list(known), 1, 0.6)), None)


def option(default, help: str, parse: Callable | None = None, choices: Sequence[str] | None = None):
    """A field that is an option. parse: text to value, where the default's type does not tell."""
    return dataclasses.field(default=default, metadata={"help": help, "parse": parse, "choices": choices})


def add_options(parser: argparse.ArgumentParser, kind: type, without: Sequence[str] = (), **defaults) -> None:
    """Add an option for each field that `option` made, as the group kind.GROUP of the help. without: fields that the
    command has no use for; defaults: those of this command.
    """
    group = parser.add_argument_group(kind.GROUP)
    for field in dataclasses.fields(kind):
        if not field.metadata or field.name in without:
            continue
        default = defaults.get(field.name, field.default)
        words, parse, choices = (field.metadata[name] for name in ("help", "parse", "choices"))
        if isinstance(field.default, bool):
            more = BOOLEAN
        else:
            more = {"type": parse or type(field.default), "choices": choices}
        group.add_argument(f"--{field.name}", default=default, help=words, **more)


def options_of[Options](kind: type[Options], args: argparse.Namespace, **changed) -> Options:
    """The dataclass out of what was given under its fields' names, with some fields `changed`. UsageError for values
    that do not fit."""
    names = [field.name for field in dataclasses.fields(kind) if hasattr(args, field.name)]
    try:
        return kind(**{**{name: getattr(args, name) for name in names}, **changed})
    except ValueError as error:
        raise UsageError(str(error)) from None


def true_or_false(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        said = f"{text!r} is neither true nor false; give one of them, or let another option follow"
        raise argparse.ArgumentTypeError(said)
    return text.lower() == "true"


# Of an option that is true or false, for `add_argument`: without a value it is true.
BOOLEAN = {"type": true_or_false, "nargs": "?", "const": True, "metavar": "true|false"}


def parse_seed(text: str) -> int:
    """What every generator of random numbers takes."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 to {2**32 - 1}")
    return int(text)


def whole_number(text: str) -> int:
    """From 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 on")
    return int(text)


def number_or_none(text: str) -> float | None:
    """A threshold; "none" switches its test off."""
    if text.lower() == "none":
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor none")
    return number
