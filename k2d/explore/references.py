"""References of chunks, where a corpus or an audit has them; for analysis only, never for selection.

In: a Kaldi text file of chunk ids, or a directory with segments and text of the whole recordings. Out:
chunk id -> reference text.
"""

from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

from k2d.datadir import read_segments
from k2d.errors import DataError
from k2d.label.select import Chunk
from k2d.tables import Cursor, read_table


class References:
    """Reference text of chunks asked for in order of id; None for a chunk without one."""

    def __init__(self, path: str | Path):
        path = Path(path)
        self._cursor = None if path.is_dir() else Cursor(path)
        self._by_recording: dict[str, list[tuple[float, str]]] = {}
        if path.is_dir():
            text = read_table(path / "text")
            for segment in read_segments(path / "segments").values():
                if segment.end is None:
                    raise DataError(
                        f"{path / 'segments'}: {segment.id!r} has no end; a reference needs times"
                    )
                middle = (segment.start + segment.end) / 2
                self._by_recording.setdefault(segment.recording, []).append(
                    (middle, text.get(segment.id, ""))
                )
            for segments in self._by_recording.values():
                segments.sort()

    def of(self, chunk: Chunk) -> str | None:
        """The segments whose middle lies in the chunk, in order; "" where the recording is silent there."""
        if self._cursor is not None:
            return self._cursor.get(chunk.id)
        segments = self._by_recording.get(chunk.recording)
        if segments is None:
            return None
        first, last = (bisect_left(segments, (time, "")) for time in (chunk.start, chunk.end))
        return " ".join(text for _, text in segments[first:last])


def true_errors(pairs: Iterable[tuple[str, str]]) -> list[float]:
    """MER of labels against references, (label, reference) pairs; against an empty reference 0 or 1."""
    from k2d.label.distance import Choices, distances

    rows = list(pairs)
    labels, references = [label for label, _ in rows], [reference for _, reference in rows]
    return distances(labels, references, Choices()).mer.tolist() if rows else []
