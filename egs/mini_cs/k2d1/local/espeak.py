"""Marked-up text in, speech out: espeak-ng, called through ctypes.

The library and its voices come from the package `espeakng-loader`; nothing is installed on the system.
One sentence may hold two languages: the Mandarin voice reads it, and what stands inside
`<voice xml:lang="en-us">` is read by the English voice with the same variant, so that one "speaker" switches.
"""

import ctypes
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from xml.sax.saxutils import escape, unescape

import numpy as np
from scipy.signal import resample_poly

SAMPLE_RATE = 16000
MARGIN = SAMPLE_RATE // 50  # samples of silence kept at either end

AUDIO_OUTPUT_SYNCHRONOUS = 2  # samples go to our callback, and Synth returns when they are all there
INITIALIZE_DONT_EXIT = 0x8000
WORD = 1  # a kind of event
SILENCE = 1 / 500  # of the peak
CHARS_UTF8, SSML = 0x1, 0x10
IPA, TIES = 0x02, 0x80 | ord("^") << 8  # phones as IPA, those that are one sound joined by ^
POS_CHARACTER = 1
RATE, VOLUME, PITCH, PITCH_RANGE = 1, 2, 3, 4


class _Event(ctypes.Structure):
    """espeak_EVENT: what begins at a sample; the list of a call ends with kind 0."""

    _fields_ = (
        ("kind", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("milliseconds", ctypes.c_int), ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p), ("phoneme", ctypes.c_char * 8),
    )  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))

Timed = tuple[float, float, str]  # a word that was spoken: start and end, in seconds of the speech
_TAG = re.compile("<[^>]*>")


class SpeechError(RuntimeError):
    """The synthesizer is missing or refused a voice or a sentence."""


@dataclass(frozen=True)
class Voice:
    """A speaker: a variant of espeak-ng's voices, with its ways of speaking.

    rate: words a minute (espeak-ng's own unit); pitch and pitch_range: 0 to 100, 50 is the variant's own.
    """

    name: str
    variant: str
    pitch: int = 50
    rate: int = 165
    pitch_range: int = 50

    def varied(self, rng: np.random.Generator) -> "Voice":
        """The voice a little higher or lower, faster or slower, as nobody speaks two sentences alike."""
        pitch, rate = self.pitch + int(rng.integers(-3, 4)), self.rate + int(rng.integers(-8, 9))
        return replace(self, pitch=pitch, rate=rate)


def markup(pieces: list[tuple[str, str]]) -> str:
    """(language, words) pieces of a sentence as SSML for a Mandarin utterance; language is "zh" or "en"."""
    marked = [
        f'<voice xml:lang="en-us">{escape(words)}</voice>' if language == "en" else escape(words)
        for language, words in pieces
    ]
    return "<speak>" + " ".join(marked) + "</speak>"


@contextmanager
def _quiet():
    """Keep from the screen the "No envelope" of a few tone sequences, for which espeak-ng has a default."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Synthesizer:
    """One espeak-ng engine. Its state is the library's own: make one a process."""

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise SpeechError("espeakng-loader is not installed: run tools/install.sh") from error
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        home = str(Path(espeakng_loader.get_data_path()).parent).encode()
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._native_rate = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 500, home, INITIALIZE_DONT_EXIT)
        if self._native_rate <= 0:
            raise SpeechError(f"espeak-ng found no voices in {home.decode()}: reinstall espeakng-loader")
        self._pieces: list[np.ndarray] = []
        self._words: list[tuple[int, int]] = []  # first sample, position in the text
        self._callback = _CALLBACK(self._collect)  # kept: the library holds only a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples, count, events) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events and events[number].kind:
            if events[number].kind == WORD:
                self._words.append((events[number].sample, events[number].text_position))
            number += 1
        return 0

    def phones(self, words: str) -> str:
        """English words as IPA, with ^ inside sounds that are one (a^ɪ)."""
        if self._library.espeak_SetVoiceByName(b"en-us") != 0:
            raise SpeechError("espeak-ng has no voice en-us: reinstall espeakng-loader")
        text = ctypes.create_string_buffer(words.encode("utf-8"))
        rest, clauses = ctypes.c_void_p(ctypes.addressof(text)), []
        while rest.value:  # a clause at a time
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), CHARS_UTF8, IPA | TIES).decode())
        return " ".join(clauses)

    def say(self, sentence, voice: Voice, seed: int = 1) -> np.ndarray:
        """Speech of a sentence, something with `pieces`: `speak` of its markup."""
        return self.speak(markup(sentence.pieces), voice, seed)

    def say_timed(self, sentence, voice: Voice, seed: int = 1) -> tuple[np.ndarray, list[Timed]]:
        """The same, and its words with their times. What the voice reads as one, as 结果, is one word."""
        marked = markup(sentence.pieces)
        speech, places = self._spoken(marked, voice, seed)
        begins = [at for _, _, at in places] + [len(marked)]
        words = []
        for (start, end, begin), stop in zip(places, begins[1:]):
            word = "".join(c for c in unescape(_TAG.sub(" ", marked[begin:stop])) if c.isalnum() or c in "'-")
            if word:
                words.append((start, end, word))
        return speech, words

    def speak(self, ssml: str, voice: Voice, seed: int = 1) -> np.ndarray:
        """Speech of one sentence: float32 mono at 16 kHz, silence at both ends cut to 20 ms.

        seed: of the voices' random roughness. Besides it the samples depend on what this engine spoke before.
        """
        return self._spoken(ssml, voice, seed)[0]

    def _spoken(self, ssml: str, voice: Voice, seed: int) -> tuple[np.ndarray, list[tuple[float, float, int]]]:
        """`speak`, and of each word its start and end in seconds and the place in the text where it begins."""
        language = f"cmn+{voice.variant}"
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise SpeechError(f"espeak-ng has no voice {language} (voice {voice.name})")
        for parameter, value in (
            (RATE, voice.rate), (PITCH, voice.pitch), (PITCH_RANGE, voice.pitch_range), (VOLUME, 100),
        ):  # fmt: skip
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._pieces.clear()
        self._words.clear()
        text = ssml.encode("utf-8") + b"\0"
        with _quiet():
            status = self._library.espeak_Synth(text, len(text), 0, POS_CHARACTER, 0, CHARS_UTF8 | SSML, None, None)
        if status != 0 or not self._pieces:
            raise SpeechError(f"espeak-ng returned status {status} for {ssml!r} (voice {voice.name})")
        native = np.concatenate(self._pieces).astype(np.float32) / 32768
        divisor = gcd(SAMPLE_RATE, self._native_rate)
        speech = resample_poly(native, SAMPLE_RATE // divisor, self._native_rate // divisor)
        speech = speech.astype(np.float32)
        loud = np.flatnonzero(np.abs(speech) > np.abs(speech).max() * SILENCE)
        first = max(0, loud[0] - MARGIN) if len(loud) else 0
        begins = [round(sample * SAMPLE_RATE / self._native_rate) for sample, _ in self._words]
        words = []
        for begin, stop, (_, position) in zip(begins, [*begins[1:], len(speech)], self._words):
            voiced = loud[np.searchsorted(loud, begin) : np.searchsorted(loud, stop)]
            if len(voiced):  # it begins and ends with its sounds, without the pauses around them
                words.append(((voiced[0] - first) / SAMPLE_RATE, (voiced[-1] + 1 - first) / SAMPLE_RATE, position - 1))
        return trim(speech), words


def trim(speech: np.ndarray) -> np.ndarray:
    """The signal without its silent ends, keeping 20 ms of them."""
    loud = np.flatnonzero(np.abs(speech) > np.abs(speech).max() * SILENCE)
    if not len(loud):
        return speech
    return speech[max(0, loud[0] - MARGIN) : loud[-1] + 1 + MARGIN]
