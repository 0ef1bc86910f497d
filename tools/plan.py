#!/usr/bin/env python3
"""What a corpus will take on a cluster: jobs, wall time, disk and memory of every stage, and what each rests on.

    tools/plan.py --hours 60000 --gpus 16
    tools/plan.py --hours 60000 --gpus 16 --trial egs/mine/k2d1

--trial names a recipe that has run on a few hours, with the same models on the same kind of machine: its outputs
say how fast stages are, and these rates take the place of assumptions. Below the table stands for every figure
whether it is measured, published, computed or assumed, and where. The arithmetic is that of `./run.sh --dry_run`
(k2d/plan.py).
"""

import argparse
import sys
from math import ceil
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k2d.corpus.trial import read_trial
from k2d.distill.config import read_config
from k2d.errors import UserError
from k2d.plan import Cost, Plan, duration, estimate, space
from k2d.whisper.engine import default_batch

LEGEND = """\
How each figure is known: measured, by this project with the command that is named or by your trial; published, the
paper's; computed from sizes of models and data; assumed, by nobody yet."""
CONFIG = Path(__file__).resolve().parents[1] / "conf/train_student.yaml"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hours", type=float, required=True, help="of unlabelled recordings")
    p.add_argument("--gpus", type=int, required=True, help="that run at a time; 0: CPU jobs of two cores")
    p.add_argument("--gpus_per_node", type=int, default=4)
    p.add_argument("--nj", type=int, help="jobs of stages 2, 3 and 6 (default: four for each GPU)")
    p.add_argument("--trial", type=Path, help="a recipe that has run on a few hours")
    p.add_argument("--teacher", default="large-v2")
    p.add_argument("--validator", default="base")
    p.add_argument("--selection", default="full comp")
    p.add_argument("--train_config", help="YAML over conf/train_student.yaml")
    p.add_argument("--batch_size", type=int, help="windows decoded together (default: 32 on a GPU, 8 on a CPU)")
    p.add_argument("--test_hours", type=float, default=30.0, help="of all test sets")
    p.add_argument("--dev_hours", type=float, default=5.0)
    p.add_argument("--joined", action="store_true", help="stage 1 copies the recordings")
    return p


def rows(plan: Plan, costs: list[Cost], gpus: int, gpus_per_node: int, nj: int) -> list[list[str]]:
    """Stage, jobs, wall time, disk, memory: one row a stage."""
    students, decodings = len(plan.selections), len(plan.selections) + 2
    nodes = max(1, ceil(gpus / gpus_per_node))
    jobs = {1: "1", 2: f"{nj} + 1", 3: f"{nj} + 2", 4: f"{students}", 6: f"{decodings} × ({nj} + 1)",
            7: f"{decodings} + 1", 8: f"{students}"}  # fmt: skip
    each = ceil(gpus / nodes)
    jobs[5] = f"{students} × {nodes} node{'s' * (nodes > 1)}" + (f" of {each} GPU{'s' * (each > 1)}" if gpus else "")
    table = []
    for cost in costs:
        spread = nj if cost.stage in (2, 3) else 1  # jobs over which the work of cores is spread
        hours = cost.device_hours / max(gpus, 1) + (cost.core_hours - cost.joining_hours) / spread + cost.joining_hours
        table.append(
            [str(cost.stage), jobs[cost.stage], duration(hours), space(cost.gigabytes), f"{ceil(cost.memory):,} GB"]
        )
    return table


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    nj = args.nj or max(4 * args.gpus, 1)
    try:
        rates = read_trial(args.trial) if args.trial else {}
        plan = Plan(
            args.hours, args.dev_hours, args.test_hours, args.teacher, args.validator, args.selection.split(),
            read_config(filter(None, (CONFIG, args.train_config))), args.gpus,
            args.batch_size or default_batch(args.gpus > 0), args.joined, jobs=nj,
            speeds={name: rate.value for name, rate in rates.items()},
            sources={name: rate.source for name, rate in rates.items()},
        )  # fmt: skip
        costs = estimate(plan)
    except UserError as error:
        print(f"plan: {error}", file=sys.stderr)
        return 1
    machines = f"{args.gpus} GPUs at a time" if args.gpus else "jobs of two cores, one at a time"
    print(f"{args.hours:,.0f} h of recordings, teacher {args.teacher}, validator {args.validator}, {machines}\n")
    print("| stage | jobs | wall time | disk | memory of a job |\n|---|---|---|---|---|")
    for row in rows(plan, costs, args.gpus, args.gpus_per_node, nj):
        print(f"| {' | '.join(row)} |")
    print(f"\nDisk in all: {space(sum(cost.gigabytes for cost in costs))}. Waiting in the queue is not counted. "
          f"{nj} + 1 jobs are an array of {nj}, then one.\n\n{LEGEND}")  # fmt: skip
    if not args.trial:
        print("Run the recipe on a few hours and give --trial to have rates of decoding and training measured.")
    for cost in costs:
        print(f"\nStage {cost.stage}, {cost.said}\n" + "\n".join(f"  {basis}" for basis in cost.rests_on))
    return 0


if __name__ == "__main__":
    sys.exit(main())
