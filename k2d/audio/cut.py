"""Whether a file lacks its tail, where no length in its header tells, or one that may be wrong.

In: an open file. Out: whether it ends inside a box (mp4), an element (Matroska, WebM), a tag (FLV), a chunk (AVI),
an object (WMA, WMV), a chunk (RealMedia), a block (VOC) or a packet (transport stream); whether it ends in zeros; and
the length that the header of a WMA, an AVI or an mp3 tells, with whether the mp3 has all bytes of it.
"""

import io
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from k2d.audio.formats import frame_length, mpeg_seconds
from k2d.audio.joined import PACKET, length_of_tag
from k2d.audio.sizes import CLUSTER, RIFF, begins_element, boxes, bytes_at, chunks, elements, voc_blocks

_ASF_HEADER = bytes.fromhex("3026b275 8e66 cf11 a6d9 00aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b275 8e66 cf11 a6d9 00aa0062ce6c")  # whose own head has 50 bytes
_RM_CHUNKS = b".RMF", b"PROP", b"CONT", b"MDPR", b"DATA", b"INDX"
_ASF_FILE = bytes.fromhex("a1dcab8c 47a9 cf11 8ee4 00c00c205365")  # the object of the file's properties

_AVI_SOUND = re.compile(rb"strh.{4}auds.{16}(.{4})(.{4}).{4}(.{4})", re.DOTALL)  # unit, units a second, length

_TAG_KINDS = 8, 9, 18  # of an FLV: sound, pictures, notes
_FLV_SIZE = re.compile(rb"onMetaData.*?\0\x08filesize\0(.{8})", re.DOTALL)

_ENCRYPTED = re.compile(rb"stsd\x00{4}.{8}(?:enca|drms|aavd)", re.DOTALL)
_HEAD = 8  # bytes by which a frame tells its length
_ZEROS = 2**14  # bytes at a file's end that no codec and no tag fills with zeros
# What says that zeros follow and mean nothing: a void of Matroska, a free box of mp4, JUNK of AVI, a fill of MXF.
_ROOM = re.compile(
    rb"(?:\xec(?:[\x20-\x3f].{2}|[\x10-\x1f].{3}|\x08.{4}|\x01.{7})|free|skip|JUNK.{4}"
    rb"|\x06\x0e\x2b\x34\x01\x01\x01.\x03\x01\x02\x10\x01\x00\x00\x00.{1,9})\0*\Z",
    re.DOTALL,
)


@contextmanager
def _looked_through(file) -> Iterator[int]:
    """The size of a file, which is read on afterwards from where it was."""
    position = file.tell()
    try:
        yield file.seek(0, io.SEEK_END)
    finally:
        file.seek(position)


def ends_in_zeros(file) -> bool:
    """Whether a file's last bytes are zeros, and not named as room: of a download or a copy that stopped."""
    with _looked_through(file) as size:
        end, content = before_zeros(file)
    return end <= size - _ZEROS and not _ROOM.search(content[-32:] + bytes(8))


def end_of_frames(file, codec: str) -> int | None:
    """Where the last frame of a stream of frames ends, if nothing but zeros lies behind it; else None."""
    with _looked_through(file) as size:
        end, _ = before_zeros(file)
        begin = max(0, end - _ZEROS)
        content = bytes_at(file, begin, end - begin + _HEAD)
    alone = None  # where one frame would end that no other leads to: bytes of another look like its head
    for at in range(end - begin):
        stop, frames = at, 0
        while stop < end - begin and (length := frame_length(codec, content[stop : stop + _HEAD])):
            stop, frames = stop + length, frames + 1
        if frames and stop >= end - begin:
            if frames > 1:
                return min(begin + stop, size)
            alone = alone or min(begin + stop, size)
    return alone


def before_zeros(file) -> tuple[int, bytes]:
    """(where the zeros begin that a file ends in, some of the bytes before)."""
    with _looked_through(file) as end:
        content = b""
        while end and not content:
            begin = max(0, end - _ZEROS)
            content = bytes_at(file, begin, end - begin).rstrip(b"\0")
            end = begin + len(content)
    return end, content


def ends_inside(file, formats: set[str]) -> bool:
    """formats: ffmpeg's names. False for others, and where the file is not understood."""
    with _looked_through(file) as size:
        if "mov" in formats:
            return _mp4(file, size)
        if "matroska" in formats:
            return _matroska(file, size)
        if "avi" in formats:
            return _avi(file, size)
        if "asf" in formats:
            return _asf(file, size)
        if "rm" in formats:
            return _rm(file, size)
        if "voc" in formats:
            return any(begin + length > size for _, begin, length in voc_blocks(file, size))
        if "mpegts" in formats:
            return _transport(file, size)
        return "flv" in formats and _flv(file, size)


def end_of_packets(file, formats: set[str]) -> int:
    """Up to which byte the packets of an AVI or a Matroska lie, of others the size: behind it an index, and files that
    are attached, may be."""
    with _looked_through(file) as size:
        ends = [size]
        if "avi" in formats:
            ends = [begin for name, begin, _ in chunks(file, 12, size, RIFF) if name == b"idx1"]
        elif "matroska" in formats:
            ends = [begin + length for name, begin, length in elements(file, size, segments=False) if name == CLUSTER]
    return min(max(ends, default=size), size)


def lacks_tracks(file) -> bool:
    """Whether an mp4 is cut in what tells which tracks there are."""
    with _looked_through(file) as size:
        return any(kind == b"moov" and at + length > size for kind, at, length in boxes(file, size))


def _mp4(file, size: int) -> bool:
    """Only of fragments: else a table tells where the sound lies."""
    end = max((begin + length for _, begin, length in boxes(file, size)), default=0)
    within_head = 0 < size - end < _HEAD and any(bytes_at(file, end, _HEAD))
    return (end > size or within_head or size - end >= _ZEROS) and in_fragments(file)


def _matroska(file, size: int) -> bool:
    end = max((begin + length for _, begin, length in elements(file, size)), default=0)
    return end > size or begins_element(bytes_at(file, end, 12))


def in_fragments(file) -> bool:
    """Whether an mp4 is written in fragments, as for live streams."""
    with _looked_through(file) as size:
        return any(kind == b"moof" for kind, _, _ in boxes(file, size))


def is_encrypted(file) -> bool:
    """Whether an mp4 says that its sound is (ISO/IEC 14496-12, 8.12), as do Apple's and Audible's own ways."""
    with _looked_through(file) as size:
        heads = (bytes_at(file, at, length) for kind, at, length in boxes(file, size) if kind == b"moov")
        return any(map(_ENCRYPTED.search, heads))


def _transport(file, size: int) -> bool:
    """Packets of as many bytes, of which the last one is not whole."""
    for length, at in ((PACKET, 0), (PACKET + 4, 4)):  # with a time before each, or without
        if bytes_at(file, at, 1) == bytes_at(file, at + length, 1) == bytes_at(file, size - size % length + at, 1):
            return bytes_at(file, at, 1) == b"G"
    return False


def is_off_beat(data: bytes) -> bool:
    """Whether packets of a transport stream do not begin at equal distances in these bytes, of which one is first."""
    return not any(data[:1] == b"G" and not data[::length].strip(b"G") for length in (PACKET, PACKET + 4, PACKET + 16))


def leads_to_tag(file, at: int, end: int) -> bool:
    """Whether tags of an FLV lead from one place to another, and say the same behind as before."""
    while at < end:
        head = bytes_at(file, at, 4)
        length = int.from_bytes(head[1:], "big") + 11
        if head[0] & ~32 not in _TAG_KINDS or int.from_bytes(bytes_at(file, at + length, 4), "big") not in (length, 0):
            return False
        at += length + 4
    return at == end


def _flv(file, size: int) -> bool:
    """Tags, each followed by its length (Adobe Flash Video File Format Specification 10.1, E.3); what lies behind them
    is no part of it."""
    at = 13
    while at + 11 <= size:
        head = bytes_at(file, at, 11)
        if head[0] & ~32 not in _TAG_KINDS or any(head[8:]):  # perhaps encrypted
            return False
        at += 11 + int.from_bytes(head[1:4], "big") + 4
    return at > size or (at < size and bytes_at(file, at, 1)[0] & ~32 in _TAG_KINDS)


def is_shorter_than_said(file, formats: set[str]) -> bool:
    """Whether an FLV says that it has more bytes, so that it is cut where a tag ends; False for others."""
    if "flv" not in formats:
        return False
    with _looked_through(file) as size:
        found = _FLV_SIZE.search(bytes_at(file, 0, 4096))
    return found is not None and struct.unpack(">d", found[1])[0] > size


def _avi(file, size: int) -> bool:
    """Lists named RIFF behind each other; one of size 0 was never finished, one of 2**32 - 1 written into a pipe."""
    lists = [(begin, length) for name, begin, length in chunks(file, 0, size, RIFF) if name == b"RIFF"]
    ends = [begin + length for begin, length in lists if 0 < length < RIFF.endless]
    return bool(ends) and ends[-1] > size


def _asf(file, size: int) -> bool:
    """Objects, whose sizes count their heads of 24 bytes (Advanced Systems Format Specification, 2.1): the header, and
    the sound. What lies behind them is an index, or no part of it.
    """
    at = 0
    while at + 24 <= size:
        head = bytes_at(file, at, 24)
        length = int.from_bytes(head[16:], "little")
        least = {_ASF_HEADER: 24, _ASF_DATA: 51}.get(head[:16])  # less: recorded live, or written into a pipe
        if least is None or length < least:
            return False
        at += length
    return at > size


def length_of_asf(file) -> float:
    """Seconds of a WMA or WMV, as its header says; 0 where it does not, as of live ones (3.2: play duration in units of
    100 ns, which counts the preroll in ms)."""
    with _looked_through(file):
        head = bytes_at(file, 0, 2**16)
    at = head.find(_ASF_FILE)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:  # broadcast
        return 0.0
    played, preroll = (int.from_bytes(head[at + first : at + first + 8], "little") for first in (64, 80))
    return max(0.0, played / 1e7 - preroll / 1e3)


def length_of_avi(file) -> float:
    """Seconds of an AVI's first track of sound, as its header says; of a cut one, libraries tell what is left."""
    with _looked_through(file):
        found = _AVI_SOUND.search(bytes_at(file, 0, 2**16))
    scale, rate, length = (int.from_bytes(number, "little") for number in found.groups()) if found else (0, 0, 0)
    return length * scale / rate if rate and length < 2**31 else 0.0


def _rm(file, size: int) -> bool:
    """Chunks, whose sizes count their heads; the one that holds the sound says 0 where it was written live."""
    at = 0
    while at + 8 <= size:
        head = bytes_at(file, at, 8)
        length = int.from_bytes(head[4:], "big")
        if length < 8 or head[:4] not in _RM_CHUNKS:  # what lies behind is no part of it
            return False
        at += length
    return at > size + 16  # as ffmpeg writes it, the last one is ten bytes longer than it says


def counted_mp3(file, begins: Iterable[int] = (0,)) -> tuple[float, bool]:
    """(seconds, whether some of their bytes are missing) of the recordings in an mp3 that begin there, with a tag
    perhaps, as their Xing, Info or VBRI headers count them: 0 of one that does not count both frames and bytes, for
    either may be wrong.
    """
    with _looked_through(file) as size:
        found = sorted({counts for begin in begins if (counts := _counts(file, begin))})
    ends = [*(place for place, _, _ in found[1:]), size]
    lacks = any(place + length > end for (place, length, _), end in zip(found, ends))
    return sum(seconds for _, _, seconds in found), lacks


def _counts(file, begin: int) -> tuple[int, int, float] | None:
    """(where the frame that counts begins, bytes from there on, seconds)."""
    head = bytes_at(file, begin, 4096)
    while head[:3] == b"ID3":  # a tag, with a picture perhaps, lies before the first frame
        begin += length_of_tag(head)
        head = bytes_at(file, begin, 4096)
    if found := re.search(rb"(?:Xing|Info)...[\x03\x07\x0b\x0f](....)(....)", head, re.DOTALL):
        frames, length = found.groups()
    elif found := re.search(rb"VBRI.{6}(....)(....)", head, re.DOTALL):
        length, frames = found.groups()
    else:
        return None
    frame = max(0, head.rfind(b"\xff", 0, found.start()))
    return begin + frame, int.from_bytes(length, "big"), int.from_bytes(frames, "big") * mpeg_seconds(head[frame:])
