"""The tables of one student's training: its labels, and where their audio, or what is stored of it, lies.

    k2d training_tables --data SELECTION --valid_data DIR --output_dir DIR [--encoder_out DIR …]
        [--valid_encoder_out DIR] [--teacher_topk DIR] [--leave_out DIR]

Writes text, text.prev, text.trusted, frames_shape (ESPnet's shape file) and wav.scp with segments, or encoder_out.scp;
with --teacher_topk topk_ids.scp and topk_log_probs.scp; and the same of the validation set in `valid/`. `k2d train
--tables` takes all of it. Several --encoder_out are versions of the same audio (clean, with noise, …): each utterance
appears once a version, as <id>, <id>+1, <id>+2 …, always with the label and the teacher of <id>.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from k2d.errors import DataError, guarded
from k2d.tables import read_numbers, read_table, write_table
from k2d.text.trusted import TRUSTED
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

AUDIO = ("wav.scp", "segments")
LABELS = ("text", "text.prev", TRUSTED)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d training_tables", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", required=True, type=Path)
    p.add_argument("--valid_data", type=Path, help="labelled, for choosing the epoch")
    p.add_argument("--output_dir", required=True, type=Path)
    p.add_argument("--leave_out", type=Path, help="data directory of chunks of --data that are held out")
    p.add_argument("--encoder_out", type=Path, nargs="*", default=[], help="outputs of k2d encode")
    p.add_argument("--valid_encoder_out", type=Path, help="the same of --valid_data")
    p.add_argument("--teacher_topk", type=Path, help="output of k2d cache_teacher")
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
    step = Step("training_tables", args.output_dir, inputs=inputs, options={}, arguments=args)
    return run_step(step, args, lambda: write(args))


def write(args: argparse.Namespace) -> dict:
    from k2d.distill.sources import COPY_MARK, TOPK_IDS, TOPK_LOG_PROBS

    text = read_table(args.data / "text") if (args.data / "text").exists() else {}
    if args.leave_out:
        held_out = read_table(args.leave_out / "text")
        text = {uid: label for uid, label in text.items() if uid not in held_out}
    if not text:
        raise DataError(f"{args.data}/text: no utterance was selected; raise --alpha or look at dropped.tsv")
    versions = range(max(1, len(args.encoder_out)))
    ids = {f"{uid}{COPY_MARK}{v}" if v else uid: (uid, v) for uid in text for v in versions}
    for name in LABELS:
        if (args.data / name).exists():
            values = text if name == "text" else read_table(args.data / name)
            write_table(args.output_dir / name, {copy: values.get(uid, "") for copy, (uid, _) in ids.items()})
    _write_audio(args.output_dir, args.data, ids, args.encoder_out)
    if args.teacher_topk:
        for name in (TOPK_IDS, TOPK_LOG_PROBS):
            source = read_table(args.teacher_topk / f"{name}.scp")
            lines = {copy: _value(source, uid, args.teacher_topk) for copy, (uid, _) in ids.items()}
            write_table(args.output_dir / f"{name}.scp", lines)
    if args.valid_data:
        valid = read_table(args.valid_data / "text")
        write_table(args.output_dir / "valid/text", valid)
        stored = [args.valid_encoder_out] if args.valid_encoder_out else []
        _write_audio(args.output_dir / "valid", args.valid_data, {uid: (uid, 0) for uid in valid}, stored)
    print(f"training_tables: {len(text)} utterances in {len(versions)} version(s) → {args.output_dir}")
    return {"utterances": len(text)}


def _write_audio(folder: Path, data: Path, ids: Mapping[str, tuple[str, int]], stored: list[Path]) -> None:
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
        utterances = open_utterances(data)  # durations: from utt2dur, else segments, else headers
        shapes = {uid: encoder_frames(utterances.duration(uid)) for uid in _known(ids, utterances, data)}
    write_table(folder / "frames_shape", shapes)


def _known(ids: Iterable[str], utterances, data: Path) -> Iterable[str]:
    if missing := [uid for uid in ids if uid not in utterances]:
        raise DataError(f"{data}/text: {missing[0]} has a label and no audio; run utils/fix_data.py {data}")
    return ids


def _value(table: dict, uid: str, folder: Path):
    if uid not in table:
        raise DataError(f"{folder}: {uid} is not stored; run the stage that makes this directory again")
    return table[uid]


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("training_tables", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
