"""What else speaks for or against a label, from its text alone: one number a chunk and signal.

In: a block of pairs, their normalised lines, their durations. Out: signal name -> one value a pair; NaN
where there is none (a rate of a chunk whose duration nobody knows), and then no line is written.

    zh_cer, en_wer                     δ over the Chinese units alone, over the English words alone
    en_share_teacher, en_share_aux     share of the units that are English words, 0 to 1
    translated                         share of the time with words in which one side is English and the
                                       other, at the same time, Chinese alone
    chars_per_second                   characters of the teacher's normalised text a second
    compression_teacher                bytes of the teacher's text by bytes of it compressed, as Whisper does
    caption                            share of the teacher's characters inside known caption phrases
    fused                              δ_fused, of the teacher's mean log-probability a token too
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from k2d.constants import WINDOW
from k2d.errors import DataError
from k2d.label.distance import Choices, edits, ratio
from k2d.text import timestamps
from k2d.text.batch import Lines
from k2d.text.normalise import normalise
from k2d.text.transcript import compression_ratio
from k2d.text.units import is_chinese, is_english, units

TEXT_SIGNALS = (
    "zh_cer",
    "en_wer",
    "en_share_teacher",
    "en_share_aux",
    "translated",
    "chars_per_second",
    "compression_teacher",
    "caption",
)
SIGNALS = (*TEXT_SIGNALS, "fused", "untexted")  # the last of them from the audio
_FEW_WORDS = 3  # English words that make a stretch of speech English rather than Chinese with a term


def text_signals(
    teacher: Sequence[str],
    validator: Sequence[str],
    lines: Lines,
    seconds: np.ndarray,
    choices: Choices,
    captions: Sequence[str],
    wanted: Sequence[str] = TEXT_SIGNALS,
) -> dict[str, np.ndarray]:
    """The signals named in `wanted`; `lines` hold the teacher's texts, then the validator's.

    seconds: (pairs,) duration of each chunk, NaN where unknown. captions: normalised phrases.
    """
    pairs = len(teacher)
    english, chinese = lines.english(), lines.chinese()
    english_units = np.fromiter(map(len, english), np.int64, 2 * pairs)
    empty = "one" if choices.empty == "paper" else choices.empty

    def rate(strings: list[str]) -> np.ndarray:
        lengths = np.fromiter(map(len, strings), np.int64, 2 * pairs)
        changed = edits(strings[:pairs], strings[pairs:])
        return ratio(changed, lengths[:pairs], lengths[pairs:], choices.reference, empty)

    def shares() -> np.ndarray:
        return english_units / np.maximum(lines.lengths, 1)

    def of_each(function, *columns) -> np.ndarray:
        return np.fromiter((function(*row) for row in zip(*columns, strict=True)), float, pairs)

    words = lines.normalised[:pairs]
    make = {
        # A chunk without English on either side agrees on it, whatever the policy for empty references.
        "zh_cer": lambda: rate(chinese),
        "en_wer": lambda: np.where(english_units[:pairs] + english_units[pairs:] == 0, 0.0, rate(english)),
        "en_share_teacher": lambda: shares()[:pairs],
        "en_share_aux": lambda: shares()[pairs:],
        "translated": lambda: of_each(
            lambda differ, a, b: translated(a, b) if differ else 0.0,
            np.abs(english_units[:pairs] - english_units[pairs:]) >= _FEW_WORDS,
            teacher,
            validator,
        ),
        "chars_per_second": lambda: of_each(lambda text: len(text.replace(" ", "")), words) / seconds,
        "compression_teacher": lambda: of_each(lambda text: compression_ratio(timestamps.strip(text)), teacher),
        "caption": lambda: of_each(lambda text: caption_share(text, captions), words),
    }
    return {name: np.asarray(make[name](), float) for name in wanted}


def translated(teacher: str, validator: str) -> float:
    """Share of the teacher's time in which one text is English and the other Chinese alone, 0 to 1.

    Segments are compared where their times overlap; a text without timestamps is one segment. English is a
    stretch of at least three English words that make up half of it or more; Chinese alone is one with at
    least three Chinese characters and no English word. Chunks whose English words differ by fewer than three
    in number are not looked at.
    """
    label_segments, other_segments = (_languages(text) for text in (teacher, validator))
    total = sum(end - start for start, end, _, _ in label_segments)
    if not total:
        return 0.0
    different = 0.0
    for start, end, english, chinese in label_segments:
        for other_start, other_end, other_english, other_chinese in other_segments:
            overlap = min(end, other_end) - max(start, other_start)
            if overlap > 0 and ((english and other_chinese) or (chinese and other_english)):
                different += overlap
    return min(different / total, 1.0)


def _languages(text: str) -> list[tuple[float, float, bool, bool]]:
    """(start, end, is English, is Chinese alone) of each segment."""
    parsed = timestamps.parse(text)
    last = max(
        [end for _, end, _ in parsed if end is not None] + [start for start, _, _ in parsed], default=0.0
    )
    found = []
    for start, end, words in parsed:
        kinds = units(words)
        english, chinese = sum(map(is_english, kinds)), sum(map(is_chinese, kinds))
        is_english_speech = english >= _FEW_WORDS and 2 * english >= len(kinds)
        # An open segment runs to the end of what has a time, or for want of any is the whole chunk.
        end = end if end is not None else max(last, start + 1.0) if last else WINDOW
        found.append((start, end, is_english_speech, chinese >= _FEW_WORDS and not english))
    return found


def caption_share(normalised: str, captions: Sequence[str]) -> float:
    """Share of the characters of a normalised text that lie inside known caption phrases, 0 to 1.

    A phrase of letters counts only where it starts and ends with a word.
    """
    covered = None
    for phrase in captions:
        place = normalised.find(phrase)
        while place >= 0:
            end = place + len(phrase)
            if _at_border(normalised, place) and _at_border(normalised, end):
                if covered is None:
                    covered = bytearray(len(normalised))
                covered[place:end] = b"\x01" * len(phrase)
            place = normalised.find(phrase, place + 1)
    return sum(covered) / len(normalised) if covered else 0.0


def _at_border(text: str, place: int) -> bool:
    """Is there no word of letters that runs over `place`?"""
    around = text[max(place - 1, 0) : place + 1]
    return len(around) < 2 or place == 0 or any(c == " " or is_chinese(c) for c in around)


def read_captions(files: Sequence[str | Path] = ()) -> tuple[str, ...]:
    """Normalised caption phrases: the package's list and those of `files`, one phrase a line, # comments."""
    phrases: dict[str, None] = {}
    for file in (resources.files("k2d.text") / "captions.txt", *map(Path, files)):
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: {error}; expected caption phrases in UTF-8, one a line") from None
        phrases |= dict.fromkeys(normalise(line) for line in lines if line.strip() and not line.startswith("#"))
    return tuple(filter(None, phrases))
