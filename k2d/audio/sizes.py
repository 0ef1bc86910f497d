"""Where the sound lies in files whose header says how much of it there is, whatever the header says.

In: an open WAV (also RIFX, RF64, BW64), W64, AIFF, CAF, AU or VOC. Out: the same file with a right header, where
its own is wrong, and by how much its sound should be longer than it is. A header is wrong where the sound is longer
than said, as after a power failure of a recorder that writes the header once a minute or past 4 GB, lies in several
chunks, or behind a chunk whose size is wrong or whose padding is missing.

What lies behind the sound belongs to it unless it is a chunk. Libraries read as much as the header says, and say
nothing of the rest; they find no sound where a size on the way to it is wrong.
"""

import io
import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_NAME = re.compile(rb"[A-Za-z0-9_(][\x20-\x7e]{3}", re.DOTALL)
# Behind the sound, or between two recordings, without the header of a chunk.
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_SAMPLES = (b"none", b"sowt", b"twos", b"fl32", b"fl64", b"in24", b"in32")  # of AIFF-C
_LARGE = (b"RF64", b"BW64")  # whose sizes of 32 bits may stand in a chunk ds64 (EBU Tech 3306)
_TOPS = (b"RIFF", b"RIFX", *_LARGE, b"FORM", b"riff")  # begin a recording
_KNOWN = (*_TOPS, *b"data|fmt |LIST|fact|bext|iXML|cue |JUNK|PAD |id3 |SSND|COMM|NAME|ANNO|desc|kuki|pakt".split(b"|"))
_MORE = 1.0  # seconds behind the sound that count as sound
_LOOKS = 64  # places at which it is looked whether there is anything but zeros
_END = 8  # bytes by which a file may end before or behind its last chunk
_FAR = 2**20  # bytes among which the sound is sought where chunks do not lead to it


class Form(NamedTuple):
    """How a format writes chunks: bytes before the first one, order of bytes, bytes that follow a name of four, bytes
    of a size, at multiples of how many bytes chunks begin, and whether a size counts its chunk's head. needed: chunks
    without which the sound cannot be read, the first one says what it is; sound: the name of its chunk.
    """

    top: int
    needed: tuple[bytes, ...]
    sound: bytes
    order: str = "little"
    more: bytes = b""
    width: int = 4
    align: int = 2
    counts: bool = False

    @property
    def head(self) -> int:
        """Bytes of a chunk's head."""
        return 4 + len(self.more) + self.width

    @property
    def endless(self) -> int:
        """A size from which on it says that nothing is known: what programs write into a pipe."""
        return 0x7FFFF000 if self.width == 4 else 2**62

    def is_unknown(self, length: int) -> bool:
        """Whether a size of sound says that nothing is known. SoX writes whole frames of 0x7F000000 bytes into an AIFF,
        and 8 bytes before them."""
        return length >= self.endless or (self.sound == b"SSND" and -256 < length - 0x7F000000 <= 8)


RIFF = Form(12, (b"fmt ",), b"data")
AIFF = Form(12, (b"COMM",), b"SSND", "big")
_CAF = Form(8, (b"desc", b"kuki", b"pakt"), b"data", "big", width=8, align=1)
_W64 = Form(40, (b"fmt ",), b"data", more=bytes.fromhex("f3acd3118cd100c04f8edb8a"), width=8, align=8, counts=True)
_FORMS = (
    (rb"(?:RIFF|RF64|BW64)....WAVE", RIFF),
    (rb"RIFX....WAVE", RIFF._replace(order="big")),
    (rb"FORM....AIF[FC]", AIFF),
    (rb"caff", _CAF),
    (rb"riff\x2e\x91\xcf\x11", _W64),
)


class Pieces(io.RawIOBase):
    """A file that consists of bytes, and of stretches (start, length) of another one."""

    def __init__(self, file, pieces: Sequence[bytes | tuple[int, int]], owned: bool = True):
        """owned: whether the other file is closed with this one."""
        self._file, self._position, self._owned = file, 0, owned
        one = len(pieces) == 1 and not isinstance(pieces[0], bytes)
        self.stretch = (file, *pieces[0]) if one else None  # (file, start, length), where it is one
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
        if base + offset < 0:
            return -1  # an error to ffmpeg's libraries; an exception they would print
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        done, place = 0, bisect_right(self._pieces, self._position, key=lambda piece: piece[0]) - 1
        while done < len(buffer) and self._position < self._length:  # a read may go on in the next piece
            begin, length, what = self._pieces[place]
            inside = self._position - begin
            count = min(len(buffer) - done, length - inside)
            if isinstance(what, bytes):
                data = what[inside : inside + count]
            else:
                self._file.seek(what + inside)
                data = self._file.read(count)
            buffer[done : done + len(data)] = data
            self._position += len(data)
            done += len(data)
            if len(data) < count:  # the other file has become shorter
                break
            place += 1
        return done


def mended(file, head: bytes) -> tuple[Pieces | None, float]:
    """(the file with a right header, by how much its sound should be longer than it is: 0.5 where a third is missing).

    None, 0.0 where its own header is right, or nothing is known of its format.
    """
    size = file.seek(0, io.SEEK_END)
    try:
        if head[:4] == b".snd":
            return _au(file, size)
        if form := form_of(head):
            return _chunked(file, size, form)
        if head.startswith(VOC):
            return None, _lacking_of_voc(file, size)
    except struct.error:  # cut inside of its header
        pass
    return None, 0.0


def form_of(head: bytes) -> Form | None:
    """How a file that begins so writes its chunks; None where it has none."""
    return next((form for begin, form in _FORMS if re.match(begin, head, re.DOTALL)), None)


def rate_of(file, head: bytes) -> float | None:
    """The sampling rate (Hz) that a header says; None where there is none, or it is not understood."""
    try:
        if head[:4] == b".snd":
            return float(struct.unpack(">I", bytes_at(file, 16, 4))[0])
        if (form := form_of(head)) is None:
            return None
        size = file.seek(0, io.SEEK_END)
        found = (bytes_at(file, at, 64) for name, at, _ in chunks(file, form.top, size, form) if name == form.needed[0])
        content = next(found, b"")
        if form.needed[0] == b"fmt ":
            return float(struct.unpack_from("<I" if form.order == "little" else ">I", content, 4)[0])
        if form.needed[0] == b"desc":
            return struct.unpack_from(">d", content)[0]
        return _rate_of_aiff(content) if len(content) >= 18 else None
    except struct.error:  # cut inside of its header
        return None


def chunks(file, at: int, size: int, form: Form) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin, length) of the chunks from a place on, as far as they can be ones. Padding may be missing."""
    large = 0
    while at + form.head <= size:
        head = bytes_at(file, at, form.head)
        if not _NAME.fullmatch(head[:4]):
            return
        at += form.head
        length = max(0, int.from_bytes(head[-form.width :], form.order) - (form.head if form.counts else 0))
        if head[:4] == b"ds64":
            large = int.from_bytes(bytes_at(file, at + 8, 8), "little")
        elif length == 0xFFFFFFFF and 0 < large < 2**62:
            length = large
        yield head[:4], at, length
        at += length
        if at % form.align and at < size and bytes_at(file, at, 4) not in _KNOWN:
            at += -at % form.align


def boxes(file, size: int, at: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin with its own head, length with it) of the boxes of an mp4 file (ISO/IEC 14496-12, 4.2) from a place
    on, as far as they can be ones; the last may be longer than the file.
    """
    while at + 8 <= size:
        head = bytes_at(file, at, 16)
        length = int.from_bytes(head[:4], "big")
        length = {0: size - at, 1: int.from_bytes(head[8:], "big")}.get(length, length)
        if length < 8 or not _NAME.fullmatch(head[4:8]):
            return
        yield head[4:8], at, length
        at += length


VOC = b"Creative Voice File"
_VOC_SOUND = (1, 2, 9)  # kinds of blocks: sound, more of it, sound of the new kind


def voc_blocks(file, size: int) -> Iterator[tuple[int, int, int]]:
    """(kind, begin, length) of a VOC's blocks, as far as they can be ones; the last may be longer than the file. SoX
    writes 8 bytes of sound behind the last one.
    """
    at = int.from_bytes(bytes_at(file, len(VOC) + 1, 2), "little")
    while at + 16 <= size:
        kind, *length = bytes_at(file, at, 4)
        if not 1 <= kind <= 9:  # 0 is the end
            return
        yield kind, at + 4, int.from_bytes(length, "little")
        at += 4 + int.from_bytes(length, "little")


EBML, _SEGMENT, CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ATTACHMENTS = b"\x19\x41\xa4\x69"
# The other outermost ones, and those inside a cluster (RFC 9559): what is damaged hardly goes on with such a name.
_LATER = "114d9b74 1549a966 1654ae6b 1c53bb6b 1254c367 1043a770 1941a469 ec bf e7 a3 a0 a7 ab af 5854"
_ELEMENTS = {EBML, _SEGMENT, CLUSTER, *map(bytes.fromhex, _LATER.split())}


def elements(file, size: int, at: int = 0, segments: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin with its own head, length with it) of the outermost elements of a Matroska file (RFC 8794) from a
    place on, as far as they can be ones; the last may be longer than the file. Of what was written live, which has no
    length, the elements inside are given in its place; without `segments`, of each segment.
    """
    while at < size:
        head = bytes_at(file, at, 12)
        name = head[: _width(head, 4)]
        width = _width(head[len(name) :], 8)
        if name not in _ELEMENTS or not width or len(head) < len(name) + width:
            return
        length = int.from_bytes(head[len(name) : len(name) + width], "big") - (1 << 7 * width)
        live = name in (_SEGMENT, CLUSTER) and length == (1 << 7 * width) - 1
        inside = live or (name == _SEGMENT and not segments)
        length = len(name) + width + (0 if inside else length)
        yield name, at, length
        at += length


def begins_element(head: bytes) -> bool:
    """Whether this, the last bytes of a Matroska file, is less than an element's head."""
    if not head or len(head) >= 12:
        return False
    name = head[: _width(head, 4)]
    width = _width(head[len(name) :], 8)
    known = name in _ELEMENTS if len(name) == _width(head, 4) else any(each.startswith(head) for each in _ELEMENTS)
    return known and (not width or len(head) < len(name) + width)


def end_of_attachments(file, size: int, at: int) -> int:
    """Where what is attached to the Matroska that begins there ends; its begin, if nothing is."""
    end = at
    for name, begin, length in elements(file, size, at, segments=False):
        if name == EBML and begin > at:
            break
        end = begin + length if name == _ATTACHMENTS else end
    return end


def _width(head: bytes, most: int) -> int:
    """Bytes of a number that says by its first set bit how many it has; 0 for none."""
    width = 9 - head[0].bit_length() if head else 0
    return width if width <= most else 0


def _chunked(file, size: int, form: Form) -> tuple[Pieces | None, float]:
    found, second, sound, promised, goes_on = {}, 0.0, [], 0, False
    large = bytes_at(file, 0, 4) in _LARGE
    walked, regular = _walk(file, size, form)
    for name, start, length in walked:
        if name in _TOPS:  # another recording (joined.py)
            return None, 0.0
        if name in form.needed:
            found[name] = bytes_at(file, start, min(length, _FAR))
            second = _second(name, found[name], form) or second
        elif name == form.sound:
            held = min(length, size - start)
            sound.append((start, held))
            unknown = length == 0xFFFFFFFF if large else form.is_unknown(length) or (form.counts and not length)
            promised += held if unknown else length
            # Written into a pipe; of RF64 and W64 libraries then read nothing.
            nothing_said = unknown and (large or form.counts)
            if goes_on := nothing_said or (bool(length) and _goes_on(file, start + length, size, second, form)):
                sound[-1] = start, size - start
                break
    held = sum(length for _, length in sound)
    lacking = promised / held - 1 if 0 < held < promised else 0.0
    trails = form.counts and bool(sound) and sum(sound[-1]) < size  # which libsndfile takes for sound
    if not sound or (len(sound) < 2 and not goes_on and regular and not trails):
        return None, lacking
    return Pieces(file, [_header(file, found, held, form), *sound]), lacking


def _walk(file, size: int, form: Form) -> tuple[list[tuple[bytes, int, int]], bool]:
    """(chunks, those of sound last; whether libraries find them as well). Those that matter are sought where a size on
    the way to them is wrong.
    """
    found = list(chunks(file, form.top, size, form))
    missing = {form.needed[0], form.sound} - {name for name, _, _ in found}
    for name in missing:
        for match in re.finditer(re.escape(name + form.more), bytes_at(file, 0, _FAR)):
            start = match.start() + form.head
            _, _, length = next(chunks(file, match.start(), size, form), (name, start, size))
            if start + length <= size and _is_chunk(file, start + length, size, form):
                found.append((name, start, length))
                break
    regular = not missing and not any((start - form.head) % form.align for _, start, _ in found)
    return sorted(found, key=lambda chunk: chunk[0] == form.sound), regular


def _header(file, found: dict[bytes, bytes], held: int, form: Form) -> bytes:
    """What stands before the sound, and says that it has so many bytes."""
    top, found = bytearray(bytes_at(file, 0, form.top)), dict(found)
    if top[:4] in (b"RIFF", *_LARGE):
        top[:4] = b"RIFF"
        if held >= 2**32:  # EBU Tech 3306
            top[:8] = b"RF64\xff\xff\xff\xff"
            found = {b"ds64": struct.pack("<QQQI", held, held, 0, 0)} | found
    if form.counts:  # W64: ffmpeg's libraries open none whose size is 0
        top[16:24] = struct.pack("<Q", form.top + held)
    if common := found.get(b"COMM"):
        frames = (held - 8) // (_form_of_aiff(common)[0] or held)
        if frames:
            found[b"COMM"] = common[:2] + frames.to_bytes(4, "big") + common[6:]
    head, own = bytes(top), form.head if form.counts else 0
    for name, content in found.items():
        head += name + form.more + (own + len(content)).to_bytes(form.width, form.order)
        head += content + bytes(-len(content) % form.align)
    length = min(own + held, 256**form.width - 1)
    return head + form.sound + form.more + length.to_bytes(form.width, form.order)


def _second(name: bytes, content: bytes, form: Form) -> float:
    """Bytes of a second of sound; 0 where that is not said, or they differ."""
    if name == b"fmt ":
        rate, second, block = struct.unpack_from("<IIH" if form.order == "little" else ">IIH", content, 4)
        return second or rate * block
    if name == b"desc":
        rate, _, packet, frames = struct.unpack_from(">d8sII", content)
        return rate * packet / frames if frames else 0.0
    return _form_of_aiff(content)[1] if name == b"COMM" else 0.0


def _lacking_of_voc(file, size: int) -> float:
    sound = [(begin, length) for kind, begin, length in voc_blocks(file, size) if kind in _VOC_SOUND]
    held = sum(min(length, size - begin) for begin, length in sound)
    return sum(length for _, length in sound) / held - 1 if held else 0.0


def _au(file, size: int) -> tuple[Pieces | None, float]:
    begin, length, encoding, rate, channels = struct.unpack(">5I", bytes_at(file, 4, 20))
    width = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}.get(encoding, 1)
    if _goes_on(file, begin + length, size, rate * channels * width, AIFF):
        return Pieces(file, [bytes_at(file, 0, 8), b"\xff" * 4, (12, size - 12)]), 0.0  # unknown: to the end
    known = begin < size and length < AIFF.endless
    return None, max(0.0, length / (size - begin) - 1) if known else 0.0


def _form_of_aiff(common: bytes) -> tuple[int, int]:
    """(bytes of a frame, bytes of a second); 0 of what is packed, whose frames differ."""
    channels, bits = int.from_bytes(common[:2], "big"), int.from_bytes(common[6:8], "big")
    form = common[18:22].lower() or b"none"
    width = 1 if form in (b"ulaw", b"alaw") else -(-bits // 8) if form in _SAMPLES else 0
    return channels * width, int(channels * width * _rate_of_aiff(common))


def _rate_of_aiff(common: bytes) -> float:
    """A number of 80 bits; 0 where it is beyond what any rate is."""
    exponent = int.from_bytes(common[8:10], "big") - 16383
    return int.from_bytes(common[10:18], "big") * 2.0 ** (exponent - 63) if 0 <= exponent < 32 else 0.0


def _goes_on(file, end: int, size: int, second: float, form: Form) -> bool:
    """Whether what lies behind `end` is sound of so many bytes a second: one at least, no chunk, not all zeros."""
    if not second or size - end < _MORE * second:
        return False
    places = (end, end + -end % form.align)
    if bytes_at(file, end, 12).startswith(TAGS) or any(_is_chunk(file, at, size, form) for at in places):
        return False
    step = (size - end) // _LOOKS + 1
    return any(bytes_at(file, max(end, at - 2**16), 2**16).strip(b"\0") for at in range(size, end, -step))


def _is_chunk(file, at: int, size: int, form: Form) -> bool:
    """Whether the file ends here, or chunks begin that are known, or that end where the file does."""
    found = at
    for name, begin, length in chunks(file, at, size, form):
        if name in _KNOWN:
            return True
        found = begin + length
    return abs(size - found) <= _END


def bytes_at(file, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
