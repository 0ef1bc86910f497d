"""How the teacher errs on code-switched speech: a training set's references and labels in, tables and examples out."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from k2d.constants import read_chunk_id
from k2d.explore.kinds import KINDS
from k2d.explore.label_quality import BAD, LabelQuality
from k2d.score.tables import Table, percent
from k2d.text import timestamps
from k2d.text.normalise import normalise
from k2d.wording import counted

EXAMPLES, LONGEST = 2, 160  # of each kind; characters shown of a label
INSIDE = 0.8  # of a segment's time, for it to count as text of a stretch without speech


def tables(quality: LabelQuality, labels: Mapping[str, str], reference: Path) -> list[Table]:
    """labels: chunk -> the teacher's text with timestamps. reference: folder of the references; where its recordings/
    says when nobody speaks, there is a table of that."""
    return [errors_table(quality), fate_table(quality), *silence_table(reference, labels)]


def errors_table(quality: LabelQuality) -> Table:
    """How the teacher errs, over all labels."""
    counts = quality.of(quality.chunks)
    bad = Counter(quality.kinds.values())
    share = [f"{bad[kind]} ({percent(bad[kind] / max(1, len(quality.chunks)), 1)} %)" for kind in KINDS]
    parts = (counts.substitutions, counts.insertions, counts.deletions)
    rates = [percent(part / max(1, counts.units)) for part in parts]
    return Table(
        "What the teacher does to code-switched speech",
        f"Labels with a reference: {len(quality.chunks):,}. MER and its parts in percent of "
        f"{counted(counts.units, 'unit')} (characters, English words). Labels with a true error rate above "
        f"{100 * BAD:g} % are bad, and of the kind that most of their errors are of.",
        ["MER", "substitutions", "insertions", "deletions", *KINDS],
        [[percent(counts.rate), *rates, *share]],
    )


def fate_table(quality: LabelQuality) -> Table:
    """What became of the units of each language."""
    rows = []
    for name, fates in quality.fates.items():
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


def silence_table(reference: Path, labels: Mapping[str, str]) -> Iterator[Table]:
    """Text where labelled recordings hold music, beeps or noise alone, by the times of the teacher's segments; nothing
    for references that do not know, or labels whose ids do not say when they begin."""
    stretches = {}  # recording -> (start, end, what) in seconds
    for path in sorted((reference / "recordings").glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        stretches[facts["recording"]] = [(s / 100, e / 100, what) for s, e, what in facts["interruptions"]]
    number, seconds, filled, characters = (Counter() for _ in range(4))
    written = {}
    for chunk, label in labels.items():
        if (place := read_chunk_id(chunk)) is None or place.recording not in stretches:
            continue
        offset = place.start / 100
        segments = [(offset + start, offset + (end or start), text) for start, end, text in timestamps.parse(label)]
        written.setdefault(place.recording, []).extend(segments)
    for recording, segments in written.items():
        for start, end, what in stretches[recording]:
            number[what] += 1
            seconds[what] += end - start
            there = [
                text.strip() for a, b, text in segments
                if text.strip() and min(b, end) - max(a, start) >= INSIDE * max(b - a, 0.01)
            ]  # fmt: skip
            filled[what] += bool(there)
            characters[what] += sum(map(len, there))
    rows = [[what, *map(str, (number[what], round(seconds[what]), filled[what], characters[what]))] for what in number]
    if not rows:
        return
    yield Table(
        "Stretches without speech",
        "Stretches of the labelled recordings in which nobody speaks, and those in which a segment of the teacher lies "
        f"with at least {100 * INSIDE:.0f} % of its time.",
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
