"""Measure how far the validator's text of each chunk is from the teacher's.

    k2d distance --teacher data/lectures_teacher/text --validator exp/lectures_teacher/decode_base/text \\
        --output_dir exp/lectures_teacher/base

Reads two Kaldi text files sorted by id, with or without timestamp tokens, and writes into --output_dir

    utt2mer utt2per utt2comp           δ_MER, δ_PER, δ_comp (six decimals)
    utt2loop_teacher utt2loop_aux      1 if the text loops
    utt2blank_aux                      1 if the validator's text is blank
    utt2…                              further signals (k2d/label/signals.py; --signals)
    text, utt2avg_logprob …            the validator's text and the facts of its decoding, linked
    unpaired.txt                       ids in only one of the texts, and in which
    summary.json                       counts, kept share by α, the choices of the distance

An interrupted run resumes with the same command and gives the same tables. Invalid UTF-8, duplicate ids and unsorted
files are errors, reported with file and line; an id in only one of the texts gets no distance and a line in
unpaired.txt. Empty texts follow --empty; emoji and control characters separate words; right-to-left words count as
words; a pair may have up to 850,000 characters. If a log-probability or duration is missing or NaN, the tables that
need it have no line.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.errors import UsageError
from k2d.label import signals, speech
from k2d.label.distance import Choices, with_options
from k2d.label.measure import OF_CHUNKS, measure
from k2d.label.pairs import Asked
from k2d.label.scores import FACT_TABLES
from k2d.options import BOOLEAN, CommandParser, add_options, command, options_of
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 3)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("distance", __doc__)
    p.add_argument("--teacher", required=True, help="Kaldi text file of pseudo-labels Ŷ")
    p.add_argument("--validator", required=True, help="Kaldi text file of validator transcripts V̂")
    p.add_argument("--output_dir", required=True, help="directory to write")
    p.add_argument("--paper", action="store_true", help="make every choice as in the paper and its code")
    p.add_argument("--n", type=int, help="length of the n-grams that tell a loop (default 6)")
    p.add_argument("--c", type=int, help="a text loops if an n-gram occurs more than c times (default 5)")
    p.add_argument(
        "--reference", choices=("validator", "teacher", "symmetric"), help="whose length divides (default validator)"
    )
    p.add_argument("--fold_script", help="Traditional and Simplified count as equal (default true)", **BOOLEAN)
    p.add_argument("--fold_usage", help="so do 妳 and 你, 甚麼 and 什麼 (k2d/text/variants.tsv)", **BOOLEAN)
    p.add_argument("--tones", help="tones count as phonemes", **BOOLEAN)
    p.add_argument("--g2p", help="pronounce unknown words by rules (default true; --paper: false)", **BOOLEAN)
    p.add_argument(
        "--empty",
        choices=("agree", "one", "zero", "paper"),
        help="distance to an empty reference (default agree; --paper: paper)",
    )
    p.add_argument("--drop_blank", help="a blank validator text is invalid (--paper: true)", **BOOLEAN)
    p.add_argument("--signals", default="text", help="further signals: text, all, none, or names with commas")
    p.add_argument(
        "--captions", action="append", default=[], help="file of captions of silence, one per line; may be given again"
    )
    p.add_argument("--data", help="chunk data directory: durations, and audio for the signal 'untexted'")
    p.add_argument("--vad", choices=speech.DETECTORS, default="auto", help="voice activity for 'untexted'")
    add_options(p, AudioOptions)
    p.add_argument("--max_unpaired", type=int, help="fail if more ids than this are in only one of the two texts")
    p.add_argument("--nj", type=int, default=1, help="processes")
    add_step_arguments(p)
    return p


def _signals(names: str, data: str | None) -> tuple[str, ...]:
    """The signals that --signals asks for."""
    known = signals.SIGNALS
    if names == "none":
        return ()
    wanted = known[:-1] if names == "text" else known if names == "all" else tuple(names.split(","))
    for name in wanted:
        if name not in known:
            raise UsageError(f"--signals {name}: expected text, all, none or some of {', '.join(known)}")
    if "untexted" in wanted and data is None:
        raise UsageError("--signals untexted: give the chunks' audio with --data DIR")
    return wanted


def check(args: argparse.Namespace) -> tuple[Choices, tuple[str, ...]]:
    """What is to be computed, and how. Raises UsageError for options that do not fit, DataError for
    captions that cannot be read.
    """
    names = ("n", "c", "reference", "fold_script", "fold_usage", "tones", "empty", "drop_blank")
    try:
        choices = with_options(args.paper, fallback=args.g2p, **{name: getattr(args, name) for name in names})
    except ValueError as error:
        raise UsageError(str(error)) from None
    if args.captions:
        signals.read_captions(args.captions)
    return choices, _signals(args.signals, args.data)


def run(args: argparse.Namespace) -> int:
    """Score all pairs."""
    (choices, asked), audio = check(args), options_of(AudioOptions, args)
    inputs = {"teacher": identity.of_file(args.teacher), "validator": identity.of_file(args.validator)}
    inputs["decoding"] = identity.of_tables(Path(args.validator).parent, *FACT_TABLES)
    options = {"choices": asdict(choices), "signals": asked}
    for number, path in enumerate(args.captions, 1):
        inputs[f"captions {number}"] = identity.of_file(path)
    if "untexted" in asked:
        inputs["data"] = identity.of_data(args.data, *OF_CHUNKS, "segments")
        options |= {"vad": args.vad, **audio.decides(inputs["data"].commands)}
    elif args.data:
        inputs["data"] = identity.of_tables(args.data, *OF_CHUNKS)
    step = Step("distance", args.output_dir, inputs=inputs, options=options, arguments=vars(args))
    what = Asked(choices, asked, signals.read_captions(args.captions), args.data, args.vad, audio)
    files = (args.teacher, args.validator)
    return run_step(step, args.begin, lambda: measure(*files, what, step.out, args.nj, args.max_unpaired))


main = command(parser, run)
