#!/usr/bin/env python3
"""What the teacher made of the lectures, and how much of it the filter finds: stages 1 to 4 in, RESULTS.md out.

    python local/labels.py --labels data/lectures_whisper-base --exp exp/lectures_whisper-base \\
        --reference data/lectures/reference --results RESULTS.md

Stage 7 reports the same of labels, beside students; this needs none. Tables are those of k2d report
(k2d/score/label_tables.py), for every selection and every validator that is there. It reads the references, which no
stage before reads.
"""

import argparse
import datetime
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parents[3]))  # the repository, where no path.sh was sourced
from k2d.constants import read_chunk_id  # noqa: E402
from k2d.datadir import DataDir  # noqa: E402
from k2d.errors import guarded  # noqa: E402
from k2d.explore.kinds import KINDS  # noqa: E402
from k2d.explore.label_quality import BAD, LabelQuality, label_quality  # noqa: E402
from k2d.explore.references import spoken_units  # noqa: E402
from k2d.explore.spotting import spot  # noqa: E402
from k2d.label.scores import find_scores, read_choices  # noqa: E402
from k2d.score import label_tables  # noqa: E402
from k2d.score.alignment import HIT, align  # noqa: E402
from k2d.score.experiment import Experiment, read_selection  # noqa: E402
from k2d.score.hours import hours_table  # noqa: E402
from k2d.score.tables import Table, percent  # noqa: E402
from k2d.tables import atomic  # noqa: E402
from k2d.text import timestamps  # noqa: E402
from k2d.text.normalise import normalise  # noqa: E402
from k2d.text.units import is_chinese, is_english  # noqa: E402
from k2d.work import machine  # noqa: E402
from k2d.work.provenance import code_revision  # noqa: E402

EXAMPLES, LONGEST = 2, 160  # of each kind; characters shown of a label
INSIDE = 0.8  # of a segment's time, for it to count as text of a stretch without speech


def errors_table(quality: LabelQuality) -> Table:
    """How the teacher errs, over all labels."""
    counts = quality.of(quality.chunks)
    bad = Counter(quality.kinds.values())
    share = [f"{bad[kind]} ({percent(bad[kind] / len(quality.chunks), 1)} %)" for kind in KINDS]
    rates = [percent(part / counts.units) for part in (counts.substitutions, counts.insertions, counts.deletions)]
    return Table(
        "What the teacher does to code-switched speech",
        f"All {len(quality.chunks)} labels. MER and its parts in percent of {counts.units} units (characters, English "
        f"words). Labels with a true error rate above {100 * BAD:g} % are bad, and of the kind that most of "
        "their errors are of.",
        ["MER", "substitutions", "insertions", "deletions", *KINDS],
        [[percent(counts.rate), *rates, *share]],
    )


def fate_table(quality: LabelQuality, labels: Mapping[str, str]) -> Table:
    """What became of the units of each language."""
    rows = []
    for name, own, other in (("English words", is_english, is_chinese), ("Chinese characters", is_chinese, is_english)):
        fates = Counter()
        for chunk in quality.chunks:
            for pair in align(quality.references.spoken[chunk], spoken_units(labels[chunk])):
                if pair.ref is not None and own(pair.ref):
                    fates["written"] += pair.op == HIT
                    fates["missing"] += pair.hyp is None
                    fates["swapped"] += pair.hyp is not None and other(pair.hyp)
                    fates["said"] += 1
        wrong = fates["said"] - fates["written"] - fates["missing"] - fates["swapped"]
        parts = (fates["written"], wrong, fates["swapped"], fates["missing"])
        rows.append([name, str(fates["said"]), *(percent(part / max(1, fates["said"]), 1) for part in parts)])
    return Table(
        "What became of both languages",
        "In percent of what was said, by the alignment of all labels: *in the other language* is a translation, a "
        "transliteration, or a chance of the alignment.",
        ["said", "units", "written", "other of this language", "in the other language", "missing"],
        rows,
    )


def silence_table(reference: Path, labels: Mapping[str, str]) -> Table:
    """Text where the recordings hold music, beeps or noise alone, by the times of the teacher's segments."""
    stretches = {}  # recording -> (start, end, what) in seconds
    for path in sorted((reference / "recordings").glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        stretches[facts["recording"]] = [(s / 100, e / 100, what) for s, e, what in facts["interruptions"]]
    number, seconds, filled, characters = (Counter() for _ in range(4))
    written = {}
    for chunk, label in labels.items():
        place = read_chunk_id(chunk)
        offset = place.start / 100
        segments = [(offset + start, offset + (end or start), text) for start, end, text in timestamps.parse(label)]
        written.setdefault(place.recording, []).extend(segments)
    for recording, places in stretches.items():
        for start, end, what in places:
            number[what] += 1
            seconds[what] += end - start
            there = [
                text.strip() for a, b, text in written.get(recording, ())
                if text.strip() and min(b, end) - max(a, start) >= INSIDE * max(b - a, 0.01)
            ]  # fmt: skip
            filled[what] += bool(there)
            characters[what] += sum(map(len, there))
    rows = [[what, *map(str, (number[what], round(seconds[what]), filled[what], characters[what]))] for what in number]
    return Table(
        "Stretches without speech",
        "Stretches of 4 to 25 s in which nobody speaks, and those in which a segment of the teacher lies with at "
        f"least {100 * INSIDE:.0f} % of its time.",
        ["what is heard", "stretches", "seconds", "with text", "characters written"],
        rows,
    )


def examples(quality: LabelQuality, labels: Mapping[str, str]) -> Iterator[str]:
    """The worst labels of each kind beside what was said."""
    for kind in KINDS:
        chunks = [c for c, each in quality.kinds.items() if each == kind]
        worst = sorted(chunks, key=lambda c: -quality.chunks[c].text_rate)[:EXAMPLES]
        if not worst:
            continue
        yield f"**{kind}**\n"
        for chunk in worst:
            said = normalise(" ".join(quality.references.spoken[chunk]))
            written = timestamps.strip(labels[chunk]).strip()
            yield f"- said: {shortened(said) or '(nothing)'}<br>\n  written: {shortened(written)}"
        yield ""


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def results(args: argparse.Namespace) -> str:
    """The tables and examples, without what was run where."""
    chunks = DataDir(args.labels)
    labels = chunks.text
    quality = label_quality(chunks, args.reference, by_segment=True)
    selections = {
        str(folder): read_selection(folder.name.removeprefix(f"{args.labels.name}_"), folder, chunks)
        for folder in sorted(args.labels.parent.glob(f"{args.labels.name}_*"))
        if (folder / "report.json").is_file()
    }
    experiment = Experiment(args.exp, (), (), {}, None, selections=selections)
    spotted = {}
    for folder in sorted(each.parent for each in args.exp.glob("*/utt2comp")):
        scores = find_scores(chunks, {folder.name: folder})
        spotted[folder.name] = spot(quality, scores, args.alpha, read_choices(folder), labels)
    tables = [
        errors_table(quality),
        fate_table(quality, labels),
        silence_table(args.reference, labels),
        hours_table(chunks.path),
        label_tables.label_table(experiment, quality),
        label_tables.kept_kinds_table(experiment, quality),
        label_tables.spotting_table(spotted),
        label_tables.kinds_table(spotted, quality),
    ]
    return "\n".join([*(table.markdown() for table in tables if table), "## The worst labels of each kind\n",
                      *examples(quality, labels)])  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Write --results; a run that measured the same again leaves it, with the command that made the labels."""
    text = results(args)
    if args.results.is_file() and args.results.read_text(encoding="utf-8").endswith(text):
        print(f"labels: {args.results} says so already")
        return 0
    facts = [
        f"command: `{args.command.strip()}`", f"revision: {code_revision()}", f"machine: {machine.describe()}",
        f"date: {datetime.date.today().isoformat()}",
    ]  # fmt: skip
    with atomic(args.results) as out:
        out.write("# Results\n\nWritten by `run.sh` after stage 4; a change by hand is lost when labels change.\n\n")
        out.write("\n".join(f"- {fact}" for fact in facts) + f"\n\n{text}")
    print(f"labels: {args.results}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="the labelled chunks; selections lie beside them")
    parser.add_argument("--exp", type=Path, required=True, help="folder of the scores, one folder a validator")
    parser.add_argument("--reference", type=Path, required=True, help="what was said: segments, text, recordings/")
    parser.add_argument("--results", type=Path, required=True, help="file to write")
    parser.add_argument("--alpha", type=float, default=0.4, help="limit of the distances")
    parser.add_argument("--command", default="", help="what was run, for the file")
    return guarded("labels", lambda: run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
