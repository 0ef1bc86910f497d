"""Ready transcripts as a transcriber: what other programs, or people, have written.

In: a Kaldi text file, a manifest of NeMo, Lhotse or the Hugging Face Hub (k2d/corpus/manifests.py), or a folder of
.json, .vtt, .srt, .ass, .ssa, .sbv, .tsv and .txt files. Out: the transcript of a recording or chunk by id.

A line of a text file belongs to the recording, utterance or chunk of its id; times come from timestamp tokens in it
(`<|0.00|>…<|5.20|>`), from the id of a chunk, or from `segments` beside the file. A file of a folder belongs to the
recording of its name, or to the one whose audio file has its stem (lecture1.m4a: lecture1.json, lecture1.zh-TW.vtt).
Whoever asks for a chunk of a recording with times gets the segments whose middle lies in it.
"""

import logging
import math
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from k2d.audio.stamps import archive_entry, is_command
from k2d.constants import LONGEST, SAMPLE_RATE, WINDOW, file_name, read_chunk_id
from k2d.corpus.folder import LIST, unusable_transcripts
from k2d.corpus.manifests import files_of, is_manifest, read_entries
from k2d.corpus.recordings import LABELS
from k2d.corpus.subtitles import fault_of_lengths, fault_of_times, in_order, within
from k2d.corpus.transcripts import read_transcript
from k2d.datadir import DataDir, Segment, read_segments
from k2d.errors import BadAudio, DataError
from k2d.tables import read_table, safe_id
from k2d.text import timestamps
from k2d.text.transcript import TimedText, Transcript, as_whisper_writes
from k2d.transcribers.base import Transcriber
from k2d.wording import counted
from k2d.work.identity import Identity, digest_of, file_digest, makers_of
from k2d.work.jobs import prefetch

SUFFIXES = LABELS  # of several for one recording the first: .json may tell scores, .txt tells no times
AT_ONCE = 500  # chunks that reach the disk together
_LANGUAGE = re.compile(r"\.[a-z]{2,3}(?:[-_][A-Za-z]+)*$")  # at the end of a stem, as in lecture1.zh-TW

_log = logging.getLogger("k2d.transcribers")

Found = list[TimedText] | None  # None: there is no transcript; one segment with end None: text without times


class ReadyTranscripts(Transcriber):
    kind = "text"

    def __init__(self, place: str, data: DataDir | None = None, language: str | None = None):
        """data: whose `segments` say where utterances lie, and whose wav.scp tells stems of audio files."""
        path = Path(place)
        wav = data.wav if data else {}
        if not path.exists():
            kinds = ", ".join(SUFFIXES)
            raise DataError(
                f"{path}: no such file or folder; expected a Kaldi text file, a folder with {kinds}, or a manifest "
                "(.jsonl, .parquet)"
            )
        if is_manifest(path):
            self._place = TranscriptManifest(path, wav)
        else:
            self._place = TranscriptFolder(path, wav) if path.is_dir() else TranscriptTable(path)
        self._segments = data.segments if data and data.has_segments else {}
        self.language = language

    @property
    def identity(self) -> Identity:
        makers = makers_of(self._place.path)
        return Identity(str(self._place.path), digest_of([self.kind, self._place.digests()]), makers)

    @property
    def decides(self) -> dict[str, object]:
        return {"language": self.language}

    def inspect(self) -> tuple[str, ...]:
        return (f"{self._place.path}: {self._place.count} ready transcripts",)

    def run(self, names, source, long_form, journal, progress) -> Iterator[list[Transcript | BadAudio]]:
        """Recordings are read, so that one that cannot be is skipped here; utterances are not."""

        def one(name: str) -> Transcript | BadAudio:
            try:
                samples = sum(map(len, source.blocks(name))) if long_form else 0
                seconds = samples / SAMPLE_RATE if long_form else source.seconds(name)
                found = self.segments(name, seconds, long_form)
                if long_form and (why := fault_of_lengths(found, seconds)):
                    _log.warning("%s: %s", name, why)
                return Transcript(name, seconds, self.language, found)
            except BadAudio as error:
                error.recording = name
                return error

        done: list[Transcript | BadAudio] = []
        for found in prefetch(names, one) if long_form else map(one, names):
            done.append(found)
            if long_form or len(done) == AT_ONCE:
                yield done
                done = []
            if isinstance(found, Transcript):
                progress(found.duration)
        if done:
            yield done

    def segments(self, name: str, seconds: float, timed: bool) -> list[TimedText]:
        """Segments of a recording or utterance of `seconds`. Raises BadAudio that says what its transcript lacks."""
        try:
            found = self._place.find(name)
            if found is None and (part := self._part(name, seconds)):
                recording, start, end = part
                whole = self._place.find(recording)
                if whole is not None and _has_times(whole):
                    found = _within(whole, start, end)
        except DataError as error:
            raise BadAudio(name, "unusable transcript", str(error)) from None
        if found is None:
            raise BadAudio(name, "no transcript", self._place.missing(name))
        for s in found:
            if s.end == math.inf:  # of a line of segments that says so
                s.end = max(seconds, s.start)
        if any(s.end is None for s in found):  # a text as a whole, or the last segment of one that was cut off
            if timed and len(found) == 1 and not found[0].start and seconds > LONGEST:
                raise BadAudio(
                    name,
                    "no times",
                    f"the text of {seconds:.0f} s cannot be cut into chunks; give it timestamp tokens, a line an "
                    "utterance with `segments` beside it, or a folder of .json, .vtt or .srt files",
                )
            if timed or len(found) > 1:
                found[-1].end = min(max(seconds, found[-1].start), found[-1].start + WINDOW)
        if backwards := [s for s in found if s.end is not None and s.end < s.start]:
            first = f"{backwards[0].text.strip()[:40]!r} is said from {backwards[0].start} to {backwards[0].end} s"
            if len(backwards) == len(found):
                raise BadAudio(name, "unusable transcript", f"{first}; correct its times")
            _log.warning("%s: left out: %s with an end before the start, the first: %s; correct its times", name,
                         counted(len(backwards), "segment"), first)  # fmt: skip
            found = [s for s in found if s.end is None or s.end >= s.start]
        if all(s.end is not None for s in found):
            found = in_order(sorted(found, key=lambda s: (s.start, s.end)))
        if timed:
            if found and (why := fault_of_times(found, seconds)):
                raise BadAudio(name, "unusable transcript", why)
            found = within(found, seconds, name)
        return found

    def _part(self, name: str, seconds: float) -> tuple[str, float, float] | None:
        """(recording, start, end) of an utterance of `seconds` by `segments`, or of a chunk by its id."""
        if segment := self._segments.get(name):
            return segment.recording, segment.start, segment.start + seconds if segment.end is None else segment.end
        chunk = read_chunk_id(name)
        return (chunk.recording, chunk.start / 100, chunk.end / 100) if chunk else None


def _has_times(segments: list[TimedText]) -> bool:
    """Whether times are known: the last may lack its end, unless it is a text as a whole."""
    open_ends = [s for s in segments if s.end is None]
    return not open_ends or (open_ends == segments[-1:] and (len(segments) > 1 or segments[0].start > 0))


def _within(segments: list[TimedText], start: float, end: float) -> list[TimedText]:
    """Those whose middle lies between start and end, in seconds from `start`; one without an end is where it starts."""

    def middle(s: TimedText) -> float:
        return s.start if s.end is None or s.end == math.inf else (s.start + s.end) / 2

    for s in (inside := [s for s in segments if start <= middle(s) < end]):
        s.start, s.end = max(s.start, start) - start, (end if s.end is None else min(s.end, end)) - start
    return inside


def _of_text(text: str) -> list[TimedText]:
    """Segments of a text; one without an end if there are no timestamp tokens in it."""
    return [TimedText(start, end, as_whisper_writes(said)) for start, end, said in timestamps.parse(text)]


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


class TranscriptTable:
    """A Kaldi text file."""

    def __init__(self, path: Path):
        self.path, self.table = path, read_table(path)
        self.segments_file = path.with_name("segments")
        self.count = len(self.table)

    def _places(self) -> dict[str, Segment]:
        return read_segments(self.segments_file) if self.segments_file.is_file() else {}

    def digests(self) -> dict[str, str]:
        return {p.name: file_digest(p) for p in (self.path, self.segments_file) if p.is_file()}

    @cached_property
    def _parts(self) -> dict[str, list[tuple[float, float, str]]]:
        """recording -> (start, end, id) of its utterances or chunks in order."""
        places = self._places()
        parts: dict[str, list[tuple[float, float, str]]] = {}
        for name in self.table:
            segment, chunk = places.get(name), read_chunk_id(name)
            if segment and (segment.end is not None or not chunk):
                end = math.inf if segment.end is None else segment.end
                parts.setdefault(segment.recording, []).append((segment.start, end, name))
            elif chunk:
                parts.setdefault(chunk.recording, []).append((chunk.start / 100, chunk.end / 100, name))
        return {recording: sorted(own) for recording, own in parts.items()}

    def find(self, name: str) -> Found:
        if name in self.table:
            return _of_text(self.table[name])
        if name not in self._parts:
            return None
        found = []
        for start, end, part in self._parts[name]:
            for s in _of_text(self.table[part]):
                s.start, s.end = start + s.start, end if s.end is None else min(start + s.end, end)
                found.append(s)
        return found

    def missing(self, name: str) -> str:
        return f"expected a line of it in {self.path}, or of its utterances with their segments; add it"


class TranscriptManifest(TranscriptTable):
    """Utterances of a manifest: by their ids, or by the recording of that id, or whose audio file has that stem."""

    def __init__(self, path: Path, wav: dict[str, str]):
        self.path, self.wav = path, wav
        self.table, self.segments = {}, {}
        for entry in read_entries(path):
            self.table[entry.id] = entry.text
            self.segments[entry.id] = Segment(entry.id, entry.recording, entry.start, entry.end)
        self.count = len(self.table)

    def digests(self) -> dict[str, str]:
        return {file.name: file_digest(file) for file in files_of(self.path)}

    def _places(self) -> dict[str, Segment]:
        return self.segments

    def find(self, name: str) -> Found:
        stem = _stem(self.wav, name)
        tried = (super(TranscriptManifest, self).find(each) for each in dict.fromkeys((name, stem, safe_id(stem))))
        return next((found for found in tried if found is not None), None)

    def missing(self, name: str) -> str:
        return f"expected an utterance of this id, or of {_stem(self.wav, name)}, in {self.path}; add it"


class TranscriptFolder:
    """A tree of files that other programs wrote, one a recording."""

    def __init__(self, path: Path, wav: dict[str, str]):
        self.path, self.wav = path, wav
        self.files: dict[str, list[Path]] = {}
        found = sorted(
            (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not _hidden(p, path)),
            key=lambda p: (SUFFIXES.index(p.suffix.lower()), len(p.name), str(p)),
        )
        for file in found:
            relative = file.relative_to(path).with_suffix("").as_posix()
            for whole in {relative, _LANGUAGE.sub("", relative)}:
                for name in {Path(whole).name, safe_id(Path(whole).name), safe_id(whole)}:
                    self.files.setdefault(name, []).append(file)
        self.count = len(found)
        if not found:
            raise DataError(f"{path}: no {', '.join(SUFFIXES)} file in it; expected one for each recording")

    def digests(self) -> dict[str, str]:
        files = sorted({file for files in self.files.values() for file in files})
        return {str(file.relative_to(self.path)): file_digest(file) for file in files}

    def find(self, name: str) -> Found:
        files = self.files.get(name) or self.files.get(file_name(name)) or self.files.get(_stem(self.wav, name))
        if not files:
            if why := self._refused.get(name):
                raise DataError(f"{why}; then run stage 1 again")
            return None
        if other := next((f for f in files if f.parent != files[0].parent), None):
            raise DataError(f"both {files[0]} and {other} fit; name one by the recording's id and move the other away")
        return read_transcript(files[0])

    @property
    def _list(self) -> Path:
        """Of `k2d recordings`, which links what lies beside the recordings, and removes all else from its folder."""
        return self.path.parent / LIST

    @cached_property
    def _refused(self) -> dict[str, str]:
        """recording -> why the transcript beside it was not linked."""
        return unusable_transcripts(self._list) if self._list.is_file() else {}

    def missing(self, name: str) -> str:
        stem, linked = _stem(self.wav, name), self._list.is_file()
        place, again = ("beside the recording", ", and run stage 1 again") if linked else (f"in {self.path}", "")
        return f"expected {stem}{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} {place}; add it{again}"


def _stem(wav: dict[str, str], name: str) -> str:
    """Of the recording's audio file; the id where it is a command or lies in an archive."""
    source = wav.get(name, "")
    return name if not source or is_command(source) or archive_entry(source) else Path(source).stem
