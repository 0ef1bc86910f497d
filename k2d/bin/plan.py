"""Estimate what a corpus will take: time, disk and memory of every stage.

    k2d plan --recordings ~/lectures
    k2d plan --train_hours 60000 --ngpu 16
    k2d plan --train_hours 60000 --ngpu 16 --trial egs/mine/k2d1

The hours are given, or read from a folder of recordings (their headers) or a data directory. --trial names a recipe
that has run on a few hours, with the same models on the same kind of machine: its measured speeds replace assumptions;
--speeds sets speeds by hand. --explain says whether each figure is measured, published, computed or assumed, and where.
`./run.sh --dry_run` shows this table with a recipe's own options.
"""

import argparse
import sys
from collections import Counter
from math import ceil
from pathlib import Path

from k2d.corpus.folder import hours_of
from k2d.corpus.trial import read_trial
from k2d.datadir import DataDir
from k2d.distill.config import read_config
from k2d.distill.length import AUTO, check_updates, with_length
from k2d.errors import UsageError
from k2d.options import CommandParser, command
from k2d.plan import CHUNK, Cost, Plan, duration, estimate, published_size, space
from k2d.score.tables import Table
from k2d.whisper.engine import default_batch
from k2d.wording import audio_length, counted

LISTED = ("runs", 1)
CONFIG = Path(__file__).resolve().parents[2] / "conf/train_student.yaml"
TRAIN = 5
NAMES = ("data", "label", "validate", "select", "train", "decode", "score", "publish")
KINDS = ("measured", "published", "computed", "assumed")
LEGEND = """\
How each figure is known: measured, by this project with the command that is named or by your trial; published, the
paper's; computed from sizes of models and data; assumed, by nobody yet."""
# Of what a run holds out for tests where no set is labelled.
HELD_OUT, MOST_HELD_OUT = 0.05, 1.0


def parser() -> argparse.ArgumentParser:
    p = CommandParser("plan", __doc__)
    p.add_argument("--train_hours", type=float, help="hours of unlabelled recordings")
    p.add_argument("--recordings", type=Path, metavar="FOLDER", help="folder of recordings, instead of --train_hours")
    p.add_argument("--data", type=Path, help="data directory of recordings, instead of --train_hours")
    p.add_argument("--dev_hours", type=float, default=0.0, help="hours of the set that chooses the epoch")
    p.add_argument("--test_hours", type=float, help="hours of test sets, each counted once (default: held out, 5 %)")
    p.add_argument("--teacher", default="large-v2", help="name or path of the teacher, for its size")
    p.add_argument("--validator", default="base", help="validators, separated by blanks, for their sizes")
    p.add_argument(
        "--revise", default="", help="further models that transcribe the chunks; unknown names stand for students"
    )
    p.add_argument("--selection", default="full comp", help="selections, separated by blanks: one student each")
    p.add_argument("--seed", default="0", help="seeds, separated by blanks: one student of each selection each")
    p.add_argument("--config", action="append", help="training YAML; later ones override earlier ones")
    p.add_argument("--updates", help="number of updates, or auto: by the hours (default without --config)")
    p.add_argument("--encoder_out", type=int, default=0, help="versions of the encoder's output to store for training")
    p.add_argument("--topk", type=int, default=0, help="tokens of the teacher to store per position for training")
    p.add_argument("--ngpu", type=int, default=0, help="GPUs to use; 0: CPU jobs of two cores (default)")
    p.add_argument("--gpus_per_node", type=int, default=4, help="GPUs per node of the cluster")
    p.add_argument("--nj", type=int, help="jobs of stages 2, 3 and 6 (default: one per GPU, or one)")
    p.add_argument("--side_by_side", type=int, default=1, help="students, decodings and exports at a time")
    p.add_argument("--elsewhere", action="store_true", help="these do not share one machine: on a cluster")
    p.add_argument("--batch_size", type=int, help="windows per batch (default: 32 on a GPU, 8 on a CPU)")
    p.add_argument("--stage", type=int, choices=range(1, 9), default=1, metavar="N", help="first stage to count")
    p.add_argument("--stop_stage", type=int, choices=range(1, 9), default=8, metavar="N", help="last stage to count")
    p.add_argument("--joined", action="store_true", help="stage 1 copies the recordings")
    p.add_argument("--ready_labels", action="store_true", help="existing transcripts instead of stage 2's decoding")
    p.add_argument("--trial", type=Path, metavar="RECIPE", help="a recipe that has run on a few hours")
    p.add_argument("--speeds", default="", help="measured speeds in times real time: teacher:310 validator:2400")
    p.add_argument("--explain", action="store_true", help="explain where every figure comes from")
    return p


def check(args: argparse.Namespace) -> None:
    given = [name for name in ("train_hours", "recordings", "data") if getattr(args, name) is not None]
    if len(given) != 1:
        raise UsageError("give the hours, by one of --train_hours, --recordings and --data")
    if args.updates:
        check_updates(args.updates)
    for name in ("train_hours", "dev_hours", "test_hours", "ngpu", "nj", "batch_size", "encoder_out", "topk"):
        value = getattr(args, name)
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"--{name} {value}: expected a number from 0 on")
    for name in ("gpus_per_node", "side_by_side"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name} {getattr(args, name)}: expected at least 1")
    for name in ("validator", "selection", "seed"):
        if not getattr(args, name).split():
            raise UsageError(f"--{name}: expected one name or several")
    speeds_of(args)


TIMED = ("student", "distance", "training")  # beside teacher, validators and revisers


def speeds_of(args: argparse.Namespace) -> dict[str, float]:
    """Name → times real time; of distances and training in their own units. UsageError for one that nothing has."""
    known = ["teacher", "validator", *args.validator.split()[1:], *args.revise.split(), *TIMED]
    speeds = {}
    for pair in args.speeds.split():
        name, _, value = pair.partition(":")
        try:
            speeds[name] = float(value)
        except ValueError:
            raise UsageError(f"--speeds: {pair!r}, expected MODEL:NUMBER such as teacher:310") from None
        if not 0 < speeds[name] < float("inf"):
            raise UsageError(f"--speeds: {pair!r}, expected a number above 0")
        if name not in known:
            raise UsageError(f"--speeds: {pair!r}: nothing here is called {name!r}; there are {', '.join(known)}")
    return speeds


def hours(args: argparse.Namespace) -> float:
    """Of the unlabelled recordings. Raises DataError where there are none."""
    if args.recordings is not None:
        found, left_out = hours_of(args.recordings.expanduser())
        for reason, count in Counter(reject.reason for reject in left_out).most_common():
            first = next(reject.message for reject in left_out if reject.reason == reason)
            print(f"k2d plan: not counted: {count} × {reason}, such as {first}", file=sys.stderr)
        return found
    if args.data is not None:
        data = DataDir(args.data)
        if not data.utt2dur:
            raise UsageError(f"{args.data}: no utt2dur there tells how long it is; give --train_hours")
        return sum(data.utt2dur.values()) / 3600
    return args.train_hours


def plan_of(args: argparse.Namespace) -> Plan:
    train_hours = hours(args)
    configs = args.config or [CONFIG]
    config = read_config(configs)
    if asked := args.updates or ("" if args.config else AUTO):
        config, _ = with_length(config, read_config(configs[1:]), asked, ceil(train_hours * 3600 / CHUNK))
    rates = read_trial(args.trial) if args.trial else {}
    for role, names in (("teacher", [args.teacher]), ("validator", args.validator.split())):
        tried = rates[role].model if role in rates else ""
        if tried and not any(Path(name).name in tried for name in names):  # k2d.sh gives the tag of a path
            print(f"plan: --trial is of the {role} {tried}; give --{role} for it, or another trial", file=sys.stderr)
    test_hours = args.test_hours
    if test_hours is None:
        test_hours = min(HELD_OUT * train_hours, MOST_HELD_OUT)
    return Plan(
        train_hours,
        args.dev_hours,
        test_hours,
        teacher=args.teacher,
        validators=args.validator.split(),
        revise=args.revise.split(),
        selections=args.selection.split(),
        seeds=len(args.seed.split()),
        config=config,
        ngpu=args.ngpu,
        batch=args.batch_size or default_batch(args.ngpu > 0),
        joined=args.joined,
        ready_labels=args.ready_labels,
        speeds={name: rate.value for name, rate in rates.items()} | speeds_of(args),
        sources={name: rate.source for name, rate in rates.items()},
        jobs=args.nj or max(args.ngpu, 1),
        encoder_out=args.encoder_out,
        topk=args.topk,
        side_by_side=args.side_by_side,
    )


def table_of(plan: Plan, costs: list[Cost], gpus_per_node: int, elsewhere: bool) -> Table:
    """One row a stage, and their sum. elsewhere: jobs side by side share no machine, and so take less time."""
    gpus, nj, students, decodings = plan.ngpu, plan.jobs, plan.students, plan.models
    nodes = max(1, ceil(gpus / gpus_per_node))
    joined = f"{nj} + 1" if nj > 1 else "1"
    jobs = {1: "1", 2: joined, 3: f"{nj} + 2" if nj > 1 else "2", 4: f"{len(plan.selections)}",
            6: f"{decodings} × ({joined})" if nj > 1 else f"{decodings}", 7: f"{decodings} + 1",
            8: f"{students}"}  # fmt: skip
    each = ceil(gpus / nodes)
    jobs[5] = f"{students} × {counted(nodes, 'node')} of {counted(each, 'GPU')}" if gpus else f"{students}"
    rows, total = [], 0.0
    for cost in costs:
        spread = nj if cost.stage in (2, 3) else 1  # jobs over which the work of cores is spread
        wall = cost.device_hours / max(gpus, 1) + (cost.core_hours - cost.joining_hours) / spread + cost.joining_hours
        wall /= cost.at_a_time if elsewhere else 1
        total += wall
        kinds = [kind for kind in KINDS if any(kind in basis for basis in cost.rests_on)]
        rows.append(
            [f"{cost.stage} {NAMES[cost.stage - 1]}", jobs[cost.stage], duration(wall), space(cost.gigabytes),
             f"{ceil(cost.memory):,} GB", ", ".join(kinds)]
        )  # fmt: skip
    rows.append(["in all", "", duration(total), space(sum(cost.gigabytes for cost in costs)), "", ""])
    machines = f"{counted(gpus, 'GPU')} at a time" if gpus else "no GPU, two cores at a time"
    machines += f" for each of {counted(plan.side_by_side, 'student')}" if elsewhere and plan.side_by_side > 1 else ""
    speech = audio_length(plan.train_hours * 3600)
    title = f"{speech} of recordings, teacher {plan.teacher}, validator {' '.join(plan.validators)}, {machines}"
    return Table(title, "", ["stage", "jobs", "time", "disk", "memory of a job", "basis of the estimate"], rows)


def run(args: argparse.Namespace) -> int:
    check(args)
    plan = plan_of(args)
    costs = [cost for cost in estimate(plan) if args.stage <= cost.stage <= args.stop_stage]
    print(table_of(plan, costs, args.gpus_per_node, args.elsewhere).text(), end="")
    if plan.jobs > 1:
        jobs = f"{plan.jobs} + 1 jobs: an array of {plan.jobs}, then one that joins their results"
        print(f"Waiting in a queue is not counted. {jobs}.")
    if unknown := [name for name in (plan.teacher, *plan.validators) if published_size(name) is None]:
        print(f"Of unknown size, counted as tiny: {', '.join(dict.fromkeys(unknown))}.")
    if not args.trial and not args.speeds:
        print("For measured speeds, run a trial on a few hours and give --trial.")
    if args.explain:
        print(f"\n{LEGEND}")
        for cost in costs:
            print(f"\nStage {cost.stage}, {cost.summary}\n" + "\n".join(f"  {basis}" for basis in cost.rests_on))
    else:
        training = "".join(f"{cost.summary[:1].upper()}{cost.summary[1:]}; " for cost in costs if cost.stage == TRAIN)
        print(f"{training}--explain says where each figure comes from.")
    return 0


main = command(parser, run)
