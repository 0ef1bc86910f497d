"""Score transcripts against references: error rates with intervals.

    k2d score --ref data/test_in/text --hyp exp/teacher/decode_test_in/text \\
        --output_dir exp/teacher/decode_test_in/score

Reads two Kaldi text files (one text an utterance, or one a recording). A step: writes into --output_dir result.json
(all rates, counts and named ids; rates are fractions), utt2mer, utt2errors, utt2units, utt2recording, align.txt (every
error, worst utterance first), and aligned.jsonl (every text aligned, for the report's page). --data, the test set's
directory, tells by its segments which texts are of one recording: intervals draw them together. --compare DIR, a
directory with another system's `text` of the same set, adds a paired bootstrap test of the difference in MER.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from k2d.constants import read_chunk_id
from k2d.datadir import read_segments
from k2d.errors import UsageError
from k2d.options import CommandParser, command
from k2d.score import significance
from k2d.score.scored import RESULT, TextCounts, write_counts
from k2d.score.tables import interval
from k2d.tables import atomic, read_table, write_numbers
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("results", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("score", __doc__)
    p.add_argument("--ref", required=True, help="reference text file")
    p.add_argument("--hyp", required=True, help="hypothesis text file; timestamp tokens are removed")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--data", help="data directory of the references; its segments give the recording of each utterance")
    p.add_argument(
        "--segments_from",
        help="data directory whose segments tell where each reference utterance lies: references are "
        "joined to one text a recording before scoring long-form hypotheses",
    )
    p.add_argument(
        "--fold_usage",
        action="store_true",
        help="regional variants are not errors (妳 and 你, 甚麼 and 什麼 … of k2d/text/variants.tsv)",
    )
    p.add_argument("--compare", help="directory with another system's `text`: paired bootstrap test")
    p.add_argument("--bootstrap", type=int, default=significance.SAMPLES, help="resamples (default %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap draws")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if args.bootstrap < 1:
        raise UsageError(f"--bootstrap {args.bootstrap}: expected at least one draw")


def run(args: argparse.Namespace) -> int:
    check(args)
    inputs = {"ref": identity.of_file(args.ref), "hyp": identity.of_file(args.hyp)}
    if args.segments_from:
        inputs["segments"] = identity.of_tables(args.segments_from, "segments")
    if args.data:
        inputs["recordings"] = identity.of_tables(args.data, "segments")
    if args.compare:
        inputs["compare"] = identity.of_file(Path(args.compare) / "text")
    step = Step(
        "score",
        args.output_dir,
        inputs=inputs,
        options={"bootstrap": args.bootstrap, "seed": args.seed, "fold_usage": args.fold_usage},
        arguments=args,
    )
    return run_step(step, args, lambda: work(args))


def recordings_of(ids: Sequence[str], data: str | None) -> list[str]:
    """The recording of each text, from the segments of a data directory, or from its id where each chunk is a file of
    its own; without --data each text is one of its own."""
    if data is None:
        return list(ids)
    path = Path(data) / "segments"
    if not path.is_file():
        return [named.recording if (named := read_chunk_id(i)) else i for i in ids]
    segments = read_segments(path)
    # References that --segments_from joined are recordings already.
    return [segments[i].recording if i in segments else i for i in ids]


def work(args: argparse.Namespace) -> dict:
    from k2d.datadir import DataDir
    from k2d.score.align_text import corpus_text
    from k2d.score.aligned import ALIGNED, write_aligned
    from k2d.score.corpus import join_by_recording, score

    references, hypotheses = read_table(args.ref), read_table(args.hyp)
    if args.segments_from:
        references = join_by_recording(references, DataDir(args.segments_from).segments)
    scored = score(references, hypotheses, fold_usage=args.fold_usage, progress=sys.stderr.isatty())
    ids = [u.id for u in scored.utterances]
    recordings = recordings_of(ids, args.data)
    result = scored.as_dict(recordings, samples=args.bootstrap, seed=args.seed)
    other = comparison = None
    if args.compare:
        other = score(references, read_table(Path(args.compare) / "text"), fold_usage=args.fold_usage)
        comparison = significance.compare(
            scored.errors, other.errors, scored.units, recordings, samples=args.bootstrap, seed=args.seed
        )
        result["comparison"] = {"with": args.compare, **(comparison.__dict__ if comparison else {})}
    write_numbers(args.output_dir / "utt2mer", {u.id: u.rate for u in scored.utterances})
    by_text = (dict(zip(ids, values, strict=True)) for values in (scored.errors, scored.units, recordings))
    write_counts(args.output_dir, TextCounts(*by_text))
    with atomic(args.output_dir / "align.txt") as out:
        out.write(corpus_text(scored))
    write_aligned(args.output_dir / ALIGNED, scored, references, hypotheses)
    write_json(args.output_dir / RESULT, result)

    total, ends, missing = scored.total, result["confidence_interval"], result["missing"]
    if missing:
        print(
            f"score: {len(missing)} of {len(ids)} references have no hypothesis and count as deleted: "
            f"{', '.join(missing[:10])}{' …' if len(missing) > 10 else ''}",
            file=sys.stderr,
        )
    around = interval(ends["low"], ends["high"], percent)
    languages = scored.by_language
    repetitions, empty = result["repetitions"]["windows"], len(result["empty"])
    print(
        f"score: {args.hyp}: MER {percent(total.rate)}{around}, {len(ids)} texts, {total.units} units, "
        f"S {total.substitutions} I {total.insertions} D {total.deletions}; "
        f"zh CER {percent(languages['zh'].rate)}, en WER {percent(languages['en'].rate)}, "
        f"switch points {percent(scored.at_switch_points.rate)}; "
        f"{repetitions} repetitions, {empty} empty, {len(missing)} missing"
    )
    if other is not None:
        verdict = "fewer than two recordings, no test can be made"
        if comparison:
            verdict = comparison.in_points
        print(f"score: against {args.compare} ({percent(other.total.rate)}): {verdict}")
    return {"mer": result["mer"]["rate"]}


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


main = command(parser, run)
