"""What was measured in, what people read out: RESULTS.md, index.html, table.txt and ladder.svg.

In: `ReportOptions`. Out: files in a folder, and the `Experiment` and its aims that they are about.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from k2d.atomic import atomic
from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.explore.detection import analyse
from k2d.explore.explorer import metrics_of
from k2d.explore.label_quality import label_quality
from k2d.explore.spotting import spot
from k2d.label.account import SUMMARY
from k2d.label.scores import find_scores, read_choices
from k2d.score import agreement, label_tables, report, teacher_tables
from k2d.score.aims import Aim, aims_of
from k2d.score.aligned import ALIGNED
from k2d.score.curves import TrainingLog, read_trainings, training_logs
from k2d.score.error_browser import browse
from k2d.score.experiment import Experiment, read_experiment
from k2d.score.ladder import draw_ladder
from k2d.score.page import report_page
from k2d.score.scored import COUNTS, RESULT, score_dir
from k2d.score.selections import hours_table, retention_table
from k2d.score.tables import Table
from k2d.transcribers import kind_of
from k2d.whisper.identity import model_identity
from k2d.work import provenance
from k2d.work.identity import Identity, digest_of, file_digest
from k2d.work.models import MODEL, ModelRecord

RESULTS, FIGURE = "RESULTS.md", "ladder.svg"


@dataclass(frozen=True)
class ReportOptions:
    """records: of the models, folders of exp. held_out: chunks that take the place of test_sets. train_data: the
    labelled chunks before selection; reference: what was said in them, by an audit if `audited`; scores: validator ->
    directory. speed: of k2d speed. test_data: where the test sets lie, for audio_mb of sound. explorers: name ->
    directory. paper_sets: test set -> column of the paper's. notes: Markdown."""

    exp: Path
    records: Sequence[ModelRecord]
    test_sets: Sequence[str]
    held_out: Path | None
    train_data: Path | None
    reference: Path | None
    audited: bool
    scores: Mapping[str, str]
    speed: Path
    test_data: Path
    audio_mb: float
    audio: AudioOptions
    explorers: Mapping[str, str]
    paper_sets: Mapping[str, str]
    notes: Path | None
    title: str


def inputs_of(options: ReportOptions) -> dict[str, Identity]:
    """Of all files that the results are made of, those that are there."""
    exp, records, held_out, reference = options.exp, options.records, options.held_out, options.reference
    tables = ("wav.scp", "segments", "text", "utt2dur")
    scores = [score_dir(exp, r.name, test_set) for r in records for test_set in options.test_sets]
    selected = ("text.trusted", "report.json", "dropped.tsv")
    files = {
        "models": [exp / r.name / MODEL for r in records],
        "scores": [folder / name for folder in scores for name in (RESULT, *COUNTS, ALIGNED)],
        "held_out": [] if held_out is None else [
            *(held_out / name for name in (*agreement.WITNESSES, "wav.scp", "segments")),
            *(agreement.hypothesis_file(exp, r.name) for r in records),
        ],
        "test_data": [options.test_data / s / name for s in options.test_sets for name in ("wav.scp", "segments")],
        "speed": [options.speed],
        "logs": [log for r in records for log in training_logs(exp / r.name)],
        "selections": [Path(r.data) / n for r in records if r.data for n in (*tables, *selected)],
        "notes": [options.notes] if options.notes else [],
        "train_data": [options.train_data / name for name in (*tables, SUMMARY)] if options.train_data else [],
        "reference": [reference, *(reference / name for name in ("segments", "text"))] if reference else [],
        "distances": [f for folder in options.scores.values() for f in _score_files(Path(folder))],
        "facts of labels": _score_files(options.train_data) if options.scores and options.train_data else [],
    }
    digests = {name: {str(p): file_digest(p) for p in paths if p.is_file()} for name, paths in files.items()}
    digests["weights"] = {r.name: model_identity(r.path).digest for r in records if kind_of(r.path) == "whisper"}
    return {name: Identity(str(exp), digest_of(found)) for name, found in digests.items()}


def _score_files(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("utt2*")), folder / "text", folder / "summary.json"]


def write_results(folder: Path, options: ReportOptions) -> tuple[Experiment, list[Aim]]:
    """Write the files; the figure only where there is something to draw."""
    labelled = DataDir(options.train_data) if options.train_data else None
    experiment = read_experiment(
        options.exp, options.records, options.test_sets, speed=options.speed, labelled=labelled
    )
    trainings = read_trainings(experiment)
    tables, main = _tables(experiment, options, labelled, trainings), len(experiment.tags) or 1
    aims, facts = list(aims_of(experiment)), provenance.facts()
    parts = [table.markdown() for table in tables]
    if aims:
        parts.insert(main, "## Aims\n\n" + "\n".join(map(str, aims)) + "\n")
    with atomic(folder / RESULTS) as out:
        out.write(f"# {options.title}\n\n{provenance.WRITTEN}\n\n")
        out.write("\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n\n")
        if options.notes:
            out.write(options.notes.read_text(encoding="utf-8").strip() + "\n\n")
        out.write("\n".join(parts))
    with atomic(folder / "table.txt") as out:
        out.write(tables[0].text())
    texts, clips = browse(experiment, options.test_data, options.held_out, options.audio_mb, options.audio)
    links = _links(options.explorers, folder)
    page = report_page(
        experiment, tables, aims, trainings, main=main, title=options.title, facts=facts, texts=texts, clips=clips,
        explorers=links,
    )
    with atomic(folder / "index.html") as out:
        out.write(page)
    if figure := draw_ladder(experiment):
        with atomic(folder / FIGURE) as out:
            out.write(figure)
    return experiment, aims


def _tables(
    experiment: Experiment, options: ReportOptions, labelled: DataDir | None, trainings: Mapping[str, TrainingLog]
) -> list[Table]:
    """All that RESULTS.md has, in order."""
    if options.held_out is not None:
        made = [agreement.agreement_table(experiment, options.held_out)]
    else:
        of_students = report.tags_table(experiment), report.seeds_table(experiment)
        made = [
            *report.main_tables(experiment, options.paper_sets),
            *filter(None, (*of_students, report.training_table(experiment, trainings))),
            report.language_table(experiment, options.paper_sets),
            report.switch_table(experiment),
            *report.switch_distance_tables(experiment),
            report.error_table(experiment, options.paper_sets),
        ]
        if not options.paper_sets:
            made.insert(len(experiment.tags) or 1, report.paper_table(experiment))
    hours = labelled and hours_table(labelled.path)
    made += filter(None, (report.speed_table(experiment), hours, retention_table(experiment.selections)))
    if options.reference:
        made += _tables_of_labels(experiment, options, labelled)
    return made


def _tables_of_labels(experiment: Experiment, options: ReportOptions, labelled: DataDir) -> list[Table]:
    by_segment = bool(options.scores) or any(s.trusted is not None for s in experiment.selections.values())
    quality = label_quality(labelled, options.reference, by_segment)
    made = list(teacher_tables.tables(quality, labelled.text, options.reference))
    # Chunks of an audit are left out of every selection: neither kept nor dropped.
    if experiment.selections and not options.audited:
        made.append(label_tables.label_table(experiment.selections, quality))
        made.append(label_tables.kept_kinds_table(experiment.selections, quality))
    found, spotted = {}, {}
    for name, folder in options.scores.items():
        scores = find_scores(labelled, {name: folder})
        # As on the explorer's page, without its intervals.
        found[name] = analyse(quality.audit(scores, metrics_of(scores)), resamples=0)
        choices, alpha = read_choices(Path(folder)), label_tables.alpha_of(experiment, name)
        spotted[name] = spot(quality, scores, alpha, choices, labelled.text)
    if found:
        made.append(label_tables.detection_table(found, show_paper=bool(options.paper_sets)))
        made.append(label_tables.recall_table(found))
        made += [label_tables.spotting_table(spotted), label_tables.kinds_table(spotted, quality)]
    return made


def _links(explorers: Mapping[str, str], folder: Path) -> list[tuple[str, str]]:
    """(name, link from a page in the folder) of the explorers that are there."""
    pages = {name: Path(place) / "explorer.html" for name, place in explorers.items()}
    return [(name, quote(os.path.relpath(page, folder))) for name, page in pages.items() if page.is_file()]
