"""Command-line options out of a dataclass's fields, so that an option is written once.

In: a dataclass whose fields are made by `option`. Out: arguments of a parser, and the dataclass with what was given.

    @dataclass(frozen=True)
    class Clock:
        speed: float = option(1.0, "of the hands")

    add_options(parser, Clock, "clock")         # --speed
    clock = options_of(Clock, parser.parse_args())
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence

from k2d.errors import UsageError


def option(default, help: str, parse: Callable | None = None, choices: Sequence[str] | None = None):
    """A field that is an option. parse: text to value, where the default's type does not tell."""
    return dataclasses.field(default=default, metadata={"help": help, "parse": parse, "choices": choices})


def add_options(
    parser: argparse.ArgumentParser, kind: type, title: str, without: Sequence[str] = (), **defaults
) -> None:
    """Add an option for each field that `option` made. without: fields that the command has no use for; defaults:
    those of this command.
    """
    group = parser.add_argument_group(title)
    for field in dataclasses.fields(kind):
        if not field.metadata or field.name in without:
            continue
        default = defaults.get(field.name, field.default)
        words, parse, choices = (field.metadata[name] for name in ("help", "parse", "choices"))
        if "default" not in words and default not in (None, False, "", ()):
            words += f" (default {str(default).lower() if default is True else default})"
        if isinstance(field.default, bool):
            more = {"type": true_or_false, "nargs": "?", "const": True, "metavar": "true|false"}
        else:
            more = {"type": parse or type(field.default), "choices": choices}
        group.add_argument(f"--{field.name}", default=default, help=words, **more)


def options_of[Options](kind: type[Options], args: argparse.Namespace, **changed) -> Options:
    """The dataclass out of what was given, with some fields `changed`. UsageError for values that do not fit."""
    names = [field.name for field in dataclasses.fields(kind) if field.metadata and hasattr(args, field.name)]
    try:
        return kind(**{**{name: getattr(args, name) for name in names}, **changed})
    except ValueError as error:
        raise UsageError(str(error)) from None


def true_or_false(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def number_or_none(text: str) -> float | None:
    """A threshold; "none" switches its test off."""
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor none") from None
