"""What was measured of the models in, tables of RESULTS.md out; of labels see `label_tables` and `teacher_tables`."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev

from k2d.score import paper
from k2d.score.curves import TrainingLog
from k2d.score.experiment import Experiment, Group, Model, mean_known
from k2d.score.rates import SWITCH_DISTANCES
from k2d.score.tables import ABSENT, Table, interval, millions, percent, times
from k2d.wording import counted


def main_tables(experiment: Experiment, paper_sets: Mapping[str, str]) -> list[Table]:
    """Error rate, size, speed and data of every model (the paper's Table 2): a table for each way in which students
    were trained, which their records tell by a tag."""
    tags = experiment.tags
    return [
        _main_table(experiment, paper_sets if number == 0 else {}, tag, apart=len(tags) > 1)
        for number, tag in enumerate(tags or (None,))
    ]


def _main_table(experiment: Experiment, paper_sets: Mapping[str, str], tag: str | None, apart: bool) -> Table:
    groups = [g for g in experiment.groups if g.record.role != "student" or g.record.tag == tag]
    varying, seeds = experiment.varying, any(len(g.members) > 1 for g in groups)
    facts = [*varying, *(["seeds"] if seeds else [])]
    rows = []
    for group in groups:
        values = [_fact(group, fact) for fact in facts]
        rates = [_rate_with_interval(experiment, group, test_set) for test_set in experiment.test_sets]
        rows.append([group.name, *values, *costs(experiment, group.model), *rates])
    for row, name in _paper_rows(experiment, paper.MAIN).items() if paper_sets else ():
        parameters, speed, share, rates = paper.MAIN[row]
        columns = [_paper_rate(rates, paper_sets.get(s)) for s in experiment.test_sets]
        kept = ABSENT if share is None else f"{share} %"
        rows.append([f"{name} (paper)", *[ABSENT] * len(facts), parameters, ABSENT, times(speed), kept, *columns])
    return Table(
        f"Error rates, {tag}" if apart and tag else "Error rates",
        "Mixed error rate in percent (a unit is one Chinese character or one word of another script; "
        "errors and reference units are summed over the set), in brackets its 95 % bootstrap interval over recordings"
        + (" and seeds; of several seeds mean ± standard deviation" if seeds else "")
        + f". {_size_of_sets(experiment)}{_chance_of_training(groups)}Parameters and speed of generation are relative "
        "to the teacher; data is the share of labelled hours kept.",
        ["model", *({"alpha": "α"}.get(fact, fact) for fact in facts), *COSTS, *experiment.test_sets],
        rows,
        unit="MER in %, with 95 % intervals",
    )  # fmt: skip


def tags_table(experiment: Experiment) -> Table | None:
    """Students of the same labels, trained in two ways; None where no labels were learnt in two."""
    rows = []
    for group in experiment.groups:
        if other := experiment.group_of_other_tag(group):
            found = [experiment.compare(group, other, test_set) for test_set in experiment.test_sets]
            shown = (ABSENT if each is None else f"{each.figures()}, p = {each.p_value:.4f}" for each in found)
            rows.append([group.name, other.name, *shown])
    if not rows:
        return None
    return Table(
        "Ways of training, the same labels",
        "The error rate of the first less that of the second, in points, with its 95 % interval and p, by a paired "
        "bootstrap over recordings and seeds: below 0 the first makes fewer errors.",
        ["students", "against", *experiment.test_sets],
        rows,
    )


COSTS = ("parameters", "of teacher", "speed", "data")


def costs(experiment: Experiment, model: Model) -> list[str]:
    """Cells below COSTS: the parameters and their ratio to the teacher's, times its speed, share of hours learnt."""
    kept, speed = experiment.selection_of(model), experiment.speed_of(model)
    share = ABSENT if kept is None or kept.share is None else f"{percent(kept.share, 1)} %"
    return [millions(model.parameters), times(experiment.parameter_ratio(model)), times(speed and speed[0]), share]


def _size_of_sets(experiment: Experiment) -> str:
    """ "test_in: 120 texts of 6 recordings. " """
    found = {}
    for (_, test_set), result in experiment.results.items():
        texts, recordings = result["utterances"], result["recordings"]
        found[test_set] = f"{test_set}: {counted(texts, 'text')}"
        found[test_set] += f" of {counted(recordings, 'recording')}" if recordings < texts else ""
    return "; ".join(found[s] for s in experiment.test_sets if s in found) + ". " if found else ""


def _chance_of_training(groups: Sequence[Group]) -> str:
    students = [g for g in groups if g.record.role == "student"]
    if not students or any(len(g.members) > 1 for g in students):
        return ""
    return (
        "One seed each: a demonstration, since no interval or test here covers the variation between training "
        "seeds. "
    )


def _fact(group: Group, fact: str) -> str:
    """What tells students from the others, where they are some."""
    if group.record.role != "student":
        return ABSENT
    value = len(group.members) if fact == "seeds" else getattr(group.record, fact)
    if value is None:
        return "all" if fact == "hours" else ABSENT
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} ({group.record.threshold})" if fact == "alpha" and group.record.keep is not None else text


def seeds_table(experiment: Experiment) -> Table | None:
    """The single students behind a row of several seeds."""
    rows = [
        [model.name, str(model.record.seed), *(percent(experiment.rate(model.name, s)) for s in experiment.test_sets)]
        for group in experiment.groups
        for model in (group.members if len(group.members) > 1 else ())
    ]
    if not rows:
        return None
    note = "Mixed error rate in percent of every student whose seeds are one row of the tables above."
    return Table("Single seeds", note, ["model", "seed", *experiment.test_sets], rows)


def training_table(experiment: Experiment, trainings: Mapping[str, TrainingLog]) -> Table | None:
    """How long each student was trained, by name of the model: where it is measured the same for all."""
    rows = []
    for group in experiment.groups:
        known = [trainings[m.name] for m in group.members if m.name in trainings]
        if known:
            rows.append(
                [
                    group.name,
                    str(len(known)),
                    _spread([t.updates for t in known], 0),
                    _spread([t.passes for t in known if t.passes is not None], 1),
                    _spread([t.best for t in known if t.best is not None], 3),
                    _spread([t.best_updates for t in known if t.best_updates is not None], 0),
                ]
            )
    if not rows:
        return None
    return Table(
        "Training",
        "Updates, passes over the selected labels (epochs in the common sense), and the lowest cross-entropy on the "
        "development set with the update at which it was reached; of several seeds mean ± standard deviation.",
        ["model", "seeds", "updates", "passes", "dev CE", "at update"],
        rows,
    )


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ABSENT
    around = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{around}"


def _paper_rows(experiment: Experiment, table: Mapping[paper.Row, object]) -> dict[paper.Row, str]:
    return paper.rows_of((m.record for m in experiment.models), table)


def _rate_with_interval(experiment: Experiment, group: Group, test_set: str) -> str:
    rates = experiment.rates(group, test_set)
    if rates is None:
        return ABSENT
    spread = "" if rates.deviation is None else f" ± {percent(rates.deviation)}"
    return percent(rates.mean) + spread + interval(rates.low, rates.high)


def _paper_rate(rates: tuple[float, ...], column: str | None) -> str:
    return f"{rates[paper.SETS.index(column)]:.2f}" if column else ABSENT


def language_table(experiment: Experiment, paper_sets: Mapping[str, str]) -> Table:
    """The paper's Table 3."""
    rows = []
    for group in experiment.groups:
        row = [group.name]
        for test_set in experiment.test_sets:
            results = experiment.results_of(group, test_set)
            row += [percent(mean_known(r["languages"][name]["rate"] for r in results)) for name in ("zh", "en")]
        rows.append(row)
    if "COOLTEST" in paper_sets.values():
        for key, name in _paper_rows(experiment, paper.LANGUAGES).items():
            row = [f"{name} (paper)"]
            for test_set in experiment.test_sets:
                known = paper_sets.get(test_set) == "COOLTEST"
                row += [f"{r:.2f}" if known else ABSENT for r in paper.LANGUAGES[key]]
            rows.append(row)
    header = [f"{s} {name}" for s in experiment.test_sets for name in ("zh CER", "en WER")]
    return Table(
        "By language",
        "Percent. Substitutions and deletions count for the language of the reference unit, insertions "
        "for the language of the inserted one, so the two languages (and numbers, not shown) add up to "
        "the mixed rate.",
        ["model", *header],
        rows,
    )


def switch_table(experiment: Experiment) -> Table:
    rows = []
    for group in experiment.groups:
        results = [experiment.results_of(group, s) for s in experiment.test_sets]
        rows.append([group.name, *(percent(mean_known(each["switch_points"]["rate"] for each in r)) for r in results)])
    return Table(
        "At switch points",
        "Error rate in percent of the units on both sides of a change of language in the reference, with the "
        "insertions between them.",
        ["model", *experiment.test_sets],
        rows,
    )


def switch_distance_tables(experiment: Experiment) -> Iterator[Table]:
    """One a test set that was scored with it."""
    for test_set in experiment.test_sets:
        rows = []
        for group in experiment.groups:
            results = [r["switch_distance"] for r in experiment.results_of(group, test_set) if "switch_distance" in r]
            if results:
                rates = [mean_known(parts[name]["rate"] for parts in results) for name in SWITCH_DISTANCES]
                rows.append([group.name, *map(percent, rates)])
        if rows:
            yield Table(
                f"By distance to a switch: {test_set}",
                "Error rate in percent by how many units away the nearest change of language is: 1 is beside it, none "
                "is speech without any.",
                ["model", *SWITCH_DISTANCES],
                rows,
            )


def error_table(experiment: Experiment, paper_sets: Mapping[str, str]) -> Table:
    """The paper's Table 4."""
    rows = []
    for test_set in experiment.test_sets:
        for group in experiment.groups:
            results = experiment.results_of(group, test_set)
            counts = [
                lambda r: r["repetitions"]["windows"],
                lambda r: r["mer"]["insertions"],
                lambda r: r["mer"]["deletions"],
                lambda r: r["mer"]["substitutions"],
                lambda r: len(r["empty"]),
                lambda r: len(r["missing"]),
                lambda r: len(r["long_runs"]["insertions"]),
                lambda r: len(r["long_runs"]["deletions"]),
            ]
            means = (mean_known(map(each, results)) for each in counts)
            rows.append([test_set, group.name, *(ABSENT if m is None else f"{round(m, 1):g}" for m in means)])
        if paper_sets.get(test_set) == "COOLTEST":
            for key, name in _paper_rows(experiment, paper.REPETITIONS).items():
                rows.append([test_set, f"{name} (paper)", str(paper.REPETITIONS[key]), *[ABSENT] * 7])
    return Table(
        "Kinds of errors",
        "Counts. A repetition is a window of at most 30 s whose transcript repeats a character 6-gram "
        "more than 5 times. Empty: an empty hypothesis for speech. Missing: the decoder gave no "
        "line. Long insertions and deletions: texts with 10 or more of them in a row.",
        ["set", "model", "repetitions", "insertions", "deletions", "substitutions", "empty", "missing",
         "long insertions", "long deletions"],
        rows,
    )  # fmt: skip


def speed_table(experiment: Experiment) -> Table | None:
    measured = experiment.speed
    if not measured or not measured["models"]:
        return None
    rows = []
    for model in experiment.models:
        if (m := measured["models"].get(model.name)) is None:
            continue
        speed, decoder_speed = experiment.speed_of(model) or (None, None)
        cells = [
            model.name,
            f"{m['encode_seconds']:.2f}",
            f"{m['decode_seconds']:.2f}",
            str(m["tokens"]),
            ABSENT if not m["decode_seconds_per_token"] else f"{1000 * m['decode_seconds_per_token']:.2f}",
            f"{m['real_time_factor']:.4f}",
            times(speed),
            times(decoder_speed),
        ]
        rows.append(cells)
    return Table(
        "Speed of generation",
        f"Medians of {counted(measured['rounds'], 'round')} in one process, the models taking turns on the same "
        f"{counted(measured['utterances'], 'utterance')} ({measured['audio_seconds']:.0f} s), {measured['engine']} "
        f"engine, {_precision(measured)}, {measured['device']}, {counted(measured['threads'], 'thread')}, batch "
        f"{measured['batch_size']}, beam {measured['beam_size']}. Speed is the teacher's time for "
        "everything divided by the model's, decoder speed the same for one token of the decoder alone.",
        ["model", "encoder s", "decoder s", "tokens", "decoder ms/token", "real-time factor", "speed",
         "decoder speed"],
        rows,
    )  # fmt: skip


def _precision(measured: dict) -> str:
    """On a CPU float16 is only what weights are rounded to."""
    dtype = measured["dtype"]
    return "float16 weights" if dtype == "float16" and measured["device"] == "cpu" else dtype


def paper_table(experiment: Experiment) -> Table:
    """The paper's Table 2 by itself, where our sets are none of its own."""
    rows = []
    for row, name in _paper_rows(experiment, paper.MAIN).items():
        parameters, speed, share, rates = paper.MAIN[row]
        kept = ABSENT if share is None else f"{share} %"
        rows.append([name, parameters, times(speed), kept, *(f"{rate:.2f}" for rate in rates)])
    return Table(
        "The same rows in the paper",
        "Tseng et al., SLT 2024, Table 2: Whisper large-v2 as teacher, base as validator, 60,000 h of lectures. Speech "
        "and models differ from ours: compare the order of the rows, not the values.",
        ["model", "parameters", "speed", "data", *paper.SETS],
        rows,
    )
