"""Data directories of prepared sets, and the account of what is in them.

In: clips placed in long recordings. Out: `data/train` (recordings, no text), `data/test` (utterances with
text) and `data/test_long` (the same recordings whole, one text each), and a table of hours, utterances,
speakers, share of English and rejects.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2d.atomic import atomic
from k2d.constants import WINDOW
from k2d.corpus.clips import reference
from k2d.corpus.joined import Joined, Placed, Reject, speaker_facts
from k2d.datadir import DataDirWriter, Segment, segment_value
from k2d.tables import TableWriters
from k2d.text import columns, markdown
from k2d.text.units import has_words, is_english, units
from k2d.wording import counted


@dataclass
class Account:
    """What one set holds. english: share of units that are Latin words, None without text. whole: name of the directory
    of its recordings with the text of each, if there is one."""

    name: str
    utterances: int
    recordings: int
    hours: float
    speakers: int
    english: float | None
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: str = ""

    def reasons(self) -> str:
        counts = Counter(reject.reason for reject in self.rejects)
        return ", ".join(f"{count} × {reason}" for reason, count in sorted(counts.items())) or "none"


def english_share(texts: Sequence[str]) -> float | None:
    english = total = 0
    for text in texts:
        for unit in units(text):
            total += 1
            english += is_english(unit)
    return english / total if total else None


def write_unlabelled(out: Path, joined: Joined) -> Account:
    """Recordings without text. What was said goes to `out`/reference, which only the analysis of stage 7
    reads.
    """
    speakers = speaker_facts(joined.placed)
    spoken_by = {r: next(iter(s)) if len(s) == 1 else r for r, s in speakers.items()}
    texts, tags = _texts(joined.placed)
    shutil.rmtree(out / "reference", ignore_errors=True)
    if texts:
        with TableWriters(out / "reference") as tables:
            for p in joined.placed:
                if p.clip.id in texts:
                    tables.write("segments", p.clip.id, segment_value(_segment(p)))
                    tables.write("text", p.clip.id, texts[p.clip.id])
    write_recordings(out, joined.recordings, spoken_by)
    return _account(out.name, joined.placed, joined.recordings, joined.rejects, texts, tags)


def write_labelled(out: Path, joined: Joined) -> Account:
    """Utterances with text in `out`, the whole recordings in `out`_long.

    Left out are utterances with no word in their text, which cannot be scored, and those of more than 30 s.
    """
    texts, tags = _texts(joined.placed)
    rejects, kept = list(joined.rejects), []
    for p in joined.placed:
        if p.clip.id not in texts:
            said = f"its text is {p.clip.text!r}; there is nothing to score"
            rejects.append(Reject(p.clip.id, "no words", f"{p.clip.id}: no words; {said}"))
        elif p.end - p.start > WINDOW:
            message = f"{p.clip.id}: longer than 30 s ({p.end - p.start:.1f} s); a model sees no more of it"
            rejects.append(Reject(p.clip.id, "longer than 30 s", message))
        else:
            kept.append(p)
    used = {p.clip.recording for p in kept}
    facts = sorted({name for p in kept for name in p.clip.facts})
    with DataDirWriter(out, "segments", "text", "utt2spk", "utt2dur") as tables:
        for p in kept:
            tables.segment(_segment(p))
            tables.write("text", p.clip.id, texts[p.clip.id])
            tables.write("utt2spk", p.clip.id, p.clip.speaker)
            tables.write_number("utt2dur", p.clip.id, p.end - p.start)
            for fact in facts:
                tables.write(f"utt2{fact}", p.clip.id, p.clip.facts.get(fact, "unknown"))
        tables.table("wav.scp", {r: path for r, (path, _) in joined.recordings.items() if r in used})
    said: dict[str, list[str]] = {}
    for p in joined.placed:  # whole: also what is too long for an utterance
        if p.clip.id in texts:
            said.setdefault(p.clip.recording, []).append(texts[p.clip.id])
    whole = out.with_name(f"{out.name}_long")
    write_recordings(
        whole,
        {r: joined.recordings[r] for r in said},
        {r: r for r in said},
        {r: " ".join(parts) for r, parts in said.items()},
    )
    account = _account(out.name, kept, {r: joined.recordings[r] for r in used}, rejects, texts, tags)
    account.whole = whole.name
    return account


def write_recordings(
    out: Path,
    recordings: Mapping[str, tuple[str, float]],
    speakers: Mapping[str, str],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Whole recordings, id -> (file, seconds), as a data directory, with the text of each where there are `texts`."""
    with DataDirWriter(out, "utt2spk", "utt2dur") as tables:
        tables.table("utt2spk", speakers)
        if texts is not None:
            tables.table("text", texts)
        for recording, (path, seconds) in recordings.items():
            tables.write("wav.scp", recording, path)
            tables.write_number("utt2dur", recording, seconds)


def _segment(p: Placed) -> Segment:
    return Segment(p.clip.id, p.clip.recording, p.start, p.end)


def _texts(placed: Sequence[Placed]) -> tuple[dict[str, str], int]:
    """References with words in them, and the number of annotators' tags taken out."""
    texts, tags = {}, 0
    for p in placed:
        text, found = reference(p.clip.text)
        tags += found
        if has_words(text):
            texts[p.clip.id] = text
    return texts, tags


def _account(
    name: str,
    placed: Sequence[Placed],
    recordings: Mapping[str, tuple[str, float]],
    rejects: list[Reject],
    texts: Mapping[str, str],
    tags: int,
) -> Account:
    account = Account(
        name,
        len(placed),
        len(recordings),
        sum(p.end - p.start for p in placed) / 3600,
        len({p.clip.speaker for p in placed}),
        english_share([texts[p.clip.id] for p in placed if p.clip.id in texts]),
        rejects,
    )
    if tags:
        account.notes.append(f"{name}: removed from the references: {counted(tags, 'annotator tag')} such as [UNK]")
    return account


def report(corpus: str, accounts: Sequence[Account], out: Path, prefix: str = "") -> str:
    """Write `out`/<prefix>preparation.md and `out`/<prefix>rejects.txt; returns the table for a terminal."""
    header = ("set", "hours", "utterances", "recordings", "speakers", "English units", "left out")
    rows = []
    for a in accounts:
        english = "–" if a.english is None else f"{100 * a.english:.1f} %"
        counts = (f"{count:,}" for count in (a.utterances, a.recordings, a.speakers))
        rows.append([a.name, f"{a.hours:.2f}", *counts, english, a.reasons()])
    table = "\n".join(markdown.table(header, rows, left=(0, 6)))
    shown = "\n".join(columns.aligned(header, rows, left=(0, 6)))
    notes = "".join(f"\n{note}" for a in accounts for note in a.notes)
    with atomic(out / f"{prefix}preparation.md") as handle:
        handle.write(f"# {corpus}\n\n{table}\n{notes}\n")
    with atomic(out / f"{prefix}rejects.txt") as handle:
        handle.writelines(f"{a.name} {r.message}\n" for a in accounts for r in a.rejects)
    return shown + notes
