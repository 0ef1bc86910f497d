"""Build a student: the teacher's encoder and some of its decoder layers.

    k2d init_student --teacher exp/teacher --output_dir exp/student_comp/init

Default as in the paper: the teacher's whole encoder and its decoder's first and last layer. With `--init MODEL` the
student starts as that model instead (any form k2d reads); with a teacher of the Whisper family it must share its
vocabulary and features, and with --same_encoder its encoder must be the teacher's.
"""

import argparse
from pathlib import Path

from k2d.distill.layers import check_choice
from k2d.errors import UsageError
from k2d.options import CommandParser, command
from k2d.transcribers import kind_of
from k2d.whisper.identity import check_name, model_identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("init_student", __doc__)
    p.add_argument("--teacher", required=True, help="model to take layers of: folder, file, published name or Hub id")
    p.add_argument("--output_dir", required=True, type=Path, help="checkpoint to write")
    p.add_argument("--init", metavar="MODEL", help="start from this model, as it is, instead of the teacher's layers")
    p.add_argument("--same_encoder", action="store_true", help="refuse --init with another encoder than the teacher's")
    p.add_argument("--decoder_layers", help="all, spaced:N, or a list: first,last (the default) or 0,3,7")
    p.add_argument("--encoder_layers", help="as --decoder_layers (default all)")
    p.add_argument("--mix_languages", help="codes such as zh,en: the first token's embedding becomes their mean")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if args.init and (args.decoder_layers or args.encoder_layers):
        raise UsageError("--init takes a model as it is: leave out --decoder_layers and --encoder_layers")
    for choice in layers_of(args).values():
        check_choice(choice)
    for model in (args.teacher, args.init):
        if model and kind_of(model) == "whisper":
            check_name(model)
    if kind_of(args.teacher) != "whisper" and (not args.init or args.same_encoder):
        raise UsageError(
            f"--teacher {args.teacher}: it has no layers of the Whisper family to build a student from; name a model "
            "by --init, without --same_encoder"
        )


def layers_of(args: argparse.Namespace) -> dict[str, str]:
    """Which of the teacher's layers the student takes over."""
    return {"decoder_layers": args.decoder_layers or "first,last", "encoder_layers": args.encoder_layers or "all"}


def run(args: argparse.Namespace) -> int:
    check(args)
    teacher = args.teacher if kind_of(args.teacher) == "whisper" else None
    inputs = {"teacher": model_identity(teacher)} if teacher else {}
    if args.init:
        inputs["init"] = model_identity(args.init)
    layers = {} if args.init else layers_of(args)
    options = {**layers, "mix_languages": args.mix_languages}
    step = Step("init_student", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> dict:
        from k2d.distill.student import make_student

        languages = args.mix_languages.split(",") if args.mix_languages else ()
        return make_student(teacher, args.output_dir, args.init, layers, args.same_encoder, languages)

    return run_step(step, args.begin, work)


main = command(parser, run)
