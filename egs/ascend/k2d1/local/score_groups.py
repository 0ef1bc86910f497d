"""Error rates of a test set by what the corpus says of its utterances: language label, topic.

    local/score_groups.py --data data/test --exp exp --output RESULTS.md --models "teacher student_comp"

Reads DATA/utt2language, DATA/utt2topic and what the scoring stage wrote (EXP/<model>/decode_<set>/score/utt2errors,
utt2units). Errors and units are summed over a group. Adds one table a fact to the end of RESULTS.md.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import guarded
from k2d.score.scored import RESULT, read_counts, score_dir
from k2d.score.tables import Table, percent
from k2d.tables import read_table
from k2d.wording import counted

FACTS = {"language": "By language label", "topic": "By topic"}


def rates(errors: Mapping[str, float], units: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    """group -> errors per reference unit, groups with no unit left out."""
    totals: dict[str, list[float]] = {}
    for utterance, group in groups.items():
        if utterance in errors:
            total = totals.setdefault(group, [0.0, 0.0])
            total[0] += errors[utterance]
            total[1] += units[utterance]
    return {group: wrong / said for group, (wrong, said) in totals.items() if said}


def table(fact: str, data: Path, exp: Path, models: list[str]) -> str:
    """A Markdown table: models down, groups across, mixed error rate in percent."""
    groups = read_table(data / f"utt2{fact}")
    names = sorted(set(groups.values()))
    rows = []
    for model in models:
        folder, found = score_dir(exp, model, data.name), {}
        if (folder / RESULT).exists():
            counts = read_counts(folder)
            found = rates(counts.errors, counts.units, groups)
        rows.append([model, *(percent(found.get(name)) for name in names)])
    counts = ", ".join(f"{name} {sum(g == name for g in groups.values()):,}" for name in names)
    note = f"Mixed error rate in percent on data/{data.name}; utterances: {counts}."
    return Table(FACTS[fact], note, ["model", *names], rows).markdown()


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--exp", type=Path, required=True)
    p.add_argument("--output", type=Path, required=True)
    p.add_argument("--models", required=True, help="names of folders in EXP, separated by blanks")
    return guarded("score_groups", lambda: run(p.parse_args()))


def run(args: argparse.Namespace) -> int:
    models = args.models.split()
    tables = [table(fact, args.data, args.exp, models) for fact in FACTS]
    text = args.output.read_text(encoding="utf-8")
    for heading in FACTS.values():  # of an earlier run
        text = text.partition(f"\n## {heading}\n")[0]
    with atomic(args.output) as out:
        out.write(text.rstrip("\n") + "\n\n" + "\n".join(tables))
    print(f"score_groups: {counted(len(models), 'model')} by {' and '.join(FACTS)}: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
