"""Recordings whose length or time line only their packets tell, read by PyAV, which carries ffmpeg's libraries.

In: an open file. Out: blocks of samples that lie on the film's time line: it begins where the file does,
pauses and lost packets are silence, and a clock that jumps back goes on.

A part is the same samples as in the whole, because both count: packets before it are counted from the file's
beginning, without being decoded, by what the first second shows a packet to hold. Where that is no rule, or the
sampling rate changes, `Irregular` says that only the whole can be read.
"""

import errno
import io
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from k2d.audio.cut import counted_mp3, ends_inside
from k2d.audio.joined import is_sound_page
from k2d.audio.sizes import Pieces
from k2d.errors import BadAudio

GRID = 5  # seconds; blocks end at multiples of it, and parts are read from one
_PRIMING = 64  # packets decoded before a part: mp3, AAC and Opus frames need those before
_SECTION = 6 * GRID  # seconds; decoders that draw noise are new in each section, in the whole as in a part
_NOISY = {"aac", "aac_latm", "ac3", "eac3", "mp2"}
# What these make of a packet depends on a few packets before it at most. Of all others it may depend on every one
# (AMR, GSM, G.72x, Speex), so that parts are cut out of the whole.
_FORGETTING = frozenset(
    "aac aac_latm ac3 adpcm_ima_wav adpcm_ms alac ape dts eac3 flac mp1 mp2 mp3 opus tak tta vorbis wavpack wmapro "
    "wmav2".split()
)
_LOSSY = frozenset("aac aac_latm ac3 dts eac3 mp1 mp2 mp3 opus vorbis wmapro wmav1 wmav2".split())
# Frame types from which on no speech was sent (3GPP TS 26.101 and 26.201): in pauses phones send comfort noise at most,
# which ffmpeg's libraries do not decode.
_PAUSES = {"amr_nb": 8, "amr_wb": 9}
# Bits of a frame's first bytes that say its sampling rate, where time stamps are made by counting frames.
_RATE_BITS = {"aac": (0, 0, 0x3C, 0, 0), "mp3": (0, 0x18, 0x0C, 0, 0), "ac3": (0, 0, 0, 0, 0xC0)}
_LEARN = 1.0  # seconds after which it is known how many samples a packet holds
_EVIDENCE = 3  # packets, without durations, of which as many samples are no chance
_JITTER = 0.1  # seconds by which time stamps may differ from what the samples say
_CLOCK_JUMP = 10.0  # seconds; a longer hole of a format whose clock may jump (MPEG, Ogg) is such a jump
_LONGEST_HOLE = 3600.0  # seconds; a longer one is a broken time stamp
_GRACE = 0.5  # seconds less than the header promises are still whole: encoders pad, containers round
# What PyAV does not give as an array: planes of so many channels or more, and these integers.
_PLANES, _INTEGERS_OF_64 = 8, ("s64", "s64p")
_LOUD = 4.0  # of full scale: lossy codecs stay below, unless a packet is damaged
_BURST = 2.0  # times the frames around it: what a damaged packet makes
_BURSTS = 10  # more such frames in a row are no damage: the recording is so loud
_ERRORS = 100  # broken packets in a row, after which nothing sound is expected

# Formats of sound and film only: with others, such as playlists, ffmpeg opens further addresses.
_FORMATS = (
    "aa,aac,ac3,act,adx,aea,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,codec2,dhav,dsf,dss,dts,dtshd,dv,eac3,flac,flv,"
    "gsm,gxf,hcom,iff,ilbc,ircam,ivr,kux,live_flv,loas,lvf,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nistsphere,nsv,nut,ogg,oma,osq,pva,pvf,qcp,qoa,rm,rso,shn,sox,spdif,swf,tak,truehd,tta,ty,vivo,voc,vqf,w64,"
    "wav,wsd,wtv,wv,wve,xwma"
)
HEADERLESS = {".g722": "g722", ".722": "g722", ".g729": "g729", ".tco": "g723_1", ".g723": "g723_1"}  # of one rate each
# Stamps made by counting.
_NO_CLOCK = {"aac", "ac3", "amr", "amrnb", "amrwb", "dts", "dtshd", "eac3", "gsm", "loas", "mlp", "mp3", "truehd"}
_NO_CLOCK |= set(HEADERLESS.values())
# Whose header tells the length, so that less than that is damage,
_PROMISING = {"ape", "flac", "mov", "tak", "tta", "wv"}
# or is damage only where the file also lacks bytes, or some could not be decoded: the header may be wrong.
_ESTIMATING = {"asf", "avi", "matroska", "mp3"}


_Piece = tuple[int, np.ndarray, int]  # rate, (frames, channels), how many of the frames lie before what is wanted

_FAILING = frozenset(
    getattr(errno, name) for name in "EIO ESTALE ENXIO ENODEV ENOTCONN ETIMEDOUT EHOSTDOWN EREMOTEIO".split()
)


def drive_fails(error: BaseException) -> bool:
    """Whether the system could not read, so that nothing is known of the file: a disk or network drive fails."""
    return isinstance(error, OSError) and error.errno in _FAILING


class Irregular(Exception):
    """What lies before a part cannot be counted; the whole can be read."""


class ContainerReader:
    """Anything ffmpeg's libraries read; a film gives its default audio track.

    rate (Hz), channels, tracks: as the header says. seconds: only where the header is known to be right, else None.
    late: seconds into an Ogg stream at which the file begins. Known when the blocks have been read: lost, seconds that
    could not be decoded; holes, seconds of silence where the time line has none of its sound; cut, whether the end is
    missing by an unknown time.
    """

    def __init__(self, source: str, file, pages_lost: bool = False, form: str | None = None, lacking: float = 0.0,
                 damaged: bool = False):  # fmt: skip
        """pages_lost: of an Ogg file pages are missing, so a long hole is no jump of its clock. form: ffmpeg's name of
        a format that has no header. lacking: by how much the sound should be longer than it is. damaged: pages of an
        Ogg file are there, and wrong, so that sound which begins late is a hole.
        """
        import av  # here, because most corpora never need it

        self.source, self._errors = source, (av.error.FFmpegError, OSError, ValueError)
        self._file, self._pages_lost, self._form, self._lacking = file, pages_lost, form, lacking
        self._av, self.lost, self.holes, self._silenced, self.cut = av, 0.0, 0.0, 0.0, False
        self._damaged = damaged
        self._packed: tuple = None, None  # what makes floats, the channels in turn, of frames of which form
        self._open()
        codec = self._stream.codec_context
        self.rate, self.channels = codec.sample_rate or 0, codec.channels or 0
        self._promised = self._promise()
        begins_late = self._pages_lost and "ogg" in self._formats and self._origin > _JITTER
        self.late = self._origin if begins_late else 0.0
        self.seconds = self._promised if self._indexed() else None

    def _open(self, more: dict | None = None) -> None:
        whole = Pieces(self._file, [(0, self._file.seek(0, io.SEEK_END))], owned=False)
        options = {"format_whitelist": self._form or _FORMATS, **(more or {})}
        self._container = self._av.open(whole, mode="r", format=self._form, options=options, buffer_size=2**18)
        tracks = self._container.streams.audio
        if not tracks and more is None and self._container.streams:
            self._container.close()  # sound that begins late in a film without a header is found by looking further
            return self._open({"probesize": str(2**28), "analyzeduration": str(600 * 10**6)})
        known = [track for track in tracks if track.codec_context is not None]
        if not known:
            self._container.close()
            why = "no decoder knows the codec of its sound" if tracks else "the file has no audio track"
            raise BadAudio(self.source, "not audio", f"{why}; correct or remove it")
        default = self._av.stream.Disposition.default
        self._stream = next((track for track in known if track.disposition & default), known[0])
        self.tracks = len(known)
        self._formats = set(self._container.format.name.split(","))  # ffmpeg's names of it
        self._clock_jumps = bool(self._container.format.flags & self._av.format.Flags.ts_discont.value)
        begin = self._container.start_time
        damaged = self._damaged and "ogg" in self._formats
        self._origin = 0.0 if begin is None or damaged else begin / self._av.time_base
        length = self._container.duration
        self._clock = not self._formats & _NO_CLOCK
        self._longest_hole = _CLOCK_JUMP if self._clock_jumps and not self._pages_lost else _LONGEST_HOLE
        self._end = np.inf if length is None or self._clock_jumps else length / self._av.time_base + 1.0

    def _promise(self) -> float | None:
        """Seconds of the track as the header promises them; None where that is an estimate or about the film."""
        stream, names = self._stream, self._formats
        if "mp3" in names:
            counted = counted_mp3(self._file)
            return counted[0] * (1152 if self.rate >= 32000 else 576) / self.rate if counted and self.rate else None
        if names & (_PROMISING | _ESTIMATING) and stream.duration is not None and "matroska" not in names:
            late = 0.0
            if stream.start_time is not None:
                late = max(0.0, float(stream.start_time * stream.time_base) - self._origin)
            return float(stream.duration * stream.time_base) + (late if late > _JITTER else 0.0)
        if names & _ESTIMATING and self._container.duration:
            return self._container.duration / self._av.time_base - max(0.0, self._origin)  # which it counts from 0
        return None

    def _indexed(self) -> bool:
        """Whether the header lists every packet and the file holds the last one (mp4 and its like)."""
        if "mov" not in self._formats or self._promised is None:
            return False
        entries = self._stream.index_entries
        if not len(entries):
            return False
        last = entries[len(entries) - 1]
        position = self._file.tell()
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(position)
        known = float((last.timestamp - entries[0].timestamp) * self._stream.time_base)
        return last.pos + last.size <= size and abs(known - self._promised) < 1.0

    # -- packets and frames ---------------------------------------------------------------------------------

    def _packets(self) -> Iterator:
        """Packets in order, the empty one that flushes last. Broken stretches are stepped over."""
        failures = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    yield packet
                return
            except self._errors as error:
                if drive_fails(error):
                    raise
                failures += 1
                self._broken = self._failed = True
                if failures > _ERRORS:
                    self.cut = True
                    return

    def blocks(self, start: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, (frames, channels) float32) from `start` on, a multiple of GRID seconds, without gaps.

        Blocks end at multiples of GRID and where rate or channels change. Raises Irregular where only start 0 works.
        """
        waiting: list[np.ndarray] = []
        form, position = None, 0  # (rate, channels); frames since start or the last change of rate
        for rate, audio in self._pieces(start):
            if waiting and form != (rate, audio.shape[1]):
                yield form[0], np.concatenate(waiting)
                waiting.clear()
            if form and form[0] != rate:
                position = 0
            form = rate, audio.shape[1]
            while len(audio):
                room = GRID * rate - position % (GRID * rate)
                waiting.append(audio[:room])
                position += len(waiting[-1])
                audio = audio[room:]
                if position % (GRID * rate) == 0:
                    yield rate, np.concatenate(waiting)
                    waiting.clear()
        if waiting:
            yield form[0], np.concatenate(waiting)

    def measure(self) -> float:
        """Seconds of the recording: by counting packets where they follow a rule, else by decoding."""
        if self.seconds is not None:
            return self.seconds
        try:
            for _ in self._pieces(np.inf):
                pass
            return self._time
        except Irregular:
            self._open()
            return sum(len(audio) / rate for rate, audio in self._pieces(0.0))

    def _pieces(self, start: float) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, (frames, channels)) from `start` on; holes are silence, in pieces of at most GRID seconds."""
        pieces = self._decoded(start)
        if self._stream.codec_context.codec.canonical_name in _LOSSY:
            pieces = self._without_bursts(pieces)
        for rate, audio, before in pieces:
            if before < len(audio):
                yield rate, audio[before:]

    def _without_bursts(self, pieces: Iterator[_Piece]) -> Iterator[_Piece]:
        """Pieces as they are, but for what damaged packets are decoded as: a few, much louder than both next to them.

        Nothing else decides, so that a part is silenced as it is in the whole.
        """
        held, highest, beside, long = [], 0.0, 0.0, False  # pieces of what may be a burst; peaks of them, and before
        for piece in pieces:
            peak = float(np.abs(piece[1]).max(initial=0.0))
            if peak <= _LOUD:
                yield from self._judged(held, highest, max(beside, peak))
                held, highest, beside, long = [], 0.0, peak, False
                yield piece
                continue
            held.append(piece)
            highest = max(peak, highest)
            if long := long or len(held) > _BURSTS:
                yield from held
                held = []
        yield from self._judged(held, highest, beside)

    def _judged(self, held: list[_Piece], highest: float, beside: float) -> Iterator[_Piece]:
        """What may be a burst: as it is, or silence, where what lies beside it is less than half as loud."""
        for rate, audio, before in held:
            if not highest <= _BURST * beside:
                self._failed = True
                silenced = max(0, len(audio) - before) / rate
                self.lost, self._silenced = self.lost + silenced, self._silenced + silenced
                audio = np.zeros_like(audio)
            yield rate, audio, before

    def _decoded(self, start: float) -> Iterator[_Piece]:
        """All that is decoded to read from `start` on, and the silence of holes."""
        line = _TimeLine(self)
        decoder, tick = self._stream.codec_context, float(self._stream.time_base)
        codec = decoder.codec.canonical_name
        if not codec.startswith("pcm_") and codec not in _FORGETTING and 0 < start < np.inf:
            raise Irregular
        renewed, section = decoder.name in _NOISY, 0
        recent: deque = deque(maxlen=_PRIMING)
        rule: _Rule | None = None
        seen: list[tuple] = []  # of the first second: (packet's seconds, its frames' samples)
        skipping, failures, broken = False, 0, 0  # failures in a row, and packets that failed
        self._broken = self._failed = self.cut = False
        channels = 0
        self.lost = self.holes = self._silenced = sound = 0.0
        owed, unread = 0, 0.0  # of the packets before: frames that are due as silence, seconds not decoded
        for packet in self._packets():
            if packet.size:
                yield from line.silence(owed, channels, start)
                owed = 0
            self._time = line.time
            stamp = None if packet.pts is None else packet.pts * tick - self._origin
            last = not packet.size
            if rule is None and line.rate and line.time >= _LEARN and seen:
                rule, seen = _Rule.learn(seen, line.rate, tick, self._container.format.name, codec), []
                if start and not rule:
                    raise Irregular
                if renewed and start < np.inf:
                    wanted = max(0.0, start - _JITTER) // _SECTION * _SECTION
                else:
                    wanted = start
                skipping = bool(rule and line.time < wanted)
            held = rule.samples(packet) if rule and not last else None
            if skipping and not last:
                if held is None:
                    raise Irregular
                yield from line.silence(line.gap(stamp), channels, start)
                if (line.time if renewed else line.time + held / line.rate) < wanted:
                    line.position += held
                    self._time = line.time
                    recent.append(packet)
                    continue
                skipping, section = False, line.time // _SECTION
                decoder = self._primed(recent, renewed)
            elif renewed and held and (line.time + line.gap(stamp) / line.rate) // _SECTION != section:
                section = (line.time + line.gap(stamp) / line.rate) // _SECTION
                decoder = self._primed(recent, renewed)
            if codec in _PAUSES and packet.size and bytes(packet)[0] >> 3 & 15 >= _PAUSES[codec]:
                line.set_rate(line.rate or self.rate, self.source)
                channels = channels or 1
                yield from line.silence(held or round((packet.duration or 0) * tick * line.rate), channels, start)
                continue
            if held:
                recent.append(packet)
            try:
                frames = decoder.decode(None if last else packet)
                failures = 0
            except self._errors:
                frames = []
                failures, broken = failures + 1, broken + 1
                self._broken = self._failed = True
                lost = held / line.rate if held else (packet.duration or 0) * tick
                if line.time >= start - _JITTER:
                    self.lost += lost
                unread = lost if held else unread + lost
                if failures > _ERRORS:
                    self.cut = True
                    break
            if rule is None and not last:
                seen.append((packet, [frame.samples for frame in frames]))
            owed = held if held and not frames else 0  # what could not be decoded keeps its time, but for the end
            for frame in frames:
                audio, unread = self._samples(frame), 0.0
                if line.rate and frame.sample_rate != line.rate and start:
                    raise Irregular
                line.set_rate(frame.sample_rate, self.source)
                channels = audio.shape[1]
                stamp = None if frame.pts is None else frame.pts * tick - self._origin
                hole = line.gap(stamp, exact=self._broken and not held)
                if hole:
                    if line.time + hole / line.rate > start:
                        if self._broken or "ogg" in self._formats:  # whose pages have checksums
                            self.lost += hole / line.rate
                        elif line.position:
                            self.holes += hole / line.rate
                    yield from line.silence(hole, channels, start)
                self._broken = False
                before = line.before(start)
                line.position += len(audio)
                sound += max(0, len(audio) - before) / line.rate
                yield line.rate, audio, before
        self._time = line.time
        if not line.rate and self._broken:
            if broken == 1:  # the only one there is
                raise BadAudio(self.source, "truncated", "nothing in it can be decoded; copy it again")
            what = f"none of its packets can be decoded as {codec}"
            raise BadAudio(self.source, "unreadable", f"{what}; copy it again, or convert it by another program")
        promised = line.time * (1.0 + self._lacking) if self._lacking else self._promised
        cut, film = self._lacks_tail(), bool(self._container.streams.video)  # which may be longer than its sound
        if self._formats & _ESTIMATING and not cut and (film or not self._failed):
            promised = None
        reached = line.time + unread
        if promised is not None and promised > reached + _GRACE and not self.cut:
            self.lost += promised - max(reached, start if start < np.inf else 0.0)
        elif cut and "mp3" not in self._formats:
            self.cut = True
        if start < np.inf:  # of damage, more packets may be made than there were
            silent = max(reached, promised or 0.0) - start - sound
            self.lost = min(self.lost, max(0.0, silent) + self._silenced)

    def _samples(self, frame) -> np.ndarray:
        """(frames, channels) float32 in [-1, 1] of a decoded frame."""
        channels = frame.layout.nb_channels
        if frame.format.name in _INTEGERS_OF_64 or (frame.format.is_planar and channels >= _PLANES):
            form = frame.format.name, frame.layout.name, frame.sample_rate
            if form != self._packed[0]:
                self._packed = form, self._av.AudioResampler("flt", frame.layout, frame.sample_rate)
            frame = self._packed[1].resample(frame)[0]
        audio = frame.to_ndarray()
        audio = audio.T if frame.format.is_planar else audio.reshape(-1, channels)
        if audio.dtype == np.uint8:
            return (audio.astype(np.float32) - 128) / 128
        if audio.dtype.kind == "i":
            return audio.astype(np.float32) / -float(np.iinfo(audio.dtype).min)
        return audio.astype(np.float32, copy=False)

    def _lacks_tail(self) -> bool:
        return ("ogg" in self._formats and not self._has_last_page()) or ends_inside(self._file, self._formats)

    def _primed(self, recent, renewed: bool):
        """A decoder that has seen the last packets, and none before."""
        decoder = self._stream.codec_context
        if renewed:
            new = self._av.CodecContext.create(decoder.codec, "r")
            new.extradata, new.pkt_timebase = decoder.extradata, self._stream.time_base
            decoder = new
        else:
            decoder.flush_buffers()
        for packet in recent:
            with suppress(*self._errors):
                decoder.decode(packet)
        return decoder

    def _has_last_page(self) -> bool:
        """Whether the last page of an Ogg file is whole and says that it is the last; nothing else tells a cut."""
        position = self._file.tell()
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(max(0, size - 2**17))  # a page has at most 65,307 bytes
        tail = self._file.read()
        self._file.seek(position)
        page = tail.rfind(b"OggS\0")
        return page >= 0 and len(tail) >= page + 27 and bool(tail[page + 5] & 4) and is_sound_page(tail[page:])

    def close(self) -> None:
        self._container.close()
        self._file.close()


class _Rule:
    """How many samples a packet holds: always as many (`constant`), as its duration says, or, where each sample has so
    many bytes (`width`), as its size says.
    """

    def __init__(self, constant: int | None, rate: int, tick: float, bits: tuple[int, ...], width: int):
        self._constant, self._rate, self._tick, self._bits, self._mark = constant, rate, tick, bits, None
        self._width = width

    @classmethod
    def learn(cls, seen: list[tuple], rate: int, tick: float, format_name: str, codec: str) -> "_Rule | None":
        """From (packet, samples of its frames) of the first second; None if there is no rule. The first two may be
        trimmed."""
        settled = [(packet, sum(frames)) for packet, frames in seen[2:] if not _trimmed(packet)]
        if not settled or not all(samples for _, samples in settled):
            return None
        if len(settled) < _EVIDENCE and not all(packet.duration for packet, _ in settled):
            return None
        constant = settled[0][1] if len({samples for _, samples in settled}) == 1 else None
        if constant is None and tick * rate > 1.001:
            return None
        width = settled[0][0].size // settled[0][1]
        plain = codec.startswith("pcm_") and all(packet.size == width * samples for packet, samples in settled)
        rule = cls(constant, rate, tick, _RATE_BITS.get(format_name, ()), width if plain else 0)
        return rule if all(rule.samples(packet) == samples for packet, samples in settled) else None

    def samples(self, packet) -> int | None:
        """None for a packet that does not keep the rule."""
        if self._bits:
            mark = tuple(byte & bits for byte, bits in zip(bytes(packet)[: len(self._bits)], self._bits))
            self._mark = self._mark or mark
            if mark != self._mark:
                return None
        if self._width:
            return packet.size // self._width
        said = (packet.duration or 0) * self._tick * self._rate
        if self._constant is None:
            return round(said) or None
        close = abs(said - self._constant) <= max(0.0015, 1.5 * self._tick) * self._rate
        return max(0, self._constant - _trimmed(packet)) if close or not said else None


def _trimmed(packet) -> int:
    """Samples of a packet that the decoder leaves out: padding, as where one recording of a joined file ends."""
    for data in packet.iter_sidedata():
        if data.data_type == "skip_samples":
            raw = bytes(data)
            return int.from_bytes(raw[:4], "little") + int.from_bytes(raw[4:8], "little")
    return 0


class _TimeLine:
    """Where the next sample belongs: `position` frames of `rate` after `_base` seconds."""

    def __init__(self, reader: ContainerReader):
        self._reader, self.rate, self.position = reader, 0, 0
        self._base = self._shift = 0.0

    @property
    def time(self) -> float:
        return self._base + (self.position / self.rate if self.rate else 0.0)

    def set_rate(self, rate: int, source: str) -> None:
        if rate != self.rate:
            check_form(source, rate, 1)
            self._base, self.position, self.rate = self.time, 0, rate

    def gap(self, stamp: float | None, exact: bool = False) -> int:
        """Frames of silence before what is stamped so. After a broken packet small gaps count too."""
        if stamp is None or not self._reader._clock:
            return 0
        gap = stamp + self._shift - self.time
        if abs(gap) <= (0.002 if exact and gap > 0 else _JITTER):
            return 0
        if gap < 0 or gap > self._reader._longest_hole or stamp > self._reader._end:
            self._shift -= gap  # the clock jumped; the sound goes on
            return 0
        return round(gap * self.rate)

    def before(self, start: float) -> int:
        """How many of the next frames lie before `start`."""
        return len(range(self.position, round((start - self._base) * self.rate))) if start < np.inf else 2**62

    def silence(self, count: int, channels: int, start: float) -> Iterator[_Piece]:
        while count:
            some = min(count, GRID * self.rate)
            before = self.before(start)
            self.position += some
            count -= some
            if before < some and channels:
                yield self.rate, np.zeros((some, channels), np.float32), before


def check_form(source: str, rate: int, channels: int) -> None:
    """Raise BadAudio for a sampling rate or a number of channels that only a wrong header has."""
    if not 2000 <= rate <= 1_000_000:
        raise BadAudio(source, "rate", f"a sampling rate of {rate} Hz holds no speech, its header is wrong; correct it")
    if not 1 <= channels <= 64 or rate * channels > 16_000_000:  # whose seconds would not fit into memory
        raise BadAudio(source, "channels", f"{channels} channels of {rate} Hz, its header is wrong; correct it")
