"""A selection, chunks and their scores in; the data directory of what is kept out, with its reports.

`WantedSelection` is what is asked for, `Source` what is selected from. The work itself is in k2d/label/select.py.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from k2d.atomic import atomic
from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.held_out import HeldOut
from k2d.label.criteria import Criteria, TrustedSegments
from k2d.label.distance import METRICS, MOST_ALPHA, Choices
from k2d.label.retention import DURATION_BINS, RATE_BINS, markdown, outliers
from k2d.label.rule import ALPHA, Clause, Rule, SelectionRule, conjunction, read_rule
from k2d.label.scores import Scores
from k2d.label.select import FEW_CHUNKS, LEAST_CHUNKS, SelectionCounts, select, source_directories
from k2d.label.share import KeptByAlpha, kept_by_alpha
from k2d.tables import read_table
from k2d.wording import counted, part_of
from k2d.work import identity
from k2d.work.folders import write_json

TOO_FEW, FEW = "too_few.txt", "few.txt"  # where no student is trained on what is left; where one learns little


@dataclass(frozen=True)
class WantedSelection:
    """A selection, and what α is to be: a number, or the one that keeps a share of the speech (keep)."""

    selection: SelectionRule
    alpha: float | None = None
    keep: float | None = None

    def at(self, alpha: float) -> SelectionRule:
        return self.selection.at(alpha)


def rule_for(text: str, scores: Scores, choices: Sequence[Choices], combine: str) -> Rule:
    """The rule of a selection for these scores.

    Where the distances were computed with `drop_blank` (the paper), a blank validator text is invalid. With several
    validators a distance is `combine` of theirs, and a text loops or is blank where one of them says so.
    """
    if read_rule(text).names & set(METRICS) and any(each.drop_blank for each in choices):
        text = conjunction(text, "blank_aux == 0")
    return expression_for(text, scores, len(choices), combine)


def expression_for(text: str, scores: Scores, validators: int, combine: str) -> Rule:
    """An expression with the names that scores of so many validators have."""
    rule = read_rule(text)
    known = scores.names | {ALPHA}  # alpha is still a name where a share of the speech is to be kept
    if validators > 1:
        names = {name: f"{name}_{combine if name in METRICS else 'max'}" for name in rule.names - known}
        rule = rule.renamed({name: other for name, other in names.items() if other in scores.names})
    return read_rule(rule.text, known)


@dataclass(frozen=True)
class Source:
    """What is selected from. choices: how each validator's distances were made; combine: how several are joined.
    as_it_is: the rule was written for these score names (--rule). recordings: those that are taken, with their seconds;
    None: all. leave_out: directories of chunks that are in no selection.
    """

    data: DataDir
    scores: Scores
    choices: Sequence[Choices]
    combine: str
    as_it_is: bool
    recordings: Mapping[str, float] | None
    leave_out: Sequence[Path] = ()

    @cached_property
    def held_out(self) -> HeldOut:
        """The chunks to leave out; read by the work, not by who asks whether it is done."""
        return HeldOut(key for folder in self.leave_out for key in read_table(folder / "text"))

    def rule(self, selection: SelectionRule) -> Rule:
        if self.as_it_is:
            return read_rule(selection.text, self.scores.names | {ALPHA})
        return rule_for(selection.text, self.scores, self.choices, self.combine)

    def weight(self, selection: SelectionRule) -> Clause | None:
        """How much each kept chunk counts in the loss, None where all count alike."""
        if selection.weight is None:
            return None
        validators = 1 if self.as_it_is else len(self.choices)
        return expression_for(f"({selection.weight}) + 0", self.scores, validators, self.combine).clauses[0]

    def trusted(self, selection: SelectionRule) -> TrustedSegments | None:
        """Of a selection of segments; phonemes are read as for the scores of the chunks."""
        if selection.segment_alpha is None:
            return None
        alpha = math.inf if selection.segment_alpha == ALPHA else float(selection.segment_alpha)
        return TrustedSegments(alpha, self.choices[0], self.combine)

    def kept_by_alpha(self, selection: SelectionRule) -> KeptByAlpha:
        by_segment = self.trusted(selection) if selection.segment_alpha == ALPHA else None
        return kept_by_alpha(self.data, self.scores, self.rule(selection), by_segment, self.held_out, self.recordings)


def sources_of(data: DataDir, source_data: str | None) -> dict[str, str]:
    """recording -> source directory: from `source_data`, else from what the chunks say they were made of."""
    if source_data is not None:
        return source_directories(Path(source_data) / "wav.scp")
    for folder in filter(None, (identity.input_of(data.path, "data"), data.path if data.has_segments else None)):
        if (folder / "wav.scp").is_file():
            return source_directories(folder / "wav.scp")
    return {}


def write_selection(
    what: WantedSelection, source: Source, out: Path, source_data: str | None, allow_missing: bool
) -> dict:
    """The data directory with its reports; facts for the record. DataError where no α keeps what is wanted."""
    alpha = what.alpha
    if what.keep is not None:
        kept = source.kept_by_alpha(what.selection)
        alpha = kept.alpha_for(what.keep)
        if alpha is None:
            raise DataError(
                f"--keep {what.keep:g}: {what.selection.text!r} keeps at most {kept.share(MOST_ALPHA):.1%} of the "
                "speech, at any alpha; ask for less"
            )
        print(f"select: alpha {alpha:g} is the least that keeps {what.keep:.0%} of the speech", file=sys.stderr)
    chosen = what.selection if alpha is None else what.at(alpha)
    criteria = Criteria(source.rule(chosen), source.trusted(chosen), source.weight(chosen))
    result = select(
        source.data,
        source.scores,
        criteria,
        out,
        sources_of(source.data, source_data),
        allow_missing,
        source.held_out,
        source.recordings,
    )
    report = _write_reports(out, criteria.rule.text, result, alpha, what.keep, source.recordings)
    _say(what.selection.name, criteria.rule, result, report)
    for name in (TOO_FEW, FEW):
        (out / name).unlink(missing_ok=True)
    if result.kept < FEW_CHUNKS:
        said = few(result, alpha, source.kept_by_alpha(what.selection) if alpha is not None else None)
        with atomic(out / (TOO_FEW if result.kept < LEAST_CHUNKS else FEW)) as handle:
            handle.write(f"{said}\n")
        print(f"select: {said}", file=sys.stderr)
    return {"kept": report["kept"], "dropped": report["dropped"]}


def few(result: SelectionCounts, alpha: float | None, kept: KeptByAlpha | None) -> str:
    """That no student can be trained on what is left, or learns little from it, and what would keep more."""
    whole = result.kept_seconds + result.dropped_seconds
    length = f" ({part_of(result.kept_seconds, whole)})" if result.kept and whole else ""
    left = f"{result.kept or 'none'} of {counted(result.kept + result.dropped, 'chunk')}{length} kept"
    left += "" if alpha is None else f" at alpha {alpha:g}"
    left += ": too few to train on" if result.kept < LEAST_CHUNKS else ": a student learns next to nothing from so few"
    if result.kept > result.dropped or result.kept_seconds > result.dropped_seconds:
        return f"{left}; give more recordings"
    if kept is None:
        return f"{left}; report.md says which condition drops how much"
    keeping: dict[float, list[str]] = {}  # the least α that keeps so much
    for name, share in (("half", 0.5), ("three quarters", 0.75)):
        if (wider := kept.alpha_for(share)) is not None and wider > alpha:
            keeping.setdefault(wider, []).append(name)
    advice = [f"alpha {wider:g} would keep {' and even '.join(names)}" for wider, names in keeping.items()]
    if not advice:
        return f"{left}, and no alpha keeps half of the speech; see report.md"
    return f"{left}; {' and '.join(advice)} of the speech (--keep 0.75 finds it by itself)"


def _say(name: str, rule: Rule, result: SelectionCounts, report: dict) -> None:
    total = result.kept_seconds + result.dropped_seconds
    share = result.kept_seconds / total if total else result.kept / max(result.kept + result.dropped, 1)
    english = [report["whole"][when]["english_share"] for when in ("before", "after")]
    print(
        f"select: kept {result.kept} of {counted(result.kept + result.dropped, 'chunk')}, "
        f"{part_of(result.kept_seconds, total)} ({share:.1%}), by {name}{f': {rule.text}' if rule.names else ''}; "
        f"English units {english[0]:.1%} before, {english[1]:.1%} after",
        file=sys.stderr,
    )
    if segments := result.segments:
        print(
            f"select: trusted {segments.trusted} of their {counted(segments.segments, 'segment')}, "
            f"{part_of(segments.trusted_seconds, segments.seconds)} of speech "
            f"({segments.share:.1%}), by δ_PER <= {segments.alpha:g}",
            file=sys.stderr,
        )
    if result.weight is not None:
        print(f"select: a kept chunk counts {result.weight:.2f} on average, by its seconds", file=sys.stderr)
    for path, (count, first) in result.lacking.items():
        print(f"select: {path} has no number for {counted(count, 'chunk')} ({first} …); dropped", file=sys.stderr)


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
            name: {"chunks": why.chunks, "hours": round(why.seconds / 3600, 4), "fail_at_all": why.failing}
            for name, why in sorted(result.reasons.items())
        },
        **({"segments": result.segments.facts()} if result.segments else {}),
        **({"mean_weight": round(result.weight, 4)} if result.weight is not None else {}),
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
    reasons = [(name, why.chunks, why.seconds / 3600, why.failing) for name, why in sorted(result.reasons.items())]
    with atomic(output / "report.md") as handle:
        handle.write(markdown(retention, rule, reasons))
    return report
