"""Make a data directory from labelled speech in the formats of Lhotse, NeMo or Hugging Face.

    k2d import_labels --labels cuts.jsonl.gz --output_dir data/train
    k2d import_labels --labels downloaded/data --output_dir data/train

--labels is a file of JSON lines (NeMo's manifest, Lhotse's MonoCuts; .gz too), a .parquet file, or a folder of these. A
step: writes wav.scp, text, and, if known, segments and utt2spk. Audio files are not copied; audio in parquet is written
to audio/ as 16 kHz FLAC. Times of segments become timestamp tokens in `text`. For recordings that already have a data
directory, `k2d label --model text:FILE` reads the same files.
"""

import argparse
import sys
from pathlib import Path

from k2d.corpus.manifests import files_of, import_entries
from k2d.errors import DataError
from k2d.options import CommandParser, command
from k2d.wording import counted
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", -0.5)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("import_labels", __doc__)
    p.add_argument(
        "--labels", required=True, type=Path, help="a .jsonl, .jsonl.gz or .parquet file, or a folder of them"
    )
    p.add_argument("--output_dir", required=True, type=Path, help="data directory to write")
    add_step_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    files = files_of(args.labels) if args.labels.exists() else []
    if not files:
        if (args.labels / "wav.scp").is_file():
            raise DataError(f"{args.labels}: is a data directory already; use it as it is, as data/<set> of a recipe")
        raise DataError(
            f"{args.labels}: nothing to read there; expected a .jsonl or .parquet file, or a folder of these"
        )
    inputs = {file.name: identity.of_file(file) for file in files}
    step = Step("import_labels", args.output_dir, inputs=inputs, options={}, arguments=vars(args))

    def work() -> dict:
        count, bad, again = import_entries(args.labels, args.output_dir)
        for error in list(dict.fromkeys(map(str, bad)))[:10]:
            print(f"import_labels: left out: {error}", file=sys.stderr)
        print(f"import_labels: {args.output_dir}: {counted(count, 'utterance')}, {len(bad)} left out")
        return {"utterances": count, "left_out": len(bad), "again": again}

    return run_step(step, args.begin, work)


main = command(parser, run)
