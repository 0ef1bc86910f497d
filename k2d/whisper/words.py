"""When each word was said: the decoder's cross-attention, aligned by dynamic time warping, as openai-whisper does it.

In: a transcript of long-form decoding, its audio, the torch engine that made it. Out: the same transcript with `words`
in its segments, whose ends move to those of their words.

The attention is that of `model.alignment_heads`, which a checkpoint's reader may set; by default the heads of the upper
half of the decoder. Words are those of Latin script between blanks, and single characters of unspaced scripts, so that
code-switched speech has both. openai-whisper's own `add_word_timestamps` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby

import numpy as np
import torch

from k2d.constants import N_FRAMES
from k2d.text import timestamps
from k2d.text.tokenizer import Tokenizer
from k2d.text.transcript import Transcript
from k2d.whisper.features import RecordingFeatures


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
    if not piece or not before.strip():
        return False
    after_unspaced = timestamps.unspaced(before[-1]) and piece[0].isalnum()
    return piece[0].isspace() or timestamps.unspaced(piece[0]) or after_unspaced


def add_words(engine, transcript: Transcript, audio: Iterable[np.ndarray]) -> None:
    """Add to each segment its words: {"word", "start", "end" (seconds), "probability"}. audio: 16 kHz, in pieces."""
    from whisper.timing import add_word_timestamps

    features = RecordingFeatures(audio, engine.dims.n_mels)
    words = _Words(engine.tokenizer, transcript.language)
    said_until = 0.0
    for seek, group in groupby(transcript.segments, key=lambda segment: segment.seek):
        segments = list(group)
        size = min(N_FRAMES, features.frames - seek)
        window = features.window(seek, size, engine.trim_padding).to(engine.device, engine.dtype)
        found = [asdict(segment) for segment in segments]
        with torch.no_grad():
            add_word_timestamps(
                segments=found, model=engine.model, tokenizer=words, mel=window, num_frames=size,
                last_speech_timestamp=said_until,
            )  # fmt: skip
        for segment, record in zip(segments, found):
            segment.words = [{**word, "probability": round(float(word["probability"]), 4)} for word in record["words"]]
            segment.start, segment.end = float(record["start"]), float(record["end"])
            said_until = segment.end
