"""The frames of a FLAC (RFC 9639), each of which says where it belongs.

In: bytes that ffmpeg's libraries take for one frame. Out: where frames begin in them, and at which sample of the
recording. Behind damage the libraries hold several frames for one, and drop what they cannot decode of it.
"""

import io
import re

from k2d.audio.sizes import bytes_at

_BEGIN = re.compile(rb"\xff[\xf8\xf9]")
_TAIL = 2**17  # bytes in which the last frame begins, unless it has many channels
_TABLE = [0] * 256  # CRC-8 of x^8 + x^2 + x + 1
for _byte in range(256):
    _rest = _byte
    for _ in range(8):
        _rest = (_rest << 1) ^ (0x107 if _rest & 0x80 else 0)
    _TABLE[_byte] = _rest


def beginning(file) -> tuple[int | None, bool]:
    """(the sample that the first frame begins with, None where none is found; whether the last one ends as the header
    says, or before it). Of a header that does not tell the length nothing is known.
    """
    at, last, size = 4, False, file.seek(0, io.SEEK_END)
    while not last:
        block = bytes_at(file, at, 4)
        if len(block) < 4:
            return None, True
        last, at = bool(block[0] & 128), at + 4 + int.from_bytes(block[1:], "big")
    information = bytes_at(file, 8, 34)
    block, total = int.from_bytes(information[2:4], "big"), int.from_bytes(information[13:18], "big") & (2**36 - 1)
    first = bytes_at(file, at, 16)
    if (sample := first_sample(first, block)) is None:
        return None, True
    tail = bytes_at(file, max(at, size - _TAIL), _TAIL)
    begins = (begin for place, begin in frames_in(tail, block) if _is_alike(tail[place:], first))
    return sample, not total or max(begins, default=0) < total


def _is_alike(head: bytes, other: bytes) -> bool:
    """Whether frames that begin so have the same sampling rate and width of samples."""
    return (head[2] ^ other[2]) & 15 == 0 and (head[3] ^ other[3]) & 14 == 0


def frames_in(data: bytes, block: int) -> list[tuple[int, int]]:
    """(where it begins, its first sample) of each frame; block: samples a frame where all hold as many."""
    found = ((match.start(), first_sample(data[match.start() : match.start() + 16], block))
             for match in _BEGIN.finditer(data))  # fmt: skip
    return [(at, sample) for at, sample in found if sample is not None]


def first_sample(head: bytes, block: int) -> int | None:
    """Of the frame that begins so; None where none does."""
    if len(head) < 6 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] >> 4 > 10 or head[3] & 1:
        return None
    leading = 8 - (head[4] ^ 0xFF).bit_length()  # set bits of a number that is coded as UTF-8 codes letters
    if leading in (1, 8):
        return None
    number = head[4] & (0x7F >> leading)
    for byte in head[5 : 4 + max(1, leading)]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 0x3F
    end = 4 + max(1, leading) + {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    rest = 0
    for byte in head[: end + 1]:
        rest = _TABLE[rest ^ byte]
    if rest or len(head) <= end:
        return None
    return number if head[1] & 1 else number * block
