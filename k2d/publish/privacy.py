"""Label texts in, the ones that may hold somebody's private data out, for a person to look at.

A student repeats what its labels say, and a published model cannot be called back. These patterns
find what has a form: e-mail and IP addresses, telephone numbers, identity and card numbers, student numbers. Names
and stories have none: a clean list is no proof.

The patterns search a plain form of the label, in which nothing is invisible and a digit is one of 0-9 however it was
written or spoken; what is reported is the label's own text. What is invisible may stand inside a word or part two, so
a label that has it is searched in two forms: without it, and with a blank for it beside a letter. Every repetition in a
pattern is bounded, so that the time grows with the length of the text and no faster.
"""

import ipaddress
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tqdm import tqdm

from k2d.atomic import atomic
from k2d.tables import INVISIBLE, read_table
from k2d.text import timestamps

LISTED = Path("private/labels.tsv")  # in a published folder; nothing in private/ leaves the house

# Numbers are often spoken and written as words: 零九一二, "zero nine one two", "oh nine double one", "oh nine twelve",
# 零九十二三十四.
_CHINESE = dict(
    zip("〇○零一幺二兩两三四五六七八九壹貳贰參叁肆伍陸陆柒捌玖", "000112223456789122334566789", strict=True)
)
_ENGLISH = dict(
    zip("zero nought oh o one two three four five six seven eight nine".split(), "0000123456789", strict=True)
)
_RADIO = dict(zip("洞么拐勾", "0179", strict=True))  # which cannot be misheard; they count beside a digit alone
_TEENS = dict(
    zip(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),
        map(str, range(10, 20)),
        strict=True,
    )
)
_TENS = dict(zip("twenty thirty forty fourty fifty sixty seventy eighty ninety".split(), "234456789", strict=True))
_TIMES = {None: 1, "double": 2, "triple": 3}
_ONE = rf"(?:{'|'.join(_ENGLISH)})(?![a-z])(?!(?<=\bo)\d)"  # the letter of O123 is none
_TEEN, _TEN = rf"(?:{'|'.join(_TEENS)})(?![a-z])", rf"(?:{'|'.join(_TENS)})(?![a-z])"
_UNIT = rf"(?:{'|'.join(list(_ENGLISH)[4:])})(?![a-z])"
# With the comma of "zero nine, one two"; that of 1,000,000 and of other lists stays and ends a number.
_COMMA = rf"[,、;](?=\s{{0,3}}(?:(?:double|triple)[\s-]|{_ONE}|{_TEEN}|{_TEN}))"
_HIGHER = "百千萬万億亿"  # 四百三十四萬 is one number of its own
_SPOKEN = re.compile(
    rf"(?<![a-z])(?:(?P<hundred>{_UNIT})[\s-]{{1,3}}hundred(?![a-z])|"
    rf"(?:(?P<times>double|triple)[\s-]{{1,3}})?(?P<one>{_ONE})|(?P<teen>{_TEEN})|"
    rf"(?P<ten>{_TEN})(?:[\s-]{{1,3}}(?P<unit>{_UNIT}))?)(?:{_COMMA})?|"
    rf"(?<![{_HIGHER}第])(?<![{_HIGHER}第]\d)(?P<tens>\d?)(?P<shi>十)(?P<rest>\d?)(?!\d?[{_HIGHER}])|"
    r"(?P<radio>[洞么拐勾](?=\d)|(?<=\d)[洞么拐勾])",
    re.IGNORECASE | re.ASCII,
)
# Without blanks between them, as where those that a page shows are invisible characters: zeronineonetwo.
_WORDS = sorted((*_ENGLISH, *_TEENS, *_TENS, "double", "triple", "hundred"), key=len, reverse=True)
_RUN_ON = re.compile(rf"(?<![a-z])(?![oh]+(?![a-z]))(?:{'|'.join(_WORDS)}){{2,}}(?![a-z])", re.IGNORECASE | re.ASCII)
_WORD = re.compile("|".join(_WORDS), re.IGNORECASE)
# Between digits: signs that are spoken, and what people say while they think of the next ones.
_BETWEEN = re.compile(
    r"(?<=\d)[\s,、]{0,3}(?:(?:dash|hyphen|uhm?|u?mm?|erm?|ah)(?![a-z])|[槓杠嗯呃啊]|那個|那个)[\s,、]{0,3}(?=\d)",
    re.IGNORECASE | re.ASCII,
)


def _spoken_digits(match: re.Match) -> str:
    """The digits of one number that is spoken as a word, or as two."""
    if match["shi"]:
        return (match["tens"] or "1") + (match["rest"] or "0")
    if match["hundred"]:
        return _ENGLISH[match["hundred"].lower()] + "00"
    if match["radio"]:
        return _RADIO[match["radio"]]
    if match["one"]:
        return _ENGLISH[match["one"].lower()] * _TIMES[match["times"] and match["times"].lower()]
    if match["teen"]:
        return _TEENS[match["teen"].lower()]
    return _TENS[match["ten"].lower()] + _ENGLISH[(match["unit"] or "zero").lower()]


_SIGNS = r"\s.\-‐‑‒–—−()/_~·・•‧…⋯"
_SEPARATOR = rf"[{_SIGNS}]{{0,6}}"


def _digits(count: str) -> str:
    """So many digits, any separators between them."""
    return rf"\d(?:{_SEPARATOR}\d){{{count}}}"


# Commas part the numbers of a list, so between the digits of one number they count only in the forms that people give
# such a number in: digit by digit, in pairs, or in its usual groups. 12,345,678 is none of them.
_COMMAS = r"\s{0,3}[,、;]\s{0,3}"
_GAP = rf"(?:{_COMMAS}|[\s.。-]{{1,3}})"  # between groups, where commas part some and blanks others
_LINK = r"(?:[\s:,、#]|是|[為为]|is\b|no\b\.?){0,5}"  # between a word that says what a number is, and the number
_ALONE = rf"(?<!\d)(?<!\d[,、;])(?<!\d[,、;]\s)%s(?!\d)(?!{_COMMAS}\d)"  # all of a list


def _listed(first: str, count: str) -> str:
    """A first character and so many digits, a comma before each."""
    return rf"{first}(?:{_COMMAS}\d){{{count}}}"


def _group(count: int) -> str:
    """So many digits, in one or digit by digit."""
    return rf"(?:\d{{{count}}}|\d(?:[ -]\d){{{count - 1}}})"


# Also letter by letter: g m a i l. An "o" that stands alone is a 0 in the plain form.
_HOST = r"(?:[\w-](?: [\w-]){2,30}\b|(?:g|hot|fox) mail\b|[\w-]{1,63})"
_NEXT = r"(?:[a-z](?: [a-z0]){1,5}\b|[a-z][\w-]{0,62})"
_TOP = r"(?:com|c [o0] m|edu|e d u|org|[o0] r g|net|n e t|gov|io|ai|app|dev|info|tw|t w|cn|hk|jp|uk|sg|kr)\b"
# Countries whose code is no attribute (B.id, B.lt) and no ending of code (.py, .so, .pt). Some are words, so their dot
# has no blanks.
_COUNTRY = (
    r"\.(?:ac\.[a-z]{2}|a[etru]|b[egr]|c[ahloz]|d[ek]|e[egsu]|f[ir]|gr|h[ru]|i[elnrst]|l[kuv]|m[oxy]|n[loz]|p[hl]|r[ou]|"
    r"s[aeik]|t[hr]|u[as]|vn|za)\b(?![\[(])"
)
# Behind "at", with a written dot, only who gives out addresses: lecturers say "look at arxiv.org".
_POST = r"(?:(?:g|hot|fox|proton)\s?mail|yahoo|outlook|icloud|qq|163|126)"
_POSTED = rf"{_POST}(?:\s{{0,3}}\.\s{{0,3}}| dot ?|\s?[點点]\s?)[a-z]{{2,4}}\b"
_MAIL = (
    rf"(?:{_POSTED}|"
    r"(?:[\w-]{1,63}\.){1,4}(?:edu(?:\.[a-z]{2})?|ac\.[a-z]{2}))\b"
)
_OPEN, _CLOSE = r"[\[({<【〔「#*~|/_-]", r"[\])}>】〕」#*~|/_-]"
_BRACKETED_DOT = rf"\s{{0,3}}{_OPEN}\s?(?:dot|\.)\s?{_CLOSE}\s{{0,3}}"
_JOINED_DOT = r"[_-]dot[_-]"  # no part of a name on either side: else one text could be read in too many ways
_SPOKEN_DOT = r"(?: (?:dot|point) |\s?[點点]\s?)"
_ANY_DOT = rf"(?:\s{{0,3}}[.。]\s{{0,3}}|,(?={_TOP})|{_BRACKETED_DOT}|{_SPOKEN_DOT})"

_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"

# In this order; text that one kind has claimed is not reported again by a later one.
PATTERNS = {
    # Behind @ and [at] anything with a dot; behind the word "at", which is common, the @ of a product of matrices,
    # which stands between blanks, and a Chinese name only a known end.
    "e-mail": re.compile(
        r"[\w.+-]{1,64}+(?:"
        rf"(?:@{{1,2}}\s{{0,3}}|\s{{1,3}}@{{1,2}}){_HOST}(?:{_ANY_DOT}{_NEXT}){{1,9}}"
        rf"|\s{{1,3}}@{{1,2}}\s{{1,3}}{_HOST}(?:{_ANY_DOT}{_NEXT}){{0,8}}(?:{_ANY_DOT}{_TOP}|{_COUNTRY})"
        rf"|\s{{0,3}}(?:{_OPEN}\s?(?:at|@)\s?{_CLOSE}|at[ -]sign\b|"
        r"[\[({<【〔「]?\s?(?:小老鼠|艾特|圈\s?a)\s?[\])}>】〕」]?)\s{0,3}"
        rf"{_HOST}(?:(?:[.。]|{_BRACKETED_DOT}|{_SPOKEN_DOT}){_NEXT}){{1,9}}"
        rf"| at {_MAIL}|\s{{0,3}}在\s{{0,3}}{_POSTED}"
        rf"|{_OPEN}a{_CLOSE}{_POST}\.[a-z]{{2,4}}\b"
        rf"| at {_HOST}(?:{_SPOKEN_DOT}{_HOST}){{0,9}}?{_SPOKEN_DOT}{_TOP}(?:{_SPOKEN_DOT}[a-z]{{2}}\b)?)"
        rf"|[\u4e00-\u9fff]{{1,4}}\s{{0,3}}@{{1,2}}\s{{0,3}}{_HOST}(?:{_ANY_DOT}{_NEXT}){{0,8}}"
        rf"(?:{_ANY_DOT}{_TOP}|{_COUNTRY})"
        # Signs that may be in the name itself: john_at_gmail.com
        rf"|[a-z0-9][\w.+-]{{0,63}}?[_-]at[_-](?:(?:(?!{_JOINED_DOT})[\w-]){{1,63}}+(?:[.。]|{_JOINED_DOT})){{1,9}}{_TOP}",
        re.IGNORECASE | re.ASCII,
    ),
    # Taiwan: a letter, 1 2 8 9 or a second letter (older residence permits), 8 digits. Mainland: 17 digits
    # and a digit or X. Hong Kong: one letter or two, 6 digits, a digit or A in brackets
    # (which has to fit: _is_hong_kong).
    "identity number": re.compile(
        rf"(?<![A-Za-z0-9])(?:[A-Za-z]{_SEPARATOR}[1289A-Da-d]{_SEPARATOR}{_digits('7')}|"
        rf"[1-9]{_SEPARATOR}{_digits('15')}{_SEPARATOR}[\dXx]|"
        rf"[A-Za-z]{{1,2}}{_SEPARATOR}{_digits('5')}\s?\(\s?[\dAa]\s?\)|"
        rf"[A-Za-z](?:{_COMMAS})?[1289](?:(?:{_COMMAS})?\d){{8}}|"
        + _ALONE % rf"[1-9]\d{{5}}{_COMMAS}\d{{4}}(?:{_COMMAS})?\d{{4}}{_COMMAS}\d{{3}}[\dXx]"
        + r")(?![A-Za-z0-9])"
    ),
    # 16 digits, of American Express 15, of UnionPay up to 19.
    "card number": re.compile(
        rf"(?<!\d)[3-6]{_SEPARATOR}{_digits('13,17')}(?!\d)|"
        + _ALONE
        % rf"(?:[3-6]\d{{3}}(?:{_COMMAS}\d{{4}}){{3}}(?:{_COMMAS}\d{{3}})?|3\d{{3}}{_COMMAS}\d{{6}}{_COMMAS}\d{{5}}|"
        rf"{_listed('[3-6]', '14,18')})"
    ),
    "student number": re.compile(
        rf"(?<![A-Za-z0-9])[A-Za-z](?:{_SEPARATOR}{_digits('7')}|"
        rf"{_GAP}?(?:{_listed('[0-9]', '7')}|\d\d(?:{_COMMAS}\d{{3}}){{2}}))(?!\d)|"
        rf"(?:(?<!同)[學学][號号]|(?i:\bstudent (?:ID|number)\b)){_LINK}\d(?:[ -]?\d){{4,9}}(?!\d)"
    ),
    # Of eight digits or more; shorter ones are rather versions, which have this form, too.
    "IP address": re.compile(rf"(?<![\d.])(?=[\d.]{{11}}){_BYTE}(?:\.{_BYTE}){{3}}(?![\d.])", re.ASCII),
    # International, Taiwanese mobile (09…) and landline (0…), or any 8 to 14 digits. Groups without a 0 before them: of
    # the mainland, Taiwan, North America, Hong Kong; thousands have none of four digits.
    "telephone number": re.compile(
        # With stars: 0912*345*728, and no product of small numbers.
        rf"(?<!\d)0\d{{1,3}}(?:\*\d{{3,4}}){{2}}(?!\d)|"
        rf"\+{_SEPARATOR}{_digits('7,14')}|"
        rf"(?<![A-Za-z0-9)+])\+[1-9](?:(?:{_COMMAS}|{_SEPARATOR})\d){{7,14}}(?!\d)|"
        rf"(?<!\d)0{_SEPARATOR}{_digits('7,9')}(?!\d)|(?<!\d){_digits('7,13')}(?!\d)|"
        + _ALONE
        % rf"(?:{_listed('0', '7,9')}|0\d(?:{_COMMAS}\d\d){{3,4}}|0\d{{1,3}}(?:\)?{_GAP}\d{{3,4}}){{2}}|"
        rf"{_listed(rf'1{_COMMAS}[3-9]', '9')}|(?=1[ -]?[3-9]){_group(3)}(?:{_GAP}{_group(4)}){{2}}|"
        rf"9\d\d(?:{_GAP}\d{{3}}){{2}}|(?=[2-9]){_group(3)}\)?{_GAP}{_group(3)}{_GAP}{_group(4)}|"
        rf"(?=[235-9]){_group(4)}{_COMMAS}{_group(4)})"
    ),
}
_CLAIMED = "\0"  # in the place of what a kind has claimed; control characters do not get into the plain form
_FRACTION = re.compile(r"(?<![\d.])\d\.\d{9,}(?![\d.])")  # 3.14159265358979
# In figures: 912,345,678 and "n, 100, 250, 500". 九一二，三四五，六七八 is no such number.
_THOUSANDS = re.compile(
    r"(?:[a-z]\s?)?\d{1,3}(?:,\d{3})+|[a-z][\s,、]*\d{3}(?:[,、]\s?\d{3})+", re.IGNORECASE | re.ASCII
)
# Who has no address "at ntu dot edu dot tw".
_NO_NAME = re.compile(
    r"(?:docs?|papers?|pages?|(?:web)?site|code|slides|videos?|look|meet|visit|see|found|available|online|it|this|is|us|"
    rf"them|here|works?|study) at (?!{_POST}\b)",
    re.IGNORECASE,
)
# Before a number: whatever it looks like, it is somebody's. Behind a digit, 號 is an ordinal.
_NAMED = re.compile(
    r"(?:(?<!\d)[號号][碼码]?|[電电][話话]|手[機机]|身[份分][證证]|\b(?:card|account|phone|mobile|telephone|number|HKID))"
    rf"{_LINK}\Z",
    re.IGNORECASE,
)
# All numbers of a row, whatever parts them, and what says that they are one number.
_ROW = re.compile(
    rf"(?<![\w@+])(?P<plus>\+\s?)?(?P<isbn>ISBN(?:-1[03])?[\s:]{{0,3}})?\d(?:[{_SIGNS},、;]{{0,6}}\d)*+",
    re.IGNORECASE | re.ASCII,
)
_ARXIV = r"[01]\d(?:0\d|1[0-2])\.\d{4}|\d\d(?:0\d|1[0-2])\.\d{5}"  # year, month, number
_POINTED = re.compile(rf"(?:{_ARXIV})|(?:(?:{_ARXIV}|\d{{1,3}}\.\d{{1,6}})(?:[^\d.]+|\Z)){{2,}}")
# What makes four numbers a version's, or a place in a book's.
_VERSION = re.compile(r"(?:\bv|\bver|version|section|chapter|版本?|[節节章])[\s.:是]{0,3}\Z", re.IGNORECASE)
# What is counted is not dialled; 分機 is an extension.
_COUNTED = re.compile(
    r"\s?(?:[個个元塊块步次人筆笔]|分(?![機机])|[參参][數数]|(?:tokens?|param(?:eter)?s|steps?|samples|bytes?|bits?)\b)",
    re.IGNORECASE,
)
_DECIMALS = re.compile(r"\d\s{0,3}(?:point|點|点)\s{0,3}\Z", re.IGNORECASE)


@dataclass(frozen=True)
class PersonalData:
    id: str
    kind: str
    text: str


class _Plain(dict):
    """Translation table filled as characters appear: one character, " " for any blank, "" for an invisible one."""

    def __missing__(self, point: int) -> str:
        c = " " if chr(point).isspace() else unicodedata.normalize("NFKC", chr(point))
        c = c if len(c) == 1 else chr(point)
        if INVISIBLE.match(c) or (unicodedata.category(c) in ("Cf", "Mn", "Me", "Cc") and not c.isspace()):
            c = ""
        self[point] = c = _CHINESE.get(c) or (str(unicodedata.decimal(c)) if c.isdecimal() else c)
        return c


_PLAIN = _Plain()
_UNSEEN = "\0"  # in the place of what is invisible, until it is decided whether it parts
_UNSEEN_RUN = re.compile(rf"[{_UNSEEN} ]{{2,}}|{_UNSEEN}")


def _plain(text: str, parts: bool) -> tuple[str, list[tuple[int, int]]]:
    """The form that is searched, and for each of its characters where in `text` it begins and ends. parts: whether what
    is invisible is a blank where a letter is beside it.
    """

    def blank(run: re.Match) -> str:
        around = run.string[max(0, run.start() - 1) : run.start()] + run.string[run.end() : run.end() + 1]
        return " " if " " in run[0] or (parts and any(map(str.isalpha, around))) else ""

    written = "".join([_PLAIN[ord(c)] or _UNSEEN for c in text])
    places = [(place, place + 1) for place in range(len(text))]
    written, places = _rewritten(written, places, _UNSEEN_RUN.finditer(written), blank)
    words = (word for run in _RUN_ON.finditer(written) for word in _WORD.finditer(written, *run.span()))
    written, places = _rewritten(written, places, words, lambda word: f"{word[0]} ")
    written, places = _rewritten(written, places, _SPOKEN.finditer(written), _spoken_digits)
    return _rewritten(written, places, _BETWEEN.finditer(written), lambda match: "-")


def _rewritten(
    written: str, places: list[tuple[int, int]], matches: Iterable[re.Match], new: Callable[[re.Match], str]
) -> tuple[str, list[tuple[int, int]]]:
    """A text, and where its characters come from, with something new in place of every match."""
    pieces, spans, last = [], [], 0
    for match in matches:
        text = new(match)
        pieces += (written[last : match.start()], text)
        spans += places[last : match.start()]
        spans += [(places[match.start()][0], places[match.end() - 1][1])] * len(text)
        last = match.end()
    return "".join([*pieces, written[last:]]), spans + places[last:]


def _counts(numbers: list[int], restarts: tuple[int, ...] = ()) -> bool:
    """Whether each number is one more than the one before, or a restart; or all steps are the same: 0, 5, 10, 15."""
    steps = list(pairwise(numbers))
    forwards = all(b == a + 1 or b in restarts for a, b in steps)
    sizes = {b - a for a, b in steps}
    return bool(steps) and (forwards or sizes == {-1} or (len(steps) > 2 and len(sizes) == 1))


def _is_usual(number: int) -> bool:
    """Whether lectures are full of a number: a year, a size (1024, 768, 224), the largest number of so many bits."""
    size = number % 32 == 0 and number.bit_count() <= 3
    return number > 31 and (size or (number + 1).bit_count() == 1 or 1900 <= number < 2100)


def _is_named(match: re.Match) -> bool:
    """Whether a word before a number says that it is somebody's."""
    return _NAMED.search(match.string[max(0, match.start() - 16) : match.start()]) is not None


def _is_hong_kong(number: str, written: str) -> bool:
    """Whether a number is written as one of Hong Kong is, or spoken, and its check digit fits."""
    letters, digits, check = re.fullmatch(r"([A-Z]{1,2})(\d{6})(.)", re.sub(r"[^A-Z\d]", "", number.upper())).groups()
    values = [36, *(int(c, 36) for c in letters + digits)][-8:]  # a blank counts 36, A to Z count 10 to 35
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True)) + int(check, 36)
    joined = re.match("[A-Za-z]{1,2}[0-9]{6}", number) or sum(map(str.isdecimal, written)) < 6
    return bool(joined) and total % 11 == 0


def _is_series(row: re.Match) -> bool:
    """Whether a row of numbers is rather years and dates, sizes of layers, scores, decimals, primes and other rising
    numbers, products (三七二十一), or the number of a book or of a paper.
    """
    numbers = re.findall(r"\d+", row[0])
    digits = "".join(numbers)
    if row["plus"] or len(digits) < 8 or max(map(len, numbers)) > 19 or row.string[row.end() : row.end() + 1] == "@":
        return False
    if row["isbn"] or re.fullmatch("97[89].{10}", digits) or _POINTED.fullmatch(row[0]):
        return True
    values = [int(number) for number in numbers]
    if _is_named(row) or re.search(r"(?<![\d.])0\d{3}", row[0]):  # 0912
        return False
    if any(len(number) > 7 and not _is_usual(int(number)) for number in numbers):
        return False
    if len(numbers) > 2 and all(re.fullmatch("[2-9]{2}..", n) and int(n[0]) * int(n[1]) == int(n[2:]) for n in numbers):
        return True
    card = len(digits) == 16 and digits[0] in "3456"
    if len(numbers) > 4 and not card and all(len(number) == 2 and number[0] != "0" for number in numbers):
        return True
    if re.match(r"0(?:\d|\D+[2-9])", row[0]):  # a number that is dialled
        return False
    rises = len(values) > 4 and values[-1] > 9 and values == sorted(values)
    usual, small = sum(map(_is_usual, values)), sum(value <= 31 for value in values)  # or the day, the hour, 3 channels
    dialled = len(values) == 2 and len(digits) < 16 and not all(1900 <= value < 2100 for value in values)  # 2048-1024
    return rises or (not dialled and usual + small == len(values) and small <= 3 * usual)


def _is_lecture(kind: str, match: re.Match, written: str) -> bool:
    """Whether a match is rather counting, a number of things, a row of bits, a loop of the decoder, the decimals of a
    number, thousands, a list of round numbers, years and percentages in words ("nineteen eighty four"), a table or a
    size in the form of an identity number, a version, or the place where something is found, also an address that
    every house has. written: the label's own text.
    """
    before = match.string[max(0, match.start() - 16) : match.start()]
    lettered = match[0][0].isalpha()
    if kind == "e-mail":
        return _NO_NAME.match(match[0]) is not None
    if _THOUSANDS.fullmatch(written):
        return True
    if PATTERNS["IP address"].fullmatch(match[0]):
        return not ipaddress.ip_address(match[0]).is_global or _VERSION.search(before) is not None
    if kind == "identity number" and lettered:
        return match[0][-1] == ")" and not _is_named(match) and not _is_hong_kong(match[0], written)
    numbers = re.findall(r"\d+", match[0])
    digits = [int(digit) for number in numbers for digit in number]
    words = not lettered and digits[0] and not any(c.isdecimal() for c in written)
    if words and all(len(number) == 2 for number in numbers):
        return True
    figures = kind == "telephone number" and match[0][0] in "123456789" and not words
    if figures and re.search("[,、;]", match[0]) and sum(n.endswith("00") or _is_usual(int(n)) for n in numbers) > 1:
        return True  # a list: 300, 600, 1200
    mobile = re.fullmatch(r"1[3-9]\d{9}", match[0])  # of the mainland
    alone = figures and match[0].isdecimal() and not mobile and not _is_named(match)
    if alone and _COUNTED.match(match.string, match.end()):
        return True
    if _counts([int(number) for number in numbers]) or (not lettered and len(set(digits)) == 1):
        return True
    # Who counts does not do it in groups as 九一二，三四五，六七八 has them.
    restarts = () if re.search(r"\d\d[,、;]", match[0]) else (0, 1)
    return kind == "telephone number" and (
        len(set(digits)) == 2 or _counts(digits, restarts) or _DECIMALS.search(before) is not None
    )


def find_in(text: str) -> Iterator[tuple[str, str]]:
    """(kind, matched text) of everything in one label that looks private."""
    label = timestamps.strip(text)
    reported = bytearray(len(label))  # 1 at what is
    for parts in (False, True) if any(not _PLAIN[ord(c)] for c in label) else (False,):
        for begin, end, kind in _find_in_form(label, *_plain(label, parts)):
            if not any(reported[begin:end]):
                reported[begin:end] = b"\1" * (end - begin)
                yield kind, label[begin:end].strip()


def _find_in_form(label: str, searched: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """Where in a label something that looks private begins and ends, and its kind, by one plain form of it."""
    searched = _FRACTION.sub(lambda match: _CLAIMED * len(match[0]), searched)
    searched = _ROW.sub(lambda row: _CLAIMED * len(row[0]) if _is_series(row) else row[0], searched)
    for kind, pattern in PATTERNS.items():
        pieces, last = [], 0
        for match in pattern.finditer(searched):
            begin, end = spans[match.start()][0], spans[match.end() - 1][1]
            if _is_lecture(kind, match, label[begin:end].strip()):
                continue
            yield begin, end, kind
            pieces += (searched[last : match.start()], _CLAIMED * len(match[0]))
            last = match.end()
        searched = "".join([*pieces, searched[last:]])


def find(labels: Iterable[tuple[str, str]]) -> list[PersonalData]:
    """labels: pairs of id and text."""
    return [PersonalData(i, kind, text) for i, label in labels for kind, text in find_in(label)]


def search(labels: Path, folder: Path) -> tuple[int, dict[str, int]]:
    """Number of labels in a table, findings by kind; the findings themselves go to `folder`/LISTED."""
    texts, listed = read_table(labels), folder / LISTED
    found = find(tqdm(texts.items(), desc="labels", unit="label", leave=False, disable=None))
    with atomic(listed) as out:
        out.write("id\tkind\ttext\n")
        out.writelines(f"{f.id}\t{f.kind}\t{' '.join(f.text.split())}\n" for f in found)  # a line each
    listed.parent.chmod(0o700)
    (listed.parent / ".gitignore").write_text("*\n")
    return len(texts), dict(Counter(f.kind for f in found))


def listed_in(folder: Path) -> int | None:
    """Findings in a published folder; None where nobody searched."""
    listed = folder / LISTED
    return len(listed.read_text(encoding="utf-8").splitlines()) - 1 if listed.is_file() else None
