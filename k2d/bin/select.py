"""Keep the chunks that a rule selects, and report what was kept.

    k2d select --data CHUNKS --scores SCORES --output_dir DIR --selection comp --alpha 0.4
    k2d select --data CHUNKS --scores SCORES --output_dir DIR --selection comp@0.2
    k2d select --data CHUNKS --scores SCORES --output_dir DIR --selection comp --keep 0.75
    k2d select --data CHUNKS --scores SCORES --output_dir DIR --rule 'comp <= 0.4 and dur >= 2'
    k2d select --data CHUNKS --scores base=ONE --scores small=OTHER --output_dir DIR \\
        --rule 'min(comp_base, comp_small) <= 0.4'

A selection is a file of conf/selections, the recipe's or the repository's, or a path: full, ngram, mer, per and comp
are the rows of the paper's table; with segment a student learns, of chunks whose teacher does not loop, only from
segments whose own δ_PER, in one alignment of the whole chunk, is at most α. --segment_alpha adds the latter to any
rule. Score names are those of the files `utt2<name>` in SCORES and in CHUNKS (or `utt2<name>.scp`, `.ark`: vectors of
one number); with several directories of scores they end in the tag (comp_base), and comp_min, comp_mean and comp_max
are over all of them. Facts of the validator's decoding end in _aux.

Writes the data directory of the kept chunks, dropped.tsv (id, recording, times, reason, both texts), report.json (what
was kept: hours, English, code-switching, durations, speaking rate, in all, by recording and by source directory),
report.md (the same to read); where segments are chosen also text.trusted, 1 for each segment of the label that training
learns from, else 0. --keep 0.75 (or comp@keep0.75) chooses α so that three quarters of the speech are kept; where
nothing is kept, too_few.txt says which α would keep half and three quarters. `k2d explore` shows what every α keeps. A
chunk without a score that the rule needs, or with NaN, is dropped for that reason; if this affects more than 1 %, or a
table is truncated, the command fails (--allow_missing). Unsorted, duplicate or unreadable lines are errors, reported
with file and line.
"""

import argparse
import math
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from k2d.datadir import DataDir
from k2d.errors import DataError, UsageError
from k2d.label.distance import METRICS, MOST_ALPHA, Choices
from k2d.label.retention import DURATION_BINS, RATE_BINS, markdown, outliers
from k2d.label.rule import (
    ALPHA,
    Rule,
    SelectionRule,
    check_alpha,
    check_share,
    known_selections,
    read_rule,
    read_selection,
    split_alpha,
    split_keep,
)
from k2d.label.scores import Scores, find_scores, possible_names, read_choices, tagged
from k2d.label.select import LEAST_CHUNKS, SelectionCounts, TrustedSegments, first_hours, select, source_directories
from k2d.label.share import KeptByAlpha, kept_by_alpha
from k2d.options import CommandParser, command
from k2d.tables import atomic, read_table
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 7)
TOO_FEW = "too_few.txt"


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
    p.add_argument(
        "--combine",
        choices=("min", "mean", "max"),
        default="mean",
        help="how to combine the distances of several validators (loops: of any)",
    )
    p.add_argument(
        "--leave_out", type=Path, action="append", default=[],
        help="data directory of chunks that are held out; may be given again",
    )  # fmt: skip
    p.add_argument("--allow_missing", action="store_true", help="accept that more than 1 %% of the chunks lack a score")
    p.add_argument("--source_data", help="data directory of the recordings, for source directories in the report")
    p.add_argument("--hours", type=float, help="select from only this many hours of recordings (nested subsets)")
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


@dataclass(frozen=True)
class Wanted:
    """A selection, and what α is to be: a number, or the one that keeps a share of the speech (keep)."""

    selection: SelectionRule
    alpha: float | None = None
    keep: float | None = None

    def at(self, alpha: float) -> SelectionRule:
        return self.selection.at(alpha)


def wanted(args: argparse.Namespace) -> Wanted:
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
        selection = SelectionRule(selection.name, selection.text, f"{check_alpha(args.segment_alpha):g}")
    if not selection.uses_alpha:
        if args.keep is not None:
            raise UsageError(f"--keep {args.keep:g}: {selection.text!r} has no alpha to choose; leave it out")
        return Wanted(selection)
    return Wanted(selection, keep=keep) if keep is not None else Wanted(selection, alpha)


def rule_for(text: str, scores: Scores, choices: Sequence[Choices], combine: str) -> Rule:
    """The rule of a selection for these scores.

    Where the distances were computed with `drop_blank` (the paper), a blank validator text is invalid. With several
    validators a distance is `combine` of theirs, and a text loops or is blank where one of them says so.
    """
    rule = read_rule(text)
    known = scores.names | {ALPHA}  # alpha is still a name where a share of the speech is to be kept
    if rule.names & set(METRICS) and any(each.drop_blank for each in choices):
        rule = read_rule(f"{text} and blank_aux == 0")
    if len(choices) > 1:
        joined = {name: f"{name}_{combine if name in METRICS else 'max'}" for name in rule.names - known}
        rule = rule.renamed({name: other for name, other in joined.items() if other in scores.names})
    return read_rule(rule.text, known)


@dataclass(frozen=True)
class Source:
    """What is selected from. choices: how each validator's distances were made; combine: how several are joined.
    as_it_is: the rule was written for these score names (--rule). recordings: those that are taken, with their seconds;
    None: all.
    """

    data: DataDir
    scores: Scores
    choices: Sequence[Choices]
    combine: str
    as_it_is: bool
    recordings: Mapping[str, float] | None

    def rule(self, selection: SelectionRule) -> Rule:
        if self.as_it_is:
            return read_rule(selection.text, self.scores.names | {ALPHA})
        return rule_for(selection.text, self.scores, self.choices, self.combine)

    def trusted(self, selection: SelectionRule) -> TrustedSegments | None:
        """Of a selection of segments; phonemes are read as for the scores of the chunks."""
        if selection.segment_alpha is None:
            return None
        alpha = math.inf if selection.segment_alpha == ALPHA else float(selection.segment_alpha)
        return TrustedSegments(alpha, self.choices[0], self.combine)

    def kept_by_alpha(self, selection: SelectionRule, held_out: Container[str]) -> KeptByAlpha:
        by_segment = self.trusted(selection) if selection.segment_alpha == ALPHA else None
        return kept_by_alpha(self.data, self.scores, self.rule(selection), by_segment, held_out, self.recordings)


def sources_of(data: DataDir, source_data: str | None) -> dict[str, str]:
    """recording -> source directory: from `source_data`, else from what the chunks say they were made of."""
    if source_data is not None:
        return source_directories(Path(source_data) / "wav.scp")
    for folder in filter(None, (identity.input_of(data.path, "data"), data.path if data.has_segments else None)):
        if (folder / "wav.scp").is_file():
            return source_directories(folder / "wav.scp")
    return {}


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
    )
    step = Step(
        "select",
        args.output_dir,
        inputs=_inputs(args, folders),
        options=_options(args, what, source),
        arguments=args,
    )
    return run_step(step, args, lambda: write_selection(args, what, source, step.out))


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


def _options(args: argparse.Namespace, what: Wanted, source: Source) -> dict:
    chosen = what.selection if what.alpha is None else what.at(what.alpha)
    options: dict = {"rule": source.rule(chosen).text}
    if args.hours is not None:
        options["hours"] = args.hours
    if what.keep is not None:
        options["keep"] = what.keep
    if (segments := source.trusted(chosen)) is not None:
        alpha = ALPHA if segments.alpha == math.inf else segments.alpha
        options["segments"] = {"alpha": alpha, "choices": asdict(segments.choices), "combine": args.combine}
    return options


def write_selection(args: argparse.Namespace, what: Wanted, source: Source, out: Path) -> dict:
    """The data directory with its reports; facts for the record. DataError where no α keeps what is wanted."""
    held_out = frozenset(key for folder in args.leave_out for key in read_table(folder / "text"))
    alpha = what.alpha
    if what.keep is not None:
        alpha = source.kept_by_alpha(what.selection, held_out).alpha_for(what.keep)
        if alpha is None:
            raise DataError(
                f"--keep {what.keep:g}: no alpha up to {MOST_ALPHA:g} keeps so much; the other conditions of "
                f"{what.selection.text!r} drop more, ask for less"
            )
        print(f"select: alpha {alpha:g} keeps {what.keep:.0%} of the speech", file=sys.stderr)
    chosen = what.selection if alpha is None else what.at(alpha)
    rule = source.rule(chosen)
    result = select(
        source.data, source.scores, rule, out, sources_of(source.data, args.source_data), source.trusted(chosen),
        args.allow_missing, held_out, source.recordings,
    )  # fmt: skip
    report = _write_reports(out, rule.text, result, alpha, what.keep, source.recordings)
    _say(rule, result, report)
    (out / TOO_FEW).unlink(missing_ok=True)
    if result.kept < LEAST_CHUNKS:
        said = too_few(result, alpha, source.kept_by_alpha(what.selection, held_out) if alpha is not None else None)
        with atomic(out / TOO_FEW) as handle:
            handle.write(f"{said}\n")
        print(f"select: {said}", file=sys.stderr)
    return {"kept": report["kept"], "dropped": report["dropped"]}


def too_few(result: SelectionCounts, alpha: float | None, kept: KeptByAlpha | None) -> str:
    """Why no student can be trained on what is left, and which α would keep more."""
    left = f"{result.kept or 'none'} of {result.kept + result.dropped} chunks kept"
    if kept is None:
        return f"{left}: too few to train on; report.md says which condition drops how much"
    found = ((name, kept.alpha_for(share)) for name, share in (("half", 0.5), ("three quarters", 0.75)))
    advice = [f"alpha {wider:g} would keep {name}" for name, wider in found if wider is not None and wider > alpha]
    if not advice:
        return f"{left} at alpha {alpha:g}: too few to train on, and no alpha keeps half of the speech; see report.md"
    said = " and ".join(advice)
    return f"{left} at alpha {alpha:g}: too few to train on; {said} of the speech (--keep 0.75 finds it by itself)"


def _say(rule: Rule, result: SelectionCounts, report: dict) -> None:
    total = result.kept_seconds + result.dropped_seconds
    share = result.kept_seconds / total if total else result.kept / max(result.kept + result.dropped, 1)
    english = [report["whole"][when]["english_share"] for when in ("before", "after")]
    print(
        f"select: kept {result.kept} of {result.kept + result.dropped} chunks, "
        f"{result.kept_seconds / 3600:.2f} of {total / 3600:.2f} h ({share:.1%}) by {rule.text!r}; "
        f"English units {english[0]:.1%} before, {english[1]:.1%} after",
        file=sys.stderr,
    )
    if segments := result.segments:
        print(
            f"select: trusted {segments.trusted} of their {segments.segments} segments, "
            f"{segments.trusted_seconds / 3600:.2f} of {segments.seconds / 3600:.2f} h of speech "
            f"({segments.share:.1%}), by δ_PER <= {segments.alpha:g}",
            file=sys.stderr,
        )
    for path, (count, first) in result.lacking.items():
        print(f"select: {path} has no number for {count} chunks, {first} the first; dropped", file=sys.stderr)


def _write_reports(
    output: Path,
    rule: str,
    result: SelectionCounts,
    alpha: float | None,
    keep: float | None,
    taken: Mapping[str, float] | None,
) -> dict:
    retention = result.retention
    report = {
        "rule": rule,
        **({"alpha": alpha} if alpha is not None else {}),
        **({"keep": keep} if keep is not None else {}),
        **({"recordings_hours": round(sum(taken.values()) / 3600, 4)} if taken is not None else {}),
        "kept": {"chunks": result.kept, "hours": round(result.kept_seconds / 3600, 4)},
        "dropped": {"chunks": result.dropped, "hours": round(result.dropped_seconds / 3600, 4)},
        "reasons": {
            name: {"chunks": count, "hours": round(seconds / 3600, 4), "fail_at_all": failing}
            for name, (count, seconds, failing) in result.reasons.items()
        },
        **({"segments": result.segments.facts()} if result.segments else {}),
        "bins": {"durations": DURATION_BINS, "rates": RATE_BINS},  # lower edges; the last is open
        "whole": retention.whole.facts(),
        "sources": {name: part.facts() for name, part in sorted(retention.sources.items())},
        "recordings": {name: part.facts() for name, part in sorted(retention.recordings.items())},
        "far_above_the_rest": {
            "sources": outliers(retention.sources),
            "recordings": outliers(retention.recordings),
        },
    }
    write_json(output / "report.json", report)
    reasons = [(name, count, seconds / 3600, failing) for name, (count, seconds, failing) in result.reasons.items()]
    with atomic(output / "report.md") as handle:
        handle.write(markdown(retention, rule, reasons))
    return report


main = command(parser, run)
