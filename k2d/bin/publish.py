"""Export a student for other programs, check the exports, write its model card, upload it.

    k2d publish --record exp/student_comp --data data/test_in --output_dir exp/student_comp/publish
    k2d publish --output_dir exp/student_comp/publish --push_to_hub OWNER/NAME
    k2d publish --output_dir exp/student_comp/publish --push_to_hub OWNER/NAME --release --yes

--record is the student's folder in exp/, whose model.json (k2d record) names its checkpoint, its selection, the
directory of the labels it learnt, and its teacher, a folder beside it. The scores of both go on the card. Without
--record, everything is taken from the step.json in --output_dir.

A step: writes huggingface/ with the model card, README.md, in it; ctranslate2/, k2d/ and openai.pt; ggml-model.bin for
whisper.cpp, where the vocabulary is Whisper's; parity.json. Each export is loaded again and must reproduce the
original's logits and transcripts on --utterances of --data; otherwise the command fails and writes no card. Training
labels that look private are listed in private/labels.tsv, for a person to review.

Then the gates of conf/gates.yaml are checked: how far monolingual error rates and loops may be above the teacher's,
whether somebody has reviewed private labels (--reviewed_by), and whether licences are stated. The verdicts go to
gates.json ("passed" is null if the test sets are too small to tell); with --release, a gate that is not passed is an
error.

--push_to_hub shows what would be uploaded to the Hugging Face Hub, and with --yes uploads it: huggingface/ at the top,
the other formats beside it, nothing of private/. The repository is private until --release. Log in with 'hf auth
login', or set HF_TOKEN.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.constants import N_SAMPLES
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, UsageError, UserError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.publish.card import (
    LICENCES,
    Facts,
    base_model,
    card,
    labels_made,
    read_results,
    result_files,
    spoken,
    training_data,
)
from k2d.publish.gates import NotReleased, read_gates, verdicts
from k2d.publish.upload import CARD, HUGGINGFACE, check_id, described, planned, upload
from k2d.score.monolingual import retained
from k2d.tables import atomic, read_table
from k2d.transcribers import kind_of
from k2d.whisper.identity import HEADS, PACKAGED, PUBLISHED, model_identity
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.models import ModelRecord, read_record
from k2d.work.provenance import code_revision
from k2d.work.step import SOMETHING_TO_DO, Step, add_step_arguments, run_step

if TYPE_CHECKING:
    import torch

LISTED = ("publish", 1)
PRIVATE = "private"
LISTED_LABELS = "labels.tsv"
CARD_FILE = Path(HUGGINGFACE) / CARD
ON_CARD = ("teacher_licence", "data_licence", "base_model", "datasets")

Results = Mapping[str, tuple[Path, Path | None]]


class NotTheStudent(UserError):
    """An export that does not compute what the student computes."""


def parser() -> argparse.ArgumentParser:
    p = CommandParser("publish", __doc__)
    p.add_argument("--record", type=Path, help="the student's folder in exp/, with its model.json")
    p.add_argument("--teacher", help="its teacher's checkpoint (default: from the teacher's record)")
    p.add_argument("--data", type=Path, help="data directory of the parity check")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--name", help="title of the model card (default: the name of --record)")
    p.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="type of exported weights")
    p.add_argument("--ct2_dtype", choices=["float16", "float32", "int8"], help="for CTranslate2 (default: --dtype)")
    p.add_argument("--utterances", type=int, default=4, help="utterances in the parity check (default %(default)s)")
    p.add_argument("--language", default="zh", help="language it transcribes, as on the card (auto: detected)")
    card = p.add_argument_group("on the card")
    card.add_argument("--licence", choices=list(LICENCES), default="other", help="licence of the student")
    card.add_argument("--teacher_licence", help="licence of the teacher (default for OpenAI's models: MIT)")
    card.add_argument("--data_licence", help="licence of the recordings, in a word or a sentence")
    card.add_argument("--base_model", help="the teacher's Hugging Face id (default: from its name)")
    card.add_argument("--datasets", nargs="+", default=[], help="Hugging Face ids of the training corpora")
    out = p.add_argument_group("release")
    out.add_argument("--release", action="store_true", help="make it public; refused unless all gates pass")
    out.add_argument("--gates", type=Path, help="YAML over the repository's gates (default: conf/gates.yaml here)")
    out.add_argument("--reviewed_by", help="who has read private/labels.tsv")
    out.add_argument("--push_to_hub", metavar="OWNER/NAME", help="show what would be uploaded there")
    out.add_argument("--yes", action="store_true", help="with --push_to_hub: upload it")
    out.add_argument("--dry_run", action="store_true", help="with --push_to_hub: only show, even with --yes")
    add_options(p, AudioOptions, "recordings")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if args.utterances < 1:
        raise UsageError(f"--utterances {args.utterances}: the parity check needs at least one")
    if args.push_to_hub:
        check_id(args.push_to_hub)
    elif args.yes or args.dry_run:
        raise UsageError("--yes and --dry_run are about --push_to_hub OWNER/NAME; give it, or leave them out")
    if (args.record is None) != (args.data is None):
        raise UsageError("--record and --data go together; give both, or for a folder that is published, none")
    if args.record is not None:
        read_gates(args.gates)


# What is not about the folder's content, and is asked anew each time.
RELEASE = ("output_dir", "release", "gates", "reviewed_by", "push_to_hub", "yes", "dry_run", "begin")


def as_published(args: argparse.Namespace) -> argparse.Namespace:
    """What a published folder was made with, for a command line that names no student."""
    made = identity.record_in(args.output_dir)
    if made.get("step") != "publish":
        raise UsageError(f"{args.output_dir}: no student was published there; give --record and --data")
    said = {name: value for name, value in made["arguments"].items() if name not in RELEASE}
    for name in ("record", "data"):
        said[name] = Path(said[name])
    return argparse.Namespace(**{**vars(args), **said})


def run(args: argparse.Namespace) -> int:
    check(args)
    if args.record is None:
        args = as_published(args)
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
    if kind_of(args.teacher) == "whisper":
        inputs["teacher"] = model_identity(args.teacher)
    if (heads := args.record / HEADS).is_file():
        inputs["heads"] = identity.of_file(heads)
    if record.data:
        inputs["train_data"] = identity.of_tables(record.data, "text", "utt2dur", "text.trusted")
    if args.teacher_licence is None and args.teacher in (*PUBLISHED, *PACKAGED):
        args.teacher_licence = "MIT"
    names = ("name", "dtype", "ct2_dtype", "utterances", "language", "licence", *ON_CARD)
    options = {name: getattr(args, name) for name in names} | {
        "record": [record.name, record.selection, record.alpha, args.teacher]
    }
    step = Step("publish", args.output_dir, inputs=inputs, options=options, arguments=args)
    status = run_step(step, args, lambda: work(args, record, results))
    if args.begin:  # gates and the Hub are asked anew, whatever is done
        return SOMETHING_TO_DO if args.release or args.push_to_hub else status
    if status == SOMETHING_TO_DO:  # somebody is only looking
        return status
    release(args, results)
    return status


def release(args: argparse.Namespace, results: Results) -> None:
    """Ask the gates; send the folder to the Hub, or show what would go. Raises NotReleased, NotUploaded."""
    listed = args.output_dir / PRIVATE / LISTED_LABELS
    licences = {
        "model": None if args.licence == "other" else args.licence,
        "teacher": args.teacher_licence,
        "recordings": args.data_licence,
    }
    found = verdicts(
        read_gates(args.gates),
        retained(results),
        read_results(results),
        len(listed.read_text(encoding="utf-8").splitlines()) - 1 if listed.is_file() else None,
        args.reviewed_by,
        licences,
    )
    write_json(args.output_dir / "gates.json", [asdict(each) for each in found])
    for each in found:
        print(f"publish: {each}")
    failed = [each for each in found if not each.passed]
    if args.release and failed:
        said = "; ".join(f"{each.gate}: {each.said}" for each in failed)
        raise NotReleased(
            f"{args.output_dir} is not released, {len(failed)} of {len(found)} gates are not passed: {said}"
        )
    if args.push_to_hub:
        plan = planned(args.output_dir)
        print(described(plan, args.push_to_hub, args.release))
        if args.yes and not args.dry_run:
            print(f"publish: uploaded: {upload(plan, args.push_to_hub, args.release)}")
        else:
            print("publish: nothing was uploaded; --yes uploads it")


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


def search_labels(labels: Path, folder: Path) -> tuple[int, dict[str, int]]:
    """Number of labels searched, findings by kind; the findings themselves go to `folder`/labels.tsv."""
    from tqdm import tqdm

    from k2d.publish import privacy

    texts = read_table(labels)
    found = privacy.find(tqdm(texts.items(), desc="labels", unit="label", leave=False))
    with atomic(folder / LISTED_LABELS) as out:
        out.write("id\tkind\ttext\n")
        out.writelines(f"{f.id}\t{f.kind}\t{f.text}\n" for f in found)
    folder.chmod(0o700)
    (folder / ".gitignore").write_text("*\n")
    return len(texts), dict(Counter(f.kind for f in found))


def work(args: argparse.Namespace, record: ModelRecord, results: Results) -> None:
    import torch

    from k2d.publish import parity
    from k2d.publish.export import export_all
    from k2d.whisper import checkpoint
    from k2d.whisper.model import count_parameters

    # A card of an attempt before must not lie beside exports that fail now.
    (args.output_dir / CARD_FILE).unlink(missing_ok=True)
    student = checkpoint.load(record.path)
    language = args.language if student.tokenizer.multilingual else "en"
    trained_on = training_data(Path(record.data)) if record.data else {}
    searched, findings = None, {}
    if record.data:
        searched, findings = search_labels(Path(record.data) / "text", args.output_dir / PRIVATE)
    with torch.no_grad():
        original = parity.samples(student, parity_mels(args, student.dims.n_mels), args.language)
        parities = export_all(
            student, original, args.output_dir, args.dtype, args.ct2_dtype or args.dtype, args.language
        )
    write_json(args.output_dir / "parity.json", [p.as_dict() for p in parities])
    for p in parities:
        print(f"publish: {p}", file=sys.stderr if not p.ok else sys.stdout)
    if failed := [p for p in parities if not p.ok]:
        raise NotTheStudent(
            f"{len(failed)} of {len(parities)} checks FAILED; do not publish what is in {args.output_dir}"
        )
    facts = Facts(
        name=args.name or record.name,
        teacher=Path(args.teacher).name if Path(args.teacher).exists() else args.teacher,
        languages=spoken(language, Path(record.data) / "text" if record.data else None),
        language=None if language == "auto" else language,
        parameters=count_parameters(student.model),
        encoder_layers=student.dims.n_audio_layer,
        decoder_layers=student.dims.n_text_layer,
        trim_padding=student.trim_padding,
        whisper_vocabulary=student.tokenizer.published,
        licence=args.licence,
        **of_teacher(args.teacher, student.model),
        **trained_on,
        **(labels_made(Path(record.data)) if record.data else {}),
        selection=record.selection,
        alpha=record.alpha,
        results=read_results(results),
        retained=retained(results),
        base_model=args.base_model or base_model(args.teacher),
        datasets=args.datasets,
        teacher_licence=args.teacher_licence,
        data_licence=args.data_licence,
        validator=record.validator,
        parities=parities,
        labels_checked=searched,
        findings=findings,
        revision=code_revision(),
    )
    with atomic(args.output_dir / CARD_FILE) as out:
        out.write(card(facts))
    said = f"{len(parities)} checks on {len(original)} utterances passed, {facts.parameters:,} parameters"
    if facts.teacher_parameters:
        said += f", {facts.parameters / facts.teacher_parameters:.3f} of the teacher's"
    if searched is not None:
        said += f", {sum(findings.values())} private-looking texts in {searched} labels"
    print(f"publish: {args.output_dir}: {said}; the card is {args.output_dir / CARD_FILE}")


main = command(parser, run)
