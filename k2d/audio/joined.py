"""Where recordings begin that follow each other in one file, as radio and `cat` make them.

In: an open file and its first bytes. Out: (start, length) of each recording in it. Libraries read the first one of
WAV, AIFF, FLAC, mp4 and AMR files, and say nothing of the others.
"""

import io
import os
import re
from collections.abc import Iterator
from functools import lru_cache

from k2d.audio.sizes import chunks

Stretches = list[tuple[int, int]]
_AMR = re.compile(rb"#!AMR(?:-WB)?\n")
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_TFDT = re.compile(rb"tfdt(?:\x00...(....)|\x01...(........))", re.DOTALL)


def recordings_of(file, head: bytes) -> Stretches:
    """(start, length) of each recording in a file that is not Ogg; where its format cannot hold several, of the whole.

    A file on disk is searched once, however many of its parts are read.
    """
    if not head.startswith((b"fLaC", b"RIFF", b"FORM", b"#!AMR")) and head[4:8] != b"ftyp":
        return [(0, file.seek(0, io.SEEK_END))]
    if not isinstance(file, io.BufferedReader):
        return _search(file, head)
    status = os.fstat(file.fileno())
    return _search_once(os.path.abspath(file.name), head, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**14)
def _search_once(path: str, head: bytes, size: int, time_ns: int) -> Stretches:
    with open(path, "rb") as file:
        return _search(file, head)


def _search(file, head: bytes) -> Stretches:
    size = file.seek(0, io.SEEK_END)
    if head.startswith((b"RIFF", b"FORM")):
        starts = _chunked(file, "little" if head.startswith(b"RIFF") else "big")
    elif head[4:8] == b"ftyp":
        starts = _mp4(file, size)
    else:
        starts = _marked(file, _FLAC if head.startswith(b"fLaC") else _AMR)
    return _stretches(list(starts), size)


def _stretches(starts: list[int], size: int) -> Stretches:
    return [(start, stop - start) for start, stop in zip(starts, [*starts[1:], size])]


def _marked(file, mark: re.Pattern) -> Iterator[int]:
    """Every place of a mark that stands nowhere but at the beginning."""
    at = 0
    while (at := _find(file, mark.pattern[:4], at)) is not None:
        file.seek(at)
        if mark.match(file.read(16)):
            yield at
        at += 4


def _chunked(file, order: str) -> Iterator[int]:
    """WAV and AIFF: one begins where a chunk of the one before would. order: of the bytes of their sizes."""
    at, size = 0, file.seek(0, io.SEEK_END)
    while at is not None:
        yield at
        file.seek(at)
        head = file.read(12)
        inside = chunks(file, at + 12, size, order)
        same = (begin - 8 for name, begin, _ in inside if name == head[:4] and file.read(4) == head[8:])
        at = next(same, None)


def _mp4(file, size: int) -> Iterator[int]:
    """Every box `ftyp` (ISO/IEC 14496-12) but those that a broadcast repeats between fragments of one clock."""
    yield 0
    at, begins = 0, None
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        length = {0: size - at, 1: int.from_bytes(head[8:], "big")}.get(length, length)
        if length < 8:
            return
        if kind == b"ftyp":
            begins = at
        elif kind in (b"moof", b"mdat") and begins:
            file.seek(at)
            clock = _TFDT.search(file.read(min(length, 2**16))) if kind == b"moof" else None
            if clock is None or not int.from_bytes(clock[1] or clock[2], "big"):
                yield begins
            begins = None
        at += length


def ogg_chains(file) -> tuple[Stretches, bool]:
    """(start and length of every chain of an Ogg file, whether it is one stream of which no page is missing).

    A chain begins where pages that begin streams follow others (RFC 3533).
    """
    starts, whole, at, number = [], True, 0, 0
    size = file.seek(0, io.SEEK_END)
    flags = serial = None
    while at < size:
        file.seek(at)
        head = file.read(27 + 255)
        if len(head) < 27 or head[:4] != b"OggS":
            whole = False
            at = _find(file, b"OggS", at + 1)
            if at is None:
                break
            continue
        begins = bool(head[5] & 2)
        if begins and (flags is None or not flags & 2):
            starts.append(at)
        flags, serial = head[5], serial or head[14:18]
        if head[14:18] != serial or int.from_bytes(head[18:22], "little") != number:
            whole = False
        number += 1
        at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    file.seek(0)
    return _stretches(starts, size), whole and at == size and bool(flags and flags & 4)


def _find(file, what: bytes, at: int) -> int | None:
    """Where a file holds some bytes, from `at` on."""
    while True:
        file.seek(at)
        data = file.read(2**20)
        found = data.find(what)
        if found >= 0:
            return at + found
        if len(data) < 2**20:
            return None
        at += len(data) - len(what)
