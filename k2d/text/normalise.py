"""Fold a text to the form that is compared: one case, one width, one script, no punctuation.

In: any text, `<|…|>` tokens allowed. Out: units in a row, with one space between two words of a spaced
script and none beside a Chinese character, so that spacing habits of a model never count as a difference.

Kept are letters with their combining marks, digits, and inside words apostrophes and hyphens. Full-width
and compatibility forms (NFKC) and case are folded; with the script also what `variants.tsv` lists. Punctuation of
every script, symbols, emoji, control characters and private-use characters separate words; invisible format
characters (joiners, direction marks, variation selectors) vanish.
"""

import re
import unicodedata
from functools import cache
from importlib import resources

from k2d.text.timestamps import TOKEN

# Blocks named CJK, without their punctuation and the kana, bopomofo and Hangul between them: radicals,
# 々〇 and the Hangzhou numerals, strokes, ideographs with extension A, compatibility ideographs, and the
# two supplementary planes given to ideographs, whole, so that extensions yet to come count too.
CJK = (
    "\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3038-\u303b\u31c0-\u31ef\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003fffd"
)
is_cjk = re.compile(f"[{CJK}]").match

_MARK = "\ufdd0"  # noncharacter: stands before each combining mark until its place is known
_JOINERS = {
    **dict.fromkeys("'\u2018\u2019\u02bc\u02b9\u2032\u05f3", "'"),
    **dict.fromkeys("-\u2010\u2011\u058a\u05be", "-"),
}
# A mark belongs to the letter before it; after anything else it is noise.
_STRAY_MARKS = re.compile(f"(?<![^ {CJK}'\\-])(?:{_MARK}.)+", re.DOTALL)
_WORD = re.compile(f"[^ {CJK}]+")
_BESIDE_CJK = re.compile(f" (?:(?=[{CJK}])|(?<=[{CJK}] ))")


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def fold_character(character: str) -> str:
    """What one character becomes; combining marks come out behind the `_MARK` sentinel."""
    out = []
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    for c in folded:
        category = unicodedata.category(c)
        if c in _JOINERS:
            out.append(_JOINERS[c])
        elif is_cjk(c) or category[0] in "LN":
            out.append(c)
        elif category in ("Mn", "Mc") and not _is_variation_selector(c):
            out.append(_MARK + c)
        elif category[0] == "M" or (category == "Cf" and c != "\u200b"):
            pass  # invisible, or drawn around another character: it separates nothing
        else:
            out.append(" ")
    return "".join(out)


class _Fold(dict):
    """Translation table filled as characters appear (`str.translate` asks with code points)."""

    def __missing__(self, point: int) -> str:
        self[point] = folded = fold_character(chr(point))
        return folded


_FOLD = _Fold()


@cache
def opencc():
    """OpenCC's function from Traditional to Simplified text."""
    from opencc import OpenCC

    return OpenCC("t2s").convert


# Characters that OpenCC leaves alone by themselves but changes inside phrases (深沈, 回覆, 憑藉 …).
_CHANGED_IN_PHRASES = "沈覆藉瞭坏哩衹甦"


@cache
def variants(kind: str) -> dict[str, str]:
    """The rows of one kind of `variants.tsv`, "always", "usage" or "sound": written -> folded to."""
    table = (resources.files("k2d.text") / "variants.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    return {row[1]: row[2] for row in rows if row[0] == kind}


_ALWAYS = str.maketrans({written: folded for written, folded in variants("always").items() if len(written) == 1})
_PHRASE = re.compile("|".join(written for written in variants("always") if len(written) > 1))
_USAGE = re.compile("|".join(sorted(variants("usage"), key=len, reverse=True)))


def fold_usage_of(text: str) -> str:
    """A Simplified text with one form for what regions write differently: the rows "usage" of `variants.tsv`."""
    return _USAGE.sub(lambda match: variants("usage")[match[0]], text)


@cache
def unsettled() -> frozenset[str]:
    """Characters whose presence means that folding a text once more could change it again."""
    ideographs = [chr(point) for point in range(0x2E80, 0x32400) if is_cjk(chr(point))]
    folded = opencc()("\n".join(ideographs)).split("\n")
    changed = [before for before, after in zip(ideographs, folded, strict=True) if before != after]
    return frozenset(changed) | frozenset(_CHANGED_IN_PHRASES)


def to_simplified(text: str) -> str:
    """Traditional to Simplified: the rows "always" of `variants.tsv`, then OpenCC's phrases and characters, repeated
    while they may change something.

    A few phrases need a second pass (旋干轉坤 becomes 旋乾转坤, then 旋干转坤); without it, a text and its
    own Simplified form could differ.
    """
    if text.isascii():
        return text
    text = opencc()(text.translate(_ALWAYS))
    text = _PHRASE.sub(lambda match: variants("always")[match[0]], text)
    for _ in range(8):
        if unsettled().isdisjoint(text):
            break
        again = opencc()(text)
        if again == text:
            break
        text = again
    return text


def normalise(text: str, fold_script: bool = True, fold_usage: bool = False) -> str:
    """The text in the form that is compared; see the module's first paragraph.

    `fold_script` turns Traditional Chinese into Simplified; with it `fold_usage` makes one what regions write
    differently (妳 and 你, 甚麼 and 什麼). Normalising twice changes nothing.
    """
    if "<|" in text:
        text = TOKEN.sub(" ", text)
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    text = text.translate(_FOLD)
    if _MARK in text:
        text = unicodedata.normalize("NFC", _STRAY_MARKS.sub("", text).replace(_MARK, ""))
    if "'" in text or "-" in text:
        # At the ends of a word apostrophes and hyphens are quotation marks and dashes.
        text = _WORD.sub(lambda word: word[0].strip("'-"), text)
    text = " ".join(text.split())
    if text.isascii():
        return text
    text = _BESIDE_CJK.sub("", text)
    if not fold_script:
        return text
    return fold_usage_of(to_simplified(text)) if fold_usage else to_simplified(text)
