"""The console command: `k2d X …` runs k2d.bin.X; `k2d` alone lists the commands.

A command's module is imported only when it runs, so `k2d` itself answers at once.
"""

import ast
import importlib
import sys
from pathlib import Path

COMMANDS = Path(__file__).resolve().parent


def names() -> list[str]:
    return sorted(path.stem for path in COMMANDS.glob("*.py") if path.stem not in ("__init__", "main"))


def summaries() -> dict[str, str]:
    """command -> first line of its module's docstring, read without importing it."""
    trees = {name: ast.parse((COMMANDS / f"{name}.py").read_text(encoding="utf-8")) for name in names()}
    return {name: (ast.get_docstring(tree) or "").split("\n", 1)[0] for name, tree in trees.items()}


def usage() -> str:
    lines = [f"  {name:<14}{summary}" for name, summary in summaries().items()]
    return "\n".join(["usage: k2d COMMAND [options]; k2d COMMAND --help", "", "commands:", *lines])


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if argv[0] == "--version":
        from k2d import __version__

        print(__version__)
        return
    if argv[0] not in names():
        sys.exit(f"k2d: no command {argv[0]!r}\n\n{usage()}")
    # As a module and not as __main__: worker processes look up by name what they are to run.
    sys.exit(importlib.import_module(f"k2d.bin.{argv[0]}").main(argv[1:]))


if __name__ == "__main__":
    main()
