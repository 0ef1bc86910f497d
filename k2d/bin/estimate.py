"""Estimate hours and disk of every stage of a recipe.

    k2d estimate --train_hours 60000 --test_hours 30 --dev_hours 5 --ngpu 4 \\
        --teacher large-v2 --validator base --selection "full ngram mer per comp" \\
        --config conf/train_student.yaml

Prints one line a stage, "<stage><tab><sentence>", and their sum. The figure for training is the paper's; the
others are arithmetic on assumptions about an H100 (k2d/plan.py names them). --speed replaces
them by what a trial measured: `--speed "teacher:310 validator:2400"`, times real time.
"""

import argparse
import sys

from k2d.distill.config import read_config
from k2d.errors import DataError, UserError
from k2d.options import CommandParser
from k2d.plan import Cost, Plan, estimate, sentence
from k2d.whisper.engine import default_batch

LISTED = ("runs", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("estimate", __doc__)
    p.add_argument("--train_hours", type=float, required=True, help="hours of unlabelled recordings")
    p.add_argument("--dev_hours", type=float, default=0.0, help="hours of the set that chooses the epoch")
    p.add_argument("--test_hours", type=float, default=0.0, help="of all test sets, each counted once")
    p.add_argument("--teacher", default="large-v2", help="its name tells its size")
    p.add_argument("--validator", default="base", help="its name tells its size")
    p.add_argument("--selection", default="full comp", help="selections, separated by blanks: a student each")
    p.add_argument("--config", action="append", required=True, help="training YAML, a later one over those before")
    p.add_argument("--ngpu", type=int, default=1, help="GPUs")
    p.add_argument("--batch_size", type=int, help="windows decoded together (default: 32 on a GPU, 8 on a CPU)")
    p.add_argument("--in_place", action="store_true", help="training recordings are not copied in stage 1")
    p.add_argument("--ready_labels", action="store_true", help="subtitles in place of stage 2")
    p.add_argument("--speed", default="", help="MODEL:TIMES_REAL_TIME …, measured")
    return p


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        speeds = {}
        for pair in args.speed.split():
            name, _, value = pair.partition(":")
            try:
                speeds[name] = float(value)
            except ValueError:
                raise DataError(f"--speed: {pair!r}, expected MODEL:NUMBER such as teacher:310") from None
        plan = Plan(
            args.train_hours,
            args.dev_hours,
            args.test_hours,
            args.teacher,
            args.validator,
            args.selection.split(),
            read_config(args.config),
            args.ngpu,
            args.batch_size or default_batch(args.ngpu > 0),
            not args.in_place,
            args.ready_labels,
            speeds,
        )
    except UserError as error:
        print(f"estimate: {error}", file=sys.stderr)
        return 1
    costs = estimate(plan)
    for cost in costs:
        print(f"{cost.stage}\t{sentence(cost, plan)}")
    total = Cost(0, sum(c.device_hours for c in costs), sum(c.core_hours for c in costs),
                 sum(c.gigabytes for c in costs), "all stages")  # fmt: skip
    print(f"all\t{sentence(total, plan)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
