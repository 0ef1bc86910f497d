"""Check what later stages need: tables, recordings, models, disk.

    k2d check --train_data data/lectures --dev_data data/dev --test_data data/test data/test_long \\
        --teacher large-v2 --validator base --language zh --output_dir exp/check

Prints one table (what, found, what to do), the gravest first. Every row begins with one of

    fails      a later stage would fail: correct it first
    left out   the stage continues without it and lists it in skipped.txt
    warning    nothing fails, but results may be worse
    note, ok   nothing to do

Ends with status 1 if any row says fails, else 0 (2: the command line is wrong). k2d.sh runs it at the end of stage 1,
after `k2d parse` has read the options of every stage.

Test sets whose names end in _long are decoded long-form. Every file of wav.scp must exist; headers are read of at most
2,000 recordings of a set (the table says so); utterances of development and test sets are read completely. Missing
utt2dur (with segments: reco2dur) are computed. --output_dir caches what was read (known.jsonl), so a second check reads
only what has changed; findings.tsv lists every id that a row is about.
"""

import argparse
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.check.findings import COLUMNS, Finding, Grade, table, write_findings
from k2d.check.memory import Memory
from k2d.check.models import Models, long_labels, look
from k2d.check.room import Room, look_at_room
from k2d.check.sets import look_at_sets
from k2d.check.tables import DEV, TRAIN
from k2d.errors import UsageError, UserError
from k2d.options import CommandParser, add_options, command, options_of, terminal_width
from k2d.transcribers import check_exists, check_whisper, kind_of
from k2d.wording import counted
from k2d.work import identity
from k2d.work.lock import DirectoryLock
from k2d.work.skipped import SkipOptions
from k2d.work.step import Step, refuse_work_of_others

LISTED = ("labels", 0)
WRITES = {"known.jsonl", "findings.tsv", "table.txt", "step.json"}  # a folder with more, such as exp, is not its own


def parser() -> argparse.ArgumentParser:
    p = CommandParser("check", __doc__)
    sets = p.add_argument_group("sets")
    sets.add_argument("--train_data", help="recordings to be labelled (references are not read)")
    sets.add_argument("--dev_data", help="development set")
    sets.add_argument("--test_data", nargs="+", action="extend", default=[], help="test sets; may be given again")
    add_options(p, AudioOptions)
    add_options(p, SkipOptions)
    models = p.add_argument_group("models, in any form that k2d label and decode take")
    models.add_argument("--teacher", help="model that writes the labels")
    models.add_argument(
        "--validator",
        nargs="+",
        action="extend",
        default=[],
        help="models that transcribe the chunks; may be given again",
    )
    models.add_argument(
        "--revise", nargs="+", action="extend", default=[], help="models that revise the labels; may be given again"
    )
    models.add_argument("--labels", help="text:FILE or text:FOLDER instead of the teacher's labels")
    models.add_argument("--student_init", metavar="MODEL", help="initial model of the student")
    models.add_argument("--decoder_layers", help="decoder layers of the teacher that the student gets")
    models.add_argument("--language", help="language of decoding")
    room = p.add_argument_group("disk, memory, GPUs")
    room.add_argument("--config", action="append", default=[], help="training YAML; later ones override earlier ones")
    room.add_argument("--stop_stage", type=int, default=8, help="last stage to count")
    room.add_argument("--students", nargs="*", default=["student"], help="names of the students, for their disk space")
    room.add_argument("--no_copy", action="store_true", help="chunks point into the recordings")
    room.add_argument("--encoder_out", type=int, default=0, help="stored versions of the encoder's output")
    room.add_argument("--batch_size", type=int, default=0, help="windows per batch (0: 32 on a GPU, 8 on a CPU)")
    room.add_argument("--ngpu", type=int, default=0, help="GPUs that stages will use")
    room.add_argument("--side_by_side", type=int, default=1, help="students, decodings and exports at a time")
    room.add_argument("--elsewhere", action="store_true", help="stages run on other machines: their memory and GPUs "
                      "are not this one's")  # fmt: skip
    p.add_argument("--output_dir", type=Path, help="where known.jsonl, findings.tsv and table.txt go")
    return p


def check(args: argparse.Namespace) -> None:
    """Raises UserError for what options and names alone tell."""
    roles = models_of(args).roles()
    if not (args.train_data or args.dev_data or args.test_data or roles):
        raise UsageError("nothing to check; give --train_data, --dev_data, --test_data, --teacher or --validator")
    for role, name in roles:
        try:
            check_exists(name)
        except UserError as error:
            raise UsageError(f"--{role} {error}") from None
        if kind_of(name) == "whisper":
            check_whisper(name, args.language)


def models_of(args: argparse.Namespace) -> Models:
    names = {"validators": tuple(args.validator), "revisers": tuple(args.revise)}
    return options_of(Models, args, **names, same_encoder=args.encoder_out > 0)


def run(args: argparse.Namespace) -> int:
    check(args)
    if args.output_dir is None:
        return _run(args)
    with DirectoryLock(args.output_dir):
        refuse_work_of_others(args.output_dir, "check")
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    remembered, models = Memory(args.output_dir and args.output_dir / "known.jsonl"), models_of(args)
    tests, audio = args.test_data, options_of(AudioOptions, args)
    found, sets = look_at_sets(args.train_data, args.dev_data, tests, audio, args.max_skipped, remembered)
    train, dev = (next((one for one in sets if one.part == part), None) for part in (TRAIN, DEV))
    rows, known = look(models, train, remembered)
    found += rows + long_labels(dev, models, known)
    if args.config:
        found += look_at_room(options_of(Room, args), sets, models, known)
    remembered.save()
    status = report(found, args.output_dir)
    if args.output_dir is not None and {path.name for path in args.output_dir.glob("[!.]*")} <= WRITES:
        looked_at = {str(one.path): identity.of_tables(one.path) for one in sets}
        Step("check", args.output_dir, inputs=looked_at, options={}, arguments=vars(args)).finish()
    return status


def report(found: list[Finding], output_dir: Path | None) -> int:
    """Print the table, write the files; the exit status."""
    print(table(found, terminal_width(COLUMNS, COLUMNS)))
    where = ""
    if output_dir is not None:
        write_findings(found, output_dir)
        where = f"; {output_dir / 'findings.tsv'} lists them all" if any(finding.names for finding in found) else ""
    counts = {grade: sum(finding.grade is grade for finding in found) for grade in Grade}
    if counts[Grade.FAILS]:
        problems = counted(counts[Grade.FAILS], "problem")
        todo = f"do what the last column says, and run again{where}"
        print(f"check: {problems} would stop a later stage; {todo}", file=sys.stderr)
        return 1
    rest = ["", f"{counted(counts[Grade.LEFT_OUT], 'row')} left out"] if counts[Grade.LEFT_OUT] else [""]
    rest += [counted(counts[Grade.WARNING], "warning")] if counts[Grade.WARNING] else []
    print(f"check: no problem that would stop a later stage{', '.join(rest)}{where}")
    return 0


main = command(parser, run)
