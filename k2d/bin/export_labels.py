"""Write labels in the formats of other programs: Kaldi, Lhotse, NeMo, Hugging Face.

    k2d export_labels --data data/lectures_teacher_comp --output_dir for_others
    k2d export_labels --data data/lectures_teacher_comp --output_dir for_others --forms nemo parquet

A step: writes audio/ (16 kHz FLAC), kaldi/ (a data directory), cuts.jsonl (Lhotse's CutSet), nemo.jsonl (NeMo's
manifest), parquet/ (a Hugging Face data set, audio inside). Texts are plain; times of segments are separate fields, as
are the scores of --data (utt2mer, utt2comp, …). `k2d import_labels` and --labels text:FILE read what is written here.
"""

import argparse
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.options import CommandParser, add_options, command, options_of
from k2d.publish.labels import FORMS, export
from k2d.wording import audio_length, counted
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("publish", 2)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("export_labels", __doc__)
    p.add_argument("--data", required=True, type=Path, help="data directory with labels, such as a selection's")
    p.add_argument("--output_dir", required=True, type=Path, help="folder to write")
    p.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), help="formats to write")
    add_options(p, AudioOptions)
    add_step_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    data = DataDir(args.data)
    audio = options_of(AudioOptions, args)
    inputs = {"data": identity.of_data(args.data)}
    forms = [form for form in FORMS if form in args.forms]
    options = {"forms": forms, **audio.decides(inputs["data"].commands)}
    step = Step("export_labels", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> dict:
        count, seconds, bad = export(data, open_utterances(data, **audio.reading), forms, args.output_dir)
        for error in bad[:10]:
            print(f"export_labels: left out: {error}", file=sys.stderr)
        print(
            f"export_labels: {args.output_dir}: {counted(count, 'utterance')}, {audio_length(seconds)}, "
            f"{len(bad)} left out; {', '.join(forms)}"
        )
        return {"utterances": count, "seconds": round(seconds, 2), "left_out": len(bad)}

    return run_step(step, args.begin, work)


main = command(parser, run)
