"""Facts about a student in, the README.md of its published folder out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2d.datadir import DataDir
from k2d.publish.parity import Parity
from k2d.score.experiment import segment_hours
from k2d.score.tables import Table, percent
from k2d.text.trusted import TRUSTED

LICENCES = {
    "mit": "MIT",
    "apache-2.0": "Apache License 2.0",
    "cc-by-4.0": "Creative Commons Attribution 4.0",
    "cc-by-sa-4.0": "Creative Commons Attribution-ShareAlike 4.0",
    "cc-by-nc-4.0": "Creative Commons Attribution-NonCommercial 4.0",
    "other": "not chosen yet: choose one that the licences of the teacher and of the recordings allow, "
    "before anybody else gets these files",
}


_LANGUAGE_TOKEN = ("- Language token at inference: `zh`, also for speech that switches to English.",)


@dataclass(frozen=True)
class Facts:
    """What the card says. `results`: test set to result.json of the student and, as far as known, of the
    teacher. `findings`: number of label texts that look private, by kind; None where nobody looked."""

    name: str
    teacher: str
    languages: Sequence[str]
    parameters: int
    teacher_parameters: int
    encoder_layers: int
    decoder_layers: int
    teacher_decoder_layers: int
    encoder_unchanged: bool
    trim_padding: bool
    whisper_vocabulary: bool
    licence: str
    hours: float | None = None
    chunks: int | None = None
    trusted_hours: float | None = None
    selection: str | None = None
    results: Mapping[str, tuple[dict | None, dict | None]] = field(default_factory=dict)
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


def read_results(student: Path | None, teacher: Path | None) -> dict[str, tuple[dict | None, dict | None]]:
    """Every result.json below `decode_<set>/` of the student's and the teacher's folders."""
    found: dict[str, list[dict | None]] = {}
    for side, folder in enumerate((student, teacher)):
        for path in sorted(folder.glob("decode_*/result.json")) if folder else ():
            both = found.setdefault(path.parent.name.removeprefix("decode_"), [None, None])
            both[side] = json.loads(path.read_text(encoding="utf-8"))
    return {test_set: (s, t) for test_set, (s, t) in found.items() if s is not None}


def _results_table(results: Mapping[str, tuple[dict | None, dict | None]]) -> Table:
    def rates(result: dict | None) -> list[str]:
        if result is None:
            return ["–"] * 4
        languages = result["languages"]
        return [
            percent(result["mer"]["rate"]),
            percent(languages["zh"]["rate"]),
            percent(languages["en"]["rate"]),
            percent(result["switch_points"]["rate"]),
        ]

    rows = [[s, *rates(student), rates(teacher)[0]] for s, (student, teacher) in results.items()]
    return Table(
        "Results",
        "Error rates in percent: mixed (one Chinese character or one word a unit, summed over the set), "
        "Mandarin characters, English words, and units beside a change of language.",
        ["test set", "MER", "zh CER", "en WER", "switch points", "teacher's MER"],
        rows,
    )


def card(facts: Facts) -> str:
    ratio = facts.parameters / facts.teacher_parameters
    trained = "Pseudo-labels of the teacher on unlabelled recordings"
    if facts.hours is not None:
        trained += f": {facts.hours:.2f} hours in {facts.chunks} chunks of at most 30 s"
    elif facts.chunks is not None:
        trained += f": {facts.chunks} chunks of at most 30 s"
    if facts.trusted_hours is not None:
        trained += f", of which the segments that the validator confirms, {facts.trusted_hours:.2f} hours, are learnt"
    if facts.selection:
        trained += f", selected by agreement with a small validator model (`{facts.selection}`)"
    parts = [
        "---",
        "language:",
        *(f"- {code}" for code in facts.languages),
        f"license: {facts.licence}",
        "pipeline_tag: automatic-speech-recognition",
        "library_name: transformers",
        "tags:",
        "- whisper",
        "- knowledge-distillation",
        "- code-switching",
        "---",
        "",
        f"# {facts.name}",
        "",
        f"A student of {facts.teacher}, distilled with K²D. Its encoder ({facts.encoder_layers} layers) is "
        f"{'the teacher’s, unchanged' if facts.encoder_unchanged else 'not the teacher’s'}; its decoder has "
        f"{facts.decoder_layers} layers, the teacher's {facts.teacher_decoder_layers}.",
        "",
        "## Facts",
        "",
        f"- Parameters: {facts.parameters:,}, {ratio:.3f} of the teacher's {facts.teacher_parameters:,}.",
        f"- Training data: {trained}.",
        *(_LANGUAGE_TOKEN if "zh" in facts.languages else ()),
        "- Context: " + _context(facts.trim_padding),
        f"- Revision of the code: {facts.revision}.",
        f"- Licence: {LICENCES[facts.licence]}.",
        "",
        "## Files",
        "",
        "| folder or file | read by |",
        "|---|---|",
        *_files(facts.whisper_vocabulary),
        "",
        "Each was loaded again and compared with the original:",
        "",
        *(f"- {parity}" for parity in facts.parities),
        "",
    ]
    if facts.results:
        parts += [_results_table(facts.results).markdown()]
    parts += [
        "## Intended use",
        "",
        "Transcription of lectures and similar speech in Mandarin that switches to English, of the kind "
        "that the training recordings hold. Translation, other languages, and identification of speakers "
        "are not intended.",
        "",
        "## Limits",
        "",
        "- Distilled from one domain: speech of another domain, and speech in one language only, can be "
        "transcribed worse than by the teacher. Measure it on your own recordings first.",
        "- Text that was never said is possible, above all where nobody speaks, and so is text that repeats "
        "itself. Speech can be left out.",
        "- The labels were made by a model; no person has corrected them.",
        "",
        "## Privacy",
        "",
        *_privacy(facts),
        "",
    ]
    return "\n".join(parts)


def _files(whisper_vocabulary: bool) -> list[str]:
    rows = [
        ("openai.pt", "openai-whisper"),
        ("k2d/", "k2d"),
        ("huggingface/", "transformers, k2d"),
        ("ctranslate2/", "ctranslate2, faster-whisper, k2d"),
    ]
    if not whisper_vocabulary:
        # openai-whisper decodes with its own vocabularies only; faster-whisper takes any smaller one for
        # English only.
        rows[0] = ("openai.pt", "openai-whisper: weights only, the vocabulary is the student's own")
        rows[3] = ("ctranslate2/", "ctranslate2, k2d")
    return [f"| `{name}` | {readers} |" for name, readers in rows]


def _context(trim_padding: bool) -> str:
    if trim_padding:
        return "up to 30 s; shorter utterances need not be padded to 30 s when decoded by k2d."
    return "30 s, shorter utterances padded with silence."


def _privacy(facts: Facts) -> list[str]:
    if facts.labels_checked is None:
        return [
            "The training labels have **not** been searched for private data. Do that (`--labels`) before "
            "anybody else gets these files: a student repeats what its labels say."
        ]
    found = ", ".join(f"{n} × {kind}" for kind, n in sorted(facts.findings.items())) or "none"
    return [
        f"{facts.labels_checked} training labels were searched for texts in the form of e-mail addresses, "
        f"telephone, identity, card and student numbers. Found: {found}. The list is kept outside of this "
        "folder, for a person to read. Names and stories have no form that a search finds."
    ]
