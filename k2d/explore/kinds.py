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
from k2d.score.rates import error_runs
from k2d.text import timestamps
from k2d.text.loops import has_loop
from k2d.text.phonemes import phonemes
from k2d.text.units import is_chinese, is_english

LOOP, OVER_SILENCE, TRANSLATED, TRANSLITERATED, CUT, SUBSTITUTED = KINDS = (
    "loop", "over silence", "translated", "transliterated", "cut", "substituted",
)  # fmt: skip
ALIKE = 0.5  # likeness of two skeletons from which on one is said to sound like the other

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
        if swapped := _swapped(stretch):
            errors[swapped] += len(stretch)
            continue
        for pair in stretch:
            kind = {INSERTION: OVER_SILENCE, DELETION: CUT}.get(pair.op, SUBSTITUTED)
            errors[kind] += 1
    if not any(errors.values()):
        return None
    if has_loop(timestamps.strip(label)):
        return LOOP
    return max(KINDS, key=errors.get)


def _swapped(stretch: Sequence[Pair]) -> str | None:
    """Whether one side has English words where the other has more Chinese, and none of them."""
    said, written = ([u for u in side if u is not None] for side in zip(*((p.ref, p.hyp) for p in stretch)))
    for english_side, other in ((said, written), (written, said)):
        english = [u for u in english_side if is_english(u)]
        chinese = [u for u in other if is_chinese(u)]
        if english and not any(map(is_english, other)) and len(chinese) > sum(map(is_chinese, english_side)):
            return TRANSLITERATED if sounds_alike(" ".join(english), "".join(chinese)) else TRANSLATED
    return None


def sounds_alike(english: str, chinese: str) -> bool:
    """Whether the consonants of a Chinese text follow those of an English one, more or less."""
    skeletons = [skeleton(text) for text in (english, chinese)]
    return all(skeletons) and Levenshtein.normalized_similarity(*skeletons) >= ALIKE


def skeleton(text: str) -> str:
    """The consonants of a text by class, a letter each: "report" and 瑞波特 are lplt and lpt."""
    return "".join(_CLASS.get(phoneme, "") for phoneme in phonemes(text))
