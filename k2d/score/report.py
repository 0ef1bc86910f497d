"""What was measured in, the tables and statements of RESULTS.md out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from k2d.explore.detection import ALPHAS
from k2d.explore.label_quality import BAD, LabelQuality
from k2d.explore.references import EDGE
from k2d.score import paper
from k2d.score.experiment import Experiment, Model, score_dir
from k2d.score.rates import SWITCH_DISTANCES, Counts
from k2d.score.significance import Comparison
from k2d.score.tables import ABSENT, Table, millions, percent, times

MOST_PARAMETERS = 0.5  # of the teacher's
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Aim:
    """One aim and what became of it. `reached` is None where it has not been measured."""

    aim: str
    reached: bool | None
    why: str

    def __str__(self) -> str:
        verdict = {True: "**reached**", False: "**missed**", None: "**not measured**"}[self.reached]
        return f"- {self.aim}: {verdict}. {self.why}"


def main_table(experiment: Experiment, paper_sets: Mapping[str, str]) -> Table:
    """Error rate, size, speed and data of every model (the paper's Table 2)."""
    rows, varying = [], experiment.varying
    for model in experiment.models:
        kept = experiment.selection_of(model)
        share = ABSENT if kept is None or kept.share is None else f"{percent(kept.share, 1)} %"
        speed = experiment.speed_of(model)
        cells = [_rate_with_interval(experiment, model, test_set) for test_set in experiment.test_sets]
        rows.append(
            [
                model.name,
                *(_fact(model, fact) for fact in varying),
                millions(model.parameters),
                times(experiment.parameter_ratio(model)),
                times(speed and speed[0]),
                share,
                *cells,
            ]
        )
    for row, name in _paper_rows(experiment, paper.MAIN).items() if paper_sets else ():
        parameters, speed, share, rates = paper.MAIN[row]
        columns = [_paper_rate(rates, paper_sets.get(s)) for s in experiment.test_sets]
        kept = ABSENT if share is None else f"{share} %"
        rows.append([f"{name} (paper)", *[ABSENT] * len(varying), parameters, ABSENT, times(speed), kept, *columns])
    return Table(
        "Error rates",
        "Mixed error rate in percent (a unit is one Chinese character or one word of another script; "
        "errors and reference units are summed over the set), in brackets its 95 % bootstrap interval. "
        "Parameters and speed of generation are relative to the teacher; data is the share of labelled "
        "hours kept.",
        ["model", *("α" if fact == "alpha" else fact for fact in varying), "parameters", "of teacher", "speed", "data",
         *experiment.test_sets],
        rows,
    )  # fmt: skip


def _fact(model: Model, fact: str) -> str:
    """What tells a student from the others, where it is one."""
    value = getattr(model.record, fact) if model.record.role == "student" else None
    return ABSENT if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _paper_rows(experiment: Experiment, table: Mapping[paper.Row, object]) -> dict[paper.Row, str]:
    return paper.rows_of((m.record for m in experiment.models), table)


def _rate_with_interval(experiment: Experiment, model: Model, test_set: str) -> str:
    result = experiment.results.get((model.name, test_set))
    if result is None:
        return ABSENT
    interval = result["confidence_interval"]
    around = "" if interval["low"] is None else f" [{percent(interval['low'])}, {percent(interval['high'])}]"
    return percent(result["mer"]["rate"]) + around


def _paper_rate(rates: tuple[float, ...], column: str | None) -> str:
    return f"{rates[paper.SETS.index(column)]:.2f}" if column else ABSENT


def language_table(experiment: Experiment, paper_sets: Mapping[str, str]) -> Table:
    """The paper's Table 3."""
    rows = []
    for model in experiment.models:
        row = [model.name]
        for test_set in experiment.test_sets:
            result = experiment.results.get((model.name, test_set))
            row += [percent(result["languages"][name]["rate"]) if result else ABSENT for name in ("zh", "en")]
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
    for model in experiment.models:
        results = [experiment.results.get((model.name, s)) for s in experiment.test_sets]
        rows.append([model.name, *(percent(r["switch_points"]["rate"]) if r else ABSENT for r in results)])
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
        for model in experiment.models:
            parts = (experiment.results.get((model.name, test_set)) or {}).get("switch_distance")
            if parts:
                rows.append([model.name, *(percent(parts[name]["rate"]) for name in SWITCH_DISTANCES)])
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
        for model in experiment.models:
            result = experiment.results.get((model.name, test_set))
            if result is None:
                rows.append([test_set, model.name, *[ABSENT] * 8])
                continue
            mer, runs = result["mer"], result["long_runs"]
            counts = (
                result["repetitions"]["windows"],
                mer["insertions"],
                mer["deletions"],
                mer["substitutions"],
                len(result["empty"]),
                len(result["missing"]),
                len(runs["invented"]),
                len(runs["lost"]),
            )
            rows.append([test_set, model.name, *map(str, counts)])
        if paper_sets.get(test_set) == "COOLTEST":
            for key, name in _paper_rows(experiment, paper.REPETITIONS).items():
                rows.append([test_set, f"{name} (paper)", str(paper.REPETITIONS[key]), *[ABSENT] * 7])
    return Table(
        "Kinds of errors",
        "Counts. A repetition is a window of at most 30 s whose transcript repeats a character 6-gram "
        "more than 5 times. Empty: something was said, nothing written. Missing: the decoder gave no "
        "line. Invented and lost: texts with 10 or more units in a row inserted or deleted.",
        ["set", "model", "repetitions", "insertions", "deletions", "substitutions", "empty", "missing",
         "invented", "lost"],
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
        f"Medians of {measured['rounds']} rounds in one process, the models taking turns on the same "
        f"{measured['utterances']} utterances ({measured['audio_seconds']:.0f} s), {measured['engine']} "
        f"engine, {measured['dtype']}, {measured['device']}, {measured['threads']} threads, batch "
        f"{measured['batch_size']}, beam {measured['beam_size']}. Speed is the teacher's time for "
        "everything divided by the model's, decoder speed the same for one token of the decoder alone.",
        ["model", "encoder s", "decoder s", "tokens", "decoder ms/token", "real-time factor", "speed",
         "decoder speed"],
        rows,
    )  # fmt: skip


def label_table(experiment: Experiment, quality: LabelQuality) -> Table:
    rows = []
    everything = set(quality.chunks)
    for selection in experiment.selections.values():
        kept = everything & set(selection.ids)
        dropped = everything - kept
        counts, rest = quality.of(kept), quality.of(dropped)
        bad_kept = str(sum(quality.chunks[c].text_rate > BAD for c in kept))
        good_dropped = str(sum(quality.chunks[c].text_rate <= BAD for c in dropped))
        if selection.trusted is not None:
            counts, rest = quality.of_segments(selection.trusted)
            bad_kept = good_dropped = ABSENT  # these are numbers of chunks
        rows.append(
            [
                selection.name,
                str(len(kept)),
                ABSENT if selection.hours is None else f"{selection.hours:.2f}",
                f"{percent(selection.share, 1)}",
                percent(counts.rate),
                percent(_part(counts.insertions, counts)),
                percent(_part(counts.deletions, counts)),
                percent(rest.rate),
                bad_kept,
                good_dropped,
            ]
        )
    return Table(
        "Label quality",
        "This analysis reads the references of the training set, which no stage of labelling, selection "
        "or training has read. Error rates of the labels in percent; reference words are placed in chunks "
        f"by time, spread evenly over their utterance, with {EDGE:g} s of tolerance at the edges. "
        f"{quality.references.uncovered} of {quality.references.total} reference units lie in no chunk. A bad label "
        f"has a true error rate above {100 * BAD:g} %. Where segments were selected, hours and error rates are "
        "those of segments, aligned within their chunks.",
        ["selection", "chunks", "hours", "data %", "label MER", "insertions", "deletions", "MER of dropped",
         "bad kept", "good dropped"],
        rows,
    )  # fmt: skip


def _part(errors: int, counts: Counts) -> float | None:
    return errors / counts.units if counts.units else None


def _value(interval: Sequence[float | None]) -> str:
    return ABSENT if interval[0] is None else f"{interval[0]:.2f}"


def detection_table(found: Mapping[str, dict], show_paper: bool) -> Table:
    """The paper's Table 5: validator -> what `detection.analyse` found."""
    rows = []
    for validator, analysis in found.items():
        for distance, row in analysis["metrics"].items():
            means = [_value(row[f"mean_{kind}"]) for kind in ("recall", "precision")]
            rows.append([validator, distance, *means, str(analysis["bad"]), str(analysis["chunks"])])
    for validator, recalls in paper.RECALL.items() if show_paper else ():
        for distance, recall in zip(("mer", "per"), recalls, strict=True):
            rows.append([f"{validator} (paper)", distance, f"{recall:.2f}", ABSENT, ABSENT, ABSENT])
    return Table(
        "Spotting bad labels",
        "This analysis reads the references of the training set. Labels with a true error rate above "
        f"{100 * BAD:g} % are bad; a chunk is dropped when its distance exceeds α. Recall is the share of "
        "bad labels dropped, precision the share of dropped labels that are bad, both averaged over α = "
        f"{ALPHAS[0]} … {ALPHAS[-1]}.",
        ["validator", "distance", "recall", "precision", "bad", "chunks"],
        rows,
    )


def recall_table(found: Mapping[str, dict]) -> Table:
    """Recall at each α, of which the paper's Table 5 is the mean."""
    rows = [
        [validator, distance, *map(_value, row["recall"])]
        for validator, analysis in found.items()
        for distance, row in analysis["metrics"].items()
    ]
    return Table(
        "Bad labels found by α",
        "Recall of the table above at each α.",
        ["validator", "distance", *(f"α {alpha:g}" for alpha in ALPHAS)],
        rows,
    )


def paper_table(experiment: Experiment) -> Table:
    """The paper's Table 2 by itself, where our sets are none of its own."""
    rows = []
    for row, name in _paper_rows(experiment, paper.MAIN).items():
        parameters, speed, share, rates = paper.MAIN[row]
        kept = ABSENT if share is None else f"{share} %"
        rows.append([name, parameters, times(speed), kept, *(f"{rate:.2f}" for rate in rates)])
    return Table(
        "The same rows in the paper",
        "Tseng et al., SLT 2024, Table 2: Whisper large-v2 as teacher, base as validator, 60,000 h of lectures. Other "
        "speech and other models than ours, so the order of the rows can be compared and their height cannot.",
        ["model", "parameters", "speed", "data", *paper.SETS],
        rows,
    )


def difference(comparison: Comparison) -> str:
    """ "11.44 % against 13.96 %, difference -2.52 points [-3.10, -1.94], p = 0.0010"."""
    doubt = "" if comparison.p_value <= SIGNIFICANT else f", not significant at {SIGNIFICANT}"
    return (
        f"{percent(comparison.first)} % against {percent(comparison.second)} %, difference "
        f"{100 * comparison.difference:+.2f} points [{100 * comparison.low:+.2f}, "
        f"{100 * comparison.high:+.2f}], paired bootstrap p = {comparison.p_value:.4f} over "
        f"{comparison.utterances} texts{doubt}"
    )


def headline(experiment: Experiment) -> str:
    """What came out, in a sentence: the student with the lowest mean error rate beside its teacher."""
    best = best_student(experiment)
    if best is None:
        return "Nothing has been scored yet, so no error rate is known."
    student, test_sets = best
    teacher = experiment.teacher_of(student)
    told = [_beside(experiment, student, teacher, test_set) for test_set in test_sets[:3]]
    rest = f" (and {len(test_sets) - 3} more sets, below)" if len(test_sets) > 3 else ""
    costs = []
    if ratio := experiment.parameter_ratio(student):
        costs.append(f"{times(ratio)} the parameters")
    if speed := experiment.speed_of(student):
        costs.append(f"{times(speed[0])} the speed of its teacher")
    with_these = f", with {' and '.join(costs)}" if costs else ""
    return f"{student.name} errs {'; '.join(told)}{rest}{with_these}."


def best_student(experiment: Experiment) -> tuple[Model, list[str]] | None:
    """The student, of those scored on most sets, whose mean rate is lowest, and these sets."""
    found = []
    for model in experiment.models:
        rates = {s: experiment.rate(model.name, s) for s in experiment.test_sets}
        known = {s: rate for s, rate in rates.items() if rate is not None}
        if model.record.role == "student" and known:
            found.append((-len(known), sum(known.values()) / len(known), model.name, model, list(known)))
    return min(found)[-2:] if found else None


def _beside(experiment: Experiment, student: Model, teacher: Model | None, test_set: str) -> str:
    """ "in 14.8 % of test_in where its teacher errs in 18.0 % (lower, not significant)"."""
    own = f"in {percent(experiment.rate(student.name, test_set), 1)} % of {test_set}"
    theirs = teacher and experiment.rate(teacher.name, test_set)
    if theirs is None:
        return own
    comparison = experiment.compare(student.name, teacher.name, test_set)
    lower = experiment.rate(student.name, test_set) < theirs
    tested = "" if comparison and comparison.p_value <= SIGNIFICANT else ", not significant"
    return f"{own}, {teacher.name} in {percent(theirs, 1)} % ({'lower' if lower else 'not lower'}{tested})"


def aims(experiment: Experiment) -> Iterator[Aim]:
    """For each student trained on selected labels: below its teacher and below the student of all labels of the
    same teacher, seed and tag on every set, at most half of the teacher's parameters, faster than the teacher."""
    for student in experiment.models:
        if not student.of_selected_labels:
            continue
        teacher, of_all_labels = experiment.teacher_of(student), experiment.student_of_all_labels(student)
        for test_set in experiment.test_sets:
            yield _error_aim(experiment, student.name, teacher.name if teacher else None, "its teacher", test_set)
            rival = of_all_labels.name if of_all_labels else None
            yield _error_aim(experiment, student.name, rival, "the student of all labels", test_set)
        yield _size_aim(experiment, student)
        yield _speed_aim(experiment, student)


def _error_aim(experiment: Experiment, student: str, rival: str | None, role: str, test_set: str) -> Aim:
    """rival: None where no model has its role."""
    aim = f"{student} below {rival or role} on {test_set}"
    if rival is None:
        return Aim(aim, None, "It is not among the models.")
    for name in (student, rival):
        if (name, test_set) not in experiment.results:
            folder = score_dir(experiment.root, name, test_set).relative_to(experiment.root)
            return Aim(aim, None, f"{folder}/result.json is not there.")
    a, b = experiment.rate(student, test_set), experiment.rate(rival, test_set)
    comparison = experiment.compare(student, rival, test_set)
    if a is None or b is None:
        return Aim(aim, None, "The set has no reference unit.")
    if comparison is None:
        return Aim(aim, a < b, f"{percent(a)} % against {percent(b)} %; one text, so no test can be made.")
    return Aim(aim, a < b, difference(comparison) + ".")


def _size_aim(experiment: Experiment, student: Model) -> Aim:
    aim = f"{student.name} has at most {MOST_PARAMETERS:g} of the teacher's parameters"
    ratio, teacher = experiment.parameter_ratio(student), experiment.teacher_of(student)
    if ratio is None:
        return Aim(aim, None, "There is no teacher to compare with.")
    counts = f"{student.parameters:,} of {teacher.parameters:,}"
    return Aim(aim, ratio <= MOST_PARAMETERS, f"{counts}, that is {ratio:.3f}.")


def _speed_aim(experiment: Experiment, student: Model) -> Aim:
    aim = f"{student.name} generates faster than the teacher"
    measured = experiment.speed_of(student)
    if measured is None:
        return Aim(aim, None, "k2d speed has not measured both.")
    speed, decoder_speed = measured
    return Aim(aim, speed > 1, f"{times(speed)} in all, {times(decoder_speed)} for a token of the decoder.")
