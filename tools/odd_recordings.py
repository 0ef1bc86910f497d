"""Recordings as people have them, made on the spot, and what is read of each.

    tools/venv/bin/python tools/odd_recordings.py --docs docs/recordings.md
    tools/venv/bin/python tools/odd_recordings.py --label exp/teacher --recordings 500 --folder /tmp/odd

The first makes every kind, reads it and writes the table. The second makes a corpus of so many recordings, in which
every kind stands once, labels it with `k2d label`, labels the plain ones alone, and prints whether both give the same
text, what stands in skipped.txt, and the peak memory. Both end with status 1 if anything is not as expected.

Libraries that the project has make the inputs; a few codecs need ffmpeg's programs and are left out, loudly, without.
"""

import argparse
import io
import json
import logging
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k2d.audio.read import read_audio, recording_duration
from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio
from k2d.text.markdown import table
from k2d.whisper.identity import english_only

RATE = 48000  # of what is encoded
NEAR = 0.1  # seconds by which a length may differ from what is expected


def voice(seconds: float, seed: int = 0, rate: int = SAMPLE_RATE) -> np.ndarray:
    """(samples,) float32: noise below 3 kHz that swells and falls as speech does, so that a shift in time is seen."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(seconds * 6000))
    points = np.arange(0, len(noise) + 1500, 1500)
    swell = np.interp(np.arange(len(noise)), points, rng.random(len(points)))
    audio = soxr.resample((0.15 * noise * swell).astype(np.float32), 6000, rate, quality="HQ")
    return audio[: round(seconds * rate)]


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


@dataclass(frozen=True)
class Kind:
    """One kind of recording.

    make(path): writes it; may return another source for wav.scp. heard: what is to be read, 16 kHz, or the reason of
    the BadAudio. warning: whether a warning comes with it. programs: whether ffmpeg's programs are needed.
    """

    file: str
    codec: str
    oddity: str
    make: Callable[[Path], object]
    heard: np.ndarray | str = field(repr=False)
    warning: bool = False
    programs: bool = False

    @property
    def container(self) -> str:
        return Path(self.file).suffix[1:]


# -- encoding -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Track:
    """Sound of a film: (samples, channels) at RATE. holes: (seconds at which, seconds of) a pause of the clock."""

    audio: np.ndarray
    codec: str
    begin: float = 0.0
    hole: tuple[float, float] = (np.inf, 0.0)
    default: bool = True
    rate: int = RATE
    bit_rate: int | None = None


def encode(path: Path, *tracks: Track, film: str = "", form: str | None = None, **options: str) -> None:
    """Write a container of some tracks; film: the codec of pictures that begin at 0 and last as long."""
    with av.open(str(path), "w", format=form, options=options) as container:
        packets = []
        if film:
            seconds = max(track.begin + len(track.audio) / RATE for track in tracks)
            packets += _pictures(container, film, seconds)
        streams = [(_stream(container, track), track) for track in tracks]
        for stream, track in streams:
            packets += _sounds(stream, track)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)


def _pictures(container, codec: str, seconds: float) -> list:
    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    packets = []
    for number in range(round(seconds * 25)):
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 40 + number % 100, np.uint8), format="yuv420p")
        frame.pts = number
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _stream(container, track: Track):
    layout = "mono" if track.audio.ndim == 1 else "stereo"
    stream = container.add_stream(track.codec, rate=track.rate, layout=layout)
    if track.codec == "vorbis":
        stream.codec_context.options = {"strict": "experimental"}
    if track.bit_rate:
        stream.bit_rate = track.bit_rate
    disposition = av.stream.Disposition.default
    stream.disposition = disposition if track.default else av.stream.Disposition(0)
    return stream


def _sounds(stream, track: Track) -> list:
    context = stream.codec_context
    context.open()
    audio = track.audio.reshape(len(track.audio), -1)
    if track.rate != RATE:
        audio = soxr.resample(audio, RATE, track.rate, quality="HQ")
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T), format="fltp", layout=context.layout.name)
    frame.sample_rate, frame.pts = track.rate, 0
    frame.time_base = Fraction(1, track.rate)
    cut = av.AudioResampler(context.format.name, context.layout.name, track.rate, context.frame_size or 1024)
    packets, position = [], 0
    for part in [*cut.resample(frame), *cut.resample(None)]:
        pause = track.hole[1] if position / track.rate >= track.hole[0] else 0.0
        part.pts, part.time_base = position + round((track.begin + pause) * track.rate), Fraction(1, track.rate)
        position += part.samples
        packets += stream.encode(part)
    return packets + stream.encode(None)


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def join(path: Path, *parts: Callable[[Path], object]) -> None:
    """Files behind each other, as `cat` joins them."""
    data = b""
    for part in parts:
        part(path)
        data += path.read_bytes()
    path.write_bytes(data)


def cut(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def damage(path: Path) -> None:
    """A twentieth of a file, behind its middle, overwritten."""
    data = bytearray(path.read_bytes())
    first, count = len(data) // 2, len(data) // 20
    data[first : first + count] = np.random.default_rng(0).bytes(count)
    path.write_bytes(data)


def both(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        for step in steps:
            step(path)

    return make


# -- the kinds ------------------------------------------------------------------------------------------------

A, B = 5.0, 15.0  # seconds of the two recordings that are joined
ONE, TWO = voice(A, 1), voice(B, 2)
ALL = np.concatenate([ONE, TWO])
LONG_ONE, LONG_TWO = voice(A, 1, RATE), voice(B, 2, RATE)
LONG = np.concatenate([LONG_ONE, LONG_TWO])


def stereo(audio: np.ndarray) -> np.ndarray:
    return np.stack([audio, audio], axis=1)


def enc(audio: np.ndarray, codec: str, form: str | None = None, film: str = "", rate: int = RATE, **options):
    """make(path) of one track."""
    bit_rate = options.pop("bit_rate", None)
    return lambda path: encode(path, Track(audio, codec, rate=rate, bit_rate=bit_rate), form=form, film=film, **options)


def wav(audio: np.ndarray, rate: int = SAMPLE_RATE, **options):
    return lambda path: soundfile.write(path, audio, rate, **options)


def tracks(*some: Track, **options):
    return lambda path: encode(path, *some, **options)


def _patched(make: Callable, place: int | bytes, value: bytes):
    """A file with some bytes replaced: at an offset, or behind the first place where these stand."""

    def write(path: Path) -> None:
        make(path)
        data = bytearray(path.read_bytes())
        at = data.find(place) + len(place) if isinstance(place, bytes) else place
        data[at : at + len(value)] = value
        path.write_bytes(data)

    return write


def _varying_mp3(path: Path) -> None:
    """Frames of 32 and of 192 kbit/s in turn, the first ones small, and no header that counts them."""
    loud = tracks(Track(LONG_TWO, "libmp3lame", bit_rate=192000), write_xing="0", id3v2_version="0")
    join(path, tracks(Track(LONG_ONE, "libmp3lame", bit_rate=32000), write_xing="0", id3v2_version="0"), loud)


def _id3(make: Callable):
    tag = b"TIT2" + struct.pack(">I", 2) + b"\0\0\0x"

    def write(path: Path) -> None:
        make(path)
        path.write_bytes(b"ID3\3\0\0" + bytes([0, 0, 0, len(tag)]) + tag + path.read_bytes())

    return write


def _piped_flac(path: Path) -> None:
    make = io.BytesIO()
    soundfile.write(make, ALL, SAMPLE_RATE, format="FLAC")
    data = bytearray(make.getvalue())
    data[4 + 4 + 13] &= 0xF0  # 36 bits: the number of samples
    data[4 + 4 + 14 : 4 + 4 + 18] = bytes(4)
    path.write_bytes(data)


def _program(*arguments: object):
    """make(path): ffmpeg on a wav of ALL."""

    def write(path: Path) -> None:
        source = path.with_suffix(".source.wav")
        soundfile.write(source, LONG, RATE)
        ffmpeg("-i", source, *arguments, path)
        source.unlink()

    return write


def _theora(path: Path) -> None:
    source = path.with_suffix(".source.wav")
    soundfile.write(source, LONG, RATE)
    pictures = ("-f", "lavfi", "-i", "testsrc=d=20:s=64x64:r=10")
    ffmpeg(*pictures, "-i", source, "-c:v", "libtheora", "-c:a", "libvorbis", path)
    source.unlink()


def _middle(make: Callable):
    """An Ogg file without the second quarter of its pages: the headers, and then what a late listener hears."""

    def write(path: Path) -> None:
        make(path)
        data, pages = path.read_bytes(), []
        while data:
            size = 27 + data[26] + sum(data[27 : 27 + data[26]])
            pages.append(data[:size])
            data = data[size:]
        path.write_bytes(b"".join(pages[:2] + pages[len(pages) // 2 :]))

    return write


def _other(source: str):
    def make(path: Path) -> str:
        wav(ALL)(path)
        return source.format(path)

    return make


def _fifo(path: Path) -> None:
    os.mkfifo(path)


HOLE = np.concatenate([ONE, silence(4), TWO])
LATE = np.concatenate([silence(3), ALL])

KINDS: Sequence[Kind] = (
    Kind("plain.wav", "PCM", "none", wav(ALL), ALL),
    Kind("plain.flac", "FLAC", "none", wav(ALL), ALL),
    Kind("plain.mp3", "MP3", "none", enc(LONG, "libmp3lame"), ALL),
    Kind("plain.m4a", "AAC", "none", enc(LONG, "aac"), ALL),
    Kind("plain.opus", "Opus", "none", enc(LONG, "libopus"), ALL),
    Kind("plain.ogg", "Vorbis", "none", wav(ALL), ALL),
    Kind("plain.wma", "WMA 2", "none", enc(LONG, "wmav2", bit_rate=96000), ALL),
    Kind("fragments.mp4", "AAC", "fragments", enc(LONG, "aac", movflags="frag_keyframe+empty_moov"), ALL),
    # lengths that are estimates
    Kind("varying.mp3", "MP3", "bit rate varies, no header", _varying_mp3, ALL),
    Kind(
        "joined.mp3",
        "MP3",
        "joined with cat",
        lambda p: join(p, enc(LONG_ONE, "libmp3lame"), enc(LONG_TWO, "libmp3lame")),
        ALL,
    ),
    Kind(
        "rates.mp3",
        "MP3",
        "joined, rate and channels change",
        lambda p: join(p, enc(LONG_ONE, "libmp3lame", rate=22050), enc(stereo(LONG_TWO), "libmp3lame")),
        ALL,
    ),
    Kind("raw.aac", "AAC", "raw", enc(LONG, "aac", "adts"), ALL),
    # lengths that are unknown, codecs without seeking
    Kind("chained.ogg", "Vorbis", "chained", lambda p: join(p, wav(ONE), wav(TWO)), ALL),
    Kind(
        "rates.ogg",
        "Vorbis",
        "chained, rate and channels change",
        lambda p: join(p, wav(ONE), wav(stereo(LONG_TWO), RATE)),
        ALL,
    ),
    Kind(
        "chained.opus",
        "Opus",
        "chained, channels change",
        lambda p: join(p, enc(LONG_ONE, "libopus"), enc(stereo(LONG_TWO), "libopus")),
        ALL,
    ),
    Kind(
        "codecs.ogg",
        "Vorbis, Opus",
        "chained, codec changes",
        lambda p: join(p, wav(ONE), enc(LONG_TWO, "libopus", "ogg")),
        ALL,
    ),
    Kind("piped.flac", "FLAC", "written to a pipe", _piped_flac, ALL),
    Kind("joined.flac", "FLAC", "joined with cat", lambda p: join(p, wav(ONE), wav(TWO)), ALL),
    Kind("gsm.wav", "GSM 6.10", "no seeking", wav(ALL, subtype="GSM610", format="WAV"), ALL),
    Kind("g721.au", "G.721", "no seeking", wav(ALL, subtype="G721_32", format="AU"), ALL),
    Kind("ima.wav", "IMA ADPCM", "blocks", wav(ALL, subtype="IMA_ADPCM", format="WAV"), ALL),
    Kind("ms.wav", "MS ADPCM", "blocks", wav(ALL, subtype="MS_ADPCM", format="WAV"), ALL),
    Kind("mulaw.wav", "mu-law", "8 kHz", wav(soxr.resample(ALL, SAMPLE_RATE, 8000), 8000, subtype="ULAW"), ALL),
    Kind("raw.g722", "G.722", "no header", enc(LONG, "g722", rate=16000), ALL),
    Kind("new.voc", "PCM", "blocks of the new kind", enc(LONG, "pcm_s16le"), ALL),
    # known first bytes, a codec libsndfile lacks
    Kind("tag.aac", "AAC", "behind an ID3 tag", _id3(enc(LONG, "aac", "adts")), ALL),
    Kind("flac.ogg", "FLAC", "in Ogg", enc(LONG, "flac"), ALL),
    Kind("speex.ogg", "Speex", "in Ogg", _program("-ar", 16000, "-c:a", "libspeex"), ALL, programs=True),
    Kind("opus.caf", "Opus", "in CAF", _program("-c:a", "libopus"), ALL, programs=True),
    Kind("alac.caf", "ALAC", "in CAF", enc(LONG, "alac"), ALL),
    Kind("film.ogv", "Theora, Vorbis", "film", _theora, ALL, programs=True),
    Kind("mp3.wav", "MP3", "in WAV", enc(LONG, "libmp3lame"), ALL),
    # streams that change
    Kind(
        "channels.aac",
        "AAC",
        "channels change",
        lambda p: join(p, enc(LONG_ONE, "aac", "adts"), enc(stereo(LONG_TWO), "aac", "adts")),
        ALL,
    ),
    Kind(
        "rates.aac",
        "AAC",
        "rate changes",
        lambda p: join(p, enc(LONG_ONE, "aac", "adts", rate=44100), enc(LONG_TWO, "aac", "adts")),
        ALL,
    ),
    # time lines
    Kind("hole.webm", "Opus", "a hole", tracks(Track(LONG, "libopus", hole=(A, 4))), HOLE, warning=True),
    Kind("hole.mkv", "AAC", "a hole", tracks(Track(LONG, "aac", hole=(A, 4))), HOLE, warning=True),
    Kind("hole.mp4", "AAC", "a hole", tracks(Track(LONG, "aac", hole=(A, 4))), HOLE, warning=True),
    Kind("late.mkv", "AAC", "sound begins 3 s after the film", tracks(Track(LONG, "aac", begin=3), film="mpeg4"), LATE),
    Kind("late.mp4", "AAC", "sound begins 3 s after the film", tracks(Track(LONG, "aac", begin=3), film="mpeg4"), LATE),
    Kind(
        "late.mpg",
        "MP2",
        "sound begins 3 s after the film",
        tracks(Track(LONG, "mp2", begin=3), film="mpeg2video"),
        LATE,
    ),
    Kind("film.mpg", "MP2", "program stream", enc(LONG, "mp2", film="mpeg2video"), ALL),
    Kind("film.ts", "AAC", "transport stream", enc(LONG, "aac", film="mpeg2video"), ALL),
    Kind("film.avi", "MP3", "film", enc(LONG, "libmp3lame", film="mpeg4"), ALL),
    Kind("film.flv", "MP3", "film", enc(LONG, "libmp3lame", film="flv", rate=44100), ALL),
    Kind("ac3.mkv", "AC-3", "film", enc(LONG, "ac3", film="mpeg4"), ALL),
    # which track, which channel
    Kind(
        "tracks.mkv",
        "AAC",
        "the second track is the default",
        tracks(Track(LONG[::-1].copy(), "aac", default=False), Track(LONG, "aac")),
        ALL,
    ),
    Kind("opposite.wav", "PCM", "stereo in opposite phase", wav(np.stack([ALL, -ALL], 1)), ALL),
    Kind("opposite.m4a", "AAC", "stereo in opposite phase", enc(np.stack([LONG, -LONG], 1), "aac"), ALL),
    Kind("near_silent.wav", "PCM", "a near-silent channel", wav(np.stack([ALL, ALL[::-1] * 1e-4], 1)), ALL),
    # headers that lie
    Kind(
        "off.wav",
        "PCM",
        "data size 0: recorder switched off",
        _patched(_patched(wav(ALL), 4, bytes(4)), b"data", bytes(4)),
        ALL,
    ),
    Kind("rate.wav", "PCM", "rate of 1 Hz", wav(ALL, 1), "rate"),
    Kind("integers.wav", "float", "integers in floats", wav(ALL * 32768, subtype="FLOAT"), "too loud"),
    Kind("loud.wav", "float", "34 dB beyond full scale", wav(ALL * 50, subtype="FLOAT"), "too loud"),
    Kind("nan.wav", "float", "not a number", wav(np.append(ALL, np.float32(np.nan)), subtype="FLOAT"), "NaN"),
    Kind("silent.wav", "PCM", "silence", wav(silence(20)), "silence"),
    Kind("short.wav", "PCM", "0.05 s", wav(ALL[:800]), "too short"),
    Kind(
        "middle.opus",
        "Opus",
        "begins in the middle of its stream",
        _middle(enc(LONG, "libopus", page_duration="500000")),
        ALL[-168000:],
        warning=True,
    ),
    # what cannot be read
    Kind("list.m3u8", "", "a playlist", lambda path: path.write_text("#EXTM3U\nx.wav\n"), "not audio"),
    Kind("tape.ul", "mu-law", "no header", lambda path: path.write_bytes(bytes(range(256)) * 99), "not audio"),
    Kind("nul.wav", "", "NUL in the path", _other("{}\0.wav"), "missing"),
    Kind("place.wav", "", "place beyond the file", _other("{}:99999999999"), "not audio"),
    Kind("codec.wav", "unknown", "a codec nobody has", _patched(wav(ALL), 20, b"\x34\x12"), "not audio"),
    Kind("fifo.wav", "", "a FIFO", _fifo, "not audio"),
    Kind("missing.wav", "", "missing", lambda path: None, "missing"),
    Kind("empty.wav", "", "empty", lambda path: path.touch(), "empty"),
    Kind(
        "text.mp3",
        "",
        "a page in place of sound",
        lambda path: path.write_text("<html>not found</html>\n" * 99),
        "not audio",
    ),
    # damage
    Kind("cut.wav", "PCM", "cut", both(wav(ALL), cut), ALL[:192000], warning=True),
    Kind("cut.flac", "FLAC", "cut", both(wav(ALL), cut), ALL[:192000], warning=True),
    Kind("cut.mp3", "MP3", "cut", both(enc(LONG, "libmp3lame"), cut), ALL[:192000], warning=True),
    Kind("cut.ogg", "Vorbis", "cut", both(wav(ALL), cut), ALL[:192000], warning=True),
    Kind("cut.opus", "Opus", "cut", both(enc(LONG, "libopus", bit_rate=64000), cut), ALL[:192000], warning=True),
    Kind(
        "cut.mp4",
        "AAC",
        "cut, index first",
        both(enc(LONG, "aac", movflags="faststart"), cut),
        ALL[:192000],
        warning=True,
    ),
    Kind("index.mp4", "AAC", "cut, its index is lost", both(enc(LONG, "aac"), cut), "truncated"),
    Kind("damaged.mp3", "MP3", "damaged", both(enc(LONG, "libmp3lame"), damage), ALL, warning=True),
    Kind("damaged.m4a", "AAC", "damaged", both(enc(LONG, "aac"), damage), ALL, warning=True),
    Kind("damaged.flac", "FLAC", "damaged", both(wav(ALL), damage), ALL, warning=True),
    Kind("damaged.opus", "Opus", "damaged", both(enc(LONG, "libopus"), damage), ALL, warning=True),
)


def can_make(kind: Kind) -> bool:
    return not kind.programs or shutil.which("ffmpeg") is not None


def make(kind: Kind, folder: Path) -> str:
    """Write a recording of a kind; returns its source."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind.file
    source = kind.make(path)
    return source if isinstance(source, str) else str(path)


# -- what came ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """seconds and samples of what was read, or the reason why not; warning: the message that came with it."""

    audio: np.ndarray | None
    reason: str = ""
    message: str = ""
    warning: str = ""

    def __str__(self) -> str:
        if self.audio is None:
            return "named"
        return "read with a warning" if self.warning else "read"


class _Warnings(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def read(source: str) -> Outcome:
    log, handler = logging.getLogger("k2d.audio"), _Warnings()
    log.addHandler(handler)
    log.propagate = False
    try:
        audio = read_audio(source)
    except BadAudio as error:
        return Outcome(None, error.reason, str(error))
    finally:
        log.removeHandler(handler)
        log.propagate = True
    return Outcome(audio, warning=" ".join(handler.messages))


def likeness(audio: np.ndarray, other: np.ndarray) -> float:
    """How much 2.5 s of sound are like the same of another, shifted by at most 0.1 s: the least correlation."""
    least, size, reach = 1.0, 5 * SAMPLE_RATE // 2, round(NEAR * SAMPLE_RATE)
    for first in range(0, min(len(audio), len(other)) - size, size):
        here, there = audio[first : first + size], other[first : first + size]
        if np.ptp(there) == 0.0:  # silence is like silence only, but for a frame that reaches into it
            least = min(least, float(here.std() < 0.03))
            continue
        product = np.fft.irfft(np.fft.rfft(here, 2 * size) * np.conj(np.fft.rfft(there, 2 * size)))
        best = np.abs(np.r_[product[:reach], product[-reach:]]).max()
        least = min(least, float(best / np.linalg.norm(here) / np.linalg.norm(there)))
    return least


def fault(kind: Kind, source: str, outcome: Outcome) -> str:
    """What is not as expected, "" if all is."""
    if isinstance(kind.heard, str):
        return "" if outcome.reason == kind.heard else f"expected {kind.heard}, got {outcome.reason or 'sound'}"
    if outcome.audio is None:
        return outcome.message
    cut_short, damaged = kind.file.startswith("cut."), kind.file.startswith("damaged.")
    near = 3.0 if cut_short else 1.5 if damaged else NEAR
    seconds, wanted = len(outcome.audio) / SAMPLE_RATE, len(kind.heard) / SAMPLE_RATE
    if abs(seconds - wanted) > near:
        return f"expected {wanted:.2f} s, got {seconds:.2f} s"
    if abs(recording_duration(source) - seconds) > NEAR:
        return f"recording_duration says {recording_duration(source):.2f} s, {seconds:.2f} s are read"
    if bool(outcome.warning) != kind.warning:
        return f"expected {'a' if kind.warning else 'no'} warning, got {outcome.warning!r}"
    sound = slice(0, len(outcome.audio) // 2 if damaged else None)  # the first half is
    alike = likeness(outcome.audio[sound], kind.heard[sound])
    return "" if alike > 0.8 else f"it is not what was recorded: correlation {alike:.2f}"


# -- commands -------------------------------------------------------------------------------------------------

_HEAD = """# Recordings: formats and damage

Made by `tools/venv/bin/python tools/odd_recordings.py --docs docs/recordings.md`, which creates each of these files,
reads it, and compares the result with the original: length to 0.1 s, content at the right time, `recording_duration`,
and parts with the whole.

*read*: the whole recording, aligned with the video, with silence for gaps in the time line. *read with a warning*: the
intact parts; the warning (logger `k2d.audio`) says how many seconds are missing, and `--damaged skip` leaves damaged
files out. *named*: left out, with the reason in `skipped.txt`. No recording ends a job.

"""
_HEADER = ("container", "codec", "what is odd", "result", "seconds read (expected)", "says")
_TAIL = """
## How files are read

- **PCM, mu-law, A-law and float** in WAV, AIFF, CAF, AU …, **FLAC**, and intact **Ogg Vorbis** are read by
  libsndfile, which can seek to a sample. FLAC files are searched once for a second stream after the first.
- **Everything else** is read packet by packet (PyAV, which includes ffmpeg's libraries). Lengths in headers are not
  trusted, except that of an mp4 whose index lists every packet.
- **A part equals the same part of the whole.** Packets before it are counted, not decoded, which takes a second or two
  for an hour of AAC or mp3. If packets have varying numbers of samples (Vorbis in video files, chained Ogg), the
  sampling rate changes, or the decoder depends on all previous data (Yamaha's ADPCM, G.72x, GSM, WMA 1), the whole file
  is decoded and kept for the next part. To train on many parts of such recordings, let `k2d label` copy chunks to FLAC,
  its default.
- **Channels** are averaged, 5 s at a time; if the mean has less than half of the power expected from uncorrelated
  channels (opposite phase), the first loud channel is taken.
- **Of several tracks** the default one is read, or else the first.
- **Ogg files that begin in the middle of a stream**, such as recordings of internet radio, are read with a warning from
  where they begin. Nothing is damaged, so `--damaged skip` keeps them.
- **Files without a header** are read if their extension tells codec and rate (`.g722`, `.g729`, `.tco`). Others, such
  as `.ul`, `.pcm` and `.vox`, are named: convert them first.
- **Memory** does not depend on the length of a recording in labelling, checking and word times. Features of recordings
  over ten minutes go to a temporary file (in `$TMPDIR`, or else `/var/tmp`; up to 0.2 GB per hour). Models without long
  form (`transformers:`, `espnet:`) and parts of files that can only be decoded whole keep the samples of one recording
  in memory.

## Limits

| limit | value | why |
|---|---|---|
| longest recording | 8 h | its samples need 1.8 GB where they are kept whole |
| sampling rate | 2 kHz to 1 MHz | others are errors in the header |
| channels | 64; times sampling rate 16 million | likewise |
| loudest sample | 4 (full scale is 1) | integers stored as floats would be clipped |
| output of a command: pause, size | 10 min, 16 GiB | a `… |` in wav.scp that never ends; above 256 MB it goes to disk |
| a gap in the time line | 1 h; in MPEG, and in Ogg without missing pages, 10 s | a longer one is a timestamp error |
"""


def write_docs(path: Path) -> int:
    """The table of all kinds; returns how many are not as expected."""
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            if not can_make(kind):
                print(f"{kind.file}: left out, ffmpeg's programs are not installed", file=sys.stderr)
                continue
            source = make(kind, Path(folder))
            outcome = read(source)
            if trouble := fault(kind, source, outcome):
                wrong += 1
                print(f"{kind.file}: {trouble}", file=sys.stderr)
            rows.append(_row(kind, outcome, folder))
    path.write_text(_HEAD + "\n".join(table(_HEADER, rows, left=range(6))) + "\n" + _TAIL, encoding="utf-8")
    print(f"odd_recordings.py: {path}: {len(rows)} kinds, {wrong} not as expected")
    return wrong


def _row(kind: Kind, outcome: Outcome, folder: str) -> Sequence[str]:
    said = (outcome.message or outcome.warning).replace(f"{folder}/", "")
    said = re.sub(r"no such file from \S+;", "no such file;", said)
    seconds = ""
    if outcome.audio is not None:
        seconds = f"{len(outcome.audio) / SAMPLE_RATE:.2f} ({len(kind.heard) / SAMPLE_RATE:.2f})"
    return kind.container, kind.codec, kind.oddity, str(outcome), seconds, said


def label_corpus(model: str, count: int, folder: Path, batch_size: int) -> int:
    """Label a corpus with every kind in it, and its plain recordings alone; returns what is not as expected."""
    odd = [kind for kind in KINDS if can_make(kind) and kind.oddity != "none"]
    plain = {f"plain{n:04d}": folder / "audio" / f"plain{n:04d}.wav" for n in range(count - len(odd))}
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(plain.values()):
        soundfile.write(path, voice(4 + number % 5, number), SAMPLE_RATE)
    odd_sources = {kind.file.replace(".", "-"): make(kind, folder / "odd") for kind in odd}
    runs = {"all": {**plain, **odd_sources}, "plain": plain}
    for name, sources in runs.items():
        (folder / name).mkdir(exist_ok=True)
        lines = "".join(f"{key} {source}\n" for key, source in sorted(sources.items()))
        (folder / name / "wav.scp").write_text(lines)
        command = [sys.executable, "-m", "k2d.bin.main", "label", "--model", model, "--data", folder / name]
        options = ["--output_dir", folder / f"{name}_labels", "--batch_size", batch_size, "--temperatures", "0"]
        options += ["--max_new_tokens", "24", *(["--language", "en"] if english_only(model) else [])]
        done = subprocess.run([*map(str, command), *map(str, options)], cwd=Path(__file__).resolve().parents[1])
        if done.returncode:
            print(f"odd_recordings.py: k2d label ended with status {done.returncode}", file=sys.stderr)
            return 1
    texts = {name: _transcripts(folder / f"{name}_labels", scores=batch_size == 1) for name in runs}
    skipped = dict(
        line.split(" ", 1) for line in (folder / "all_labels/skipped.txt").read_text(encoding="utf-8").splitlines()
    )
    wrong = [key for key in plain if texts["all"].get(key) != texts["plain"].get(key)]
    for kind, key in zip(odd, odd_sources):
        reason = kind.heard if isinstance(kind.heard, str) else ""
        named = skipped.get(key, "").partition(":")[0]
        if named != reason or (key in texts["all"]) == bool(reason):
            wrong.append(key)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"odd_recordings.py: {count} recordings, {len(odd)} odd: {len(texts['all'])} labelled, {len(skipped)} skipped; "
        f"peak memory {peak:.2f} GB; not as expected: {' '.join(wrong) or 'none'}"
    )
    return len(wrong) + (peak > 3)


def _transcripts(labels: Path, scores: bool) -> dict[str, list]:
    """recording -> its segments; without their scores, whose last digits depend on who is decoded beside whom."""
    records = map(json.loads, (labels / "transcripts.jsonl").read_text(encoding="utf-8").splitlines())
    compared = ("start", "end", "text")
    return {
        record["id"]: record["segments"] if scores else [[s[name] for name in compared] for s in record["segments"]]
        for record in records
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, help="write the table there")
    parser.add_argument("--label", metavar="MODEL", help="label a corpus with this checkpoint")
    parser.add_argument("--recordings", type=int, default=500, help="in that corpus (default %(default)s)")
    # Who is decoded beside whom moves the last bits, by which a random model decides.
    parser.add_argument("--batch_size", type=int, default=1, help="0: k2d label's default (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the corpus is made (default: a temporary one)")
    args = parser.parse_args()
    if not (args.docs or args.label):
        parser.error("give --docs or --label")
    wrong = write_docs(args.docs) if args.docs else 0
    if args.label:
        with tempfile.TemporaryDirectory() as folder:
            wrong += label_corpus(args.label, args.recordings, args.folder or Path(folder), args.batch_size)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
