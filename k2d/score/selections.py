"""Where the hours of the training recordings went, as `k2d label` has written it down; and what each selection kept of
what was labelled, as `k2d select` left it: its data directory, and report.json in it.

Out: the ids, hours and share of a selection, and the table of what selections kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.datadir import DataDir
from k2d.label.account import MEANING, read_account
from k2d.score.tables import ABSENT, Table, percent
from k2d.tables import read_table
from k2d.text import timestamps
from k2d.text.trusted import TRUSTED
from k2d.text.trusted import read as read_trusted
from k2d.wording import audio_length
from k2d.work.folders import read_result


@dataclass(frozen=True)
class Selection:
    """Chunks kept of those that were labelled, and their hours; of segments, where these were selected.

    share: of the labelled hours, or, where no length is known, of the chunks. dropped: chunks that were not kept; None
    where it does not say, and then all others. trusted: chunk -> a flag for each segment of its label, where segments
    were selected.
    """

    name: str
    ids: tuple[str, ...]
    hours: float | None
    share: float | None
    trusted: Mapping[str, Sequence[bool]] | None = None
    dropped: tuple[str, ...] | None = None


def read_report(folder: Path) -> dict:
    """report.json of a selection; {} where there is none. Raises DataError for what is no JSON."""
    path = folder / "report.json"
    return read_result(path) if path.is_file() else {}


def segment_hours(report: Mapping) -> tuple[float, float] | None:
    """Hours of a selection's segments that may be learnt from, and of all; None where it does not say."""
    segments = report.get("segments", {})
    return (segments["trusted_hours"], segments["hours"]) if segments else None


def selection_in(name: str, folder: Path, labelled: DataDir | None) -> Selection:
    """labelled: the chunks that it selected from, whose lengths tell its share where its report does not."""
    kept, report = DataDir(folder), read_report(folder)
    ids = tuple(sorted(kept.segments))
    if (folder / TRUSTED).exists():
        flags = read_table(folder / TRUSTED)
        trusted = {i: read_trusted(i, flags.get(i, ""), len(timestamps.parse(kept.text[i]))) for i in ids}
        hours, of = segment_hours(report) or (None, None)
        return Selection(name, ids, hours, hours / of if of else None, trusted, _dropped(folder))
    hours = sum(kept.utt2dur[i] for i in ids) / 3600 if kept.utt2dur else None
    share, all_hours = None, sum((labelled.utt2dur or {}).values()) / 3600 if labelled is not None else 0.0
    considered = sum(report.get(what, {}).get("hours") or 0.0 for what in ("kept", "dropped"))
    if considered:  # not those that are held out, or of other recordings
        share = report["kept"]["hours"] / considered
    elif hours is not None and all_hours:
        share = hours / all_hours
    elif labelled is not None and labelled.segments:
        share = len(ids) / len(labelled.segments)
    return Selection(name, ids, hours, share, dropped=_dropped(folder))


def _dropped(folder: Path) -> tuple[str, ...] | None:
    """Ids of dropped.tsv, which has a header."""
    path = folder / "dropped.tsv"
    if not path.is_file():
        return None
    with open(path, encoding="utf-8") as lines:
        return tuple(line.partition("\t")[0] for line in lines)[1:]


def retention_table(selections: Mapping[str, Selection]) -> Table | None:
    """Hours, code-switching and English before and after, by the data directory of each selection; None where no
    report says."""
    rows = [
        [selection.name, *_row(report)]
        for folder, selection in selections.items()
        if "whole" in (report := read_report(Path(folder)))
    ]
    if not rows:
        return None
    return Table(
        "What the selections kept",
        "Of the labelled chunks that are not held out. Code-switched are chunks with Chinese and English; English is "
        "the share of English words among all units. Where these fall, the selection cleans away what is to be learnt.",
        ["selection", "rule", "chunks", "hours", "% of hours", "code-switched before", "after", "English before",
         "after", "dropped most by"],
        rows,
    )  # fmt: skip


def _row(report: dict) -> Iterable[str]:
    before, after = (report["whole"][when] for when in ("before", "after"))
    reasons = sorted(report.get("reasons", {}).items(), key=lambda reason: -reason[1]["chunks"])
    worst = f"{reasons[0][0]} ({reasons[0][1]['chunks']})" if reasons and reasons[0][1]["chunks"] else ABSENT
    return [
        report.get("rule") or ABSENT,
        f"{after['chunks']} of {before['chunks']}",
        f"{after['hours']:.2f}",
        f"{percent(after['hours'] / before['hours'] if before['hours'] else None, 1)}",
        *(percent(side[share], 1) for share in ("switched_share", "english_share") for side in (before, after)),
        worst,
    ]


def hours_table(folder: Path) -> Table | None:
    """Of the directory of labelled chunks; None where it has no summary.tsv."""
    rows = [[MEANING[r.name], audio_length(r.seconds), percent(r.share, 1)] for r in read_account(folder)]
    note = f"Counted by `k2d label` in {folder}; all but the first row and that of failed windows add up to the first."
    return Table("Where the recordings went", note, ("", "audio", "%"), rows) if rows else None
