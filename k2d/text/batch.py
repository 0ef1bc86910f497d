"""Many texts at once: the same answers as normalise, units, phonemes and loops, at a tenth of the cost.

In: a block of texts. Out: for each text its units and its phonemes as a string of one code point each,
ready for an edit distance in native code, and its loop flag.

The block is one array of code points, lines parted by "\\n", and every step is an array operation over it.
The few lines that need more than one code point for another (combining marks, ligatures, quotes at the
ends of words) take the plain functions. Nothing here is approximate: tables indexed by a hash only say
where to look, and the looking is exact.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np

from k2d.text import loops
from k2d.text.normalise import fold_character, is_cjk, normalise, opencc, to_simplified, unsettled
from k2d.text.phonemes import Phonemizer
from k2d.text.timestamps import TOKEN
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


def _kinds() -> np.ndarray:
    kinds = np.zeros(_POINTS, np.uint8)
    kinds[0x2E80:0x40000] = [_CJK if is_cjk(chr(point)) else _OTHER for point in range(0x2E80, 0x40000)]
    kinds[_SPACE], kinds[_LINE], kinds[ord("'")], kinds[ord("-")] = _GAP, _END, _JOINER, _JOINER
    return kinds


_KIND = _kinds()
_TARGET = np.full(_POINTS, _UNSEEN, np.uint32)
_TARGET[_LINE] = _LINE


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


def _shifted(values: np.ndarray, by: int, fill: int) -> np.ndarray:
    """`values[i - by]` at place i, `fill` beyond the ends."""
    out = np.full_like(values, fill)
    if by > 0:
        out[by:] = values[:-by]
    else:
        out[:by] = values[-by:]
    return out


def normalise_lines(texts: Sequence[str], fold_script: bool = True) -> list[str]:
    """`normalise` of every text. A line break in a text counts as a space, as it does there."""
    block = "\n".join([text.replace("\n", " ") for text in texts])
    if "<|" in block:
        block = TOKEN.sub(" ", block)
    slow: set[int] = set()
    if not block.isascii() and not unicodedata.is_normalized("NFC", block):
        slow.update(i for i, text in enumerate(texts) if not unicodedata.is_normalized("NFC", text))
    points = _fold_points(_points(block))
    points = points[points != _REMOVED]
    marked = points == _SLOW
    kind = _KIND[np.where(marked, 0, points)]
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
    lines = _string(points[(kind != _GAP) | inside]).split("\n")
    for index in slow:
        lines[index] = normalise(texts[index], fold_script=False)
    if not fold_script:
        return lines
    return simplified_lines(lines)


def simplified_lines(lines: list[str]) -> list[str]:
    """`to_simplified` of every line.

    OpenCC folds character by character, but for a few hundred phrases. A line without the first two
    characters of any of them is folded by a table of what OpenCC does to each character; the others, and
    those that need a second pass, go through OpenCC itself.
    """
    block = "\n".join(lines)
    if block.isascii():
        return lines
    alone, unsettled_points, phrase_pairs = _script_tables()
    if phrase_pairs is None:
        block = opencc()(block)
        lines = block.split("\n")
        folded = _points(block)
        again = unsettled_points[folded]
    else:
        points = _points(block)
        folded = alone[points]
        # A phrase in the text or in what became of it, or a character that would change once more.
        again = alone[folded] != folded
        again[:-1] |= phrase_pairs[_pair_hash(points[:-1], points[1:])]
        again[:-1] |= phrase_pairs[_pair_hash(folded[:-1], folded[1:])]
        originals, lines = lines, _string(folded).split("\n")
    if again.any():
        ends = np.flatnonzero(folded == _LINE)
        for index in np.unique(np.searchsorted(ends, np.flatnonzero(again))).tolist():
            lines[index] = to_simplified(lines[index] if phrase_pairs is None else originals[index])
    return lines


def _pair_hash(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A number below 2**_HASH_BITS of each pair of code points."""
    with np.errstate(over="ignore"):
        mixed = first * np.uint32(0x9E3779B1) + second * np.uint32(0x85EBCA77)
    return mixed >> np.uint32(32 - _HASH_BITS)


@cache
def _script_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(what each code point alone becomes, which are unsettled, hashes of pairs that may start a phrase).

    The list of pairs is of one version of OpenCC; with another there is none.
    """
    import opencc as package

    alone = np.arange(_POINTS, dtype=np.uint32)
    ideographs = np.flatnonzero(_KIND == _CJK)
    folded = opencc()("\n".join(map(chr, ideographs.tolist()))).split("\n")
    alone[ideographs] = [ord(after) if len(after) == 1 else _LINE for after in folded]
    unsettled_points = np.zeros(_POINTS, bool)
    unsettled_points[[ord(character) for character in unsettled()]] = True
    if package.__version__ != _PAIRS_OF or (alone[ideographs] == _LINE).any():
        return alone, unsettled_points, None
    pairs = np.zeros(1 << _HASH_BITS, bool)
    for first, second in script_pairs():
        pairs[_pair_hash(np.uint32(ord(first)), np.uint32(ord(second)))] = True
    return alone, unsettled_points, pairs


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

    def __init__(self, texts: Sequence[str], fold_script: bool = True):
        self.normalised = normalise_lines(texts, fold_script) if texts else []
        block = "\n".join(self.normalised)
        self._points = points = _points(block)
        kind = _KIND[points]
        self._line = np.cumsum(kind == _END)
        in_word = (kind == _OTHER) | (kind == _JOINER)
        starts = in_word & ~_shifted(in_word, 1, False)
        ends = in_word & ~_shifted(in_word, -1, False)
        self._vocabulary: dict[str, int] = {}
        number = self._vocabulary.setdefault
        first, past = np.flatnonzero(starts), np.flatnonzero(ends) + 1
        words = [
            number(block[start:end], len(self._vocabulary))
            for start, end in zip(first.tolist(), past.tolist(), strict=True)
        ]
        if len(self._vocabulary) > LONGEST:
            raise ValueError(f"{len(self._vocabulary)} different words in one block, at most {LONGEST}")
        keep = starts | (kind == _CJK) | (kind == _END)
        units = points[keep].copy()
        units[starts[keep]] = np.asarray(words, np.uint32) + _FIRST_WORD
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
            with np.errstate(over="ignore"):
                code = self._line[:windows].astype(np.uint64)
                for offset in range(n):
                    code *= np.uint64(0x9E3779B97F4A7C15)
                    code += self._points[offset : offset + windows]
                code *= np.uint64(0xD6E8FEB86659FD93)
            bins = (code >> np.uint64(64 - _COUNT_BITS)).astype(np.int64)
            often = np.bincount(bins, minlength=1 << _COUNT_BITS)[bins] > c
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
        self._pool: list[str] = []
        self._numbers: dict[str, int] = {}
        self._of_character = np.full(_POINTS, -1, np.int32)
        self._of_character[_LINE] = self._number("\n")
        self._reach = np.ones(1 << _HASH_BITS, np.uint8)  # how far a phrase starting with this pair may reach
        self._differs = np.zeros(1 << _HASH_BITS, bool)  # whether one may read otherwise than its characters
        for phrase, reading in plain.phrases().items():
            pair = _pair_hash(np.uint32(ord(phrase[0])), np.uint32(ord(phrase[1])))
            self._reach[pair] = max(self._reach[pair], len(phrase))
            if reading != tuple(map(plain.character, phrase)):
                self._differs[pair] = True
        self._words: dict[str, int] = {}
        self._clusters: dict[str, tuple[int, ...]] = {}
        self._arrays: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def _number(self, reading: str) -> int:
        number = self._numbers.setdefault(reading, len(self._pool))
        if number == len(self._pool):
            self._pool.append(reading)
            self._arrays = None
        return number

    def word(self, word: str) -> int:
        """The pool's number of a word's phones."""
        number = self._words.get(word)
        if number is None:
            self._words[word] = number = self._number(self._plain.word(word))
        return number

    def _readings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(start, length) of each reading of the pool, and the pool as one array of code points."""
        if self._arrays is None:
            lengths = np.array([len(reading) for reading in self._pool], np.int64)
            self._arrays = (np.cumsum(lengths) - lengths, lengths, _points("".join(self._pool)))
        return self._arrays

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
        start, length, pool = self._readings()
        length = length[numbers]
        total = np.cumsum(length)
        # Place k of the output belongs to a reading that began `total - length` places into it.
        offset = np.repeat(start[numbers] - (total - length), length)
        return _string(pool[np.arange(len(offset)) + offset]).split("\n")

    def _phrases(self, units: np.ndarray, block: str, numbers: np.ndarray) -> None:
        """Put the readings of phrases in the place of their characters' own, in `numbers`."""
        if len(units) < 2:
            return
        pair = _pair_hash(units[:-1], units[1:])
        chinese = (units < _FIRST_WORD) & (units != _LINE)
        differs = np.flatnonzero(self._differs[pair] & chinese[:-1] & chinese[1:])
        if not len(differs):
            return
        places = np.arange(len(units))
        border = np.minimum.accumulate(np.where(chinese, len(units), places)[::-1])[::-1]
        reach = np.maximum(places + 1, np.minimum(places + np.append(self._reach[pair], 1), border))
        # A cluster starts where nothing before reaches further than up to it.
        reach = np.maximum.accumulate(reach)
        starts = np.flatnonzero(np.concatenate([[True], reach[:-1] <= places[1:]]))
        cluster = np.unique(np.searchsorted(starts, differs, side="right") - 1)
        ends = np.append(starts, len(units))[cluster + 1].tolist()
        starts = starts[cluster].tolist()
        known = self._clusters
        if len(known) > 500_000:
            known.clear()
        where: list[int] = []
        what: list[int] = []
        for first, last in zip(starts, ends, strict=True):
            text = block[first:last]
            readings = known.get(text)
            if readings is None:
                readings = tuple(self._number(reading) for reading in self._plain.characters(text))
                known[text] = readings
            where += range(first, last)
            what += readings
        numbers[where] = what
