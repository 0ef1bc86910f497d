"""Pairs of texts in, lines of the utt2 files out: distances, loops, blanks and signals of each pair, block by block.

In: two sorted text files, tables of the chunks beside them. Out: blocks of the pairs that both have; of a block the
lines of each file, and counts. Blocks are scored by processes of their own (measure.py).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, compress
from typing import NamedTuple

import numpy as np

from k2d.audio.options import DEFAULT, AudioOptions
from k2d.constants import read_chunk_id
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError
from k2d.label import signals, speech
from k2d.label.distance import ALPHAS, DECIMALS, METRICS, Choices, Distances, fused, of_lines
from k2d.tables import Cursor, merged
from k2d.text import timestamps
from k2d.text.batch import LONGEST, Lines


class TextPair(NamedTuple):
    """One chunk. seconds, logprob (the teacher's mean, a token, in nats): NaN where nobody knows."""

    id: str
    teacher: str
    validator: str
    seconds: float = math.nan
    logprob: float = math.nan


@dataclass(frozen=True)
class Asked:
    """What every block of pairs is to be asked; goes to the worker processes."""

    choices: Choices
    signals: tuple[str, ...]
    captions: tuple[str, ...]
    data: str | None = None
    vad: str = "auto"
    audio: AudioOptions = DEFAULT


def score(asked: Asked, block: Sequence[TextPair]) -> tuple[str, dict[str, str], Counter]:
    """(last id, lines of each utt2 file, counts) of a block of pairs."""
    texts = [*(pair.teacher for pair in block), *(pair.validator for pair in block)]
    lines = Lines(texts, asked.choices.fold_script, asked.choices.fold_usage)
    found = of_lines(lines, asked.choices)
    blank_teacher, blank_aux = np.split(_blank(texts, lines), 2)
    columns = found.columns() | {"blank_aux": blank_aux.astype(int)} | _signals(asked, block, lines, found)
    ids = [pair.id for pair in block]
    tables = {f"utt2{name}": _table(ids, column) for name, column in columns.items()}

    counts = Counter(
        pairs=len(block),
        blank_teacher=int(blank_teacher.sum()),
        blank_aux=int(blank_aux.sum()),
        loop_teacher=int(found.loop_teacher.sum()),
        loop_aux=int(found.loop_aux.sum()),
        ngram=int((found.loop_teacher == 0).sum()),
    )
    valid = ~blank_aux if asked.choices.drop_blank else np.ones(len(block), bool)
    for metric in METRICS:
        rounded = np.round(getattr(found, metric), DECIMALS)
        counts.update({f"{metric} {alpha}": int((valid & (rounded <= alpha)).sum()) for alpha in ALPHAS})
    return ids[-1], tables, counts


def _signals(asked: Asked, block: Sequence[TextPair], lines: Lines, found: Distances) -> dict[str, np.ndarray]:
    """(pairs,) of each signal that was asked for, NaN where a pair has none."""
    columns = {}
    if text_only := [name for name in asked.signals if name in signals.TEXT_SIGNALS]:
        seconds = np.array([_seconds(pair.id) if math.isnan(pair.seconds) else pair.seconds for pair in block])
        seconds[~(seconds > 0)] = math.nan
        teacher, validator = [pair.teacher for pair in block], [pair.validator for pair in block]
        columns = signals.text_signals(teacher, validator, lines, seconds, asked.choices, asked.captions, text_only)
    if "fused" in asked.signals:
        logprobs = np.array([pair.logprob for pair in block])
        columns["fused"] = fused(found.mer, found.loop_teacher, logprobs)
    if "untexted" in asked.signals:
        columns["untexted"] = np.array([_untexted(asked, pair) for pair in block])
    return columns


def _blank(texts: Sequence[str], lines: Lines) -> np.ndarray:
    """Which texts hold nothing but timestamp tokens and white space, (texts,) bool."""
    blank = lines.lengths == 0  # a text of punctuation alone has no units either, but is not blank
    for index in np.flatnonzero(blank).tolist():
        blank[index] = not timestamps.strip(texts[index])
    return blank


def _table(ids: Sequence[str], column: np.ndarray) -> str:
    if column.dtype.kind == "i":
        form = "%s %d\n"
    else:
        form = f"%s %.{DECIMALS}f\n"
        if not (known := np.isfinite(column)).all():
            ids, column = list(compress(ids, known)), column[known]
    return form * len(ids) % tuple(chain.from_iterable(zip(ids, column.tolist(), strict=True)))


@cache
def _audio(data: str, options: AudioOptions):
    from k2d.audio.utterances import open_utterances

    return open_utterances(DataDir(data), **options.reading)


def _untexted(asked: Asked, pair: TextPair) -> float:
    try:
        audio = _audio(asked.data, asked.audio)[pair.id]
    except (BadAudio, KeyError):
        return math.nan  # no line: selection then says that the chunk lacks this score
    return speech.untexted_speech(audio, pair.teacher, asked.vad)


def pairs(teacher, validator, facts: dict[str, Cursor], unpaired) -> Iterator[TextPair]:
    """The ids both files have; those only one has go to `unpaired(side, id, line)`.

    facts: tables of the data directory, "utt2dur" and "utt2avg_logprob" as far as it has them.
    """
    durations, logprobs = facts.get("utt2dur"), facts.get("utt2avg_logprob")
    for key, label, transcript, line in merged(teacher, validator):
        if label is None or transcript is None:
            unpaired("validator" if label is None else "teacher", key, line)
            continue
        if len(label) + len(transcript) > LONGEST:
            raise DataError(
                f"{teacher}:{line}: {key!r} has {len(label)} characters and {len(transcript)} in {validator}; "
                f"at most {LONGEST} together can be compared. A chunk of 30 s holds some hundred"
            )
        if not facts:
            yield TextPair(key, label, transcript)
            continue
        found = [math.nan if table is None else table.number(key) for table in (durations, logprobs)]
        yield TextPair(key, label, transcript, *(math.nan if number is None else number for number in found))


def _seconds(key: str) -> float:
    """Duration from the times in a chunk's id, else NaN: for a chunk that utt2dur does not tell."""
    named = read_chunk_id(key)
    return named.seconds if named else math.nan
