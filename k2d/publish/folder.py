"""A student in, its published folder out: the exports, checked, and the model card.

In: the student's record, its teacher, `PublishOptions`. Out: huggingface/ with the card in it, ctranslate2/, k2d/,
openai.pt and, where the vocabulary is Whisper's, ggml-model.bin; parity.json; private/labels.tsv, what looks private in
the labels that the student learnt.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k2d.atomic import atomic
from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import UserError
from k2d.publish import privacy
from k2d.publish.card import Facts, base_model, card, labels_made, read_results, spoken, training_data
from k2d.publish.forms import HUGGINGFACE
from k2d.publish.upload import CARD
from k2d.score.monolingual import retained
from k2d.tables import WEIGHT
from k2d.text.trusted import TRUSTED
from k2d.transcribers import kind_of
from k2d.whisper.identity import HEADS, model_identity
from k2d.wording import counted
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.identity import Identity
from k2d.work.models import ModelRecord
from k2d.work.provenance import code_revision

if TYPE_CHECKING:
    import torch

CARD_FILE = Path(HUGGINGFACE) / CARD
TABLES = "data"  # in a student's folder, of `k2d training_tables`: what it learnt

Results = Mapping[str, tuple[Path, Path | None]]  # as `card.result_files`


class NotTheStudent(UserError):
    """An export that does not compute what the student computes."""


@dataclass(frozen=True)
class PublishOptions:
    """Of the exports: dtype, float16 or float32; ct2_dtype, also int8, dtype's where None. Of their check: the number
    of utterances. language: a code, or "auto". The rest stands on the card (`Facts`).
    """

    name: str | None
    dtype: str
    ct2_dtype: str | None
    utterances: int
    language: str
    licence: str
    teacher_licence: str | None
    data_licence: str | None
    base_model: str | None
    datasets: Sequence[str]


def inputs_of(student: Path, record: ModelRecord, teacher: str, data: Path, results: Results) -> dict[str, Identity]:
    """What a published folder is made of. student: its folder in exp/; teacher: a checkpoint; data: of the check."""
    digests = {s: [p and identity.file_digest(p) for p in files] for s, files in results.items()}
    inputs = {
        "model": model_identity(record.path),
        "data": identity.of_data(data, "segments"),
        "results": Identity(str(student), identity.digest_of(digests)),
    }
    if kind_of(teacher) == "whisper":
        inputs["teacher"] = model_identity(teacher)
    if (heads := student / HEADS).is_file():
        inputs["heads"] = identity.of_file(heads)
    if record.data:
        inputs["train_data"] = identity.of_tables(record.data, "text", "utt2dur", TRUSTED, WEIGHT)
    if (learnt := student / TABLES / "text").is_file():
        inputs["learnt"] = identity.of_file(learnt)
    return inputs


def publish(
    folder: Path,
    student_folder: Path,
    record: ModelRecord,
    teacher: str,
    options: PublishOptions,
    data: DataDir,
    audio: AudioOptions,
    results: Results,
) -> Facts:
    """Write the folder; returns what the card says. student_folder: in exp/; teacher: a checkpoint; data: some of its
    utterances check the exports. Each check is printed. Raises NotTheStudent where one fails, and leaves no card."""
    import torch

    from k2d.publish import parity
    from k2d.publish.export import export_all
    from k2d.whisper import checkpoint
    from k2d.whisper.model import count_parameters

    # A card of an attempt before must not lie beside exports that fail now.
    (folder / CARD_FILE).unlink(missing_ok=True)
    student = checkpoint.load(record.path)
    language = options.language if student.tokenizer.multilingual else "en"
    labels = Path(record.data) if record.data else None
    learnt = training_data(labels, student_folder / TABLES) | labels_made(labels) if labels else {}
    if record.revised_by:
        learnt["revised_by"] = " and ".join(record.revised_by.split("+"))
    searched, findings = privacy.search(labels / "text", folder) if labels else (None, {})
    with torch.no_grad():
        mels = parity.some_mels(data, options.utterances, student.dims.n_mels, audio)
        original = parity.samples(student, mels, options.language)
        ct2_dtype = options.ct2_dtype or options.dtype
        parities = export_all(student, original, folder, options.dtype, ct2_dtype, options.language)
    write_json(folder / "parity.json", [p.as_dict() for p in parities])
    for p in parities:
        print(f"publish: {p}", file=sys.stderr if not p.ok else sys.stdout)
    if failed := [p for p in parities if not p.ok]:
        of = counted(len(parities), "check")
        raise NotTheStudent(f"{len(failed)} of {of} FAILED; do not publish what is in {folder}")
    facts = Facts(
        name=options.name or record.name,
        teacher=Path(teacher).name if Path(teacher).exists() else teacher,
        languages=spoken(language, labels and labels / "text"),
        language=None if language == "auto" else language,
        parameters=count_parameters(student.model),
        encoder_layers=student.dims.n_audio_layer,
        decoder_layers=student.dims.n_text_layer,
        trim_padding=student.trim_padding,
        whisper_vocabulary=student.tokenizer.published,
        licence=options.licence,
        **_of_teacher(teacher, student.model),
        **learnt,
        selection=record.selection,
        alpha=record.alpha,
        results=read_results(results),
        retained=retained(results),
        base_model=options.base_model or base_model(teacher),
        datasets=options.datasets,
        teacher_licence=options.teacher_licence,
        data_licence=options.data_licence,
        validator=record.validator,
        parities=parities,
        labels_checked=searched,
        findings=findings,
        revision=code_revision(),
    )
    with atomic(folder / CARD_FILE) as out:
        out.write(card(facts))
    return facts


def _of_teacher(teacher: str, student: torch.nn.Module) -> dict:
    """Facts of the card about the teacher, as far as it is a Whisper model."""
    import torch

    from k2d.whisper import checkpoint
    from k2d.whisper.model import count_parameters

    if kind_of(teacher) != "whisper":
        return {}
    loaded = checkpoint.load(teacher)
    ours, theirs = student.encoder.state_dict(), loaded.model.encoder.state_dict()
    unchanged = ours.keys() == theirs.keys() and all(
        ours[n].shape == theirs[n].shape and torch.allclose(ours[n], theirs[n], atol=1e-3) for n in ours
    )
    return {
        "teacher_parameters": count_parameters(loaded.model),
        "teacher_decoder_layers": loaded.dims.n_text_layer,
        "encoder_unchanged": unchanged,
    }
