"""Where the sound lies in files whose header says how much of it there is, whatever the header says.

In: an open WAV (also RF64, BW64), AIFF, CAF or AU. Out: the same file with a right header, where its own is wrong: the
sound is longer than said, as after a power failure of a recorder that writes the header once a minute or past 4 GB, or
lies in several chunks.

What lies behind the sound belongs to it unless it is a chunk. Libraries read as much as the header says, and say
nothing of the rest.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence

_NAME = re.compile(rb"[A-Za-z0-9_(][\x20-\x7e]{3}", re.DOTALL)
# Behind the sound, without the header of a chunk.
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_SAMPLES = (b"none", b"sowt", b"twos", b"fl32", b"fl64", b"in24", b"in32")  # of AIFF-C
_KNOWN = (b"data", b"LIST", b"RIFF", b"RF64", b"FORM", b"fact", b"bext", b"iXML", b"cue ", b"JUNK", b"PAD ")
_MORE = 1.0  # seconds behind the sound that count as sound
_LOOKS = 64  # places at which it is looked whether there is anything but zeros
_END = 8  # bytes by which a file may end before or behind its last chunk


class Pieces(io.RawIOBase):
    """A file that consists of bytes, and of stretches (start, length) of another one."""

    def __init__(self, file, pieces: Sequence[bytes | tuple[int, int]], owned: bool = True):
        """owned: whether the other file is closed with this one."""
        self._file, self._position, self._owned = file, 0, owned
        self._pieces, self._length = [], 0  # (begin here, length, bytes or start there)
        for piece in pieces:
            what, length = (piece, len(piece)) if isinstance(piece, bytes) else piece
            self._pieces.append((self._length, length, what))
            self._length += length

    def close(self) -> None:
        if self._owned:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        for begin, length, what in self._pieces:
            inside = self._position - begin
            if 0 <= inside < length:
                count = min(len(buffer), length - inside)
                if isinstance(what, bytes):
                    data = what[inside : inside + count]
                else:
                    self._file.seek(what + inside)
                    data = self._file.read(count)
                buffer[: len(data)] = data
                self._position += len(data)
                return len(data)
        return 0


def mended(file, head: bytes) -> Pieces | None:
    """The file with a right header; None where its own is right, or nothing is known of its format."""
    size = file.seek(0, io.SEEK_END)
    try:
        if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
            return _wav(file, size)
        if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            return _aiff(file, size)
        if head[:4] == b"caff":
            return _caf(file, size)
        if head[:4] == b".snd":
            return _au(file, size)
    except struct.error:  # cut inside of its header
        pass
    return None


def chunks(file, at: int, size: int, order: str = "little", width: int = 4) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin, length) of the chunks from a place on, as far as they can be ones. width: bytes of their sizes."""
    while at + 4 + width <= size:
        head = bytes_at(file, at, 4 + width)
        if not _NAME.fullmatch(head[:4]):
            return
        length = int.from_bytes(head[4:], order)
        yield head[:4], at + 4 + width, length
        at += 4 + width + length + (length % 2 if width == 4 else 0)


def boxes(file, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin with its own head, length with it) of the boxes of an mp4 file (ISO/IEC 14496-12, 4.2), as far as
    they can be ones; the last may be longer than the file.
    """
    at = 0
    while at + 8 <= size:
        head = bytes_at(file, at, 16)
        length = int.from_bytes(head[:4], "big")
        length = {0: size - at, 1: int.from_bytes(head[8:], "big")}.get(length, length)
        if length < 8:
            return
        yield head[4:8], at, length
        at += length


def _wav(file, size: int) -> Pieces | None:
    second, known, sound, promised, goes_on = 0, 0, [], 0, False
    for name, start, length in chunks(file, 12, size):
        if name in (b"RIFF", b"RF64", b"BW64"):  # another recording (joined.py)
            return None
        if name == b"fmt ":
            rate, second, block = struct.unpack("<IIH", bytes_at(file, start + 4, 10))
            second = second or rate * block
        elif name == b"ds64":
            known = int.from_bytes(bytes_at(file, start + 8, 8), "little")
        elif name == b"data":
            length = known if length == 0xFFFFFFFF and known else length
            sound.append((start, min(length, size - start)))
            promised += length
            if goes_on := length and _goes_on(file, start + length, size, second):
                sound[-1], promised = (start, size - start), promised - length + size - start
                break
    if len(sound) < 2 and not goes_on:
        return None
    form = bytes_at(file, 12, sound[0][0] - 16)  # the chunks before
    if promised < 2**32:
        head = b"RIFF" + bytes_at(file, 4, 8) + form + struct.pack("<I", promised)
    else:  # EBU Tech 3306
        sizes = struct.pack("<4sIQQQI", b"ds64", 28, size, promised, 0, 0)
        head = b"RF64\xff\xff\xff\xffWAVE" + sizes + form.replace(b"ds64", b"JUNK") + b"\xff" * 4
    return Pieces(file, [head, *sound])


def _aiff(file, size: int) -> Pieces | None:
    frame, second, frames_at = 0, 0, 0
    for name, start, length in chunks(file, 12, size, "big"):
        if name == b"COMM":
            frame, second, frames_at = *_form_of_aiff(bytes_at(file, start, min(length, 22))), start + 2
        elif name == b"SSND" and frame and _goes_on(file, start + length, size, second, "big"):
            head = bytearray(bytes_at(file, 0, start))
            head[frames_at : frames_at + 4] = ((size - start - 8) // frame).to_bytes(4, "big")
            head[start - 4 : start] = (size - start).to_bytes(4, "big")
            return Pieces(file, [bytes(head), (start, size - start)])
    return None


def _au(file, size: int) -> Pieces | None:
    begin, length, encoding, rate, channels = struct.unpack(">5I", bytes_at(file, 4, 20))
    width = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}.get(encoding, 1)
    if _goes_on(file, begin + length, size, rate * channels * width):
        return Pieces(file, [bytes_at(file, 0, 8), b"\xff" * 4, (12, size - 12)])  # unknown: to the end
    return None


def _caf(file, size: int) -> Pieces | None:
    second = 0.0
    for name, start, length in chunks(file, 8, size, "big", 8):
        if name == b"desc":
            rate, _, packet, frames = struct.unpack(">d8sII", bytes_at(file, start, 24))
            second = rate * packet / frames if frames else 0.0  # 0 of packets that differ, of which a table tells
        elif name == b"data" and _goes_on(file, start + length, size, second, "big", 8):
            return Pieces(file, [bytes_at(file, 0, start - 8), b"\xff" * 8, (start, size - start)])  # -1: to the end
    return None


def _form_of_aiff(common: bytes) -> tuple[int, int]:
    """(bytes of a frame, bytes of a second); 0 of what is packed, whose frames differ."""
    channels, bits = int.from_bytes(common[:2], "big"), int.from_bytes(common[6:8], "big")
    exponent = int.from_bytes(common[8:10], "big") - 16383
    rate = int.from_bytes(common[10:18], "big") * 2.0 ** (exponent - 63) if 0 <= exponent < 32 else 0.0
    form = common[18:22].lower() or b"none"
    width = 1 if form in (b"ulaw", b"alaw") else -(-bits // 8) if form in _SAMPLES else 0
    return channels * width, int(channels * width * rate)


def _goes_on(file, end: int, size: int, second: float, order: str = "little", width: int = 4) -> bool:
    """Whether what lies behind `end` is sound of so many bytes a second: one at least, no chunk, not all zeros."""
    if not second or size - end < _MORE * second:
        return False
    places = (end, end + end % 2)
    if bytes_at(file, end, 12).startswith(_TAGS) or any(_is_chunk(file, at, size, order, width) for at in places):
        return False
    step = (size - end) // _LOOKS + 1
    return any(bytes_at(file, max(end, at - 2**16), 2**16).strip(b"\0") for at in range(size, end, -step))


def _is_chunk(file, at: int, size: int, order: str, width: int) -> bool:
    """Whether chunks begin here that end where the file does, or some that are known."""
    found = at
    for name, begin, length in chunks(file, at, size, order, width):
        if name in _KNOWN and begin + length <= size + _END:
            return True
        found = begin + length
    return found != at and abs(size - found) <= _END


def bytes_at(file, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
