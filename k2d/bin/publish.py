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

import argparse
from dataclasses import asdict
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.publish.card import LICENCES, result_files
from k2d.publish.folder import CARD_FILE, PublishOptions, Results, inputs_of, publish
from k2d.publish.gates import judge, read_gates, require
from k2d.publish.upload import check_id, described, planned, upload
from k2d.whisper.identity import PACKAGED, PUBLISHED
from k2d.wording import counted
from k2d.work import identity
from k2d.work.models import read_record
from k2d.work.step import SOMETHING_TO_DO, Step, add_step_arguments, run_step

LISTED = ("publish", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("publish", __doc__)
    p.add_argument("--record", type=Path, metavar="DIR", help="the student's folder in exp/, with its model.json")
    p.add_argument("--teacher", help="its teacher's checkpoint (default: from the teacher's record)")
    p.add_argument("--data", type=Path, help="data directory with audio for the parity check")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--name", help="title of the model card (default: the name of --record)")
    p.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="type of exported weights")
    p.add_argument("--ct2_dtype", choices=["float16", "float32", "int8"], help="for CTranslate2 (default: --dtype)")
    p.add_argument("--utterances", type=int, default=4, help="utterances in the parity check")
    p.add_argument("--language", default="zh", help="language it transcribes, as on the card (auto: detected)")
    card = p.add_argument_group("on the card")
    card.add_argument("--licence", choices=list(LICENCES), default="other", help="licence of the student")
    card.add_argument("--teacher_licence", help="licence of the teacher (default for OpenAI's models: MIT)")
    card.add_argument("--data_licence", help="licence of the recordings, in a word or a sentence")
    card.add_argument("--base_model", help="the teacher's Hugging Face id (default: from its name)")
    card.add_argument("--datasets", nargs="+", default=[], help="Hugging Face ids of the training corpora")
    out = p.add_argument_group("release")
    out.add_argument("--release", action="store_true", help="make it public; refused unless all gates pass")
    out.add_argument(
        "--gates",
        type=Path,
        metavar="FILE",
        help="YAML that overrides the repository's gates (default: the recipe's conf/gates.yaml)",
    )
    out.add_argument("--reviewed_by", metavar="NAME", help="who has read private/labels.tsv")
    out.add_argument("--push_to_hub", metavar="OWNER/NAME", help="show what would be uploaded there")
    out.add_argument("--yes", action="store_true", help="with --push_to_hub: upload it")
    out.add_argument("--dry_run", action="store_true", help="with --push_to_hub: only show, even with --yes")
    add_options(p, AudioOptions)
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
    if record.role in ("teacher", "validator"):
        raise UsageError(f"{args.record}: is the record of a {record.role}, not of a student; give a student's folder")
    teacher_folder = args.record.parent / record.teacher if record.teacher else None
    if args.teacher is None:
        if teacher_folder is None:
            raise UsageError(f"{args.record}: its record names no teacher; give --teacher")
        args.teacher = read_record(teacher_folder).path
    results = result_files(args.record, teacher_folder)
    if args.teacher_licence is None and args.teacher in (*PUBLISHED, *PACKAGED):
        args.teacher_licence = "MIT"
    options = options_of(PublishOptions, args)
    inputs = inputs_of(args.record, record, args.teacher, args.data, results)
    audio = options_of(AudioOptions, args)
    made = [record.name, record.selection, record.alpha, record.revised_by, args.teacher]
    decides = {**asdict(options), "damaged": audio.damaged, "record": made}
    step = Step("publish", args.output_dir, inputs=inputs, options=decides, arguments=vars(args))

    def work() -> None:
        facts = publish(args.output_dir, args.record, record, args.teacher, options, DataDir(args.data), audio, results)
        checks, utterances = len(facts.parities), facts.parities[0].utterances
        said = f"{counted(checks, 'check')} on {counted(utterances, 'utterance')} passed"
        said += f", {facts.parameters:,} parameters"
        if facts.teacher_parameters:
            said += f", {facts.parameters / facts.teacher_parameters:.3f} of the teacher's"
        if facts.labels_checked is not None:
            private = counted(sum(facts.findings.values()), "private-looking text")
            said += f", {private} in {counted(facts.labels_checked, 'label')}"
        print(f"publish: {args.output_dir}: {said}; the card is {args.output_dir / CARD_FILE}")

    status = run_step(step, args.begin, work)
    if args.begin:  # gates and the Hub are asked anew, whatever is done
        return SOMETHING_TO_DO if args.release or args.push_to_hub else status
    if status == SOMETHING_TO_DO:  # somebody is only looking
        return status
    release(args, results)
    return status


def release(args: argparse.Namespace, results: Results) -> None:
    """Ask the gates; send the folder to the Hub, or show what would go. Raises NotReleased, NotUploaded."""
    licences = {
        "model": None if args.licence == "other" else args.licence,
        "teacher": args.teacher_licence,
        "recordings": args.data_licence,
    }
    found = judge(args.output_dir, read_gates(args.gates), results, args.reviewed_by, licences)
    for each in found:
        print(f"publish: {each}")
    if not args.release:
        passed = sum(each.passed is True for each in found)
        print(f"publish: complete; {passed} of {counted(len(found), 'gate')} passed; only --release needs them all")
    if args.release:
        require(args.output_dir, found)
    if args.push_to_hub:
        plan = planned(args.output_dir)
        print(described(plan, args.push_to_hub, args.release))
        if args.yes and not args.dry_run:
            print(f"publish: uploaded: {upload(plan, args.push_to_hub, args.release)}")
        else:
            why = "this is a dry run" if args.dry_run else "--yes uploads it"
            print(f"publish: nothing was uploaded; {why}")


main = command(parser, run)
