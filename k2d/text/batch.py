"""Many texts in, their units as strings of one code point each out, ready for an edit distance in native code.

A Chinese character is its own code point; a word has a number, the same in all the texts.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from k2d.text import loops
from k2d.text.normalise import CJK, normalise
from k2d.text.phonemes import Phonemizer
from k2d.text.units import is_english

# Words are numbered from here, in planes that hold neither Chinese characters nor surrogates.
_FIRST_WORD = 0x40000
LONGEST = 0x110000 - _FIRST_WORD  # characters that texts may have together, so that their words can be numbered
_WORD = re.compile(f"[^ {CJK}]+")


class Lines:
    """Texts, normalised, with their units as code points that agree between all of them.

    normalised : the normalised texts
    units      : per text, one code point a unit (a Chinese character is itself, a word is a number)
    lengths    : (texts,) number of units
    """

    def __init__(self, texts: Sequence[str], fold_script: bool = True, fold_usage: bool = False):
        self.normalised = [normalise(text, fold_script, fold_usage) for text in texts]
        self._code: dict[str, str] = {}  # of each word

        def code(word: re.Match) -> str:
            return self._code.setdefault(word[0], chr(_FIRST_WORD + len(self._code)))

        self.units = [_WORD.sub(code, text).replace(" ", "") for text in self.normalised]
        self.lengths = np.array([len(line) for line in self.units], np.int64)

    @cached_property
    def _english(self) -> frozenset[str]:
        return frozenset(code for word, code in self._code.items() if is_english(word))

    def _only(self, wanted: Callable[[str], bool]) -> list[str]:
        return ["".join(filter(wanted, line)) for line in self.units]

    def chinese(self) -> list[str]:
        """Per text its Chinese units alone."""
        return self._only(lambda unit: ord(unit) < _FIRST_WORD)

    def english(self) -> list[str]:
        """Per text its English units alone: words with a Latin letter."""
        return self._only(self._english.__contains__)

    def loops(self, n: int = loops.N, c: int = loops.C) -> np.ndarray:
        """h(x) of every text, (texts,) bool; n-grams of characters, more than c times."""
        return np.array([loops.most_frequent(text, n, c) > c for text in self.normalised], bool)

    def phonemes(self, phonemizer: Phonemizer) -> list[str]:
        """Per text its phonemes, one code point each. The texts must have been folded to Simplified."""
        return [phonemizer.encode(text) for text in self.normalised]
