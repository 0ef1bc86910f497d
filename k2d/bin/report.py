"""Write RESULTS.md and a page with drawings from everything that has been measured.

    python -m k2d.bin.report --exp exp --output RESULTS.md \
        --models "teacher:DIR validator:DIR student_full:DIR student_comp:DIR" \
        --test_sets "test_in test_in_long test_out" \
        --train_data data/lectures_teacher \
        --selections "full:data/lectures_teacher_full comp:data/lectures_teacher_comp" \
        --reference data/lectures/reference --scores "validator:exp/aux_validator"

--models       NAME:CHECKPOINT. Roles go by name: teacher, validator, student_<selection>. A model's output is
               in EXP/NAME/decode_<set>/ (text, and result.json utt2errors utt2units as k2d.bin.score
               writes them). What is not there is shown as not measured.
--train_data   the labelled chunks before selection; --selections NAME:DIR of what each selection kept.
--reference    segments and text of what was truly said in the training recordings: adds an analysis of
               the labels, which says that it reads them. --scores VALIDATOR:DIR adds how well each distance
               (utt2mer utt2per utt2comp) spots bad labels.
--speed        speed.json of k2d.bin.speed (default EXP/speed/speed.json).
--paper        SET:COLUMN, COLUMN one of COOLTEST NTUML2021 CV16 ASCEND: the paper's rows beside ours. Without
               it they stand in a table of their own.

Writes --output, EXP/report/index.html and EXP/report/table.txt, the first table for a terminal.
"""

import argparse
import datetime
import sys
from pathlib import Path

from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.explore.detection import analyse
from k2d.explore.explorer import metrics_of
from k2d.explore.label_quality import label_quality
from k2d.label.select import find_scores
from k2d.score import curves, paper, report
from k2d.score.experiment import Experiment, pairs, read_experiment, read_selection
from k2d.score.page import page
from k2d.score.tables import Table
from k2d.tables import atomic
from k2d.work import machine
from k2d.work.provenance import code_revision


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--exp", required=True, type=Path)
    p.add_argument("--output", required=True, type=Path)
    p.add_argument("--models", required=True)
    p.add_argument("--test_sets", required=True)
    p.add_argument("--train_data", type=Path)
    p.add_argument("--selections", default="")
    p.add_argument("--reference", type=Path)
    p.add_argument("--scores", default="")
    p.add_argument("--speed", type=Path)
    p.add_argument("--paper", default="")
    p.add_argument("--title", default="Results")
    return p


def tables(experiment: Experiment, args: argparse.Namespace, labelled: DataDir | None) -> list[Table]:
    paper_sets = pairs(args.paper, "paper")
    unknown = sorted(set(paper_sets.values()) - set(paper.SETS))
    if unknown:
        raise DataError(f"--paper: no column {unknown[0]!r}; expected one of {' '.join(paper.SETS)}")
    made = [
        report.main_table(experiment, paper_sets),
        report.language_table(experiment, paper_sets),
        report.switch_table(experiment),
        report.error_table(experiment, paper_sets),
    ]
    if not paper_sets:
        made.insert(1, report.paper_table(experiment))
    if speed := report.speed_table(experiment):
        made.append(speed)
    if args.reference:
        if labelled is None:
            raise DataError("--reference needs --train_data, the labelled chunks that it is compared with")
        by_segment = any(selection.trusted is not None for selection in experiment.selections.values())
        quality = label_quality(labelled, args.reference, by_segment)
        made.append(report.label_table(experiment, quality))
        found = {}
        for name, folder in pairs(args.scores, "scores").items():
            scores = find_scores(labelled, {name: folder})
            # As on the explorer's page, without its intervals.
            found[name] = analyse(quality.audit(scores, metrics_of(scores)), resamples=0)
        if found:
            made += [report.detection_table(found, show_paper=bool(paper_sets)), report.recall_table(found)]
    return made


def drawings(experiment: Experiment) -> list[tuple[str, str]]:
    drawn = [
        ("Error rates", curves.draw_error_rates(experiment)),
        ("Data kept", curves.draw_labels(experiment)),
        *(
            (f"Training of {name}", curves.draw_training(log))
            for name, log in curves.training_logs(experiment.root).items()
        ),
    ]
    return [(heading, svg) for heading, svg in drawn if svg]


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    try:
        labelled = DataDir(args.train_data) if args.train_data else None
        selections = {
            name: read_selection(name, Path(folder), labelled)
            for name, folder in pairs(args.selections, "selections").items()
        }
        experiment = read_experiment(
            args.exp,
            pairs(args.models, "models"),
            args.test_sets.split(),
            speed=args.speed or args.exp / "speed/speed.json",
            selections=selections,
        )
        made = tables(experiment, args, labelled)
        aims = list(report.aims(experiment))
    except (DataError, OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1

    facts = [
        f"command: `{machine.command('k2d.bin.report', argv)}`",
        f"revision: {code_revision()}",
        f"machine: {machine.describe()}",
        f"date: {datetime.date.today().isoformat()}",
    ]
    statements = [str(aim) for aim in aims]
    with atomic(args.output) as out:
        out.write(f"# {args.title}\n\nWritten by the scoring stage; a change by hand is lost at its next run.\n\n")
        out.write("\n".join(f"- {fact}" for fact in facts) + "\n\n")
        parts = [table.markdown() for table in made]
        if statements:
            parts.insert(1, "## Aims\n\n" + "\n".join(statements) + "\n")
        out.write("\n".join(parts))
    with atomic(args.exp / "report/table.txt") as out:
        out.write(made[0].text())
    with atomic(args.exp / "report/index.html") as out:
        out.write(page(args.title, facts, statements, made, drawings(experiment)))

    measured, expected = len(experiment.results), len(experiment.models) * len(experiment.test_sets)
    verdicts = [aim.reached for aim in aims]
    print(
        f"report: {measured} of {expected} results of {len(experiment.models)} models, "
        f"{verdicts.count(True)} aims reached, {verdicts.count(False)} missed, {verdicts.count(None)} not "
        f"measured: {args.output}, {args.exp / 'report/index.html'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
