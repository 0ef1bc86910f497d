"""mp4 fragments, and blocks of WavPack, that lie behind damage or a recording that was cut: nothing leads to them.

In: an open file. Out: what a file consists of in which all lead to the next; libraries stop where one does not.
"""

import io
import re
from collections.abc import Iterable

from k2d.audio.sizes import boxes, bytes_at

_HEAD = 8  # bytes of a box before what it holds
# What a fragment or a recording begins with.
_BEGIN = re.compile(rb".{4}moof\x00\x00\x00\x10mfhd|\x00\x00\x00[\x10-\xff]ftyp[\w ]{4}", re.DOTALL)
# The bytes from which a track's samples are counted, where a fragment says them (ISO/IEC 14496-12, 8.8.7).
_BASE = re.compile(rb"tfhd\x00..[%b].{4}(.{8})" % b"".join(b"\\x%02x" % flags for flags in range(1, 256, 2)), re.DOTALL)
_BLOCK = re.compile(rb"wvpk..[\x00-\x0f]\x00[\x02-\x10]\x04", re.DOTALL)  # at most 1 MB, of version 4


def bridged(file, head: bytes) -> list[bytes | tuple[int, int]] | None:
    """An mp4, as Pieces, in which boxes span the damage; of the same length. None where nothing lies behind any."""
    size = file.seek(0, io.SEEK_END)
    at, last, fragments, spans, searched, usual = 0, (b"", 0), False, [], 0, None
    while head[4:8] == b"ftyp" and at != size:
        kind, _, length = next(boxes(file, size, at), (b"", at, 0))
        broken = kind == b"moof" and not (at + length <= size and _is_fragment(file, at, length))
        if length and not broken:
            if kind == b"moof":
                fragments, bases = True, _bases(file, at, length)
                usual = bases[0][1] if usual is None and bases else usual
                shift = bases[0][1] - usual if spans and bases else 0  # bytes before it are missing, or too many
                spans += [(place, ((at + base - shift) % 2**64).to_bytes(8, "big")) for place, base in bases if shift]
            last, at = (kind, at), at + length
            continue
        # The sound before it may claim what lies behind, or be followed by what is no box; a fragment may have none.
        # What claims more than the file has is no box.
        kind, begin = last if (last[0] in (b"mdat", b"moof") or at > size) and not broken else (b"free", at)
        kind = b"mdat" if kind == b"mdat" else b"free"
        found = _find(file, max(begin + _HEAD, searched), _BEGIN) if fragments else None
        if found is None and not (broken and fragments):
            break
        at = size if found is None else found
        searched = at + 1
        # At the end of the file, longer than what is left, as what is cut is.
        length = min(at - begin + (found is None), 2**32 - 1)
        spans = [span for span in spans if span[0] < begin]
        spans.append((begin, length.to_bytes(4, "big") + kind))
    return _overlaid(spans, size) if spans else None


def without_damage(file, head: bytes) -> list[tuple[int, int]] | None:
    """A WavPack, as Pieces, without what lies between its blocks, and without those that claim bytes of others: each
    says which samples it holds. None where all lead to the next.
    """
    size = file.seek(0, io.SEEK_END)
    at = last = begin = 0
    pieces = []
    while head[:4] == b"wvpk" and at != size:
        block = bytes_at(file, at, 64)
        if _BLOCK.match(block):
            last, at = at, at + 8 + int.from_bytes(block[4:8], "little")
            continue
        found = _find(file, max(last, begin) + _HEAD, _BLOCK)
        if found is None:
            break
        pieces.append((begin, (at if at <= found else last) - begin))
        at = begin = found
    return [*pieces, (begin, size - begin)] if pieces else None


def _bases(file, at: int, length: int) -> list[tuple[int, int]]:
    """(where it says so, how far behind its own begin) of each place from which a fragment counts bytes."""
    found = _BASE.finditer(bytes_at(file, at, length))
    return [(at + match.start(1), int.from_bytes(match[1], "big") - at) for match in found]


def _is_fragment(file, begin: int, length: int) -> bool:
    """Whether the boxes in a `moof`, and in its tracks, fill it."""
    inside = list(boxes(file, begin + length, begin + _HEAD))
    return _fill(inside, begin + length) and all(
        _fill(boxes(file, at + count, at + _HEAD), at + count) for kind, at, count in inside if kind == b"traf"
    )


def _fill(inside: Iterable[tuple[bytes, int, int]], end: int) -> bool:
    return max((at + length for _, at, length in inside), default=end) == end


def _overlaid(spans: list[tuple[int, bytes]], size: int) -> list[bytes | tuple[int, int]]:
    """The file, with other bytes at these places."""
    pieces, at = [], 0
    for begin, new in spans:
        pieces += [(at, begin - at), new]
        at = begin + len(new)
    return [*pieces, (at, size - at)]


def _find(file, at: int, begin: re.Pattern) -> int | None:
    """Where the next one begins."""
    while len(data := bytes_at(file, at, 2**20)) > 16:
        if found := begin.search(data):
            return at + found.start()
        at += len(data) - 16
    return None
