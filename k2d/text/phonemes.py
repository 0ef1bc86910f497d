"""Text in, phonemes out: bopomofo for Chinese, ARPAbet for English.

Each bopomofo symbol is one phoneme and each ARPAbet phone is one, so that 西 and 溪 are alike and 西 and
心 differ by one. Chinese characters that follow each other (punctuation between them does not count) are
read together, by pypinyin's phrases: the longest phrase of its dictionary at each place, then the
character's first reading. `Phonemizer` gives exactly what `pypinyin.lazy_pinyin(style=BOPOMOFO)` gives,
without its cost, because every phrase is converted once.
"""

import re
from functools import cache

from k2d.text import pronunciation
from k2d.text.normalise import CJK, is_cjk, normalise

TONES = "ˊˇˋ˙"
_RUN = re.compile(f"[{CJK}]+|[^ {CJK}]+")
# One code point a phone, so that an edit distance runs on strings. Private use never survives `normalise`.
_PHONE_CODE = {phone: chr(0xE000 + i) for i, phone in enumerate(pronunciation.PHONES)}
_PHONE_NAME = {code: phone for phone, code in _PHONE_CODE.items()}
_MEMORY = 200_000  # runs of characters and words kept


def phonemes(text: str, tones: bool = False, fallback: bool = True) -> list[str]:
    """Phonemes of a text, which is normalised and folded to Simplified first.

    `tones`: keep ˊ ˇ ˋ ˙ as phonemes of their own. `fallback`: an English word that the lexicon lacks is
    read by `pronunciation.pronounce` and a character without a reading stands for itself; without it both
    contribute nothing, as in the paper's code.
    """
    return [_PHONE_NAME.get(c, c) for c in phonemizer(tones, fallback).encode(normalise(text))]


@cache
def phonemizer(tones: bool = False, fallback: bool = True) -> "Phonemizer":
    return Phonemizer(tones, fallback)


class Phonemizer:
    """Phonemes as a string of one code point each; keeps what it has read before."""

    def __init__(self, tones: bool = False, fallback: bool = True):
        self.fallback = fallback
        self._readings, self._lengths = _mandarin(tones)
        self._memory: dict[str, str] = {}

    def encode(self, normalised: str) -> str:
        """One code point a phoneme, of a text that is normalised and Simplified."""
        memory = self._memory
        if len(memory) > _MEMORY:
            memory.clear()
        codes = []
        for run in _RUN.findall(normalised):
            code = memory.get(run)
            if code is None:
                memory[run] = code = self._chinese(run) if is_cjk(run) else self._word(run)
            codes.append(code)
        return "".join(codes)

    def _chinese(self, run: str) -> str:
        """Longest phrase first, left to right, as pypinyin segments; single characters in between."""
        readings, lengths = self._readings, self._lengths
        codes = []
        place, end = 0, len(run)
        while place < end:
            for length in lengths.get(run[place : place + 2], ()):
                reading = readings.get(run[place : place + length])
                if reading is not None:
                    codes.append(reading)
                    place += length
                    break
            else:
                character = run[place]
                codes.append(readings.get(character) or (character if self.fallback else ""))
                place += 1
        return "".join(codes)

    def _word(self, word: str) -> str:
        phones = pronunciation.pronounce(word) if self.fallback else pronunciation.known(word)
        return "".join([_PHONE_CODE.get(phone, phone) for phone in phones])


@cache
def _mandarin(tones: bool) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """(character or phrase -> bopomofo, first two characters -> lengths of phrases, longest first)."""
    from pypinyin import Style
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT
    from pypinyin.style import convert

    dropped = {} if tones else dict.fromkeys(map(ord, TONES))
    syllables: dict[str, str] = {}

    def bopomofo(syllable: str) -> str:
        if syllable not in syllables:
            syllables[syllable] = convert(syllable, Style.BOPOMOFO, strict=True).translate(dropped)
        return syllables[syllable]

    readings = {chr(point): bopomofo(pinyin.split(",")[0]) for point, pinyin in PINYIN_DICT.items()}
    lengths: dict[str, set[int]] = {}
    for phrase, pinyin in PHRASES_DICT.items():
        readings[phrase] = "".join([bopomofo(heteronyms[0]) for heteronyms in pinyin])
        if len(phrase) > 1:
            lengths.setdefault(phrase[:2], set()).add(len(phrase))
    return readings, {start: tuple(sorted(found, reverse=True)) for start, found in lengths.items()}
