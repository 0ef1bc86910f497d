"""A directory of experiments in, plain records of what was measured out. Nothing is computed
here that a stage did not write, but the parameters counted and the paired tests made.

    exp/<model>/model.json                                              what the model is (k2d/work/models.py)
    exp/<model>/decode_<set>/score/…                                    what it makes of a test set (scored.py)

Students that differ by nothing but their seed are a group: one row of the tables, whose rate is the mean over them.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev

from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.score import significance
from k2d.score.scored import RESULT, TextCounts, read_counts, score_dir
from k2d.score.selections import Selection, selection_in
from k2d.score.significance import Comparison
from k2d.transcribers import kind_of
from k2d.whisper.identity import model_identity
from k2d.work.folders import read_result
from k2d.work.models import ModelRecord, read_record

FULL = "full"  # the selection that keeps everything
AS_MUCH = 0.1  # hours that differ by no more than this share are as much speech


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
class Group:
    """A row of the tables: a model, or the students that differ by nothing but their seed, in order of it."""

    name: str
    members: tuple[Model, ...]

    @property
    def model(self) -> Model:
        """That which stands for all where they do not differ."""
        return self.members[0]

    @property
    def record(self) -> ModelRecord:
        return self.model.record

    @property
    def of_selected_labels(self) -> bool:
        return self.model.of_selected_labels


@dataclass(frozen=True)
class Rates:
    """Error rates of a group on a set, by seed: fractions. low, high: the interval of their mean; None without."""

    rates: tuple[float, ...]
    low: float | None
    high: float | None

    @property
    def mean(self) -> float:
        return mean(self.rates)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds; None of one."""
        return stdev(self.rates) if len(self.rates) > 1 else None


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

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The models, students of several seeds as one, where the first of them stands."""
        found: dict[ModelRecord, list[Model]] = {}
        for model in self.models:
            but_seed = replace(model.record, path="", seed=None)
            but_seed = replace(but_seed, name="" if model.record.role == "student" else model.name)
            found.setdefault(but_seed, []).append(model)
        return tuple(
            Group(_group_name(members), tuple(sorted(members, key=lambda m: m.record.seed or 0)))
            for members in found.values()
        )

    def group_of(self, model: Model) -> Group:
        return next(group for group in self.groups if model in group.members)

    def group_of_all_labels(self, group: Group) -> Group | None:
        """The students of the same teacher, recordings and tag that learnt all labels, revised by the same models."""
        return next((g for g in self._groups_of_all_labels(group) if g.record.hours == group.record.hours), None)

    def group_of_other_tag(self, group: Group) -> Group | None:
        """The first students of the same labels that were trained in another way; None where these are the first."""

        def learnt(record: ModelRecord) -> ModelRecord:
            return replace(record, name="", path="", seed=None, tag=None)

        first = next(other for other in self.groups if learnt(other.record) == learnt(group.record))
        return first if first.record.tag != group.record.tag else None

    def group_of_as_much_speech(self, group: Group) -> Group | None:
        """The students of all labels of fewer recordings, as many hours as the group's selection kept (AS_MUCH): where
        recordings are plentiful, a filter need only make an hour of labels worth more."""
        kept = self.hours_of(group)
        others = [g for g in self._groups_of_all_labels(group) if g.record.hours != group.record.hours]
        near = {g: abs(hours / kept - 1) for g in others if kept and (hours := self.hours_of(g))}
        nearest = min(near, key=near.get, default=None)
        return nearest if nearest and near[nearest] <= AS_MUCH else None

    def _groups_of_all_labels(self, group: Group) -> list[Group]:
        """Those trained as the group was, of any recordings."""

        def trained(record: ModelRecord) -> ModelRecord:
            selected = {"alpha": None, "keep": None, "validator": None, "data": None, "hours": None}
            return replace(record, name="", path="", seed=None, **selected)

        wanted = replace(trained(group.record), selection=FULL)
        return [other for other in self.groups if trained(other.record) == wanted]

    def hours_of(self, group: Group) -> float | None:
        """Of the labels that it learnt."""
        selection = self.selection_of(group.model)
        return selection.hours if selection else None

    @property
    def tags(self) -> tuple[str | None, ...]:
        """The words for how students were trained, None for those that have none."""
        return tuple(dict.fromkeys(m.record.tag for m in self.models if m.record.role == "student"))

    @property
    def varying(self) -> list[str]:
        """What the students are told apart by beside the selection: of teacher, validator, alpha, hours."""

        def values(fact: str) -> set:
            selected_only = fact in ("validator", "alpha")  # all labels are the same whatever these are
            name = "threshold" if fact == "alpha" else fact
            students = [m for m in self.models if m.record.role == "student"]
            found = [getattr(m.record, name) for m in students if m.of_selected_labels or not selected_only]
            return {value for value in found if value is not None or fact == "hours"}  # not said: all there are

        return [fact for fact in ("teacher", "validator", "alpha", "hours") if len(values(fact)) > 1]

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

    def speed_interval(self, model: Model) -> tuple[float, float] | None:
        """95 % interval of the speed beside its teacher's, over the rounds of k2d speed; None of a single round, and of
        what an earlier version measured, which did not note the rounds."""
        measured, teacher = (self.speed or {}).get("models", {}), self.teacher_of(model)
        rounds = [measured.get(m.name, {}).get("round_seconds") for m in (teacher, model) if m is not None]
        return significance.ratio_interval(*rounds) if len(rounds) == 2 and all(rounds) else None

    def results_of(self, group: Group, test_set: str) -> list[dict]:
        """result.json of the group's models, of those that were scored."""
        return [found for m in group.members if (found := self.results.get((m.name, test_set)))]

    def mean_rate(self, group: Group, test_set: str) -> float | None:
        """Mixed error rate over the seeds, a fraction; None where nothing has been scored, or nothing was said."""
        return mean_known(result["mer"]["rate"] for result in self.results_of(group, test_set))

    def rates(self, group: Group, test_set: str) -> Rates | None:
        """None where nothing has been scored, or the set has no reference unit."""
        key = group.members[0].name, test_set
        if key not in self._rates:
            self._rates[key] = self._with_interval(group, test_set)
        return self._rates[key]

    @cached_property
    def _rates(self) -> dict[tuple[str, str], Rates | None]:
        """Those that were asked for: tables, page, figure and aims show the same, and a bootstrap takes seconds."""
        return {}

    def _with_interval(self, group: Group, test_set: str) -> Rates | None:
        results = self.results_of(group, test_set)
        rates = tuple(r["mer"]["rate"] for r in results)
        if not rates or None in rates:
            return None
        if len(rates) == 1:
            interval = results[0]["confidence_interval"]
            return Rates(rates, interval["low"], interval["high"])
        errors, counts = self._counts(group, test_set)
        low, high = significance.confidence_interval(errors, *counts.in_order()[1:]) or (None, None)
        return Rates(rates, low, high)

    def compare(self, first: Group, second: Group, test_set: str, *, seed: int = 0) -> Comparison | None:
        """Paired bootstrap of two groups on one set over recordings and seeds, from the counts that scoring wrote; None
        where one of them has not been scored. DataError if they were scored on different references."""
        if not (self.results_of(first, test_set) and self.results_of(second, test_set)):
            return None
        (errors, counts), (others, other) = (self._counts(group, test_set) for group in (first, second))
        if counts.units != other.units:
            raise DataError(_other_references(self.root, first.members[0], second.members[0], test_set))
        return significance.compare(errors, others, *counts.in_order()[1:], seed=seed)

    def _counts(self, group: Group, test_set: str) -> tuple[list, TextCounts]:
        """(errors in order of id, of a student by seed; the first model's counts, whose units are those of all)."""
        scored = [m for m in group.members if (m.name, test_set) in self.results]
        found = [read_counts(score_dir(self.root, m.name, test_set)) for m in scored]
        for model, other in zip(scored, found, strict=True):
            if other.units != found[0].units:
                raise DataError(_other_references(self.root, scored[0], model, test_set))
        errors = [counts.in_order()[0] for counts in found]
        return errors if group.record.role == "student" else errors[0], found[0]


def _other_references(root: Path, first: Model, second: Model, test_set: str) -> str:
    folders = [score_dir(root, model.name, test_set) for model in (first, second)]
    return f"{folders[0]} and {folders[1]} were scored against different references; score both again"


def mean_known(values: Iterable[float | None]) -> float | None:
    """Over the seeds that have one; None where none has."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _group_name(members: Sequence[Model]) -> str:
    """The first's, without what it says of its seed if there are others."""
    record = min(members, key=lambda m: m.record.seed or 0).record
    return record.name.removesuffix(f"_seed{record.seed}") if len(members) > 1 else record.name


def read_results(root: Path, records: Sequence[ModelRecord], test_sets: Sequence[str]) -> dict[tuple[str, str], dict]:
    """(model, set) -> result.json, of those that were scored."""
    files = {(r.name, s): score_dir(root, r.name, s) / RESULT for r in records for s in test_sets}
    return {which: read_result(path) for which, path in files.items() if path.exists()}


def read_records(root: Path, names: Sequence[str]) -> list[ModelRecord]:
    """model.json of folders of the directory of experiments; a record's name is its folder's."""
    return [replace(read_record(root / name), name=name) for name in names]


def read_speed(path: Path, records: Sequence[ModelRecord]) -> dict:
    """speed.json without the measurements of models that have changed since."""
    measured = read_result(path)
    current = {}
    for record in records:
        known = measured["models"].get(record.name)
        if known is None or kind_of(record.path) != "whisper":
            continue
        if known["model"] == model_identity(record.path).digest:
            current[record.name] = known
        else:
            print(f"report: {path}: {record.name} has changed since; measure its speed again", file=sys.stderr)
    return {**measured, "models": current}


def read_experiment(
    root: Path,
    records: Sequence[ModelRecord],
    test_sets: Sequence[str],
    *,
    speed: Path | None = None,
    labelled: DataDir | None = None,
) -> Experiment:
    """Collect what has been measured; what has not is simply absent. labelled: the chunks before selection."""
    results = read_results(root, records, test_sets)
    measured = read_speed(speed, records) if speed is not None and speed.exists() else None
    models = []
    for record in records:
        # The speed measurement counted the parameters of these same weights, which may not be on this machine.
        known = measured["models"].get(record.name) if measured else None
        parameters = known["parameters"] if known else None
        if parameters is None and kind_of(record.path) == "whisper":
            from k2d.whisper.formats import open_checkpoint  # and torch with it, which takes seconds

            parameters = open_checkpoint(record.path).parameters
        models.append(Model(record, parameters))
    experiment = Experiment(root, tuple(models), tuple(test_sets), results, measured)
    folders = {r.data: _selection_name(r, experiment.varying) for r in records if r.role == "student" and r.data}
    selections = {data: selection_in(name, Path(data), labelled) for data, name in folders.items()}
    return replace(experiment, selections=selections)


def _selection_name(record: ModelRecord, varying: Sequence[str]) -> str:
    """ "comp", or as much more as tells it from the others: "comp, α 0.2, validator_small"."""
    words = [record.selection or Path(record.data).name]
    if "alpha" in varying and record.threshold:
        words.append(record.threshold)
    if "validator" in varying and record.validator and record.selection != FULL:
        words.append(record.validator)
    if "teacher" in varying and record.teacher:
        words.append(record.teacher)
    if "hours" in varying:
        words.append("all" if record.hours is None else f"{record.hours:g} h")
    return ", ".join(words)
