"""What was measured in, the tables and statements of RESULTS.md out."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from k2d.explore.detection import ALPHAS
from k2d.explore.kinds import KINDS
from k2d.explore.label_quality import BAD, LabelQuality
from k2d.explore.references import EDGE
from k2d.explore.spotting import SIGNALS, WORSE, Interval, Spotting
from k2d.score import paper
from k2d.score.curves import Training
from k2d.score.experiment import Experiment, Group, Selection, score_dir
from k2d.score.rates import SWITCH_DISTANCES, Counts
from k2d.score.significance import Comparison
from k2d.score.tables import ABSENT, Table, millions, percent, times

MOST_PARAMETERS = 0.5  # of the teacher's
SIGNIFICANT = 0.05


REACHED, MISSED, NOT_TOLD, NOT_MEASURED = VERDICTS = ("reached", "missed", "inconclusive", "not measured")


@dataclass(frozen=True)
class Aim:
    """One aim and what became of it, one of VERDICTS: of a difference that a test could not tell from none, neither
    reached nor missed."""

    aim: str
    verdict: str
    why: str
    difference: float | None = None  # of an error rate from its rival's, where both are known

    @property
    def short_verdict(self) -> str:
        """The verdict for a page, which has no room to explain it."""
        if self.verdict != NOT_TOLD or not self.difference:
            return self.verdict
        return f"{'lower' if self.difference < 0 else 'higher'}, not significant"

    def __str__(self) -> str:
        return f"- {self.aim}: **{self.verdict}**. {self.why}"


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
        model = group.model
        kept = experiment.selection_of(model)
        share = ABSENT if kept is None or kept.share is None else f"{percent(kept.share, 1)} %"
        speed = experiment.speed_of(model)
        rows.append(
            [
                group.name,
                *(_fact(group, fact) for fact in facts),
                millions(model.parameters),
                times(experiment.parameter_ratio(model)),
                times(speed and speed[0]),
                share,
                *(_rate_with_interval(experiment, group, test_set) for test_set in experiment.test_sets),
            ]
        )
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
        ["model", *({"alpha": "α"}.get(fact, fact) for fact in facts), "parameters", "of teacher", "speed", "data",
         *experiment.test_sets],
        rows,
    )  # fmt: skip


def _size_of_sets(experiment: Experiment) -> str:
    """ "test_in: 120 texts of 6 recordings. " """
    found = {}
    for (_, test_set), result in experiment.results.items():
        texts, recordings = result["utterances"], result["recordings"]
        found[test_set] = f"{test_set} {texts} texts" + (f" of {recordings} recordings" if recordings < texts else "")
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
    return f"{value:g}" if isinstance(value, float) else str(value)


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


def training_table(experiment: Experiment, trainings: Mapping[str, Training]) -> Table | None:
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
    around = "" if rates.low is None else f" [{percent(rates.low)}, {percent(rates.high)}]"
    return percent(rates.mean) + spread + around


def _mean(results: Sequence[dict], value: Callable[[dict], float | None]) -> float | None:
    """Of the seeds that have it; None of none."""
    found = [v for v in map(value, results) if v is not None]
    return mean(found) if found else None


def _paper_rate(rates: tuple[float, ...], column: str | None) -> str:
    return f"{rates[paper.SETS.index(column)]:.2f}" if column else ABSENT


def language_table(experiment: Experiment, paper_sets: Mapping[str, str]) -> Table:
    """The paper's Table 3."""
    rows = []
    for group in experiment.groups:
        row = [group.name]
        for test_set in experiment.test_sets:
            results = experiment.results_of(group, test_set)
            row += [percent(_mean(results, lambda r, n=name: r["languages"][n]["rate"])) for name in ("zh", "en")]
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
        rows.append([group.name, *(percent(_mean(r, lambda each: each["switch_points"]["rate"])) for r in results)])
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
                rates = [_mean(results, lambda parts, name=name: parts[name]["rate"]) for name in SWITCH_DISTANCES]
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
            means = (_mean(results, each) for each in counts)
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
    for selection in experiment.selections.values():
        kept, dropped = _kept_and_dropped(selection, quality)
        counts, rest = quality.of(kept), quality.of(dropped)
        bad_kept = str(sum(quality.chunks[c].text_rate > BAD for c in kept))
        good_dropped = str(sum(quality.chunks[c].text_rate <= BAD for c in dropped))
        if selection.trusted is not None:
            counts, rest = quality.of_segments(selection.trusted, kept | dropped)
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


def _kept_and_dropped(selection: Selection, quality: LabelQuality) -> tuple[set[str], set[str]]:
    """Chunks with a reference, of those that a selection chose from."""
    everything = set(quality.chunks)
    kept = everything & set(selection.ids)
    return kept, everything - kept if selection.dropped is None else everything & set(selection.dropped)


def kept_kinds_table(experiment: Experiment, quality: LabelQuality) -> Table:
    """What is still wrong with the labels that a selection kept, by kind."""
    rows = []
    for selection in experiment.selections.values():
        kept, dropped = _kept_and_dropped(selection, quality)
        there, left = (Counter(quality.kinds[c] for c in ids if c in quality.kinds) for ids in (kept | dropped, kept))
        rows.append([selection.name, *(f"{left[kind]} of {there[kind]}" for kind in KINDS)])
    return Table(
        "Bad labels kept",
        "This analysis reads the references of the training set. Chunks with a true error rate above "
        f"{100 * BAD:g} % that a selection kept, of those there were, by the kind that most of their errors are of. "
        "Where segments were selected, a student learns from the trusted segments of these chunks alone.",
        ["selection", *KINDS],
        rows,
    )


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


def spotting_table(found: Mapping[str, Sequence[Spotting]]) -> Table:
    """Every signal as a finder of bad labels: validator -> what `spotting.spot` found."""
    rows = []
    for validator, each in _by_validator(found):
        rows.append(
            [
                each.signal,
                validator,
                str(each.labels),
                *(_with_interval(each.auc[above]) for above in (BAD, WORSE)),
                ABSENT if each.limit is None else f"{each.limit:g}",
                _with_interval(each.precision),
                _with_interval(each.recall),
            ]
        )
    for signal, published in paper.SPOTTING.items():
        rows.append([f"{signal} (published)", ABSENT, ABSENT, ABSENT, f"{published:.2f}", *[ABSENT] * 3])
    return Table(
        "Signals that spot bad labels",
        "This analysis reads the references of the training set. AUC is the chance that a bad label looks worse to "
        f"the signal than a good one, for labels whose true error rate is above {100 * BAD:g} % and above "
        f"{100 * WORSE:g} %; precision and recall are of labels above {100 * BAD:g} %, where the signal is beyond its "
        "limit. In brackets 95 % bootstrap intervals over recordings. Labels are chunks, for *segment* segments. The "
        "published figures are of another corpus and other models (uDistil-Whisper, 2024).",
        ["signal", "validator", "labels", f"AUC > {100 * BAD:g} %", f"AUC > {100 * WORSE:g} %", "limit", "precision",
         "recall"],
        rows,
    )  # fmt: skip


def kinds_table(found: Mapping[str, Sequence[Spotting]], quality: LabelQuality) -> Table:
    """Which kinds of bad labels each signal finds."""
    there = Counter(quality.kinds.values())
    rows = [
        [each.signal, validator, *(f"{seen / of:.2f}" if of else ABSENT for seen, of in each.kinds.values())]
        for validator, each in _by_validator(found)
        if each.kinds is not None
    ]
    return Table(
        "Kinds of bad labels found",
        "This analysis reads the references of the training set. Share of the bad labels of each kind that a signal "
        "is beyond its limit for; in brackets how many there are. A label is of the kind that most of its errors are "
        "of: a loop; text over silence; words of one language where the other was spoken, translated or transliterated "
        "(told apart by their consonants, so roughly); missing words; other words of the same language.",
        ["signal", "validator", *(f"{kind} ({there[kind]})" for kind in KINDS)],
        rows,
    )


def _by_validator(found: Mapping[str, Sequence[Spotting]]) -> Iterator[tuple[str, Spotting]]:
    """Signals that need no validator once, without one."""
    of_label = {signal.name for signal in SIGNALS if signal.of_label}
    for number, (validator, signals) in enumerate(found.items()):
        for each in signals:
            if each.signal not in of_label:
                yield validator, each
            elif number == 0:
                yield ABSENT, each


def _with_interval(interval: Interval) -> str:
    if interval.value is None:
        return ABSENT
    around = "" if interval.low is None else f" [{interval.low:.2f}, {interval.high:.2f}]"
    return f"{interval.value:.2f}{around}"


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
        "Tseng et al., SLT 2024, Table 2: Whisper large-v2 as teacher, base as validator, 60,000 h of lectures. Speech "
        "and models differ from ours: compare the order of the rows, not the values.",
        ["model", "parameters", "speed", "data", *paper.SETS],
        rows,
    )


def alpha_of(experiment: Experiment) -> float:
    """The α that most students' labels were selected at; the paper's where none says."""
    alphas = Counter(g.record.alpha for g in experiment.groups if g.record.alpha is not None)
    return alphas.most_common(1)[0][0] if alphas else paper.ALPHA


def difference(comparison: Comparison) -> str:
    """ "11.44 % against 13.96 %, difference -2.52 points [-3.10, -1.94], p = 0.0010 …"."""
    texts, recordings = comparison.utterances, comparison.recordings
    over = f"{texts} texts" + (f" of {recordings} recordings" if recordings < texts else "")
    if max(comparison.seeds) > 1:
        over += ", " + " against ".join(_seeds(n) for n in comparison.seeds)
    elif not comparison.counts_training:
        over += "; one seed, so this holds for these models, not for the training method"
    return (
        f"{percent(comparison.first)} % against {percent(comparison.second)} %, difference "
        f"{100 * comparison.difference:+.2f} points [{100 * comparison.low:+.2f}, "
        f"{100 * comparison.high:+.2f}], paired bootstrap p = {comparison.p_value:.4f} over {over}"
    )


def headline(experiment: Experiment) -> str:
    """The outcome in a sentence: the students with the lowest mean error rate beside their teacher."""
    best = best_student(experiment)
    if best is None:
        why = "nothing has been scored yet" if experiment.test_sets else "nobody has transcribed a test set"
        return f"No error rate is known: {why}."
    students, test_sets = best
    teacher = experiment.teacher_of(students.model)
    rival = experiment.group_of(teacher) if teacher else None
    told = [_beside(experiment, students, rival, test_set) for test_set in test_sets[:3]]
    rest = f" (and {len(test_sets) - 3} more sets, below)" if len(test_sets) > 3 else ""
    costs = []
    if ratio := experiment.parameter_ratio(students.model):
        costs.append(f"{times(ratio)} the parameters")
    if speed := experiment.speed_of(students.model):
        costs.append(f"{times(speed[0])} the speed of its teacher")
    with_these = f", with {' and '.join(costs)}" if costs else ""
    return f"{students.name} errs {'; '.join(told)}{rest}{with_these}."


def best_student(experiment: Experiment) -> tuple[Group, list[str]] | None:
    """The students, of those scored on most sets, whose mean rate is lowest, and these sets."""
    found = []
    for group in experiment.groups:
        rates = {s: experiment.rates(group, s) for s in experiment.test_sets}
        known = {s: each.mean for s, each in rates.items() if each is not None}
        if group.record.role == "student" and known:
            found.append((-len(known), sum(known.values()) / len(known), group.name, group, list(known)))
    return min(found)[-2:] if found else None


def _beside(experiment: Experiment, students: Group, teacher: Group | None, test_set: str) -> str:
    """ "in 14.8 % of test_in, teacher in 18.0 % (lower, not significant)"."""
    own, theirs = (group and experiment.rates(group, test_set) for group in (students, teacher))
    sentence = f"in {percent(own.mean, 1)} % of {test_set}"
    if theirs is None:
        return sentence
    comparison = experiment.compare(students, teacher, test_set)
    tested = "" if comparison and verdict(comparison) != NOT_TOLD else ", not significant"
    lower = "lower" if own.mean < theirs.mean else "not lower"
    return f"{sentence}, {teacher.name} in {percent(theirs.mean, 1)} % ({lower}{tested})"


def _seeds(count: int) -> str:
    return "a model without seeds" if count == 0 else "1 seed" if count == 1 else f"{count} seeds"


def aims(experiment: Experiment) -> Iterator[Aim]:
    """For each selection that students were trained on: below their teacher and below the students of all labels of
    the same teacher, hours and tag on every set, at most half of the teacher's parameters, faster than the teacher."""
    for students in experiment.groups:
        if not students.of_selected_labels:
            continue
        teacher, of_all_labels = experiment.teacher_of(students.model), experiment.group_of_all_labels(students)
        rivals = [(experiment.group_of(teacher) if teacher else None, "its teacher"),
                  (of_all_labels, "the student of all labels")]  # fmt: skip
        for test_set in experiment.test_sets:
            for rival, role in rivals:
                yield _error_aim(experiment, students, rival, role, test_set)
        yield _size_aim(experiment, students)
        yield _speed_aim(experiment, students)


def _error_aim(experiment: Experiment, students: Group, rival: Group | None, role: str, test_set: str) -> Aim:
    """Reached or missed where a test tells the two apart. rival: None where no model has its role."""
    aim = f"{students.name} below {rival.name if rival else role} on {test_set}"
    if rival is None:
        return Aim(aim, NOT_MEASURED, "It is not among the models.")
    for group in (students, rival):
        if not experiment.results_of(group, test_set):
            folder = score_dir(experiment.root, group.model.name, test_set).relative_to(experiment.root)
            return Aim(aim, NOT_MEASURED, f"{folder}/result.json is not there.")
    rates = [experiment.rates(group, test_set) for group in (students, rival)]
    if None in rates:
        return Aim(aim, NOT_MEASURED, "The set has no reference unit.")
    comparison = experiment.compare(students, rival, test_set)
    if comparison is None:
        a, b = (percent(r.mean) for r in rates)
        return Aim(aim, NOT_TOLD, f"{a} % against {b} %; a single recording, so no test is possible.")
    return Aim(aim, verdict(comparison), difference(comparison) + ".", comparison.difference)


def verdict(comparison: Comparison) -> str:
    """Whether the first system is the better one, or the test cannot tell."""
    if comparison.p_value >= SIGNIFICANT:
        return NOT_TOLD
    return REACHED if comparison.difference < 0 else MISSED


def _size_aim(experiment: Experiment, students: Group) -> Aim:
    student = students.model
    aim = f"{students.name} has at most {MOST_PARAMETERS:g} of the teacher's parameters"
    ratio, teacher = experiment.parameter_ratio(student), experiment.teacher_of(student)
    if ratio is None:
        return Aim(aim, NOT_MEASURED, "There is no teacher to compare with.")
    counts = f"{student.parameters:,} of {teacher.parameters:,}"
    return Aim(aim, REACHED if ratio <= MOST_PARAMETERS else MISSED, f"{counts}, that is {ratio:.3f}.")


def _speed_aim(experiment: Experiment, students: Group) -> Aim:
    aim = f"{students.name} generates faster than the teacher"
    measured = experiment.speed_of(students.model)
    if measured is None:
        return Aim(aim, NOT_MEASURED, "k2d speed has not measured both.")
    speed, decoder_speed = measured
    why = f"{times(speed)} in all, {times(decoder_speed)} for a token of the decoder."
    return Aim(aim, REACHED if speed > 1 else MISSED, why)
