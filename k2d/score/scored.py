"""What scoring leaves of one model on one test set, in exp/<model>/decode_<set>/score.

    result.json                          all rates and counts (corpus.Score.as_dict)
    utt2errors utt2units utt2recording   of every text, for tests of differences: errors, units of its reference, and
                                         the recording that it is of, since recordings are drawn whole
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k2d.tables import read_numbers, read_table, write_numbers, write_table

RESULT = "result.json"
COUNTS = ("utt2errors", "utt2units", "utt2recording")


def score_dir(root: Path, model: str, test_set: str) -> Path:
    return root / model / f"decode_{test_set}" / "score"


@dataclass(frozen=True)
class TextCounts:
    """By text, as COUNTS."""

    errors: Mapping[str, float]
    units: Mapping[str, float]
    recordings: Mapping[str, str]

    def in_order(self) -> tuple[list[float], list[float], list[str]]:
        """(errors, units, recordings), each in order of id."""
        ids = sorted(self.units)
        return [self.errors[i] for i in ids], [self.units[i] for i in ids], [self.recordings[i] for i in ids]


def write_counts(folder: Path, counts: TextCounts) -> None:
    for name, table, write in zip(COUNTS, vars(counts).values(), (write_numbers, write_numbers, write_table)):
        write(folder / name, table)


def read_counts(folder: Path) -> TextCounts:
    """Raises DataError where they are not there, or are no tables."""
    readers = (read_numbers, read_numbers, read_table)
    return TextCounts(*(read(folder / name) for name, read in zip(COUNTS, readers)))
