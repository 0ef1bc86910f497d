"""Keep the chunks that a rule selects, and report what was kept.

    k2d select --data CHUNKS --scores SCORES --output_dir DIR --selection comp --alpha 0.4
    k2d select --data CHUNKS --scores SCORES --output_dir DIR --selection comp@0.2
    k2d select --data CHUNKS --scores SCORES --output_dir DIR --selection comp --keep 0.75
    k2d select --data CHUNKS --scores SCORES --output_dir DIR --rule 'comp <= 0.4 and dur >= 2'
    k2d select --data CHUNKS --scores base=ONE --scores small=OTHER --output_dir DIR \\
        --rule 'min(comp_base, comp_small) <= 0.4'

A selection is a file in conf/selections, the recipe's or the repository's, or a path. full, ngram, mer, per and comp
are the rows of the paper's table. With segment, the student learns only from the segments whose own δ_PER is at most α,
in chunks whose label does not loop; --segment_alpha does the same for any rule.

Score names are those of the files `utt2<name>` in SCORES and in CHUNKS (or `utt2<name>.scp`, `.ark`: vectors of one
number); those from the validator's decoder end in _aux. With several directories of scores, names end in the tag
(comp_base), and comp_min, comp_mean and comp_max are over all of them.

Writes the data directory of the kept chunks, dropped.tsv (id, recording, times, reason, both texts), report.json (what
was kept: hours, English, code-switching, durations, speaking rate, in all, by recording and by source directory),
report.md (the same to read); where segments are chosen also text.trusted, 1 for each segment of the label that
training learns from, else 0; with a weight also utt2weight. With weighted, or --weight for any rule, a chunk counts in
the loss as much as its label is trusted, at most 1, and is dropped where that is 0.

--keep 0.75 (or comp@keep0.75) chooses α so that three quarters of the speech are kept; where almost nothing is kept,
few.txt (too_few.txt: fewer than two chunks) says which α would keep half and three quarters. `k2d explore` shows what
every α keeps. A chunk without a score that the rule needs, or with NaN, is dropped for that reason; if this affects
more than 1 %, or a table is truncated, the command fails (--allow_missing). Unsorted, duplicate or unreadable lines are
errors, reported with file and line.
"""

import argparse
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.label.rule import (
    ALPHA,
    SelectionRule,
    check_alpha,
    check_share,
    known_selections,
    read_rule,
    read_selection,
    split_alpha,
    split_keep,
)
from k2d.label.scores import find_scores, possible_names, read_choices, tagged
from k2d.label.select import first_hours
from k2d.label.selection import Source, WantedSelection, write_selection
from k2d.options import CommandParser, command
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 7)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("select", __doc__)
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument("--scores", action="append", required=True, help="DIR or TAG=DIR; may be given again")
    p.add_argument("--output_dir", required=True, help="data directory to write")
    p.add_argument(
        "--selection", help=f"NAME, NAME@ALPHA, NAME@keepSHARE or a file; available: {', '.join(known_selections())}"
    )
    p.add_argument("--rule", help="an expression over the score names, instead of a selection")
    p.add_argument("--alpha", type=float, default=0.4, help="value of alpha in the rule")
    p.add_argument("--keep", type=float, metavar="SHARE", help="choose alpha so that this share of the speech is kept")
    p.add_argument("--segment_alpha", type=float, help="trust only segments with at most this δ_PER")
    p.add_argument("--weight", help="an expression: how much each kept chunk counts in the loss, at most 1")
    p.add_argument(
        "--combine",
        choices=("min", "mean", "max"),
        default="mean",
        help="how to combine the distances of several validators; a loop of any counts",
    )
    p.add_argument(
        "--leave_out", type=Path, action="append", default=[],
        help="data directory of chunks that are held out; may be given again",
    )  # fmt: skip
    p.add_argument("--allow_missing", action="store_true", help="accept that more than 1 % of the chunks lack a score")
    p.add_argument("--source_data", help="data directory of the recordings, for source directories in the report")
    p.add_argument("--hours", type=float, help="select from only so many hours of recordings (nested subsets)")
    p.add_argument("--recordings", help="data directory of the recordings, for their durations (--hours)")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    """Raises UsageError or RuleError for options that do not fit."""
    if (args.selection is None) == (args.rule is None):
        raise UsageError("give one of --selection and --rule")
    asked = wanted(args).selection.text
    read_rule(asked, possible_names(Path(args.data), tagged(args.scores)) | {ALPHA})
    if (args.hours is None) != (args.recordings is None):
        raise UsageError("--hours and --recordings belong together: how many hours, and the recordings they are of")
    if args.hours is not None and not args.hours > 0:
        raise UsageError(f"--hours {args.hours}: expected a number above 0")
    if Path(args.output_dir).absolute() == Path(args.data).absolute():
        raise UsageError(f"--output_dir {args.output_dir} is the directory to select from; choose another")


def wanted(args: argparse.Namespace) -> WantedSelection:
    """What is to be selected. Raises UsageError and RuleError for options that do not fit."""
    keep = args.keep if args.keep is None else check_share(args.keep)
    if args.rule is not None:
        read_rule(args.rule)
        selection, alpha = SelectionRule("rule", args.rule.strip()), None
    else:
        name, own = split_keep(args.selection)
        name, alpha = split_alpha(name)
        selection = read_selection(name)
        if (own is not None or alpha is not None) and not selection.uses_alpha:
            raise UsageError(f"--selection {args.selection}: {name} has no alpha; leave out what follows the @")
        keep = own if own is not None else keep if alpha is None else None
    alpha = check_alpha(args.alpha if alpha is None else alpha)
    if args.segment_alpha is not None:
        selection = replace(selection, segment_alpha=f"{check_alpha(args.segment_alpha):g}")
    if args.weight is not None:
        selection = selection.weighted(args.weight)
    if not selection.uses_alpha:
        if args.keep is not None:
            raise UsageError(f"--keep {args.keep:g}: {selection.text!r} has no alpha to choose; leave it out")
        return WantedSelection(selection)
    return WantedSelection(selection, keep=keep) if keep is not None else WantedSelection(selection, alpha)


def run(args: argparse.Namespace) -> int:
    """Select and report."""
    check(args)
    data, folders, what = DataDir(args.data), tagged(args.scores), wanted(args)
    source = Source(
        data,
        find_scores(data, folders),
        [read_choices(folder) for folder in folders.values()],
        args.combine,
        as_it_is=args.selection is None,
        recordings=None if args.hours is None else first_hours(DataDir(args.recordings), args.hours),
        leave_out=args.leave_out,
    )
    step = Step(
        "select",
        args.output_dir,
        inputs=_inputs(args, folders),
        options=_options(args, what, source),
        arguments=vars(args),
    )

    def work() -> dict:
        return write_selection(what, source, step.out, args.source_data, args.allow_missing)

    return run_step(step, args.begin, work)


def _inputs(args: argparse.Namespace, folders: Mapping[str, Path]) -> dict[str, identity.Identity]:
    inputs = {"data": identity.of_data(args.data)}
    inputs |= {f"scores {tag}": identity.of_tables(folder) for tag, folder in folders.items()}
    if args.source_data is not None:
        inputs["sources"] = identity.of_tables(args.source_data, "wav.scp")
    for place, folder in enumerate(args.leave_out):
        inputs[f"leave_out{place or ''}"] = identity.of_tables(folder, "text")
    if args.recordings is not None:
        inputs["recordings"] = identity.of_tables(args.recordings, "segments", "utt2dur")
    return inputs


def _options(args: argparse.Namespace, what: WantedSelection, source: Source) -> dict:
    chosen = what.selection if what.alpha is None else what.at(what.alpha)
    options: dict = {"rule": source.rule(chosen).text}
    if args.hours is not None:
        options["hours"] = args.hours
    if what.keep is not None:
        options["keep"] = what.keep
    if (weight := source.weight(chosen)) is not None:
        options["weight"] = weight.text
    if (segments := source.trusted(chosen)) is not None:
        alpha = ALPHA if segments.alpha == math.inf else segments.alpha
        options["segments"] = {"alpha": alpha, "choices": asdict(segments.choices), "combine": args.combine}
    return options


main = command(parser, run)
