"""Export a student for other programs, check the exports, write its model card.

    k2d publish --record exp/student_comp --data data/test_in --output_dir exp/student_comp/publish

--record is the student's folder in exp/, whose model.json (k2d record) names its checkpoint, its selection, the
directory of the labels it learnt, and its teacher, a folder beside it. What scoring has written below both is put on
the card.

A step: writes openai.pt, k2d/ (safetensors), huggingface/, ctranslate2/, parity.json and README.md. Each export is
loaded again and must give the original's logits and transcripts on --utterances of --data; if one does not, the command
fails and writes no README.md. Training labels that look private are listed in private/labels.tsv, for a person to
read: upload with --exclude 'private/*' --exclude step.json (git leaves private/ out by itself).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.constants import N_SAMPLES
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, UsageError, UserError, guarded
from k2d.options import CommandParser, add_options, options_of
from k2d.publish.card import LICENCES, Facts, card, read_results, result_files, training_data
from k2d.score.experiment import is_whisper
from k2d.tables import atomic, read_table
from k2d.whisper.identity import model_identity
from k2d.work import identity
from k2d.work.models import ModelRecord, read_record
from k2d.work.provenance import code_revision
from k2d.work.step import Step, add_step_arguments, run_step

if TYPE_CHECKING:
    import torch

LISTED = ("publish", 1)
PRIVATE = "private"


class NotTheStudent(UserError):
    """An export that does not compute what the student computes."""


def parser() -> argparse.ArgumentParser:
    p = CommandParser("publish", __doc__)
    p.add_argument("--record", required=True, type=Path, help="the student's folder in exp/, with its model.json")
    p.add_argument("--teacher", help="its teacher's checkpoint (default: as the teacher's record says)")
    p.add_argument("--data", required=True, type=Path, help="data directory of the parity check")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--name", help="title of the model card (default: the name of --record)")
    p.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="of the exported weights")
    p.add_argument("--ct2_dtype", choices=["float16", "float32", "int8"], help="default: --dtype")
    p.add_argument("--utterances", type=int, default=4, help="of the parity check (default %(default)s)")
    p.add_argument("--language", default="zh", help="that the parity check decodes in")
    p.add_argument("--licence", choices=list(LICENCES), default="other", help="to state on the card")
    add_options(p, AudioOptions, "recordings")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if args.utterances < 1:
        raise UsageError(f"--utterances {args.utterances}: the parity check needs at least one")


def run(args: argparse.Namespace) -> int:
    check(args)
    record = read_record(args.record)
    teacher_folder = args.record.parent / record.teacher if record.teacher else None
    if args.teacher is None:
        if teacher_folder is None:
            raise UsageError(f"{args.record}: its record names no teacher; give --teacher")
        args.teacher = read_record(teacher_folder).path
    results = result_files(args.record, teacher_folder)
    inputs = {
        "model": model_identity(record.path),
        "data": identity.of_data(args.data, "segments"),
        "results": identity.Identity(
            str(args.record),
            identity.digest_of({s: [p and identity.file_digest(p) for p in files] for s, files in results.items()}),
        ),
    }
    if is_whisper(args.teacher):
        inputs["teacher"] = model_identity(args.teacher)
    if record.data:
        inputs["train_data"] = identity.of_tables(record.data, "text", "utt2dur", "text.trusted")
    names = ("name", "dtype", "ct2_dtype", "utterances", "language", "licence")
    options = {name: getattr(args, name) for name in names} | {
        "record": [record.name, record.selection, record.alpha, args.teacher]
    }
    step = Step("publish", args.output_dir, inputs=inputs, options=options, arguments=args)
    return run_step(step, args, lambda: work(args, record, results))


def parity_mels(args: argparse.Namespace, n_mels: int) -> dict[str, torch.Tensor]:
    """Features of evenly spaced utterances, (n_mels, 3000) each; what cannot be read is passed over."""
    from k2d.whisper.features import utterance_log_mel

    data = DataDir(args.data)
    audio = open_utterances(data, **options_of(AudioOptions, args).reading)
    ids = list(data.segments)
    step = max(1, len(ids) // args.utterances)
    mels: dict[str, torch.Tensor] = {}
    for utterance in ids[::step] + ids:
        if len(mels) == args.utterances:
            break
        try:
            mels[utterance] = utterance_log_mel(audio[utterance], n_mels, N_SAMPLES)
        except BadAudio as error:
            print(f"publish: {utterance} is left out of the parity check: {error}", file=sys.stderr)
    if not mels:
        raise DataError(f"{data.path}: no utterance can be read; the parity check needs at least one")
    return mels


def of_teacher(teacher: str, student: torch.nn.Module) -> dict:
    """Facts of the card about the teacher, as far as it is a Whisper model."""
    import torch

    from k2d.whisper import checkpoint
    from k2d.whisper.model import count_parameters

    if not is_whisper(teacher):
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


def search_labels(labels: Path, folder: Path) -> tuple[int, dict[str, int]]:
    """Number of labels searched, findings by kind; the findings themselves go to `folder`/labels.tsv."""
    from tqdm import tqdm

    from k2d.publish import privacy

    texts = read_table(labels)
    found = privacy.find(tqdm(texts.items(), desc="labels", unit="label", leave=False))
    with atomic(folder / "labels.tsv") as out:
        out.write("id\tkind\ttext\n")
        out.writelines(f"{f.id}\t{f.kind}\t{f.text}\n" for f in found)
    folder.chmod(0o700)
    (folder / ".gitignore").write_text("*\n")
    return len(texts), dict(Counter(f.kind for f in found))


def work(args: argparse.Namespace, record: ModelRecord, results: Mapping[str, tuple[Path, Path | None]]) -> None:
    import torch

    from k2d.publish import parity
    from k2d.publish.export import export_all
    from k2d.whisper import checkpoint
    from k2d.whisper.model import count_parameters

    # A card of an attempt before must not lie beside exports that fail now.
    (args.output_dir / "README.md").unlink(missing_ok=True)
    student = checkpoint.load(record.path)
    trained_on = training_data(Path(record.data)) if record.data else {}
    searched, findings = None, {}
    if record.data:
        searched, findings = search_labels(Path(record.data) / "text", args.output_dir / PRIVATE)
    with torch.no_grad():
        original = parity.samples(student, parity_mels(args, student.dims.n_mels), args.language)
        parities = export_all(
            student, original, args.output_dir, args.dtype, args.ct2_dtype or args.dtype, args.language
        )
    with atomic(args.output_dir / "parity.json") as out:
        out.write(json.dumps([p.as_dict() for p in parities], indent=1) + "\n")
    for p in parities:
        print(f"publish: {p}", file=sys.stderr if not p.ok else sys.stdout)
    if failed := [p for p in parities if not p.ok]:
        raise NotTheStudent(
            f"{len(failed)} of {len(parities)} checks FAILED; do not publish what is in {args.output_dir}"
        )
    facts = Facts(
        name=args.name or record.name,
        teacher=Path(args.teacher).name if Path(args.teacher).exists() else args.teacher,
        languages=["zh", "en"] if student.tokenizer.multilingual else ["en"],
        parameters=count_parameters(student.model),
        encoder_layers=student.dims.n_audio_layer,
        decoder_layers=student.dims.n_text_layer,
        trim_padding=student.trim_padding,
        whisper_vocabulary=student.tokenizer.published,
        licence=args.licence,
        **of_teacher(args.teacher, student.model),
        **trained_on,
        selection=record.selection,
        alpha=record.alpha,
        results=read_results(results),
        parities=parities,
        labels_checked=searched,
        findings=findings,
        revision=code_revision(),
    )
    with atomic(args.output_dir / "README.md") as out:
        out.write(card(facts))
    said = f"{len(parities)} checks on {len(original)} utterances passed, {facts.parameters:,} parameters"
    if facts.teacher_parameters:
        said += f", {facts.parameters / facts.teacher_parameters:.3f} of the teacher's"
    if searched is not None:
        said += f", {sum(findings.values())} private-looking texts in {searched} labels"
    print(f"publish: {args.output_dir}: {said}; upload without {PRIVATE}/ and step.json")


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("publish", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
