"""Utterances of at most 30 s, in batches of similar length.

In: utterance ids and their audio. Out: a hypothesis for each. The batches follow from the lengths of all
utterances of the job and never from what an earlier run has finished, so a repeated run decodes the same
batches to the same bits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from k2d.audio.sources import AudioSource, audio_digest
from k2d.constants import SAMPLE_RATE, WINDOW
from k2d.errors import BadAudio
from k2d.whisper.decoding import DecodingOptions, Engine, Hypothesis, prompts
from k2d.whisper.fallback import Window, decode_windows
from k2d.whisper.features import context_samples, utterance_log_mel
from k2d.work.jobs import prefetch, readers_for
from k2d.work.journal import Journal

MOST_IN_BATCH = 4  # times the batch size, for models whose short utterances cost less


@dataclass
class Decoded:
    """An utterance's hypothesis and duration in seconds."""

    utterance: str
    duration: float
    hypothesis: Hypothesis


def plan_batches(seconds: dict[str, float], batch_size: int, trim_padding: bool) -> list[list[str]]:
    """Utterances, longest first, in batches of `batch_size`.

    With trim_padding a batch holds as many as amount to `batch_size` windows of 30 s, up to four times its
    size.
    """
    batches: list[list[str]] = []
    longest = 0.0
    for name in sorted(seconds, key=lambda n: (-seconds[n], n)):
        room = batch_size
        if trim_padding and batches:
            room = min(MOST_IN_BATCH * batch_size, int(batch_size * WINDOW / max(longest, 0.1)))
        if not batches or len(batches[-1]) >= max(room, 1):
            batches.append([])
            longest = seconds[name]
        batches[-1].append(name)
    return batches


def decode_all(
    engine: Engine,
    batches: Sequence[Sequence[str]],
    source: AudioSource,
    options: DecodingOptions,
    journal: Journal | None = None,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Iterator[list[Decoded | BadAudio]]:
    """Decode batches of utterances; yields each batch's results. Bad audio is yielded beside them, its
    `recording` says whose it is.
    """

    def read(batch: Sequence[str]) -> tuple[list[Decoded | BadAudio], dict, dict]:
        known = _from_journal(batch, journal) if journal else []
        found = {r.recording if isinstance(r, BadAudio) else r.utterance for r in known}
        return known, *_read([name for name in batch if name not in found], source)

    for known, audio, bad in prefetch(batches, read, readers_for(engine.device)):
        results = known + _decode(engine, audio, bad, options, journal)
        progress(sum(r.duration for r in results if isinstance(r, Decoded)))
        yield results


def _from_journal(batch: Sequence[str], journal: Journal) -> list[Decoded | BadAudio]:
    """The results of a batch that are known: all or none of them, unless batches were once formed in another way."""
    results: list[Decoded | BadAudio] = []
    for name in batch:
        samples = journal.opened(name)
        if isinstance(samples, BadAudio):
            results.append(samples)
        elif samples is not None and (found := journal.window(name, 0)) is not None:
            results.append(Decoded(name, samples / SAMPLE_RATE, Hypothesis(**found)))
    return results


def _read(batch: Sequence[str], source: AudioSource) -> tuple[dict[str, np.ndarray], dict[str, BadAudio]]:
    audio, bad = {}, {}
    for name in batch:
        try:
            audio[name] = source.read(name)
        except BadAudio as error:
            error.recording = name
            bad[name] = error
    return audio, bad


def _decode(engine, audio, bad, options, journal) -> list[Decoded | BadAudio]:
    """Decode utterances in one batch; bad: those whose audio cannot be used."""
    noted: dict[str, dict | None] = {}
    if journal and (audio or bad):
        opened = [(name, len(samples), audio_digest(samples)) for name, samples in audio.items()]
        journal.note_all_opened([*opened, *((name, error, "") for name, error in bad.items())])
        noted = {name: journal.window(name, 0) for name in audio}  # of a file that was touched
    found = {name: Hypothesis(**window) for name, window in noted.items() if window}
    missing = {name: samples for name, samples in audio.items() if name not in found}
    if missing:
        windows = _windows(engine, missing, options)
        decoded = decode_windows(engine, windows, options)
        if journal:
            journal.note_round([(w.name, 0, asdict(h)) for w, h in zip(windows, decoded)])
        found.update((w.name, h) for w, h in zip(windows, decoded))
    return [*(Decoded(name, len(a) / SAMPLE_RATE, found[name]) for name, a in audio.items()), *bad.values()]


def _windows(engine, audio: dict[str, np.ndarray], options: DecodingOptions) -> list[Window]:
    """One window an utterance, all of one length."""
    samples = context_samples(max(map(len, audio.values())), engine.trim_padding)
    language = options.language if engine.tokenizer.multilingual else None
    always, first = prompts(engine.tokenizer, engine.dims.n_text_ctx, options)
    return [
        Window(name, 0, utterance_log_mel(a, engine.dims.n_mels, samples), [*first, *always], language)
        for name, a in audio.items()
    ]
