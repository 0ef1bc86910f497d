#!/usr/bin/env python3
"""Students of one tag, scored on dev, in; for each selection the α whose student errs least there, out.

    python local/choose_alpha.py --exp exp --tag patience --set dev --selections "comp segment" --notes notes.md

Prints SELECTION@ALPHA for each selection, in one line. Of equal rates the larger α, which keeps more. --notes: the
rates as a Markdown table.
"""

import argparse
import sys
from pathlib import Path

from k2d.errors import DataError, guarded
from k2d.score.experiment import read_result, score_dir
from k2d.tables import atomic
from k2d.work.models import MODEL, read_record


def rates(exp: Path, tag: str, hours: float | None, test_set: str) -> dict[str, dict[float, float]]:
    """selection -> α -> mean MER over the seeds, of the students of `hours` (None: of any)."""
    found: dict[str, dict[float, list[float]]] = {}
    for path in sorted(exp.glob(f"*/{MODEL}")):
        record = read_record(path.parent)
        result = score_dir(exp, path.parent.name, test_set) / "result.json"
        wanted = record.tag == tag and record.alpha is not None and hours in (None, record.hours)
        if wanted and result.exists():
            by_alpha = found.setdefault(record.selection, {})
            by_alpha.setdefault(record.alpha, []).append(read_result(result)["mer"]["rate"])
    return {s: {a: sum(r) / len(r) for a, r in by_alpha.items()} for s, by_alpha in found.items()}


def choose(by_alpha: dict[float, float]) -> float:
    return min(by_alpha, key=lambda alpha: (by_alpha[alpha], -alpha))


def run(args: argparse.Namespace) -> int:
    found, chosen = rates(args.exp, args.tag, args.hours, args.set), []
    for selection in args.selections.split():
        if selection not in found:
            raise DataError(f"{args.exp}: no student of {selection} with the tag {args.tag} was scored on {args.set}")
        chosen.append(f"{selection}@{choose(found[selection]):g}")
    if args.notes:
        alphas = sorted({alpha for by_alpha in found.values() for alpha in by_alpha})
        with atomic(args.notes) as out:
            out.write(f"\nMER on `{args.set}` in percent, chosen: {', '.join(chosen)}.\n\n")
            out.write("| selection | " + " | ".join(f"α {a:g}" for a in alphas) + " |\n")
            out.write("|---|" + "---:|" * len(alphas) + "\n")
            for selection, by_alpha in found.items():
                cells = (f"{100 * by_alpha[a]:.2f}" if a in by_alpha else "–" for a in alphas)
                out.write(f"| {selection} | " + " | ".join(cells) + " |\n")
    print(*chosen)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, default=Path("exp"))
    parser.add_argument("--tag", default="patience")
    parser.add_argument("--hours", type=float, help="students of so many hours alone")
    parser.add_argument("--set", default="dev")
    parser.add_argument("--selections", default="comp segment")
    parser.add_argument("--notes", type=Path)
    args = parser.parse_args()
    return guarded("choose_alpha", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
