"""Find the heads of a student's attention that tell when a word is said.

    k2d align_heads --model exp/student_comp/average --data data/lectures_comp --output_dir exp/student_comp/heads

The labels say when segments begin and end. Each head of the decoder aligns the labels with their audio; its error is
the distance of its token times from those that the tokens would have if all tokens of a segment were equally long.
Heads are then added one by one as long as the error falls. One half of the chunks chooses the heads; the printed errors
are from the other half, beside those of two guesses: all heads of the last layer, and of the upper half of the layers.
If the choice does not clearly beat the better guess (by twice the standard error), that guess is taken.

A step: writes alignment_heads.json. In the student's folder `heads`, every command that loads the student finds it, and
`k2d publish` writes the heads into all formats. If too few labels have times, the heads of the upper half are taken, as
in openai-whisper.
"""

import argparse
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.distill.config import OnDevice
from k2d.errors import UsageError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.text.trusted import TRUSTED
from k2d.whisper.identity import HEADS, check_name, model_identity
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 7)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("align_heads", __doc__)
    p.add_argument("--model", required=True, help="the student's checkpoint, any that k2d reads")
    p.add_argument("--data", required=True, type=Path, help="chunks with labels that have timestamps")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--encoder_out", type=Path, help="output of k2d encode with the same encoder, read instead of audio")
    p.add_argument("--chunks", type=int, default=24, help="chunks to use, evenly spaced")
    p.add_argument("--language", default="zh", help="language that the student decodes in")
    add_options(p, OnDevice)
    add_options(p, AudioOptions)
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    check_name(args.model)
    if args.chunks < 2:
        raise UsageError(f"--chunks {args.chunks}: expected at least 2, one to choose by and one to look at")


def run(args: argparse.Namespace) -> int:
    check(args)
    audio = options_of(AudioOptions, args)
    inputs = {"model": model_identity(args.model)}
    if args.encoder_out:
        inputs["data"] = identity.of_tables(args.data, "text", TRUSTED)
        inputs["encoder_out"] = identity.of_step(args.encoder_out)
    else:
        inputs["data"] = identity.of_data(args.data, "wav.scp", "segments", "text", TRUSTED)
    options = {"chunks": args.chunks, "language": args.language, **audio.decides(inputs["data"].commands)}
    step = Step("align_heads", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> dict:
        from k2d.distill.student_heads import choose_heads, examples_of
        from k2d.whisper import checkpoint

        student = checkpoint.load(args.model, device=args.device)
        examples = examples_of(student, DataDir(args.data), args.chunks, args.encoder_out, audio)
        facts, more = choose_heads(student, examples, args.language, args.data)
        write_json(args.output_dir / HEADS.name, {"model": inputs["model"].digest, **facts, **more})
        return facts

    return run_step(step, args.begin, work)


main = command(parser, run)
