"""Show what a run has made, and what to do with it.

    k2d next --exp exp --models "teacher student_full student_comp" --test_sets "test_in test_out"

Names the best student with its error rates beside its teacher's, a command to copy that uses it, and the pages that
exist; and, without references, how to make a test set. The best student is that of the report: of those scored on most
test sets the one with the lowest mean rate; intervals and significance are in the report. k2d.sh ends with it, and
names what the run has not made itself (--earlier) as an earlier student.
"""

import argparse
from pathlib import Path

from k2d.errors import DataError
from k2d.options import CommandParser, command
from k2d.score.next_steps import next_steps

LISTED = ("results", 4)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("next", __doc__)
    p.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the experiment")
    p.add_argument("--data", type=Path, default=Path("data"), help="folder of the data directories")
    p.add_argument("--models", default="", help="names of folders in --exp, separated by blanks (default: all)")
    p.add_argument("--earlier", default="", help="those of --models that an earlier run has made")
    p.add_argument("--test_sets", default="", help="names of test sets, separated by blanks")
    p.add_argument("--held_out", type=Path, metavar="DIR", help="held-out chunks of the run, to make a test set of")
    p.add_argument("--explorers", default="", help="folders of the run's explorers, separated by blanks (default: all)")
    return p


def run(args: argparse.Namespace) -> int:
    models, sets, earlier = args.models.split(), args.test_sets.split(), args.earlier.split()
    explorers = [Path(folder) for folder in args.explorers.split()]
    lines = list(next_steps(args.exp, args.data, models, sets, args.held_out, earlier, explorers))
    if not lines:
        raise DataError(f"{args.exp}: nothing has been made there yet; run a recipe's run.sh first")
    width = max(len(name) for name, _ in lines) + 2
    for name, text in lines:
        print(f"  {name:<{width}}{text}")
    return 0


main = command(parser, run)
