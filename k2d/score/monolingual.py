"""How much of each single language a student has kept: its errors on utterances of one language, beside the teacher's.

In: score directories of both models, and the references that they were scored against. Out: error rates by test set and
language, over the utterances whose reference holds that language and no other. A test set that mixes languages has
such utterances too, and they are what forgetting shows in. They are few, so the rise has its interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k2d.score.scored import read_counts
from k2d.score.significance import compare
from k2d.tables import read_table
from k2d.text.units import language_of, units
from k2d.work.identity import input_of

NAMES = {"zh": "Mandarin", "en": "English"}


@dataclass(frozen=True)
class Retained:
    """One language of one test set. Rates are fractions of the reference's units, summed over its utterances.

    low, high: 95 % interval of the rise, in points, by draws of recordings; None where there is one recording alone.
    """

    test_set: str
    language: str
    utterances: int
    units: int
    student: float
    teacher: float
    low: float | None = None
    high: float | None = None

    @property
    def rise(self) -> float:
        """Points that the student is above the teacher."""
        return round(100 * (self.student - self.teacher), 6)  # 10 % and 9 % are one point apart


def single_language(reference: str) -> str | None:
    """ "zh" or "en" for a text in that language alone, else None. Digits are of either."""
    found = set(map(language_of, units(reference))) - {"other"}
    return found.pop() if len(found) == 1 else None


def retained(files: Mapping[str, tuple[Path, Path | None]]) -> list[Retained]:
    """files: test set -> result.json of the student and of the teacher. Sets without the teacher's are passed over, and
    so are those whose references are gone."""
    found = []
    for test_set, (student, teacher) in files.items():
        path = input_of(student.parent, "ref")
        if teacher is None or path is None or not path.is_file():
            continue
        ours, theirs = (read_counts(result.parent) for result in (student, teacher))
        spoken = {name: single_language(text) for name, text in read_table(path).items()}
        for code in NAMES:
            ids = [i for i in ours.units if spoken.get(i) == code and i in theirs.errors]
            if total := sum(ours.units[i] for i in ids):
                wrong = [[each.errors[i] for i in ids] for each in (ours, theirs)]
                difference = compare(*wrong, [ours.units[i] for i in ids], [ours.recordings[i] for i in ids])
                rates = [sum(each) / total for each in wrong]
                ends = (100 * difference.low, 100 * difference.high) if difference else ()
                found.append(Retained(test_set, code, len(ids), int(total), *rates, *ends))
    return found
