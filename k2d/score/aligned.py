"""Aligned texts on the disk, one line an utterance, as scoring aligned them: what a page shows needs no second opinion.

    {"id": "u1", "reference": "今天講 attention。", "hypothesis": "今天講 tension",
     "units": "今 天 讲 attention", "steps": "= = = ~tension"}

`units` are those of the reference. `steps` has a word for each step of the alignment: "=" hit, "~unit" substitution,
"-" deletion, "+unit" insertion. `reference` and `hypothesis` are the texts as they were given, without timestamps;
`loops`, where there are any, counts the windows that loop; `missing` is true where there was no hypothesis.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import DataError
from k2d.score.alignment import DELETION, HIT, INSERTION, SUBSTITUTION, Pair
from k2d.score.corpus import Score
from k2d.text import timestamps

ALIGNED = "aligned.jsonl"
_SIGNS = {HIT: "=", SUBSTITUTION: "~", DELETION: "-", INSERTION: "+"}
_OPS = {sign: op for op, sign in _SIGNS.items()}


@dataclass(frozen=True)
class Aligned:
    """One utterance of one model. `units`, `steps`: the alignment, as the file has it."""

    id: str
    reference: str
    hypothesis: str
    units: str
    steps: str
    loops: int
    missing: bool

    @property
    def pairs(self) -> list[Pair]:
        units = iter(self.units.split())
        found = []
        for step in self.steps.split():
            op = _OPS[step[0]]
            unit = None if op == INSERTION else next(units)
            found.append(Pair(op, unit, unit if op == HIT else step[1:] or None))
        return found


def errors_in(steps: str) -> int:
    """How many steps are no hit."""
    return sum(step != _SIGNS[HIT] for step in steps.split())


def steps_of(pairs: Sequence[Pair]) -> str:
    return " ".join(_SIGNS[p.op] + (p.hyp if p.op in (SUBSTITUTION, INSERTION) else "") for p in pairs)


def aligned(score: Score, references: Mapping[str, str], hypotheses: Mapping[str, str]) -> Iterator[Aligned]:
    """The utterances of a score, with the texts that were scored."""
    for utterance in score.utterances:
        yield Aligned(
            utterance.id,
            timestamps.strip(references[utterance.id]),
            timestamps.strip(hypotheses.get(utterance.id, "")),
            " ".join(p.ref for p in utterance.pairs if p.ref is not None),
            steps_of(utterance.pairs),
            utterance.looping_windows,
            utterance.missing,
        )


def write_aligned(path: Path, score: Score, references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    with atomic(path) as out:
        for text in aligned(score, references, hypotheses):
            line = {name: value for name, value in asdict(text).items() if value or isinstance(value, str)}
            json.dump(line, out, ensure_ascii=False)
            out.write("\n")


def read_aligned(path: Path) -> Iterator[Aligned]:
    """DataError with the line that is none."""
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                yield Aligned(
                    row["id"], row["reference"], row["hypothesis"], row["units"], row["steps"],
                    row.get("loops", 0), row.get("missing", False),
                )  # fmt: skip
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{number}: no aligned text ({error}); score again") from error
