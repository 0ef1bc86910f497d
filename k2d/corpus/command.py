"""Command lines of the recipes' `local/prepare.py`: one set of options, one way to report and to fail, and to say in
every data directory what made it.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2d.audio.options import DAMAGED
from k2d.corpus.clips import Clip
from k2d.corpus.joined import join
from k2d.corpus.sets import Account, report, write_labelled, write_unlabelled
from k2d.errors import DataError, guarded
from k2d.options import add_options, end_if_parsed_only, option, options_of
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.identity import BEGUN, key_in, record_in
from k2d.work.lock import DirectoryLock
from k2d.work.step import Step, refuse_unexplained, refuse_work_of_others, remove_leftovers

SETS = ("train", "dev", "test")
DATA = Path("data")
_MOST_NAMED = 3  # of what was left out


@dataclass(frozen=True)
class Preparation:
    """What is prepared, from where, to where. A recipe with more options, or another layout, derives from it."""

    GROUP = "what is prepared, and how"
    reads = ("corpus",)  # names of the fields that say what is read

    corpus: str = ""  # always given on a command line
    output_dir: Path = DATA  # of the data directories
    sets: str = option(" ".join(SETS), "which of train, dev, test (default: all)")
    prefix: str = option("", "of the names of the sets, such as ascend_")
    counts: str = option(
        "stated", "any: go on with files that are not those of the stated release", choices=("stated", "any")
    )
    seed: int = option(0, "nothing here is random; taken for the pipeline's sake")
    nj: int = option(1, "processes")
    damaged: str = option(
        DAMAGED[0],
        "read what is sound of a damaged file, or skip it (default: $K2D_DAMAGED or warn)",
        choices=DAMAGED,
    )

    @property
    def asked(self) -> list[str]:
        """The sets asked for. Raises DataError for an unknown one."""
        asked = self.sets.split()
        if unknown := [name for name in asked if name not in SETS]:
            raise DataError(f"--sets: no set {unknown[0]!r}; there are {' '.join(SETS)}")
        return asked

    @property
    def writes(self) -> list[Path]:
        """The data directories of --sets."""
        names = [name + form for name in self.asked for form in ("", "_long") if name + form != "train_long"]
        return [self.output_dir / f"{self.prefix}{name}" for name in names]

    @property
    def decides(self) -> dict[str, object]:
        """The options that decide what is written."""
        others = ("output_dir", "nj", "seed", *self.reads)
        return {name: value for name, value in vars(self).items() if name not in others}

    @property
    def arguments(self) -> dict[str, object]:
        """What was given, for the record."""
        return vars(self)


def main(
    corpus: str,
    description: str,
    prepare: Callable[[Any], Iterable[Account]],
    kind: type[Preparation] = Preparation,
) -> int:
    """A `local/prepare.py`: the command line's options, of `kind`, to `prepare`; the exit status."""
    return run(corpus, options_of(kind, parser(corpus, description, kind).parse_args()), prepare)


def parser(corpus: str, description: str, kind: type[Preparation]) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", required=True, help=f"where {corpus} lies, as db.sh names it")
    p.add_argument("--output_dir", type=Path, default=DATA, help="directory of the data directories to write")
    # Through the environment, so that k2d.sh's option reaches here whatever options a local/data.sh takes.
    add_options(p, kind, damaged=os.environ.get("K2D_DAMAGED", DAMAGED[0]))
    return p


def write_set(options: Preparation, name: str, clips: Sequence[Clip]) -> Account:
    """Join the clips of a set into recordings and write its data directory, that of `train` without labels."""
    out, audio = (folder / f"{options.prefix}{name}" for folder in (options.output_dir, options.output_dir / "audio"))
    joined = join(clips, audio, options.nj, name=name, damaged=options.damaged)
    return write_unlabelled(out, joined) if name == "train" else write_labelled(out, joined)


def _sign(step: Step, folder: Path, account: Account) -> None:
    """Say in each data directory of a set what made it; of killed runs nothing is left."""
    remove_leftovers(folder / "audio" / account.name)
    for name in filter(None, (account.whole, account.name)):
        step.out = folder / name  # one work, and each of its directories has the record
        remove_leftovers(step.out)
        if not step.done:
            step.finish()


@contextlib.contextmanager
def _begun(step: Step, folders: Sequence[Path]) -> Iterator[None]:
    """Own each folder while it is written, and say there what writes it. UsageError, before any is touched, where one
    holds what somebody else has made: tables made by hand would be overwritten. Locked where one is in use; but what is
    done, and is written with the same bytes, others may read.
    """
    with contextlib.ExitStack() as held:
        for folder in folders:
            step.out = folder
            held.enter_context(DirectoryLock(folder, shared=step.done))
            refuse_work_of_others(folder, step.command)
            if any((folder / name).exists() for name in ("wav.scp", "segments", "text", "utt2spk")):
                refuse_unexplained(folder)
        earlier = {}  # folder -> where other work of it lies aside, if any
        try:
            for folder in folders:
                step.out = folder
                _make_room(step, earlier)
            yield
        finally:
            for folder, place in earlier.items():
                if [path.name for path in folder.glob("*")] == [BEGUN]:  # there was no such set
                    (folder / BEGUN).unlink()
                    if place:
                        place.rename(folder.resolve())
                        print(f"{step.command}: {folder} was moved back and is as it was", file=sys.stderr)
                    elif not folder.is_symlink():
                        folder.rmdir()


def _make_room(step: Step, earlier: dict[Path, Path | None]) -> None:
    """Set aside what was made from another folder or corpus; what was made from this one is updated in place. Notes
    where the other lies, if any."""
    earlier[step.out] = None
    if not _made_from_the_same(step.out, step):
        places = sorted(step.aside.glob("*"), key=lambda each: (each.name != step.key, -each.stat().st_mtime))
        same = next((place.name for place in places if _made_from_the_same(place, step)), "")
        earlier[step.out] = step.exchange(key_in(step.out) or key_in(step.out, BEGUN), same)
    if not record_in(step.out):
        inputs = {name: {"path": one.path} for name, one in step.inputs.items()}
        write_json(step.out / BEGUN, {"step": step.command, "key": step.key, "inputs": inputs})


def _made_from_the_same(place: Path, step: Step) -> bool:
    """Whether a directory was made, or begun, from the folders that a step reads, whatever they held."""
    record = record_in(place) or record_in(place, BEGUN)
    made_of = {name: os.path.realpath(made["path"]) for name, made in record.get("inputs", {}).items()}
    reads = {name: os.path.realpath(one.path) for name, one in step.inputs.items()}
    return record.get("step") == step.command and all(reads[name] == made_of[name] for name in reads.keys() & made_of)


def run(corpus: str, options: Preparation, prepare: Callable[[Any], Iterable[Account]]) -> int:
    """Prepare and report; what a user can mend is said in one sentence, with exit status 1."""
    out, prefix = options.output_dir, options.prefix

    def work() -> int:
        writes = options.writes  # looks at --sets
        end_if_parsed_only()
        given = {name: Path(path).expanduser() for name in options.reads if (path := getattr(options, name))}
        inputs = {name: identity.of_tree(path) for name, path in given.items()}
        step = Step(corpus, out, inputs=inputs, options=options.decides, arguments=options.arguments)
        with DirectoryLock(out / f"{prefix}preparation"), _begun(step, writes):
            accounts = list(prepare(options))
            table = report(corpus, accounts, out, prefix)  # first: rejects.txt explains a failure
            for account in accounts:
                if not account.utterances:
                    such_as = f", such as {account.rejects[0].message}" if account.rejects else ""
                    raise DataError(
                        f"{out}/{account.name}: nothing is left (left out: {account.reasons()}){such_as}; "
                        f"{out}/{prefix}rejects.txt says why"
                    )
                _sign(step, out, account)
        print(f"{corpus}: {out}\n{table}")
        if left_out := [reject.message for account in accounts for reject in account.rejects]:
            print("\n".join(f"left out: {message}" for message in left_out[:_MOST_NAMED]))
            print(f"{corpus}: {out}/{prefix}rejects.txt lists all that was left out ({len(left_out)})")
        return 0

    return guarded(corpus, work, out)
