"""Whether a student may leave the house: what conf/gates.yaml asks for, and what is known of the student.

In: the gates, error rates beside the teacher's, findings in the labels, licences. Out: a verdict for each gate, with
the figures behind it. What was not measured is not passed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from k2d.errors import DataError, UserError
from k2d.score.monolingual import NAMES, Retained

_OWN, _SHARED = Path("conf/gates.yaml"), Path(__file__).resolve().parents[2] / "conf/gates.yaml"


class NotReleased(UserError):
    """A student that does not pass a gate."""


@dataclass(frozen=True)
class Gates:
    """As conf/gates.yaml explains them; None or False: not asked."""

    zh_rise: float | None = 1.0
    en_rise: float | None = 1.0
    min_units: int = 200
    loop_rise: float | None = 0.0
    privacy: bool = True
    licences: bool = True


@dataclass(frozen=True)
class Verdict:
    gate: str
    passed: bool
    said: str

    def __str__(self) -> str:
        return f"gate {self.gate}: {'passed' if self.passed else 'FAILED'}: {self.said}"


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
        if not fits and not (value is None and name != "min_units"):
            wanted = "true, false" if switch else "a number" if name == "min_units" else "a number, or null"
            raise DataError(f"{path}: {name}: {value!r}; expected {wanted}")
    return found


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
            found.append(_monolingual(language, allowed, gates.min_units, kept))
    if gates.loop_rise is not None:
        found.append(_loops(gates.loop_rise, results.values()))
    if gates.privacy:
        found.append(_privacy(findings, reviewed_by))
    if gates.licences:
        lacking = [what for what, licence in licences.items() if not licence]
        said = ", ".join(f"{what} {licence}" for what, licence in licences.items() if licence)
        asked = ", ".join(f"--{_OPTION[what]}" for what in lacking)
        found.append(Verdict("licences", not lacking, f"state {asked}" if lacking else said))
    return found


_OPTION = {"model": "licence", "teacher": "teacher_licence", "recordings": "data_licence"}


def _monolingual(language: str, allowed: float, min_units: int, kept: Sequence[Retained]) -> Verdict:
    name = f"monolingual {language}"
    own = [each for each in kept if each.language == language and each.units >= min_units]
    if not own:
        most = max((each.units for each in kept if each.language == language), default=0)
        return Verdict(
            name,
            False,
            f"not measured: no test set has {min_units} units in utterances of {NAMES[language]} alone (most: {most}) "
            "that student and teacher were scored on; add such a set to --test_sets",
        )
    worst = max(own, key=lambda each: each.rise)
    return Verdict(
        name,
        worst.rise <= allowed,
        f"{100 * worst.student:.2f} % on {worst.test_set}, the teacher {100 * worst.teacher:.2f} % "
        f"({worst.rise:+.2f} points, allowed {allowed:+.2f})",
    )


def _loops(allowed: float, results: Iterable[tuple[dict, dict | None]]) -> Verdict:
    both = [(student, teacher) for student, teacher in results if teacher]
    shares = []
    for each in zip(*both, strict=True):
        counted = [r.get("repetitions", {}) for r in each]
        windows = sum(c.get("of_windows", 0) for c in counted)
        shares.append(100 * sum(c.get("windows", 0) for c in counted) / windows if windows else None)
    if not shares or None in shares:
        return Verdict("loops", False, "not measured: no test set was scored for both student and teacher")
    student, teacher = shares
    return Verdict(
        "loops",
        student - teacher <= allowed,
        f"{student:.2f} % of windows repeat themselves, the teacher's {teacher:.2f} % (allowed {allowed:+.2f} points)",
    )


def _privacy(findings: int | None, reviewed_by: str | None) -> Verdict:
    if findings is None:
        said = "the labels were not searched: the student's record names none (k2d record --data)"
        return Verdict("privacy", False, said)
    if not findings:
        return Verdict("privacy", True, "no label looks private")
    if reviewed_by:
        return Verdict("privacy", True, f"{findings} findings, looked at by {reviewed_by}")
    return Verdict(
        "privacy",
        False,
        f"{findings} findings in private/labels.tsv; read them, take out what is private, and say --reviewed_by NAME",
    )
