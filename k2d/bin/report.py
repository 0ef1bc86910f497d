"""Write RESULTS.md and the report page from all results.

    k2d report --exp exp --output_dir exp/report --results RESULTS.md \\
        --models "teacher validator student_full student_comp" \\
        --test_sets "test_in test_in_long test_out" --train_data data/lectures_teacher \\
        --reference data/lectures/reference --scores "validator:exp/lectures_teacher/validator"

--models       names of folders in EXP, each with a model.json (k2d record), which says role, selection, alpha, teacher,
               validator, seed and the directory of the labels learnt. What a model makes of a set is in
               EXP/NAME/decode_<set>/score (k2d score). Missing results are shown as not measured.
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
--paper        SET:COLUMN, COLUMN one of COOLTEST NTUML2021 CV16 ASCEND: the paper's rows beside ours; without it, in
               a table of their own. A student is compared with the paper's of the same selection at the paper's α.

Students that differ only in their seed share a row, mean ± standard deviation, with intervals and tests over recordings
and seeds (k2d/score/significance.py). Every tag has a table of error rates, and its students are compared with those of
the first tag that learnt the same labels. Students of several --hours give ladder.svg, error rates against hours.

A step: writes RESULTS.md, index.html and table.txt (the first table for a terminal) into --output_dir, and makes
--results a copy of RESULTS.md, and --figure of ladder.svg, whenever they differ.
"""

import argparse
import os
from collections import Counter
from pathlib import Path

from k2d.atomic import atomic
from k2d.audio.options import AudioOptions
from k2d.errors import UsageError
from k2d.explore.references import audited_texts
from k2d.options import CommandParser, add_options, command, options_of
from k2d.score import paper
from k2d.tables import read_table
from k2d.wording import counted
from k2d.work import provenance
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("results", 3)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("report", __doc__)
    p.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the experiment")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--results", type=Path, metavar="FILE", help="file for a copy of RESULTS.md")
    p.add_argument("--figure", type=Path, metavar="FILE", help="file for a copy of ladder.svg")
    p.add_argument("--models", required=True, help="names of folders in EXP, separated by blanks")
    p.add_argument("--test_sets", default="", help="names of test sets, separated by blanks")
    p.add_argument("--held_out", type=Path, help="without test sets: held-out chunks to compare models on")
    p.add_argument("--train_data", type=Path, help="the labelled chunks before selection")
    p.add_argument(
        "--reference", type=Path, help="reference transcripts of the training recordings, for an analysis of the labels"
    )
    p.add_argument("--audit", type=Path, metavar="DIR", help="data directory made by k2d audit, instead of --reference")
    p.add_argument("--scores", default="", help="VALIDATOR:DIR, several separated by blanks")
    p.add_argument("--speed", type=Path, metavar="FILE", help="speed.json of k2d speed (default: that of EXP/speed)")
    p.add_argument("--test_data", type=Path, default=Path("data"), help="folder of the test sets")
    p.add_argument("--audio_mb", type=float, default=20.0, help="audio and spectrograms in the page, megabytes")
    p.add_argument("--explorers", default="", help="NAME:DIR of the explorers to link, several separated by blanks")
    add_options(p, AudioOptions)
    p.add_argument("--paper", default="", help="SET:COLUMN, several separated by blanks")
    p.add_argument("--notes", type=Path, metavar="FILE", help="Markdown file to put before the tables")
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
    if args.results:
        check_place("results", args.results)
        if args.results.exists() and not written_by_us(args.results):
            raise UsageError(f"--results {args.results}: no tables of ours, and not overwritten; name another file")
    if args.figure:
        check_place("figure", args.figure)
    if args.audit:
        if args.reference:
            raise UsageError("give one of --reference and --audit")
        audited_texts(args.audit)
    if (args.reference or args.audit) and args.train_data is None:
        raise UsageError("--reference and --audit need --train_data, the labelled chunks that they are compared with")


def check_place(option: str, file: Path) -> None:
    """UsageError where no copy can be put."""
    if file.is_dir():
        raise UsageError(f"--{option} {file}: a folder; name a file in it")
    if file.exists() and not file.is_file():
        raise UsageError(f"--{option} {file}: no regular file; name another")
    there = next(folder for folder in file.absolute().parents if os.path.lexists(folder))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--{option} {file}: {there} is no folder that you may write in; name another place")


def written_by_us(file: Path) -> bool:
    """Whether tables begin as the scoring stage begins them."""
    if not os.access(file, os.R_OK):
        return False
    with open(file, "rb") as handle:
        title, _, mark = (handle.readline(1000) for _ in range(3))
    return title.startswith(b"# ") and mark.strip() == provenance.WRITTEN.encode()


def run(args: argparse.Namespace) -> int:
    from k2d.score.agreement import said_first
    from k2d.score.aims import VERDICTS
    from k2d.score.experiment import read_records
    from k2d.score.results import FIGURE, RESULTS, ReportOptions, inputs_of, write_results

    check(args)
    if args.audit:
        args.reference = audited_texts(args.audit)
    args.speed = args.speed or args.exp / "speed/speed.json"
    options = options_of(
        ReportOptions,
        args,
        records=read_records(args.exp, args.models.split()),
        test_sets=args.test_sets.split(),
        audited=bool(args.audit),
        scores=pairs(args.scores, "scores"),
        audio=options_of(AudioOptions, args),
        explorers=pairs(args.explorers, "explorers"),
        paper_sets=pairs(args.paper, "paper"),
    )
    names = ("models", "test_sets", "held_out", "train_data", "reference", "scores", "paper", "title", "test_data",
             "audio_mb", "explorers", "damaged")  # fmt: skip
    decides = {name: getattr(args, name) for name in names}
    step = Step("report", args.output_dir, inputs=inputs_of(options), options=decides, arguments=vars(args))

    def work() -> dict:
        experiment, aims = write_results(args.output_dir, options)
        if args.held_out is not None:
            print(f"report: {said_first(len(read_table(args.held_out / 'text')))}")
        measured, expected = len(experiment.results), len(experiment.models) * len(experiment.test_sets)
        verdicts = Counter(aim.verdict for aim in aims)
        became = ", ".join(f"{verdicts[name]} {name}" for name in VERDICTS)
        models = counted(len(experiment.models), "model")
        said = f"{measured} of {counted(expected, 'result')} of {models}, aims {became}" if expected else models
        print(f"report: {said}: {args.results or args.output_dir / RESULTS}, {args.output_dir / 'index.html'}")
        return {"results": measured, "expected": expected}

    status = run_step(step, args.begin, work)
    if status == 0:
        for made, copy in ((RESULTS, args.results), (FIGURE, args.figure)):
            if copy and (args.output_dir / made).exists():
                copy_text(args.output_dir / made, copy)
    return status


def copy_text(made: Path, copy: Path) -> None:
    """Whenever it differs."""
    text = made.read_bytes()
    if not copy.exists() or copy.read_bytes() != text:
        with atomic(copy, "wb") as out:
            out.write(text)


main = command(parser, run)
