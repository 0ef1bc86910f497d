"""Two text files in, a directory of scores out: `utt2mer utt2per utt2comp …`, what decoding says of the validator's
text beside them, unpaired.txt and summary.json.

Blocks of pairs go to processes (k2d/label/pairs.py); tables grow block by block, so that a killed run goes on.
"""

import os
import secrets
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from functools import partial
from itertools import dropwhile
from pathlib import Path

from tqdm import tqdm

from k2d.atomic import atomic
from k2d.errors import DataError
from k2d.label.distance import ALPHAS, METRICS, Choices
from k2d.label.pairs import Asked, pairs, score
from k2d.label.scores import FACT_TABLES
from k2d.processes import ordered_map
from k2d.tables import Cursor, blocks
from k2d.text.phonemes import phonemizer
from k2d.wording import counted
from k2d.work.folders import write_json
from k2d.work.growing import GrowingTables

OF_CHUNKS = ("utt2dur", "utt2avg_logprob")  # tables of the chunks that signals need
BLOCK_PAIRS, BLOCK_CHARACTERS = 250, 200_000


def measure(
    teacher: str, validator: str, asked: Asked, output: Path, nj: int = 1, max_unpaired: int | None = None
) -> dict[str, float]:
    """Score all pairs of two text files into `output`, on from where a killed run stopped, by `nj` processes; returns
    the seconds that all runs took.

    Raises DataError for files that are no sorted text files or have no id in common, and where more than max_unpaired
    ids have no partner.
    """
    paths = [Path(asked.data) / name for name in OF_CHUNKS] if asked.data else []
    facts = {path.name: Cursor(path) for path in paths if path.is_file()}
    phonemizer(asked.choices.tones, asked.choices.fallback)  # before the processes part, so that they share it
    tables = GrowingTables(output)
    alone: Counter = Counter()
    try:
        with atomic(output / "unpaired.txt") as unpaired_file:

            def unpaired(side: str, key: str, line: int) -> None:
                alone[f"only_{side}"] += 1
                unpaired_file.write(f"{key} only in {teacher if side == 'teacher' else validator}:{line}\n")

            todo = pairs(teacher, validator, facts, unpaired)
            items = blocks(
                dropwhile(lambda pair: pair.id <= tables.last, todo) if tables.last else todo,
                BLOCK_PAIRS,
                BLOCK_CHARACTERS,
                lambda pair: len(pair.teacher) + len(pair.validator),
            )
            tqdm.monitor_interval = 0  # no thread of its own beside processes that are about to part
            with open(teacher, "rb") as lines:
                most = sum(1 for _ in lines)
            done = tables.counts["pairs"]
            with tqdm(
                desc="distance", unit=" pairs", unit_scale=True, disable=None, initial=done, total=most
            ) as bar:
                for last, texts, found in ordered_map(partial(score, asked), items, nj):
                    tables.add(last, texts, found)
                    bar.update(found["pairs"])
                bar.total = bar.n  # texts without a partner are no pairs
                bar.refresh()
            counts = tables.counts + alone
            _check_pairs(teacher, validator, counts, max_unpaired)
    except DataError:
        tables.discard()
        raise
    _link_decoding(Path(validator), output)
    summary, seconds = _summary(counts, asked.choices), tables.seconds
    write_json(output / "summary.json", summary)
    tables.finish()
    kept = ", ".join(f"{metric} {summary['kept'][metric]['0.4']:.1%}" for metric in METRICS)
    print(
        f"distance: {counted(counts['pairs'], 'pair')} in {seconds:.1f} s, kept at 0.4: {kept}; "
        f"loops {counts['loop_teacher']} teacher, {counts['loop_aux']} validator; "
        f"blank {counts['blank_teacher']} and {counts['blank_aux']}; "
        f"unpaired {counts['only_teacher']} and {counts['only_validator']}",
        file=sys.stderr,
    )
    return {"seconds": round(seconds, 2)}


def _link_decoding(validator: Path, output: Path) -> None:
    """The validator's text, and what its decoding says of each chunk, beside the scores: links, or copies."""
    for source, name in [(validator, "text"), *((validator.parent / name, name) for name in FACT_TABLES)]:
        if not source.is_file():
            continue
        temporary = output / f".{secrets.token_hex(8)}.tmp"
        try:
            os.link(source.resolve(), temporary)
        except OSError:  # another file system
            shutil.copyfile(source, temporary)
        os.replace(temporary, output / name)


def _check_pairs(teacher: str, validator: str, counts: Counter, max_unpaired: int | None) -> None:
    unpaired = counts["only_teacher"] + counts["only_validator"]
    if not counts["pairs"]:
        raise DataError(f"{teacher} and {validator} have no id in common; are they of one data set?")
    if max_unpaired is not None and unpaired > max_unpaired:
        raise DataError(
            f"{counted(counts['only_teacher'], 'id')} only in {teacher} and {counts['only_validator']} only in "
            f"{validator}; --max_unpaired allows {max_unpaired}"
        )


def _summary(counts: Counter, choices: Choices) -> dict:
    total = max(counts["pairs"], 1)
    kept = {m: {str(a): round(counts[f"{m} {a}"] / total, 6) for a in ALPHAS} for m in METRICS}
    names = ("pairs", "only_teacher", "only_validator", "blank_teacher", "blank_aux", "loop_teacher", "loop_aux")
    return {
        "counts": {name: counts[name] for name in names},
        "kept": kept | {"ngram": round(counts["ngram"] / total, 6)},
        "choices": asdict(choices),
    }
