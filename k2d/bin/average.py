"""Average the best epochs of a training into one model.

    k2d average --exp exp/student_comp/train --init exp/student_comp/init --output_dir exp/student_comp/average

Averages the weights of the --nbest epochs with the best `valid <criterion>` and writes a checkpoint of the Whisper
family. --init_weight W includes the initial model in the average, with the weight W, against forgetting (Wortsman et
al., 2022, "Robust fine-tuning of zero-shot models").
"""

import argparse
from pathlib import Path

from k2d.errors import UsageError
from k2d.options import CommandParser, command
from k2d.whisper.identity import model_identity
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 6)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("average", __doc__)
    p.add_argument("--exp", required=True, type=Path, help="output of k2d train")
    p.add_argument("--init", required=True, metavar="MODEL", help="the checkpoint that training started from")
    p.add_argument("--output_dir", required=True, type=Path, help="checkpoint to write")
    p.add_argument("--nbest", type=int, default=3, help="epochs to average")
    p.add_argument(
        "--criterion", default="loss", help="validation statistic that ranks the epochs, such as ce or loss"
    )
    p.add_argument(
        "--mode",
        choices=["min", "max"],
        default="min",
        help="whether the smallest or the largest value is the best",
    )
    p.add_argument("--init_weight", type=float, default=0.0, help="weight of the initial model, 0 to 1")
    p.add_argument("--half", action="store_true", help="store float16")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if not 0 <= args.init_weight < 1:
        raise UsageError(f"--init_weight {args.init_weight}: expected a number from 0 (not at all) to below 1")
    if args.nbest < 1:
        raise UsageError(f"--nbest {args.nbest}: expected at least 1 epoch")


def run(args: argparse.Namespace) -> int:
    check(args)
    trained, init = identity.of_step(args.exp), model_identity(args.init)
    started = identity.record_in(args.exp).get("inputs", {}).get("student", {})
    if started.get("digest") != init.digest:
        raise UsageError(
            f"--init {args.init}: {args.exp} was not trained from it but from {started.get('path', 'something else')}, "
            "or it has changed since; give the model that training started from"
        )
    options = {name: getattr(args, name) for name in ("nbest", "criterion", "mode", "init_weight", "half")}
    inputs = {"exp": trained, "init": init}
    step = Step("average", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> dict:
        from k2d.distill.average import average

        return average(args.exp, args.init, args.output_dir, **options)

    return run_step(step, args.begin, work)


main = command(parser, run)
