#!/usr/bin/env python3
"""Students of one tag, scored on dev, in; for each selection the share of the speech whose student errs least, out.

    python local/choose_share.py --exp exp --tag patience --set dev --selections "comp fused" --notes notes.md

Prints SELECTION@keepSHARE for each selection, in one line. Of equal rates the larger share. --notes: the rates as a
Markdown table.
"""

import argparse
import sys
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import DataError, guarded
from k2d.score.scored import RESULT, score_dir
from k2d.text.markdown import table
from k2d.work.folders import read_result
from k2d.work.models import MODEL, read_record


def rates(exp: Path, tag: str, hours: float | None, test_set: str) -> dict[str, dict[float, float]]:
    """selection -> share kept -> mean MER over the seeds, of the students of `hours` (None: of any)."""
    found: dict[str, dict[float, list[float]]] = {}
    for path in sorted(exp.glob(f"*/{MODEL}")):
        record = read_record(path.parent)
        result = score_dir(exp, path.parent.name, test_set) / RESULT
        wanted = record.tag == tag and record.keep is not None and hours in (None, record.hours)
        if wanted and result.exists():
            by_share = found.setdefault(record.selection, {})
            by_share.setdefault(record.keep, []).append(read_result(result)["mer"]["rate"])
    return {s: {share: sum(r) / len(r) for share, r in by_share.items()} for s, by_share in found.items()}


def choose(by_share: dict[float, float]) -> float:
    return min(by_share, key=lambda share: (by_share[share], -share))


def run(args: argparse.Namespace) -> int:
    found, chosen = rates(args.exp, args.tag, args.hours, args.set), []
    for selection in args.selections.split():
        if selection not in found:
            raise DataError(f"{args.exp}: no student of {selection} with the tag {args.tag} was scored on {args.set}")
        chosen.append(f"{selection}@keep{choose(found[selection]):g}")
    if args.notes:
        shares = sorted({share for by_share in found.values() for share in by_share})
        with atomic(args.notes) as out:
            out.write(f"\nMER on `{args.set}` in percent, chosen: {', '.join(chosen)}.\n\n")
            rows = [[name, *(f"{100 * r[s]:.2f}" if s in r else "–" for s in shares)] for name, r in found.items()]
            out.write("\n".join(table(["selection", *(f"{100 * s:g} % kept" for s in shares)], rows)) + "\n")
    print(*chosen)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, default=Path("exp"))
    parser.add_argument("--tag", default="patience")
    parser.add_argument("--hours", type=float, help="students of so many hours alone")
    parser.add_argument("--set", default="dev")
    parser.add_argument("--selections", default="comp fused")
    parser.add_argument("--notes", type=Path)
    args = parser.parse_args()
    return guarded("choose_share", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
