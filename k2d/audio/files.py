"""Open a recording: with the library that knows its length.

In: a source as `wav.scp` names it: a path, "file.ark:offset" or "command |". Out: an open reader that tells rate and
channels and gives blocks of samples from any multiple of GRID seconds on.

kaldiio reads archives (k2d/archives.py), whole. soundfile reads what libsndfile counts in samples and can seek in
(PCM and float in wav, aiff, caf, au …, FLAC). Everything else goes through its packets (k2d/audio/containers.py): a
length that is an estimate loses sound. What ffmpeg's libraries lack is libsndfile's again.
"""

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import soundfile

from k2d import archives
from k2d.audio.containers import GRID, ContainerReader, check_form
from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio, DataError

_UNKNOWN = 2**40  # frames; libsndfile's way of saying that a stream does not tell its length
_ARK = re.compile(r"^(.+):(\d+)$", re.DOTALL)
_CHUNK = re.compile(r"^\s*(data|SSND|Data Size)\s*: (\d+)(?: \(should be (\d+)\))?", re.MULTILINE)
_EXACT = re.compile(r"^(PCM_|FLOAT|DOUBLE|ULAW|ALAW)")
_BY_PACKETS = (b"OggS", b"ID3", b"\xff")  # and mp3, whose frames begin with eleven set bits
_PIPE_BYTES, _PIPE_WAIT = 2**34, 600.0  # bytes a command may write, seconds it may be silent


class Reader(Protocol):
    """An open recording: rate (Hz) and channels; seconds, or None where only reading tells; lost: seconds known to be
    missing; cut: whether the end is missing by an unknown time."""

    rate: int
    channels: int
    seconds: float | None
    lost: float
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

    lost, cut = 0.0, False

    def __init__(self, source: str, path: str, offset: int):
        try:
            found = archives.read_entry(path, offset)
        except archives.Truncated as error:
            raise BadAudio(source, "truncated", str(error)) from None
        except DataError:
            raise BadAudio(source, "not audio", "expected wav, FLAC or samples at this offset of the archive") from None
        self.rate, audio = found if isinstance(found, tuple) else (SAMPLE_RATE, found.T / 32768)
        if audio.dtype.kind in "iu":
            silent, full = (128, 128) if audio.dtype == np.uint8 else (0, 32768)
            audio = (audio.astype(np.float32) - silent) / full
        self._audio = audio.reshape(len(audio), -1).astype(np.float32, copy=False)
        self.channels = self._audio.shape[1]
        self.seconds = len(self._audio) / self.rate

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        for first in range(round(start * self.rate), len(self._audio), GRID * self.rate):
            yield self.rate, self._audio[first : first + GRID * self.rate]

    def measure(self) -> float:
        return self.seconds

    def close(self) -> None: ...


class _SoundFileReader:
    cut = False

    def __init__(self, source: str, path: str | None, file, piped: bool):
        self._source, self._path, self._file = source, path, file
        # By name where it can be: libsndfile then reads without going through Python.
        self._sound = soundfile.SoundFile(path or file)
        self.rate, self.channels = self._sound.samplerate, self._sound.channels
        self.format, self.frames = self._sound.format, self._sound.frames
        self.exact = _EXACT.match(self._sound.subtype) is not None and 0 < self.frames < _UNKNOWN
        self.seconds = self.frames / self.rate if self.exact and self.format != "FLAC" else None
        # Programs that write to a pipe cannot know the length they put into the header.
        self.lost = 0.0 if piped else self._missing()

    def _missing(self) -> float:
        """Seconds that the header promises beyond the end of the file."""
        length = re.search(r"^Length : (\d+)", self._sound.extra_info, re.MULTILINE)
        for _, promised, held in _CHUNK.findall(self._sound.extra_info):
            promised, held = int(promised), int(held) if held else length and int(length[1])
            if held is not None and 0 < held < promised < 0x7FFFF000:
                return self.frames / self.rate * (promised - held) / held
        return 0.0

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        size = GRID * self.rate * (12 if self.channels == 1 else 1)  # channels are mixed a GRID at a time
        position = round(start * self.rate)
        lost = self.lost
        try:
            if self._sound.seekable():
                self._sound.seek(position)
            else:  # some codecs can only be read from the beginning
                for _ in range(round(start / GRID)):
                    self._sound.read(GRID * self.rate)
            while len(audio := self._sound.read(size, dtype="float32", always_2d=True)):
                if len(audio) < size and position + len(audio) < self.frames < _UNKNOWN and self.format == "FLAC":
                    break
                yield self.rate, audio
                position += len(audio)
        except soundfile.LibsndfileError:
            pass
        missing = (self.frames - position) / self.rate if self.frames < _UNKNOWN else 0.0
        if missing > 0 and self.format == "FLAC":  # ffmpeg's libraries step over what is damaged
            rest = ContainerReader(self._source, self._path, self._file)
            try:
                yield from rest.blocks(position / self.rate)
                lost, missing = rest.lost, 0.0
            finally:
                rest.close()
        self.lost = lost + (missing if missing > 0.1 else 0.0)

    def measure(self) -> float:
        if self.seconds is not None:
            return self.seconds
        if self.exact and self._ends():
            return self.frames / self.rate
        return sum(len(audio) / rate for rate, audio in self.blocks())

    def _ends(self) -> bool:
        """Whether the last sample that the header promises can be read."""
        try:
            self._sound.seek(self.frames - 1)
            return len(self._sound.read(1)) == 1
        except soundfile.LibsndfileError:
            return False

    def close(self) -> None:
        self._sound.close()


def _run_command(source: str):
    """The output of "command |" as a file, in memory if it is small. A command is stopped when it writes nothing for
    ten minutes, or without end."""
    held = tempfile.SpooledTemporaryFile(max_size=2**28)  # noqa: SIM115 - closed with the reader
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            ["bash", "-c", source.rstrip()[:-1]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            start_new_session=True,
        ) as run,
    ):
        try:
            stop = _copy(source, run.stdout, held)
        except BaseException:
            os.killpg(run.pid, 9)
            held.close()
            raise
        if stop:
            os.killpg(run.pid, 9)
            raise BadAudio(source, "command failed", stop)
        run.wait()
        messages.seek(0)
        last = messages.read()[-4096:].decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
    if run.returncode:
        raise BadAudio(source, "command failed", f"it ended with status {run.returncode}: {last[0]}")
    if not held.tell():
        raise BadAudio(source, "empty", "the command wrote nothing; try it on the command line")
    held.seek(0)
    return held


def _copy(source: str, pipe, target) -> str | None:
    """Copy a pipe to its end; what is wrong if it has none."""
    descriptor, size = pipe.fileno(), 0
    began = time.monotonic()
    while True:
        if not select.select([descriptor], [], [], _PIPE_WAIT)[0]:
            return f"it wrote nothing for {_PIPE_WAIT:.0f} s and was stopped; try it on the command line"
        data = os.read(descriptor, 2**20)
        if not data:
            return None
        size += len(data)
        if size > _PIPE_BYTES:
            seconds = time.monotonic() - began
            return f"it wrote {size / 2**30:.0f} GiB in {seconds:.0f} s and was stopped; try it on the command line"
        target.write(data)


def in_archive(source: str) -> bool:
    """Whether a source is an entry of an archive, which is read whole."""
    return _ARK.match(source) is not None and not os.path.exists(source)


def open_source(source: str, allow_pipes: bool) -> Reader:
    """Open a source with the library that reads it; BadAudio says why none does."""
    if source.rstrip().endswith("|"):
        if not allow_pipes:
            raise BadAudio(source, "command", "commands run only with --allow_pipes; read it, then allow it")
        path, file = None, _run_command(source)
    else:
        ark = None if os.path.exists(source) else _ARK.match(source)
        path = ark[1] if ark else source
        if not os.path.exists(path):
            raise BadAudio(source, "missing", f"no such file from {os.getcwd()}; correct wav.scp")
        if not os.path.isfile(path):
            raise BadAudio(source, "not audio", "this is no regular file; correct wav.scp")
        if os.path.getsize(path) == 0:
            raise BadAudio(source, "empty", "the file has no bytes; copy it again or remove it")
        try:
            if ark:
                return _ArkReader(source, path, int(ark[2]))
            file = open(path, "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise BadAudio(source, "unreadable", f"{error.strerror}; check the permissions") from None
    reader = None
    try:
        reader = _decoder(source, path, file)
        check_form(source, reader.rate, reader.channels)
        return reader
    except BaseException:
        if reader is not None:
            reader.close()
        raise
    finally:
        if path is not None:
            file.close()


def _decoder(source: str, path: str | None, file) -> Reader:
    head = file.read(4)
    file.seek(0)
    counted = None  # libsndfile's reader, where it opens the file and is not sure of its length
    if not head.startswith(_BY_PACKETS):
        try:
            counted = _SoundFileReader(source, path, file, piped=path is None)
            if counted.exact:
                return counted
        except soundfile.LibsndfileError:
            pass
    file.seek(0)
    try:
        return ContainerReader(source, path, file)
    except ImportError:
        why = BadAudio(source, "not audio", "libsndfile does not know this format; for others 'pip install av'")
    except BadAudio as error:
        why = error
    except (OSError, ValueError):  # av's errors are kinds of both
        file.seek(4)
        known = head.startswith((b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"riff", b"ID3"))
        if known or file.read(4) == b"ftyp":
            why = BadAudio(source, "truncated", "the file is damaged or cut short; copy it again")
        else:
            why = BadAudio(source, "not audio", "no decoder knows this format; correct or remove it")
    if counted is not None and counted.frames:
        return counted
    if head.startswith(_BY_PACKETS):
        file.seek(0)
        try:
            return _SoundFileReader(source, path, file, piped=path is None)
        except soundfile.LibsndfileError:
            pass
    raise why
