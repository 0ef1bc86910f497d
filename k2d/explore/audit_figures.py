"""How sure the error rates are while a test set is being made: for each system its rate and interval so far.

In: an audit, and the texts of systems on its chunks: the label (the teacher's), the validators, and models whose
transcripts of these chunks are there. Out: what `k2d score` would say of the answers given so far, since it is counted
and drawn by the same functions (k2d/score/corpus.py, k2d/score/significance.py), recordings drawn whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.errors import DataError
from k2d.explore.audit import Audit
from k2d.held_out import HeldOut
from k2d.label.hold_out import VALIDATOR_TEXT
from k2d.label.scores import Scores
from k2d.score.corpus import score_utterance
from k2d.score.rates import Counts
from k2d.score.scoring import learnt_by
from k2d.score.significance import confidence_interval
from k2d.tables import Cursor
from k2d.text import timestamps
from k2d.work.identity import input_of
from k2d.work.models import MODEL

LABEL = "label"


@dataclass(frozen=True)
class System:
    """texts: chunk -> what it wrote; a chunk that is lacking counts as deleted, as in scoring."""

    name: str
    texts: Mapping[str, str]


def texts_of(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """The lines of these ids in a table, without timestamps."""
    cursor = Cursor(path)
    found = {key: cursor.get(key) for key in sorted(ids)}
    cursor.close()
    return {key: timestamps.strip(text) for key, text in found.items() if text is not None}


def find_systems(audit: Audit, scores: Scores | None, exp: Path | None, given: Mapping[str, Path]) -> list[System]:
    """The label, the validators, the models of `exp` that decoded all these chunks and learnt none of them, and those
    that are `given`.

    given: name -> a text file, or a directory with one. DataError where it has none of the chunks.
    """
    ids = sorted(audit.order)
    systems = [System(LABEL, dict(audit.drawn.text))]
    paths = dict(scores.texts) if scores else {}
    beside = Path(audit.source) / VALIDATOR_TEXT
    if not paths and beside.is_file():
        paths["validator"] = beside
    models = exp.glob(f"*/{MODEL}") if exp else ()
    for folder in sorted(path.parent for path in models):
        for path in sorted(folder.glob("decode_*/text")):
            paths.setdefault(folder.name, path) if texts_of(path, ids[:1]) else None
    drawn = HeldOut(ids)
    for name, path in paths.items():
        if len(texts := texts_of(path, ids)) == len(ids) and learnt_by(input_of(path.parent, "model"), drawn) == []:
            systems.append(System(name, texts))
    for name, path in given.items():
        path = path / "text" if path.is_dir() else path
        if not (texts := texts_of(path, ids)):
            raise DataError(f"{path}: none of the chunks of this audit, such as {ids[0]}; decode {audit.folder}/drawn")
        systems.append(System(name, texts))
    return systems


class Figures:
    """The rates of systems over the answers so far; texts that did not change are aligned once.

    find: the systems that there are now; `look_again` asks it anew, since models decode while a person answers.
    """

    def __init__(self, audit: Audit, find: Callable[[], Sequence[System]]):
        self.audit, self._find = audit, find
        self._counts: dict[tuple[str, str], tuple[tuple[str, str | None], Counts]] = {}
        self.look_again()

    def look_again(self) -> None:
        self.systems = self._find()

    def _count(self, system: System, key: str, said: str) -> Counts:
        known, texts = self._counts.get((system.name, key)), (said, system.texts.get(key))
        if known is None or known[0] != texts:
            known = texts, score_utterance(key, *texts).counts
            self._counts[system.name, key] = known
        return known[1]

    def now(self) -> dict:
        """{"utterances", "recordings", "units", "systems": [{"name", "rate", "low", "high"}]}, rates as fractions, None
        where there is none."""
        said = self.audit.used
        recordings = [self.audit.recording(key) for key in said]
        rows, units = [], []
        for system in self.systems:
            counts = [self._count(system, key, text) for key, text in said.items()]
            units = [c.units for c in counts]
            interval = confidence_interval([c.errors for c in counts], units, recordings) if counts else None
            low, high = interval or (None, None)
            rate = sum(counts, Counts()).rate
            rows.append({"name": system.name, "rate": rate, "low": low, "high": high})
        return {"utterances": len(said), "recordings": len(set(recordings)), "units": sum(units), "systems": rows}
