"""Models without a long form of their own: what `transcribe` is for them.

In: recordings or utterances. Out: their transcripts, one after the other; a long one is cut at silence and its pieces
become its segments.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from k2d.audio.cutting import Cutter
from k2d.audio.read import joined
from k2d.audio.sources import AudioDigest, AudioSource
from k2d.constants import LONGEST, NO_CHARACTER, SAMPLE_RATE
from k2d.errors import BadAudio
from k2d.text.transcript import TimedText, Transcript, as_whisper_writes
from k2d.transcribers.base import Transcriber
from k2d.transcribers.pieces import Loudness, pieces
from k2d.whisper import hub
from k2d.whisper.engine import chosen_device
from k2d.work.jobs import prefetch


class Recogniser(Transcriber):
    """Base of transcribers that recognise audio of at most 30 s at once: they add `load_model` and `recognise`.

    The result of an utterance depends on it alone, so batch and workers change nothing, and there are none.
    """

    accepts = ("device", "dtype", "num_threads", "language", "beam_size")

    def __init__(
        self,
        place: str,
        device: str = "cpu",
        dtype: str = "float32",
        num_threads: int = 0,
        language: str | None = None,
        beam_size: int = 1,
    ):
        """place: the model's folder, or its id in the Hub. dtype: float32, bfloat16 or float16; auto, and int8, which
        only Whisper's engines have, are float32.
        """
        self.place = place
        self.folder = hub.folder_of(place, self.kind) if hub.parts_of(place) else Path(place)
        self.device, self.num_threads, self.language, self.beam_size = device, num_threads, language, beam_size
        self.dtype = dtype if dtype in ("bfloat16", "float16") else "float32"
        self._loaded = False

    @property
    def decides(self) -> dict[str, object]:
        return {"dtype": self.dtype, "language": self.language, "beam_size": self.beam_size}

    def load(self, workers: int = 1) -> "Recogniser":
        if not self._loaded:
            self.device = chosen_device(self.device)
            set_threads(self.num_threads)
            self.inspect()  # its errors name the file that is damaged, those of libraries do not
            self.load_model()
            self._loaded = True
        return self

    @abstractmethod
    def load_model(self) -> None:
        """Load the model. Raises UserError for what cannot be loaded."""

    @abstractmethod
    def recognise(self, audio: np.ndarray) -> list[TimedText]:
        """Segments of audio (samples,), at most 30 s of 16 kHz; times are relative to it, end None is not known."""

    def run(self, names, source, long_form, journal, progress) -> Iterator[list[Transcript | BadAudio]]:
        """One recording after the other, each noted in the journal as one window."""

        def read(name: str) -> tuple[str, _Sound | Transcript | BadAudio]:
            opened = journal.opened(name) if journal else None
            if isinstance(opened, BadAudio):
                return name, opened
            if opened is not None and (noted := journal.window(name, 0)):
                return name, Transcript.from_record(noted)
            try:
                return name, _Sound(source, name, long_form)
            except BadAudio as error:
                return name, error

        for name, found in prefetch(names, read):
            if isinstance(found, _Sound):
                sound = found
                found = Transcript(name, sound.samples / SAMPLE_RATE, self.language, [])
                try:
                    found.segments = list(self._segments(sound, progress))
                except BadAudio as error:  # it could be read a moment ago
                    found = error
                else:
                    if journal:
                        journal.note_opened(name, sound.samples, sound.digest)
                        journal.note_round([(name, 0, found.record())])
            elif isinstance(found, Transcript):
                progress(found.duration)
            if isinstance(found, BadAudio):
                found.recording = name
                if journal and not isinstance(journal.opened(name), BadAudio):
                    journal.note_opened(name, found, "")
            yield [found]

    def _segments(self, sound: "_Sound", progress: Callable[[float], None]) -> Iterator[TimedText]:
        self.load()
        done = 0
        for start, audio in sound.pieces():
            seconds = len(audio) / SAMPLE_RATE
            for segment in self.recognise(audio):
                segment.text = as_whisper_writes(segment.text.replace(NO_CHARACTER, ""))
                if not segment.text.strip() or segment.start >= seconds:
                    continue
                if segment.end is not None:
                    segment.end = min(segment.end, seconds)
                if not sound.whole:
                    relative = seconds if segment.end is None else segment.end
                    segment.end = round(start / SAMPLE_RATE + relative, 3)
                    segment.start = round(start / SAMPLE_RATE + segment.start, 3)
                yield segment
            progress((start + len(audio) - done) / SAMPLE_RATE)
            done = start + len(audio)
        progress((sound.samples - done) / SAMPLE_RATE)


class _Sound:
    """A recording or utterance that has been read once: how long it is, what it holds, where it is not silent.

    whole: whether it is one utterance, which is kept; of others, read once more, a piece is in memory at a time.
    """

    def __init__(self, source: AudioSource, name: str, long_form: bool):
        digest, loudness = AudioDigest(), Loudness()
        blocks = loudness.of(digest.of(source.blocks(name)))
        if long_form:
            for _ in blocks:
                pass
            self._cut = partial(Cutter(source.blocks).cut, name)
        else:
            audio = joined(blocks)
            self._cut = lambda start, end: audio[start:end]
        self.samples, self.digest = digest.samples, digest.hexadecimal
        self.whole = not long_form and self.samples <= LONGEST * SAMPLE_RATE
        self._sounds = None if self.whole else loudness.sounds()

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first sample, audio) of what is recognised at once."""
        return iter([(0, self._cut(0, self.samples))]) if self.whole else pieces(self._sounds, self._cut)


def set_threads(number: int) -> None:
    """CPU threads of torch; 0 leaves them as they are (OMP_NUM_THREADS, or all cores)."""
    import torch

    if number:
        torch.set_num_threads(number)


def to_rate(audio: np.ndarray, rate: int) -> np.ndarray:
    """16 kHz audio at the rate (Hz) that a model takes."""
    if rate == SAMPLE_RATE:
        return audio
    import soxr

    return soxr.resample(audio, SAMPLE_RATE, rate, quality="HQ").astype(np.float32, copy=False)
