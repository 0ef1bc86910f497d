"""The tables of one student's training set: its labels, and what is stored of their audio and teacher.

`python -m k2d.bin.training_tables --data SELECTION --output_dir DIR [--encoder_out DIR …]
[--teacher_topk DIR]`

Several --encoder_out are versions of the same audio (clean, with noise, …): each utterance appears once a
version, as <id>, <id>+1, <id>+2 …, always with the label and the teacher of <id>. Writes text, text.prev, text.trusted,
frames_shape (ESPnet's shape file), and where asked for encoder_out.scp, topk_ids.scp, topk_log_probs.scp.
"""

import argparse
from pathlib import Path

from k2d.constants import ENCODER_FRAMES_PER_SECOND as FRAMES_PER_SECOND
from k2d.datadir import DataDir
from k2d.distill.sources import COPY_MARK, ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS, located
from k2d.errors import DataError
from k2d.tables import read_table, write_table
from k2d.text.trusted import TRUSTED


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--encoder_out", type=Path, nargs="*", default=[], help="outputs of k2d.bin.encode")
    parser.add_argument("--teacher_topk", type=Path, help="output of k2d.bin.cache_teacher")
    args = parser.parse_args(argv)
    try:
        write(args)
    except DataError as error:
        parser.exit(1, f"training_tables: {error}\n")


def write(args: argparse.Namespace) -> None:
    data = DataDir(args.data)
    if not data.text:
        raise DataError(f"{args.data}/text: no utterance was selected; raise --alpha or look at dropped.tsv")
    versions = range(max(1, len(args.encoder_out)))
    ids = {f"{uid}{COPY_MARK}{v}" if v else uid: (uid, v) for uid in data.text for v in versions}
    args.output_dir.mkdir(parents=True, exist_ok=True)
    write_table(args.output_dir / "text", {copy: data.text[uid] for copy, (uid, _) in ids.items()})
    for name in ("text.prev", TRUSTED):
        (args.output_dir / name).unlink(missing_ok=True)
        if (args.data / name).exists():
            values = read_table(args.data / name)
            write_table(args.output_dir / name, {copy: values.get(uid, "") for copy, (uid, _) in ids.items()})
    if args.encoder_out:
        sources = [located(folder, ENCODER_OUT, args.output_dir) for folder in args.encoder_out]
        lines = {copy: _line(sources[v], uid, args.encoder_out[v]) for copy, (uid, v) in ids.items()}
        write_table(args.output_dir / f"{ENCODER_OUT}.scp", lines)
        shapes = {copy: line.split()[2] for copy, line in lines.items()}
    else:
        durations = data.utt2dur or {}
        if missing := sorted(set(data.text) - set(durations)):
            raise DataError(
                f"{args.data}/utt2dur: {missing[0]} is missing; run utils/fix_data.py {args.data}"
            )
        shapes = {copy: str(round(durations[uid] * FRAMES_PER_SECOND)) for copy, (uid, _) in ids.items()}
    write_table(args.output_dir / "frames_shape", shapes)
    if args.teacher_topk:
        for name in (TOPK_IDS, TOPK_LOG_PROBS):
            source = located(args.teacher_topk, name, args.output_dir)
            lines = {copy: _line(source, uid, args.teacher_topk) for copy, (uid, _) in ids.items()}
            write_table(args.output_dir / f"{name}.scp", lines)
    print(f"training_tables: {len(data.text)} utterances in {len(versions)} version(s) → {args.output_dir}")


def _line(table: dict[str, str], uid: str, folder: Path) -> str:
    if uid not in table:
        raise DataError(f"{folder}: {uid} is not stored; remove the directory and run the stage again")
    return table[uid]


if __name__ == "__main__":
    main()
