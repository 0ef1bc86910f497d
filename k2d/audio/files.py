"""Open a recording: with the first library that reads it.

In: a source as `wav.scp` names it: a path, "file.ark:offset" or "command |". Out: an open reader that tells rate,
channels and frames and reads a part by seeking.

kaldiio reads archives (k2d/archives.py), whole; soundfile what libsndfile knows (wav, flac, ogg, opus, mp3, aiff …);
PyAV, which carries ffmpeg's libraries, the containers it does not (m4a, mp4, webm, wma …).
"""

import io
import os
import re
import subprocess
from typing import Protocol

import numpy as np
import soundfile

from k2d import archives
from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio, DataError

_PREROLL = 1.0  # seconds; mp3, AAC and Opus frames need more of those before than libraries seek back
_UNKNOWN = 2**40  # frames; libsndfile's way of saying that a stream does not tell its length
_ARK = re.compile(r"^(.+):(\d+)$")
_CHUNK = re.compile(r"^\s*(data|SSND|Data Size)\s*: (\d+)(?: \(should be (\d+)\))?", re.MULTILINE)
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpeg,mpegts,"
    "ogg,tak,tta,w64,wav,wv"
)
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"riff", b"ID3", b"\xff\xfb")


def _run_command(source: str) -> io.BytesIO:
    """The output of "command |"."""
    run = subprocess.run(["bash", "-c", source.rstrip()[:-1]], capture_output=True, stdin=subprocess.DEVNULL)
    if run.returncode:
        last = run.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise BadAudio(source, "command failed", f"it ended with status {run.returncode}: {last[0]}")
    if not run.stdout:
        raise BadAudio(source, "empty", "the command wrote nothing; try it on the command line")
    return io.BytesIO(run.stdout)


class _Reader(Protocol):
    """An open recording: rate (Hz), channels, frames (None: not said)."""

    rate: int
    channels: int
    frames: int | None

    def read(self, start: int, stop: int | None) -> np.ndarray:
        """(stop - start, channels) float32, from frame `start` up to `stop` or the end."""

    def close(self) -> None: ...


class _ArkReader:
    """An entry of a Kaldi archive, decoded whole: wav, FLAC, what kaldiio's "soundfile" writes, or a wave matrix.

    A matrix is (channels, samples) in the range of 16-bit integers, at 16 kHz, as Kaldi holds a wave.
    """

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
        self.frames, self.channels = self._audio.shape

    def read(self, start: int, stop: int | None) -> np.ndarray:
        return self._audio[start:stop]

    def close(self) -> None: ...


class _SoundFileReader:
    def __init__(self, source: str, file, piped: bool):
        self.source = source
        self.sound = soundfile.SoundFile(file)
        self.rate, self.channels = self.sound.samplerate, self.sound.channels
        self.frames = self.sound.frames if 0 <= self.sound.frames < _UNKNOWN else None
        if not piped:  # programs that write to a pipe cannot know the length they put into the header
            self._check_promise()
            if self.sound.format == "OGG":
                _check_last_page(source, file)

    def _check_promise(self) -> None:
        """Raise BadAudio if the header promises more bytes than the file holds."""
        length = re.search(r"^Length : (\d+)", self.sound.extra_info, re.MULTILINE)
        for _, promised, held in _CHUNK.findall(self.sound.extra_info):
            promised, held = int(promised), int(held) if held else length and int(length[1])
            if held is not None and held < promised < 0x7FFFF000:
                raise BadAudio(
                    self.source,
                    "truncated",
                    f"its header promises {promised} bytes and {held} are there; copy it again",
                )

    def read(self, start: int, stop: int | None) -> np.ndarray:
        preroll = min(start, round(_PREROLL * self.rate)) if self.sound.format == "MP3" else 0
        start -= preroll
        try:
            self.sound.seek(start)
            if stop is None and self.frames is None:
                blocks = list(self.sound.blocks(2**20, dtype="float32", always_2d=True))
                return np.concatenate(blocks) if blocks else np.zeros((0, self.channels), np.float32)
            count = (self.frames if stop is None else stop) - start
            audio = self.sound.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BadAudio(
                self.source, "truncated", f"decoding stops at {error.error_string.rstrip('.')}; copy it again"
            ) from None
        # The length of an mp3 is an estimate: grant it one hundredth.
        grace = max(0.1 * self.rate, 0.01 * (self.frames or 0)) if self.sound.format == "MP3" else 0
        if len(audio) < count - grace:
            raise BadAudio(
                self.source,
                "truncated",
                f"{count} frames are promised from {start / self.rate:.2f} s on, "
                f"{len(audio)} are there; copy it again",
            )
        return audio[preroll:]

    def close(self) -> None:
        self.sound.close()


def _check_last_page(source: str, file) -> None:
    """Raise BadAudio for an Ogg file whose last page does not say that it is the last (RFC 3533).

    An Ogg header promises no length, so nothing else tells that the end is missing.
    """
    if isinstance(file, str):
        with open(file, "rb") as handle:
            return _check_last_page(source, handle)
    position = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 2**17))  # a page has at most 65,307 bytes
    tail = file.read()
    file.seek(position)
    page = tail.rfind(b"OggS\0")
    if page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4:
        raise BadAudio(source, "truncated", "its last page is missing; copy it again")


class _AvReader:
    """Anything ffmpeg's libraries read; a video gives its first audio track."""

    def __init__(self, source: str, file):
        import av  # here, because most corpora never need it

        self.source, self.errors = source, (av.error.FFmpegError, OSError)
        # Only formats of sound and film: with others, such as playlists, ffmpeg opens further addresses.
        self.container = av.open(file, mode="r", options={"format_whitelist": _CONTAINERS})
        if not self.container.streams.audio:
            self.container.close()
            raise BadAudio(source, "not audio", "the file has no audio track")
        self.stream = self.container.streams.audio[0]
        self.rate, self.channels = self.stream.rate, self.stream.channels
        if self.stream.duration is not None:
            seconds = float(self.stream.duration * self.stream.time_base)
        elif self.container.duration is not None:
            seconds = self.container.duration / 1e6
        else:
            seconds = None
        self.frames = None if seconds is None else round(seconds * self.rate)
        self.origin = float((self.stream.start_time or 0) * self.stream.time_base)

    def read(self, start: int, stop: int | None) -> np.ndarray:
        import av

        to_float = av.AudioResampler(format="fltp")  # a change of sample format only
        blocks: list[np.ndarray] = []
        position = None  # frame number of the first block
        count = 0
        try:
            if start:
                seconds = self.origin + max(0.0, start / self.rate - _PREROLL)
                self.container.seek(int(seconds / self.stream.time_base), stream=self.stream, backward=True)
            for frame in self.container.decode(self.stream):
                if position is None:
                    position = round(((frame.time or 0.0) - self.origin) * self.rate)
                for part in to_float.resample(frame):
                    blocks.append(part.to_ndarray().T)
                    count += len(blocks[-1])
                if stop is not None and position + count >= stop:
                    break
        except self.errors as error:
            raise BadAudio(self.source, "truncated", f"decoding stops: {error}; copy it again") from None
        audio = np.concatenate(blocks) if blocks else np.zeros((0, self.channels), np.float32)
        late = max(0, (position or 0) - start)  # a track that begins after the asked time: silence till then
        audio = np.pad(audio, ((late, 0), (0, 0)))[max(0, start - (position or 0)) :]
        audio = audio[: None if stop is None else stop - start]
        # Encoders pad and containers round, so a second less than promised is still whole.
        promised = (self.frames if stop is None else stop) or 0
        if len(audio) < promised - start - self.rate:
            raise BadAudio(
                self.source,
                "truncated",
                f"{promised / self.rate:.2f} s are promised and decoding stops at "
                f"{(start + len(audio)) / self.rate:.2f} s; copy it again",
            )
        return audio.astype(np.float32, copy=False)

    def close(self) -> None:
        self.container.close()


def in_archive(source: str) -> bool:
    """Whether a source is an entry of an archive, which is read whole."""
    return _ARK.match(source) is not None and not os.path.exists(source)


def open_source(source: str, allow_pipes: bool) -> _Reader:
    """Open a source with the first library that reads it; BadAudio says why none does."""
    piped = source.rstrip().endswith("|")
    if piped:
        if not allow_pipes:
            raise BadAudio(source, "command", "commands run only with --allow_pipes; read it, then allow it")
        file = _run_command(source)
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
            file = open(path, "rb")  # noqa: SIM115 - closed with the reader
        except OSError as error:
            raise BadAudio(source, "unreadable", f"{error.strerror}; check the permissions") from None
    try:
        return _decoder(source, file, piped)
    except BaseException:
        file.close()
        raise


def _decoder(source: str, file, piped: bool) -> _Reader:
    try:
        # By name where it can be: libsndfile then reads without going through Python.
        return _SoundFileReader(source, source if isinstance(file, io.BufferedReader) else file, piped)
    except soundfile.LibsndfileError:
        pass
    file.seek(0)
    head = file.read(4)
    known = any(head.startswith(magic) for magic in _MAGIC)
    damaged = BadAudio(source, "truncated", "the file is damaged or cut short; copy it again")
    if known and not head.startswith(b"RIFF"):  # RIFF also wraps codecs that libsndfile lacks
        raise damaged
    file.seek(0)
    try:
        return _AvReader(source, file)
    except ImportError:
        raise BadAudio(
            source, "not audio", "libsndfile does not know this format; for m4a and mp4 'pip install av'"
        ) from None
    except BadAudio:
        raise
    except (OSError, ValueError):  # av's errors are kinds of both
        file.seek(4)
        if known or file.read(4) == b"ftyp":
            raise damaged from None
        raise BadAudio(source, "not audio", "no decoder knows this format; correct or remove it") from None
