"""A test set made by ear: chunks are drawn, a person writes what is said, the answers are a Kaldi data directory.

In: a data directory of labelled chunks, its scores if there are any, and answers. Out, in one folder:

    drawn/       data directory of the chunks that were drawn; `text` is their labels, without timestamps
    audit.json   where they were drawn from, their scores, their order, and the answers
    wav.scp …    the test set: every answered chunk that can be used, `text` what was said

How they are drawn. The chunks are put in order of their distance and cut into as many bands of equally many chunks as
are wanted; each band gives one, of the recording that has given fewest so far. So the sample has the distances that the
chunks have, which makes its plain error rate an estimate of theirs without any weights, and as many recordings as can
be, over which intervals are drawn. They come in random order, so stopping early gives a smaller sample, not a biased
one.
"""

import hashlib
import json
import math
import os
import random
import sys
from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from k2d.constants import read_chunk_id
from k2d.datadir import DataDir, DataDirWriter, Segment
from k2d.errors import DataError, UsageError
from k2d.explore.explorer import metrics_of
from k2d.explore.sample import Reservoir, Sampled
from k2d.explore.sounds import located
from k2d.held_out import AUDIT, HeldOut
from k2d.label.chunk_directory import Chunk, in_blocks, read_chunks
from k2d.label.scores import Columns, Scores, find_scores, tagged
from k2d.tables import scan
from k2d.text import timestamps
from k2d.wording import counted
from k2d.work.folders import json_or_none, write_json
from k2d.work.identity import input_of, record_in

DRAWN = "drawn"
_UNDRAWN = "that no other audit has drawn"
USABLE, UNUSABLE = "usable", "unusable"
COUNT = 60  # chunks to draw where nobody says how many
LONGEST = 10_000  # characters of an answer
_POOL = 20  # candidates for each chunk that is drawn


@dataclass(frozen=True)
class Answer:
    """verdict: USABLE, and text what is said there (nothing, where that is empty); or UNUSABLE."""

    verdict: str
    text: str = ""


def read_answer(found: object) -> Answer:
    """An answer as JSON has it. DataError for anything else."""
    if not isinstance(found, dict) or not isinstance(text := found.get("text", ""), str):
        raise DataError("an answer is an object with verdict and text")
    if found.get("verdict") not in (USABLE, UNUSABLE):
        raise DataError(f"verdict {found.get('verdict')!r}, expected {USABLE} or {UNUSABLE}")
    if len(text) > LONGEST:
        raise DataError(f"a text of {len(text)} characters, expected at most {LONGEST}")
    # One line, without characters that a table of text cannot hold.
    plain = "".join(c if c.isprintable() else " " for c in timestamps.strip(text))
    return Answer(found["verdict"], " ".join(plain.split()) if found["verdict"] == USABLE else "")


class Audit:
    """What was drawn into a folder, and the answers so far; every answer is on the disk before `answer` returns."""

    def __init__(self, folder: Path):
        """Raises DataError where nothing was drawn, or the record cannot be read."""
        self.folder = Path(folder)
        found = json_or_none(self.folder / AUDIT)
        if found is None:
            raise DataError(f"{self.folder / AUDIT}: no record of an audit; give --data to draw one")
        try:
            self.source, self.seed, self.order = str(found["data"]), int(found["seed"]), list(found["order"])
            self.scores = [str(folder) for folder in found["scores"]]
            self.answers = {key: read_answer(answer) for key, answer in found["answers"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{self.folder / AUDIT}: not as an audit writes it ({error}); move it away") from error
        self.drawn = DataDir(self.folder / DRAWN)
        # drawn/ has more where a further draw was killed before its record.
        self.chunks = {chunk.id: chunk for chunk in read_chunks(self.drawn) if chunk.id in set(self.order)}
        if self.chunks.keys() != set(self.order) or not self.answers.keys() <= self.chunks.keys():
            raise DataError(f"{self.folder}: {AUDIT} and {DRAWN}/ are not of the same draw; move the folder away")

    @property
    def key(self) -> str:
        """Of this draw, so that answers of another are told apart."""
        return hashlib.sha256("\n".join(sorted(self.order)).encode()).hexdigest()[:16]

    @property
    def used(self) -> dict[str, str]:
        """chunk -> what was said, of all answers that are in the test set."""
        return {key: answer.text for key, answer in sorted(self.answers.items()) if answer.verdict == USABLE}

    def recording(self, key: str) -> str:
        """Of a chunk, also where every chunk is a file of its own."""
        named = read_chunk_id(key)
        return named.recording if named else self.chunks[key].recording

    def answer(self, key: str, answer: Answer | None) -> None:
        """Take an answer, or take it back. DataError for a chunk that was not drawn."""
        self.take({key: answer})

    def take(self, answers: Mapping[str, Answer | None]) -> None:
        """Several at once."""
        if unknown := sorted(answers.keys() - self.chunks.keys()):
            raise DataError(f"{unknown[0]!r} is not a chunk of this audit")
        merged = {**self.answers, **answers}
        self.answers = {key: answer for key, answer in merged.items() if answer is not None}
        self.save()

    def save(self) -> None:
        facts = {"data": self.source, "scores": self.scores, "seed": self.seed, "order": self.order}
        _write_record(self.folder, facts, self.answers)
        if self.used or (self.folder / "wav.scp").is_file():
            _write_set(self.drawn, self.used, self.folder)


def check_place(out: Path, data: Path | None) -> bool:
    """Whether an audit is in the folder. UsageError where there is nothing to draw from, DataError for others' work."""
    there = (out / AUDIT).is_file()
    if not there and data is None:
        raise UsageError(f"{out}: nothing was drawn there yet; give --data, a data directory of labelled chunks")
    if not there and (out / "wav.scp").exists():
        raise DataError(f"{out}: is a data directory that no audit made; give another --output_dir")
    if data and not data.is_dir():
        raise DataError(f"{data}: no such folder; --data is a data directory of labelled chunks")
    return there


def open_audit(
    out: Path, data: Path | None, folders: Sequence[str], count: int | None, seed: int, recordings: Path | None
) -> tuple[Audit, Scores | None]:
    """The audit of a folder, drawn now where it is not there or has less than `count` chunks; and the scores, if any.

    The rest as in `_draw`. UsageError where the data is another, and as in `check_place`.
    """
    audit = Audit(out) if check_place(out, data) else None
    if audit and data and data.resolve() != Path(audit.source).resolve():
        raise UsageError(f"--data {data}: {out} was drawn from {audit.source}; give another --output_dir")
    by = folders or (audit.scores if audit else [])
    if audit is None or (count or 0) > len(audit.order):
        whole = DataDir(recordings) if recordings else None
        source = DataDir(data or audit.source)
        beside = _drawn_beside(out)
        chunks, free = _labelled(source, HeldOut(beside))
        learnt = record_in(source.path).get("step") != "hold_out"
        if count is None:  # half at most: students learn from the others
            count = min(COUNT, max(1, free // 2)) if learnt else COUNT
        audit = _draw(out, source, by, count, audit.seed if audit else seed, whole, beside)
        if learnt and (left := free - len(audit.order)) < chunks // 2:
            leaves = f"which leaves {left} of {counted(chunks, 'chunk')} in {source.path} for training"
            undo = f"to draw fewer, remove {out} and give a smaller --count"
            print(f"audit: students tested on these chunks are trained without them, {leaves}; {undo}", file=sys.stderr)
        found = len({audit.recording(key) for key in audit.order})
        drawn = f"{counted(len(audit.order), 'chunk')} of {counted(found, 'recording')}"
        all_others = f" {_UNDRAWN}" if beside else ""
        no_more = f"; there are no more{all_others}" if len(audit.order) < count else ""
        print(f"audit: {drawn} drawn into {out}{no_more}", file=sys.stderr)
    else:
        audit.save()  # what was killed between an answer and its set is mended
    # A set outlives the scores that it was drawn by.
    known = {tag: folder for tag, folder in tagged(by).items() if folders or folder.is_dir()}
    return audit, find_scores(audit.drawn, known) if known else None


def _labelled(data: DataDir, drawn: Container[str]) -> tuple[int, int]:
    """How many chunks there are, and how many of them are not `drawn`. DataError for a directory without labels."""
    if not (data.path / "text").is_file():
        raise DataError(
            f"{data.path}: has no text: recordings without labels; give chunks with labels, as stage 2 makes them "
            f"({data.path}_<teacher>)"
        )
    taken = [key in drawn for _, key, _ in scan(data.path / "text")]
    return len(taken), taken.count(False)


def saved_answers(path: Path, audit: Audit) -> dict[str, Answer]:
    """The answers that a page opened from the disk has saved. DataError for another file, or another draw's."""
    try:
        found = json.loads(Path(path).read_text("utf-8-sig"))
        answers = {key: read_answer(answer) for key, answer in found["answers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no answers of an audit's page ({error}); expected the file that it saves") from None
    if not answers.keys() <= audit.chunks.keys():
        raise DataError(f"{path}: has answers of another draw than {audit.folder}; give the --output_dir of theirs")
    return answers


def _write_record(folder: Path, facts: Mapping[str, object], answers: Mapping[str, Answer]) -> None:
    record = {**facts, "answers": {key: asdict(answers[key]) for key in sorted(answers)}}
    write_json(folder / AUDIT, record)


def _write_set(drawn: DataDir, said: Mapping[str, str], out: Path) -> None:
    """The chunks of `said`, with these texts."""
    with DataDirWriter(out, "text", "utt2dur", "utt2spk", *(["segments"] if drawn.has_segments else [])) as new:
        for key, text in said.items():
            segment = drawn.segments[key]
            if drawn.has_segments:
                new.segment(segment)
            new.write("text", key, text)
            new.write("utt2spk", key, drawn.utt2spk[key])
            if key in drawn.utt2dur:
                new.write_number("utt2dur", key, drawn.utt2dur[key])
        for recording in sorted({drawn.segments[key].recording for key in said}):
            new.write("wav.scp", recording, drawn.wav[recording])


def _draw(
    folder: Path,
    data: DataDir,
    folders: Sequence[str],
    count: int,
    seed: int,
    recordings: DataDir | None,
    beside: Collection[str],
) -> Audit:
    """Draw until there are `count` chunks, or as many as the data has. What was drawn and answered before stays.

    folders: of scores, each DIR or TAG=DIR. recordings: what the chunks were cut from, which the set then points into;
    found by the records of the steps where it is not given. beside: chunks of which no sound is to be drawn.
    DataError where there is nothing to draw.
    """
    before = Audit(folder) if (folder / AUDIT).is_file() else None
    order = list(before.order) if before else []
    scores = find_scores(data, tagged(folders)) if folders else None
    new = _choose(data, scores, count - len(order), seed + len(order), HeldOut({*beside, *order}))
    if not order and not new:
        raise DataError(f"{data.path}: no chunk to draw{f' {_UNDRAWN}' if beside else ''}")
    _write_drawn(folder / DRAWN, data, recordings, before, {chunk.id: chunk for chunk in new})
    order += [chunk.id for chunk in new]
    facts = {"data": str(data.path), "scores": list(folders), "seed": seed, "order": order}
    _write_record(folder, facts, before.answers if before else {})
    return Audit(folder)


def _drawn_beside(folder: Path) -> set[str]:
    """Chunks of the audits in folders beside this one: one may choose the epoch, another test."""
    others = [path for path in folder.absolute().parent.glob(f"*/{AUDIT}") if path.parent != folder.absolute()]
    return {key for path in others for key in (json_or_none(path) or {}).get("order", ())}


def _choose(data: DataDir, scores: Scores | None, count: int, seed: int, already: Container[str]) -> list[Chunk]:
    """`count` further chunks, in the order to present them."""
    if count <= 0:
        return []
    metrics = metrics_of(scores)[:1] if scores else []
    columns = Columns(scores, metrics) if metrics else None
    pool = Reservoir(max(2000, _POOL * count), seed)
    for block in in_blocks(read_chunks(data, already)):
        found = columns.of([chunk.id for chunk in block])[metrics[0]] if columns else [math.nan] * len(block)
        for chunk, distance in zip(block, found, strict=True):
            if (place := pool.place("")) is not None:
                pool.put(place, Sampled(chunk, {}, {"distance": float(distance)}, ""))
    chance = random.Random(seed)
    candidates = pool.strata().get("", [])
    chance.shuffle(candidates)  # of equal distances, and of all without scores, any may be in any band
    candidates.sort(key=lambda item: math.inf if math.isnan(d := item.scores["distance"]) else d)
    bands = min(count, len(candidates))
    cuts = [len(candidates) * place // bands for place in range(bands + 1)] if bands else [0]
    order, given, chosen = list(range(bands)), Counter(), []
    chance.shuffle(order)
    for band in order:
        members = candidates[cuts[band] : cuts[band + 1]]
        chance.shuffle(members)
        item = min(members, key=lambda item: given[item.chunk.recording])
        given[item.chunk.recording] += 1
        chosen.append(item.chunk)
    return chosen


def _write_drawn(
    out: Path, data: DataDir, recordings: DataDir | None, before: Audit | None, chunks: Mapping[str, Chunk]
) -> None:
    """A data directory of what was drawn before and now; sources are written so that they are found."""
    whole = None if data.has_segments else recordings or _cut_from(data, chunks.values())
    rows = []  # id, its place, source, label, speaker, seconds
    if before:
        old = before.drawn
        rows += [
            (key, old.segments[key] if old.has_segments else None, old.wav[old.segments[key].recording], old.text[key],
             old.utt2spk[key], old.utt2dur.get(key))
            for key in before.order
        ]  # fmt: skip
    for key, chunk in chunks.items():
        named = read_chunk_id(key)
        if data.has_segments:
            place = data.segments[key]
            source = located(data.wav[place.recording], data.path)
        elif whole is not None and named and named.recording in whole.wav:
            place = Segment(key, named.recording, chunk.start, chunk.end)
            source = located(whole.wav[named.recording], whole.path)
        else:
            place, source = None, located(data.wav[key], data.path)
        label = " ".join(timestamps.strip(chunk.text).split())
        speaker = (data.utt2spk or {}).get(key) or chunk.recording
        rows.append((key, place, source, label, speaker, None if math.isnan(chunk.seconds) else chunk.seconds))
    cut = any(place is not None for _, place, *_ in rows)
    sources = {}
    with DataDirWriter(out, "text", "utt2spk", "utt2dur") as new:
        for key, place, source, label, speaker, seconds in sorted(rows):
            if cut:
                new.segment(place or Segment(key, key))
            sources[place.recording if place else key] = source
            new.write("text", key, label)
            new.write("utt2spk", key, speaker)
            if seconds is not None:
                new.write_number("utt2dur", key, seconds)
        new.table("wav.scp", sources)


def _cut_from(data: DataDir, chunks: Collection[Chunk]) -> DataDir | None:
    """The recordings that all chunks were cut from, as the records of the steps tell, where they are still there."""
    folder = data.path
    for _ in range(3):  # held-out chunks, of chunks, of recordings
        folder = input_of(folder, "data")
        if folder is None or not (folder / "wav.scp").is_file():
            return None
        whole = DataDir(folder)
        names = {named.recording for chunk in chunks if (named := read_chunk_id(chunk.id))}
        if names and not whole.has_segments and names <= whole.wav.keys():
            sources = [located(whole.wav[name], whole.path) for name in names]
            return whole if all(map(os.path.exists, sources)) else None
    return None
