"""Scores of chunks by name, from Kaldi tables (`utt2comp`) or archives (`utt2comp.scp`, `utt2comp.ark`).

In: a data directory of chunks, directories of scores, one a validator. Out: arrays of numbers, block by block in
order of id.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from k2d.archives import read_entry, read_vectors
from k2d.datadir import DataDir
from k2d.errors import DataError, UsageError
from k2d.label.distance import METRICS, Choices
from k2d.label.signals import SIGNALS
from k2d.tables import Cursor
from k2d.text.transcript import DECODING_FACTS

FACT_TABLES = tuple(f"utt2{name}" for name in DECODING_FACTS)
SUMMARIES = {"min": np.min, "mean": np.mean, "max": np.max}


@dataclass(frozen=True)
class Scores:
    """Where each score name is read from.

    files : name -> its file, or several files and how to join them (`comp_mean` of two validators)
    texts : validator -> its transcripts, where the directory of scores has them
    """

    files: Mapping[str, tuple[str, tuple[Path, ...]]]
    texts: Mapping[str, Path]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.files)


def tagged(scores: Sequence[str]) -> dict[str, Path]:
    """tag -> directory of "DIR" or "TAG=DIR"; without a tag, the directory's name."""
    found: dict[str, Path] = {}
    for item in scores:
        tag, equals, folder = item.partition("=")
        if not equals:
            folder = item
            tag = Path(item).name
        tag = "".join(c if c.isalnum() else "_" for c in tag)
        if tag in found:
            raise UsageError(f"--scores {item}: tag {tag!r} is taken; name it with TAG=DIR")
        found[tag] = Path(folder)
    return found


def find_scores(data: DataDir, scores: Mapping[str, str | Path]) -> Scores:
    """The score names of a data directory and of one or more directories of scores, by validator's tag.

    `utt2X` of the data directory is X (`avg_logprob`, `dur` …). `utt2X` of a single directory of scores is X;
    of several, it is X_<tag>, and X_min, X_mean and X_max are over all of them. Facts of decoding in a
    directory of scores are the validator's and end in _aux. Scores may also lie in Kaldi archives, a vector of one
    number each: `utt2X.scp`, or `utt2X.ark` in order of id.
    """
    files: dict[str, tuple[str, tuple[Path, ...]]] = {}
    for name, path in _tables(data.path).items():
        files[name] = ("min", (path,))
    found: dict[str, list[Path]] = {}
    texts = {}
    for tag, folder in scores.items():
        folder = Path(folder)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such directory of scores; expected utt2mer, utt2comp … there")
        if (folder / "text").is_file():
            texts[tag] = folder / "text"
        for name, path in _tables(folder).items():
            if name == "dur":
                continue
            name += "_aux" if name in DECODING_FACTS else ""
            found.setdefault(name, []).append(path)
            if len(scores) > 1:
                files[f"{name}_{tag}"] = ("min", (path,))
    for name, paths in found.items():
        if len(scores) == 1:
            files[name] = ("min", tuple(paths))
        elif len(paths) == len(scores):
            files |= {f"{name}_{summary}": (summary, tuple(paths)) for summary in SUMMARIES}
    if not found:
        raise DataError(f"{', '.join(map(str, scores.values()))}: no utt2… files; run k2d distance first")
    return Scores(files, texts)


def possible_names(data: Path, scores: Mapping[str, Path]) -> frozenset[str]:
    """Score names that labelling and validating write, and those that are there already."""
    names = {*METRICS, "loop_teacher", "loop_aux", "blank_aux", "dur", *SIGNALS, *DECODING_FACTS}
    names |= {f"{name}_aux" for name in DECODING_FACTS}
    names |= names.union(*(_tables(folder) for folder in (data, *scores.values())))
    ends = (*scores, *SUMMARIES) if len(scores) > 1 else ()
    return frozenset(names | {f"{name}_{end}" for name in names for end in ends})


def read_choices(folder: Path) -> Choices:
    """Those that the distances of a directory of scores were made with; ours for scores of another making."""
    try:
        return Choices(**json.loads((folder / "summary.json").read_text("utf-8"))["choices"])
    except (OSError, ValueError, KeyError, TypeError):
        return Choices()


def _tables(folder: Path) -> dict[str, Path]:
    """Score name -> utt2<name>, else utt2<name>.scp, else utt2<name>.ark."""
    paths = [path for path in folder.glob("utt2*") if path.is_file() and path.name != "utt2spk"]
    found = {}
    for form in (".ark", ".scp", ""):  # the last one found counts
        for path in paths:
            if path.name.endswith(form) and (form or path.suffix not in (".ark", ".scp")):
                found[path.name.removeprefix("utt2").removesuffix(form)] = path
    return found


class _Archive:
    """Numbers of an archive by id, as Cursor gives those of a table."""

    def __init__(self, path: Path):
        self.path = path
        self._entries = self._in_order()
        self._current = next(self._entries, None)

    def _in_order(self) -> Iterator[tuple[str, float]]:
        previous = ""
        for key, vector in read_vectors(self.path):
            if key <= previous:
                raise DataError(f"{self.path}: {key!r} follows {previous!r}, out of C order; give an scp file instead")
            yield key, _only_number(self.path, key, vector)
            previous = key

    def number(self, key: str) -> float | None:
        while self._current is not None and self._current[0] < key:
            self._current = next(self._entries, None)
        return self._current[1] if self._current is not None and self._current[0] == key else None


class _Pointers:
    """Numbers of archives by id, through an scp file."""

    def __init__(self, path: Path):
        self.path, self._places = path, Cursor(path)

    def number(self, key: str) -> float | None:
        place = self._places.get(key)
        if place is None:
            return None
        ark, _, offset = place.rpartition(":")
        if not ark or not offset.isdigit():
            raise DataError(f"{self.path}:{self._places.line}: {key!r} has {place!r}, expected file.ark:offset")
        return _only_number(self.path, key, read_entry(ark, int(offset)))


def _only_number(path: Path, key: str, found) -> float:
    if not isinstance(found, np.ndarray) or found.size != 1:
        raise DataError(f"{path}: {key!r} is not a vector of one number")
    value = float(found.reshape(-1)[0])
    if not math.isfinite(value):
        raise DataError(f"{path}: {key!r} has {value}, expected a finite number; leave it out where there is none")
    return value


def open_numbers(path: Path) -> Cursor | _Archive | _Pointers:
    """`.number(id)` of a table of numbers or an archive, asked in C order: the number, or None. DataError for a
    table that ends inside a line: its last number would be another one.
    """
    if path.suffix == ".ark":
        return _Archive(path)
    with open(path, "rb") as handle:
        if handle.seek(0, os.SEEK_END):
            handle.seek(-1, os.SEEK_END)
            if handle.read(1) != b"\n":
                raise DataError(f"{path}: cut short, its last line has no end; make or copy it again")
    return _Pointers(path) if path.suffix == ".scp" else Cursor(path)


class Columns:
    """The scores of chunks in order of id, NaN where a file lacks one.

    `lacking`: file -> (chunks without a number in it, the first of them), so far.
    """

    def __init__(self, scores: Scores, names: Sequence[str]):
        self._parts = {
            name: (SUMMARIES[scores.files[name][0]], [open_numbers(path) for path in scores.files[name][1]])
            for name in names
        }
        self.lacking: dict[Path, tuple[int, str]] = {}

    def of(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """name -> (len(ids),) float; ids must continue in C order from the last call."""
        columns = {}
        for name, (join, tables) in self._parts.items():
            rows = np.array([[math.nan if v is None else v for v in map(t.number, ids)] for t in tables], float)
            for table, row in zip(tables, rows, strict=True):
                if (missing := np.flatnonzero(np.isnan(row))).size:
                    count, first = self.lacking.get(table.path, (0, ids[missing[0]]))
                    self.lacking[table.path] = (count + missing.size, first)
            columns[name] = join(rows, axis=0)  # NaN in one is NaN in all: a missing score decides nothing
        return columns
