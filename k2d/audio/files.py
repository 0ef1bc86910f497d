"""Open a recording: with the library that knows its length.

In: a source as `wav.scp` names it: a path, "file.ark:offset" or "command |". Out: an open reader that tells rate and
channels and gives blocks of samples from any multiple of GRID seconds on.

kaldiio reads archives (k2d/archives.py), whole. soundfile reads what libsndfile counts in samples and can seek in
(PCM and float in wav, aiff, caf, au …, FLAC). Everything else goes through its packets (k2d/audio/containers.py): a
length that is an estimate loses sound. What ffmpeg's libraries lack is libsndfile's again.
"""

import contextlib
import errno
import io
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import soundfile

from k2d import archives
from k2d.audio.commands import output_of
from k2d.audio.containers import ContainerReader
from k2d.audio.decoding_pass import Irregular, drive_fails
from k2d.audio.flac_frames import beginning
from k2d.audio.formats import HEADERLESS
from k2d.audio.fragments import bridged, without_damage
from k2d.audio.joined import begins_before_zero, between_tags, ogg_pages, recordings_of
from k2d.audio.sizes import VOC, Pieces, mended, rate_of
from k2d.audio.stamps import archive_entry, check_may_run, is_command
from k2d.audio.time_line import GRID, check_form
from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio, DataError, disk_is_full
from k2d.tables import unpacked_by

_UNKNOWN = 2**40  # frames; libsndfile's way of saying that a stream does not tell its length
_RANGE = re.compile(r"^(.+?)(?::\d+)?\[[\d:,]*\]$", re.DOTALL)  # rows and columns of a matrix, as Kaldi's scripts write
_EXACT = re.compile(r"^(PCM_|FLOAT|DOUBLE|ULAW|ALAW)")
# And mp3, whose frames begin with eleven set bits; of VOC libsndfile makes noise where its blocks are of the new kind.
_BY_PACKETS = (b"OggS", b"ID3", b"\xff", VOC)
# What begins a packet of AC-3 and the like (IEC 61937) or of DTS: such a WAV says PCM, and as PCM it is noise.
_IN_PCM = re.compile(rb"\x72\xf8\x1f\x4e|\xfe\x7f\x01\x80|\x7f\xfe\x80\x01|\xff\x1f\x00\xe8|\x1f\xff\xe8\x00")
# W64 whose samples an extended header says to be something else than integers: libsndfile takes them for integers.
_NOT_INTEGERS = re.compile(
    rb"fmt \xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a.{8}\xfe\xff.{22}(?!\x01\x00)", re.DOTALL
)
# What files in formats that the libraries know begin with: what begins so and cannot be opened is damaged.
_FIRST_BYTES = (
    b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"riff", b"ID3", b"#!AMR", b"FLV\x01", b"TTA1",
    b"wvpk", b"MAC ", b".RMF", VOC, b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"\xb7\xd8\x00\x20",
    b"\x06\x0e\x2b\x34", b"\x00\x00\x01\xba",
)  # fmt: skip
_NO_HEADER = tuple(".raw .pcm .sw .s16 .ul .ulaw .al .alaw .vox .g726 .g721 .aptx .aptxhd".split())
# What lies under the names of recordings and is something else, by its first bytes, in small letters.
_OTHERS = {
    (b"#extm3u", b"[playlist]", b"<?wpl", b"<playlist", b"<smil"): (
        "a playlist names other files and holds no sound; name those"
    ),
    (b"<!doctype html", b"<html"): "this is a web page; download the recording again",
    (b"version https://git-lfs",): "this is a pointer of Git LFS; fetch the recording with 'git lfs pull'",
}
# What the later parts of a live recording begin with: a cluster of Matroska, a segment of mp4.
_LATER_PART = re.compile(rb"\x1f\x43\xb6\x75|.{4}(?:styp|sidx|moof)", re.DOTALL)


class Reader(Protocol):
    """An open recording: rate (Hz) and channels; seconds, or None where only reading tells; lost: seconds known to be
    missing; holes: seconds of silence in the time line; late: seconds into its stream at which it begins; cut: whether
    the end is missing by an unknown time; tracks: of sound, of which one is read."""

    rate: int
    channels: int
    tracks: int
    seconds: float | None
    lost: float
    holes: float
    late: float
    cut: bool

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, (frames, channels) float32) from `start` on, a multiple of GRID seconds."""

    def measure(self) -> float:
        """Seconds that can be read, found by reading if need be."""

    def close(self) -> None: ...


class _ArkReader:
    """An entry of a Kaldi archive, decoded whole: wav, FLAC, what kaldiio's "soundfile" writes, or a wave matrix.

    A matrix is (channels, samples) in the range of 16-bit integers, at 16 kHz, as Kaldi holds a wave.
    """

    lost, holes, late, cut, tracks = 0.0, 0.0, 0.0, False, 1

    def __init__(self, source: str, path: str, offset: int):
        try:
            found = archives.read_entry(path, offset)
        except archives.Truncated as error:
            raise BadAudio(source, "truncated", str(error)) from None
        except archives.TooLarge as error:
            raise BadAudio(source, "too long", str(error)) from None
        except DataError:
            raise BadAudio(source, "not audio", "expected wav, FLAC or samples at this offset of the archive") from None
        self.rate, audio = found if isinstance(found, tuple) else (SAMPLE_RATE, found.T / 32768)
        self._audio = audio.reshape(len(audio), -1)
        self.channels = self._audio.shape[1]
        self.seconds = len(self._audio) / self.rate

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        for first in range(round(start * self.rate), len(self._audio), GRID * self.rate):
            block = self._audio[first : first + GRID * self.rate]
            if block.dtype.kind in "iu":
                silent, full = (128, 128) if block.dtype == np.uint8 else (0, 32768)
                block = (block.astype(np.float32) - silent) / full
            yield self.rate, block.astype(np.float32, copy=False)

    def measure(self) -> float:
        return self.seconds

    def close(self) -> None: ...


@contextlib.contextmanager
def _quiet(mp3: bool):
    """While libsndfile has mpg123 read a broken mp3, which writes notes of its own to the terminal: none of them.

    What is wrong is said as BadAudio. Only for such files, because other threads' messages are lost as well.
    """
    if not mp3:
        yield
        return
    with _ONE_AT_A_TIME, open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_ONE_AT_A_TIME = threading.Lock()


class _SoundFileReader:
    """What libsndfile opens. `exact`: whether its number of frames can be relied on, and seeking to one."""

    holes, late, cut, tracks = 0.0, 0.0, False, 1

    def __init__(self, source: str, file, lacking: float = 0.0, mp3: bool = False):
        """lacking: by how much its sound should be longer than it is."""
        self._source, self._file, self._mp3 = source, file, mp3
        # By a descriptor of its own where it can be: libsndfile then reads without going through Python.
        self._own = open(file.name, "rb", buffering=0) if isinstance(file, io.BufferedReader) else None  # noqa: SIM115
        file.seek(0)  # libsndfile reads the heads of some formats from where it is
        try:
            with _quiet(mp3):
                self._sound = soundfile.SoundFile(self._own.fileno() if self._own else file, closefd=False)
        except BaseException:
            if self._own:
                self._own.close()
            raise
        self.rate, self.channels = self._sound.samplerate, self._sound.channels
        self.format, self.frames = self._sound.format, self._sound.frames
        known = 0 < self.frames < _UNKNOWN
        self.exact = known and (self.format == "OGG" or _EXACT.match(self._sound.subtype) is not None)
        # The header of a FLAC does not know whether the file holds everything, and nothing else.
        self.seconds = self.frames / self.rate if self.exact and self.format != "FLAC" else None
        self._missing = lacking * self.frames / self.rate if known else 0.0
        self.lost = self._missing

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        position = round(start * self.rate)
        try:
            for audio in self._counted(position):
                yield self.rate, audio
                position += len(audio)
        except soundfile.LibsndfileError:
            pass
        missing = max(0, self.frames - position) / self.rate if self.frames < _UNKNOWN else 0.0
        self.lost = self._missing + (missing if missing > 0.1 else 0.0)
        if missing and self.format == "FLAC":  # ffmpeg's libraries step over what is damaged
            rest = ContainerReader(self._source, self._file, damaged=True)
            for rate, audio in rest.blocks(position / self.rate):
                self.lost = rest.lost + rest.holes  # a part is not read to the end
                yield rate, audio
            self.lost = rest.lost + rest.holes

    def _counted(self, position: int) -> Iterator[np.ndarray]:
        """Blocks from `position` on as far as all is sound."""
        size = GRID * self.rate
        if self._sound.seekable():
            if position > self.frames:
                return
            self._sound.seek(position)
        else:  # some codecs can only be read from the beginning
            for _ in range(position // (GRID * self.rate)):
                self._sound.read(GRID * self.rate)
        while len(audio := self._next(size)):
            position += len(audio)
            if len(audio) < size and position < self.frames < _UNKNOWN and self.format == "FLAC":
                return  # damaged in this block
            yield audio

    def _next(self, size: int) -> np.ndarray:
        with _quiet(self._mp3):
            return self._sound.read(size, dtype="float32", always_2d=True)

    def measure(self) -> float:
        if self.seconds is not None:
            return self.seconds
        if self.exact and self._ends():
            return self.frames / self.rate
        return sum(len(audio) / rate for rate, audio in self.blocks())

    def _ends(self) -> bool:
        """Whether the last seconds that the header promises can be read: damage there costs the end."""
        count = min(self.frames, GRID * self.rate)
        try:
            self._sound.seek(self.frames - count)
            return len(self._sound.read(count)) == count
        except soundfile.LibsndfileError:
            return False

    def release(self) -> None:
        """Close what is libsndfile's, and leave the file to another reader."""
        self._sound.close()
        if self._own:
            self._own.close()

    def close(self) -> None:
        self.release()
        self._file.close()


class _ChainReader:
    """Recordings behind each other in one file (k2d/audio/joined.py): each is read by itself; of one that cannot be
    read, or not to its end, the end is missing.
    """

    seconds, late = None, 0.0

    def __init__(self, source: str, file, chains: list[tuple[int, int]]):
        self._source, self._file, self._chains = source, file, chains
        self.lost, self.holes, self.cut = 0.0, 0.0, False
        first = next(self._of_each(lambda reader: [reader]))
        self.rate, self.channels, self.tracks = first.rate, first.channels, first.tracks

    def _of_each(self, what: Callable[[Reader], Iterable]) -> Iterator:
        """What the reader of each recording gives. Raises BadAudio where none gives anything."""
        refused, given = [], False
        for chain in self._chains:
            try:
                reader = _checked(self._source, Pieces(self._file, [chain], owned=False), piped=False)
                for each in what(reader):
                    given = True
                    yield each
            except BadAudio as error:
                refused.append(error)
                continue
            self.lost, self.holes, self.cut = self.lost + reader.lost, self.holes + reader.holes, self.cut or reader.cut
        self.cut |= bool(refused)
        if refused and not given:
            raise refused[0]

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        if start:
            raise Irregular
        yield from self._of_each(lambda reader: reader.blocks())

    def measure(self) -> float:
        return sum(self._of_each(lambda reader: [reader.measure()]))

    def close(self) -> None:
        self._file.close()


def _why_missing(path: str) -> str:
    """What stands in the way of a path as people write it."""
    if os.path.islink(path):
        return f", a link to {os.readlink(path)}"
    if path[:1] in "\"'" or path.startswith(("file:", "~")) or re.match(r"[A-Za-z]:\\|\\\\", path):
        return " (quotes, ~, file:// and paths of Windows are taken as they stand)"
    before = re.split(r"[ \t]", path, maxsplit=1)[0]
    return f", though {before} is one" if before != path and os.path.exists(before) else ""


def out_of_reach(source: str, error: OSError) -> BadAudio:
    """The system cannot read, whatever the file holds: a drive fails or is full, or the right to is missing."""
    if disk_is_full(error):
        todo = "make room in $TMPDIR, or /var/tmp"
    else:
        todo = "the disk or network drive fails; look at it" if drive_fails(error) else "check the permissions"
    return BadAudio(source, "out of reach", f"{os.strerror(error.errno)}; {todo}, and run this again")


def _check_reach(source: str, path: str) -> None:
    """Raise BadAudio where a path cannot be looked at, so that nobody knows whether a file is there."""
    try:
        os.stat(path)
    except OSError as error:
        if drive_fails(error) or error.errno == errno.EACCES:
            raise out_of_reach(source, error) from None
    except ValueError:  # a NUL byte
        pass


def open_source(source: str, allow_pipes: bool) -> Reader:
    """Open a source with the library that reads it; BadAudio says why none does."""
    check_may_run(source, allow_pipes)
    if is_command(source):
        path, file = None, output_of(source)
    else:
        entry = archive_entry(source)
        path = entry[0] if entry else source
        if not os.path.exists(path):
            _check_reach(source, path)
            if (ranged := _RANGE.match(path)) and os.path.exists(ranged[1]):
                what = "a range of rows and columns is for matrices of features"
                raise BadAudio(source, "not audio", f"{what}; leave it out, and name parts in segments, in seconds")
            place = "" if os.path.isabs(path) else f" from {os.getcwd()}"
            raise BadAudio(source, "missing", f"no such file{place}{_why_missing(path)}; correct the path")
        if not os.path.isfile(path):
            raise BadAudio(source, "not audio", "this is not a regular file; correct the path")
        if os.path.getsize(path) == 0:
            raise BadAudio(source, "empty", "the file has no bytes; copy it again or remove it")
        try:
            if entry:
                size = os.path.getsize(path)
                if entry[1] >= size:
                    raise BadAudio(source, "not audio", f"the archive has {size} bytes; correct the place")
                return _ArkReader(source, *entry)
            file = open(path, "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise out_of_reach(source, error) from None
    try:
        return _checked(source, file, piped=path is None)
    except BaseException:
        file.close()
        raise


def _checked(source: str, file, piped: bool) -> Reader:
    """The reader of an open file, which becomes the reader's; of sound of a rate that can be."""
    reader = _decoder(source, file, piped)
    try:
        if not reader.rate:
            raise BadAudio(source, "not audio", "nothing in it is sound; copy it again or remove it")
        check_form(source, reader.rate, reader.channels)
    except BadAudio:
        reader.close()
        raise
    return reader


def _why_undecoded(source: str, file, head: bytes, damaged: bool) -> BadAudio:
    """Why no library reads a file. damaged: whether its first pages are. Raises BadAudio for a rate that is none."""
    if not head.startswith(_FIRST_BYTES) and head[4:8] != b"ftyp":
        return _unknown(source, head)
    if (rate := rate_of(file, head)) is not None:
        check_form(source, rate, 1)
    if damaged:
        return BadAudio(source, "damaged", "its first pages are not as they were written; copy it again")
    return BadAudio(source, "truncated", "the file is damaged or cut short; copy it again")


def _unknown(source: str, head: bytes) -> BadAudio:
    """Why no library knows what a file holds."""
    begin = head.lstrip(b"\xef\xbb\xbf \r\n").lower()
    if why := next((why for words, why in _OTHERS.items() if begin.startswith(words)), None):
        return BadAudio(source, "not audio", why)
    if program := unpacked_by(head):
        return BadAudio(source, "not audio", f"the file is compressed; unpack it with {program}")
    if _LATER_PART.match(head):
        what = "this is a later part of a live recording, and only the first part tells the codec"
        return BadAudio(source, "not audio", f"{what}; join all parts in order with cat")
    if source.lower().endswith(_NO_HEADER):
        what = "such files have no header that tells rate and codec"
        return BadAudio(source, "not audio", f"{what}; convert it, as in: sox -r 8000 -e mu-law -c 1 x.ul x.wav")
    return BadAudio(source, "not audio", "no decoder knows this format; correct or remove it")


def _decoder(source: str, file, piped: bool) -> Reader:
    """The reader of an open file, whatever rate it says."""
    alone = not isinstance(file, Pieces)
    file = between_tags(file) or file
    file.seek(0)
    head = file.read(64)
    if not head.strip(b"\0"):  # room that was made for a download; gigabytes of it would be searched for a frame
        file.seek(0)
        if not file.read(2**20).strip(b"\0"):
            raise BadAudio(source, "not audio", "it begins with zeros, and nothing else was written; copy it again")
    by_packets, pages_lost, damaged = head.startswith(_BY_PACKETS), False, False
    first = 0  # of a FLAC: the sample that it begins with, None where its first frame is damaged
    bridges = bridged(file, head)
    if head.startswith(b"OggS"):
        chains, plain, pages_lost, damaged = ogg_pages(file)
        # Of Vorbis libsndfile counts every sample, but for what begins before the time 0.
        by_packets = not (plain and b"\x01vorbis" in head) or begins_before_zero(file)
    else:
        leading = Pieces(file, bridges, owned=False) if bridges else file
        chains = recordings_of(leading, head) if alone else []
        if head.startswith(b"fLaC"):
            first, fits = beginning(file)
            by_packets = bool(first) or not fits
        elif head.startswith((b"RIFF", b"riff")):
            file.seek(0)
            begin = file.read(2**15)
            by_packets = len(_IN_PCM.findall(begin)) > 1 or _NOT_INTEGERS.search(begin) is not None
    if len(chains) > 1:
        return _ChainReader(source, file, chains)
    better, lacking = mended(file, head)
    mending = bridges or without_damage(file, head)
    file = Pieces(file, mending) if mending else better or file
    if piped:  # programs that write to a pipe cannot know the length they put into the header
        lacking = 0.0
    counted = None  # libsndfile's reader, where it opens the file and is not sure of its length
    if not by_packets:
        try:
            counted = _SoundFileReader(source, file, lacking)
            if counted.format == "XI":
                what = "an instrument of FastTracker does not tell its sampling rate"
                raise BadAudio(source, "rate", f"{what}; export the sample as WAV")
            if counted.exact:
                return counted
        except soundfile.LibsndfileError:
            pass
    try:
        wrong = damaged or bool(mending) or first is None
        reader = ContainerReader(source, file, pages_lost, lacking=lacking, damaged=wrong)
        if counted is not None:
            counted.release()
        return reader
    except ImportError:
        why = BadAudio(source, "not audio", "libsndfile does not know this format; for others 'pip install av'")
    except BadAudio as error:
        why = error
    except Exception as error:  # of many kinds, whatever a library finds wrong with its bytes
        if drive_fails(error):
            raise
        why = _why_undecoded(source, file, head, damaged)
    ending = os.path.splitext(source)[1].lower()
    if counted is None and why.reason == "not audio" and ending in HEADERLESS:
        with contextlib.suppress(Exception):
            return ContainerReader(source, file, form=HEADERLESS[ending])
    if counted is not None and counted.frames:
        return counted
    if by_packets and not head.startswith(b"riff"):  # which to libsndfile would be noise
        try:
            reader = _SoundFileReader(source, file, mp3=not head.startswith(b"OggS"))
            if not damaged or reader.measure():
                return reader
        except soundfile.LibsndfileError:
            pass
    raise why
