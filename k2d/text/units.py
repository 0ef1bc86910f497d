"""Text in, units out: one per Chinese character, one per word of any other script.

The unit of the mixed error rate. A CJK character of any block is a unit; elsewhere a run of letters,
digits, apostrophes and hyphens is one (kana and Hangul too, which are letters of other scripts).
"""

import re
import unicodedata

from k2d.text.normalise import CJK, is_cjk, normalise

LANGUAGES = ("zh", "en", "other")  # of units
_UNIT = re.compile(f"[{CJK}]|[^ {CJK}]+")


def units(text: str, fold_script: bool = True, fold_usage: bool = False) -> list[str]:
    """Units of a text, normalised first: "用 ML 模型。" -> ["用", "ml", "模", "型"]."""
    return split(normalise(text, fold_script, fold_usage))


def split(normalised: str) -> list[str]:
    """Units of a text that is normalised already."""
    return _UNIT.findall(normalised)


def language_of(unit: str) -> str:
    """`zh` for a Chinese character, `en` for a word with a Latin letter, `other` for the rest (numbers, words of other
    scripts)."""
    return "zh" if is_chinese(unit) else "en" if is_english(unit) else "other"


def is_chinese(unit: str) -> bool:
    return is_cjk(unit) is not None


def is_english(unit: str) -> bool:
    """A word with a Latin letter in it: "ml", "don't", "3d", but not "2024"."""
    return not is_cjk(unit) and any("a" <= c <= "z" or "\u00c0" <= c <= "\u024f" for c in unit)


def has_words(text: str) -> bool:
    """Whether a text holds a letter or a digit of any script."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)
