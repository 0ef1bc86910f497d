"""Write the tables for one training: labels and the location of their audio.

    k2d training_tables --data SELECTION --valid_data DIR --output_dir DIR [--encoder_out DIR …] \\
        [--valid_encoder_out DIR] [--teacher_topk DIR] [--leave_out DIR]

Writes text, text.prev, text.trusted, frames_shape (ESPnet's shape file) and wav.scp with segments, or encoder_out.scp;
with --teacher_topk topk_ids.scp and topk_log_probs.scp; and the same of the validation set in `valid/`. `k2d train
--tables` takes all of it. Several --encoder_out are versions of the same audio (clean, with noise, …): each utterance
appears once a version, as <id>, <id>+1, <id>+2 …, always with the label and the teacher of <id>.

What training cannot use is left out and listed in skipped.txt. The validation set is read completely; in the training
set, missing files and audio above 30 s whose label has no timestamp to cut at are left out.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.constants import SAMPLE_RATE, WINDOW
from k2d.errors import BadAudio, DataError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.tables import read_numbers, read_table, write_table
from k2d.text.trusted import TRUSTED
from k2d.work import identity
from k2d.work.skipped import SkipOptions, read_skipped, why, write_skipped
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 4)
AUDIO = ("wav.scp", "segments")
LABELS = ("text", "text.prev", TRUSTED)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("training_tables", __doc__)
    p.add_argument("--data", required=True, type=Path, help="data directory of the selected chunks")
    p.add_argument("--valid_data", type=Path, help="labelled set that chooses the epoch")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--leave_out", type=Path, help="data directory of chunks to exclude from --data")
    p.add_argument("--encoder_out", type=Path, nargs="*", default=[], help="outputs of k2d encode")
    p.add_argument("--valid_encoder_out", type=Path, help="the same of --valid_data")
    p.add_argument("--teacher_topk", type=Path, help="output of k2d cache_teacher")
    add_options(p, AudioOptions, "recordings")
    add_options(p, SkipOptions, "what cannot be used")
    add_step_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    inputs = {"data": identity.of_data(args.data, *AUDIO, *LABELS, "utt2dur")}
    if args.valid_data:
        inputs["valid_data"] = identity.of_data(args.valid_data, *AUDIO, "text", "utt2dur")
    if args.leave_out:
        inputs["leave_out"] = identity.of_tables(args.leave_out, "text")
    for version, folder in enumerate(args.encoder_out):
        inputs[f"encoder_out{version}"] = identity.of_step(folder)
    for name in ("valid_encoder_out", "teacher_topk"):
        if getattr(args, name):
            inputs[name] = identity.of_step(getattr(args, name))
    options = options_of(AudioOptions, args).reading
    step = Step("training_tables", args.output_dir, inputs=inputs, options=options, arguments=args)
    return run_step(step, args, lambda: write(args))


def write(args: argparse.Namespace) -> dict:
    from k2d.distill.sources import COPY_MARK, TOPK_IDS, TOPK_LOG_PROBS

    text = read_table(args.data / "text") if (args.data / "text").exists() else {}
    if args.leave_out:
        held_out = read_table(args.leave_out / "text")
        text = {uid: label for uid, label in text.items() if uid not in held_out}
    if not text:
        raise DataError(f"{args.data}/text: no utterance was selected; raise --alpha or look at dropped.tsv")
    audio = options_of(AudioOptions, args)
    skipped = _unreachable(args.data, text, audio) if not args.encoder_out else {}
    topk = {}
    if args.teacher_topk:
        topk = {name: read_table(args.teacher_topk / f"{name}.scp") for name in (TOPK_IDS, TOPK_LOG_PROBS)}
        of_teacher = read_skipped(args.teacher_topk)
        skipped |= {uid: of_teacher[uid] for uid in text.keys() & of_teacher.keys()}
    of_encoder = [read_skipped(folder) for folder in args.encoder_out] or [{}]
    ids = {}
    for uid in text:
        if uid not in skipped and (left_out := [found[uid] for found in of_encoder if uid in found]):
            skipped[uid] = left_out[0]
        if uid not in skipped:
            ids |= {f"{uid}{COPY_MARK}{v}" if v else uid: (uid, v) for v in range(len(of_encoder))}
    write_skipped(args.output_dir, skipped, len(text), args.max_skipped)
    for name in LABELS:
        if (args.data / name).exists():
            values = text if name == "text" else read_table(args.data / name)
            write_table(args.output_dir / name, {copy: values.get(uid, "") for copy, (uid, _) in ids.items()})
    _write_audio(args.output_dir, args.data, ids, args.encoder_out, audio)
    for name, source in topk.items():
        lines = {copy: _value(source, uid, args.teacher_topk) for copy, (uid, _) in ids.items()}
        write_table(args.output_dir / f"{name}.scp", lines)
    if args.valid_data:
        _write_valid(args, audio)
    kept = len(text) - len(skipped)
    print(
        f"training_tables: {kept} utterances in {len(of_encoder)} version(s) → {args.output_dir}, "
        f"{len(skipped)} skipped"
    )
    return {"utterances": kept, "skipped": len(skipped)}


def _write_valid(args: argparse.Namespace, audio: AudioOptions) -> None:
    """The validation set without the utterances that cannot be used, which its skipped.txt names."""
    folder, data = args.output_dir / "valid", args.valid_data
    text = read_table(data / "text")
    if not text:
        raise DataError(f"{data}/text: empty; the validation set needs labelled utterances to choose an epoch by")
    stored = [args.valid_encoder_out] if args.valid_encoder_out else []
    if stored:
        of_encoder = read_skipped(stored[0])
        skipped = {uid: of_encoder[uid] for uid in text.keys() & of_encoder.keys()}
    else:
        skipped = _unusable(data, text, audio)
    for uid, reason in sorted(skipped.items()):
        print(f"training_tables: {uid} of {data} is left out: {reason}", file=sys.stderr)
    write_skipped(folder, skipped, len(text))
    text = {uid: value for uid, value in text.items() if uid not in skipped}
    write_table(folder / "text", text)
    _write_audio(folder, data, {uid: (uid, 0) for uid in text}, stored, audio)
    print(f"training_tables: {len(text)} utterances to validate with, {len(skipped)} skipped")


def _write_audio(
    folder: Path, data: Path, ids: Mapping[str, tuple[str, int]], stored: list[Path], audio: AudioOptions
) -> None:
    """frames_shape, and encoder_out.scp where it is stored, else wav.scp and segments. ids: id → (source, version)."""
    from k2d.audio.utterances import open_utterances
    from k2d.distill.sources import ENCODER_OUT, encoder_frames

    if stored:
        tables = [read_table(source / f"{ENCODER_OUT}.scp") for source in stored]
        frames = [read_numbers(source / "utt2num_frames") for source in stored]
        lines = {copy: _value(tables[v], uid, stored[v]) for copy, (uid, v) in ids.items()}
        write_table(folder / f"{ENCODER_OUT}.scp", lines)
        shapes = {copy: int(_value(frames[v], uid, stored[v])) for copy, (uid, v) in ids.items()}
    else:
        for name in AUDIO:
            if (data / name).exists():
                write_table(folder / name, read_table(data / name))
        utterances = open_utterances(data, **audio.reading)
        shapes = {uid: encoder_frames(utterances.duration(uid)) for uid in ids}
    write_table(folder / "frames_shape", shapes)


def _unreachable(data: Path, text: Mapping[str, str], audio: AudioOptions) -> dict[str, str]:
    """id → why, of utterances whose audio is not there or has no known length, or that are too long to be cut. Headers
    are looked at: what is inside them is found in training, which then goes on without it.
    """
    from k2d.audio.stamps import FileStamps
    from k2d.audio.utterances import open_utterances

    utterances, stamp = open_utterances(data, **audio.reading), FileStamps()
    _known(text, utterances, data)
    sources, skipped = utterances.data.wav, {}
    for uid, label in text.items():
        source = sources.get(utterances.data.segments[uid].recording, "")
        try:
            if source.rstrip().endswith("|") and not audio.allow_pipes:
                raise BadAudio(source, "command", "commands run only with --allow_pipes; read it, then allow it")
            if stamp(source).startswith("missing"):
                raise BadAudio(source, "missing", "no such file; correct wav.scp")
            _check_length(uid, label, utterances.duration(uid))
        except BadAudio as error:
            skipped[uid] = why(error)
    return skipped


def _unusable(data: Path, text: Mapping[str, str], audio: AudioOptions) -> dict[str, str]:
    """id → why, of utterances that cannot be read from their first to their last sample, or are too long."""
    from tqdm import tqdm

    from k2d.audio.utterances import open_utterances
    from k2d.work.jobs import prefetch

    utterances = open_utterances(data, **audio.reading)
    _known(text, utterances, data)

    def fault(uid: str) -> tuple[str, str]:
        try:
            _check_length(uid, text[uid], len(utterances[uid]) / SAMPLE_RATE)
            return uid, ""
        except BadAudio as error:
            return uid, why(error)

    found = tqdm(prefetch(text, fault, 4), desc=f"read {data}", total=len(text), unit="utt", mininterval=2)
    return {uid: reason for uid, reason in found if reason}


def _check_length(uid: str, label: str, seconds: float) -> None:
    """BadAudio where a student cannot take so many seconds, and a label without times has no place to be cut at."""
    from k2d.distill.sources import SLACK

    if seconds > WINDOW + SLACK and "<|" not in label:
        raise BadAudio(uid, "too long", f"{seconds:.1f} s, and its label has no time to cut it at; cut it in two")


def _known(ids: Iterable[str], utterances, data: Path) -> None:
    if missing := [uid for uid in ids if uid not in utterances]:
        raise DataError(f"{data}/text: {missing[0]} has a label and no audio; run utils/fix_data.py {data}")


def _value(table: dict, uid: str, folder: Path):
    if uid not in table:
        raise DataError(f"{folder}: {uid} is not stored; run the stage that makes this directory again")
    return table[uid]


main = command(parser, run)
