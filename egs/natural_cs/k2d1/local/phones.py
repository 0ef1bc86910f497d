"""Words in, the phones that Kokoro-82M speaks out: Mandarin by a table of pinyin, English by espeak-ng.

Kokoro was trained on phones of the package misaki; a phone that it does not know is a sound it never learnt, so every
result is made of the symbols of its token table alone (`tests/egs/test_natural_cs.py`). Mandarin: IPA without
diacritics, the tone as an arrow behind the vowel it is heard on (→ high, ↗ rising, ↓ low, ↘ falling, nothing for the
neutral tone), with the tone changes of 一, 不 and third tones. English: espeak-ng's American phones, with one letter
for each diphthong (A as in say, I eye, O go, W now, Y boy).
"""

import re
from functools import cache

import opencc
import pypinyin

TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f",
    "d": "t", "t": "tʰ", "n": "n", "l": "l",
    "g": "k", "k": "kʰ", "h": "x",
    "j": "ʨ", "q": "ʨʰ", "x": "ɕ",
    "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ",
    "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip
# The digit is where the tone goes.
FINALS = {
    "a": "a0", "o": "o0", "e": "ɤ0", "ê": "ɛ0", "er": "ɚ0",
    "ai": "ai0", "ei": "ei0", "ao": "au0", "ou": "ou0",
    "an": "a0n", "en": "ə0n", "ang": "a0ŋ", "eng": "ə0ŋ", "ong": "ʊ0ŋ",
    "i": "i0", "ia": "ja0", "ie": "je0", "iao": "jau0", "iou": "jou0", "io": "jo0",
    "ian": "jɛ0n", "in": "i0n", "iang": "ja0ŋ", "ing": "i0ŋ", "iong": "jʊ0ŋ",
    "u": "u0", "ua": "wa0", "uo": "wo0", "uai": "wai0", "uei": "wei0",
    "uan": "wa0n", "uen": "wə0n", "uang": "wa0ŋ", "ueng": "wə0ŋ",
    "ü": "y0", "üe": "ɥe0", "üan": "ɥɛ0n", "ün": "y0n",
}  # fmt: skip
HUMMED = {"m": "ə0m", "n": "ə0n", "ng": "ə0ŋ", "hm": "xə0m", "hng": "xə0ŋ"}  # interjections without a vowel: 嗯
BUZZED = "ɨ0"  # the i of zhi chi shi ri zi ci si, which is no i
_HISSING = ("zh", "ch", "sh", "r", "z", "c", "s")
_SYLLABLE = re.compile(r"(zh|ch|sh|[bpmfdtnlgkhjqxrzcs])?([a-zêü]+)([1-5])")

# espeak-ng's symbols, joined by ^ where they are one sound, as Kokoro has them; longest first.
ENGLISH = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ɔ^ɪ": "Y", "d^ʒ": "ʤ", "t^ʃ": "ʧ", "ə^l": "ᵊl",
    "ɜː": "ɜɹ", "ɚ": "əɹ", "r": "ɹ", "ɐ": "ə", "ɾ": "ɾ", "x": "k", "ɬ": "l", "ʔ": "t", "g": "ɡ", "e": "A", "o": "ɔ",
    "ː": "", "^": "", "\u0303": "", "\u0329": "", "ʲ": "",
}  # fmt: skip
_ENGLISH = re.compile("|".join(map(re.escape, sorted(ENGLISH, key=len, reverse=True))))


def of_pinyin(syllable: str) -> str:
    """The phones of a syllable such as zhuang4 or lü3 (v is not ü here). ValueError for what is no syllable."""
    if syllable[:-1] in HUMMED and syllable[-1] in TONES:
        return HUMMED[syllable[:-1]].replace("0", TONES[syllable[-1]])
    match = _SYLLABLE.fullmatch(syllable)
    if match is None:
        raise ValueError(f"{syllable!r}: expected a syllable of pinyin with a tone from 1 to 5, such as zhuang4")
    initial, final, tone = match.groups()
    if final == "i" and initial in _HISSING:
        phones = BUZZED
    else:
        phones = FINALS.get(_whole(initial, final))
        if phones is None:
            raise ValueError(f"{syllable!r}: no final of Mandarin")
    return INITIALS.get(initial, "") + phones.replace("0", TONES[tone])


def _whole(initial: str | None, final: str) -> str:
    """The final as it sounds: spelling shortens iou, uei, uen, writes y and w where nothing stands before, and drops
    the dots of ü after j, q and x."""
    if initial in ("j", "q", "x"):
        final = re.sub("^u", "ü", final)
    if initial:
        return {"iu": "iou", "ui": "uei", "un": "uen", "ue": "üe"}.get(final, final)
    if final.startswith("y"):
        rest = final[1:]
        if rest.startswith("u"):
            return "ü" + rest[1:]
        return rest if rest.startswith("i") else {"ou": "iou"}.get(rest, "i" + rest)
    if final.startswith("w"):
        rest = final[1:]
        return rest if rest == "u" else {"ei": "uei", "en": "uen"}.get(rest, "u" + rest)
    return final


@cache
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


def mandarin(text: str) -> str:
    """The phones of Chinese characters, in either script. ValueError names what is none."""
    simple = _simplifier().convert(text)  # pypinyin's dictionary of phrases is one of Simplified Chinese
    syllables = pypinyin.lazy_pinyin(
        simple, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, v_to_u=True, tone_sandhi=True
    )
    return "".join(map(of_pinyin, syllables))


def of_espeak(ipa: str) -> str:
    """The phones of what espeak-ng gives for English text, sounds that are one joined by ^."""
    return _ENGLISH.sub(lambda found: ENGLISH[found.group()], ipa.replace("ɜːɹ", "ɜː")).strip()
