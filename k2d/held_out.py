"""Which chunks share sound with those that are held out.

In: ids of chunks. Out: a container of these and of all ids that overlap them in time.
"""

from bisect import bisect_right
from collections.abc import Container, Iterable
from itertools import accumulate

from k2d.constants import read_chunk_id, recording_in

AUDIT = "audit.json"  # in the folder of a test set that was made by ear (k2d audit): what was drawn, and the answers


class HeldOut(Container[str]):
    """Ids of chunks that are held out, and of all that share sound with one of them: another teacher, or another
    longest chunk, cuts a recording elsewhere, and what a test set says must not be learnt under another id either.
    """

    SHARED = 50  # centiseconds by which each reaches into the other; adjacent chunks may touch

    def __init__(self, ids: Iterable[str]):
        self._ids = frozenset(ids)
        stretches: dict[str, list[tuple[int, int]]] = {}
        for named in filter(None, map(read_chunk_id, self._ids)):
            stretches.setdefault(named.recording, []).append((named.start, named.end))
        # recording -> starts in order, and the latest end of those up to each
        self._stretches: dict[str, tuple[list[int], list[int]]] = {}
        for recording, places in stretches.items():
            starts, ends = zip(*sorted(places), strict=True)
            self._stretches[recording] = list(starts), list(accumulate(ends, max))

    def __bool__(self) -> bool:
        return bool(self._ids)

    def __contains__(self, key: str) -> bool:
        if key in self._ids:
            return True
        known = self._stretches.get(recording_in(key))  # most of millions of chunks end here
        if known is None or (named := read_chunk_id(key)) is None:
            return False
        starts, ends = known
        before = bisect_right(starts, named.end - self.SHARED)  # so many begin early enough to share sound
        return before > 0 and ends[before - 1] - named.start >= self.SHARED
