"""When each word was said: the decoder's cross-attention, aligned by dynamic time warping, as openai-whisper does it.

In: a transcript of long-form decoding, its audio, the torch engine that made it. Out: the same transcript with `words`
in its segments, which begin and end where their words do.

The attention is that of the model's alignment heads (heads.py): those that a checkpoint states, or that `k2d
align_heads` has chosen for a student; by default all of the upper half of the decoder. Words are those of Latin script
between blanks, and single tokens of unspaced scripts, so that code-switched speech has both; punctuation belongs to
the word it stands at. openai-whisper's own `add_word_timestamps` finds the times. What it leaves open is settled here:
every word has a length, none begins before the one before it has ended, and none reaches into the window that
follows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby

import numpy as np
import torch

from k2d.constants import MEL_FRAMES_PER_SECOND, N_FRAMES
from k2d.text import timestamps
from k2d.text.tokenizer import Tokenizer
from k2d.text.transcript import Transcript
from k2d.whisper.features import RecordingFeatures

# Beyond what openai-whisper attaches to the word that stands before.
CLOSING = "\"'.。,，!！?？:：”)]}、；;」』》〉】）〕…—～％%"
OPENING = "“‘「『《〈【（〔([{¿¡"
SHORTEST = 0.02  # seconds of a word: one frame of the attention


class _Words:
    """Of a tokenizer what openai-whisper's alignment asks for."""

    def __init__(self, tokenizer: Tokenizer, language: str | None):
        self._tokenizer = tokenizer
        self.eot, self.no_timestamps = tokenizer.eot, tokenizer.no_timestamps
        self.sot_sequence = tokenizer.sot_sequence(language or "en")

    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]:
        """Words and their tokens; the last is the empty word of <|endoftext|>."""
        words: list[tuple[str, list[int]]] = []
        for text, ids in pieces_of(self._tokenizer, [t for t in tokens if t < self.eot]):
            if words and not begins_word(text, words[-1][0]):
                words[-1] = words[-1][0] + text, words[-1][1] + ids
            else:
                words.append((text, ids))
        words.append(("", [self.eot]))
        return [text for text, _ in words], [ids for _, ids in words]


def pieces_of(tokenizer: Tokenizer, tokens: list[int]) -> list[tuple[str, list[int]]]:
    """(text, tokens) of the shortest runs of tokens that are whole characters; their texts join to the text."""
    found, begin, before = [], 0, ""
    for end in range(1, len(tokens) + 1):
        text = tokenizer.decode(tokens[:end])
        if not text.endswith("\ufffd") or end == len(tokens):
            found.append((text[len(before) :], tokens[begin:end]))
            begin, before = end, text
    return found


def begins_word(piece: str, before: str) -> bool:
    """Whether a piece of text begins a word behind another: after a blank, and at characters of unspaced scripts."""
    if not piece or not before.strip() or before[-1] in OPENING:
        return False
    after_unspaced = timestamps.unspaced(before[-1]) and (piece[0].isalnum() or piece[0] in OPENING)
    return piece[0].isspace() or timestamps.unspaced(piece[0]) or after_unspaced


def add_words(engine, transcript: Transcript, audio: Iterable[np.ndarray]) -> None:
    """Add to each segment its words: {"word", "start", "end" (seconds), "probability"}. audio: 16 kHz, in pieces."""
    from whisper.timing import add_word_timestamps

    features = RecordingFeatures(audio, engine.dims.n_mels)
    words = _Words(engine.tokenizer, transcript.language)
    windows = [list(group) for _, group in groupby(transcript.segments, key=lambda segment: segment.seek)]
    seeks = [segments[0].seek for segments in windows]
    said_until = 0.0
    for segments, seek, next_seek in zip(windows, seeks, [*seeks[1:], features.frames]):
        size = min(N_FRAMES, features.frames - seek)
        window = features.window(seek, size, engine.trim_padding).to(engine.device, engine.dtype)
        found = [asdict(segment) for segment in segments]
        with torch.no_grad():
            add_word_timestamps(
                segments=found, model=engine.model, tokenizer=words, mel=window, num_frames=size,
                last_speech_timestamp=said_until, append_punctuations=CLOSING,
            )  # fmt: skip
        spoken = [word for record in found for word in record["words"]]
        end = min(seek + size, max(next_seek, seek)) / MEL_FRAMES_PER_SECOND
        times = iter(in_order([(w["start"], w["end"]) for w in spoken], said_until, end))
        for segment, record in zip(segments, found):
            segment.words = [
                {"word": word["word"], "start": start, "end": stop, "probability": round(float(word["probability"]), 4)}
                for word, (start, stop) in zip(record["words"], times)
            ]
            if segment.words:
                segment.start, segment.end = segment.words[0]["start"], segment.words[-1]["end"]
                said_until = segment.end


def in_order(times: Sequence[tuple[float, float]], begin: float, end: float) -> list[tuple[float, float]]:
    """The times of words, moved as little as it takes: between begin and end, one after the other, each with a length.

    Seconds, in milliseconds' steps. Words that do not fit share what there is.
    """
    room = round(1000 * (end - begin))
    least = min(round(1000 * SHORTEST), max(1, room // max(1, len(times))))
    first, moved = round(1000 * begin), []
    for start, stop in times:
        start = max(first, round(1000 * float(start)))
        first = max(start + least, round(1000 * float(stop)))
        moved.append((start, first))
    last, found = round(1000 * end), []
    for start, stop in reversed(moved):
        stop = min(last, stop)
        last = min(start, stop - least)
        found.append((last / 1000, stop / 1000))
    return found[::-1]
