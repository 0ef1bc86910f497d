"""Recordings and segments in, 16 kHz mono float32 out; log-mel features.

In: sources as `wav.scp` names them: a path, "file.ark:offset" or "command |".
Out: float32 arrays in [-1, 1] at 16 kHz, or a BadAudio that says what is wrong with which recording.

soundfile reads what libsndfile knows (wav, flac, ogg, opus, mp3, aiff …); PyAV, which carries ffmpeg's
libraries, reads the containers it does not (m4a, mp4, webm, wma …). A part of a recording is read by
seeking, never by decoding all of it.
"""

import io
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from k2d.datadir import DataDir, DataError

SAMPLE_RATE = 16000
SHORTEST = 0.1  # seconds; less holds no word, and Whisper invents one
_ONE_STEP = 2.0**-14  # a signal that stays within one 16-bit step up and down is digital silence
_MARGIN = 0.05  # seconds decoded on both sides of a part, so that the resampler sees no edge there
_PREROLL = 1.0  # seconds; mp3, AAC and Opus frames need more of those before than libraries seek back
_UNKNOWN = 2**40  # frames; libsndfile's way of saying that a stream does not tell its length
_ARK = re.compile(r"^(.+):(\d+)$")
_CHUNK = re.compile(r"^\s*(data|SSND|Data Size)\s*: (\d+)(?: \(should be (\d+)\))?", re.MULTILINE)
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpeg,mpegts,"
    "ogg,tak,tta,w64,wav,wv"
)
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"riff", b"ID3", b"\xff\xfb")


class BadAudio(ValueError):
    """A recording that cannot be used.

    `reason` is one of: missing, empty, truncated, not audio, silence, NaN, too short, outside,
    command, command failed, unreadable. The message adds the source, the detail and what to do.
    """

    def __init__(self, source, reason: str, advice: str):
        super().__init__(f"{source}: {reason}; {advice}")
        self.source = str(source)
        self.reason = reason

    def __reduce__(self):  # worker processes hand their exceptions over by pickle
        return _rebuild, (self.source, self.reason, str(self))


def _rebuild(source: str, reason: str, message: str) -> BadAudio:
    error = BadAudio(source, reason, "")
    error.args = (message,)
    return error


@dataclass(frozen=True)
class Header:
    """What a recording says of itself: sampling rate (Hz), channels, seconds (None: not said)."""

    rate: int
    channels: int
    seconds: float | None


# ------------------------------------------------------------------------------------------------ files


class _Window(io.RawIOBase):
    """A stretch of a file as a file: one recording inside an archive, without copying it."""

    def __init__(self, path: str, start: int, length: int):
        self._file = open(path, "rb")  # noqa: SIM115 - closed in close()
        self._start, self._length, self._position = start, length, 0

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
        self._file.seek(self._start + self._position)
        data = self._file.read(max(0, min(len(buffer), self._length - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_ark(source: str, path: str, offset: int) -> _Window:
    """The recording at `offset` of a Kaldi archive, as kaldiio writes it: wav, FLAC, or AUDIO + length."""
    size = os.path.getsize(path)
    with open(path, "rb") as handle:
        handle.seek(offset)
        head = handle.read(5)
        if head == b"AUDIO":
            width = handle.read(1)
            length = int.from_bytes(handle.read(width[0]), "little") if width else 0
            start = handle.tell()
            if not width or start + length > size:
                raise BadAudio(source, "truncated", "the archive ends inside this recording; write it again")
        elif head[:4] == b"RIFF":
            start, length = offset, int.from_bytes(head[4:] + handle.read(3), "little") + 8
            if start + length > size:
                raise BadAudio(source, "truncated", "the archive ends inside this recording; write it again")
        elif head[:4] == b"fLaC":  # knows its number of samples, so what follows in the archive is not read
            start, length = offset, size - offset
        else:
            # Anything else kaldiio would load includes pickles, which run code: not from a data file.
            raise BadAudio(source, "not audio", "expected wav or FLAC at this offset of the archive")
    return _Window(path, start, length)


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


def _open(source: str, allow_pipes: bool) -> _Reader:
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
            file = _open_ark(source, path, int(ark[2])) if ark else open(path, "rb")  # noqa: SIM115
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


# ----------------------------------------------------------------------------------------------- reading


def header(source, allow_pipes: bool = False) -> Header:
    """Rate, channels and seconds of a source, from its header where it has one. Raises BadAudio."""
    reader = _open(str(source), allow_pipes)
    try:
        return Header(
            reader.rate, reader.channels, None if reader.frames is None else reader.frames / reader.rate
        )
    finally:
        reader.close()


def recording_duration(source, allow_pipes: bool = False) -> float:
    """Seconds of a source, from its header if it tells, else by decoding it. Raises BadAudio."""
    seconds = header(source, allow_pipes).seconds
    if seconds is None:
        return len(read_audio(source, allow_pipes=allow_pipes)) / SAMPLE_RATE
    return seconds


def _resample(audio: np.ndarray, rate: int) -> np.ndarray:
    if rate == SAMPLE_RATE or not len(audio):
        return audio
    import soxr  # what librosa.resample calls; librosa itself costs a second to import

    return soxr.resample(audio, rate, SAMPLE_RATE, quality="HQ").astype(np.float32, copy=False)


def _too_short(source: str, seconds: float) -> BadAudio:
    return BadAudio(source, "too short", f"{seconds:.3f} s, expected at least {SHORTEST} s; remove it")


def _is_silent(audio: np.ndarray) -> bool:
    return bool(np.ptp(audio) <= _ONE_STEP)


def read_audio(source, start: float = 0.0, end: float | None = None, allow_pipes: bool = False) -> np.ndarray:
    """Read a source, or its part from `start` to `end` (seconds): (samples,) float32, mono, 16 kHz.

    Channels are averaged and other rates resampled. `end` may lie up to 0.5 s beyond the recording,
    as rounded segment ends do.

    Raises BadAudio for a recording that is missing, empty, truncated, not audio, shorter than 0.1 s,
    not finite, or, read whole, digital silence (a silent part of it is a pause), and for a part
    outside of it. "command |" runs only with `allow_pipes`.
    """
    source = str(source)
    if start < 0 or (end is not None and end <= start):
        raise ValueError(f"{source}: part from {start} to {end} s; expected 0 <= start < end")
    reader = _open(source, allow_pipes)
    try:
        rate = reader.rate
        total = None if reader.frames is None else reader.frames / rate
        if total is not None and (start >= total or (end is not None and end > total + 0.5)):
            if total < SHORTEST:
                raise _too_short(source, total)
            raise BadAudio(
                source, "outside", f"{start} to {end} s of a recording of {total:.2f} s; correct segments"
            )
        # Begin at a frame that falls on the 16 kHz grid, so that a part equals the same part of the whole.
        grid = rate // gcd(rate, SAMPLE_RATE)
        margin = 0.0 if rate == SAMPLE_RATE else _MARGIN
        first = max(0, int((start - margin) * rate)) // grid * grid
        last = None if end is None else round((end + margin) * rate)
        if last is not None and reader.frames is not None:
            last = min(last, reader.frames)
        audio = reader.read(first, last).mean(axis=1, dtype=np.float32)
    finally:
        reader.close()
    audio = _resample(audio, rate)
    offset = round(start * SAMPLE_RATE) - first * SAMPLE_RATE // rate
    audio = audio[offset : None if end is None else offset + round((end - start) * SAMPLE_RATE)]
    if len(audio) < SHORTEST * SAMPLE_RATE:
        raise _too_short(source, len(audio) / SAMPLE_RATE)
    if not np.isfinite(audio).all():
        raise BadAudio(source, "NaN", "samples are not finite numbers; export the recording again")
    if start == 0.0 and end is None and _is_silent(audio):
        raise BadAudio(source, "silence", "every sample is zero; check the microphone or the channel")
    return np.ascontiguousarray(audio)


class Utterances:
    """The utterances of a data directory by id; see `open_utterances`."""

    def __init__(self, data: DataDir, allow_pipes: bool = False):
        self.data = data
        self.allow_pipes = allow_pipes
        self._durations: dict[str, float] = dict(data.utt2dur or {})
        self._piped: tuple[str, np.ndarray] | None = None  # the last command's recording and its audio

    def __len__(self) -> int:
        return len(self.data.segments)

    def __iter__(self) -> Iterator[str]:
        return iter(self.data.segments)

    def __contains__(self, utterance: str) -> bool:
        return utterance in self.data.segments

    def _locate(self, utterance: str):
        try:
            segment = self.data.segments[utterance]
        except KeyError:
            raise DataError(f"{self.data.path}: no utterance {utterance!r}") from None
        try:
            return segment, self.data.wav[segment.recording]
        except KeyError:
            raise DataError(
                f"{self.data.path / 'wav.scp'}: no recording {segment.recording!r}, which segments names"
            ) from None

    def __getitem__(self, utterance: str) -> np.ndarray:
        """(samples,) float32 at 16 kHz. Raises BadAudio, also where all of the utterance is silence."""
        segment, source = self._locate(utterance)
        if source.rstrip().endswith("|") and (segment.start or segment.end is not None):
            # Running the command once for each of its segments would decode everything each time.
            piped = self._piped  # which another thread may replace
            if piped is None or piped[0] != segment.recording:
                piped = self._piped = (segment.recording, read_audio(source, allow_pipes=self.allow_pipes))
            stop = None if segment.end is None else round(segment.end * SAMPLE_RATE)
            audio = piped[1][round(segment.start * SAMPLE_RATE) : stop]
            if len(audio) < SHORTEST * SAMPLE_RATE:
                raise BadAudio(source, "outside", f"utterance {utterance} is not inside it; correct segments")
        else:
            audio = read_audio(source, segment.start, segment.end, self.allow_pipes)
        if _is_silent(audio):
            raise BadAudio(source, "silence", f"every sample of utterance {utterance} is zero; remove it")
        return audio

    def duration(self, utterance: str) -> float:
        """Seconds: from utt2dur, else segments, else the recording's header. Raises BadAudio."""
        if utterance not in self._durations:
            segment, source = self._locate(utterance)
            end = segment.end
            if end is None:
                end = recording_duration(source, self.allow_pipes)
            self._durations[utterance] = end - segment.start
        return self._durations[utterance]


def open_utterances(data: DataDir | str | Path, allow_pipes: bool = False) -> Utterances:
    """`u = open_utterances(data)`: `u[id]` -> (samples,) float32 at 16 kHz, `u.duration(id)` -> seconds."""
    return Utterances(data if isinstance(data, DataDir) else DataDir(data), allow_pipes)


def log_mel(audio, n_mels: int = 80):
    """Whisper's features of 16 kHz audio (samples,): (n_mels, samples // 160) float32 tensor."""
    import torch
    from whisper.audio import log_mel_spectrogram

    return log_mel_spectrogram(torch.as_tensor(audio, dtype=torch.float32), n_mels)
