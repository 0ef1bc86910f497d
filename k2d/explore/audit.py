"""A sheet of chunks to check by ear, and what the answers say.

In: a stratified sample of chunks. Out: audit.tsv to fill in, a page to fill it in with, and from a filled
sheet which labels are bad. The validator's text is not on the sheet: the ear should not be led.

Columns: id, stratum, weight (chunks of the data each row stands for), recording, start, seconds, label,
verdict, correction. A verdict is good, bad or unsure; a correction is what is really said, "=" for "as
labelled", "-" for "nothing". A correction decides by its MER; without one, the verdict does. Rows with
neither, and unsure ones, are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from k2d.errors import DataError
from k2d.explore.detection import Audit
from k2d.explore.label_quality import label_counts
from k2d.explore.references import spoken_units
from k2d.explore.sample import Sampled
from k2d.label.scores import Columns, Scores
from k2d.tables import atomic
from k2d.text import timestamps

COLUMNS = ("id", "stratum", "weight", "recording", "start", "seconds", "label", "verdict", "correction")
_VERDICTS = {"good": False, "bad": True}


def spread(strata: Mapping[str, Sequence[Sampled]], seen: Mapping[str, int], count: int) -> list[Sampled]:
    """`count` chunks, as evenly over the strata as they allow, with the chunks each stands for as weight."""
    share = dict.fromkeys(strata, 0)
    left = min(count, sum(map(len, strata.values())))
    while left:
        for name in strata:
            if left and share[name] < len(strata[name]):
                share[name] += 1
                left -= 1
    drawn = []
    for name, items in strata.items():
        # The reservoir is in order of id; every k-th of it is as random as it is.
        step = len(items) / max(share[name], 1)
        for place in range(share[name]):
            item = items[int(place * step)]
            item.weight = seen[name] / share[name]
            drawn.append(item)
    return sorted(drawn, key=lambda item: item.chunk.id)


def row(item: Sampled) -> dict[str, str]:
    chunk = item.chunk
    return {
        "id": chunk.id,
        "stratum": item.stratum,
        "weight": f"{item.weight:.3f}",
        "recording": chunk.recording,
        "start": f"{chunk.start:.2f}",
        "seconds": f"{chunk.seconds:.2f}",
        "label": " ".join(timestamps.strip(chunk.text).split()),
        "verdict": "",
        "correction": "",
    }


def write_sheet(path: Path, items: Sequence[Sampled]) -> None:
    """Write audit.tsv. DataError when a sheet with answers is there already."""
    if path.is_file() and any(r["verdict"] or r["correction"] for r in read_sheet(path)):
        raise DataError(f"{path}: holds answers; move it away before drawing another sheet")
    with atomic(path) as handle:
        handle.write("\t".join(COLUMNS) + "\n")
        handle.writelines("\t".join(row(item).values()) + "\n" for item in items)


def read_sheet(path: Path) -> list[dict[str, str]]:
    """Rows of a sheet. DataError with file and line for missing columns and unknown verdicts."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")  # as a spreadsheet writes it
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}; expected a sheet made by --audit") from None
    head = lines[0].split("\t") if lines else []
    missing = [name for name in ("id", "weight", "label", "verdict", "correction") if name not in head]
    if missing:
        raise DataError(f"{path}:1: no column {', '.join(missing)}; expected a sheet made by --audit")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        entry = dict.fromkeys(head, "") | dict(zip(head, cells, strict=False))
        entry["verdict"] = entry["verdict"].lower()
        if len(cells) > len(head):
            raise DataError(
                f"{path}:{number}: {len(cells)} cells, expected {len(head)}; remove tabs from texts"
            )
        if entry["verdict"] not in ("", "unsure", *_VERDICTS):
            raise DataError(
                f"{path}:{number}: verdict {entry['verdict']!r}, expected good, bad, unsure or nothing"
            )
        try:
            float(entry["weight"])
        except ValueError:
            raise DataError(f"{path}:{number}: weight {entry['weight']!r}, expected a number") from None
        rows.append(entry)
    return rows


def _true_error(label: str, correction: str) -> float:
    said = {"=": label, "-": ""}.get(correction, correction)
    return label_counts(label, spoken_units(said)).text_rate


def read_answers(path: Path, scores: Scores, metrics: Sequence[str], bad_above: float) -> Audit:
    """The audit of a filled sheet. DataError when no row is answered, or an id is twice in it."""
    rows = sorted(read_sheet(path), key=lambda r: r["id"])
    ids = [r["id"] for r in rows]
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: an id is there twice")
    columns = Columns(scores, metrics).of(ids)
    by_ear = {r["id"]: _true_error(r["label"], r["correction"]) for r in rows if r["correction"]}
    bad, weight, kept = [], [], []
    for place, r in enumerate(rows):
        judged = r["id"] in by_ear or r["verdict"] in _VERDICTS
        if judged and all(np.isfinite(columns[name][place]) for name in metrics):
            bad.append(by_ear[r["id"]] > bad_above if r["id"] in by_ear else _VERDICTS[r["verdict"]])
            weight.append(float(r["weight"]))
            kept.append(place)
    if not kept:
        raise DataError(f"{path}: no row is answered; write good or bad under verdict, or a correction")
    return Audit(np.array(bad), np.array(weight), {name: columns[name][kept] for name in metrics})
