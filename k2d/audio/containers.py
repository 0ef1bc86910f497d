"""Recordings whose length or time line only their packets tell, read by PyAV, which carries ffmpeg's libraries.

In: an open file. Out: blocks of samples that lie on the film's time line: it begins where the file does,
pauses and lost packets are silence, and a clock that jumps back goes on.
"""

import io
from collections.abc import Iterator

import numpy as np

from k2d.audio.cut import (
    before_zeros,
    counted_mp3,
    end_of_frames,
    end_of_packets,
    ends_in_zeros,
    ends_inside,
    in_fragments,
    is_encrypted,
    is_off_beat,
    is_shorter_than_said,
    lacks_tracks,
    leads_to_tag,
    length_of_asf,
    length_of_avi,
)
from k2d.audio.decoding_pass import DecodingPass, Irregular
from k2d.audio.flac_frames import frames_in
from k2d.audio.formats import ESTIMATING, FORMATS, LOSSY, NO_CLOCK, PROMISING, begins_frame
from k2d.audio.joined import find, is_sound_page, tags_of, without_tags
from k2d.audio.sizes import Pieces, bytes_at, chunks, form_of
from k2d.audio.time_line import GRID, JITTER, Clock
from k2d.errors import BadAudio

_LAST = 50  # packets at the end, about a second, that an index is believed by


class AviIndex:
    """The times of an AVI's chunks by the places where they lie."""

    _HEAD = 8  # bytes of a chunk before what it holds

    def __init__(self, stream):
        self._stream, self._times = stream, None
        self._unit = 0  # of the index, in one of a packet's units of time; known from the second chunk on
        self._missing = 0  # units of time of chunks that were not found so far

    def restamp(self, packet) -> bool:
        """Give a packet the time of its place. Whether chunks are missing before it."""
        if self._times is None:  # only where packets are read
            self._times = {entry.pos + self._HEAD: entry.timestamp for entry in self._stream.index_entries}
        said, counted = self._times.get(packet.pos), packet.pts
        if counted is None or not packet.size:
            return False
        if said and counted and not self._unit:
            self._unit = said // counted if said % counted == 0 else 0
        before = self._missing
        if said and self._unit:
            self._missing = said // self._unit - counted
        packet.pts = counted + self._missing
        return self._missing > before


class ContainerReader:
    """Anything ffmpeg's libraries read; a film gives its default audio track.

    rate (Hz), channels, tracks: as the header says. seconds: only where the header is known to be right, else None.
    late: seconds into its stream at which an Ogg file, a FLAC or one of mp4 fragments begins. Known when the blocks
    have been read: lost, seconds that could not be decoded; holes, seconds of silence where the time line has none of
    its sound; cut, whether the end is missing by an unknown time.
    """

    def __init__(self, source: str, file, pages_lost: bool = False, form: str | None = None, lacking: float = 0.0,
                 damaged: bool = False):  # fmt: skip
        """pages_lost: of an Ogg file pages are missing, so a hole is a loss, and a long one no jump of its clock. form:
        ffmpeg's name of a format that has no header. lacking: by how much the sound should be longer than it is.
        damaged: pages of an Ogg file or frames of a FLAC are there, and wrong, so that sound which begins late is a
        hole, or boxes between mp4 fragments are.
        """
        import av  # here, because most corpora never need it

        self.source, self.lacking, self.av = source, lacking, av
        self.errors = av.error.FFmpegError, OSError, ValueError
        self._file, self.pages_lost, self._form, self.damaged = file, pages_lost, form, damaged
        self._looked_for_other = self._in_zeros = self._lacks_frames = False
        self._open()
        codec = self.stream.codec_context
        self.rate, self.channels = codec.sample_rate or 0, codec.channels or 0
        begins_late = self.origin > JITTER and self._is_later_part()
        self.late = self.origin if begins_late else 0.0
        self.promised = self._promise()
        self.seconds = self.promised if self._indexed() else None

    def _open(self) -> None:
        """At the file's beginning, with a decoder that has seen nothing."""
        container = self._container_of({})
        track = self._default(container)
        if container.streams and (not container.streams.audio or (track and not track.codec_context.sample_rate)):
            # Sound that begins late in a film is found by looking further.
            container.close()
            container = self._container_of({"probesize": str(2**28), "analyzeduration": str(600 * 10**6)})
        tracks, track = container.streams.audio, self._default(container)
        if track is None:
            container.close()
            if "mov" in container.format.name and lacks_tracks(self._file):
                raise BadAudio(self.source, "truncated", "the file is damaged or cut short; copy it again")
            why = "no decoder knows the codec of its sound" if tracks else "the file has no audio track"
            raise BadAudio(self.source, "not audio", f"{why}; correct or remove it")
        if "mov" in container.format.name and is_encrypted(self._file):
            container.close()
            remedy = "decrypt it, as in 'ffmpeg -decryption_key KEY -i FILE FILE.wav', or get it without protection"
            raise BadAudio(self.source, "encrypted", f"its sound needs a key; {remedy}")
        self.container, self.stream = container, track
        self.tracks = sum(track.codec_context is not None for track in tracks)
        if self.stream.codec_context.name in ("tta", "wavpack", "flac", "ape"):  # whose damaged frames would be noise
            self.stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self.formats = set(container.format.name.split(","))  # ffmpeg's names of it
        if self._lacks_frame_lengths():
            container.close()
            what = f"its {track.codec_context.name} frames follow each other, and nothing tells where each begins"
            raise BadAudio(self.source, "unreadable", f"{what}; convert the original to another format")
        begin, length, base = container.start_time, container.duration, self.av.time_base
        damaged = self.damaged and self.formats & {"ogg", "flac"}
        self.origin = 0.0 if begin is None or damaged else begin / base  # seconds that the film's clock begins at
        jumps = bool(container.format.flags & self.av.format.Flags.ts_discont.value)
        exact = "flac" in self.formats
        end = np.inf if length is None or jumps or exact else length / base + 1.0
        counted = bool(self.formats & NO_CLOCK) or self._miscounts()
        counted |= "wav" in self.formats and self.stream.codec_context.codec.canonical_name in LOSSY
        self.clock = Clock(counted, jumps and not self.pages_lost, end, exact)
        # The clock of an AVI counts the chunks that are found; its index has those of all.
        self._index = AviIndex(self.stream) if "avi" in self.formats and not counted else None
        self._pass = DecodingPass(self, 0.0)

    def _lacks_frame_lengths(self) -> bool:
        """Whether a WAV or W64 holds frames whose begin only a head would tell, and they have none."""
        codec = self.stream.codec_context.codec.canonical_name
        if not self.formats & {"wav", "w64"} or codec not in ("aac", "vorbis", "opus", "alac"):
            return False
        form = form_of(bytes_at(self._file, 0, 64))
        sound = next((at for name, at, _ in chunks(self._file, form.top, self.size, form) if name == form.sound), None)
        return sound is not None and not begins_frame(bytes_at(self._file, sound, 64))

    def _default(self, container):
        """The track that is read; None where no decoder knows the codec of any."""
        known = [track for track in container.streams.audio if track.codec_context is not None]
        default = self.av.stream.Disposition.default
        return next((track for track in known if track.disposition & default), known[0] if known else None)

    def restamp(self, packet) -> bool:
        """Give a packet its time where the format has not done so rightly. Whether chunks are missing before it."""
        return self._index is not None and self._index.restamp(packet)

    def frames_of(self, packet) -> list:
        """A packet of a FLAC as packets of a frame each, with their times; others as they are."""
        if "flac" not in self.formats or not packet.size:
            return [packet]
        data, codec = bytes(packet), self.stream.codec_context
        frames = frames_in(data, int.from_bytes((codec.extradata or b"")[2:4], "big"))
        if not frames or (len(frames) == 1 and packet.pts == frames[0][1]):
            return [packet]
        packets = []
        for (begin, sample), end in zip(frames, [*(at for at, _ in frames[1:]), len(data)]):
            packets.append(self.av.Packet(data[begin:end]))
            packets[-1].stream, packets[-1].time_base = self.stream, self.stream.time_base
            packets[-1].pts = packets[-1].dts = sample
        return packets

    def dropped_until(self, packet, known: int = 0) -> int:
        """How far behind its place a packet lies: bytes that ffmpeg has dropped since the file's beginning, of raw AAC.
        known: as many at least."""
        position, data = self._file.tell(), bytes(packet)
        place = (packet.pos or 0) + known
        found = place if bytes_at(self._file, place, len(data)) == data else find(self._file, data, place)
        self._file.seek(position)
        return known if found is None else found - (packet.pos or 0)

    @property
    def is_mp4(self) -> bool:
        """Whether tables tell where the sound lies, and other things may lie between."""
        return "mov" in self.formats

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        position = self._file.tell()
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(position)
        return size

    def _container_of(self, options: dict[str, str]):
        whole = Pieces(self._file, [(0, self.size)], owned=False)
        # Of a transport stream, beyond how much damage the next packet is looked for: as far as it takes.
        options = {"format_whitelist": self._form or FORMATS, "resync_size": str(2**31 - 1), **options}
        return self.av.open(whole, mode="r", format=self._form, options=options, buffer_size=2**18)

    @property
    def lost(self) -> float:
        return self._pass.lost

    @property
    def holes(self) -> float:
        return self._pass.holes

    @property
    def cut(self) -> bool:
        return self._pass.cut

    def _is_later_part(self) -> bool:
        """Whether a file that begins late is the rest of a stream, and not a film whose sound is late."""
        later = ("ogg" in self.formats and self.pages_lost) or (self.is_mp4 and in_fragments(self._file))
        return later or "flac" in self.formats

    def _promise(self) -> float | None:
        """Seconds of the track as the header promises them; None where that is an estimate or about the film."""
        stream, names = self.stream, self.formats
        if self.late and self.is_mp4:  # the header also counts the fragments that are missing
            return None
        if "mp3" in names:  # known when the file has been searched for further recordings
            return None
        if "flac" in names and self.late and stream.duration:
            return float(stream.duration * stream.time_base) - self.late
        if "ogg" in names and self.pages_lost and stream.duration:  # up to the end of the last page
            return float(stream.duration * stream.time_base) - self.origin
        if "asf" in names and (seconds := length_of_asf(self._file)):
            return seconds
        if "avi" in names and (seconds := length_of_avi(self._file)):
            return seconds
        if names & (PROMISING | ESTIMATING) and stream.duration is not None and "matroska" not in names:
            late = 0.0
            if stream.start_time is not None:
                late = max(0.0, float(stream.start_time * stream.time_base) - self.origin)
            return float(stream.duration * stream.time_base) + (late if late > JITTER else 0.0)
        if names & ESTIMATING and self.container.duration:
            return self.container.duration / self.av.time_base - max(0.0, self.origin)  # which it counts from 0
        return None

    def _miscounts(self) -> bool:
        """Whether an AVI counts bytes as if they were frames, which puts its sound far behind its own end: its packets
        do, not only its index.
        """
        stream = self.stream
        if "avi" not in self.formats or not stream.duration or len(stream.index_entries) < 2:
            return False
        entries = stream.index_entries
        if entries[len(entries) - 1].timestamp <= 2 * stream.duration:
            return False
        container = self._container_of({})
        packets = container.demux(container.streams[stream.index])
        first, second = (next(packets, None) for _ in range(2))
        container.close()
        return bool(second and second.pts) and second.pts - first.pts == entries[1].timestamp - entries[0].timestamp

    def _indexed(self) -> bool:
        """Whether the header lists every packet, and the last ones are there and sound (mp4 and its like)."""
        if not self.is_mp4 or self.promised is None or in_fragments(self._file):
            return False
        entries = self.stream.index_entries
        if not len(entries):
            return False
        last = entries[len(entries) - 1]
        known = float((last.timestamp - entries[0].timestamp) * self.stream.time_base)
        there = last.pos + last.size <= self.size and abs(known - self.promised) < 1.0
        return there and self._decodes(entries[-_LAST:])

    def _decodes(self, entries) -> bool:
        """Whether there is sound in each of these packets of an index."""
        position, known = self._file.tell(), self.stream.codec_context
        if known.codec.canonical_name.startswith("pcm_"):
            return True
        decoder = self.av.CodecContext.create(known.codec, "r")  # a new one: the stream's goes on from where it is
        decoder.extradata, decoder.layout, decoder.sample_rate = known.extradata, known.layout, known.sample_rate
        try:
            for entry in entries:
                decoder.decode(self.av.Packet(bytes_at(self._file, entry.pos, entry.size)))
        except self.errors:
            return False
        finally:
            self._file.seek(position)
        return True

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
            return self._pass.time
        except Irregular:
            self._open()
            return sum(len(audio) / rate for rate, audio in self._pieces(0.0))

    def _leave_out_other(self) -> None:
        """Once, before packets are read: tags between frames, which the whole file is searched for, and zeros behind
        the last one."""
        if not self._looked_for_other and self.formats & NO_CLOCK:
            self._in_zeros = ends_in_zeros(self._file)
            tags = tags_of(self._file)
            if "mp3" in self.formats:
                seconds, self._lacks_frames = counted_mp3(self._file, [0, *(start for start, _ in tags)])
                self.promised = seconds or None
            file = without_tags(self._file, tags) if tags else self._file
            end = end_of_frames(file, self.stream.codec_context.codec.canonical_name)
            if end is not None and end < file.seek(0, io.SEEK_END):
                file = Pieces(file, [(0, end)])
            if file is not self._file:
                self.container.close()
                self._file = file
                self._open()
        self._looked_for_other = True

    def _pieces(self, start: float) -> Iterator[tuple[int, np.ndarray]]:
        self._leave_out_other()
        self._pass = DecodingPass(self, start)
        return self._pass.pieces()

    def end_of_packets(self) -> int:
        """Up to which byte packets lie; indices, notes and attachments may follow."""
        return end_of_packets(self._file, self.formats)

    def lacks_tail(self) -> bool:
        """Whether the file ends before its sound does, as far as its bytes tell."""
        if "ogg" in self.formats:
            return not self._has_last_page()
        return self._lacks_frames or ends_inside(self._file, self.formats)

    def is_broken_between(self, begin: int, end: int) -> bool:
        """Whether what lies there does not lead from one packet to the other: bytes are missing, or are wrong."""
        position = self._file.tell()
        broken = "mpegts" in self.formats and is_off_beat(bytes_at(self._file, begin, min(end - begin, 2**24)))
        broken |= "flv" in self.formats and not leads_to_tag(self._file, begin, end)
        self._file.seek(position)
        return broken

    def lacks_bytes(self) -> bool:
        """Whether the file is shorter than it says."""
        return is_shorter_than_said(self._file, self.formats)

    def lacks_tail_of_zeros(self) -> bool:
        """Whether zeros stand where sound should. In samples they are silence, also between frames of a WAV that are
        written as samples (S/PDIF). Of an Ogg file its last page tells."""
        picture = self.av.stream.Disposition.attached_pic
        codecs = {s.codec_context.name for s in (*self.container.streams.audio, *self.container.streams.video)
                  if s.codec_context is not None and not s.disposition & picture}  # fmt: skip
        plain = all(codec.startswith(("pcm_", "adpcm_", "rawvideo")) for codec in codecs)
        return not plain and not self.formats & {"wav", "w64", "ogg"} and (self._in_zeros or ends_in_zeros(self._file))

    def _has_last_page(self) -> bool:
        """Whether the last page of an Ogg file is whole and says that it is the last; nothing else tells a cut. Zeros
        may lie behind it."""
        position = self._file.tell()
        end, _ = before_zeros(self._file)
        begin = max(0, end - 2**17)  # a page has at most 65,307 bytes
        tail = bytes_at(self._file, begin, end - begin + 2**16)
        self._file.seek(position)
        page = tail.rfind(b"OggS\0")
        return page >= 0 and len(tail) >= page + 27 and bool(tail[page + 5] & 4) and is_sound_page(tail[page:])

    def close(self) -> None:
        self.container.close()
        self._file.close()
