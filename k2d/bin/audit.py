"""Make a test set in the browser: listen to chunks, correct their labels.

    k2d audit --data CHUNKS --scores SCORES --output_dir data/audited
    k2d audit --output_dir data/audited                       # resumes
    k2d audit --output_dir data/audited --page audit.html     # a single file
    k2d audit --output_dir data/audited --read audit-answers.json

Draws chunks evenly over their distances and over recordings, and serves a page on this machine (127.0.0.1, under a
random path). There you play chunks, correct their text and mark those that are not usable, with the keyboard alone.
Every answer is saved at once; stop with Ctrl-C. --output_dir is a Kaldi data directory of all answers so far: a test
set (--test_sets), a development set (--dev_set), and the reference of k2d explore --audit. The page shows the error
rates, with intervals, of the labels, the validator, and the models in --exp that have decoded these chunks.

Without --scores, chunks are drawn at random, evenly over recordings. Details: docs/auditing.md.
"""

import argparse
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.errors import UsageError
from k2d.explore.audit import COUNT, check_place, open_audit, saved_answers
from k2d.label.scores import tagged
from k2d.options import CommandParser, add_options, command, options_of, parse_seed
from k2d.score.tables import interval, percent
from k2d.wording import counted
from k2d.work import identity
from k2d.work.folders import size_in_words
from k2d.work.lock import DirectoryLock
from k2d.work.step import Step, refuse_work_of_others

LISTED = ("labels", 6)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("audit", __doc__)
    p.add_argument("--data", type=Path, help="data directory of labelled chunks")
    p.add_argument("--scores", action="append", default=[], help="DIR or TAG=DIR of k2d distance; may be given again")
    p.add_argument("--output_dir", required=True, type=Path, help="data directory to make")
    p.add_argument(
        "--count",
        type=int,
        help=f"chunks to draw (default {COUNT}, but at most half of training data); a larger number adds chunks",
    )
    p.add_argument("--seed", type=parse_seed, default=0, help="seed of the draw")
    p.add_argument("--recordings", type=Path, metavar="DIR", help="data directory of the recordings, if not found")
    p.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the models to compare")
    p.add_argument("--hyp", action="append", default=[], metavar="NAME=FILE", help="another system; may be given again")
    p.add_argument("--port", type=int, default=0, help="port of the page; 0: any free one")
    p.add_argument(
        "--page", type=Path, metavar="FILE", help="write the page with its audio to this file instead of serving it"
    )
    p.add_argument("--audio_mb", type=float, default=200.0, help="audio and spectrograms in that file, megabytes")
    p.add_argument("--read", type=Path, metavar="FILE", help="import the answers saved by that page")
    p.add_argument("--title", help="title of the page (default: the output directory's name)")
    add_options(p, AudioOptions)
    return p


def check(args: argparse.Namespace) -> dict[str, Path]:
    """The systems of --hyp. UsageError for options that cannot be."""
    if args.count is not None and args.count < 1:
        raise UsageError(f"--count {args.count}: expected at least one chunk")
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port {args.port}: expected 0 to 65535")
    if args.page and args.read:
        raise UsageError("give one of --page and --read")
    given = {}
    for item in args.hyp:
        name, equals, path = item.partition("=")
        if not (name and equals and path) or name in given:
            raise UsageError(f"--hyp {item}: expected NAME=FILE, each name once")
        given[name] = Path(path)
    return given


def run(args: argparse.Namespace) -> int:
    given = check(args)
    refuse_work_of_others(args.output_dir, "audit")
    check_place(args.output_dir, args.data)
    with DirectoryLock(args.output_dir, use="audit"):  # the folder may be decoded meanwhile
        return _run(args, given)


def _run(args: argparse.Namespace, given: dict[str, Path]) -> int:
    from k2d.explore.audit_figures import Figures, find_systems
    from k2d.explore.audit_page import write_audit_page
    from k2d.explore.audit_server import serve

    out, title, audio = args.output_dir, args.title or args.output_dir.name, options_of(AudioOptions, args)
    audit, scores = open_audit(out, args.data, args.scores, args.count, args.seed, args.recordings)
    figures = Figures(audit, lambda: find_systems(audit, scores, args.exp, given))
    _sign(audit, args)
    if args.page:
        size, clips = write_audit_page(args.page, audit, figures, title, audio, args.audio_mb)
        print(f"audit: {args.page} ({size_in_words(size)}); open it, answer, save the answers, and read them with")
        print(f"  k2d audit --output_dir {out} --read audit-answers.json")
        if clips.says():
            print(f"audit: {clips.says()}", file=sys.stderr)
        return 0
    if args.read:
        answers = saved_answers(args.read, audit)
        changed = sorted(key for key in answers.keys() & audit.answers.keys() if answers[key] != audit.answers[key])
        new = counted(len(answers.keys() - audit.answers.keys()), "new answer")
        print(f"audit: {new}, {len(changed)} changed" + (f": {', '.join(changed)}" if changed else ""))
        audit.take(answers)
    else:
        serve(args.port, audit, figures, title, audio)
    _sign(audit, args)
    _say(out, audit, figures)
    return 0


def _sign(audit, args: argparse.Namespace) -> None:
    """Write the record of what made the test set, as long as nothing more is drawn with the inputs of the draw."""
    drawn, before = {"chunks": len(audit.order), "seed": audit.seed}, identity.record_in(audit.folder)
    if before.get("options") == drawn:
        inputs = {name: identity.Identity(made["path"], made["digest"]) for name, made in before["inputs"].items()}
    else:
        read = {"chunks": Path(audit.source), **{f"scores of {tag}": at for tag, at in tagged(audit.scores).items()}}
        inputs = {name: identity.of_tables(path) for name, path in read.items() if path.is_dir()}
    Step("audit", audit.folder, inputs=inputs, options=drawn, arguments=vars(args)).finish()


def _say(out: Path, audit, figures) -> None:
    """What there is now, and what to do with it."""
    now = figures.now()
    unusable = len(audit.answers) - now["utterances"]
    left = len(audit.order) - len(audit.answers)
    print(f"audit: {counted(now['utterances'], 'chunk')} in {out}, {unusable} not usable, {left} left")
    for row in now["systems"]:
        if row["rate"] is not None:
            around = interval(row["low"], row["high"], lambda rate: percent(rate, 1))
            print(f"  {row['name']}: {percent(row['rate'], 1)} %{around} errors")
    if left:
        print(f"  continue: k2d audit --output_dir {out}")
    if now["utterances"]:
        print(f"  use it: the command of your run again, with --test_sets {out.name}   (docs/auditing.md)")


main = command(parser, run)
