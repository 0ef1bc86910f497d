"""Command lines of the recipes' `local/prepare.py`: one set of options, one way to report and to fail, and to say in
every data directory what made it.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from k2d.audio.options import DAMAGED
from k2d.corpus.clips import Clip
from k2d.corpus.joined import join
from k2d.corpus.sets import Account, report, write_labelled, write_unlabelled
from k2d.errors import DataError, guarded
from k2d.work import identity
from k2d.work.lock import DirectoryLock
from k2d.work.step import Step, refuse_work_of_others, remove_leftovers

SETS = ("train", "dev", "test")
_MOST_NAMED = 3  # of what was left out


def parser(description: str, corpus: str) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", required=True, help=f"where {corpus} lies, as db.sh names it")
    p.add_argument("--output_dir", type=Path, default=Path("data"))
    p.add_argument("--sets", default=" ".join(SETS), help="of train, dev, test (default: all)")
    p.add_argument("--prefix", default="", help="of the names of the sets, such as ascend_")
    p.add_argument("--counts", choices=("stated", "any"), default="stated",
                   help="any: go on with files that are not those of the stated release")  # fmt: skip
    p.add_argument("--seed", type=int, default=0, help="nothing here is random; taken for the pipeline's sake")
    p.add_argument("--nj", type=int, default=1, help="processes")
    # Through the environment, so that k2d.sh's option reaches here whatever options a local/data.sh takes.
    p.add_argument("--damaged", choices=DAMAGED, default=os.environ.get("K2D_DAMAGED", DAMAGED[0]),
                   help="read what is sound of a damaged file, or skip it (default: $K2D_DAMAGED or warn)")  # fmt: skip
    return p


def sets_of(args: argparse.Namespace) -> list[str]:
    """The sets asked for. Raises DataError for an unknown one."""
    asked = args.sets.split()
    if unknown := [name for name in asked if name not in SETS]:
        raise DataError(f"--sets: no set {unknown[0]!r}; there are {' '.join(SETS)}")
    return asked


def _written(args: argparse.Namespace) -> list[Path]:
    """The data directories of --sets."""
    names = [name + form for name in sets_of(args) for form in ("", "_long") if name + form != "train_long"]
    return [args.output_dir / f"{args.prefix}{name}" for name in names]


def write_set(args: argparse.Namespace, name: str, clips: Sequence[Clip]) -> Account:
    """Join the clips of a set into recordings and write its data directory, that of `train` without labels."""
    out, audio = (folder / f"{args.prefix}{name}" for folder in (args.output_dir, args.output_dir / "audio"))
    joined = join(clips, audio, args.nj, name=name, damaged=args.damaged)
    return write_unlabelled(out, joined) if name == "train" else write_labelled(out, joined)


def _sign(step: Step, folder: Path, account: Account) -> None:
    """Say in each data directory of a set what made it; of killed runs nothing is left."""
    remove_leftovers(folder / "audio" / account.name)
    for name in filter(None, (account.whole, account.name)):
        step.out = folder / name  # one work, and each of its directories has the record
        remove_leftovers(step.out)
        if not step.done:
            step.finish()


def run(
    corpus: str,
    args: argparse.Namespace,
    prepare: Callable[[argparse.Namespace], Sequence[Account]],
    reads: Sequence[str] = ("corpus",),
    writes: Sequence[Path] | None = None,
) -> int:
    """Prepare and report; what a user can mend is said in one sentence, with exit status 1. reads: options that name
    what is read. writes: the data directories, where they are not those of --sets.
    """

    def work() -> int:
        given = {name: Path(path).expanduser() for name in reads if (path := getattr(args, name))}
        inputs = {name: identity.of_tree(path) for name, path in given.items()}
        options = {name: value for name, value in vars(args).items() if name not in ("output_dir", "nj", *reads)}
        step = Step(corpus, args.output_dir, inputs=inputs, options=options, arguments=vars(args))
        with DirectoryLock(args.output_dir / f"{args.prefix}preparation"):
            for folder in _written(args) if writes is None else writes:
                refuse_work_of_others(folder, corpus)
            accounts = list(prepare(args))
            table = report(corpus, accounts, args.output_dir, args.prefix)  # first: rejects.txt explains a failure
            for account in accounts:
                if not account.utterances:
                    such_as = f", such as {account.rejects[0].message}" if account.rejects else ""
                    raise DataError(
                        f"{args.output_dir}/{account.name}: nothing is left (left out: {account.reasons()}){such_as}; "
                        f"{args.output_dir}/{args.prefix}rejects.txt says why"
                    )
                _sign(step, args.output_dir, account)
        print(f"{corpus}: {args.output_dir}\n{table}")
        if left_out := [reject.message for account in accounts for reject in account.rejects]:
            print("\n".join(f"left out: {message}" for message in left_out[:_MOST_NAMED]))
            print(f"{corpus}: {args.output_dir}/{args.prefix}rejects.txt has all {len(left_out)} that were left out")
        return 0

    return guarded(corpus, work, args.output_dir)
