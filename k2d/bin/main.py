"""The console command: `k2d X …` runs k2d.bin.X; `k2d` alone lists the commands.

A command is a module here. Its docstring's first line says in the list what it does, and `LISTED = (group, place)`
where it stands: both are read without importing it, so `k2d` itself answers at once.
"""

import ast
import gc
import importlib
import os
import select
import signal
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from k2d.options import nearest, terminal_width

COMMANDS = Path(__file__).resolve().parent
NOT_COMMANDS = ("__init__", "main")
# What people come for, in the order of the list.
GROUPS = {
    "use": "Use a model",
    "labels": "Make, inspect and select labels",
    "train": "Train a student",
    "results": "Evaluate",
    "publish": "Publish",
    "runs": "Plan and manage runs",
    "recipes": "Called by recipes",
    "other": "Other",
}
MORE = "k2d help COMMAND, or k2d COMMAND --help, shows the options of a command; k2d --version the version."
EXIT_CODES = (
    "exit status: 0 success; 1 an error that you can fix, named in one sentence (k2d transcribe: also if a file was "
    "skipped); 2 an option that is missing or unknown; 3 with --begin: there is work to do; 130 stopped by Ctrl-C."
)


@dataclass(frozen=True)
class Command:
    name: str
    summary: str  # what it does, in a line
    group: str
    place: float  # within the group


def names() -> list[str]:
    return sorted(path.stem for path in COMMANDS.glob("*.py") if path.stem not in NOT_COMMANDS)


def commands() -> dict[str, Command]:
    """Every command by its name, read from the modules without importing them."""
    return {name: _command(COMMANDS / f"{name}.py") for name in names()}


def _command(path: Path) -> Command:
    module = ast.parse(path.read_text(encoding="utf-8"))
    group, place = "other", 0.0
    for node in module.body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["LISTED"]:
            group, place = ast.literal_eval(node.value)
    return Command(path.stem, (ast.get_docstring(module) or "").split("\n", 1)[0], group, place)


def usage() -> str:
    width, known = terminal_width(), list(commands().values())
    lines = ["usage: k2d COMMAND [options]", ""]
    column = max(len(command.name) for command in known) + 4
    for group, title in GROUPS.items():
        members = sorted((c for c in known if (c.group if c.group in GROUPS else "other") == group), key=_order)
        if not members:
            continue
        lines.append(f"{title}:")
        for command in members:
            text = textwrap.wrap(command.summary, max(20, width - column), break_on_hyphens=False) or [""]
            lines.append(f"  {command.name:<{column - 2}}{text[0]}")
            lines += [" " * column + more for more in text[1:]]
        lines.append("")
    return "\n".join([*lines, textwrap.fill(MORE, width), textwrap.fill(EXIT_CODES, width)])


def _order(command: Command):
    return command.place, command.name


def named(word: str) -> str | None:
    """The command that a word names; hyphens may stand for underscores."""
    name = word.replace("-", "_")
    return name if name in names() else None


def unknown(word: str) -> str:
    near = nearest(word.replace("-", "_"), [*names(), "help"])
    return f"no command {word!r}" + (f"; did you mean {near}?" if near else "; k2d without arguments lists them")


def main(argv: list[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] == "help":
        words = [*words[1:2], "--help"]
    if argv is None and (not words or {"-h", "--help"} & set(words)):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who has read enough of it (| head) is no fault
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    if words[0] in ("--version", "-V"):
        from k2d import __version__

        print(f"k2d {__version__}")
        return
    name = named(words[0])
    if name is None:
        print(f"k2d: {unknown(words[0])}", file=sys.stderr)
        sys.exit(2)
    # Python looks for cyclic garbage whenever 700 more objects are alive: 400 times while torch is imported, an eighth
    # of that time. After 20,000, cycles live a little longer; what is in none is freed as soon as nobody has it.
    gc.set_threshold(20_000)
    # As a module and not as __main__: worker processes look up by name what they are to run.
    try:
        status = importlib.import_module(f"k2d.bin.{name}").main(words[1:])
        sys.stdout.flush()
        sys.exit(status)
    except KeyboardInterrupt:  # while it was imported, or where a command has nothing to say of it
        sys.exit(130)
    except BrokenPipeError:
        if not _unread(1) and not _unread(2):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is written at the end
        sys.exit(128 + signal.SIGPIPE)


def _unread(descriptor: int) -> bool:
    """Whether a pipe's reader is gone, as that of "| head" is when it has read enough."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


if __name__ == "__main__":
    main()
