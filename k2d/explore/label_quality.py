"""How good the pseudo-labels are, where a corpus has true transcripts of its training set or somebody has listened.

The one measure of a label against what was said, for the explorer, the audit and RESULTS.md. This is analysis after
the fact: it reads references that no stage of labelling, selection or training may read.

In: the chunks with their labels, and references. Out: error counts for each chunk, summed over each selection, and
which labels are bad, for `detection` to ask whether a distance finds them.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from k2d.datadir import DataDir
from k2d.explore.detection import AuditedChunks
from k2d.explore.kinds import kind_of
from k2d.explore.references import References, read_references, spoken_units
from k2d.label.chunk_directory import read_chunks
from k2d.label.scores import Columns, Scores
from k2d.label.segments import errors_of_parts
from k2d.score.alignment import HIT, align
from k2d.score.rates import Counts, count
from k2d.text import timestamps
from k2d.text.units import language_of

UNITS = {"en": "English words", "zh": "Chinese characters"}
BAD = 0.4  # a label with a true MER above this is a bad one (the paper's Table 5)


@dataclass(frozen=True)
class LabelQuality:
    """Counts of each chunk's label against the reference, in order of id, and of its segments if asked.

    recordings: of each chunk. kinds: of each chunk whose label is bad (explore/kinds.py). fates: what became of the
    UNITS of each language, over all chunks: how many were said, written, missing, and swapped for the other one's.
    """

    references: References
    chunks: Mapping[str, Counts]
    segments: Mapping[str, Sequence[Counts]] = field(default_factory=dict)
    recordings: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    fates: Mapping[str, Counter] = field(default_factory=dict)

    def of(self, ids: Iterable[str]) -> Counts:
        return sum((self.chunks[i] for i in ids), Counts())

    def of_segments(
        self, trusted: Mapping[str, Sequence[bool]], within: Container[str] | None = None
    ) -> tuple[Counts, Counts]:
        """Of the segments that are trusted, and of all others, of the chunks `within` or of all. What is missing
        between two segments counts in both."""
        sums = [Counts(), Counts()]
        for chunk, segments in self.segments.items():
            if within is not None and chunk not in within:
                continue
            flags = trusted.get(chunk, [False] * len(segments))
            for flag, counts in zip(flags, segments, strict=True):
                sums[not flag] += counts
        return sums[0], sums[1]

    def audit(self, scores: Scores, metrics: Sequence[str], bad_above: float = BAD) -> AuditedChunks:
        """Which labels are bad, beside their distances; chunks that lack a distance are left out."""
        ids = list(self.chunks)
        columns = Columns(scores, metrics).of(ids)
        known = np.all([np.isfinite(columns[name]) for name in metrics], axis=0)
        bad = np.array([counts.text_rate > bad_above for counts in self.chunks.values()])
        recording = np.array([self.recordings[chunk] for chunk in ids], str)
        return AuditedChunks(bad[known], recording[known], {name: columns[name][known] for name in metrics})


def label_quality(data: DataDir, reference: str | Path, by_segment: bool = False) -> LabelQuality:
    """Compare every chunk's label with what was said there.

    reference : folder with `segments` (utterance recording start end) and `text`, or a text file of chunk ids
    by_segment : also every segment of a label, where some selection is one of segments
    """
    chunks = list(read_chunks(data))
    references = read_references(reference, chunks)
    counts, segments, recordings, kinds = {}, {}, {}, {}
    fates = {name: Counter() for name in UNITS.values()}
    for chunk in chunks:
        spoken = references.spoken.get(chunk.id)
        if spoken is None:
            continue
        pairs = align(spoken, spoken_units(chunk.text))
        counts[chunk.id], recordings[chunk.id] = count(pairs), chunk.recording
        for pair in pairs:
            said, written = (unit and language_of(unit) for unit in (pair.ref, pair.hyp))
            if said in UNITS:
                fate = fates[UNITS[said]]
                fate["said"] += 1
                fate["written"] += pair.op == HIT
                fate["missing"] += pair.hyp is None
                fate["swapped"] += written in UNITS and written != said
        if counts[chunk.id].text_rate > BAD:
            kinds[chunk.id] = kind_of(chunk.text, pairs)
        if by_segment:
            parts = [spoken_units(text) for _, _, text in timestamps.parse(chunk.text)]
            segments[chunk.id] = _segment_counts(parts, spoken)
    return LabelQuality(references, counts, segments, recordings, kinds, fates)


def _segment_counts(label: Sequence[Sequence[str]], spoken: Sequence[str]) -> list[Counts]:
    """Counts of a label's segments, units each, out of one alignment with what was spoken."""
    errors = errors_of_parts(label, spoken)
    rows = zip(errors.units, errors.substitutions, errors.insertions, errors.deletions, strict=True)
    return [Counts(int(n - s - d), int(s), int(i), int(d)) for n, s, i, d in rows]
