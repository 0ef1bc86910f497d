"""A directory of experiments in, plain records of what was measured out. Nothing is computed
here that a stage did not write, but the parameters counted and the paired tests made.

    exp/<model>/decode_<set>/{result.json,utt2errors,utt2units,speed.json}
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.score import significance
from k2d.score.significance import Comparison
from k2d.tables import read_numbers, read_table
from k2d.text import timestamps
from k2d.text.trusted import TRUSTED
from k2d.text.trusted import read as read_trusted

TEACHER, VALIDATOR, FULL = "teacher", "validator", "student_full"


@dataclass(frozen=True)
class Model:
    """A row of the tables. `checkpoint`: what its name on the command line stands for."""

    name: str
    checkpoint: str
    parameters: int | None

    @property
    def is_student(self) -> bool:
        return self.name.startswith("student")

    @property
    def selection(self) -> str | None:
        """`comp` for `student_comp`: the selection of labels it was trained on."""
        return self.name.removeprefix("student_") if self.is_student else None


@dataclass(frozen=True)
class Selection:
    """Chunks kept of those that were labelled, and their hours; of segments, where these were selected.

    trusted: chunk -> a flag for each segment of its label, where segments were selected.
    """

    name: str
    ids: tuple[str, ...]
    hours: float | None
    share_of_chunks: float | None
    share_of_hours: float | None
    trusted: Mapping[str, Sequence[bool]] | None = None

    @property
    def share(self) -> float | None:
        return self.share_of_chunks if self.share_of_hours is None else self.share_of_hours


@dataclass(frozen=True)
class Experiment:
    root: Path
    models: tuple[Model, ...]
    test_sets: tuple[str, ...]
    results: Mapping[tuple[str, str], dict]  # (model, set) -> result.json
    speed: dict | None = None  # speed.json of k2d.bin.speed
    selections: Mapping[str, Selection] = field(default_factory=dict)

    def model(self, name: str) -> Model | None:
        return next((m for m in self.models if m.name == name), None)

    def rate(self, model: str, test_set: str) -> float | None:
        result = self.results.get((model, test_set))
        return result["mer"]["rate"] if result else None

    def parameter_ratio(self, model: Model) -> float | None:
        teacher = self.model(TEACHER)
        if teacher is None or not teacher.parameters or not model.parameters:
            return None
        return model.parameters / teacher.parameters

    def speed_of(self, model: str) -> dict | None:
        return (self.speed or {}).get("models", {}).get(model)

    def compare(self, first: str, second: str, test_set: str, *, seed: int = 0) -> Comparison | None:
        """Paired bootstrap of two models on one set, from the counts that scoring wrote; None where
        one of them has not been scored. DataError if they were scored on different references."""
        if (first, test_set) not in self.results or (second, test_set) not in self.results:
            return None
        folders = [decode_dir(self.root, name, test_set) for name in (first, second)]
        (a, b), (units, other) = (
            [read_numbers(folder / name) for folder in folders] for name in ("utt2errors", "utt2units")
        )
        if units != other:
            raise DataError(f"{folders[0]} and {folders[1]} were scored against different references; score both again")
        ids = sorted(units)
        return significance.compare([a[i] for i in ids], [b[i] for i in ids], [units[i] for i in ids], seed=seed)


def decode_dir(root: Path, model: str, test_set: str) -> Path:
    return root / model / f"decode_{test_set}"


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); run the stage that writes it again") from error


def pairs(text: str, option: str) -> dict[str, str]:
    """ "teacher:exp/teacher validator:exp/base" to a dictionary, in order."""
    table: dict[str, str] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not (name and colon and value):
            raise DataError(f"--{option}: {word!r}; expected NAME:VALUE, several separated by blanks")
        if name in table:
            raise DataError(f"--{option}: {name!r} is given twice; give every name once")
        table[name] = value
    return table


def count_parameters(checkpoint: str) -> int:
    """Parameters of a checkpoint, shared ones once. Loads it."""
    from k2d.whisper import checkpoint as checkpoints
    from k2d.whisper.model import count_parameters as count

    return count(checkpoints.load(checkpoint).model)


def read_speed(path: Path, models: Mapping[str, str]) -> dict:
    """speed.json without the measurements of weights that have changed since."""
    from k2d.whisper.identity import model_identity

    measured = read_json(path)
    current = {}
    for name, checkpoint in models.items():
        known = measured["models"].get(name)
        if known is None:
            continue
        if known["hash"] == model_identity(checkpoint).digest:
            current[name] = known
        else:
            print(f"report: {path}: {name} has changed since; measure its speed again", file=sys.stderr)
    return {**measured, "models": current}


def read_selection(name: str, folder: Path, labelled: DataDir | None) -> Selection:
    """The share of the labelled chunks that a selection kept, by chunks and by hours."""
    kept = DataDir(folder)
    ids = tuple(sorted(kept.segments))
    hours = sum(kept.utt2dur[i] for i in ids) / 3600 if kept.utt2dur else None
    share_of_chunks = share_of_hours = None
    if labelled is not None:
        share_of_chunks = len(ids) / len(labelled.segments) if labelled.segments else None
        if hours is not None and labelled.utt2dur:
            everything = sum(labelled.utt2dur.values()) / 3600
            share_of_hours = hours / everything if everything else None
    if (folder / TRUSTED).exists():
        return _read_segments(Selection(name, ids, None, share_of_chunks, None), folder, kept)
    return Selection(name, ids, hours, share_of_chunks, share_of_hours)


def _read_segments(selection: Selection, folder: Path, kept: DataDir) -> Selection:
    """The selection with hours and share of the segments that may be learnt from."""
    flags = read_table(folder / TRUSTED)
    trusted = {
        i: read_trusted(i, flags.get(i, ""), len(timestamps.parse(kept.text[i]))) for i in selection.ids
    }
    hours, of = segment_hours(folder) or (None, None)
    share = hours / of if of else None
    return replace(selection, hours=hours, share_of_chunks=None, share_of_hours=share, trusted=trusted)


def segment_hours(folder: Path) -> tuple[float, float] | None:
    """Hours of a selection's segments that may be learnt from, and of all; None where it does not say."""
    try:
        segments = read_json(folder / "report.json")["segments"]
        return segments["trusted_hours"], segments["hours"]
    except (OSError, KeyError):
        return None


def read_experiment(
    root: Path,
    models: Mapping[str, str],
    test_sets: Sequence[str],
    *,
    speed: Path | None = None,
    selections: Mapping[str, Selection] | None = None,
) -> Experiment:
    """Collect what has been measured; what has not is simply absent."""
    results = {}
    for name in models:
        for test_set in test_sets:
            path = decode_dir(root, name, test_set) / "result.json"
            if path.exists():
                results[name, test_set] = read_json(path)
    measured = read_speed(speed, models) if speed is not None and speed.exists() else None
    rows = []
    for name, checkpoint in models.items():
        # The speed measurement counted the parameters of these same weights; loading a large
        # teacher again only to count them takes minutes.
        known = measured["models"].get(name) if measured else None
        rows.append(Model(name, checkpoint, known["parameters"] if known else count_parameters(checkpoint)))
    return Experiment(root, tuple(rows), tuple(test_sets), results, measured, selections or {})
