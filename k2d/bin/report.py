"""Write RESULTS.md and the report page from all results.

    k2d report --exp exp --output_dir exp/report --results RESULTS.md \\
        --models "teacher validator student_full student_comp" \\
        --test_sets "test_in test_in_long test_out" --train_data data/lectures_teacher \\
        --reference data/lectures/reference --scores "validator:exp/lectures_teacher/base"

--models       names of folders in EXP, each with a model.json (k2d record), which says role, selection, alpha, teacher,
               validator, seed and the directory of the labels learnt. What a model makes of a set is in
               EXP/NAME/decode_<set>/score (k2d score). What is not there is shown as not measured.
--train_data   the labelled chunks before selection, of which each student's labels are a share.
--reference    what was truly said in the training recordings (segments and text): adds an analysis of the labels, which
               says that it reads them. --scores VALIDATOR:DIR adds how well each distance (utt2mer utt2per utt2comp)
               spots bad labels.
--audit        chunks of the training recordings corrected by a person (k2d audit), in its place.
--held_out     without --test_sets: held-out chunks (k2d hold_out), on which agreement takes the place of error rates.
--speed        speed.json of k2d speed (default EXP/speed/speed.json).
--test_data    where the test sets' data directories lie, for the sounds of the error browser (data); --audio_mb how
               much of them goes into the page.
--explorers    NAME:DIR, several separated by blanks: explorers of k2d explore, which the page links to.
--paper        SET:COLUMN, COLUMN one of COOLTEST NTUML2021 CV16 ASCEND: the paper's rows beside ours. Without it they
               stand in a table of their own. A student stands beside the paper's of its selection at the paper's α.

Students that differ only in their seed share a row, mean ± standard deviation, with intervals and tests over recordings
and seeds (k2d/score/significance.py); every tag has a table of error rates. Students of several --hours give
ladder.svg, error rates against hours.

A step: writes RESULTS.md, index.html and table.txt (the first table for a terminal) into --output_dir, and makes
--results a copy of RESULTS.md, and --figure of ladder.svg, whenever they differ.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from k2d.audio.options import AudioOptions
from k2d.errors import UsageError
from k2d.explore.references import audited_texts
from k2d.label.account import SUMMARY
from k2d.options import CommandParser, add_options, command, options_of
from k2d.score import paper
from k2d.tables import atomic
from k2d.transcribers import kind_of
from k2d.whisper.identity import model_identity
from k2d.work import identity, provenance
from k2d.work.models import MODEL, ModelRecord
from k2d.work.step import Step, add_step_arguments, run_step

if TYPE_CHECKING:
    from k2d.datadir import DataDir
    from k2d.score.curves import Training
    from k2d.score.experiment import Experiment
    from k2d.score.tables import Table

LISTED = ("results", 3)
RESULTS = "RESULTS.md"
FIGURE = "ladder.svg"


def parser() -> argparse.ArgumentParser:
    p = CommandParser("report", __doc__)
    p.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the experiment")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--results", type=Path, help="file for a copy of RESULTS.md")
    p.add_argument("--figure", type=Path, help="file for a copy of ladder.svg")
    p.add_argument("--models", required=True, help="names of folders in EXP, separated by blanks")
    p.add_argument("--test_sets", default="", help="names of test sets, separated by blanks")
    p.add_argument("--held_out", type=Path, help="without test sets: held-out chunks to compare models on")
    p.add_argument("--train_data", type=Path, help="the labelled chunks before selection")
    p.add_argument(
        "--reference", type=Path, help="reference transcripts of the training recordings, for an analysis of the labels"
    )
    p.add_argument("--audit", type=Path, help="data directory made by k2d audit, instead of --reference")
    p.add_argument("--scores", default="", help="VALIDATOR:DIR, several separated by blanks")
    p.add_argument("--speed", type=Path, help="speed.json of k2d speed (default: that of EXP/speed)")
    p.add_argument("--test_data", type=Path, default=Path("data"), help="folder of the test sets")
    p.add_argument("--audio_mb", type=float, default=20.0, help="audio and spectrograms in the page, megabytes")
    p.add_argument("--explorers", default="", help="NAME:DIR of the explorers to link, several separated by blanks")
    add_options(p, AudioOptions, "recordings")
    p.add_argument("--paper", default="", help="SET:COLUMN, several separated by blanks")
    p.add_argument("--notes", type=Path, help="Markdown file to put before the tables")
    p.add_argument("--title", default="Results", help="title of the page")
    add_step_arguments(p)
    return p


def pairs(text: str, option: str) -> dict[str, str]:
    """ "validator:exp/base small:exp/small" to a dictionary, in order."""
    table: dict[str, str] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not (name and colon and value):
            raise UsageError(f"--{option}: {word!r}; expected NAME:VALUE, several separated by blanks")
        if name in table:
            raise UsageError(f"--{option}: {name!r} is given twice; give every name once")
        table[name] = value
    return table


def check(args: argparse.Namespace) -> None:
    names = args.models.split()
    if len(set(names)) < len(names):
        raise UsageError(f"--models: a name is given twice in {args.models!r}; give every name once")
    if bool(args.test_sets.split()) == bool(args.held_out):
        raise UsageError("give one of --test_sets and --held_out")
    pairs(args.scores, "scores")
    pairs(args.explorers, "explorers")
    unknown = sorted(set(pairs(args.paper, "paper").values()) - set(paper.SETS))
    if unknown:
        raise UsageError(f"--paper: no column {unknown[0]!r}; expected one of {' '.join(paper.SETS)}")
    if args.notes and not args.notes.is_file():
        raise UsageError(f"--notes {args.notes}: no such file; expected Markdown that stands before the tables")
    if args.audit:
        if args.reference:
            raise UsageError("give one of --reference and --audit")
        audited_texts(args.audit)
    if (args.reference or args.audit) and args.train_data is None:
        raise UsageError("--reference and --audit need --train_data, the labelled chunks that they are compared with")


def run(args: argparse.Namespace) -> int:
    from k2d.score.experiment import read_records

    check(args)
    if args.audit:
        args.reference = audited_texts(args.audit)
    records = read_records(args.exp, args.models.split())
    args.speed = args.speed or args.exp / "speed/speed.json"
    names = ("models", "test_sets", "held_out", "train_data", "reference", "scores", "paper", "title", "test_data",
             "audio_mb", "explorers")  # fmt: skip
    step = Step(
        "report",
        args.output_dir,
        inputs=inputs(args, records),
        options={name: getattr(args, name) for name in names},
        arguments=args,
    )
    status = run_step(step, args, lambda: write(args, records))
    if status == 0:
        for made, copy in ((RESULTS, args.results), (FIGURE, args.figure)):
            if copy and (args.output_dir / made).exists():
                copy_text(args.output_dir / made, copy)
    return status


def copy_text(made: Path, copy: Path) -> None:
    """Whenever it differs."""
    text = made.read_text(encoding="utf-8")
    if not copy.exists() or copy.read_text(encoding="utf-8") != text:
        with atomic(copy) as out:
            out.write(text)


def inputs(args: argparse.Namespace, records: Sequence[ModelRecord]) -> dict[str, identity.Identity]:
    from k2d.score import agreement
    from k2d.score.aligned import ALIGNED
    from k2d.score.curves import training_logs
    from k2d.score.scored import COUNTS, RESULT, score_dir

    tables = ("wav.scp", "segments", "text", "utt2dur")
    scores = [score_dir(args.exp, r.name, test_set) for r in records for test_set in args.test_sets.split()]
    selected = ("text.trusted", "report.json", "dropped.tsv")
    files = {
        "models": [args.exp / r.name / MODEL for r in records],
        "scores": [folder / name for folder in scores for name in (RESULT, *COUNTS, ALIGNED)],
        "held_out": [] if args.held_out is None else [
            *(args.held_out / witness for witness in agreement.WITNESSES),
            *(agreement.hypothesis_file(args.exp, r.name) for r in records),
        ],
        "test_data": [args.test_data / s / name for s in args.test_sets.split() for name in ("wav.scp", "segments")],
        "speed": [args.speed],
        "logs": [log for r in records for log in training_logs(args.exp / r.name)],
        "selections": [Path(r.data) / n for r in records if r.data for n in (*tables, *selected)],
        "notes": [args.notes] if args.notes else [],
        "train_data": [args.train_data / name for name in (*tables, SUMMARY)] if args.train_data else [],
        "reference": [args.reference, *(args.reference / n for n in ("segments", "text"))] if args.reference else [],
        "distances": [f for d in pairs(args.scores, "scores").values() for f in score_files(Path(d))],
        "facts of labels": score_files(args.train_data) if args.scores and args.train_data else [],
    }
    found = {}
    for name, paths in files.items():
        digests = {str(path): identity.file_digest(path) for path in paths if path.is_file()}
        found[name] = identity.Identity(str(args.exp), identity.digest_of(digests))
    weights = {r.name: model_identity(r.path).digest for r in records if kind_of(r.path) == "whisper"}
    found["weights"] = identity.Identity(str(args.exp), identity.digest_of(weights))
    return found


def tables(experiment: Experiment, args: argparse.Namespace, labelled: DataDir | None) -> list[Table]:
    from k2d.explore.detection import analyse
    from k2d.explore.explorer import metrics_of
    from k2d.explore.label_quality import label_quality
    from k2d.explore.spotting import spot
    from k2d.label.scores import find_scores, read_choices
    from k2d.score import agreement, label_tables, report, teacher_tables
    from k2d.score.hours import hours_table
    from k2d.score.selections import retention_table

    paper_sets = pairs(args.paper, "paper")
    if args.held_out is not None:
        made = [agreement.agreement_table(experiment, args.held_out)]
    else:
        made = [
            *report.main_tables(experiment, paper_sets),
            *filter(None, (report.seeds_table(experiment), report.training_table(experiment, trainings(experiment)))),
            report.language_table(experiment, paper_sets),
            report.switch_table(experiment),
            *report.switch_distance_tables(experiment),
            report.error_table(experiment, paper_sets),
        ]
        if not paper_sets:
            made.insert(len(experiment.tags) or 1, report.paper_table(experiment))
    if speed := report.speed_table(experiment):
        made.append(speed)
    if labelled and (hours := hours_table(labelled.path)):
        made.append(hours)
    if kept := retention_table(experiment.selections):
        made.append(kept)
    if args.reference:
        folders = pairs(args.scores, "scores")
        by_segment = bool(folders) or any(s.trusted is not None for s in experiment.selections.values())
        quality = label_quality(labelled, args.reference, by_segment)
        made += teacher_tables.tables(quality, labelled.text, Path(args.reference))
        if not args.audit:  # chunks of an audit are left out of every selection: neither kept nor dropped
            made.append(label_tables.label_table(experiment.selections, quality))
            made.append(label_tables.kept_kinds_table(experiment.selections, quality))
        found, spotted = {}, {}
        for name, folder in folders.items():
            scores = find_scores(labelled, {name: folder})
            # As on the explorer's page, without its intervals.
            found[name] = analyse(quality.audit(scores, metrics_of(scores)), resamples=0)
            choices, alpha = read_choices(Path(folder)), label_tables.alpha_of(experiment)
            spotted[name] = spot(quality, scores, alpha, choices, labelled.text)
        if found:
            made += [label_tables.detection_table(found, show_paper=bool(paper_sets)), label_tables.recall_table(found)]
            made += [label_tables.spotting_table(spotted), label_tables.kinds_table(spotted, quality)]
    return made


def explorers(args: argparse.Namespace) -> list[tuple[str, str]]:
    """(name, link from the page) of the explorers that are there."""
    pages = {name: Path(folder) / "explorer.html" for name, folder in pairs(args.explorers, "explorers").items()}
    links = {name: os.path.relpath(page, args.output_dir) for name, page in pages.items() if page.is_file()}
    return [(name, quote(link)) for name, link in links.items()]


def score_files(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("utt2*")), folder / "text", folder / "summary.json"]


def trainings(experiment: Experiment) -> dict[str, Training]:
    from k2d.score.curves import read_training

    found = {model.name: read_training(experiment.root / model.name) for model in experiment.models}
    return {name: training for name, training in found.items() if training}


def write(args: argparse.Namespace, records: Sequence[ModelRecord]) -> dict:
    from k2d.datadir import DataDir
    from k2d.score.aims import VERDICTS, aims_of, best_student, headline
    from k2d.score.curves import training_curves
    from k2d.score.error_browser import browse
    from k2d.score.experiment import read_experiment
    from k2d.score.ladder import draw_ladder
    from k2d.score.page import report_page

    labelled = DataDir(args.train_data) if args.train_data else None
    experiment = read_experiment(args.exp, records, args.test_sets.split(), speed=args.speed, labelled=labelled)
    made = tables(experiment, args, labelled)
    aims = list(aims_of(experiment))
    facts = provenance.facts()
    statements = [str(aim) for aim in aims]
    with atomic(args.output_dir / RESULTS) as out:
        out.write(f"# {args.title}\n\nWritten by the scoring stage; a change by hand is lost at its next run.\n\n")
        out.write("\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n\n")
        if args.notes:
            out.write(args.notes.read_text(encoding="utf-8").strip() + "\n\n")
        parts = [table.markdown() for table in made]
        if statements:
            parts.insert(len(experiment.tags) or 1, "## Aims\n\n" + "\n".join(statements) + "\n")
        out.write("\n".join(parts))
    with atomic(args.output_dir / "table.txt") as out:
        out.write(made[0].text())
    texts, clips = browse(experiment, args.test_data, args.audio_mb, options_of(AudioOptions, args))
    best = best_student(experiment)
    page = report_page(
        experiment,
        made,
        aims,
        main=len(experiment.tags) or 1,
        title=args.title,
        headline=headline(experiment),
        best=best and best[0].model.name,
        facts=facts,
        curves=training_curves(experiment),
        texts=texts,
        clips=clips,
        explorers=explorers(args),
    )
    with atomic(args.output_dir / "index.html") as out:
        out.write(page)
    if figure := draw_ladder(experiment):
        with atomic(args.output_dir / FIGURE) as out:
            out.write(figure)

    if args.held_out is not None:
        from k2d.score.agreement import NO_ERROR_RATE

        print(f"report: {NO_ERROR_RATE}")
    measured, expected = len(experiment.results), len(experiment.models) * len(experiment.test_sets)
    verdicts = Counter(aim.verdict for aim in aims)
    became = ", ".join(f"{verdicts[name]} {name}" for name in VERDICTS)
    print(
        f"report: {measured} of {expected} results of {len(experiment.models)} models, aims "
        f"{became}: {args.results or args.output_dir / RESULTS}, {args.output_dir / 'index.html'}"
    )
    return {"results": measured, "expected": expected}


main = command(parser, run)
