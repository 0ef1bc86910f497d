"""Sequential transcription of long recordings, several recordings in one batch.

In: recordings of any length. Out: a `Transcript` (segments with times, text and confidence) of each.

Each recording is decoded as openai-whisper's `transcribe` does: a 30 s window, seek to its last complete
timestamp, the text so far as prompt. One recording therefore waits for its own last window, and a batch is
made *across* recordings: B of them advance by one window in every round, and where one ends the next takes
its place. Nothing is cut where there is no pause, and the result of a recording is the same in any batch.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from k2d.audio.sources import AudioDigest, AudioSource
from k2d.constants import HOP_LENGTH, N_FRAMES
from k2d.constants import MEL_FRAMES_PER_SECOND as FRAMES_PER_SECOND
from k2d.errors import BadAudio
from k2d.text.tokenizer import Tokenizer
from k2d.text.transcript import TimedText, Transcript, mean_confidence, one_line
from k2d.whisper.decoding import (
    DecodingOptions,
    Engine,
    Hypothesis,
    needs_fallback,
    prompts,
    room_for_prompt,
    should_skip,
)
from k2d.whisper.fallback import Window, decode_windows
from k2d.whisper.features import RecordingFeatures
from k2d.work.jobs import prefetch, readers_for
from k2d.work.journal import Journal

# A text decoded above this temperature is not fed to the next window: it may be wild.
RESET_PROMPT_ABOVE = 0.5


class RecordingState:
    """Where the transcription of one recording stands. It depends on the windows decoded and nothing else."""

    def __init__(self, recording: str, frames: int, tokenizer: Tokenizer, options: DecodingOptions, n_text_ctx: int):
        self.recording, self.frames = recording, frames
        self.features: RecordingFeatures | None = None  # until a window is to be decoded
        self.tokenizer, self.options, self.n_text_ctx = tokenizer, options, n_text_ctx
        self.language = options.language if tokenizer.multilingual else None
        self.seek = 0
        self.no_speech, self.failed = 0, 0  # frames
        self.segments: list[TimedText] = []
        self.always, self.tokens = prompts(tokenizer, n_text_ctx, options)
        self.prompt_from = 0

    @property
    def done(self) -> bool:
        return self.seek >= self.frames

    @property
    def size(self) -> int:
        """Frames of the next window."""
        return min(N_FRAMES, self.frames - self.seek)

    @property
    def previous(self) -> list[int]:
        """Ids the next window is prompted with: what stands before every one, and of the text so far what fits."""
        room = room_for_prompt(self.n_text_ctx) - len(self.always)
        return self.always + (self.tokens[self.prompt_from :][-room:] if room else [])

    def advance(self, hypothesis: Hypothesis) -> None:
        """Take the result of the window at `seek`: append its complete segments, move `seek`."""
        if should_skip(hypothesis, self.options):
            self.no_speech += self.size
            self.seek += self.size
            return
        before = self.seek
        pieces, step = cut_at_timestamps(hypothesis, self.size, self.tokenizer.timestamp_begin)
        for first, last, tokens, logprobs in pieces:
            last = min(last, self.size)  # the window is padded to 30 s, and the model may hear something there
            text_ids = [t for t in tokens if t < self.tokenizer.eot]
            text = one_line(self.tokenizer.decode(text_ids))
            if first >= last or not text.strip():
                continue
            of_text = [p for t, p in zip(tokens, logprobs) if t < self.tokenizer.eot]
            self.segments.append(
                TimedText(
                    start=(self.seek + first) / FRAMES_PER_SECOND,
                    end=(self.seek + last) / FRAMES_PER_SECOND,
                    text=text,
                    tokens=tokens,
                    seek=self.seek,
                    temperature=hypothesis.temperature,
                    avg_logprob=hypothesis.avg_logprob,
                    compression_ratio=hypothesis.compression_ratio,
                    no_speech_prob=hypothesis.no_speech_prob,
                    confidence=mean_confidence(of_text),
                )
            )
            self.tokens.extend(tokens)
        if not self.options.condition_on_previous or hypothesis.temperature > RESET_PROMPT_ABOVE:
            self.prompt_from = len(self.tokens)
        # The rules give every segment a length, so this holds by construction; a loop would be endless
        # without.
        self.seek += step if step > 0 else self.size
        if needs_fallback(hypothesis, self.options):  # also at the last temperature
            self.failed += min(self.seek, self.frames) - before

    def transcript(self) -> Transcript:
        windows = {"no_speech": self.no_speech, "failed": self.failed}
        seconds = {name: frames / FRAMES_PER_SECOND for name, frames in windows.items()}
        return Transcript(self.recording, self.frames / FRAMES_PER_SECOND, self.language, self.segments, seconds)


def cut_at_timestamps(hypothesis: Hypothesis, size: int, timestamp_begin: int):
    """Segments of a window's tokens, and how far to move on; both in frames of 10 ms.

    Returns ([(first frame, last frame, tokens, token log-probabilities)], frames to move). The text behind
    the last complete pair is dropped and decoded again from there, unless the window ends with a single
    timestamp, which says that nothing more is spoken in it.
    """
    tokens, logprobs = hypothesis.tokens, hypothesis.token_logprobs
    is_time = [t >= timestamp_begin for t in tokens]
    ends_alone = is_time[-2:] == [False, True]
    cuts = [i for i in range(1, len(tokens)) if is_time[i - 1] and is_time[i]]

    def frame(token: int) -> int:
        return 2 * (token - timestamp_begin)

    if not cuts:
        times = [t for t, time in zip(tokens, is_time) if time]
        last = frame(times[-1]) if times and times[-1] != timestamp_begin else size
        return [(0, last, tokens, logprobs)], size
    if ends_alone:
        cuts.append(len(tokens))
    pieces, begin = [], 0
    for cut in cuts:
        part = tokens[begin:cut]
        pieces.append((frame(part[0]), frame(part[-1]), part, logprobs[begin:cut]))
        begin = cut
    return pieces, size if ends_alone else frame(tokens[begin - 1])


# ------------------------------------------------------------------------------------------------ scheduling


class _Recordings:
    """Recordings as they are opened: read from the source, unless the journal knows what a former run found."""

    def __init__(self, engine: Engine, source: AudioSource, options: DecodingOptions, journal: Journal | None):
        self.engine, self.source, self.options, self.journal = engine, source, options, journal

    def read(self, recording: str) -> tuple[str, int | BadAudio, RecordingFeatures | None, str]:
        """(id, samples or what is wrong, features, digest); no features where a former run knows the rest."""
        known = self.journal.opened(recording) if self.journal else None
        if known is not None:
            return recording, known, None, ""
        digest = AudioDigest()
        try:
            features = RecordingFeatures(digest.of(self.source.blocks(recording)), self.engine.dims.n_mels)
            return recording, digest.samples, features, digest.hexadecimal
        except BadAudio as error:
            return recording, error, None, ""

    def start(
        self, recording: str, samples: int | BadAudio, features: RecordingFeatures | None, digest: str
    ) -> RecordingState | BadAudio:
        """Note in the journal what `read` has found."""
        bad, journal = isinstance(samples, BadAudio), self.journal
        if journal and (features is not None or (bad and not isinstance(journal.opened(recording), BadAudio))):
            journal.note_opened(recording, samples, digest)
        if bad:
            samples.recording = recording
            return samples
        frames, engine = samples // HOP_LENGTH, self.engine
        state = RecordingState(recording, frames, engine.tokenizer, self.options, engine.dims.n_text_ctx)
        state.features = features
        return state

    def reopen(self, state: RecordingState) -> None:
        """Read what a former run left half-way. Raises BadAudio where it can be read no more."""
        if state.features is None:
            state.features = RecordingFeatures(self.source.blocks(state.recording), self.engine.dims.n_mels)

    def noted(self, state: RecordingState) -> Hypothesis | None:
        """What the journal has of the next window."""
        found = self.journal.window(state.recording, state.seek) if self.journal else None
        return Hypothesis(**found) if found else None

    def decode(self, states: Sequence[RecordingState]) -> dict[str, Hypothesis]:
        """recording -> what its next window says; noted in the journal."""
        trim = self.engine.trim_padding
        windows = [
            Window(s.recording, s.seek, s.features.window(s.seek, s.size, trim), s.previous, s.language) for s in states
        ]
        found = decode_windows(self.engine, windows, self.options)
        if self.journal:
            self.journal.note_round([(w.name, w.seek, dataclasses.asdict(h)) for w, h in zip(windows, found)])
        return {w.name: h for w, h in zip(windows, found)}


def transcribe_all(
    engine: Engine,
    recordings: Iterable[str],
    source: AudioSource,
    options: DecodingOptions,
    batch_size: int = 8,
    journal: Journal | None = None,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Iterator[Transcript | BadAudio]:
    """Transcribe recordings, `batch_size` in one batch; yields each as it ends, in no particular order.

    A recording that cannot be read is yielded as its BadAudio, whose `recording` says which one it is.
    Windows that the journal holds are not decoded again. Every round of windows is noted there before the
    next begins, so that a run repeated after a kill goes through the very same rounds. progress(seconds of
    audio done) is called after each round.
    """
    opened = _Recordings(engine, source, options, journal)
    waiting = prefetch(recordings, opened.read, readers_for(engine.device))
    running: list[RecordingState] = []
    while True:
        while len(running) < batch_size and (read := next(waiting, None)) is not None:
            state = opened.start(*read)
            if isinstance(state, BadAudio):
                yield state
            else:
                running.append(state)
        if not running:
            return
        known = {state.recording: found for state in running if (found := opened.noted(state))}
        missing = []
        for state in [s for s in running if s.recording not in known]:
            try:
                opened.reopen(state)
                missing.append(state)
            except BadAudio as error:  # it could be read before this run
                running.remove(state)
                yield opened.start(state.recording, error, None, "")
        if missing:
            known |= opened.decode(missing)
        advanced = 0
        for state in running:
            before = state.seek
            hypothesis = known[state.recording]
            state.language = hypothesis.language  # the first window decides for all of the recording
            state.advance(hypothesis)
            advanced += min(state.seek, state.frames) - before
        progress(advanced / FRAMES_PER_SECOND)
        for state in [s for s in running if s.done]:
            running.remove(state)
            yield state.transcript()


def joined_text(transcript: Transcript, tokenizer: Tokenizer) -> str:
    """The plain text of a transcript, spaced as the model spaces it."""
    return tokenizer.decode([t for s in transcript.segments for t in s.tokens]).strip()
