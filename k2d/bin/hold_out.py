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

from k2d.datadir import DataDir, SubsetWriter
from k2d.label.hold_out import VALIDATOR_TEXT, hold_out_for_epochs, hold_out_recordings
from k2d.label.scores import find_scores
from k2d.options import CommandParser, command
from k2d.tables import Cursor
from k2d.text import timestamps
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 8)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("hold_out", __doc__)
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument("--scores", required=True, type=Path, help="directory of scores, with the validator's text")
    p.add_argument("--kept", action="append", type=Path, default=[], help="a selection; may be given again")
    p.add_argument("--output_dir", required=True, type=Path, help="data directory to write")
    add_step_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    inputs = {"data": identity.of_data(args.data), "scores": identity.of_tables(args.scores)}
    inputs |= {f"kept {path.name}": identity.of_tables(path, "text") for path in args.kept}
    options = {"what": "dev" if args.kept else "recordings"}
    step = Step("hold_out", args.output_dir, inputs=inputs, options=options, arguments=args)
    return run_step(step, args, lambda: work(args))


def work(args: argparse.Namespace) -> dict:
    data = DataDir(args.data)
    if args.kept:
        ids = hold_out_for_epochs(data, find_scores(data, {"validator": args.scores}), args.kept)
    else:
        ids = hold_out_recordings(data)
    labels = Cursor(data.path / "text")
    said = Cursor(args.scores / "text") if (args.scores / "text").is_file() else None
    seconds, durations = 0.0, data.utt2dur or {}
    texts = [name for name in data.utterance_tables() if name.startswith("text")]
    with SubsetWriter(data, args.output_dir, without=texts) as part:
        for key in ids:
            part.keep(key)
            part.write("text", key, timestamps.strip(labels.get(key) or ""))
            if said is not None:
                part.write(VALIDATOR_TEXT, key, timestamps.strip(said.get(key) or ""))
            seconds += durations.get(key, 0.0)
    what = "those with the smallest distance, to choose the epoch by" if args.kept else "held-out recordings"
    print(f"hold_out: {len(ids)} chunks, {seconds / 3600:.2f} h, {what}: {args.output_dir}")
    return {"chunks": len(ids), "seconds": round(seconds, 2)}


main = command(parser, run)
