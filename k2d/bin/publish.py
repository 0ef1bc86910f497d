"""Export a student for other programs, check every export against it, write its model card.

    python -m k2d.bin.publish --model exp/student_comp/average --teacher exp/teacher --data data/test_in \
        --output_dir exp/student_comp/publish --train_data data/lectures_teacher_comp \
        --labels data/lectures_teacher_comp/text --results exp/student_comp --teacher_results exp/teacher

Writes openai.pt, k2d/ (safetensors), huggingface/, ctranslate2/, parity.json and README.md. Each export is
loaded again and must give the original's logits and transcripts on --utterances of --data; if one does
not, the command fails and writes no README.md. --labels lists training labels that look private in
<output_dir>.private.tsv, beside the folder and not in it.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import torch
from tqdm import tqdm

from k2d.audio.utterances import open_utterances
from k2d.constants import N_SAMPLES
from k2d.datadir import DataDir
from k2d.errors import BadAudio, CheckpointError, DataError
from k2d.publish import parity, privacy
from k2d.publish.card import LICENCES, Facts, card, read_results, training_data
from k2d.publish.export import export_all, remove_exports
from k2d.tables import atomic, read_table
from k2d.text.tokenizer import WhisperTokenizer
from k2d.whisper import checkpoint
from k2d.whisper.features import utterance_log_mel
from k2d.whisper.model import count_parameters
from k2d.work.provenance import code_revision


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", required=True, help="the student's checkpoint")
    p.add_argument("--teacher", required=True, help="its teacher's checkpoint")
    p.add_argument("--data", required=True, type=Path, help="data directory of the parity check")
    p.add_argument("--output_dir", required=True, type=Path)
    p.add_argument("--name", help="title of the model card (default: the output directory's parent)")
    p.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    p.add_argument("--ct2_dtype", choices=["float16", "float32", "int8"], help="default: --dtype")
    p.add_argument("--utterances", type=int, default=4, help="of the parity check (default %(default)s)")
    p.add_argument("--language", default="zh")
    p.add_argument("--train_data", type=Path, help="the selection that the student was trained on")
    p.add_argument("--selection", help="its name on the card (default: the student's name, student_<selection>)")
    p.add_argument("--labels", type=Path, help="training labels to search for private data")
    p.add_argument("--results", type=Path, help="folder of the student's decode_<set>/result.json")
    p.add_argument("--teacher_results", type=Path, help="the same of the teacher")
    p.add_argument("--licence", choices=list(LICENCES), default="other")
    return p


def parity_mels(data: DataDir, number: int, n_mels: int) -> dict[str, torch.Tensor]:
    """Features of evenly spaced utterances, (n_mels, 3000) each; what cannot be read is passed over."""
    audio = open_utterances(data)
    ids = list(data.segments)
    step = max(1, len(ids) // number)
    mels: dict[str, torch.Tensor] = {}
    for utterance in ids[::step] + ids:
        if len(mels) == number:
            break
        try:
            mels[utterance] = utterance_log_mel(audio[utterance], n_mels, N_SAMPLES)
        except BadAudio as error:
            print(f"publish: {utterance} is left out of the parity check: {error}", file=sys.stderr)
    if not mels:
        raise DataError(f"{data.path}: no utterance can be read; the parity check needs at least one")
    return mels


def encoder_unchanged(student: torch.nn.Module, teacher: torch.nn.Module) -> bool:
    ours, theirs = student.encoder.state_dict(), teacher.encoder.state_dict()
    return ours.keys() == theirs.keys() and all(
        ours[n].shape == theirs[n].shape and torch.allclose(ours[n], theirs[n], atol=1e-3) for n in ours
    )


def search_labels(labels: Path, output_dir: Path) -> tuple[int, dict[str, int]]:
    """Number of labels searched, findings by kind; the findings go to a file beside the output."""
    texts = read_table(labels)
    found = privacy.find(tqdm(texts.items(), desc="labels", unit="label", leave=False))
    with atomic(output_dir.with_name(output_dir.name + ".private.tsv")) as out:
        out.write("id\tkind\ttext\n")
        out.writelines(f"{f.id}\t{f.kind}\t{f.text}\n" for f in found)
    return len(texts), dict(Counter(f.kind for f in found))


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    torch.set_grad_enabled(False)
    try:
        student = checkpoint.load(args.model)
        teacher = checkpoint.load(args.teacher)
        data = DataDir(args.data)
        trained_on = training_data(args.train_data) if args.train_data else {}
        results = read_results(args.results, args.teacher_results)
        searched, findings = search_labels(args.labels, args.output_dir) if args.labels else (None, {})
        original = parity.samples(student, parity_mels(data, args.utterances, student.dims.n_mels), args.language)
        remove_exports(args.output_dir)
        parities = export_all(
            student, original, args.output_dir, args.dtype, args.ct2_dtype or args.dtype, args.language
        )
    except (CheckpointError, DataError, ValueError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    with atomic(args.output_dir / "parity.json") as out:
        out.write(json.dumps([p.as_dict() for p in parities], indent=1) + "\n")
    failed = [p for p in parities if not p.ok]
    for p in parities:
        print(f"publish: {p}", file=sys.stderr if not p.ok else sys.stdout)
    if failed:
        told = f"{len(failed)} of {len(parities)} checks FAILED; do not publish what is in {args.output_dir}"
        print(f"publish: {told}", file=sys.stderr)
        return 1

    name = args.name or args.output_dir.resolve().parent.name
    facts = Facts(
        name=name,
        teacher=Path(args.teacher).name if Path(args.teacher).exists() else args.teacher,
        languages=["zh", "en"] if student.tokenizer.multilingual else ["en"],
        parameters=count_parameters(student.model),
        teacher_parameters=count_parameters(teacher.model),
        encoder_layers=student.dims.n_audio_layer,
        decoder_layers=student.dims.n_text_layer,
        teacher_decoder_layers=teacher.dims.n_text_layer,
        encoder_unchanged=encoder_unchanged(student.model, teacher.model),
        trim_padding=student.trim_padding,
        whisper_vocabulary=isinstance(student.tokenizer, WhisperTokenizer),
        licence=args.licence,
        **trained_on,
        selection=args.selection or (name.removeprefix("student_") if name.startswith("student_") else None),
        results=results,
        parities=parities,
        labels_checked=searched,
        findings=findings,
        revision=code_revision(),
    )
    with atomic(args.output_dir / "README.md") as out:
        out.write(card(facts))
    private = f", {sum(findings.values())} private-looking texts in {searched} labels" if args.labels else ""
    ratio = facts.parameters / facts.teacher_parameters
    print(
        f"publish: {args.output_dir}: {len(parities)} checks on {len(original)} utterances passed, "
        f"{facts.parameters:,} parameters, {ratio:.3f} of the teacher's{private}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
