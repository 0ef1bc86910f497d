"""A directory of experiments in, plain records of what was measured out. Nothing is computed
here that a stage did not write, but the parameters counted and the paired tests made.

    exp/<model>/model.json                                              what the model is (k2d/work/models.py)
    exp/<model>/decode_<set>/score/{result.json,utt2errors,utt2units}   what it makes of a test set
"""

import json
import re
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
from k2d.whisper.identity import model_identity
from k2d.work.models import ModelRecord, read_record

FULL = "full"  # the selection that keeps everything
_NO_CHECKPOINT = re.compile(r"(text|espnet|transformers):")  # a teacher or validator that is no Whisper model


@dataclass(frozen=True)
class Model:
    """A row of the tables. `parameters`: of its checkpoint; None where it is no Whisper model."""

    record: ModelRecord
    parameters: int | None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def of_selected_labels(self) -> bool:
        return self.record.role == "student" and self.record.selection not in (None, FULL)


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
    """`results`: (model, set) -> result.json. `speed`: speed.json of k2d speed. `selections`: directory of labels
    -> what was kept in it."""

    root: Path
    models: tuple[Model, ...]
    test_sets: tuple[str, ...]
    results: Mapping[tuple[str, str], dict]
    speed: dict | None = None
    selections: Mapping[str, Selection] = field(default_factory=dict)

    def model(self, name: str | None) -> Model | None:
        return next((m for m in self.models if m.name == name), None)

    def teacher_of(self, model: Model) -> Model | None:
        """The model's own teacher; the first one for a model whose record names none."""
        if model.record.teacher is not None:
            return self.model(model.record.teacher)
        teachers = (m for m in self.models if m.record.role == "teacher")
        return model if model.record.role == "teacher" else next(teachers, None)

    def student_of_all_labels(self, student: Model) -> Model | None:
        """The student of the same teacher, seed and tag that learnt all labels."""
        nothing = {"name": "", "path": "", "alpha": None, "keep": None, "validator": None, "data": None}
        same = replace(student.record, selection=FULL, **nothing)
        for model in self.models:
            record = model.record
            if replace(record, **nothing) == same:
                return model
        return None

    @property
    def varying(self) -> list[str]:
        """What the students are told apart by beside the selection: of teacher, validator, alpha, seed."""

        def values(fact: str) -> set:
            selected_only = fact in ("validator", "alpha")  # all labels are the same whatever these are
            students = [m for m in self.models if m.record.role == "student"]
            found = [getattr(m.record, fact) for m in students if m.of_selected_labels or not selected_only]
            return {value for value in found if value is not None}

        return [fact for fact in ("teacher", "validator", "alpha", "seed") if len(values(fact)) > 1]

    def selection_of(self, model: Model) -> Selection | None:
        return self.selections.get(model.record.data or "")

    def rate(self, model: str, test_set: str) -> float | None:
        result = self.results.get((model, test_set))
        return result["mer"]["rate"] if result else None

    def parameter_ratio(self, model: Model) -> float | None:
        teacher = self.teacher_of(model)
        if teacher is None or not teacher.parameters or not model.parameters:
            return None
        return model.parameters / teacher.parameters

    def speed_of(self, model: Model) -> tuple[float, float | None] | None:
        """How many times as fast as its teacher, in all and for a token of the decoder; None if not measured."""
        measured, teacher = (self.speed or {}).get("models", {}), self.teacher_of(model)
        if teacher is None or model.name not in measured or teacher.name not in measured:
            return None
        own, theirs = measured[model.name], measured[teacher.name]
        seconds = [m["encode_seconds"] + m["decode_seconds"] for m in (theirs, own)]
        tokens = [m["decode_seconds_per_token"] for m in (theirs, own)]
        return seconds[0] / seconds[1], tokens[0] / tokens[1] if all(tokens) else None

    def compare(self, first: str, second: str, test_set: str, *, seed: int = 0) -> Comparison | None:
        """Paired bootstrap of two models on one set, from the counts that scoring wrote; None where
        one of them has not been scored. DataError if they were scored on different references."""
        if (first, test_set) not in self.results or (second, test_set) not in self.results:
            return None
        folders = [score_dir(self.root, name, test_set) for name in (first, second)]
        (a, b), (units, other) = (
            [read_numbers(folder / name) for folder in folders] for name in ("utt2errors", "utt2units")
        )
        if units != other:
            raise DataError(f"{folders[0]} and {folders[1]} were scored against different references; score both again")
        ids = sorted(units)
        return significance.compare([a[i] for i in ids], [b[i] for i in ids], [units[i] for i in ids], seed=seed)


def score_dir(root: Path, model: str, test_set: str) -> Path:
    return root / model / f"decode_{test_set}" / "score"


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); run the stage that writes it again") from error


def read_records(root: Path, names: Sequence[str]) -> list[ModelRecord]:
    """model.json of folders of the directory of experiments; a record's name is its folder's."""
    return [replace(read_record(root / name), name=name) for name in names]


def is_whisper(path: str) -> bool:
    """Whether a model is a Whisper checkpoint, which has parameters to count and a speed to measure."""
    return not _NO_CHECKPOINT.match(path)


def count_parameters(checkpoint: str) -> int:
    """Parameters of a checkpoint, shared ones once. Loads it."""
    from k2d.whisper import checkpoint as checkpoints
    from k2d.whisper.model import count_parameters as count

    return count(checkpoints.load(checkpoint).model)


def read_speed(path: Path, records: Sequence[ModelRecord]) -> dict:
    """speed.json without the measurements of models that have changed since."""
    measured = read_json(path)
    current = {}
    for record in records:
        known = measured["models"].get(record.name)
        if known is None or not is_whisper(record.path):
            continue
        if known["model"] == model_identity(record.path).digest:
            current[record.name] = known
        else:
            print(f"report: {path}: {record.name} has changed since; measure its speed again", file=sys.stderr)
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
    records: Sequence[ModelRecord],
    test_sets: Sequence[str],
    *,
    speed: Path | None = None,
    labelled: DataDir | None = None,
) -> Experiment:
    """Collect what has been measured; what has not is simply absent. labelled: the chunks before selection."""
    results = {}
    for record in records:
        for test_set in test_sets:
            path = score_dir(root, record.name, test_set) / "result.json"
            if path.exists():
                results[record.name, test_set] = read_json(path)
    measured = read_speed(speed, records) if speed is not None and speed.exists() else None
    models = []
    for record in records:
        # The speed measurement counted the parameters of these same weights; loading a large
        # teacher again only to count them takes minutes.
        known = measured["models"].get(record.name) if measured else None
        parameters = known["parameters"] if known else None
        if parameters is None and is_whisper(record.path):
            parameters = count_parameters(record.path)
        models.append(Model(record, parameters))
    experiment = Experiment(root, tuple(models), tuple(test_sets), results, measured)
    folders = {r.data: _selection_name(r, experiment.varying) for r in records if r.role == "student" and r.data}
    selections = {data: read_selection(name, Path(data), labelled) for data, name in folders.items()}
    return replace(experiment, selections=selections)


def _selection_name(record: ModelRecord, varying: Sequence[str]) -> str:
    """ "comp", or as much more as tells it from the others: "comp, α 0.2, validator_small"."""
    words = [record.selection or Path(record.data).name]
    if "alpha" in varying and record.alpha is not None:
        words.append(f"α {record.alpha:g}")
    if "validator" in varying and record.validator and record.selection != FULL:
        words.append(record.validator)
    if "teacher" in varying and record.teacher:
        words.append(record.teacher)
    return ", ".join(words)
