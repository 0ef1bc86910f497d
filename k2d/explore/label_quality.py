"""How good the pseudo-labels are, where a corpus has true transcripts of its training set.

This is analysis after the fact: it reads references that no stage of labelling, selection
or training may read.

In: the chunks with their labels, the references of the recordings (segments and text) and the
selections. Out: error counts for each chunk, summed over each selection, and how well each
distance spots the bad labels (the paper's Table 5).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2d.datadir import DataDir, Segment, read_segments
from k2d.errors import DataError
from k2d.label.segments import errors_of_parts
from k2d.score.alignment import align
from k2d.score.rates import Counts, count
from k2d.tables import read_numbers, read_table
from k2d.text import timestamps
from k2d.text.units import units

BAD = 0.4  # a label with a true MER above this is a bad one (Table 5)
ALPHAS = tuple(a / 10 for a in range(1, 10))
# A chunk ends at a timestamp, a little before or after the last sound. Reference units up to this
# far outside belong to the chunk nearest to them; others have been left out by the labelling.
EDGE = 0.5  # seconds


@dataclass(frozen=True)
class LabelQuality:
    """Counts of each chunk's label against the reference, and of its segments if asked. `uncovered`:
    reference units that no chunk holds, of `reference_units` in all."""

    chunks: Mapping[str, Counts]
    uncovered: int
    reference_units: int
    segments: Mapping[str, Sequence[Counts]] = field(default_factory=dict)

    def of(self, ids: Iterable[str]) -> Counts:
        return sum((self.chunks[i] for i in ids), Counts())

    def of_segments(self, trusted: Mapping[str, Sequence[bool]]) -> tuple[Counts, Counts]:
        """Of the segments that are trusted, and of all others. What is missing between two segments
        counts in both."""
        sums = [Counts(), Counts()]
        for chunk, segments in self.segments.items():
            flags = trusted.get(chunk, [False] * len(segments))
            for flag, counts in zip(flags, segments, strict=True):
                sums[not flag] += counts
        return sums[0], sums[1]

    def true_rate(self, chunk: str) -> float:
        """MER of one label; words where nothing was said are divided by one unit."""
        counts = self.chunks[chunk]
        return counts.errors / max(1, counts.units)


@dataclass(frozen=True)
class Detection:
    """Bad labels found by dropping what exceeds α, averaged over α = 0.1 … 0.9. `recall`: share of
    the bad chunks that is dropped; `precision`: share of the dropped chunks that is bad. `recalls`: at
    each of ALPHAS, nothing where no chunk is bad."""

    recalls: tuple[float, ...]
    recall: float | None
    precision: float | None
    bad: int
    chunks: int


def chunk_segments(data: DataDir) -> dict[str, Segment]:
    """Where each chunk lies in its recording: from `segments`, or else from the chunk's id,
    <recording>-<start in centiseconds>-<end in centiseconds>."""
    if data.has_segments:
        return data.segments
    places = {}
    for chunk in data.segments:
        recording, _, rest = chunk.rpartition("-")
        recording, _, begin = recording.rpartition("-")
        if not (recording and begin.isdigit() and rest.isdigit()):
            raise DataError(
                f"{data.path}: chunk {chunk!r} does not tell its place; expected a segments file, or ids "
                "<recording>-<start>-<end> in centiseconds as the labelling stage writes them"
            )
        places[chunk] = Segment(chunk, recording, int(begin) / 100, int(rest) / 100)
    return places


def timed_units(segment: Segment, text: str) -> list[tuple[float, str]]:
    """The reference's units with a time in seconds each: evenly spread over the utterance."""
    spoken = units(timestamps.strip(text))
    step = (segment.end - segment.start) / max(1, len(spoken))
    return [(segment.start + (i + 0.5) * step, unit) for i, unit in enumerate(spoken)]


def place(times: list[tuple[float, str]], chunks: list[Segment]) -> tuple[dict[str, list[str]], int]:
    """Reference units of one recording to the chunks that hold their times. `chunks` are sorted by
    start and do not overlap. Returns the units of each chunk and how many none holds."""
    starts = [c.start for c in chunks]
    held: dict[str, list[str]] = {c.id: [] for c in chunks}
    left_out = 0
    for time, unit in times:
        after = bisect_right(starts, time)
        near = chunks[max(0, after - 1) : after + 1]
        distances = [(max(c.start - time, time - c.end, 0.0), c.start, c.id) for c in near]
        distance, _, chunk = min(distances, default=(float("inf"), 0.0, ""))
        if distance <= EDGE:
            held[chunk].append(unit)
        else:
            left_out += 1
    return held, left_out


def label_quality(data: DataDir, reference: Path, by_segment: bool = False) -> LabelQuality:
    """Compare every chunk's label with what was said there.

    reference : folder with `segments` (utterance recording start end) and `text`
    by_segment : also every segment of a label, where some selection is one of segments
    """
    said, places = read_table(reference / "text"), read_segments(reference / "segments")
    labels = data.text
    if labels is None:
        raise DataError(f"{data.path}: no text there; expected the chunks with the teacher's labels")
    unknown = sorted(set(said) - set(places))
    if unknown:
        raise DataError(f"{reference}/segments: no line for {unknown[0]}, which {reference}/text has")
    times: dict[str, list[tuple[float, str]]] = {}
    for utterance in sorted(said, key=lambda i: (places[i].recording, places[i].start)):
        timed = timed_units(places[utterance], said[utterance])
        times.setdefault(places[utterance].recording, []).extend(timed)
    chunks: dict[str, list[Segment]] = {}
    for segment in sorted(chunk_segments(data).values(), key=lambda s: s.start):
        chunks.setdefault(segment.recording, []).append(segment)
    if not set(chunks) & set(times):
        raise DataError(f"{reference}: not one recording of {data.path}; expected references of its recordings")
    counts, segments, left_out = {}, {}, 0
    for recording in sorted(set(chunks) | set(times)):
        held, outside = place(times.get(recording, []), chunks.get(recording, []))
        left_out += outside
        for chunk, spoken in held.items():
            label = labels.get(chunk, "")
            counts[chunk] = count(align(spoken, units(timestamps.strip(label))))
            if by_segment:
                segments[chunk] = count_segments([units(text) for _, _, text in timestamps.parse(label)], spoken)
    return LabelQuality(counts, left_out, sum(len(t) for t in times.values()), segments)


def count_segments(said: Sequence[Sequence[str]], spoken: Sequence[str]) -> list[Counts]:
    """Counts of a label's segments, units each, out of one alignment with what was spoken."""
    errors = errors_of_parts(said, spoken)
    rows = zip(errors.units, errors.substitutions, errors.insertions, errors.deletions, strict=True)
    return [Counts(int(n - s - d), int(s), int(i), int(d)) for n, s, i, d in rows]


def detection(quality: LabelQuality, distances: Mapping[str, float]) -> Detection:
    """How well dropping δ > α finds the labels with a true MER above BAD."""
    known = [c for c in quality.chunks if c in distances]
    bad = {c for c in known if quality.true_rate(c) > BAD}
    recalls, precisions = [], []
    for alpha in ALPHAS:
        dropped = {c for c in known if distances[c] > alpha}
        if bad:
            recalls.append(len(dropped & bad) / len(bad))
        if dropped:
            precisions.append(len(dropped & bad) / len(dropped))
    return Detection(
        recalls=tuple(recalls),
        recall=sum(recalls) / len(recalls) if recalls else None,
        precision=sum(precisions) / len(precisions) if precisions else None,
        bad=len(bad),
        chunks=len(known),
    )


def detections(quality: LabelQuality, scores: Path) -> dict[str, Detection]:
    """Detection by each distance that a score directory holds (mer, per, comp)."""
    return {
        name: detection(quality, read_numbers(scores / f"utt2{name}"))
        for name in ("mer", "per", "comp")
        if (scores / f"utt2{name}").exists()
    }
