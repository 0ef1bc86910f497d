"""Whether a student may leave the house: what conf/gates.yaml asks for, and what is known of the student.

In: the gates, error rates beside the teacher's, findings in the labels, licences. Out: a verdict for each gate, with
the figures behind it. What is measured passes, or fails, where its whole 95 % interval does; with the limit in the
interval nobody can tell, and the verdict says how much more would. What cannot be told, or was not measured, is not
passed.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from k2d.errors import DataError, UserError
from k2d.publish.card import read_results
from k2d.publish.privacy import listed_in
from k2d.score.aims import UNKNOWN
from k2d.score.monolingual import NAMES, Retained, retained
from k2d.score.significance import share_difference
from k2d.wording import counted
from k2d.work.folders import write_json

NO_TEST_SET = "loops are counted on test sets, and there is none; k2d audit makes one, then give it in --test_sets"
_OWN, _SHARED = Path("conf/gates.yaml"), Path(__file__).resolve().parents[2] / "conf/gates.yaml"


class NotReleased(UserError):
    """A student that does not pass a gate."""


@dataclass(frozen=True)
class Gates:
    """As conf/gates.yaml explains them; None or False: not asked."""

    zh_rise: float | None = 1.0
    en_rise: float | None = 1.0
    loop_rise: float | None = 0.5
    privacy: bool = True
    licences: bool = True


@dataclass(frozen=True)
class Verdict:
    """passed: None where it cannot be told."""

    gate: str
    passed: bool | None
    said: str

    def __str__(self) -> str:
        word = {True: "passed", False: "not passed", None: "cannot tell"}[self.passed]
        return f"gate {self.gate}: {word}: {self.said}"


def read_gates(own: Path | None = None) -> Gates:
    """The repository's gates, and over them the recipe's, or those of the file `own`. Raises DataError."""
    values: dict[str, object] = {}
    for path in (_SHARED, own or _OWN):
        if path is own or path.is_file():
            values |= _read(path)
    return Gates(**values)


def _read(path: Path) -> dict[str, object]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path}: no gates ({said}); expected lines such as 'zh_rise: 1.0'") from None
    known = {field.name: field.default for field in dataclasses.fields(Gates)}
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected lines such as 'zh_rise: 1.0'; there are {', '.join(known)}")
    for name, value in found.items():
        if name not in known:
            raise DataError(f"{path}: no gate {name!r}; there are {', '.join(known)}")
        switch = isinstance(known[name], bool)
        fits = isinstance(value, bool) if switch else isinstance(value, int | float) and not isinstance(value, bool)
        if not fits and value is not None:
            wanted = "true, false" if switch else "a number, or null"
            raise DataError(f"{path}: {name}: {value!r}; expected {wanted}")
    return found


def judge(
    folder: Path,
    gates: Gates,
    results: Mapping[str, tuple[Path, Path | None]],
    reviewed_by: str | None,
    licences: Mapping[str, str | None],
) -> list[Verdict]:
    """`verdicts` on a published folder, also written to its gates.json. results: as `card.result_files`."""
    found = verdicts(gates, retained(results), read_results(results), listed_in(folder), reviewed_by, licences)
    write_json(folder / "gates.json", [dataclasses.asdict(each) for each in found])
    return found


def require(folder: Path, found: Sequence[Verdict]) -> None:
    """Raises NotReleased unless all gates are passed."""
    if failed := [each for each in found if not each.passed]:
        names = ", ".join(each.gate for each in failed)
        of = counted(len(found), "gate")
        raise NotReleased(f"{folder} is not released: {len(failed)} of {of} not passed ({names}); see the lines above")


def verdicts(
    gates: Gates,
    kept: Sequence[Retained],
    results: Mapping[str, tuple[dict, dict | None]],
    findings: int | None,
    reviewed_by: str | None,
    licences: Mapping[str, str | None],
) -> list[Verdict]:
    """findings: labels that look private, None where nobody searched. licences: what has one -> the licence stated."""
    found = []
    for language, allowed in (("zh", gates.zh_rise), ("en", gates.en_rise)):
        if allowed is not None:
            gate, known = f"monolingual {language}", kept or results
            found.append(_monolingual(gate, language, allowed, kept) if known else Verdict(gate, None, UNKNOWN))
    if gates.loop_rise is not None:
        found.append(_loops(gates.loop_rise, results.values()) if results else Verdict("loops", None, NO_TEST_SET))
    if gates.privacy:
        found.append(_privacy(findings, reviewed_by))
    if gates.licences:
        lacking = [what for what, licence in licences.items() if not licence]
        said = ", ".join(f"{what} {licence}" for what, licence in licences.items() if licence)
        asked = ", ".join(f"--{_OPTION[what]}" for what in lacking)
        found.append(Verdict("licences", not lacking, f"state {asked}" if lacking else said))
    return found


_OPTION = {"model": "licence", "teacher": "teacher_licence", "recordings": "data_licence"}


def _verdict(rise: float, low: float, high: float, allowed: float, count: int, what: str) -> tuple[bool | None, str]:
    """Whether a rise is at most what is allowed, all in points: True or False where all of its interval says so."""
    said = f"{rise:+.2f} points [{low:+.2f}, {high:+.2f}], allowed {allowed:+.2f}"
    if high <= allowed or low > allowed:
        return high <= allowed, said
    # The half width falls with the root of how much there is.
    apart = abs(allowed - rise)
    times = max(2.0, ((high - low) / 2 / apart) ** 2) if apart > 0.01 else None
    more = f"about {_round(times * count):,} {what} would tell" if times and times < 1000 else f"more {what} may tell"
    return None, f"{said}; {more}, of the {count:,} that there are"


def _round(number: float) -> int:
    """To two digits."""
    return int(float(f"{number:.1e}"))


def _monolingual(name: str, language: str, allowed: float, kept: Sequence[Retained]) -> Verdict:
    """By the test sets that can tell; one that fails is enough to fail."""
    of = f"utterances of {NAMES[language]} alone"
    own = [each for each in kept if each.language == language and each.low is not None]
    if not own:
        return Verdict(
            name,
            None,
            f"no test set has {of}, of two recordings at least, that student and teacher were scored on; "
            "add one to --test_sets",
        )
    unit = "characters" if language == "zh" else "words"
    verdicts = []
    for each in own:
        passed, said = _verdict(each.rise, each.low, each.high, allowed, each.units, f"{unit} in {of}")
        rates = f"{100 * each.student:.2f} % on {each.test_set}, the teacher {100 * each.teacher:.2f} %"
        verdicts.append((each, Verdict(name, passed, f"{rates}: {said}")))
    order = (False, True, None)
    return min(verdicts, key=lambda found: (order.index(found[1].passed), -found[0].rise))[1]


def _loops(allowed: float, results: Iterable[tuple[dict, dict | None]]) -> Verdict:
    both = [(student, teacher) for student, teacher in results if teacher]
    counted = []
    for each in zip(*both, strict=True):
        found = [r.get("repetitions", {}) for r in each]
        counted.append((sum(c.get("windows", 0) for c in found), sum(c.get("of_windows", 0) for c in found)))
    if not counted or not all(windows for _, windows in counted):
        return Verdict("loops", None, "no test set was scored for both student and teacher")
    student, teacher = (100 * some / windows for some, windows in counted)
    low, high = (100 * end for end in share_difference(*counted))
    windows = min(windows for _, windows in counted)
    passed, said = _verdict(student - teacher, low, high, allowed, windows, "windows of test sets")
    rates = f"{student:.2f} % of windows repeat themselves, the teacher's {teacher:.2f} %"
    return Verdict("loops", passed, f"{rates}: {said}")


def _privacy(findings: int | None, reviewed_by: str | None) -> Verdict:
    if findings is None:
        said = "the labels were not searched: the student's record names none (k2d record --data)"
        return Verdict("privacy", False, said)
    if not findings:
        return Verdict("privacy", True, "no label looks private")
    if reviewed_by:
        return Verdict("privacy", True, f"{counted(findings, 'finding')}, reviewed by {reviewed_by}")
    return Verdict(
        "privacy",
        False,
        f"private/labels.tsv has {counted(findings, 'finding')}; read it, remove what is private, and give "
        "--reviewed_by NAME",
    )
