"""Look at the distances: a page with a slider over α, a sample to hear, and whether bad labels are found.

    python -m k2d.bin.explore --data CHUNKS --scores AUX --output_dir DIR
    python -m k2d.bin.explore --data CHUNKS --scores AUX --output_dir DIR --reference data/lectures/reference
    python -m k2d.bin.explore --data CHUNKS --scores AUX --output_dir DIR --audit 100
    python -m k2d.bin.explore --data CHUNKS --scores AUX --output_dir DIR --answers audit.tsv

Writes explorer.html, one file that opens from the disk and asks the network for nothing: kept speech against
α, distributions, chunks around the threshold with the difference of the two texts and their sound. With
references (a text file of chunk ids, or a directory with segments and text of the recordings; for analysis
only) or answers it adds precision, recall, ROC and AUC with bootstrap intervals, and detection.json and
detection.md. `--audit N` writes audit.tsv, N chunks spread over the distances to check by ear, and
audit.html to do it in; `--answers` reads a filled sheet back.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.explore import audit, detection
from k2d.explore.explorer import Page, draw_sample, gather, metrics_of, render
from k2d.explore.sample import sounds
from k2d.label.scores import find_scores, tagged
from k2d.tables import atomic
from k2d.work.provenance import write_provenance


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        "k2d explore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", required=True, help="data directory of pseudo-labelled chunks")
    p.add_argument("--scores", action="append", required=True, help="DIR or TAG=DIR; may be given again")
    p.add_argument("--output_dir", required=True)
    p.add_argument("--alpha", type=float, default=0.4, help="where the slider starts (0.4)")
    p.add_argument("--per_stratum", type=int, default=20, help="chunks drawn from each tenth of the distance")
    p.add_argument("--audio_mb", type=float, default=20.0, help="audio inside a page, megabytes")
    p.add_argument("--reference", help="text file of chunk ids, or directory with segments and text")
    p.add_argument("--bad_above", type=float, default=0.4, help="true MER above which a label is bad (0.4)")
    p.add_argument("--audit", type=int, metavar="N", help="draw a sheet of N chunks to check by ear")
    p.add_argument("--answers", help="a filled audit.tsv")
    p.add_argument("--title", help="of the page; the data directory's name")
    p.add_argument("--allow_pipes", action="store_true", help="run commands that stand in wav.scp")
    p.add_argument("--seed", type=int, default=0)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        run(args)
    except DataError as error:
        print(f"explore: {error}", file=sys.stderr)
        return 1
    return 0


def run(args: argparse.Namespace) -> None:
    data, output = DataDir(args.data), Path(args.output_dir)
    scores = find_scores(data, tagged(args.scores))
    page = Page(
        alpha=args.alpha,
        audio_mb=args.audio_mb,
        per_stratum=args.per_stratum,
        allow_pipes=args.allow_pipes,
        seed=args.seed,
        reference=args.reference,
        bad_above=args.bad_above,
        title=args.title,
    )
    if args.reference and args.answers:
        raise DataError("give one of --reference and --answers")
    if args.audit is not None:
        _draw_audit(args, data, scores, page, output)
        return
    metrics = metrics_of(scores)
    answers = (
        audit.read_answers(Path(args.answers), scores, metrics, args.bad_above) if args.answers else None
    )
    text, analysis = gather(data, scores, page, answers)
    with atomic(output / "explorer.html") as handle:
        handle.write(text)
    if analysis is not None:
        with atomic(output / "detection.json") as handle:
            json.dump(analysis, handle, indent=1)
            handle.write("\n")
        with atomic(output / "detection.md") as handle:
            handle.write("# Are bad labels found?\n\n" + detection.markdown(analysis))
    write_provenance(output, args)
    found = "" if analysis is None else f", {analysis['bad']} of {analysis['chunks']} judged labels bad"
    print(f"explore: {output / 'explorer.html'} ({len(text) / 1e6:.1f} MB){found}", file=sys.stderr)


def _draw_audit(args: argparse.Namespace, data: DataDir, scores, page: Page, output: Path) -> None:
    if args.audit < 1:
        raise DataError(f"--audit {args.audit}: expected at least one chunk")
    drawn = draw_sample(data, scores, page, args.audit)
    items = audit.spread(drawn.strata(), drawn.seen, args.audit)
    audit.write_sheet(output / "audit.tsv", items)
    rows = [audit.row(item) for item in items]
    key = hashlib.sha256("\n".join(r["id"] for r in rows).encode()).hexdigest()[:16]
    utterances = open_utterances(data, allow_pipes=args.allow_pipes)
    payload = {
        "title": args.title or data.path.name,
        "key": key,
        "columns": audit.COLUMNS,
        "rows": rows,
        "audio": sounds(items, utterances, args.audio_mb) if args.audio_mb > 0 else {},
    }
    with atomic(output / "audit.html") as handle:
        handle.write(render(payload, "audit.html"))
    print(
        f"explore: {len(items)} chunks to hear in {output / 'audit.html'}, sheet audit.tsv", file=sys.stderr
    )


if __name__ == "__main__":
    sys.exit(main())
