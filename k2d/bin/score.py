"""Score transcripts against references: error rates with intervals.

    k2d score --ref data/test_in/text --hyp exp/teacher/decode_test_in/text \\
        --output_dir exp/teacher/decode_test_in/score

Reads two Kaldi text files, with one text per utterance or per recording. A step: writes into --output_dir result.json
(all rates, counts and named ids; rates are fractions), utt2mer, utt2errors, utt2units, utt2recording, align.txt (every
error, worst utterance first), and aligned.jsonl (every text aligned, for the report's page). With --data, the test
set's directory, the bootstrap resamples utterances of one recording together. --compare DIR, a directory with another
system's `text` of the same set, adds a paired bootstrap test of the difference in MER.
"""

import argparse
import sys
from pathlib import Path

from k2d.errors import UsageError
from k2d.options import CommandParser, command, options_of, parse_seed
from k2d.score import significance
from k2d.score.tables import interval
from k2d.wording import counted
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, looks_only, run_step

LISTED = ("results", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("score", __doc__)
    p.add_argument("--ref", required=True, help="reference text file")
    p.add_argument("--hyp", required=True, help="hypothesis text file; timestamp tokens are removed")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument(
        "--data", help="data directory of the references; its segments say of which recording each utterance is"
    )
    p.add_argument(
        "--segments_from",
        metavar="DIR",
        help="data directory whose segments give the place of each reference utterance; the references of a recording "
        "are joined before long-form hypotheses are scored",
    )
    p.add_argument(
        "--fold_usage",
        action="store_true",
        help="do not count regional variants as errors (妳 and 你, 甚麼 and 什麼 … of k2d/text/variants.tsv)",
    )
    p.add_argument("--compare", metavar="DIR", help="directory with another system's `text`: paired bootstrap test")
    p.add_argument("--bootstrap", type=int, default=significance.SAMPLES, help="bootstrap samples")
    p.add_argument("--seed", type=parse_seed, default=0, help="seed of the bootstrap draws")
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
    options = {"bootstrap": args.bootstrap, "seed": args.seed, "fold_usage": args.fold_usage}
    step = Step("score", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    if not step.done and not looks_only():  # before what other tables gave is moved aside
        from k2d.score.scoring import ScoreOptions, refuse_learnt, refuse_never_decoded, scored_by

        scoring = options_of(ScoreOptions, args)
        refuse_learnt(args.ref, scored_by(scoring))
        refuse_never_decoded(scoring)

    def work() -> dict:
        from k2d.score.scoring import ScoreOptions, score_files

        scored = score_files(args.output_dir, options_of(ScoreOptions, args))
        score, result = scored.score, scored.result
        texts, missing = len(score.utterances), result["missing"]
        if missing:
            print(
                f"score: no hypothesis for {len(missing)} of {counted(texts, 'reference')}, counted as deleted: "
                f"{', '.join(missing[:10])}{' …' if len(missing) > 10 else ''}",
                file=sys.stderr,
            )
        total, languages, ends = score.total, score.by_language, result["confidence_interval"]
        around = interval(ends["low"], ends["high"], percent)
        repetitions, empty = result["repetitions"]["windows"], len(result["empty"])
        print(
            f"score: {args.hyp}: MER {percent(total.rate)}{around}, {counted(texts, 'text')}, "
            f"{counted(total.units, 'unit')}, S {total.substitutions} I {total.insertions} D {total.deletions}; "
            f"zh CER {percent(languages['zh'].rate)}, en WER {percent(languages['en'].rate)}, "
            f"switch points {percent(score.at_switch_points.rate)}; "
            f"{counted(repetitions, 'repetition')}, {empty} empty, {len(missing)} missing"
        )
        if scored.other is not None:
            verdict = "fewer than two recordings, no test can be made"
            if scored.comparison:
                verdict = scored.comparison.in_points
            print(f"score: against {args.compare} ({percent(scored.other.total.rate)}): {verdict}")
        return {"mer": result["mer"]["rate"]}

    return run_step(step, args.begin, work)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


main = command(parser, run)
