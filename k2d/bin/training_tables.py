"""Write the tables for one training: labels and the location of their audio.

    k2d training_tables --data data/lectures_teacher_comp --valid_data data/dev --output_dir exp/student_comp/data

Writes text, text.prev, text.trusted, utt2weight, frames_shape (ESPnet's shape file) and wav.scp with segments, or
encoder_out.scp; with --teacher_topk topk_ids.scp and topk_log_probs.scp; and the same of the validation set in
`valid/`. `k2d train --tables` takes all of it. Several --encoder_out are versions of the same audio (clean, with noise,
…): each utterance appears once per version, as <id>, <id>+1, <id>+2 …, always with the label and the teacher of <id>.

What training cannot use is left out and listed in skipped.txt. The validation set is read completely; in the training
set, missing files and audio above 30 s whose label has no timestamp to cut at are left out.
"""

import argparse
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.options import CommandParser, add_options, command, options_of
from k2d.tables import WEIGHT
from k2d.work import identity
from k2d.work.skipped import SkipOptions
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 4)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("training_tables", __doc__)
    p.add_argument("--data", required=True, type=Path, help="data directory of the selected chunks")
    p.add_argument("--valid_data", type=Path, help="labelled set that chooses the epoch")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--leave_out", type=Path, help="data directory of chunks to exclude from --data")
    p.add_argument(
        "--encoder_out", type=Path, nargs="*", default=[], help="outputs of k2d encode, versions of the same audio"
    )
    p.add_argument("--valid_encoder_out", type=Path, help="output of k2d encode for --valid_data")
    p.add_argument("--teacher_topk", type=Path, help="output of k2d cache_teacher")
    add_options(p, AudioOptions)
    add_options(p, SkipOptions)
    add_step_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    from k2d.distill.training_tables import AUDIO, LABELS, Wanted, write

    inputs = {"data": identity.of_data(args.data, *AUDIO, *LABELS, WEIGHT, "utt2dur")}
    if args.valid_data:
        inputs["valid_data"] = identity.of_data(args.valid_data, *AUDIO, "text", "utt2dur")
    if args.leave_out:
        inputs["leave_out"] = identity.of_tables(args.leave_out, "text")
    for version, folder in enumerate(args.encoder_out):
        inputs[f"encoder_out{version}"] = identity.of_step(folder)
    for name in ("valid_encoder_out", "teacher_topk"):
        if getattr(args, name):
            inputs[name] = identity.of_step(getattr(args, name))
    audio = options_of(AudioOptions, args)
    decides = audio.decides(any(one.commands for one in inputs.values()))
    step = Step("training_tables", args.output_dir, inputs=inputs, options=decides, arguments=vars(args))
    wanted = options_of(Wanted, args)
    return run_step(step, args.begin, lambda: write(wanted, args.output_dir, audio, args.max_skipped))


main = command(parser, run)
