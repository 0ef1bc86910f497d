"""Recordings as people have them, one of every kind, made on the spot, and what is to be heard of each.

Libraries that the project has make them; a few codecs need ffmpeg's programs or Debian's libvo-amrwbenc0.
"""

import ctypes
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from ctypes.util import find_library
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from k2d.audio.flac_frames import frames_in
from k2d.audio.read import pcm16
from k2d.constants import SAMPLE_RATE

RATE = 48000  # of what is encoded


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
    the BadAudio; by default ALL. warning: whether a warning comes with it. needs: a program or a shared library, if
    any.
    """

    file: str
    codec: str
    oddity: str
    make: Callable[[Path], object]
    heard: np.ndarray | str = field(default_factory=lambda: ALL, repr=False)
    warning: bool = False
    needs: str = ""

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


def joined(*parts: Callable[[Path], object]) -> Callable[[Path], None]:
    """make(path) of files behind each other, as `cat` joins them."""

    def write(path: Path) -> None:
        data = b""
        for part in parts:
            part(path)
            data += path.read_bytes()
        path.write_bytes(data)

    return write


def changed(make: Callable[[Path], object], edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """make(path) of a file whose bytes are edited."""

    def write(path: Path) -> None:
        make(path)
        path.write_bytes(edit(path.read_bytes()))

    return write


def cut(data: bytes) -> bytes:
    return data[: int(len(data) * 0.6)]


def cut_to_zeros(data: bytes) -> bytes:
    """What a download leaves that made room for the file and stopped."""
    return cut(data).ljust(len(data), b"\0")


def damage(data: bytes) -> bytes:
    """A twentieth of a file, behind its middle, overwritten."""
    first, count = len(data) // 2, len(data) // 20
    return data[:first] + np.random.default_rng(0).bytes(count) + data[first + count :]


def gap(share: float) -> Callable[[bytes], bytes]:
    """edit(data): this share of a file, behind its middle, was never written."""

    def edit(data: bytes) -> bytes:
        first, count = len(data) // 2, int(share * len(data))
        return data[:first] + bytes(count) + data[first + count :]

    return edit


def damaged_often(data: bytes) -> bytes:
    """Ten places, the first of them in the first second, of 700 bytes."""
    rng, new = np.random.default_rng(1), bytearray(data)
    for place in np.linspace(0.02, 0.98, 10):
        first = int(place * len(data))
        new[first : first + 700] = rng.bytes(700)
    return bytes(new)


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


def patch(place: int | bytes, value: bytes) -> Callable[[bytes], bytes]:
    """Some bytes replaced: at an offset, or behind the first place where these stand."""

    def edit(data: bytes) -> bytes:
        at = data.find(place) + len(place) if isinstance(place, bytes) else place
        return data[:at] + value + data[at + len(value) :]

    return edit


def _behind_id3(data: bytes) -> bytes:
    tag = b"TIT2" + struct.pack(">I", 2) + b"\0\0\0x"
    return b"ID3\3\0\0" + bytes([0, 0, 0, len(tag)]) + tag + data


def _cover() -> bytes:
    """An ID3 tag with a picture, in which one finds what looks like frames."""
    picture = b"\0image/png\0\3\0" + np.random.default_rng(0).bytes(400_000) + bytes(64)
    tag = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    return b"ID3\3\0\0" + bytes(len(tag) >> shift & 127 for shift in (21, 14, 7, 0)) + tag


def _behind_cover(data: bytes) -> bytes:
    return _cover() + data


def _later_fragments(data: bytes) -> bytes:
    """An mp4 without its first fragment."""
    first = data.index(b"moof") - 4
    return data[:first] + data[data.index(b"moof", first + 8) - 4 :]


def _of_unknown_length(data: bytes) -> bytes:
    """FLAC whose 36 bits for the number of samples are 0."""
    return data[:21] + bytes([data[21] & 0xF0, 0, 0, 0, 0]) + data[26:]


def _later_frames(data: bytes) -> bytes:
    """A FLAC without its first 20 frames, as `ffmpeg -ss 5 -c copy` leaves it."""
    frames = frames_in(data, 4096)
    return data[: frames[0][0]] + data[next(at for at, sample in frames if sample == 20 * 4096) :]


def _middle(data: bytes) -> bytes:
    """An Ogg file without the second quarter of its pages: the headers, and then what a late listener hears."""
    pages = []
    while data:
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        pages.append(data[:size])
        data = data[size:]
    return b"".join(pages[:2] + pages[len(pages) // 2 :])


def _stale(mark: bytes, **form: str):
    """A file whose header was last written when ONE had been recorded. Behind `mark` the sound begins, or nearly."""

    def write(path: Path) -> None:
        wav(ONE, **form)(path)
        header = path.read_bytes()
        wav(ALL, **form)(path)
        sound = path.read_bytes()
        path.write_bytes(header[: header.find(mark) + len(mark) + 8] + sound[sound.find(mark) + len(mark) + 8 :])

    return write


def _before(mark: bytes, *parts: bytes):
    """edit(data): with bytes before a mark."""
    return lambda data: data.replace(mark, b"".join(parts) + mark, 1)


def _tenfold(mark: bytes, offset: int, form: str):
    """edit(data): ten times the number that stands so many bytes behind the begin of a mark."""

    def edit(data: bytes) -> bytes:
        at = data.find(mark) + offset
        end = at + struct.calcsize(form)
        return data[:at] + struct.pack(form, 10 * struct.unpack(form, data[at:end])[0]) + data[end:]

    return edit


def _in_two_chunks(data: bytes) -> bytes:
    """A WAV of ALL whose sound lies in two chunks, a note between them."""
    begin, middle = data.find(b"data"), 2 * len(ONE)
    first, second = data[begin + 8 :][:middle], data[begin + 8 :][middle:]
    content = data[8:begin] + b"data" + struct.pack("<I", len(first)) + first + b"LIST" + struct.pack("<I", 4) + b"INFO"
    content += b"data" + struct.pack("<I", len(second)) + second
    return b"RIFF" + struct.pack("<I", len(content)) + content


# Frames of 32 and of 192 kbit/s in turn, the first ones small, and no header that counts them.
_varying_mp3 = joined(
    tracks(Track(LONG_ONE, "libmp3lame", bit_rate=32000), write_xing="0", id3v2_version="0"),
    tracks(Track(LONG_TWO, "libmp3lame", bit_rate=192000), write_xing="0", id3v2_version="0"),
)


_two_rates = joined(enc(LONG_ONE, "aac", "adts", rate=44100), enc(LONG_TWO, "aac", "adts", rate=22050))


def _program(*arguments: object):
    """make(path): ffmpeg on a wav of ALL."""

    def write(path: Path) -> None:
        source = path.with_suffix(".source.wav")
        soundfile.write(source, LONG, RATE)
        ffmpeg("-i", source, *arguments, path)
        source.unlink()

    return write


def _amr_wb(path: Path, audio: np.ndarray) -> None:
    """As phones write it: in pauses no speech is sent."""
    library = ctypes.CDLL(find_library("vo-amrwbenc"))
    library.E_IF_init.restype = ctypes.c_void_p
    encoder, frame = ctypes.c_void_p(library.E_IF_init()), ctypes.create_string_buffer(64)
    data = b"#!AMR-WB\n"
    for part in pcm16(audio).reshape(-1, 320):
        size = library.E_IF_encode(encoder, 8, ctypes.c_void_p(part.ctypes.data), frame, 1)
        data += frame.raw[:size]
    library.E_IF_exit(encoder)
    path.write_bytes(data)


def _in_3gp(path: Path) -> None:
    _amr_wb(path.with_suffix(".awb"), PAUSES)
    _copy_packets(path.with_suffix(".awb"), path)


def _copy_packets(source_path: Path, path: Path) -> None:
    """Into another container, as `ffmpeg -c copy` does."""
    with av.open(str(source_path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)


def repacked(make: Callable[[Path], object], ending: str) -> Callable[[Path], None]:
    """make(path) of a recording that was in a file of another ending."""

    def write(path: Path) -> None:
        make(path.with_suffix(ending))
        _copy_packets(path.with_suffix(ending), path)

    return write


def _in_wav(path: Path, make: Callable[[Path], object], codec: int) -> None:
    """Frames as they are, and what WAV says of them."""
    make(path)
    sound = path.read_bytes()
    form = struct.pack("<HHIIHHH", codec, 1, RATE, 8 * len(sound) // 160, 1, 0, 0)
    content = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(sound)) + sound
    path.write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content + bytes(len(content) % 2))


def _compressed_wav(path: Path) -> None:
    """What a receiver puts out on a digital line, recorded as if it were samples."""
    encode(path, Track(stereo(LONG), "ac3"), form="spdif")
    samples = np.frombuffer(path.read_bytes(), np.int16).reshape(-1, 2)
    soundfile.write(path, samples, RATE)


def _other(source: str):
    def make(path: Path) -> str:
        wav(ALL)(path)
        return source.format(path)

    return make


_EIGHT = "pan=7.1|" + "|".join(f"c{channel}=c0" for channel in range(8))
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")  # begins the object that holds the sound
W64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # stands behind the four letters of its chunks
HOLE = np.concatenate([ONE, silence(4), TWO])
LATE = np.concatenate([silence(3), ALL])
PAUSES = np.concatenate([silence(3), ONE, silence(4), TWO, silence(3)])

KINDS: Sequence[Kind] = (
    Kind("plain.wav", "PCM", "none", wav(ALL)),
    Kind("plain.flac", "FLAC", "none", wav(ALL)),
    Kind("plain.mp3", "MP3", "none", enc(LONG, "libmp3lame")),
    Kind("plain.m4a", "AAC", "none", enc(LONG, "aac")),
    Kind("plain.opus", "Opus", "none", enc(LONG, "libopus")),
    Kind("plain.ogg", "Vorbis", "none", wav(ALL)),
    Kind("plain.wma", "WMA 2", "none", enc(LONG, "wmav2", bit_rate=96000)),
    Kind("fragments.mp4", "AAC", "fragments", enc(LONG, "aac", movflags="frag_keyframe+empty_moov")),
    Kind("room.mp3", "MP3", "zeros behind its end",
         changed(enc(LONG, "libmp3lame"), lambda data: data + bytes(100_000))),
    # lengths that are estimates
    Kind("varying.mp3", "MP3", "bit rate varies, no header", _varying_mp3),
    Kind("joined.mp3", "MP3", "joined with cat", joined(enc(LONG_ONE, "libmp3lame"), enc(LONG_TWO, "libmp3lame"))),
    Kind("rates.mp3", "MP3", "joined, rate and channels change",
         joined(enc(LONG_ONE, "libmp3lame", rate=22050), enc(stereo(LONG_TWO), "libmp3lame"))),
    *(Kind(f"covers.{ending}", name, "behind tags with pictures, joined with cat",
           joined(*(changed(enc(part, codec, **more), _behind_cover) for part in (LONG_ONE, LONG_TWO))))
      for ending, name, codec, more in (
          ("mp3", "MP3", "libmp3lame", {}), ("mp2", "MP2", "mp2", {}), ("ac3", "AC-3", "ac3", {}),
          ("aac", "AAC", "aac", {"form": "adts"}))),
    Kind("cover.mp3", "MP3", "a tag with a picture at the end",
         changed(enc(LONG, "libmp3lame"), lambda data: data + _cover())),
    Kind("raw.aac", "AAC", "raw", enc(LONG, "aac", "adts")),
    # lengths that are unknown, codecs without seeking
    Kind("chained.ogg", "Vorbis", "chained", joined(wav(ONE), wav(TWO))),
    Kind("codecs.mka", "AAC, then Opus", "joined, the codec changes",
         joined(enc(LONG_ONE, "aac"), enc(LONG_TWO, "libopus"))),
    Kind("rates.ogg", "Vorbis", "chained, rate and channels change", joined(wav(ONE), wav(stereo(LONG_TWO), RATE))),
    Kind("chained.opus", "Opus", "chained, channels change",
         joined(enc(LONG_ONE, "libopus"), enc(stereo(LONG_TWO), "libopus"))),
    Kind("codecs.ogg", "Vorbis, Opus", "chained, codec changes", joined(wav(ONE), enc(LONG_TWO, "libopus", "ogg"))),
    Kind("piped.flac", "FLAC", "written to a pipe", changed(wav(ALL), _of_unknown_length)),
    Kind("joined.flac", "FLAC", "joined with cat", joined(wav(ONE), wav(TWO))),
    Kind("joined.wav", "PCM", "joined with cat", joined(wav(ONE), wav(TWO))),
    Kind("joined.aiff", "PCM", "joined with cat", joined(wav(ONE), wav(TWO))),
    Kind("sizes.wav", "PCM", "joined with cat, RIFF size wrong",
         joined(changed(wav(ONE), patch(b"RIFF", b"\xff" * 4)), wav(TWO))),
    Kind("joined.m4a", "AAC", "joined with cat", joined(enc(LONG_ONE, "aac"), enc(LONG_TWO, "aac"))),
    Kind("joined.mp4", "AAC", "fragments, joined with cat",
         joined(*(enc(part, "aac", movflags="frag_keyframe+empty_moov") for part in (LONG_ONE, LONG_TWO)))),
    *(Kind(f"joined.{ending}", name, "joined with cat",
           joined(*(enc(part, codec, **more) for part in (LONG_ONE, LONG_TWO))))
      for ending, name, codec, more in (
          ("flv", "AAC", "aac", {}), ("tta", "TTA", "tta", {}), ("wv", "WavPack", "wavpack", {}),
          ("wma", "WMA 2", "wmav2", {"bit_rate": 96000}), ("voc", "PCM", "pcm_s16le", {}),
          ("caf", "ALAC", "alac", {}), ("rm", "AC-3", "ac3", {}))),
    Kind("tags.flac", "FLAC", "joined with cat, behind ID3 tags", joined(*[changed(wav(ONE), _behind_id3)] * 2),
         np.concatenate([ONE, ONE])),
    Kind("gsm.wav", "GSM 6.10", "no seeking", wav(ALL, subtype="GSM610", format="WAV")),
    Kind("g721.au", "G.721", "no seeking", wav(ALL, subtype="G721_32", format="AU")),
    Kind("ima.wav", "IMA ADPCM", "blocks", wav(ALL, subtype="IMA_ADPCM", format="WAV")),
    Kind("ms.wav", "MS ADPCM", "blocks", wav(ALL, subtype="MS_ADPCM", format="WAV")),
    Kind("mulaw.wav", "mu-law", "8 kHz", wav(soxr.resample(ALL, SAMPLE_RATE, 8000), 8000, subtype="ULAW")),
    Kind("ima4.caf", "IMA ADPCM", "as QuickTime has it", enc(LONG, "adpcm_ima_qt", rate=8000)),
    Kind("phone.awb", "AMR-WB", "no frames in pauses", lambda p: _amr_wb(p, PAUSES), PAUSES, needs="vo-amrwbenc"),
    Kind("phone.3gp", "AMR-WB", "no frames in pauses", _in_3gp, PAUSES, needs="vo-amrwbenc"),
    Kind("float.w64", "float", "extended header", _program("-c:a", "pcm_f32le"), needs="ffmpeg"),
    Kind("off.w64", "PCM", "data size 0: written into a pipe",
         changed(wav(ALL, subtype="PCM_16"), patch(b"data" + W64, bytes(8)))),
    Kind("pipe.w64", "float", "written into a pipe",
         changed(_program("-c:a", "pcm_f32le"), patch(b"data" + W64, b"\xff" * 7 + b"\x7f")), needs="ffmpeg"),
    Kind("pipe.rf64.wav", "PCM", "RF64, written into a pipe",
         changed(changed(wav(ALL, format="RF64"), patch(b"ds64\x1c\0\0\0", bytes(24))), patch(b"data", b"\xff" * 4))),
    Kind("pipe.aiff", "PCM", "written into a pipe by SoX",
         changed(changed(wav(ALL), patch(b"SSND", b"\x7f\0\0\x08")), patch(b"COMM\0\0\0\x12\0\1", b"\x3f\x80\0\0"))),
    Kind("pipe.aifc", "mu-law", "written into a pipe by SoX",
         changed(wav(ALL, format="AIFF", subtype="ULAW"), patch(b"SSND", b"\x7f\0\0\x08"))),
    Kind("pipe.avi", "MP3", "written into a pipe", changed(enc(LONG, "libmp3lame"), patch(4, b"\xff" * 4))),
    Kind("pipe.wma", "WMA 2", "written into a pipe",
         changed(enc(LONG, "wmav2", bit_rate=96000), patch(ASF_DATA, struct.pack("<Q", 50)))),
    Kind("joined.w64", "PCM", "joined with cat", joined(*(wav(part, subtype="PCM_16") for part in (ONE, TWO)))),
    Kind("joined.rf64.wav", "PCM", "RF64, joined with cat", joined(*(wav(part, format="RF64") for part in (ONE, TWO)))),
    Kind("integers64.wav", "PCM", "64 bits", _program("-c:a", "pcm_s64le"), needs="ffmpeg"),
    Kind("samples.mov", "PCM", "96 kHz, packets of several sizes",
         _program("-ar", 96000, "-c:a", "pcm_s24le"), needs="ffmpeg"),
    Kind("bytes.avi", "G.722", "its stamps count bytes", _program("-ar", 16000, "-c:a", "g722"), needs="ffmpeg"),
    Kind("dvd.vob", "PCM", "packets begin inside a sample", _program("-c:a", "pcm_dvd"), needs="ffmpeg"),
    Kind("film.swf", "MP3", "Flash", _program("-ar", 44100, "-c:a", "libmp3lame"), needs="ffmpeg"),
    Kind("raw.g722", "G.722", "no header", enc(LONG, "g722", rate=16000)),
    Kind("raw.sbc", "SBC", "no header", _program("-ar", 44100, "-c:a", "sbc"), needs="ffmpeg"),
    Kind("phone.sln", "PCM", "no header: Asterisk",
         wav(soxr.resample(ALL, SAMPLE_RATE, 8000), 8000, format="RAW", subtype="PCM_16")),
    Kind("new.voc", "PCM", "blocks of the new kind", enc(LONG, "pcm_s16le")),
    # known first bytes, a codec libsndfile lacks
    Kind("tag.aac", "AAC", "behind an ID3 tag", changed(enc(LONG, "aac", "adts"), _behind_id3)),
    Kind("flac.ogg", "FLAC", "in Ogg", enc(LONG, "flac")),
    Kind("speex.ogg", "Speex", "in Ogg", _program("-ar", 16000, "-c:a", "libspeex"), needs="ffmpeg"),
    Kind("opus.caf", "Opus", "in CAF", _program("-c:a", "libopus"), needs="ffmpeg"),
    Kind("alac.caf", "ALAC", "in CAF", enc(LONG, "alac")),
    Kind("film.ogv", "Theora, Vorbis", "film",
         _program("-f", "lavfi", "-i", "testsrc=d=20:s=64x64:r=10", "-c:v", "libtheora", "-c:a", "libvorbis"),
         needs="ffmpeg"),
    Kind("mp3.wav", "MP3", "in WAV", enc(LONG, "libmp3lame")),
    Kind("adts.wav", "AAC", "in WAV", lambda path: _in_wav(path, enc(LONG, "aac", "adts"), 0x00FF)),
    Kind("digital.wav", "AC-3", "in WAV that says PCM (S/PDIF)", _compressed_wav),
    # streams that change
    Kind("moves.ts", "AAC, then MP2", "joined with cat, the sound moves",
         joined(enc(LONG_ONE, "aac", film="mpeg2video", mpegts_start_pid="256"),
                enc(LONG_TWO, "mp2", film="mpeg2video", mpegts_start_pid="300"))),
    Kind("channels.aac", "AAC", "channels change",
         joined(enc(LONG_ONE, "aac", "adts"), enc(stereo(LONG_TWO), "aac", "adts"))),
    Kind("rates.aac", "AAC", "rate changes",
         joined(enc(LONG_ONE, "aac", "adts", rate=44100), enc(LONG_TWO, "aac", "adts"))),
    Kind("rates.ts", "AAC", "joined with cat, rate changes",
         joined(enc(LONG_ONE, "aac", rate=44100), enc(LONG_TWO, "aac", rate=22050))),
    Kind("rates.packed.ts", "AAC", "rate changes", repacked(_two_rates, ".aac")),
    Kind("rates.mpg", "MP2", "joined with cat, rate changes",
         joined(enc(LONG_ONE, "mp2", rate=44100), enc(LONG_TWO, "mp2", rate=32000))),
    # time lines
    Kind("hole.webm", "Opus", "a hole", tracks(Track(LONG, "libopus", hole=(A, 4))), HOLE, warning=True),
    Kind("hole.mkv", "AAC", "a hole", tracks(Track(LONG, "aac", hole=(A, 4))), HOLE, warning=True),
    Kind("hole.mp4", "AAC", "a hole", tracks(Track(LONG, "aac", hole=(A, 4))), HOLE, warning=True),
    Kind("late.mkv", "AAC", "sound begins 3 s after the film", tracks(Track(LONG, "aac", begin=3), film="mpeg4"), LATE),
    Kind("late.mp4", "AAC", "sound begins 3 s after the film", tracks(Track(LONG, "aac", begin=3), film="mpeg4"), LATE),
    Kind("late.mpg", "MP2", "sound begins 3 s after the film",
         tracks(Track(LONG, "mp2", begin=3), film="mpeg2video"), LATE),
    *(Kind(f"later.{ending}", name, "sound begins 15 s after the film",
           tracks(Track(LONG, codec, begin=15), film="mpeg2video"), np.concatenate([silence(15), ALL]))
      for ending, name, codec in (("mpg", "MP2", "mp2"), ("ts", "AAC", "aac"))),
    Kind("late.ogv", "Theora, Opus", "sound begins 3 s after the film",
         _program("-f", "lavfi", "-i", "testsrc=d=23:s=64x64:r=10", "-c:v", "libtheora", "-c:a", "libopus", "-af",
                  "asetpts=PTS+3/TB"), LATE, needs="ffmpeg"),
    # Which does not say when.
    Kind("late.avi", "MP3", "sound begins 3 s after the film",
         tracks(Track(LONG, "libmp3lame", begin=3), film="mpeg4")),
    Kind("film.mpg", "MP2", "program stream", enc(LONG, "mp2", film="mpeg2video")),
    Kind("film.ts", "AAC", "transport stream", enc(LONG, "aac", film="mpeg2video")),
    Kind("film.avi", "MP3", "film", enc(LONG, "libmp3lame", film="mpeg4")),
    Kind("film.flv", "MP3", "film", enc(LONG, "libmp3lame", film="flv", rate=44100)),
    Kind("ac3.mkv", "AC-3", "film", enc(LONG, "ac3", film="mpeg4")),
    # which track, which channel
    Kind("tracks.mkv", "AAC", "the second track is the default",
         tracks(Track(LONG[::-1].copy(), "aac", default=False), Track(LONG, "aac"))),
    *(Kind(f"eight.{ending}", name, "eight channels", _program("-af", _EIGHT, "-c:a", codec), needs="ffmpeg")
      for ending, name, codec in (("opus", "Opus", "libopus"), ("wv", "WavPack", "wavpack"), ("m4a", "AAC", "aac"))),
    Kind("opposite.wav", "PCM", "stereo in opposite phase", wav(np.stack([ALL, -ALL], 1))),
    Kind("opposite.m4a", "AAC", "stereo in opposite phase", enc(np.stack([LONG, -LONG], 1), "aac")),
    Kind("near_silent.wav", "PCM", "a near-silent channel", wav(np.stack([ALL, ALL[::-1] * 1e-4], 1))),
    # headers that lie
    Kind("off.wav", "PCM", "data size 0: recorder switched off",
         changed(changed(wav(ALL), patch(4, bytes(4))), patch(b"data", bytes(4)))),
    Kind("chunks.wav", "PCM", "two data chunks", changed(wav(ALL), _in_two_chunks)),
    Kind("stale.wav", "PCM", "its header tells a quarter: lost power", _stale(b"data")),
    Kind("stale_ima.wav", "IMA ADPCM", "its header tells a quarter", _stale(b"data", subtype="IMA_ADPCM")),
    Kind("stale_rf64.wav", "PCM", "RF64, its header tells a quarter", _stale(b"data", format="RF64")),
    Kind("stale.w64", "PCM", "its header tells a quarter", _stale(b"data", subtype="PCM_16")),
    Kind("stale.aiff", "PCM", "its header tells a quarter", _stale(b"SSND")),
    Kind("stale.aifc", "mu-law", "its header tells a quarter", _stale(b"SSND", format="AIFF", subtype="ULAW")),
    Kind("stale.flac", "FLAC", "its header tells a quarter",
         changed(wav(ALL), lambda data: data[:22] + struct.pack(">I", len(ALL) // 4) + data[26:])),
    Kind("stale.caf", "PCM", "its header tells a quarter", _stale(b"data")),
    Kind("stale.au", "PCM", "its header tells a quarter", _stale(b".snd")),
    Kind("padding.wav", "PCM", "a chunk before its sound lacks the padding byte",
         changed(wav(ALL), _before(b"data", b"LIST", struct.pack("<I", 5), b"INFO "))),
    Kind("padding.aiff", "PCM", "a chunk before its sound lacks the padding byte",
         changed(wav(ALL), _before(b"COMM", b"NAME", struct.pack(">I", 5), b"Noise"))),
    Kind("claims.wav", "PCM", "a chunk before its sound claims 2 GB",
         changed(wav(ALL), _before(b"data", b"LIST", struct.pack("<I", 2**31 - 1), b"INFOISFT"))),
    Kind("claims.aiff", "PCM", "a chunk before its sound claims 2 GB",
         changed(wav(ALL), _before(b"SSND", b"NAME", struct.pack(">I", 2**31 - 1), b"Noise "))),
    Kind("claims.w64", "PCM", "a chunk before its sound claims 2 GB",
         changed(wav(ALL, subtype="PCM_16"), _before(b"data" + W64, b"junk" + W64, struct.pack("<QQ", 2**31, 0)))),
    Kind("claims.caf", "PCM", "a chunk before its sound claims 2 GB",
         changed(wav(ALL), _before(b"data", b"free", struct.pack(">QQ", 2**31, 0)))),
    Kind("counts.mp3", "MP3", "its header counts ten times the frames",
         changed(enc(LONG, "libmp3lame"), _tenfold(b"Info", 8, ">I"))),
    # As if cut: many cuts lie where a frame ends, so that nothing tells the two apart.
    Kind("both.mp3", "MP3", "its header counts ten times the frames and bytes",
         changed(changed(enc(LONG, "libmp3lame"), _tenfold(b"Info", 8, ">I")), _tenfold(b"Info", 12, ">I")),
         warning=True),
    Kind("counts.wav", "IMA ADPCM", "its header counts ten times the samples",
         changed(wav(ALL, subtype="IMA_ADPCM", format="WAV"), _tenfold(b"fact", 8, "<I"))),
    Kind("counts.mkv", "AAC", "its header tells ten times the length",
         changed(enc(LONG, "aac"), _tenfold(b"\x44\x89\x88", 3, ">d"))),
    Kind("rate.wav", "PCM", "rate of 1 Hz", wav(ALL, 1), "rate"),
    Kind("rates.au", "PCM", "rate of 3 GHz", changed(wav(ALL), patch(16, struct.pack(">I", 3 * 10**9))), "rate"),
    Kind("integers.wav", "float", "integers in floats", wav(ALL * 32768, subtype="FLOAT"), "too loud"),
    Kind("loud.wav", "float", "34 dB beyond full scale", wav(ALL * 50, subtype="FLOAT"), "too loud"),
    Kind("huge.wav", "float", "samples of 1e30", wav(stereo(ALL) * 1e30, subtype="FLOAT"), "too loud"),
    Kind("nan.wav", "float", "not a number", wav(np.append(ALL, np.float32(np.nan)), subtype="FLOAT"), "NaN"),
    Kind("instrument.xi", "DPCM", "FastTracker", wav(ALL, subtype="DPCM_16"), "rate"),
    Kind("silent.wav", "PCM", "silence", wav(silence(20)), "silence"),
    Kind("offset.wav", "PCM", "silence with an offset", wav(np.stack([silence(20) + 0.3, silence(20)], 1), 44100),
         "silence"),
    Kind("short.wav", "PCM", "0.05 s", wav(ALL[:800]), "too short"),
    Kind("middle.opus", "Opus", "begins in the middle of its stream",
         changed(enc(LONG, "libopus", page_duration="500000"), _middle), ALL[-168000:], warning=True),
    Kind("middle.flac", "FLAC", "begins in the middle of its stream", changed(wav(ALL), _later_frames),
         ALL[20 * 4096 :], warning=True),
    Kind("middle.mp4", "AAC", "fragments, begins in the middle of its stream",
         changed(enc(LONG, "aac", movflags="frag_keyframe+empty_moov+default_base_moof", frag_duration="5000000"),
                 _later_fragments),
         ALL[80000:], warning=True),
    # what cannot be read
    Kind("list.m3u8", "", "a playlist", lambda path: path.write_text("#EXTM3U\nx.wav\n"), "not audio"),
    Kind("tape.ul", "mu-law", "no header", lambda path: path.write_bytes(bytes(range(256)) * 99), "not audio"),
    Kind("nul.wav", "", "NUL in the path", _other("{}\0.wav"), "missing"),
    Kind("place.wav", "", "place beyond the file", _other("{}:99999999999"), "not audio"),
    Kind("codec.wav", "unknown", "a codec nobody has", changed(wav(ALL), patch(20, b"\x34\x12")), "not audio"),
    *(Kind(f"frames.{ending}", "AAC", "frames behind each other, without heads", enc(LONG, "aac"), "unreadable")
      for ending in ("wav", "w64")),
    Kind("keyed.mp4", "AAC", "encrypted",
         _program("-c:a", "aac", "-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "01" * 16,
                  "-encryption_kid", "02" * 16), "encrypted", needs="ffmpeg"),
    Kind("fifo.wav", "", "a FIFO", os.mkfifo, "not audio"),
    Kind("missing.wav", "", "missing", lambda path: None, "missing"),
    Kind("empty.wav", "", "empty", lambda path: path.touch(), "empty"),
    Kind("text.mp3", "", "a page in place of sound",
         lambda path: path.write_text("<html>not found</html>\n" * 99), "not audio"),
    Kind("zeros.mp3", "", "zeros in place of sound", lambda path: path.write_bytes(bytes(300000)), "not audio"),
    # damage
    Kind("cut.wav", "PCM", "cut", changed(wav(ALL), cut), ALL[:192000], warning=True),
    Kind("cut.flac", "FLAC", "cut", changed(wav(ALL), cut), ALL[:192000], warning=True),
    Kind("cut.mp3", "MP3", "cut", changed(enc(LONG, "libmp3lame"), cut), ALL[:192000], warning=True),
    Kind("cut.ogg", "Vorbis", "cut", changed(wav(ALL), cut), ALL[:192000], warning=True),
    Kind("cut.opus", "Opus", "cut", changed(enc(LONG, "libopus", bit_rate=64000), cut), ALL[:192000], warning=True),
    Kind("cut.mp4", "AAC", "cut, index first",
         changed(enc(LONG, "aac", movflags="faststart"), cut), ALL[:192000], warning=True),
    Kind("cut.m4v", "AAC", "fragments, cut",
         changed(enc(LONG, "aac", "mp4", movflags="frag_keyframe+empty_moov", frag_duration="1000000"), cut),
         ALL[:192000], warning=True),
    Kind("cut.webm", "Opus", "recorded live, cut", changed(enc(LONG, "libopus", live="1"), cut), ALL[:192000],
         warning=True),
    Kind("cut.mkv", "AAC", "film, cut", changed(enc(LONG, "aac", film="mpeg4"), cut), ALL[:192000], warning=True),
    Kind("cut.flv", "AAC", "cut", changed(enc(LONG, "aac"), cut), ALL[:192000], warning=True),
    *(Kind(f"cut.zeros.{ending}", name, "cut, zeros in place of the rest",
           changed(enc(LONG, codec, **more), cut_to_zeros), ALL[:192000], warning=True)
      for ending, name, codec, more in (
          ("mkv", "AAC", "aac", {"film": "mpeg4"}), ("webm", "Opus", "libopus", {}),
          ("avi", "MP3", "libmp3lame", {"film": "mpeg4"}), ("wma", "WMA 2", "wmav2", {"bit_rate": 96000}),
          ("flv", "AAC", "aac", {}), ("ts", "AAC", "aac", {}), ("mpg", "MP2", "mp2", {}),
          ("mxf", "PCM", "pcm_s16le", {"film": "mpeg2video"}), ("wv", "WavPack", "wavpack", {}),
          ("mp4", "AAC", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}))),
    Kind("index.mp4", "AAC", "cut, its index is lost", changed(enc(LONG, "aac"), cut), "truncated"),
    Kind("damaged.mp3", "MP3", "damaged", changed(enc(LONG, "libmp3lame"), damage), warning=True),
    Kind("damaged.m4a", "AAC", "damaged", changed(enc(LONG, "aac"), damage), warning=True),
    Kind("damaged.m4v", "AAC", "fragments, a twentieth is zeros",
         changed(enc(LONG, "aac", "mp4", movflags="frag_keyframe+empty_moov", frag_duration="1000000"), gap(0.05)),
         warning=True),
    Kind("damaged.flac", "FLAC", "damaged", changed(wav(ALL), damage), warning=True),
    Kind("damaged.opus", "Opus", "damaged", changed(enc(LONG, "libopus"), damage), warning=True),
    Kind("damaged.aac", "AAC", "raw, damaged", changed(enc(LONG, "aac", "adts"), damage), warning=True),
    Kind("damaged.ac3", "AC-3", "damaged", changed(enc(LONG, "ac3"), damage), warning=True),
    Kind("damaged.eac3", "E-AC-3", "damaged", changed(enc(LONG, "eac3"), damage), warning=True),
    Kind("damaged.mp2", "MP2", "damaged", changed(enc(LONG, "mp2"), damage), warning=True),
    Kind("damaged.often.ac3", "AC-3", "damaged in ten places", changed(enc(LONG, "ac3"), damaged_often), warning=True),
    Kind("damaged.often.mp2", "MP2", "damaged in ten places", changed(enc(LONG, "mp2"), damaged_often), warning=True),
    Kind("damaged.thd", "TrueHD", "a twentieth is noise",
         changed(_program("-c:a", "truehd", "-strict", "-2", "-f", "truehd"), damage), warning=True, needs="ffmpeg"),
    Kind("damaged.wma", "WMA 2", "a twentieth is noise", changed(enc(LONG, "wmav2", bit_rate=96000), damage),
         warning=True),
    Kind("damaged.avi", "MP3", "film, damaged", changed(enc(LONG, "libmp3lame", film="mpeg4"), damage), warning=True),
    Kind("damaged.pcm.avi", "PCM", "damaged", changed(enc(LONG, "pcm_s16le"), damage), warning=True),
    Kind("damaged.tta", "TTA", "a twentieth is zeros", changed(enc(LONG, "tta"), gap(0.05)), warning=True),
    Kind("damaged.noise.wv", "WavPack", "a twentieth is noise", changed(enc(LONG, "wavpack"), damage), warning=True),
    Kind("damaged.wv", "WavPack", "a twentieth is zeros", changed(enc(LONG, "wavpack"), gap(0.05)), warning=True),
    Kind("damaged.wav", "MP3", "damaged", changed(enc(LONG, "libmp3lame"), damage), warning=True),
    Kind("damaged.ts", "AAC", "damaged", changed(enc(LONG, "aac"), damage), warning=True),
    Kind("damaged.mpg", "MP2", "film, three tenths are zeros",
         changed(enc(LONG, "mp2", film="mpeg2video"), gap(0.3)), warning=True),
    Kind("damaged.rm", "AC-3", "damaged", changed(enc(LONG, "ac3"), damage), warning=True),
    Kind("cut.rm", "AC-3", "cut", changed(enc(LONG, "ac3"), cut), ALL[:192000], warning=True),
    Kind("cut.wma", "WMA 2", "cut", changed(enc(LONG, "wmav2", bit_rate=96000), cut), ALL[:192000], warning=True),
)  # fmt: skip


def can_make(kind: Kind) -> bool:
    return not kind.needs or bool(shutil.which(kind.needs) or find_library(kind.needs))


def make(kind: Kind, folder: Path) -> str:
    """Write a recording of a kind; returns its source."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind.file
    source = kind.make(path)
    return source if isinstance(source, str) else str(path)
