"""Inspect and listen to labels: a page with a slider for α.

    k2d explore --data CHUNKS --scores SCORES --output_dir DIR
    k2d explore --data CHUNKS --scores SCORES --output_dir DIR --reference data/lectures/reference
    k2d explore --data CHUNKS --scores SCORES --output_dir DIR --audit data/audited

A step. Writes explorer.html, a single file that works offline: kept speech against α, distributions, chunks around the
threshold with the differences between the two transcripts, audio and spectrogram. With references (a text file of chunk
ids, or a directory with segments and text of the recordings; for analysis only), or with --audit, chunks corrected by a
person (k2d audit), it adds precision, recall, ROC and AUC with bootstrap intervals, and detection.json and
detection.md.
"""

import argparse
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.explore.references import audited_texts
from k2d.label.rule import check_alpha
from k2d.label.scores import find_scores, tagged
from k2d.options import CommandParser, add_options, command, options_of, parse_seed
from k2d.wording import counted
from k2d.work import identity
from k2d.work.folders import size_in_words
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 5)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("explore", __doc__)
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument("--scores", action="append", required=True, help="DIR or TAG=DIR; may be given again")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--alpha", type=float, default=0.4, help="initial α")
    p.add_argument("--per_stratum", type=int, default=20, help="chunks to sample from each tenth of the distance")
    p.add_argument("--audio_mb", type=float, default=20.0, help="audio and spectrograms in a page, megabytes")
    p.add_argument("--reference", help="text file of chunk ids, or directory with segments and text")
    p.add_argument("--bad_above", type=float, default=0.4, metavar="MER", help="true MER above which a label is bad")
    p.add_argument("--audit", metavar="DIR", help="data directory made from these chunks by k2d audit")
    p.add_argument("--title", help="title of the page (default: the data directory's name)")
    add_options(p, AudioOptions)
    p.add_argument("--seed", type=parse_seed, default=0, help="seed of the sample")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if args.audit:
        if args.reference:
            raise UsageError("give one of --reference and --audit")
        audited_texts(args.audit)
    tagged(args.scores)
    check_alpha(args.alpha)


def run(args: argparse.Namespace) -> int:
    check(args)
    if args.audit:
        args.reference = str(audited_texts(args.audit))
    scores = tagged(args.scores)
    inputs = {
        "data": identity.of_data(args.data),
        **{f"scores {tag}": identity.of_tables(folder) for tag, folder in scores.items()},
    }
    if args.reference:
        folder = Path(args.reference).is_dir()
        of_folder = identity.of_tables(args.reference, "segments", "text") if folder else None
        inputs["reference"] = of_folder or identity.of_file(args.reference)
    names = ("alpha", "per_stratum", "audio_mb", "bad_above", "title", "seed", "damaged")
    options = {name: getattr(args, name) for name in names}
    step = Step("explore", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> None:
        from k2d.explore.explorer import Page, write_page

        data, page = DataDir(args.data), options_of(Page, args, audio=options_of(AudioOptions, args))
        size, analysis, clips = write_page(args.output_dir, data, find_scores(data, scores), page)
        found = "" if analysis is None else f", {analysis['bad']} of {counted(analysis['chunks'], 'judged label')} bad"
        print(f"explore: {args.output_dir / 'explorer.html'} ({size_in_words(size)}){found}", file=sys.stderr)
        if clips.unreadable:
            silent = counted(clips.unreadable, "sampled chunk")
            print(f"explore: no sound for {silent}: {clips.reason}", file=sys.stderr)

    return run_step(step, args.begin, work)


main = command(parser, run)
