"""Recordings and segments in, 16 kHz mono float32 out.

In: sources as `wav.scp` names them: a path, "file.ark:offset" or "command |".
Out: float32 arrays in [-1, 1] at 16 kHz, or a BadAudio that says what is wrong with which recording.

A part of a recording is the same samples as in the whole. What is damaged is silence, and a warning says how much;
k2d/audio/files.py says which library reads what.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soundfile

from k2d.audio.decoding_pass import Irregular, drive_fails
from k2d.audio.files import Reader, open_source, out_of_reach
from k2d.audio.options import DAMAGED
from k2d.audio.stamps import FileStamps, archive_entry, is_command
from k2d.audio.time_line import GRID, check_form
from k2d.audio.whole import Wholes
from k2d.constants import SAMPLE_RATE, SHORTEST
from k2d.errors import BadAudio, disk_is_full, in_a_line

LONGEST_RECORDING = 8 * 3600.0  # seconds; its samples are 1.8 GB, in memory or on disk
LATE = 0.5  # seconds behind a recording's end that a part of it may end
LOUDEST = 4.0  # full scale is 1, and decoders of mp3 and AAC go a little beyond it

_EDGE = round(SHORTEST * SAMPLE_RATE)  # samples at both ends that hold no word
_ONE_STEP = 2.0**-14  # a signal that stays within one 16-bit step up and down is digital silence
_UNTOLD = 0.06  # seconds that may be missing without a word: a tag between two recordings is taken for as many
_MARGIN = 0.05  # seconds decoded on both sides of a part, so that the resampler sees no edge there
_EXTRACT = "extract another, as in 'ffmpeg -i FILE -map 0:a:1 FILE.wav'"
_OPPOSITE = 0.5  # of the power of unrelated channels; a mean with less has lost what the channels say

_log = logging.getLogger("k2d.audio")
_warned: set[str] = set()
_wholes = Wholes()


@dataclass(frozen=True)
class Header:
    """What a recording says of itself: sampling rate (Hz), channels, seconds (None: only reading tells), tracks."""

    rate: int
    channels: int
    seconds: float | None
    tracks: int = 1


def _guarded(work):
    """No recording can end a job: whatever a library raises becomes BadAudio with its reason."""

    def call(source, *args, **options):
        try:
            return work(str(source), *args, **options)
        except BadAudio:
            raise
        except MemoryError:
            raise BadAudio(source, "too long", "it does not fit into memory; cut it into parts") from None
        except Exception as error:
            if drive_fails(error) or disk_is_full(error):
                raise out_of_reach(source, error) from error
            what = in_a_line(error)[:300]
            raise BadAudio(source, "unreadable", f"{what}; convert it to FLAC or remove it") from error

    call.__doc__, call.__name__ = work.__doc__, work.__name__.lstrip("_")
    return call


@_guarded
def header(source, allow_pipes: bool = False) -> Header:
    """Rate, channels and seconds of a source, from its header where that can be trusted. Raises BadAudio."""
    reader = open_source(source, allow_pipes)
    try:
        return Header(reader.rate, reader.channels, reader.seconds, reader.tracks)
    finally:
        reader.close()


@_guarded
def recording_duration(source, allow_pipes: bool = False) -> float:
    """Seconds of a source: what reading it gives, from its header if that can be trusted. Raises BadAudio, as reading
    does, for less than 0.1 s.
    """
    reader = open_source(source, allow_pipes)
    try:
        seconds = reader.measure()
    finally:
        reader.close()
    if seconds < SHORTEST:
        raise _too_short(source, seconds, reader)
    return seconds


def _too_short(source: str, seconds: float, reader: Reader | None = None) -> BadAudio:
    """reader: has been read, if any; it tells whether that is all that there was."""
    if reader and _is_damaged(reader):
        return BadAudio(source, "truncated", f"damaged or cut short: {seconds:.3f} s of it are left; copy it again")
    other = _other_track(source)
    what = f"{seconds:.3f} s{f' {other}' if other else ''}, expected at least {SHORTEST} s"
    return BadAudio(source, "too short", f"{what}; {_EXTRACT if other else 'remove it'}")


def _too_long(source: str) -> BadAudio:
    hours = LONGEST_RECORDING / 3600
    return BadAudio(source, "too long", f"more than {hours:.0f} h, which would need too much memory; cut it into parts")


def check_length(source: str, seconds: float) -> None:
    """Raise BadAudio for a recording that is too short or too long to be read whole."""
    if seconds < SHORTEST:
        raise _too_short(source, seconds)
    if seconds > LONGEST_RECORDING:
        raise _too_long(source)


def pcm16(audio: np.ndarray) -> np.ndarray:
    """Float audio in [-1, 1] as 16-bit integers; what is louder is clipped."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


def write_flac(file, audio: np.ndarray) -> None:
    """Write (samples,) at 16 kHz into an open binary file, 16 bits a sample."""
    soundfile.write(file, pcm16(audio), SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def extent(audio: np.ndarray) -> float:
    """From the least sample to the greatest."""
    return float(audio.max(initial=-np.inf)) - float(audio.min(initial=np.inf))


class _Silence:
    """Whether all audio that passes by is silence, whatever its offset, but for the ends, where codecs and resampling
    make a step of an offset.
    """

    def __init__(self):
        self._range = np.inf, -np.inf
        self._held, self._begin = np.empty(0, np.float32), _EDGE

    def sees(self, piece: np.ndarray) -> None:
        if not self._is_still():
            return
        self._held = np.concatenate([self._held, piece])
        if len(self._held) > self._begin + _EDGE:
            inner = self._held[self._begin : -_EDGE]
            self._range = min(self._range[0], float(inner.min())), max(self._range[1], float(inner.max()))
            self._held, self._begin = self._held[-_EDGE:], 0

    def _is_still(self) -> bool:
        return self._range[1] - self._range[0] <= _ONE_STEP

    def __bool__(self) -> bool:
        return self._is_still() and (not self._begin or extent(self._held) <= _ONE_STEP)


def is_silent(audio: np.ndarray) -> bool:
    """Whether audio, but for its ends, is constant."""
    silence = _Silence()
    silence.sees(audio)
    return bool(silence)


def mix(block: np.ndarray) -> np.ndarray:
    """(frames, channels) -> (frames,): their mean, or a loud one where the mean cancels (opposite phase)."""
    if block.shape[1] == 1:
        return block[:, 0]
    channels = np.ascontiguousarray(block.T)
    with np.errstate(over="ignore", invalid="ignore"):  # what is no sound is named when all of it is read
        mean = channels.mean(axis=0, dtype=np.float32)
        powers = np.array([_power(channel) for channel in channels])
        cancels = _power(mean) < _OPPOSITE * powers.sum() / len(powers) ** 2
    if cancels:
        return channels[(powers > 0.7 * powers.max()).argmax()]  # the first of those: no change from block to block
    return mean


def _power(channel: np.ndarray) -> float:
    """Mean square, without an offset."""
    centred = channel - channel.mean()
    return float(np.dot(centred, centred)) / len(channel)


def _at_16_khz(source: str, reader: Reader, begin: float) -> Iterator[np.ndarray]:
    """Mono pieces at 16 kHz from `begin` on. The resampler runs through until the rate changes."""
    stream, at = None, SAMPLE_RATE
    for rate, block in reader.blocks(begin):
        if rate != at:
            check_form(source, rate, block.shape[1])
            if stream:
                yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
            stream, at = None, rate
            if rate != SAMPLE_RATE:
                import soxr  # what librosa.resample calls; librosa itself costs a second to import

                stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        mono = mix(block)
        yield stream.resample_chunk(np.ascontiguousarray(mono)) if stream else mono
    if stream:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def joined(pieces: Iterable[np.ndarray], expected: int = 0) -> np.ndarray:
    """One array of all pieces, about `expected` samples; it grows in place, since joining them needs memory twice."""
    array, count = np.empty(min(max(expected, 60 * SAMPLE_RATE), 3600 * SAMPLE_RATE), np.float32), 0
    for piece in pieces:
        need = count + len(piece)
        if need > len(array):
            array.resize(max(need, len(array) * 5 // 4), refcheck=False)
        array[count:need] = piece
        count = need
    array.resize(count, refcheck=False)
    return array


def _pieces(source: str, start: float, end: float | None, allow_pipes: bool, damaged: str) -> Iterator[np.ndarray]:
    """16 kHz from `_edges(start, end)` on. Irregular where only the whole can be read."""
    begin, stop = _edges(start, end)
    before = _state(source)
    reader = open_source(source, allow_pipes)
    try:
        if reader.seconds is not None:
            _check_inside(source, start, end, reader.seconds, reader)
            if reader.seconds > LONGEST_RECORDING and (end or np.inf) - start > LONGEST_RECORDING:
                raise _too_long(source)
        limit = np.inf if stop is None else round((stop - begin) * SAMPLE_RATE)
        count, ended = 0, True
        for piece in _at_16_khz(source, reader, begin):
            count += len(piece)
            if count > LONGEST_RECORDING * SAMPLE_RATE:
                raise _too_long(source)
            yield piece
            if count >= limit:
                ended = False
                break
    finally:
        reader.close()
    if before != _state(source):
        _warn_once(source, f"{source}: it changed while it was read; run this again when it is complete")
    if _is_damaged(reader):
        _check_drive(source)
    if ended:
        _check_inside(source, start, end, begin + count / SAMPLE_RATE, reader)
    if _is_damaged(reader) or reader.holes > 0.1 or reader.late:
        _tell_damage(source, reader, damaged)


def _edges(start: float, end: float | None) -> tuple[float, float | None]:
    """Where reading a part begins and ends, in seconds: at multiples of GRID, with a margin."""
    return max(0.0, (start - _MARGIN) // GRID * GRID), None if end is None else -(-(end + _MARGIN) // GRID) * GRID


@_guarded
def _part(source: str, start: float, end: float | None, allow_pipes: bool, damaged: str) -> np.ndarray:
    begin, stop = _edges(start, end)
    try:
        expected = 0 if stop is None else round((stop - begin + GRID) * SAMPLE_RATE)
        if is_command(source) or archive_entry(source):  # which are read whole
            raise Irregular
        audio = joined(_pieces(source, start, end, allow_pipes, damaged), expected)
    except Irregular:
        key = source, FileStamps()(source), allow_pipes, damaged
        audio, begin = _wholes.get(key, lambda: _pieces(source, 0.0, None, allow_pipes, damaged)), 0.0
        _check_inside(source, start, end, len(audio) / SAMPLE_RATE)
    offset = round((start - begin) * SAMPLE_RATE)
    return audio[offset : None if end is None else offset + round((end - start) * SAMPLE_RATE)].copy()


def _check_inside(source: str, start: float, end: float | None, total: float, reader: Reader | None = None) -> None:
    lost = reader.lost if reader else 0.0
    if total < SHORTEST:
        raise _too_short(source, total, reader)
    if (start and start >= total) or (end is not None and end > total + LATE):
        reason = "truncated" if lost and (end or start) <= total + lost + LATE else "outside"
        remedy = "copy it again" if reason == "truncated" else "correct segments"
        what = "that can be read" if lost else "of a recording"
        raise BadAudio(source, reason, f"{start} to {end} s {what} of {total:.2f} s; {remedy}")


def _is_damaged(reader: Reader) -> bool:
    """Whether sound is missing of what has been read."""
    return reader.lost > _UNTOLD or reader.cut


def _tell_damage(source: str, reader: Reader, damaged: str) -> None:
    end = " and its end" if reader.cut else ""  # by an unknown time
    lost = f"{reader.lost:.2f} s{end} are missing" if reader.lost > _UNTOLD else "its end is missing"
    if not _is_damaged(reader) and reader.holes <= 0.1:
        message = f"{source}: it begins {reader.late:.2f} s into its stream: what came before is not in the file"
    elif not _is_damaged(reader):
        message = f"{source}: its time line has holes: {reader.holes:.2f} s are silence"
    elif damaged == "skip":
        raise BadAudio(source, "truncated", f"damaged or cut short: {lost}; copy it again")
    else:
        message = f"{source}: damaged or cut short: {lost}; the intact part is read"
    _warn_once(source, message)


def _warn_once(source: str, message: str) -> None:
    """Not for each of its parts."""
    if source not in _warned:
        _warned.add(source)
        _log.warning(message)


def _state(source: str) -> tuple[int, int] | None:
    """Size and time of a file; None for commands and entries of archives."""
    try:
        status = os.stat(source)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _check_drive(source: str) -> None:
    """Read every byte of a file of which sound is missing: libraries take for its end where a drive fails."""
    if os.path.isfile(source):
        with open(source, "rb", buffering=0) as file:
            while file.read(2**20):
                pass


def audio_blocks(source, allow_pipes: bool = False, damaged: str = "warn") -> Iterator[np.ndarray]:
    """What `read_audio` reads of a whole source, a few seconds at a time: hours of it never lie in memory.

    Raises BadAudio as it does, and behind the last block at the latest: till then nothing is known to be sound.
    """
    source = str(source)
    if damaged not in DAMAGED:
        raise ValueError(f"damaged={damaged!r}; expected one of {DAMAGED}")
    count, low, high, silence = 0, np.inf, -np.inf, _Silence()
    pieces = _pieces(source, 0.0, None, allow_pipes, damaged)
    following = _guarded(lambda source: next(pieces, None))
    while (piece := following(source)) is not None:
        if len(piece):
            count, low, high = count + len(piece), np.minimum(low, piece.min()), np.maximum(high, piece.max())
            silence.sees(piece)
            yield piece
    _check_range(source, count, float(low), float(high))
    if silence:
        raise _silent(source)


def _silent(source: str) -> BadAudio:
    if other := _other_track(source):
        return BadAudio(source, "silence", f"every sample is the same {other}; {_EXTRACT}")
    return BadAudio(source, "silence", "every sample is the same; check the microphone or the channel")


def _other_track(source: str) -> str:
    """Where a file has more tracks than the one that is read: programs that record a screen often give the microphone
    one of its own, behind the computer's silent or empty one.
    """
    tracks = 1 if is_command(source) else header(source).tracks
    return f"in the track that is read, one of {tracks}" if tracks > 1 else ""


def _check_range(source: str, count: int, low: float, high: float) -> None:
    """Raise BadAudio for too few samples and for those that are no sound. low, high: NaN if one of them is."""
    if count < SHORTEST * SAMPLE_RATE:
        raise _too_short(source, count / SAMPLE_RATE)
    if not np.isfinite(high - low):
        raise BadAudio(source, "NaN", "samples are not finite numbers; export the recording again")
    if max(high, -low) > LOUDEST:
        raise BadAudio(
            source,
            "too loud",
            f"samples reach {max(high, -low):.6g} where full scale is 1 (integers stored as floats?); scale it",
        )


def read_audio(
    source, start: float = 0.0, end: float | None = None, allow_pipes: bool = False, damaged: str = "warn"
) -> np.ndarray:
    """Read a source, or its part from `start` to `end` (seconds): (samples,) float32, mono, 16 kHz.

    Channels are averaged, where they do not cancel, and other rates resampled. `end` may lie up to 0.5 s beyond the
    recording, as rounded segment ends do. Pauses of the time line are silence. What is damaged or cut off is left
    out with a warning (logger "k2d.audio") that says how many seconds are missing; damaged="skip" refuses it.

    Raises BadAudio, and nothing else, for a recording that is missing, empty, not audio, shorter than 0.1 s, longer
    than 8 h, not finite, far beyond full scale, or, read whole, digital silence (a silent part of it is a pause), for
    a part outside of it, and for whatever else goes wrong. "command |" runs only with `allow_pipes`.
    """
    if not (start >= 0 and (end is None or end > start)):
        raise ValueError(f"{source}: part from {start} to {end} s; expected 0 <= start < end")
    if damaged not in DAMAGED:
        raise ValueError(f"damaged={damaged!r}; expected one of {DAMAGED}")
    if start == 0.0 and end is None:
        return joined(audio_blocks(source, allow_pipes, damaged))
    audio = _part(source, start, end, allow_pipes, damaged)
    _check_range(str(source), len(audio), float(audio.min(initial=0.0)), float(audio.max(initial=0.0)))
    return audio
