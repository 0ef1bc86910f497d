"""A Whisper checkpoint as a transcriber: the engines of k2d.whisper.

In: a checkpoint in any form, an `EngineConfig`'s and `DecodingOptions`' fields. Out: transcripts, long form or short.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from k2d.constants import LONGEST
from k2d.errors import BadAudio
from k2d.text import timestamps
from k2d.text.transcript import TimedText, Transcript, mean_confidence, one_line
from k2d.transcribers.base import Transcriber
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, load_engine, what_decides
from k2d.whisper.identity import model_identity
from k2d.work.identity import Identity

if TYPE_CHECKING:
    from k2d.audio.sources import AudioSource
    from k2d.whisper.short_form import Decoded

_ENGINE = tuple(field.name for field in dataclasses.fields(EngineConfig))
_DECODING = tuple(field.name for field in dataclasses.fields(DecodingOptions))


class WhisperTranscriber(Transcriber):
    kind = "whisper"
    accepts = _ENGINE + _DECODING

    def __init__(self, place: str, **options):
        self.place = place
        self.config = EngineConfig(**{name: value for name, value in options.items() if name in _ENGINE})
        self.decoding = DecodingOptions(**{name: value for name, value in options.items() if name in _DECODING})
        self.engine = None

    @property
    def identity(self) -> Identity:
        return model_identity(self.place)

    @property
    def decides(self) -> dict[str, object]:
        return what_decides(self.config, self.decoding)

    @property
    def batch_size(self) -> int:
        return self.config.resolved().batch_size

    @property
    def stopwatch(self):
        return self.engine and self.engine.stopwatch

    def workers_of(self, num_jobs: int) -> int:
        return self.config.workers_of(num_jobs)

    def load(self, workers: int = 1) -> WhisperTranscriber:
        if self.engine is None:
            self.engine = load_engine(self.place, self.config, self.decoding, workers)
        return self

    def for_worker(self) -> WhisperTranscriber:
        worker = copy.copy(self)
        worker.engine = self.engine.for_worker()
        return worker

    def inspect(self) -> tuple[str, ...]:
        from k2d.whisper.formats import inspect_model

        facts = inspect_model(self.place)
        more = (*facts.findings, *(f"{what}; {todo}" for what, todo in facts.doubts))
        if facts.dims is None:
            return f"{facts.path}: a published Whisper", *more
        d = facts.dims
        size = f"{d.n_audio_layer} + {d.n_text_layer} layers of width {d.n_text_state}, {d.n_mels} mel bands"
        return f"{facts.path}: a Whisper ({facts.form}), {size}; vocabulary: {facts.vocabulary}", *more

    def run(self, names, source, long_form, journal, progress) -> Iterator[list[Transcript | Decoded | BadAudio]]:
        """Long-form transcription, of utterances above 30 s too, and batches of utterances of similar length."""
        from k2d.whisper.long_form import transcribe_all
        from k2d.whisper.short_form import decode_all, plan_batches

        self.load()
        seconds = {} if long_form else {name: source.seconds(name) for name in names}
        long = list(names) if long_form else [name for name in seconds if seconds[name] > LONGEST]
        options = self.decoding if long_form else dataclasses.replace(self.decoding, timestamps=True)
        for found in transcribe_all(self.engine, long, source, options, self.batch_size, journal, progress):
            yield [found]
        for name in long:
            seconds.pop(name, None)
        batches = plan_batches(seconds, self.batch_size, self.engine.trim_padding)
        yield from decode_all(self.engine, batches, source, self.decoding, journal, progress)

    def add_words(self, transcript: Transcript, source: AudioSource) -> None:
        """Add the times of words to a long-form transcript of this model; its engine is torch."""
        from k2d.whisper.words import add_words

        add_words(self.engine, transcript, source.blocks(transcript.recording))

    def transcript_of(self, decoded: Decoded) -> Transcript:
        """The segments of one window; one without an end where no timestamps were asked for."""
        hypothesis, tokenizer = decoded.hypothesis, self.engine.tokenizer
        sure = [p for t, p in zip(hypothesis.tokens, hypothesis.token_logprobs) if t < tokenizer.eot]
        timed = self.decoding.timestamps
        text = tokenizer.decode_with_timestamps(hypothesis.tokens) if timed else tokenizer.decode(hypothesis.tokens)
        segments = [
            TimedText(
                start, end, said, tokenizer.encode(said), 0, hypothesis.temperature, hypothesis.avg_logprob,
                hypothesis.compression_ratio, hypothesis.no_speech_prob, mean_confidence(sure),
            )
            for start, end, said in timestamps.parse(timestamps.within(one_line(text), decoded.duration))
        ]  # fmt: skip
        if timed and segments and segments[-1].end is None:
            segments[-1].end = decoded.duration
        return Transcript(decoded.utterance, decoded.duration, hypothesis.language, segments)
