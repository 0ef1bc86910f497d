"""Hold chunks out from training when there are no labelled sets.

    k2d hold_out --data CHUNKS --scores SCORES --output_dir CHUNKS_held_out
    k2d hold_out --data CHUNKS --scores SCORES --output_dir CHUNKS_dev --kept CHUNKS_full --kept CHUNKS_comp

For corpora without transcripts. Without --kept: about a twentieth of the hours (at most one hour), by whole recordings
where they are short; `text` is the teacher's label and text.validator the validator's transcript, to measure how far a
student is from both. With --kept, the selections that are compared: of the chunks that all of them keep those with the
smallest δ_comp, a fiftieth of the hours, from ten chunks to one hour, for choosing the student's epoch.
k2d/label/hold_out.py has the rules. A step: writes a data directory, without timestamps.
"""

import argparse
from pathlib import Path

from k2d.datadir import DataDir
from k2d.label.hold_out import write_held_out
from k2d.options import CommandParser, command
from k2d.wording import audio_length, counted
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 8)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("hold_out", __doc__)
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument(
        "--scores", required=True, type=Path, metavar="DIR", help="directory of scores, with the validator's text"
    )
    p.add_argument(
        "--kept", action="append", type=Path, default=[], metavar="DIR", help="a selection; may be given again"
    )
    p.add_argument("--output_dir", required=True, type=Path, help="data directory to write")
    add_step_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    # Which recordings are held out does not depend on the scores: of these the validator's text counts.
    scores = identity.of_tables(args.scores, *([] if args.kept else ["text"]))
    inputs = {"data": identity.of_data(args.data), "scores": scores}
    inputs |= {f"kept {path.name}": identity.of_tables(path, "text") for path in args.kept}
    options = {"what": "dev" if args.kept else "recordings"}
    step = Step("hold_out", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> dict:
        chunks, seconds = write_held_out(args.output_dir, DataDir(args.data), args.scores, args.kept)
        held_out, purpose = f"{counted(chunks, 'chunk')} ({audio_length(seconds)})", "to test on"
        if args.kept:
            purpose = "with the smallest distance, to choose the epoch by"
        print(f"hold_out: held out {held_out} {purpose}: {args.output_dir}")
        return {"chunks": chunks, "seconds": round(seconds, 2)}

    return run_step(step, args.begin, work)


main = command(parser, run)
