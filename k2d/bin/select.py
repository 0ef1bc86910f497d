"""Stage 4: keep the chunks whose label a rule trusts, and report what was kept.

    python -m k2d.bin.select --data CHUNKS --scores AUX --output_dir DIR --preset comp --alpha 0.4
    python -m k2d.bin.select --data CHUNKS --scores AUX --output_dir DIR \\
        --rule 'comp <= 0.4 and loop_teacher == 0 and en_share_teacher <= 0.9'
    python -m k2d.bin.select --data CHUNKS --scores base=AUX1 --scores small=AUX2 --output_dir DIR \\
        --rule 'min(comp_base, comp_small) <= 0.4'

Presets are the rows of the paper's table, full, ngram, mer, per and comp, and segment: chunks whose teacher does not
loop, and of them only the segments whose own distance, δ_PER of the segment in one alignment of the whole chunk, is
at most --alpha. --segment_alpha does the latter with any rule. Score names are those of the files
`utt2<name>` in AUX and in CHUNKS; with several directories of scores they end in the tag (comp_base), and
comp_min, comp_mean and comp_max are over all of them. Facts of the validator's decoding end in _aux.

Writes the data directory of the kept chunks, dropped.tsv (id, recording, times, reason, both texts),
report.json (what was kept of what: hours, English, code-switching, durations, speaking rate, in all, by
recording and by source directory), report.md (the same to read) and explorer.html; where segments are chosen also
text.trusted, 1 or 0 for each segment of the label, which training learns from or passes over. A chunk that lacks a
score the rule asks for, or has NaN, is dropped for that reason. Unsorted, duplicated or unreadable lines stop
the command with file and line. Every file appears whole, wav.scp last of the data directory.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from k2d.datadir import DataDir
from k2d.errors import DataError, RuleError
from k2d.label.distance import Choices
from k2d.label.retention import DURATION_BINS, RATE_BINS, markdown, outliers
from k2d.label.rule import PRESETS, preset, read_rule
from k2d.label.select import Scores, Selection, TrustedSegments, find_scores, select, source_directories
from k2d.tables import atomic
from k2d.work.provenance import write_provenance


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        "k2d select", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument("--scores", action="append", required=True, help="DIR or TAG=DIR; may be given again")
    p.add_argument("--output_dir", required=True)
    p.add_argument("--preset", choices=tuple(PRESETS), help="a row of the paper's table, or segment")
    p.add_argument("--alpha", type=float, default=0.4, help="threshold of the presets (0.4)")
    p.add_argument("--rule", help="an expression over the score names, instead of a preset")
    p.add_argument("--segment_alpha", type=float, help="trust only segments within it (preset segment: --alpha)")
    p.add_argument(
        "--combine", choices=("min", "mean", "max"), default="mean", help="presets, several validators"
    )
    p.add_argument(
        "--source_data", help="data directory of the recordings, for source directories in the report"
    )
    p.add_argument("--explorer", choices=("true", "false"), default="true", help="make explorer.html")
    p.add_argument("--audio_mb", type=float, default=4.0, help="audio inside explorer.html, megabytes")
    p.add_argument("--allow_pipes", action="store_true", help="run commands that stand in wav.scp")
    p.add_argument("--seed", type=int, default=0, help="of the explorer's sample")
    return p


def tagged(scores: Sequence[str]) -> dict[str, Path]:
    """tag -> directory of "DIR" or "TAG=DIR"; without a tag, the name after aux_ or the directory's name."""
    found: dict[str, Path] = {}
    for item in scores:
        tag, equals, folder = item.partition("=")
        if not equals:
            folder = item
            tag = Path(item).name.removeprefix("aux_")
        tag = "".join(c if c.isalnum() else "_" for c in tag)
        if tag in found:
            raise DataError(f"--scores {item}: tag {tag!r} is taken; name it with TAG=DIR")
        found[tag] = Path(folder)
    return found


def preset_rule(name: str, alpha: float, scores: dict[str, Path], combine: str) -> str:
    """The rule of a preset for these directories of scores.

    Where the distances were computed with `drop_blank` (the paper), a blank validator text is invalid.
    """
    text = preset(name, alpha)
    if name in ("mer", "per", "comp") and any(_choices(folder).drop_blank for folder in scores.values()):
        text += " and blank_aux == 0"
    if len(scores) > 1:
        for score in ("mer", "per", "comp"):
            text = text.replace(f"{score} <=", f"{score}_{combine} <=")
        text = text.replace("loop_teacher", "loop_teacher_max").replace("blank_aux", "blank_aux_max")
    return text


def segments_rule(args: argparse.Namespace, scores: dict[str, Path]) -> TrustedSegments | None:
    """How segments are chosen, if they are; phonemes are read as for the scores of the chunks."""
    alpha = args.segment_alpha
    if alpha is None:
        if args.preset != "segment":
            return None
        alpha = args.alpha
    return TrustedSegments(alpha, _choices(next(iter(scores.values()))), args.combine)


def _choices(folder: Path) -> Choices:
    """Those that the scores were made with; ours for scores of another making."""
    try:
        return Choices(**json.loads((folder / "summary.json").read_text("utf-8"))["choices"])
    except (OSError, ValueError, KeyError, TypeError):
        return Choices()


def sources_of(data: DataDir, source_data: str | None) -> dict[str, str]:
    """recording -> source directory: from `source_data`, else from what the chunks say they were made of."""
    if source_data is not None:
        return source_directories(Path(source_data) / "wav.scp")
    try:
        made_of = yaml.safe_load((data.path / "conf.yaml").read_text("utf-8"))["options"]["data"]
        return source_directories(Path(made_of) / "wav.scp")
    except (OSError, yaml.YAMLError, KeyError, TypeError, DataError):
        return {} if not data.has_segments else source_directories(data.path / "wav.scp")


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        run(args)
    except (DataError, RuleError) as error:
        print(f"select: {error}", file=sys.stderr)
        return 1
    return 0


def run(args: argparse.Namespace) -> dict:
    """Select and report; returns what report.json holds."""
    if (args.preset is None) == (args.rule is None):
        raise DataError("give one of --preset and --rule")
    data, folders, output = DataDir(args.data), tagged(args.scores), Path(args.output_dir)
    if output.resolve() == data.path.resolve():
        raise DataError(f"--output_dir {output} is the directory to select from; choose another")
    scores = find_scores(data, folders)
    text = args.rule or preset_rule(args.preset, args.alpha, folders, args.combine)
    rule = read_rule(text, scores.names)
    segments = segments_rule(args, folders)
    result = select(data, scores, rule, output, sources_of(data, args.source_data), segments)
    explorer = None
    if args.explorer == "true":
        explorer = _explorer(args, data, scores, output)
    report = _write_reports(output, rule.text, result, explorer)
    write_provenance(output, vars(args) | {"rule": rule.text})
    total = result.kept_seconds + result.dropped_seconds
    share = result.kept_seconds / total if total else result.kept / max(result.kept + result.dropped, 1)
    english = [report["whole"][when]["english_share"] for when in ("before", "after")]
    print(
        f"select: kept {result.kept} of {result.kept + result.dropped} chunks, "
        f"{result.kept_seconds / 3600:.2f} of {total / 3600:.2f} h ({share:.1%}) by {rule.text!r}; "
        f"English units {english[0]:.1%} before, {english[1]:.1%} after",
        file=sys.stderr,
    )
    if segments:
        print(
            f"select: trusted {segments.trusted} of their {segments.segments} segments, "
            f"{segments.trusted_seconds / 3600:.2f} of {segments.seconds / 3600:.2f} h of speech "
            f"({segments.share:.1%}), by δ_PER <= {segments.alpha:g}",
            file=sys.stderr,
        )
    if not result.kept:
        print("select: warning: nothing was kept; look at the reasons in report.md", file=sys.stderr)
    return report


def _explorer(args: argparse.Namespace, data: DataDir, scores: Scores, output: Path) -> str:
    from k2d.explore.explorer import Page, gather

    page = Page(alpha=args.alpha, audio_mb=args.audio_mb, allow_pipes=args.allow_pipes, seed=args.seed)
    with atomic(output / "explorer.html") as handle:
        handle.write(gather(data, scores, page)[0])
    return "explorer.html"


def _write_reports(output: Path, rule: str, result: Selection, explorer: str | None) -> dict:
    retention = result.retention
    report = {
        "rule": rule,
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
    with atomic(output / "report.json") as handle:
        json.dump(report, handle, indent=1, ensure_ascii=False)
        handle.write("\n")
    reasons = [
        (name, count, seconds / 3600, failing) for name, (count, seconds, failing) in result.reasons.items()
    ]
    with atomic(output / "report.md") as handle:
        handle.write(markdown(retention, rule, reasons, explorer))
    return report


if __name__ == "__main__":
    sys.exit(main())
