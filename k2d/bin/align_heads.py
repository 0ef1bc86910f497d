"""Find the heads of a student's attention that tell when a word is said.

    k2d align_heads --model exp/student_comp/average --data data/lectures_comp --output_dir exp/student_comp/heads \\
        [--encoder_out DIR]

The teacher's labels say when segments begin and end. Each head of each layer of the decoder aligns the same texts with
their audio, and is scored by how far off it finds the tokens from where they would be if all tokens of a segment were
equally long; then heads are put together, one more as long as the error falls. Half of the chunks choose; of the other
half are the errors that are printed, beside those of what one would guess: all heads of the last layer, or of the upper
half of the layers. If they do not beat the better guess clearly (by twice the standard error), it is taken in their
place, so nobody's word times become worse.

A step: writes alignment_heads.json, in the folder `heads` of a student, where every command that loads the student
finds it; `k2d publish` writes the heads into all forms. Where labels have no times, or too few, it says so and takes
the upper half, as openai-whisper does.
"""

import argparse
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
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
    p.add_argument("--encoder_out", type=Path, help="output of the same encoder (k2d encode), read instead of audio")
    p.add_argument("--chunks", type=int, default=24, help="how many to look at, evenly spaced (default %(default)s)")
    p.add_argument("--language", default="zh", help="that the student decodes in")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …")
    add_options(p, AudioOptions, "recordings")
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
    step = Step(
        "align_heads",
        args.output_dir,
        inputs=inputs,
        options={"chunks": args.chunks, "language": args.language, **audio.reading},
        arguments=args,
    )

    def work() -> dict:
        from k2d.distill.student_heads import choose_heads, examples_of
        from k2d.whisper import checkpoint

        student = checkpoint.load(args.model, device=args.device)
        examples = examples_of(student, DataDir(args.data), args.chunks, args.encoder_out, audio)
        facts, more = choose_heads(student, examples, args.language, args.data)
        write_json(args.output_dir / HEADS.name, {"model": inputs["model"].digest, **facts, **more})
        return facts

    return run_step(step, args, work)


main = command(parser, run)
