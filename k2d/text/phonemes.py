"""Text in, phonemes out: bopomofo for Chinese, ARPAbet for English.

Each bopomofo symbol is one phoneme and each ARPAbet phone is one, so that 西 and 溪 are alike and 西 and
心 differ by one. Chinese characters that follow each other (punctuation between them does not count) are
read together, by pypinyin's phrases: the longest phrase of its dictionary at each place, then the
character's first reading. To pypinyin's phrases those of `variants.tsv` are added, for 著名 is folded to 着名 and
sounds as before. But for these `Phonemizer` gives exactly what `pypinyin.lazy_pinyin(style=BOPOMOFO)` gives, without
its cost, because every phrase is converted once.
"""

import re
from functools import cache, lru_cache

from k2d.text import pronunciation
from k2d.text.normalise import CJK, fold_character, is_cjk, normalise, variants

TONES = "ˊˇˋ˙"
_RUN = re.compile(f"[{CJK}]+|[^ {CJK}]+")
_BOPOMOFO = "".join(map(chr, range(0x3105, 0x3130))) + TONES
# One code point a phoneme, so that an edit distance runs on strings; below 256, where it looks characters up in a
# table. Free are capitals, punctuation and control characters, which never survive `normalise`.
_FREE = [c for c in map(chr, range(33, 256)) if fold_character(c) != c]
_NAMES = (*pronunciation.PHONES, *_BOPOMOFO)
_CODE = dict(zip(_NAMES, _FREE[: len(_NAMES)], strict=True))
_NAME = {code: name for name, code in _CODE.items()}
_CODE_OF_SYMBOL = str.maketrans({symbol: _CODE[symbol] for symbol in _BOPOMOFO})
_MEMORY = 200_000  # runs of characters and words kept


def phonemes(text: str, tones: bool = False, fallback: bool = True) -> list[str]:
    """Phonemes of a text, which is normalised and folded to Simplified first.

    `tones`: keep ˊ ˇ ˋ ˙ as phonemes of their own. `fallback`: an English word that the lexicon lacks is
    read by `pronunciation.pronounce` and a character without a reading stands for itself; without it both
    contribute nothing, as in the paper's code.
    """
    return [_NAME.get(c, c) for c in phonemizer(tones, fallback).encode(normalise(text))]


@cache
def phonemizer(tones: bool = False, fallback: bool = True) -> "Phonemizer":
    return Phonemizer(tones, fallback)


class Phonemizer:
    """Phonemes as a string of one code point each; keeps what it has read before."""

    def __init__(self, tones: bool = False, fallback: bool = True):
        self.fallback = fallback
        self._readings, self._phrases, self._lengths = _mandarin(tones)
        self._codes = lru_cache(_MEMORY)(self._codes_of)

    def encode(self, normalised: str) -> str:
        """One code point a phoneme, of a text that is normalised and Simplified."""
        return "".join(map(self._codes, _RUN.findall(normalised)))

    def _codes_of(self, run: str) -> str:
        return "".join(self.characters(run)).translate(_CODE_OF_SYMBOL) if is_cjk(run) else self.word(run)

    def characters(self, run: str) -> list[str]:
        """Bopomofo of each character of a run of Chinese characters, in its context.

        The longest phrase at each place, from left to right, as pypinyin segments; single characters
        in between.
        """
        phrases, lengths = self._phrases, self._lengths
        readings: list[str] = []
        place, end = 0, len(run)
        while place < end:
            for length in lengths.get(run[place : place + 2], ()):
                reading = phrases.get(run[place : place + length])
                if reading is not None:
                    readings += reading
                    place += length
                    break
            else:
                alone = run[place]
                readings.append(self._readings.get(alone) or (alone if self.fallback else ""))
                place += 1
        return readings

    def word(self, word: str) -> str:
        """Phones of a word, one code point each."""
        phones = pronunciation.pronounce(word) if self.fallback else pronunciation.known(word)
        return "".join([_CODE.get(phone, phone) for phone in phones])


@cache
def _mandarin(tones: bool) -> tuple[dict[str, str], dict[str, tuple[str, ...]], dict[str, tuple[int, ...]]]:
    """pypinyin's dictionaries, and the rows "sound" of `variants.tsv`, in bopomofo.

    Returns (character -> its first reading, phrase -> reading of each of its characters, first two
    characters -> lengths of the phrases that start with them, longest first).
    """
    from pypinyin import Style
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT
    from pypinyin.style import convert

    dropped = {} if tones else dict.fromkeys(map(ord, TONES))

    @cache
    def bopomofo(syllable: str) -> str:
        return convert(syllable, Style.BOPOMOFO, strict=True).translate(dropped)

    characters = {chr(point): bopomofo(pinyin.split(",")[0]) for point, pinyin in PINYIN_DICT.items()}
    phrases = {
        phrase: tuple([bopomofo(heteronyms[0]) for heteronyms in pinyin])
        for phrase, pinyin in PHRASES_DICT.items()
        if len(phrase) > 1
    }
    phrases |= {phrase: tuple(map(bopomofo, pinyin.split())) for phrase, pinyin in variants("sound").items()}
    lengths: dict[str, set[int]] = {}
    for phrase in phrases:
        lengths.setdefault(phrase[:2], set()).add(len(phrase))
    longest_first = {start: tuple(sorted(found, reverse=True)) for start, found in lengths.items()}
    return characters, phrases, longest_first
