"""Facts about a student in, its model card out: card.md.j2 filled in, under what the Hub reads (`front_matter`)."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from k2d.datadir import DataDir
from k2d.label.segments import seconds_of_segments
from k2d.score.monolingual import NAMES, Retained
from k2d.score.scored import RESULT
from k2d.score.tables import Table, interval, mixed_rate, percent
from k2d.tables import WEIGHT, read_numbers, read_table
from k2d.text import timestamps
from k2d.text.trusted import TRUSTED
from k2d.text.trusted import read as read_trusted
from k2d.text.units import language_of, units
from k2d.transcribers import kind_of
from k2d.whisper import hub
from k2d.whisper.identity import ALIASES, PACKAGED, PUBLISHED
from k2d.wording import counted
from k2d.work.folders import read_result
from k2d.work.identity import input_of, record_in

if TYPE_CHECKING:
    from k2d.publish.parity import Parity

PLACEHOLDER = "OWNER/NAME"  # of a repository that is not known yet
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
    label texts that look private, by kind; labels_checked: of so many, None where nobody looked. base_model, datasets:
    ids of the Hub. language: code that it transcribes in, None where it detects one. rule: what the selection asks of a
    chunk; ready_labels: that no model of ours wrote the labels; revised_by: models whose transcripts replaced some."""

    name: str
    teacher: str
    languages: Sequence[str]  # codes, that of its labels first
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
    mean_weight: float | None = None
    selection: str | None = None
    alpha: float | None = None
    results: Mapping[str, tuple[dict, dict | None]] = field(default_factory=dict)
    retained: Sequence[Retained] = ()
    base_model: str | None = None
    datasets: Sequence[str] = ()
    teacher_licence: str | None = None
    data_licence: str | None = None
    validator: str | None = None
    rule: str | None = None
    ready_labels: bool = False
    revised_by: str | None = None
    repo: str = PLACEHOLDER
    parities: Sequence[Parity] = ()
    labels_checked: int | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    revision: str = "unknown"
    language: str | None = None


def training_data(labels: Path, tables: Path) -> dict[str, float | int | None]:
    """Of the chunks that were learnt: hours, number; where segments were selected, trusted_hours of these; where labels
    are weighted, mean_weight of an hour. labels: a selection; tables: what its training read (k2d training_tables),
    which lacks what was held out; without them, all of the selection counts."""
    data = DataDir(labels)
    learnt = read_table(tables / "text") if (tables / "text").exists() else data.segments
    ids, lasting = [uid for uid in data.segments if uid in learnt], data.utt2dur or {}
    found = {"hours": sum(lasting[uid] for uid in ids) / 3600 if lasting else None, "chunks": len(ids)}
    if (labels / TRUSTED).exists() and lasting:
        flags = read_table(labels / TRUSTED)
        seconds = (seconds_of_segments(data.text[uid], lasting[uid]) for uid in ids)
        trusted = sum(own[read_trusted(uid, flags.get(uid, ""), len(own))].sum() for uid, own in zip(ids, seconds))
        found["trusted_hours"] = trusted / 3600
    if (labels / WEIGHT).exists() and (weights := read_numbers(labels / WEIGHT)):
        found["mean_weight"] = np.average(
            [weights[uid] for uid in ids], weights=[lasting.get(uid, 1.0) for uid in ids]
        )
    return found


def labels_made(folder: Path) -> dict[str, str | bool]:
    """Of a selection directory, as far as records say: the `rule`, whether labels were ready (`ready_labels`), and
    whether other models' transcripts have replaced some (`revised_by`)."""
    chunks, found = input_of(folder, "data"), {}
    if chunks and record_in(chunks).get("step") == "revise":
        chunks, found = input_of(chunks, "data"), {"revised_by": "other models"}
    model = str(record_in(chunks).get("arguments", {}).get("model", "")) if chunks else ""
    rule = record_in(folder).get("options", {}).get("rule")
    return found | {"ready_labels": kind_of(model) == "text", **({"rule": rule} if rule else {})}


def result_files(student: Path, teacher: Path | None) -> dict[str, tuple[Path, Path | None]]:
    """test set -> result.json of the student and, where there is one, of the teacher; folders in exp/."""
    found = {}
    for path in sorted(student.glob(f"decode_*/score/{RESULT}")):
        rival = teacher / path.relative_to(student) if teacher else None
        test_set = path.parents[1].name.removeprefix("decode_")
        found[test_set] = (path, rival if rival and rival.exists() else None)
    return found


def read_results(files: Mapping[str, tuple[Path, Path | None]]) -> dict[str, tuple[dict, dict | None]]:
    return {
        test_set: (read_result(student), teacher and read_result(teacher))
        for test_set, (student, teacher) in files.items()
    }


def _results_table(results: Mapping[str, tuple[dict, dict | None]]) -> Table:
    rows = []
    for test_set, (student, teacher) in results.items():
        zh, en = (student["languages"][name] for name in ("zh", "en"))
        rates = [percent(part["rate"]) for part in (zh, en, student["switch_points"])]
        texts = f"{student['utterances']:,}"
        rows.append([test_set, texts, mixed_rate(student), *rates, mixed_rate(teacher)])
    return Table(
        "Results",
        "Error rates in percent: mixed (one Chinese character or one word a unit, summed over the set), "
        "Mandarin characters, English words, and units beside a change of language. In brackets 95 % intervals.",
        ["test set", "texts", "MER", "zh CER", "en WER", "switch points", "teacher's MER"],
        rows,
    )


def _retained_table(kept: Sequence[Retained]) -> Table:
    signed = "{:+.2f}".format
    rows = [
        [each.test_set, NAMES[each.language], str(each.utterances), str(each.units)]
        + [percent(each.student), percent(each.teacher), f"{each.rise:+.2f}{interval(each.low, each.high, signed)}"]
        for each in kept
    ]
    return Table(
        "Retention",
        "Utterances that are in one language alone: characters of Mandarin and words of English that are wrong, in "
        "percent, and by how many points the student is above the teacher, in brackets its 95 % interval.",
        ["test set", "language", "utterances", "units", "student", "teacher", "rise"],
        rows,
    )


def spoken(language: str, labels: Path | None) -> list[str]:
    """Codes of the languages that a student transcribes, that of decoding first: of Chinese and English those that have
    one unit of twenty of its labels, where it learnt the one, the other, or whatever was detected ("auto")."""
    if language not in ("zh", "en", "auto") or labels is None or not labels.is_file():
        return [] if language == "auto" else [language]
    found = Counter[str]()
    for text in read_table(labels).values():
        found.update(map(language_of, units(timestamps.strip(text))))
    often = [code for code in ("zh", "en") if 20 * found[code] >= found["zh"] + found["en"] > 0]
    return [code for code in sorted(("zh", "en"), key=language.__ne__) if code in often or code == language]


def named(code: str) -> str:
    """Of a language's code, as a sentence has it: "zh" -> "Mandarin"."""
    from whisper.tokenizer import LANGUAGES as ALL

    return {**ALL, **NAMES}.get(code, code).title()


def base_model(teacher: str) -> str | None:
    """The Hub's id of a teacher by its name; None for a folder, whose name says nothing to others."""
    if teacher in PACKAGED:
        teacher = teacher.partition("@")[0]
    if teacher in PUBLISHED:
        return f"openai/whisper-{(ALIASES | {'large-v1': 'large'}).get(teacher, teacher)}"
    if kind_of(teacher) in ("espnet", "transformers"):
        teacher = teacher.partition(":")[2]
    parts = hub.parts_of(teacher)
    return parts and parts[0]


def front_matter(facts: Facts) -> dict:
    """What the Hub reads: language, licence, base model, data sets, and the results as its model-index has them. Rates
    in percent; the mixed error rate is a `wer` whose words are also characters."""
    found = {
        **({"language": list(facts.languages)} if facts.languages else {}),
        "license": facts.licence,
        **({"base_model": facts.base_model} if facts.base_model else {}),
        **({"datasets": list(facts.datasets)} if facts.datasets else {}),
        "pipeline_tag": "automatic-speech-recognition",
        "library_name": "transformers",
        "tags": ["whisper", "knowledge-distillation", *(["code-switching"] if len(facts.languages) > 1 else []), "k2d"],
    }
    if facts.results:
        found["metrics"] = ["wer", "cer"]
        found["model-index"] = [{"name": facts.name, "results": [_indexed(*each) for each in facts.results.items()]}]
    return found


def _indexed(test_set: str, results: tuple[dict, dict | None]) -> dict:
    student, _ = results
    rates = [
        ("wer", "Mixed error rate (MER)", student["mer"]),
        ("cer", "Mandarin character error rate", student["languages"]["zh"]),
        ("wer", "English word error rate", student["languages"]["en"]),
    ]
    return {
        "task": {"type": "automatic-speech-recognition", "name": "Automatic speech recognition"},
        "dataset": {"type": test_set, "name": test_set},
        "metrics": [
            {"type": kind, "name": name, "value": round(100 * part["rate"], 2)}
            for kind, name, part in rates
            if part["rate"] is not None
        ],
    }


def card(facts: Facts) -> str:
    import jinja2

    # Markdown, not HTML: nothing is escaped.
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((resources.files("k2d.publish") / "card.md.j2").read_text("utf-8"))
    text = template.render(
        {f.name: getattr(facts, f.name) for f in dataclasses.fields(facts)},
        counted=counted,
        filtered=facts.selection not in (None, "full"),
        front=yaml.safe_dump(front_matter(facts), allow_unicode=True, sort_keys=False),
        names=[named(code) for code in facts.languages],
        licence_said=LICENCES[facts.licence],
        results_table=_results_table(facts.results).markdown() if facts.results else "",
        retained_table=_retained_table(facts.retained).markdown() if facts.retained else "",
        findings_said=", ".join(f"{n} × {kind}" for kind, n in sorted(facts.findings.items())) or "none",
    )
    return re.sub(r"\n{3,}", "\n\n", text)
