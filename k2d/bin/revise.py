"""Replace doubtful labels with transcripts of the same chunks by other models.

    k2d revise --data CHUNKS --transcripts exp/…/decode_student exp/…/decode_validator --output_dir DIR

For every chunk, the label and the transcripts are compared with each other, and the one with the least expected number
of errors becomes the label: the one that the others contradict least, each weighed by the mean probability of its
tokens (k2d/label/revise.py). A chunk is dropped only if an empty transcript is chosen. The transcripts are made by
`k2d decode --timestamps true`; good ones are those of a student that was trained on the labels, of the teacher's second
decoding, and of the validator. No reference is read.

A step: writes a data directory, and sources.tsv, which says where each label is from. `text.prev` is made of the
revised labels. Scores of the decoder (utt2avg_logprob …) are those of the chosen transcript; a table of them that one
of the directories lacks is left out, and so are the trusted segments and weights of a selection, which are of the old
labels.
"""

import argparse
from pathlib import Path

from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.label.revise import OWN, write_revised
from k2d.options import CommandParser, command
from k2d.wording import counted
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 2.5)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("revise", __doc__)
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument(
        "--transcripts", required=True, nargs="+", type=Path, metavar="DIR", help="of the same chunks, by other models"
    )
    p.add_argument("--output_dir", required=True, type=Path, help="data directory to write")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    names = [path.name for path in args.transcripts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--transcripts: two directories are called {twice}; give each once, under a name of its own")
    if taken := next((path for path in args.transcripts if path.name in ("", "..", "data", OWN)), None):
        raise UsageError(f"--transcripts {taken}: labels from there need another name; rename the directory")
    if args.output_dir.absolute() == Path(args.data).absolute():
        raise UsageError(f"--output_dir {args.output_dir} is the directory to revise; choose another")


def run(args: argparse.Namespace) -> int:
    check(args)
    inputs = {"data": identity.of_data(args.data)}
    inputs |= {path.name: identity.of_tables(path) for path in args.transcripts}
    step = Step("revise", args.output_dir, inputs=inputs, options={}, arguments=vars(args))

    def work() -> dict:
        found = write_revised(args.output_dir, DataDir(args.data), args.transcripts)
        left_out = found.pop("", 0)
        print("revise: labels from " + ", ".join(f"{name} {number:,}" for name, number in found.most_common()), end="")
        print(f"; {counted(left_out, 'chunk')} left out, where nobody seems to speak" if left_out else "")
        return {"labels": dict(found), "left_out": left_out}

    return run_step(step, args.begin, work)


main = command(parser, run)
