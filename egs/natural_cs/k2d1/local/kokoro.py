"""Sentences in, speech out: Kokoro-82M, a small text-to-speech model, run by onnxruntime on one core.

What fetch.py puts into a folder is read: the model, its table of tokens, and the styles of its voices (a vector for
each number of tokens). A voice is a weighted mean of styles, which is a voice of its own. One voice speaks both
languages of a sentence, as a bilingual speaker does, Mandarin phones and English ones in one breath.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import phones
from espeak import SpeechError, Synthesizer, trim
from scipy.signal import resample_poly

MODEL_RATE = 24000
SAMPLE_RATE = 16000
MAX_TOKENS = 508  # the model has 510 positions, two of which are the silence around


@dataclass(frozen=True)
class Speaker:
    """A speaker. styles: (name of a style, weight) pairs whose weights sum to 1; speed: 1 is the model's own."""

    name: str
    styles: tuple[tuple[str, float], ...]
    speed: float = 1.0

    def varied(self, rng: np.random.Generator) -> "Speaker":
        """The voice a little faster or slower, as nobody speaks two sentences alike."""
        return replace(self, speed=self.speed * float(rng.uniform(0.93, 1.07)))


class Kokoro:
    """One Kokoro, with espeak-ng for the phones of English words."""

    def __init__(self, folder: str | Path):
        try:
            import onnxruntime
        except ImportError as error:
            raise SpeechError("onnxruntime is not installed: run tools/install.sh --extra natural") from error
        folder = Path(folder)
        try:
            self._tokens = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
            with np.load(folder / "voices.npz") as styles:
                self._styles = {name: styles[name].reshape(-1, 256) for name in styles.files}
        except FileNotFoundError as error:
            raise SpeechError(f"{error.filename} is missing: run local/fetch.py voices") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same bytes with any number of cores
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "kokoro.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._espeak = Synthesizer()

    def phones(self, pieces: list[tuple[str, str]]) -> str:
        """The phones of (language, words) pieces; ， is a pause."""
        spoken = [
            phones.of_espeak(self._espeak.phones(words)) if language == "en" else
            ", ".join(phones.mandarin(part) for part in words.split("，") if part)
            + (", " if words.endswith("，") else "")
            for language, words in pieces
        ]  # fmt: skip
        return " ".join(" ".join(spoken).split()) + "."

    def say(self, sentence, voice: Speaker, seed: int = 0) -> np.ndarray:
        """Speech of a sentence, something with `pieces`: float32 mono at 16 kHz, silence at both ends cut to 20 ms.

        seed: unused, for Kokoro has nothing random.
        """
        tokens = [self._tokens[phone] for phone in self.phones(sentence.pieces)]
        if len(tokens) > MAX_TOKENS:
            raise SpeechError(f"{sentence.text!r} is {len(tokens)} phones long: Kokoro speaks {MAX_TOKENS} at a time")
        style = sum(np.float32(weight) * self._style(name)[len(tokens) - 1] for name, weight in voice.styles)
        feeds = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[None].astype(np.float32),
            "speed": np.array([voice.speed], np.float32),
        }
        speech = self._session.run(None, feeds)[0].ravel()
        return trim(resample_poly(speech, SAMPLE_RATE, MODEL_RATE).astype(np.float32))

    def say_timed(self, sentence, voice: Speaker, seed: int = 0) -> tuple[np.ndarray, list]:
        """The same, and no words, for Kokoro does not tell when it speaks them."""
        return self.say(sentence, voice, seed), []

    def _style(self, name: str) -> np.ndarray:
        try:
            return self._styles[name]
        except KeyError:
            raise SpeechError(f"no style {name}: the voices have {', '.join(sorted(self._styles))}") from None
