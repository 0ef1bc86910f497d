#!/usr/bin/env python3
"""What the teacher made of the lectures, and how much of it the filter finds: stages 1 to 4 in, RESULTS.md out.

    python local/labels.py --labels data/lectures_whisper-base --exp exp/lectures_whisper-base \\
        --reference data/lectures/reference --results RESULTS.md

Stage 7 reports the same of labels, beside students; this needs none. Tables are those of k2d report
(k2d/score/{label,teacher}_tables.py), for every selection and every validator that is there. It reads the references,
which no stage before reads.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parents[3]))  # the repository, where no path.sh was sourced
from k2d.atomic import atomic  # noqa: E402
from k2d.datadir import DataDir  # noqa: E402
from k2d.errors import guarded  # noqa: E402
from k2d.explore.label_quality import label_quality  # noqa: E402
from k2d.explore.spotting import spot  # noqa: E402
from k2d.label.scores import find_scores, read_choices  # noqa: E402
from k2d.score import label_tables, teacher_tables  # noqa: E402
from k2d.score.selections import hours_table, selection_in  # noqa: E402
from k2d.work import provenance  # noqa: E402


def results(args: argparse.Namespace) -> str:
    """The tables and examples, without what was run where."""
    chunks = DataDir(args.labels)
    labels = chunks.text
    quality = label_quality(chunks, args.reference, by_segment=True)
    selections = {
        str(folder): selection_in(folder.name.removeprefix(f"{args.labels.name}_"), folder, chunks)
        for folder in sorted(args.labels.parent.glob(f"{args.labels.name}_*"))
        if (folder / "report.json").is_file()
    }
    spotted = {}
    for folder in sorted(each.parent for each in args.exp.glob("*/utt2comp")):
        scores = find_scores(chunks, {folder.name: folder})
        spotted[folder.name] = spot(quality, scores, args.alpha, read_choices(folder), labels)
    tables = [
        *teacher_tables.tables(quality, labels, args.reference),
        hours_table(chunks.path),
        label_tables.label_table(selections, quality),
        label_tables.kept_kinds_table(selections, quality),
        label_tables.spotting_table(spotted),
        label_tables.kinds_table(spotted, quality),
    ]
    return "\n".join([*(table.markdown() for table in tables if table), "## The worst labels of each kind\n",
                      *teacher_tables.examples(quality, labels)])  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Write --results; a run that measured the same again leaves it, with the command that made the labels."""
    text = results(args)
    if args.results.is_file() and args.results.read_text(encoding="utf-8").endswith(text):
        print(f"labels: {args.results} says so already")
        return 0
    with atomic(args.results) as out:
        out.write("# Results\n\nWritten by `run.sh` after stage 4; a change by hand is lost when labels change.\n\n")
        out.write("\n".join(f"- {name}: {value}" for name, value in provenance.facts().items()) + f"\n\n{text}")
    print(f"labels: {args.results}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="the labelled chunks; selections lie beside them")
    parser.add_argument("--exp", type=Path, required=True, help="folder of the scores, one folder a validator")
    parser.add_argument("--reference", type=Path, required=True, help="what was said: segments, text, recordings/")
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    parser.add_argument("--alpha", type=float, default=0.4, help="limit of the distances")
    return guarded("labels", lambda: run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
