"""Where recordings begin that follow each other in one file, as radio and `cat` make them.

In: an open file and its first bytes. Out: (start, length) of each recording in it. Of the formats here libraries read
the first one, and say nothing of the others. Of streams of frames they read all, but mistake a tag between two
recordings for frames; `without_tags` gives the file without them.
"""

import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from k2d.audio.formats import begins_frame, frame_length
from k2d.audio.sizes import (
    EBML,
    RIFF,
    TAGS,
    Form,
    Pieces,
    boxes,
    bytes_at,
    chunks,
    elements,
    end_of_attachments,
    form_of,
)

Stretches = list[tuple[int, int]]
# What stands at the beginning of a recording, and so long that it stands nowhere else.
_MARKS = tuple(
    re.compile(mark, re.DOTALL)
    for mark in (
        rb"#!AMR(?:-WB)?\n",
        rb"fLaC[\x00\x80]\x00\x00\x22",
        rb"FLV\x01[\x00-\x05]\x00\x00\x00\x09\x00\x00\x00\x00",
        rb"TTA1[\x01\x02]\x00[\x01-\x40]\x00[\x08\x10\x18\x20]\x00",
        rb"wvpk.{4}[\x02-\x10]\x04.{6}\x00{4}(?!\x00{4}).{5}[%b]"  # block 0, not without samples, first of its channels
        % b"".join(b"\\x%02x" % flags for flags in range(256) if flags & 8),
        rb"MAC .\x0f\x00\x00\x34\x00\x00\x00\x18\x00\x00\x00",
        rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",  # ASF: WMA, WMV
        rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d",  # WTV
        rb"\.RMF\x00\x00\x00\x12\x00[\x00\x01]",  # RealMedia
        rb"Creative Voice File\x1a",
        rb"caff\x00\x01\x00\x00desc\x00{7}\x20",
        rb"\x1a\x45\xdf\xa3(?:[\x80-\xff]|[\x40-\x7f].|\x10.{3}|\x08.{4}|\x01.{7})"  # Matroska
        rb"(?:\xbf\x84.{4})?\x42[\x82-\x87\xf2-\xf7]",  # behind a checksum, or not
        rb"RIFF.{4}AVI LIST.{4}hdrl",
        rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02[\x01-\x04]\x00",  # MXF
        rb"\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1b]\x00",
    )
)
PACKET = 188  # bytes of one of a transport stream
# One that begins the list of all programs, or the table of one.
_TABLE = re.compile(rb"\x47[\x40-\x5f].[\x10-\x1f]\x00[\x00\x02][\xb0-\xbf]", re.DOTALL)
_TYPES_OF_SOUND = (0x03, 0x04, 0x0F, 0x11, 0x81, 0x87)  # MPEG audio, AAC, AC-3, E-AC-3
_TAG = b"ID3"
# The head of a tag, and what follows it: the name of its first part, or padding (id3.org, 2.3 and 2.4).
_WHOLE_TAG = re.compile(rb"ID3[\x02-\x04][^\xff].[\x00-\x7f]{4}([A-Z][A-Z0-9]{2,3}|\x00\x00)", re.DOTALL)
_COUNTS = re.compile(rb"Xing|Info|VBRI")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # the bits of a byte
_FTYP = re.compile(rb"ftyp[\w ]{4}.{4}[\w ]{4}", re.DOTALL)  # of an mp4, behind four bytes for its length
_TFDT = re.compile(rb"tfdt(?:\x00...(....)|\x01...(........))", re.DOTALL)


def recordings_of(file, head: bytes) -> Stretches:
    """(start, length) of each recording in a file that is not Ogg; where its format cannot hold several, of the whole.

    A file on disk is searched once, however many of its parts are read.
    """
    if not form_of(head) and head[4:8] != b"ftyp" and b"G" not in (head[:1], head[4:5]) and not _mark_of(head):
        return [(0, file.seek(0, io.SEEK_END))]
    return _once(_search, file)


def _once(search: Callable[[BinaryIO], Stretches], file) -> Stretches:
    """search(file); of a file on disk, or a stretch of one, what was found before."""
    disk, *stretch = getattr(file, "stretch", None) or (file,)
    if not isinstance(disk, io.BufferedReader):
        return search(file)
    status = os.fstat(disk.fileno())
    return _known(search, os.path.abspath(disk.name), tuple(stretch), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**14)
def _known(search: Callable, path: str, stretch: tuple[int, ...], size: int, time_ns: int) -> Stretches:
    with open(path, "rb") as file:
        return search(Pieces(file, [stretch], owned=False) if stretch else file)


def _search(file) -> Stretches:
    size, head = file.seek(0, io.SEEK_END), bytes_at(file, 0, 64)
    if mark := _mark_of(head):
        starts = _outermost(file, size, mark, head) or _marked(file, size, mark, head[:4])
    elif form := form_of(head):
        starts = _chunked(file, size, form)
    elif head[4:8] == b"ftyp":
        starts = _mp4(file, size)
    else:
        starts = _transport(file, size)
    return _stretches(list(starts), size)


def length_of_tag(head: bytes) -> int:
    """Bytes of the ID3 tag that begins so, with its own head (id3.org, 3.1)."""
    return 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0)))


def between_tags(file) -> Pieces | None:
    """A file without the tags before and behind its sound; None where there are none, or nothing else."""
    begin, end = 0, file.seek(0, io.SEEK_END)
    whole = begin, end
    while (head := bytes_at(file, begin, 10)).startswith(_TAG):
        begin += length_of_tag(head)
    while end > begin and (length := _length_of_last_tag(bytes_at(file, max(0, end - 355), min(end, 355)))):
        end -= length
    return Pieces(file, [(begin, end - begin)]) if (begin, end) != whole and begin < end else None


def _length_of_last_tag(tail: bytes) -> int:
    """Bytes of the tag that ends so; 0 where none does."""
    if tail[-128:-125] == b"TAG":  # ID3 1, and its extension
        return 355 if tail[-355:-351] == b"TAG+" else 128
    if tail[-10:-7] == b"3DI":  # ID3 2.4, whose footer is like its head
        return length_of_tag(tail[-10:]) + 10
    if tail[-32:-24] == b"APETAGEX":  # which may have a head of 32 bytes, or not
        return int.from_bytes(tail[-20:-16], "little") + (32 if tail[-9] & 128 else 0)
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():  # Lyrics3 2
        return int(tail[-15:-9]) + 15
    return 0


def tags_of(file) -> Stretches:
    """(start, end) of each ID3 tag behind the first frame of a stream of frames (mp3, AAC, AC-3, DTS), as `cat` and
    taggers put them there, and of the frame behind it that holds no sound (Xing, Info, VBRI).
    """
    return _once(_tags, file) if begins_frame(bytes_at(file, 0, 64)) else []


def without_tags(file, tags: Stretches) -> Pieces:
    """A file without some: libraries look for frames in their pictures, and find some."""
    ends = [0, *(end for _, end in tags)]
    starts = [*(start for start, _ in tags), file.seek(0, io.SEEK_END)]
    return Pieces(file, [(end, start - end) for end, start in zip(ends, starts, strict=True)])


def _tags(file) -> Stretches:
    size, found, end = file.seek(0, io.SEEK_END), [], 0
    for block in range(0, size, 2**20):
        data = bytes_at(file, block, 2**20 + len(_TAG) - 1)
        for at in (block + match.start() for match in re.finditer(_TAG, data)):
            if at < end or not _WHOLE_TAG.match(head := bytes_at(file, at, 64)):
                continue
            stop = min(at + length_of_tag(head), size)
            behind = bytes_at(file, stop, 64)
            if not behind.strip(b"\0") or behind.startswith(TAGS) or begins_frame(behind):
                end = stop + (frame_length("mp3", behind) or 0 if _COUNTS.search(behind) else 0)
                found.append((at, end))
    return found


def _mark_of(head: bytes) -> re.Pattern | None:
    return next((mark for mark in _MARKS if mark.match(head)), None)


def _stretches(starts: list[int], size: int) -> Stretches:
    return [(start, stop - start) for start, stop in zip(starts, [*starts[1:], size])]


def _marked(file, size: int, mark: re.Pattern, begin: bytes) -> Iterator[int]:
    """Every place of a mark, all of which begin so, but for those in what is attached to a Matroska."""
    at = 0
    while (at := _first(file, begin, mark.match, at)) is not None:
        yield at
        at = max(at + 4, end_of_attachments(file, size, at) if begin == EBML else 0)


def _first(file, begin: bytes, is_one: Callable[[bytes], object], at: int) -> int | None:
    """The first place of some bytes, from one on, that a recording begins at, as the next 64 bytes tell."""
    while (at := find(file, begin, at)) is not None and not is_one(bytes_at(file, at, 64)):
        at += 4
    return at


def _outermost(file, size: int, mark: re.Pattern, head: bytes) -> list[int]:
    """Of Matroska and AVI, whose elements or chunks lead to the file's end unless some of it is missing."""
    if head[:4] == EBML:
        found = [(begin, length) for _, begin, length in elements(file, size)]
    elif head[:4] == b"RIFF":
        found = [(begin - RIFF.head, length + RIFF.head) for _, begin, length in chunks(file, 0, size, RIFF)]
    else:
        return []
    if not found or abs(sum(found[-1]) - size) > 1:  # a byte of padding
        return []
    return [begin for begin, _ in found if mark.match(bytes_at(file, begin, 64))]


def _transport(file, size: int) -> Iterator[int]:
    """Of a transport stream: where no sound is listed that was before, but others are. A track that is not listed for
    a while, beside one that is, begins no other recording.
    """
    yield 0
    known: set[tuple[int, int]] = set()
    for place, sounds in _programs(file, size) if _is_transport(bytes_at(file, 0, 4 * 192)) else ():
        if known.isdisjoint(sounds):
            if known:
                yield place
            known = set()
        known.update(sounds)


def _is_transport(head: bytes) -> bool:
    """Whether packets begin so: of 188 bytes, or of 192, four of which are a time."""
    return b"GGGG" in (head[: 4 * PACKET : PACKET], head[4::192])


def _programs(file, size: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """(where, (type, PID) of each sound) of the tables of the first program that list any (ISO/IEC 13818-1, 2.4.4).
    They begin where the list of programs before them does. Tables that are announced ahead say nothing of what is here.
    """
    begin, first = None, None  # where that list is; the PID of the first program's tables, as long as it is listed
    for block in range(0, size, 2**20):
        data = bytes_at(file, block, 2**20 + PACKET)
        for match in _TABLE.finditer(data):
            at, table = match.start(), data[match.end() - 2 : match.start() + PACKET]
            table = table[: 3 + _twelve_bits(table, 1)]
            if at >= 2**20:
                break
            if zlib.crc32(table.translate(_REVERSED)) != 0xFFFFFFFF or not table[5] & 1:
                continue  # damaged, or in several packets; or announced
            pid = _thirteen_bits(data, at + 1)
            if not pid:
                programs = [(table[n : n + 2], _thirteen_bits(table, n + 2)) for n in range(8, len(table) - 4, 4)]
                own = [tables for number, tables in programs if any(number)]
                begin, first = block + at, first if first in own else next(iter(own), None)
            elif pid == first:
                if sounds := _sounds(table):
                    yield block + at if begin is None else begin, sounds
                begin = None


def _sounds(table: bytes) -> list[tuple[int, int]]:
    sounds, at = [], 12 + _twelve_bits(table, 10)
    while at + 9 <= len(table):
        if table[at] in _TYPES_OF_SOUND:
            sounds.append((table[at], _thirteen_bits(table, at + 1)))
        at += 5 + _twelve_bits(table, at + 3)
    return sounds


def _thirteen_bits(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big") & 0x1FFF


def _twelve_bits(table: bytes, at: int) -> int:
    return int.from_bytes(table[at : at + 2], "big") & 0xFFF


def _chunked(file, size: int, form: Form) -> Iterator[int]:
    """WAV, W64 and AIFF: one begins where a chunk of the one before would, or within one that is cut."""

    def begins(head: bytes) -> bool:
        return form_of(head) == form

    at = 0
    while at is not None:
        yield at
        top, inside = at + form.top, chunks(file, at + form.top, size, form)
        spans = [(top, top), *((begin - form.head, begin + length) for _, begin, length in inside)]
        last, end = spans[-1]
        at = next((begin for begin, _ in spans if begins(bytes_at(file, begin, 64))), None)
        if at is None and size not in (end, end + -end % form.align):  # it may end with a byte of padding
            at = _first(file, bytes_at(file, top - form.top, 4), begins, last)


def _mp4(file, size: int) -> Iterator[int]:
    """Every box `ftyp` but those that a broadcast repeats between fragments of one clock."""
    yield 0
    begins = None
    for kind, at, length in _boxes(file, size):
        if kind == b"ftyp":
            begins = at
        elif kind in (b"moof", b"mdat") and begins:
            file.seek(at)
            clock = _TFDT.search(file.read(min(length, 2**16))) if kind == b"moof" else None
            if clock is None or not int.from_bytes(clock[1] or clock[2], "big"):
                yield begins
            begins = None


def _boxes(file, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Those of an mp4, and of others within a box that is cut, where it leads nowhere."""
    at = 0
    while at is not None:
        last = end = at
        for box in boxes(file, size, at):
            yield box
            last, end = box[1], box[1] + box[2]
        found = None if end == size else _first(file, b"ftyp", _FTYP.match, last + 8)
        at = None if found is None else found - 4


class OggPages(NamedTuple):
    """What the pages of an Ogg file tell. chains: (start, length) of each recording; plain: whether it is one stream
    of which no page is missing or damaged; lacking: whether pages are missing or damaged, of one stream also the last;
    damaged: whether the first one that is not as it was written is there.
    """

    chains: Stretches
    plain: bool
    lacking: bool
    damaged: bool


def ogg_pages(file) -> OggPages:
    """A chain begins where pages that begin streams follow others (RFC 3533)."""
    starts, sound, damaged, at = [], True, False, 0
    size = file.seek(0, io.SEEK_END)
    flags, numbers = None, {}  # numbers: serial number of a stream -> number of its next page
    while at < size:
        file.seek(at)
        head = file.read(27 + 255)
        if len(head) < 27 or head[:4] != b"OggS":
            cut = len(head) < 27 and b"OggS".startswith(head[:4])
            sound, damaged = False, damaged or (sound and not cut)
            at = find(file, b"OggS", at + 1)
            if at is None:
                break
            continue
        begins = bool(head[5] & 2)
        if begins and (flags is None or not flags & 2):
            starts.append(at)
        flags, serial, number = head[5], head[14:18], int.from_bytes(head[18:22], "little")
        length = 27 + head[26] + sum(head[27 : 27 + head[26]])
        if number != numbers.get(serial, 0):
            sound = False
        elif sound:
            sound = at + length <= size and is_sound_page(bytes_at(file, at, length))
            damaged = not sound and at + length <= size  # beyond it, it is cut
        numbers[serial] = number + 1
        # What is cut claims bytes of the file behind it.
        leads_on = at + length <= size and b"OggS".startswith(bytes_at(file, at + length, 4))
        at += length if leads_on else 1
    file.seek(0)
    one, sound = len(numbers) == 1, sound and at == size
    plain = one and sound and bool(flags & 4)
    return OggPages(_stretches(starts, size), plain, not (plain if one else sound), damaged)


def begins_before_zero(file) -> bool:
    """Whether the first page of sound in an Ogg file ends sooner than its packets would, as many hold as those of the
    second: cut out of a longer file, it begins before the time 0, which libsndfile takes for 0 as it reads on, and not
    as it seeks.
    """
    pages, at = [], 0  # (samples up to its end, packets that end in it)
    while len(pages) < 2 and (head := bytes_at(file, at, 27 + 255)).startswith(b"OggS"):
        lengths, end = head[27 : 27 + head[26]], int.from_bytes(head[6:14], "little", signed=True)
        pages += [(end, sum(length < 255 for length in lengths))] if end > 0 else []
        at += 27 + len(lengths) + sum(lengths)
    if len(pages) < 2:
        return False
    (first, packets), (second, more) = pages
    return (packets - 3) * (second - first) > first * more  # the first packet holds no samples


def is_sound_page(data: bytes) -> bool:
    """Whether the page that begins so has its checksum (RFC 3533, 6): libraries leave out one that has not, and say
    nothing.

    It is zlib's, but for the order of bits and what it begins and ends with.
    """
    page = data[: 27 + data[26] + sum(data[27 : 27 + data[26]])]
    bare = page[:22] + bytes(4) + page[26:]
    found = zlib.crc32(bare.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "big").translate(_REVERSED) == page[22:26]


def find(file, what: bytes, at: int) -> int | None:
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
