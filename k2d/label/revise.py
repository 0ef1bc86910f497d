"""Revised labels: of all that several models wrote of a chunk, the transcript that the others contradict least.

In: chunks with the teacher's labels, and transcripts of the same chunks (k2d decode), each with the mean
log-probability of its tokens. Out: the data directory with the transcripts that were chosen.

The choice is the one of least expected error (minimum Bayes risk; Goel and Byrne, 2000), where a transcript is the
truth with a probability proportional to the geometric mean of its tokens' probabilities:

    ŷ = argmin_y  Σ_z  p(z) edits(y, z),    p(z) = exp(mean log-probability of z)

Edits are of units, as in δ_MER. Ties go to the label, then to the order in which the transcripts are given.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from k2d.atomic import atomic
from k2d.datadir import DataDir, SubsetWriter
from k2d.errors import DataError
from k2d.label.chunk_directory import Chunk, read_chunks
from k2d.label.distance import edits
from k2d.label.scores import FACT_TABLES
from k2d.tables import WEIGHT, Cursor, blocks
from k2d.text import timestamps
from k2d.text.batch import LONGEST, Lines
from k2d.text.trusted import TRUSTED

SOURCES = "sources.tsv"  # id, where its label is from
OWN = "label"  # the source of a label that was not replaced
LOGPROB = "utt2avg_logprob"
OF_LABELS = ("text", "text.prev", TRUSTED, WEIGHT, *FACT_TABLES)  # tables that are about the old labels


@dataclass(frozen=True)
class LabelCandidate:
    """A transcript of a chunk. source: the number of its directory, 0 for the label. facts: its numbers in FACT_TABLES,
    as far as they are known."""

    source: int
    text: str
    logprob: float
    facts: Mapping[str, float]


class _Transcripts:
    """A directory with `text` and FACT_TABLES, read in step with the chunks. found: how many of these it has."""

    def __init__(self, source: int, folder: Path):
        if not (folder / "text").is_file():
            raise DataError(f"{folder}: no text there; expected transcripts of the chunks, as k2d decode writes them")
        self.path, self._source, self.found = folder, source, 0
        self._text = Cursor(folder / "text")
        self._facts = {name: Cursor(folder / name) for name in FACT_TABLES if (folder / name).is_file()}

    def get(self, key: str) -> LabelCandidate | None:
        text = self._text.get(key)
        facts = {name: value for name, cursor in self._facts.items() if (value := cursor.number(key)) is not None}
        if text is None:
            return None
        self.found += 1
        return LabelCandidate(self._source, text, facts.get(LOGPROB, math.nan), facts)


def write_revised(out: Path, data: DataDir, transcripts: Sequence[Path]) -> Counter:
    """Write the data directory with the transcripts that were chosen, and SOURCES. Returns the number of labels from
    each directory, by its name, and under "" the number of chunks left out because the chosen transcript is empty.
    FACT_TABLES that one of the directories lacks are not written, nor is how far a selection trusted the labels.

    Raises DataError for a transcript without timestamps, unless the label has none either, for a directory without any
    of the chunks, and where no label is left.
    """
    names = [OWN, *(path.name for path in transcripts)]
    known = [name for name in FACT_TABLES if all((path / name).is_file() for path in (data.path, *transcripts))]
    counts: Counter = Counter()
    recording = before = ""
    with SubsetWriter(data, out, without=OF_LABELS) as part, atomic(out / SOURCES) as sources:
        for chunk, chosen in _choices(data, transcripts):
            if not timestamps.strip(chosen.text):
                counts[""] += 1
                continue
            counts[names[chosen.source]] += 1
            part.keep(chunk.id)
            part.write("text", chunk.id, chosen.text)
            part.write("text.prev", chunk.id, before if chunk.recording == recording else "")
            for name in chosen.facts.keys() & known:
                part.write_number(name, chunk.id, chosen.facts[name])
            sources.write(f"{chunk.id}\t{names[chosen.source]}\n")
            recording, before = chunk.recording, chosen.text
        if not recording:
            raise DataError(f"{data.path}: no label is left: every chosen transcript is empty")
    return counts


def _choices(data: DataDir, transcripts: Sequence[Path]) -> Iterator[tuple[Chunk, LabelCandidate]]:
    folders = [_Transcripts(number, folder) for number, folder in enumerate((data.path, *transcripts))]

    def rows() -> Iterator[tuple[Chunk, list[LabelCandidate]]]:
        for chunk in read_chunks(data):
            found = [candidate for folder in folders if (candidate := folder.get(chunk.id)) is not None]
            untimed = next((candidate for candidate in found if _untimed(candidate.text)), None)
            if untimed and not _untimed(chunk.text):
                raise DataError(
                    f"{folders[untimed.source].path / 'text'}: {chunk.id!r} has no timestamps; make the transcripts "
                    "with k2d decode --timestamps true"
                )
            yield chunk, found
        if foreign := next((folder.path for folder in folders if not folder.found), None):
            raise DataError(f"{foreign / 'text'}: has none of the chunks of {data.path}; give transcripts of these")

    def characters(row: tuple[Chunk, list[LabelCandidate]]) -> int:
        return sum(len(candidate.text) for candidate in row[1])

    for block in blocks(rows(), 1000, LONGEST // 2, characters):
        for (chunk, found), best in zip(block, least_risk([found for _, found in block]), strict=True):
            yield chunk, found[best]


def _untimed(text: str) -> bool:
    """Whether there are words, and no timestamps."""
    return bool(timestamps.strip(text)) and not timestamps.TIME.search(text)


def least_risk(rows: Sequence[Sequence[LabelCandidate]]) -> list[int]:
    """Which of the candidates of each chunk has the least expected number of errors. One of unknown probability weighs
    as much as the others of its chunk do on average."""
    units = iter(Lines([candidate.text for row in rows for candidate in row]).units)
    pairs = [pair for row in rows for pair in combinations(list(islice(units, len(row))), 2)]
    counts = iter(edits([one for one, _ in pairs], [other for _, other in pairs]))
    best = []
    for row in rows:
        p = np.exp([candidate.logprob for candidate in row])
        p = np.where(np.isnan(p), np.nanmean(p) if np.isfinite(p).any() else 1.0, p)
        risks = np.zeros(len(row))
        for (a, b), errors in zip(combinations(range(len(row)), 2), counts, strict=False):
            risks[a] += p[b] * errors
            risks[b] += p[a] * errors
        best.append(int(risks.argmin()))
    return best
