"""Facts about a student in, the README.md of its published folder out: card.md.j2 filled in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from k2d.datadir import DataDir
from k2d.score.experiment import segment_hours
from k2d.score.tables import Table, percent
from k2d.text.trusted import TRUSTED

if TYPE_CHECKING:
    from k2d.publish.parity import Parity

LICENCES = {
    "mit": "MIT",
    "apache-2.0": "Apache License 2.0",
    "cc-by-4.0": "Creative Commons Attribution 4.0",
    "cc-by-sa-4.0": "Creative Commons Attribution-ShareAlike 4.0",
    "cc-by-nc-4.0": "Creative Commons Attribution-NonCommercial 4.0",
    "other": "not chosen yet: choose one that the licences of the teacher and of the recordings allow, "
    "before anybody else gets these files",
}


@dataclass(frozen=True)
class Facts:
    """What the card says. teacher_parameters, teacher_decoder_layers: None where the teacher is no Whisper model.
    `results`: test set to result.json of the student and, as far as known, of the teacher. `findings`: number of
    label texts that look private, by kind; labels_checked: of so many, None where nobody looked."""

    name: str
    teacher: str
    languages: Sequence[str]
    parameters: int
    encoder_layers: int
    decoder_layers: int
    trim_padding: bool
    whisper_vocabulary: bool
    licence: str
    teacher_parameters: int | None = None
    teacher_decoder_layers: int | None = None
    encoder_unchanged: bool = False
    hours: float | None = None
    chunks: int | None = None
    trusted_hours: float | None = None
    selection: str | None = None
    alpha: float | None = None
    results: Mapping[str, tuple[dict, dict | None]] = field(default_factory=dict)
    parities: Sequence[Parity] = ()
    labels_checked: int | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    revision: str = "unknown"


def training_data(folder: Path) -> dict[str, float | int | None]:
    """Of a selection directory: hours, chunks, and, where segments were selected, trusted_hours of these."""
    data = DataDir(folder)
    found = {"hours": sum(data.utt2dur.values()) / 3600 if data.utt2dur else None, "chunks": len(data.segments)}
    if (folder / TRUSTED).exists() and (hours := segment_hours(folder)):
        found["trusted_hours"] = hours[0]
    return found


def result_files(student: Path, teacher: Path | None) -> dict[str, tuple[Path, Path | None]]:
    """test set -> result.json of the student and, where there is one, of the teacher; folders in exp/."""
    found = {}
    for path in sorted(student.glob("decode_*/score/result.json")):
        decoded = path.parents[1].name
        rival = teacher / decoded / "score/result.json" if teacher else None
        found[decoded.removeprefix("decode_")] = (path, rival if rival and rival.exists() else None)
    return found


def read_results(files: Mapping[str, tuple[Path, Path | None]]) -> dict[str, tuple[dict, dict | None]]:
    def read(path: Path | None) -> dict | None:
        return None if path is None else json.loads(path.read_text(encoding="utf-8"))

    return {test_set: (read(student), read(teacher)) for test_set, (student, teacher) in files.items()}


def _results_table(results: Mapping[str, tuple[dict, dict | None]]) -> Table:
    rows = []
    for test_set, (student, teacher) in results.items():
        zh, en = (student["languages"][name] for name in ("zh", "en"))
        rates = [percent(part["rate"]) for part in (student["mer"], zh, en, student["switch_points"])]
        rows.append([test_set, *rates, percent(teacher["mer"]["rate"] if teacher else None)])
    return Table(
        "Results",
        "Error rates in percent: mixed (one Chinese character or one word a unit, summed over the set), "
        "Mandarin characters, English words, and units beside a change of language.",
        ["test set", "MER", "zh CER", "en WER", "switch points", "teacher's MER"],
        rows,
    )


def card(facts: Facts) -> str:
    import jinja2

    # Markdown, not HTML: nothing is escaped.
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((resources.files("k2d.publish") / "card.md.j2").read_text("utf-8"))
    return template.render(
        {f.name: getattr(facts, f.name) for f in dataclasses.fields(facts)},
        licence_said=LICENCES[facts.licence],
        results_table=_results_table(facts.results).markdown() if facts.results else "",
        findings_said=", ".join(f"{n} × {kind}" for kind, n in sorted(facts.findings.items())) or "none",
    )
