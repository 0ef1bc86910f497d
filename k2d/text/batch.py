"""Many texts at once: the same answers as normalise, units, phonemes and loops, at a tenth of the cost.

In: a block of texts. Out: for each text its units and its phonemes as a string of one code point each,
ready for an edit distance in native code, and its loop flag.

The block is one array of code points, lines parted by "\\n", and every step is an array operation over it.
The few lines that need more than one code point for another (combining marks, ligatures, quotes at the
ends of words) take the plain functions. Nothing here is approximate: tables indexed by a hash only say
where to look, and the looking is exact.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import chain

import numpy as np

from k2d.text import loops
from k2d.text.normalise import (
    fold_character,
    fold_usage_of,
    is_cjk,
    normalise,
    opencc,
    to_simplified,
    unsettled,
    variants,
)
from k2d.text.phonemes import Phonemizer, coded
from k2d.text.units import is_english

_POINTS = 0x110000
_REMOVED, _SLOW, _UNSEEN = 0, 0xFFFFFFFF, 0xFFFFFFFE
_SPACE, _LINE = 32, 10
# Words are numbered from here, in planes that hold neither Chinese characters nor surrogates.
_FIRST_WORD = 0x40000
LONGEST = _POINTS - _FIRST_WORD  # characters a text may have, so that its words can be numbered

_OTHER, _CJK, _GAP, _END, _JOINER = range(5)
_PAIRS_OF = "1.4.2"  # the version of OpenCC that script_pairs.txt was read from
_HASH_BITS = 20  # of pairs of characters that may start a phrase
_COUNT_BITS = 18  # of n-grams; a block of some hundred texts fills a fraction of the counters


@cache
def _kinds() -> np.ndarray:
    """What each code point is. Not at import, which a tenth of a second more would slow for every command."""
    kinds = np.zeros(_POINTS, np.uint8)
    kinds[0x2E80:0x40000] = [_CJK if is_cjk(chr(point)) else _OTHER for point in range(0x2E80, 0x40000)]
    kinds[_SPACE], kinds[_LINE], kinds[ord("'")], kinds[ord("-")] = _GAP, _END, _JOINER, _JOINER
    return kinds


_TARGET = np.full(_POINTS, _UNSEEN, np.uint32)
_TARGET[_LINE] = _LINE
_VARIANT = np.arange(_POINTS, dtype=np.uint32)  # what is one and the same beyond OpenCC's characters
_VARIANT[list(map(ord, variants("always")))] = list(map(ord, variants("always").values()))


_FIRST, _SECOND, _FOLDED_FIRST, _FOLDED_SECOND, _AGAIN = 1, 2, 4, 8, 16  # of a pair that may start a phrase


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _string(points: np.ndarray) -> str:
    return points.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def _fold_points(points: np.ndarray) -> np.ndarray:
    """Each code point's folded one, _REMOVED, or _SLOW where one code point does not do."""
    folded = _TARGET[points]
    if (folded == _UNSEEN).any():
        for point in np.unique(points[folded == _UNSEEN]).tolist():
            target = fold_character(chr(point))
            if target.isspace():  # "…" becomes three dots, three spaces: one separates as well
                target = " "
            _TARGET[point] = ord(target) if len(target) == 1 else _SLOW if target else _REMOVED
        folded = _TARGET[points]
    return folded


def _without_tokens(points: np.ndarray) -> np.ndarray:
    """A space in the place of every `<|…|>` within a line, as `timestamps.TOKEN` finds them."""
    marks = np.flatnonzero((points == 60) | (points == 124) | (points == 62) | (points == _LINE))  # < | >
    kinds = points[marks]
    found = np.flatnonzero((kinds[:-3] == 60) & (kinds[1:-2] == 124) & (kinds[2:-1] == 124) & (kinds[3:] == 62))
    found = found[
        (marks[found + 1] == marks[found] + 1) & (marks[found + 3] == marks[found + 2] + 1)
    ]
    first, length = marks[found], marks[found + 3] - marks[found]
    keep = np.ones(len(points), bool)
    keep[np.repeat(first + 1 - (np.cumsum(length) - length), length) + np.arange(length.sum())] = False
    points = points.copy()
    points[first] = _SPACE
    return points[keep]


def _shifted(values: np.ndarray, by: int, fill: int) -> np.ndarray:
    """`values[i - by]` at place i, `fill` beyond the ends."""
    out = np.full_like(values, fill)
    if by > 0:
        out[by:] = values[:-by]
    else:
        out[:by] = values[-by:]
    return out


def _normalised(texts: Sequence[str], fold_script: bool, fold_usage: bool = False) -> str:
    block = "\n".join([text.replace("\n", " ") for text in texts])
    slow: set[int] = set()
    if not block.isascii() and not unicodedata.is_normalized("NFC", block):
        slow.update(i for i, text in enumerate(texts) if not unicodedata.is_normalized("NFC", text))
    points = _points(block)
    if "<|" in block:
        points = _without_tokens(points)
    points = _fold_points(points)
    points = points[points != _REMOVED]
    marked = points == _SLOW
    kind = _kinds()[np.where(marked, 0, points)]
    gap = kind == _GAP
    once = ~(gap & _shifted(gap, 1, False))
    points, kind, marked = points[once], kind[once], marked[once]
    before, after = _shifted(kind, 1, _END), _shifted(kind, -1, _END)
    inside = (before == _OTHER) | (before == _JOINER)
    inside &= (after == _OTHER) | (after == _JOINER)
    marked |= (kind == _JOINER) & ~inside
    if marked.any():
        ends = np.flatnonzero(kind == _END)
        slow.update(np.searchsorted(ends, np.flatnonzero(marked)).tolist())
        points = np.where(points == _SLOW, _SPACE, points)
    block = _string(points[(kind != _GAP) | inside])
    if slow:
        lines = block.split("\n")
        for index in slow:
            lines[index] = normalise(texts[index], fold_script=False)
        block = "\n".join(lines)
    if not fold_script:
        return block
    return fold_usage_of(simplified(block)) if fold_usage else simplified(block)


def simplified(block: str) -> str:
    """`to_simplified` of every line of a block.

    OpenCC folds character by character, but for a few hundred phrases. A run of Chinese characters without the
    first two characters of any of them is folded by a table of what OpenCC does to each character; the others,
    and those that need a second pass, go through OpenCC itself.
    """
    if block.isascii():
        return block
    alone, flags, phrase_pairs = _script_tables()
    points = _VARIANT[_points(block)]
    block = _string(points)
    if phrase_pairs is None:
        block = folded = opencc()(block)
        points = _points(block)
        again = (flags[points] & _AGAIN) != 0
    else:
        known = flags[points]
        again = (known & _AGAIN) != 0  # a character that would change once more
        # A phrase in the text or in what became of it.
        pairs = np.flatnonzero(known[:-1] & (known[1:] >> 1) & (_FIRST | _FOLDED_FIRST))
        first, second = points[pairs], points[pairs + 1]
        found = phrase_pairs[_pair_hash(first, second)] | phrase_pairs[_pair_hash(alone[first], alone[second])]
        again[pairs[found]] = True
        folded = _string(alone[points])
    where = np.flatnonzero(again)
    if not len(where):
        return folded
    borders = np.concatenate([[-1], np.flatnonzero(_kinds()[points] != _CJK), [len(points)]])
    runs = np.unique(np.searchsorted(borders, where))
    starts, ends = (borders[runs - 1] + 1).tolist(), borders[runs].tolist()
    settled = to_simplified("\n".join([block[start:end] for start, end in zip(starts, ends, strict=True)]))
    pieces, last = [], 0
    for start, end, run in zip(starts, ends, settled.split("\n"), strict=True):
        pieces += (folded[last:start], run)
        last = end
    return "".join([*pieces, folded[last:]])


def _pair_hash(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A number below 2**_HASH_BITS of each pair of code points."""
    with np.errstate(over="ignore"):
        mixed = first * np.uint32(0x9E3779B1) + second * np.uint32(0x85EBCA77)
    return mixed >> np.uint32(32 - _HASH_BITS)


@cache
def _script_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(what each code point alone becomes, its flags, hashes of pairs that may start a phrase).

    The flags say whether a code point, or what becomes of it, is the first or the second of such a pair, and
    whether it would change once more. The list of pairs is of one version of OpenCC; with another there is
    none.
    """
    import opencc as package

    alone = np.arange(_POINTS, dtype=np.uint32)
    ideographs = np.flatnonzero(_kinds() == _CJK)
    folded = opencc()("\n".join(map(chr, ideographs.tolist()))).split("\n")
    alone[ideographs] = [ord(after) if len(after) == 1 else _LINE for after in folded]
    flags = np.zeros(_POINTS, np.uint8)
    if package.__version__ != _PAIRS_OF or (alone[ideographs] == _LINE).any():
        flags[[ord(character) for character in unsettled()]] = _AGAIN
        return alone, flags, None
    pairs = np.zeros(1 << _HASH_BITS, bool)
    for first, second in script_pairs():
        pairs[_pair_hash(np.uint32(ord(first)), np.uint32(ord(second)))] = True
        flags[ord(first)] |= _FIRST
        flags[ord(second)] |= _SECOND
    flags |= (flags[alone] & (_FIRST | _SECOND)) << 2
    flags[alone[alone] != alone] |= _AGAIN
    return alone, flags, pairs


def script_pairs() -> list[str]:
    """The first two characters of every phrase that OpenCC folds otherwise than character by character."""
    text = (resources.files("k2d.text") / "script_pairs.txt").read_text("utf-8")
    return [pair for line in text.splitlines() if not line.startswith("#") for pair in line.split()]


class Lines:
    """A block of texts, normalised, with their units as code points that agree between all of them.

    normalised : the normalised texts
    units      : per text, one code point a unit (a Chinese character is itself, a word is a number)
    lengths    : (texts,) number of units
    """

    def __init__(self, texts: Sequence[str], fold_script: bool = True, fold_usage: bool = False):
        block = _normalised(texts, fold_script, fold_usage) if texts else ""
        self.normalised = block.split("\n") if texts else []
        self._points = points = _points(block)
        kind = _kinds()[points]
        self._line = np.cumsum(kind == _END, dtype=np.uint32)
        in_word = (kind == _OTHER) | (kind == _JOINER)
        after_word = _shifted(in_word, 1, False)
        starts = in_word & ~after_word
        # All words in a row, each with a space behind it.
        words = _string(np.where(in_word, points, _SPACE)[in_word | after_word]).split(" ")
        if not in_word[-1:].any():
            words.pop()
        self._vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
        if len(self._vocabulary) > LONGEST:
            raise ValueError(f"{len(self._vocabulary)} different words in one block, at most {LONGEST}")
        keep = starts | (kind == _CJK) | (kind == _END)
        units = points[keep].copy()
        numbers = np.fromiter(map(self._vocabulary.__getitem__, words), np.uint32, len(words))
        units[starts[keep]] = numbers + np.uint32(_FIRST_WORD)
        self._units = units
        self._block = _string(units)
        self.units = self._block.split("\n") if texts else []
        self.lengths = np.array([len(line) for line in self.units], np.int64)

    def _only(self, keep: np.ndarray) -> list[str]:
        return _string(self._units[keep | (self._units == _LINE)]).split("\n") if self.units else []

    def chinese(self) -> list[str]:
        """Per text its Chinese units alone."""
        return self._only((self._units < _FIRST_WORD) & (self._units != _LINE))

    def english(self) -> list[str]:
        """Per text its English units alone: words with a Latin letter."""
        latin = np.array([is_english(word) for word in self._vocabulary] + [False])
        is_word = self._units >= _FIRST_WORD
        return self._only(is_word & latin[np.where(is_word, self._units.astype(np.int64) - _FIRST_WORD, -1)])

    def loops(self, n: int = 6, c: int = 5) -> np.ndarray:
        """h(x) of every text, (texts,) bool; n-grams of characters, more than c times.

        All n-grams of the block are counted by a hash of themselves and their line. Equal n-grams share a
        hash, so a line with no count above c has no loop; the few others are counted exactly.
        """
        flags = np.zeros(len(self.normalised), bool)
        windows = len(self._points) - n + 1
        if windows > 0:
            multiplier = np.uint32(0x9E3779B1)
            with np.errstate(over="ignore"):
                code = self._line[:windows] * np.uint32(0x85EBCA77)
                for offset in range(n):
                    code *= multiplier
                    code += self._points[offset : offset + windows]
                code *= np.uint32(0xC2B2AE3D)
            code >>= np.uint32(32 - _COUNT_BITS)
            often = np.bincount(code, minlength=1 << _COUNT_BITS)[code] > c
            for index in np.unique(self._line[:windows][often]).tolist():
                flags[index] = loops.most_frequent(self.normalised[index], n, c) > c
        return flags

    def phonemes(self, phonemizer: "BatchPhonemizer") -> list[str]:
        """Per text its phonemes, one code point each. The block must have been folded to Simplified."""
        words = [phonemizer.word(word) for word in self._vocabulary]
        return phonemizer.encode(self._units, self._block, words) if self.normalised else []


class BatchPhonemizer:
    """`Phonemizer` over arrays.

    Every unit has an entry in a pool of readings: a Chinese character the reading it has alone, a word its
    phones. Only phrases that read otherwise than their characters alone have to be found. Two places are
    surely in different phrases when no phrase could reach from one over the other; between such borders,
    and only where such a phrase may start, pypinyin's segmentation is followed.
    """

    def __init__(self, tones: bool = False, fallback: bool = True):
        self._plain = plain = Phonemizer(tones, fallback)
        self._numbers: dict[str, int] = {}
        # Of each reading where it starts in the pool and how long it is; those since the last look are `_new`.
        self._start, self._length, self._pool = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8)
        self._new: list[str] = []
        self._of_character = np.full(_POINTS, -1, np.int32)
        self._of_character[_LINE] = self._number("\n")
        # How far a phrase with these first two, these first three characters may reach, and whether one may read
        # otherwise than its characters.
        size = 1 << _HASH_BITS
        self._reach = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        self._differs = np.zeros(size, bool), np.zeros(size, bool)
        self._know(plain.phrases())
        self._words: dict[str, int] = {}
        self._clusters: dict[str, tuple[int, ...]] = {}

    def _know(self, phrases: Mapping[str, tuple[str, ...]]) -> None:
        heads = _points("".join([phrase[:3].ljust(3) for phrase in phrases])).reshape(-1, 3)
        pair = _pair_hash(heads[:, 0], heads[:, 1])
        lengths = np.fromiter(map(len, phrases), np.int64, len(phrases))
        differs = np.fromiter(
            (reading != tuple(map(self._plain.character, phrase)) for phrase, reading in phrases.items()), bool
        )
        for table, head, own in ((0, pair, lengths == 2), (1, _pair_hash(pair, heads[:, 2]), lengths > 2)):
            np.maximum.at(self._reach[table], head[own], lengths[own].astype(np.uint8))
            self._differs[table][head[own & differs]] = True

    def _number(self, reading: str) -> int:
        number = self._numbers.get(reading)
        if number is None:
            self._numbers[reading] = number = len(self._numbers)
            self._new.append(coded(reading))
        return number

    def word(self, word: str) -> int:
        """The pool's number of a word's phones."""
        number = self._words.get(word)
        if number is None:
            self._words[word] = number = self._number(self._plain.word(word))
        return number

    def _add_new(self) -> None:
        """Put the new readings into the pool: bytes, until one does not fit into them."""
        lengths = np.array([len(reading) for reading in self._new], np.int64)
        added = _points("".join(self._new))
        if self._pool.itemsize == 1 and (added < 256).all():
            added = added.astype(np.uint8)
        self._start = np.append(self._start, len(self._pool) + np.cumsum(lengths) - lengths)
        self._length = np.append(self._length, lengths)
        self._pool = np.append(self._pool, added)
        self._new = []

    def encode(self, units: np.ndarray, block: str, words: list[int]) -> list[str]:
        """Phonemes of each line of `block` (units as code points, also as array; words numbered)."""
        is_word = units >= _FIRST_WORD
        numbers = self._of_character[np.where(is_word, _LINE, units)]
        for point in np.unique(units[numbers < 0]).tolist():
            self._of_character[point] = self._number(self._plain.character(chr(point)))
        numbers = self._of_character[np.where(is_word, _LINE, units)]
        if words:
            numbers[is_word] = np.asarray(words, np.int32)[units[is_word] - _FIRST_WORD]
        self._phrases(units, block, numbers)
        if self._new:
            self._add_new()
        length = self._length[numbers]
        total = np.cumsum(length)
        # Place k of the output belongs to a reading that began `total - length` places into it.
        offset = np.repeat(self._start[numbers] - (total - length), length)
        sounds = self._pool[np.arange(len(offset)) + offset]
        return (sounds.tobytes().decode("latin-1") if sounds.itemsize == 1 else _string(sounds)).split("\n")

    def _phrases(self, units: np.ndarray, block: str, numbers: np.ndarray) -> None:
        """Put the readings of phrases in the place of their characters' own, in `numbers`."""
        if len(units) < 2:
            return
        pair = _pair_hash(units[:-1], units[1:])
        three = _pair_hash(pair[:-1], units[2:])
        reach, differs = self._reach[0][pair], self._differs[0][pair]
        np.maximum(reach[:-1], self._reach[1][three], out=reach[:-1])
        differs[:-1] |= self._differs[1][three]
        # No phrase reaches over a word or the end of a line.
        borders = np.flatnonzero((units >= _FIRST_WORD) | (units == _LINE))
        places = np.flatnonzero(reach)
        ends = np.minimum(places + reach[places], np.append(borders, len(units))[np.searchsorted(borders, places)])
        inside = ends > places + 1
        places, ends = places[inside], ends[inside]
        if not len(places):
            return
        # A cluster starts where nothing before reaches further than up to it.
        ends = np.maximum.accumulate(ends)
        first = np.flatnonzero(np.concatenate([[True], ends[:-1] <= places[1:]]))
        chosen = np.logical_or.reduceat(differs[places], first)
        starts, ends = places[first][chosen], ends[np.append(first[1:], len(places)) - 1][chosen]
        known = self._clusters
        if len(known) > 500_000:
            known.clear()
        texts = [block[first:last] for first, last in zip(starts.tolist(), ends.tolist(), strict=True)]
        for text in set(texts).difference(known):
            known[text] = tuple(self._number(reading) for reading in self._plain.characters(text))
        lengths = ends - starts
        where = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        numbers[where] = np.fromiter(chain.from_iterable(map(known.__getitem__, texts)), np.int32, len(where))
