"""What `label` and `decode` need of a model, and what most models have in common.

In: recordings or utterances. Out: lists of what is finished. A kind of transcriber adds `run`, `inspect`,
`identity` and `decides`, and changes of the rest only what is its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from k2d.errors import BadAudio
from k2d.text.transcript import Transcript
from k2d.work.identity import Identity

if TYPE_CHECKING:
    from k2d.audio.sources import AudioSource
    from k2d.work.journal import Journal


def _unseen(seconds: float) -> None:
    """Progress that nobody watches."""


class Transcriber(ABC):
    """accepts: names of the options of decoding and computing that it knows; decides: those that decide its texts.
    stopwatch: of an engine that measures its parts, or None.
    """

    kind: str
    accepts: tuple[str, ...] = ("language",)
    stopwatch: object | None = None

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Content of everything that decides its texts, options apart."""

    @property
    @abstractmethod
    def decides(self) -> dict[str, object]: ...

    @abstractmethod
    def inspect(self) -> tuple[str, ...]:
        """What it is, and then what is worth knowing of it, as sentences: from its files, before it is loaded.

        Raises UserError for what `load` would refuse, as far as files show it, and for weights that are no numbers.
        """

    @abstractmethod
    def run(
        self,
        names: Iterable[str],
        source: AudioSource,
        long_form: bool,
        journal: Journal | None,
        progress: Callable[[float], None],
    ) -> Iterator[list[Any]]:
        """Transcribes `source`'s recordings (long_form: every segment has its times) or utterances of at most 30 s;
        what `journal` holds is not done again. progress(seconds of audio done).

        Yields lists of what is finished, in any order: results as `transcript_of` takes them, and of a recording
        that cannot be used its BadAudio, whose `recording` is its id.
        """

    def transcript_of(self, result: Any) -> Transcript:
        """A result of `run` as a transcript."""
        return result

    def workers_of(self, num_jobs: int) -> int:
        """Threads that share the work of a process."""
        return 1

    def load(self, workers: int = 1) -> Transcriber:
        """Load the model, for so many threads. Raises UserError for one that cannot be loaded."""
        return self

    def for_worker(self) -> Transcriber:
        """The transcriber for one more thread."""
        return self

    def transcribe(
        self,
        names: Iterable[str],
        source: AudioSource,
        long_form: bool,
        journal: Journal | None = None,
        progress: Callable[[float], None] = _unseen,
        decoded: bool = False,
    ) -> Iterator[list[Transcript | BadAudio]]:
        """`run`, with transcripts as results. decoded: results as the model made them, which of Whisper's utterances
        tell more.
        """
        for batch in self.run(names, source, long_form, journal, progress):
            yield batch if decoded else [
                one if isinstance(one, Transcript | BadAudio) else self.transcript_of(one) for one in batch
            ]
