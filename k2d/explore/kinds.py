"""What is wrong with a label: the kind of a bad one, from the label and its alignment with what was said.

In: a label, and its alignment with the reference (`score.alignment.align`). Out: one of KINDS. Analysis only, for it
reads a reference.

    loop             a character 6-gram occurs more than five times (`text.loops`), whatever else is wrong
    over silence     text where nothing was said
    translated       words of one language in place of words of the other that sound unlike them
    transliterated   … that sound like them: 咖啡 for coffee
    cut              what was said is not there
    substituted      other words of the same language

A label is of the kind that most of its errors are of; of equal ones the first in this order.
"""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from k2d.score.alignment import DELETION, INSERTION, Pair
from k2d.score.rates import error_runs, other_language
from k2d.text import timestamps
from k2d.text.loops import has_loop
from k2d.text.phonemes import phonemes

LOOP, OVER_SILENCE, TRANSLATED, TRANSLITERATED, CUT, SUBSTITUTED = KINDS = (
    "loop", "over silence", "translated", "transliterated", "cut", "substituted",
)  # fmt: skip
LEAST_SIMILARITY = 0.5  # likeness of two skeletons from which on one is said to sound like the other

# Consonants that one language writes for those of the other: ARPAbet and bopomofo by class. Vowels, and what either
# language swallows, are left out; a final ㄢ ㄣ ㄤ ㄥ holds an n.
_CLASSES = {
    "p": "B P ㄅ ㄆ",
    "t": "D T DH ㄉ ㄊ",
    "k": "G K ㄍ ㄎ",
    "f": "F V ㄈ",
    "h": "HH ㄏ",
    "s": "S Z SH ZH CH JH TH ㄐ ㄑ ㄒ ㄓ ㄔ ㄕ ㄗ ㄘ ㄙ",
    "m": "M ㄇ",
    "n": "N NG ㄋ ㄢ ㄣ ㄤ ㄥ",
    "l": "L R ㄌ ㄖ ㄦ",
}
_CLASS = {sound: name for name, sounds in _CLASSES.items() for sound in sounds.split()}


def kind_of(label: str, pairs: Sequence[Pair]) -> str | None:
    """The kind of a label by its errors; None where it has none. label: timestamp tokens allowed."""
    errors = dict.fromkeys(KINDS, 0)
    for stretch in error_runs(pairs):
        if swapped := other_language(stretch):
            english, chinese = swapped
            kind = TRANSLITERATED if sounds_alike(" ".join(english), "".join(chinese)) else TRANSLATED
            errors[kind] += len(stretch)
            continue
        for pair in stretch:
            kind = {INSERTION: OVER_SILENCE, DELETION: CUT}.get(pair.op, SUBSTITUTED)
            errors[kind] += 1
    if not any(errors.values()):
        return None
    if has_loop(timestamps.strip(label)):
        return LOOP
    return max(KINDS, key=errors.get)


def sounds_alike(english: str, chinese: str) -> bool:
    """Whether the consonants of a Chinese text follow those of an English one, more or less."""
    skeletons = [skeleton(text) for text in (english, chinese)]
    return all(skeletons) and Levenshtein.normalized_similarity(*skeletons) >= LEAST_SIMILARITY


def skeleton(text: str) -> str:
    """The consonants of a text by class, a letter each: "report" and 瑞波特 are lplt and lpt."""
    return "".join(_CLASS.get(phoneme, "") for phoneme in phonemes(text))
