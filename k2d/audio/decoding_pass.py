"""One pass over a recording's packets: counted up to the wanted part, decoded from there, holes and damage as silence.

A part is the same samples as in the whole, because both count: packets before it are counted from the file's
beginning, without being decoded, by what the first second shows a packet to hold (k2d/audio/packet_rule.py). Where that
is no rule, or the sampling rate changes, `Irregular` says that only the whole can be read.
"""

import errno
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from k2d.audio.bursts import without_bursts
from k2d.audio.formats import (
    ESTIMATING,
    FORGETTING,
    LOSSY,
    NO_CLOCK,
    NOISY,
    PAUSES,
    frame_length,
    is_found_anew,
    rate_bits,
)
from k2d.audio.packet_rule import PacketRule
from k2d.audio.sizes import TAGS
from k2d.audio.time_line import GRID, JITTER, Piece, TimeLine
from k2d.errors import BadAudio

_PRIMING = 64  # packets decoded before a part: mp3, AAC and Opus frames need those before
_SECTION = 6 * GRID  # seconds; decoders that draw noise are new in each section, in the whole as in a part
_LEARN = 1.0  # seconds after which it is known how many samples a packet holds
_GRACE = 0.5  # seconds less than the header promises are still whole: encoders pad, containers round
_BETWEEN = 512  # bytes between two packets that are no damage, beyond twice what lay there before
_PADDING = 4  # bytes behind a frame that are no damage
_EXTENSIONS = b"\x64\x58\x20\x25", b"\x0b\x77"  # what follows a frame of DTS-HD, and of E-AC-3 with more channels
_ERRORS = 100  # broken packets at the beginning, or places where none is found, after which nothing is expected
# What PyAV does not give as an array: planes of so many channels or more, and these integers.
_PLANES, _INTEGERS_OF_64 = 8, ("s64", "s64p")

_FAILING = frozenset(
    getattr(errno, name) for name in "EIO ESTALE ENXIO ENODEV ENOTCONN ETIMEDOUT EHOSTDOWN EREMOTEIO".split()
)


def drive_fails(error: BaseException) -> bool:
    """Whether the system could not read, so that nothing is known of the file: a disk or network drive fails. ffmpeg's
    libraries say EIO of damage, too: their errors are PyAV's, the system's come through as they are.
    """
    return isinstance(error, OSError) and error.errno in _FAILING and not type(error).__module__.startswith("av.")


class Irregular(Exception):
    """What lies before a part cannot be counted; the whole can be read."""


class DecodingPass:
    """From `start` seconds on; np.inf counts, and decodes no more than counting needs.

    Known when the pieces have been read: time, seconds of the recording; lost, seconds that could not be decoded;
    holes, seconds of silence where the time line has none of its sound; cut, whether the end is missing by an unknown
    time.
    """

    def __init__(self, track, start: float):
        """track: a ContainerReader that has just been opened."""
        self._track, self._start, self._line = track, start, TimeLine(track.clock)
        self._decoder, self._tick = track.stream.codec_context, float(track.stream.time_base)
        self._codec = self._decoder.codec.canonical_name
        self._renews = self._decoder.name in NOISY
        self._section = 0  # of _SECTION seconds: the one which the decoder was made for
        self._recent: deque = deque(maxlen=_PRIMING)  # packets
        self._rule: PacketRule | None = None
        self._seen: list[tuple] = []  # (packet, samples of its frames) of the first second
        self._skips, self._wanted = False, start  # whether packets are counted only, up to where
        self._channels = 0
        self._short = 0.0  # seconds that the packet before has less than it should
        self._owed = 0  # frames that are due as silence for the packet before, which could not be decoded
        self._unmade = 0.0  # seconds for which bytes stand that lie between packets, since the last frame
        self._regular: deque = deque(maxlen=_PRIMING)  # (bytes, samples) of packets, where time is counted
        self._place, self._hole = None, (None, 0.0)  # of the last packet, and of the last hole with its seconds
        self._places = 0, 0  # of the last two of the track
        self._end, self._usual = None, 0  # bytes of the file up to which packets were read, and between two of them
        self._last = None  # packet that was read
        self._unread = 0.0  # seconds of the last packets, which could not be decoded
        self._failures, self._broken_packets = 0, 0  # failures in a row, and packets that failed
        self._broken = self._failed = self.cut = False  # a packet since the last sound one; any
        self._spoilt = False  # whether a packet since the last sound one held damage, where time is counted
        self._dropped = 0  # bytes that are in no packet
        self._jumped = False  # whether bytes that hold sound were left out since the last sound packet
        self.lost = self.holes = self._silenced = self._sound = 0.0  # seconds
        self._packed: tuple = None, None  # what makes floats, the channels in turn, of frames of which form

    @property
    def time(self) -> float:
        return self._line.time

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, (frames, channels) float32) from `start` on; holes are silence, in pieces of at most GRID seconds."""
        pieces = self._decoded()
        if self._codec in LOSSY:
            pieces = without_bursts(pieces, self._silence_burst)
        for rate, audio, before in pieces:
            if before < len(audio):
                yield rate, audio[before:]

    def _silence_burst(self, seconds: float) -> None:
        self._failed = True
        self.lost, self._silenced = self.lost + seconds, self._silenced + seconds

    def _decoded(self) -> Iterator[Piece]:
        """All that is decoded to read from `start` on, and the silence of holes."""
        if not self._codec.startswith("pcm_") and self._codec not in FORGETTING and 0 < self._start < np.inf:
            raise Irregular
        for packet in self._packets():
            last = not packet.size
            if last and self._skips and self._start == np.inf:
                self._count_last()
            if not last:  # what could not be decoded keeps its time, but for the end
                self._last = packet
                self._lose(self._short)
                yield from self._silence(self._owed)
                self._owed, self._short = 0, 0.0
            if self._rule is None and self._line.rate and self._line.time >= _LEARN and self._seen:
                self._learn()
            surplus = 0 if last else self._surplus(packet)
            held = self._rule.samples(packet) if self._rule and not last and not surplus else None
            if not last and not surplus and (self._spoilt or self._is_found_anew(packet)):
                before, self._dropped = self._dropped, self._track.dropped_until(packet, self._dropped)
                if missing := self._estimate(self._dropped - before):
                    if self._skips:
                        raise Irregular
                    self._lose(missing / self._line.rate)
                    yield from self._silence(missing)
                self._spoilt = False
            gap = self._gap(packet) if self._skips or (self._renews and held) else 0
            if self._skips and self._track.clock.exact and (held is None or not self._line.fits(self._stamp(packet))):
                self._skips = False  # damage lies here, which only decoding tells
                self._begin_section(self._line.time)
            if self._skips and not last:
                if held is None or self._miscounts(packet, gap):
                    raise Irregular
                yield from self._silence(gap)
                self._unmade = 0.0
                if self._lies_before(held):
                    self._line.position += held
                    self._recent.append(packet)
                    continue
                self._check_count(packet)
                self._skips = False
                self._begin_section(self._line.time)
            elif held and self._renews and (at := self._line.time + gap / self._line.rate) // _SECTION != self._section:
                self._begin_section(at)
            if self._is_pause(packet):
                self._line.set_rate(self._line.rate or self._track.rate, self._track.source)
                self._channels = self._channels or 1
                yield from self._silence(held or round(self._duration(packet) * self._line.rate))
                continue
            if held:
                self._recent.append(packet)
            due = held or (0 if last or bytes(packet).startswith(TAGS) else self._estimate(packet.size))
            frames = self._decode(packet, due)
            if self.cut:
                break
            if self._rule is None and not last:
                self._seen.append((packet, [frame.samples for frame in frames]))
            samples = sum(frame.samples for frame in frames)
            if held and samples and not last:
                frames, samples = self._checked(frames, samples, held)
            self._owed = max(0, due - samples) if held and not self._track.clock.exact else 0
            if self._track.clock.counted and (self._failures or surplus):
                self._spoilt = True
                self._owed = max(0, due - samples)  # of a packet of which one frame may be whole
                if not self._failures and self._line.rate:
                    self._lose(self._owed / self._line.rate)
            elif samples and not last:
                self._regular.append((packet.size, samples))
            for frame in frames:
                yield from self._placed(frame, exact=not held)
        self._conclude()

    # -- packets ---------------------------------------------------------------------------------------------

    def _packets(self) -> Iterator:
        """Packets in order, the empty one that flushes last. Broken stretches are stepped over."""
        failures = 0
        while True:
            try:
                for packet in self._track.container.demux():  # of all tracks, for what lies between them
                    failures = 0
                    place = self._place
                    if self._skips_bytes(packet):
                        self._jumped = self._failed = True
                        self._call_hole_a_loss(place)
                    if packet.stream.index != self._track.stream.index:
                        continue
                    if packet.pos is not None:
                        self._places = self._places[1], packet.pos
                    self._jumped |= self._track.restamp(packet) or packet.is_corrupt
                    if self._track.clock.jumps and packet.pos is None:
                        packet.pts = packet.dts = None  # ffmpeg's guess, by the sampling rate of the beginning
                    yield from self._track.frames_of(packet)
                return
            except self._track.errors as error:
                if drive_fails(error):
                    raise
                failures += 1
                self._broken = self._failed = True
                if failures > _ERRORS:
                    self.cut = True
                    return

    def _skips_bytes(self, packet) -> bool:
        """Whether many more bytes lie before a packet than between others: a hole in the time line is damage then.
        Notes for how many seconds they stand."""
        if not packet.size or packet.pos is None or self._track.is_mp4:
            return False
        between = 0 if self._end is None else packet.pos - self._end
        if self._end:
            self._unmade = max(self._unmade, between * self._line.time / self._end)
        self._end, self._place = packet.pos + packet.size, packet.pos
        if self._line.time >= _LEARN and between > 2 * self._usual + _BETWEEN:
            return True
        self._usual = max(self._usual, between)
        return False

    def _call_hole_a_loss(self, before: int | None) -> None:
        """Bytes are missing behind the place `before`: so is a hole there, in ASF. What lies behind damage is said to
        lie where the damage begins, until the next packet of the file."""
        place, seconds = self._hole
        if place is not None and place == before and "asf" in self._track.formats:
            self.holes, self.lost, self._jumped = self.holes - seconds, self.lost + seconds, False
        self._hole = None, 0.0

    def _is_found_anew(self, packet) -> bool:
        return self._track.clock.counted and is_found_anew(self._codec, bytes(packet))

    def _estimate(self, size: int) -> int:
        """Samples for which so many damaged bytes stand, where time is counted: they lie in packets as long as it takes
        to the next frame, or are dropped."""
        if not self._track.clock.counted or not self._regular or not self._line.rate:
            return 0
        total, samples = (sum(each) for each in zip(*self._regular))
        return round(size * samples / total)

    def _surplus(self, packet) -> int:
        """Bytes of a packet that its frame does not have, where time is counted: damage lies there. Some are padding,
        and further frames of the same time."""
        if not self._track.clock.counted:
            return 0
        data = bytes(packet)
        length = frame_length(self._codec, data)
        if length is None or packet.size - length <= _PADDING or data[length : length + 4].startswith(_EXTENSIONS):
            return 0
        return packet.size - length

    def _miscounts(self, packet, gap: int) -> bool:
        """Whether damage of a program or transport stream lies here: ffmpeg cuts packets of it that its decoder takes
        otherwise, and does not tell the times of all."""
        if not self._track.formats & {"mpeg", "mpegts"}:
            return False
        data = bytes(packet)
        length = frame_length(self._codec, data)
        whole = length is None or packet.size == length or data[length : length + 4].startswith(_EXTENSIONS)
        return bool(gap) or not whole

    def _stamp(self, packet_or_frame) -> float | None:
        """Seconds since the file's beginning."""
        pts = packet_or_frame.pts
        return None if pts is None else pts * self._tick - self._track.origin

    def _duration(self, packet) -> float:
        return (packet.duration or 0) * self._tick

    def _is_pause(self, packet) -> bool:
        return self._codec in PAUSES and bool(packet.size) and bytes(packet)[0] >> 3 & 15 >= PAUSES[self._codec]

    def _learn(self) -> None:
        """The rule, once the first second is decoded; with it, packets before the part need not be decoded."""
        bits = max((rate_bits(self._codec, bytes(packet)) for packet, _ in self._seen), key=len)
        self._rule = PacketRule.learn(self._seen, self._line.rate, self._tick, self._codec, bits)
        self._seen = []
        if self._start and not self._rule and not self._track.clock.exact:
            raise Irregular
        if self._renews and self._start < np.inf:
            self._wanted = max(0.0, self._start - JITTER) // _SECTION * _SECTION
        self._skips = bool(self._rule and self._line.time < self._wanted)

    def _count_last(self) -> None:
        """The last packet may hold less than the rule says, where an encoder has no more. Raises Irregular where it is
        broken: how much is missing before it depends on what can be decoded."""
        if self._recent:
            packet, now = self._recent.pop(), self._line.time
            self._check_count(packet)
            held = self._rule.samples(packet)
            self._begin_section(now)
            frames = self._decode(packet, held)
            if self._failures:
                raise Irregular
            if any(frame.sample_rate != self._line.rate for frame in frames):
                raise Irregular
            if frames:
                self._line.position += sum(frame.samples for frame in frames) - held

    def _check_count(self, packet) -> None:
        """Raise Irregular where bytes before a packet were dropped, which counting does not see."""
        if self._track.clock.counted and self._track.dropped_until(packet):
            raise Irregular

    def _lies_before(self, held: int) -> bool:
        """Whether a packet of so many samples lies before what is to be decoded."""
        return (self._line.time if self._renews else self._line.time + held / self._line.rate) < self._wanted

    # -- the decoder -----------------------------------------------------------------------------------------

    def _begin_section(self, time: float) -> None:
        """With a decoder that has seen the last packets, and none before."""
        self._section = time // _SECTION
        decoder = self._track.stream.codec_context
        if self._renews:
            new = self._track.av.CodecContext.create(decoder.codec, "r")
            new.extradata, new.pkt_timebase = decoder.extradata, self._track.stream.time_base
            decoder = new
        else:
            decoder.flush_buffers()
        for packet in self._recent:
            with suppress(*self._track.errors):
                decoder.decode(packet)
        self._decoder = decoder

    def _decode(self, packet, held: int | None) -> list:
        """A packet's frames; none of a broken one, which is counted."""
        try:
            frames = self._decoder.decode(packet if packet.size else None)
            self._failures = 0
            return frames
        except self._track.errors:
            self._failures, self._broken_packets = self._failures + 1, self._broken_packets + 1
            self._broken = self._failed = True
            lost = held / self._line.rate if held else self._duration(packet)
            if not self._track.clock.exact:  # whose next stamp tells it
                self._lose(lost)
            self._unread = lost if held else self._unread + lost
            self.cut = self._failures > _ERRORS and not self._line.rate
            return []

    def _checked(self, frames: list, samples: int, held: int) -> tuple[list, int]:
        """A packet's frames and their samples, where it should hold so many. Of several frames in one packet those are
        lost that are missing; one of Opus that has more is damaged, as its first byte says how many it has.
        """
        if self._codec == "opus" and samples > held:
            frames, samples, self._broken, self._failed = [], 0, True, True
        self._short = max(0, held - samples) / self._line.rate  # a loss, unless this packet is the last one
        return frames, samples

    def _lose(self, seconds: float) -> None:
        if self._line.time >= self._start - JITTER:
            self.lost += seconds

    def _samples(self, frame) -> np.ndarray:
        """(frames, channels) float32 in [-1, 1] of a decoded frame."""
        channels = frame.layout.nb_channels
        if frame.format.name in _INTEGERS_OF_64 or (frame.format.is_planar and channels >= _PLANES):
            form = frame.format.name, frame.layout.name, frame.sample_rate
            if form != self._packed[0]:
                self._packed = form, self._track.av.AudioResampler("flt", frame.layout, frame.sample_rate)
            frame = self._packed[1].resample(frame)[0]
        audio = frame.to_ndarray()
        audio = audio.T if frame.format.is_planar else audio.reshape(-1, channels)
        if audio.dtype == np.uint8:
            return (audio.astype(np.float32) - 128) / 128
        if audio.dtype.kind == "i":
            return audio.astype(np.float32) / -float(np.iinfo(audio.dtype).min)
        return audio.astype(np.float32, copy=False)

    def _gap(self, packet_or_frame, exact: bool = False) -> int:
        """Frames of silence before it."""
        return self._line.gap(self._stamp(packet_or_frame), exact, self._unmade)

    # -- the time line ---------------------------------------------------------------------------------------

    def _silence(self, count: int) -> Iterator[Piece]:
        return self._line.silence(count, self._channels, self._start)

    def _placed(self, frame, exact: bool) -> Iterator[Piece]:
        """A frame, and before it the silence of a hole. exact: after a broken packet, small holes are holes too."""
        line, start = self._line, self._start
        audio, self._unread = self._samples(frame), 0.0
        if line.rate and frame.sample_rate != line.rate and start:
            raise Irregular
        line.set_rate(frame.sample_rate, self._track.source)
        self._channels = audio.shape[1]
        if hole := self._gap(frame, exact=self._broken and exact):
            if line.time + hole / line.rate > start:
                # Pages of Ogg have checksums, as frames of FLAC have.
                damaged = self._broken or self._jumped or self._track.damaged or self._track.clock.exact
                if damaged or self._track.pages_lost or self._track.is_broken_between(*self._places):
                    self.lost += hole / line.rate
                elif line.time:
                    self.holes, self._hole = self.holes + hole / line.rate, (self._place, hole / line.rate)
            yield from self._silence(hole)
        if frame.pts is not None:  # else the hole is to come
            self._broken, self._jumped, self._unmade = False, False, 0.0
        before = line.before(start)
        line.position += len(audio)
        self._sound += max(0, len(audio) - before) / line.rate
        yield line.rate, audio, before

    def _stops_early(self, share: float) -> bool:
        """Whether as much of the file is unread as of the sound, if this share of it was read: ffmpeg's libraries take
        damage for the end."""
        if self._end is None:
            return False
        return self._track.end_of_packets() - self._end > (1.0 - share) * self._track.size / 2

    def _ends_in_frame(self) -> bool:
        """Whether the last frame says that it is longer, where nothing else tells the end."""
        if self._last is None or not (self._track.clock.counted or self._track.clock.jumps):
            return False
        return (frame_length(self._codec, bytes(self._last)) or 0) > self._last.size

    def _conclude(self) -> None:
        """What is missing at the end, by what the header promises and by how the file ends."""
        track, start = self._track, self._start
        if not self._line.rate and self._broken:
            if self._broken_packets == 1:  # the only one there is
                raise BadAudio(track.source, "truncated", "nothing in it can be decoded; copy it again")
            what = f"none of its packets can be decoded as {self._codec}"
            raise BadAudio(track.source, "unreadable", f"{what}; copy it again, or convert it by another program")
        promised = self.time * (1.0 + track.lacking) if track.lacking else track.promised
        reached = self.time + self._unread
        if track.clock.exact:
            self._lose(self._unread)
        short = promised is not None and promised > reached + (0.0 if track.clock.exact else _GRACE)
        zeros = (promised is None or short) and track.lacks_tail_of_zeros()
        tail, film = track.lacks_tail(), bool(track.container.streams.video)  # which may be longer than its sound
        cut = zeros or tail or (short and (self._stops_early(reached / promised) or track.lacks_bytes()))
        if track.formats & ESTIMATING and not cut and (film or not self._failed):
            promised, short = None, False
        if short and (self._line.rate or not self.cut):
            self.lost += promised - max(reached, start if start < np.inf else 0.0)
            self.cut = tail and track.is_mp4  # fragments, of which the header counts those that are found
        elif zeros or (cut and "mp3" not in track.formats):
            # A Matroska as long as it says lacks bytes somewhere else; where its clock has holes, they are these.
            self.cut = zeros or promised is None or "matroska" not in track.formats
            self.lost, self.holes = (self.lost, self.holes) if self.cut else (self.lost + self.holes, 0.0)
        elif promised is not None and promised <= reached + _GRACE:
            self.cut = False  # whatever lies behind
        self.cut |= promised is None and self._ends_in_frame()
        if start < np.inf:  # of damage, more packets may be made than there were
            silent = max(reached, promised or 0.0) - start - self._sound
            self.lost = min(self.lost, max(0.0, silent) + self._silenced)
        if track.formats & NO_CLOCK - {"mp3"} and self._end is not None and not self.cut:
            # Bytes behind the last packet, of which ffmpeg makes none.
            behind = self._estimate(max(0, track.size - self._end - self._dropped)) / (self._line.rate or 1)
            self.lost += behind if behind > _GRACE else 0.0
