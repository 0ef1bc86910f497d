"""Anything that turns recordings into text can be teacher or validator.

In: a name, as `--model` has it. Out: a `Transcriber`.

    DIR, FILE or a published name   a Whisper checkpoint in any form
    text:FILE                       a Kaldi text file, by id of recording, utterance or chunk
    text:FOLDER                     .json, .vtt, .srt and .txt files of other programs, one a recording
    espnet:DIR                      an ESPnet ASR model
    transformers:DIR                a Hugging Face CTC or sequence-to-sequence model

`open_transcriber` looks at files and loads nothing: models are loaded with the first recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from k2d.errors import BadAudio, UsageError
from k2d.text.transcript import Transcript
from k2d.work.identity import Identity

if TYPE_CHECKING:
    from k2d.audio.sources import AudioSource
    from k2d.datadir import DataDir
    from k2d.work.journal import Journal

KINDS = ("text", "espnet", "transformers")


class Transcriber(Protocol):
    """What `label` and `decode` need of a model.

    has_logits: whether a student can be distilled from its output distribution, and not from its text alone.
    accepts: names of the options of decoding and computing that it knows; decides: those that decide its texts.
    stopwatch: of an engine that measures its parts, or None.
    """

    kind: str
    has_logits: bool
    accepts: tuple[str, ...]
    stopwatch: object | None

    @property
    def identity(self) -> Identity:
        """Content of everything that decides its texts, options apart."""

    @property
    def decides(self) -> dict[str, object]: ...

    def workers_of(self, num_jobs: int) -> int:
        """Threads that share the work of a process."""

    def load(self, workers: int = 1) -> Transcriber:
        """Load the model, for so many threads. Raises UserError for one that cannot be loaded."""

    def for_worker(self) -> Transcriber:
        """The transcriber for one more thread."""

    def transcribe(
        self,
        names: Iterable[str],
        source: AudioSource,
        long_form: bool,
        journal: Journal | None = None,
        progress: Callable[[float], None] = lambda seconds: None,
    ) -> Iterator[list[Transcript | BadAudio]]:
        """Transcribe `source`'s recordings (long_form: every segment has its times) or utterances of at most 30 s.

        Yields lists of what is finished, in any order; a recording that cannot be used as its BadAudio, whose
        `recording` is its id. What `journal` holds is not done again. progress(seconds of audio done).
        """


def kind_of(name: str) -> str:
    """ "text", "espnet", "transformers" or "whisper"."""
    prefix = str(name).partition(":")[0]
    return prefix if prefix in KINDS and ":" in str(name) else "whisper"


def class_of(name: str) -> type[Transcriber]:
    kind = kind_of(name)
    if kind == "text":
        from k2d.transcribers.text import ReadyTranscripts as Class
    elif kind == "espnet":
        from k2d.transcribers.espnet import ESPnetRecogniser as Class
    elif kind == "transformers":
        from k2d.transcribers.huggingface import HuggingFaceRecogniser as Class
    else:
        from k2d.transcribers.whisper import WhisperTranscriber as Class
    return Class


def refused(name: str, option: str) -> UsageError:
    known = ", ".join(f"--{each}" for each in class_of(name).accepts)
    return UsageError(f"{name}: --{option} means nothing to it; it knows {known}. Leave the option out")


def open_transcriber(name: str, data: DataDir | None = None, **options) -> Transcriber:
    """The transcriber of a name. data: directory of the recordings, by whose files ready transcripts are found.

    options (device, dtype, beam_size …) are those its class `accepts`. Raises UserError for what is missing, not
    what the name says, or an option that it does not know.
    """
    Class = class_of(name)
    for option in options:
        if option not in Class.accepts:
            raise refused(name, option)
    if Class.kind == "text":
        options["data"] = data
    return Class(name if Class.kind == "whisper" else name.partition(":")[2], **options)
