"""What students are trained for, and what became of it: measured models in, statements out, the headline among them."""

from collections.abc import Iterator
from dataclasses import dataclass

from k2d.score.experiment import Experiment, Group
from k2d.score.scored import score_dir
from k2d.score.significance import Comparison
from k2d.score.tables import percent, times
from k2d.wording import counted

MOST_PARAMETERS = 0.5  # of the teacher's
SIGNIFICANT = 0.05


UNKNOWN = (
    "No error rate is known: nobody has transcribed a test set. k2d audit makes one in half an hour; then give it in "
    "--test_sets."
)
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


def difference(comparison: Comparison) -> str:
    """ "11.44 % against 13.96 %, difference -2.52 points [-3.10, -1.94], p = 0.0010 …"."""
    texts, recordings = comparison.utterances, comparison.recordings
    over = f"{counted(texts, 'text')}" + (f" of {counted(recordings, 'recording')}" if recordings < texts else "")
    if max(comparison.seeds) > 1:
        over += ", " + " against ".join(_seeds(n) for n in comparison.seeds)
    elif not comparison.counts_training:
        over += "; one seed, so this holds for these models, not for the training method"
    rates = f"{percent(comparison.first)} % against {percent(comparison.second)} %"
    return f"{rates}, {comparison.in_points} over {over}"


def headline(experiment: Experiment) -> str:
    """The outcome in a sentence: the students with the lowest mean error rate beside their teacher."""
    best = best_student(experiment)
    if best is None:
        if experiment.test_sets:
            return "No error rate is known: nothing has been scored yet."
        return UNKNOWN
    students, test_sets = best
    teacher = experiment.teacher_of(students.model)
    rival = experiment.group_of(teacher) if teacher else None
    compared = [_beside(experiment, students, rival, test_set) for test_set in test_sets[:3]]
    rest = f" (and {counted(len(test_sets) - 3, 'more set')}, below)" if len(test_sets) > 3 else ""
    costs = []
    if ratio := experiment.parameter_ratio(students.model):
        costs.append(f"{ratio:.2f} times the parameters")
    if speed := experiment.speed_of(students.model):
        costs.append(f"{speed[0]:.2f} times the speed")
    with_these = f", with {' and '.join(costs)} of its teacher" if costs else ""
    return f"{students.name} errs {'; '.join(compared)}{rest}{with_these}."


def best_student(experiment: Experiment) -> tuple[Group, list[str]] | None:
    """The students, of those scored on most sets, whose mean rate is lowest, and these sets."""
    found = []
    for group in experiment.groups:
        rates = {s: experiment.mean_rate(group, s) for s in experiment.test_sets}
        known = {s: rate for s, rate in rates.items() if rate is not None}
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
    side = "lower" if own.mean < theirs.mean else "higher" if own.mean > theirs.mean else "the same"
    return f"{sentence}, {teacher.name} in {percent(theirs.mean, 1)} % ({side}{tested})"


def _seeds(count: int) -> str:
    return "a model without seeds" if count == 0 else counted(count, "seed")


def aims_of(experiment: Experiment) -> Iterator[Aim]:
    """For each selection that students were trained on: on every set below their teacher, below the students of all
    labels of the same teacher, hours and tag, and below those of as much speech that nobody selected, if there are any;
    at most half of the teacher's parameters, faster than the teacher. Where all students learnt all labels, they have
    those aims that need no others. Without test sets: of all students that no error rate is known."""
    selects = any(students.of_selected_labels for students in experiment.groups)
    for students in experiment.groups:
        if students.record.role == "student" and not experiment.test_sets:
            yield Aim(f"{students.name} below its teacher", NOT_MEASURED, UNKNOWN)
        if not students.of_selected_labels and (selects or students.record.role != "student"):
            continue
        teacher = experiment.teacher_of(students.model)
        own_teacher = teacher and experiment.group_of(teacher)
        rivals = [(own_teacher, own_teacher.name if own_teacher else "its teacher")]
        if students.of_selected_labels:
            of_all = experiment.group_of_all_labels(students)
            rivals.append((of_all, of_all.name if of_all else "the student of all labels"))
        if students.of_selected_labels and (of_as_much := experiment.group_of_as_much_speech(students)):
            rivals.append((of_as_much, f"{of_as_much.name}, of as much speech,"))
        for test_set in experiment.test_sets:
            for rival, name in rivals:
                yield _error_aim(experiment, students, rival, name, test_set)
        yield _size_aim(experiment, students)
        yield _speed_aim(experiment, students)


def _error_aim(experiment: Experiment, students: Group, rival: Group | None, name: str, test_set: str) -> Aim:
    """Reached or missed where a test tells the two apart. rival, called name: None where no model has its role."""
    aim = f"{students.name} below {name} on {test_set}"
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
    if teacher is None:
        return Aim(aim, NOT_MEASURED, "There is no teacher to compare with.")
    if ratio is None:
        unknown = " and ".join(model.name for model in (student, teacher) if not model.parameters)
        return Aim(aim, NOT_MEASURED, f"The number of parameters of {unknown} is not known: no Whisper checkpoint.")
    counts = f"{student.parameters:,} of {teacher.parameters:,}"
    return Aim(aim, REACHED if ratio <= MOST_PARAMETERS else MISSED, f"{counts}, that is {ratio:.3f}.")


def _speed_aim(experiment: Experiment, students: Group) -> Aim:
    aim = f"{students.name} generates faster than the teacher"
    measured = experiment.speed_of(students.model)
    if measured is None:
        return Aim(aim, NOT_MEASURED, "k2d speed has not measured both.")
    speed, decoder_speed = measured
    seconds, rounds = experiment.speed["audio_seconds"], experiment.speed["rounds"]
    token = f"{times(decoder_speed)} for a token of the decoder; {counted(rounds, 'round')} on {seconds:.0f} s of audio"
    ends = experiment.speed_interval(students.model)
    if ends is None:
        lacking = "one round alone" if rounds < 2 else "measured by an earlier version, which did not note each round"
        return Aim(aim, NOT_TOLD, f"{times(speed)} in all, {token}, {lacking}, so no test is possible.")
    low, high = ends
    outcome = REACHED if low > 1 else MISSED if high < 1 else NOT_TOLD
    return Aim(aim, outcome, f"{times(speed)} [{low:.2f}, {high:.2f}] in all, {token}.")
