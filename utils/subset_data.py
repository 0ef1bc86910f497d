#!/usr/bin/env python3
"""Take some utterances of a data directory.

    utils/subset_data.py --ids list.txt data/train data/train_listed
    utils/subset_data.py --recordings list.txt data/train data/train_few
    utils/subset_data.py --number 500 --seed 1 data/train data/train_500      a random choice
    utils/subset_data.py --hours 2.5 --seed 1 data/train data/train_2.5h      up to so many hours

In:  a data directory. Out: another with every table cut to the utterances taken. The first word of a line of
a list is the id, so any Kaldi table serves as one.
"""

import argparse
import random
import sys
from functools import cache
from pathlib import Path

import in_venv  # noqa: F401

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.errors import DataError, guarded
from k2d.tables import fields
from k2d.wording import counted
from k2d.work import identity, provenance
from k2d.work.identity import Identity, digest_of, makers_of, record_in
from k2d.work.step import Step, run_step


def read_ids(path: str) -> list[str]:
    """First fields of the lines, in any order; unlike a table, a list need not be sorted, and may be of Windows.

    Read once, since it may be a pipe. DataError where it has none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a file whose lines start with ids") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not (ids := [found[0] for line in lines if (found := fields(line))]):
        raise DataError(f"{path}: it is empty; expected lines that start with ids")
    return ids


def choose(data: DataDir, args: argparse.Namespace, listed: list[str]) -> list[str]:
    utterances = list(data.segments)
    if args.ids is not None:
        if unknown := next((i for i in listed if i not in data.segments), None):
            raise DataError(f"{args.ids}: {data.path} has no utterance {unknown!r}")
        return listed
    if args.recordings is not None:
        wanted = set(listed)
        unknown = sorted(wanted - data.wav.keys())
        if unknown:
            raise DataError(f"{args.recordings}: {data.path} has no recording {unknown[0]!r}")
        return [u for u in utterances if data.segments[u].recording in wanted]
    random.Random(args.seed).shuffle(utterances)
    if args.number is not None:
        if args.number > len(utterances):
            raise DataError(f"{data.path}: has {counted(len(utterances), 'utterance')}, fewer than {args.number}")
        return utterances[: args.number]
    audio, chosen, left = open_utterances(data, args.allow_pipes), [], args.hours * 3600
    for utterance in utterances:
        if audio.duration(utterance) <= left:
            chosen.append(utterance)
            left -= audio.duration(utterance)
    return chosen


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("out")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--ids", help="file whose lines start with utterance ids")
    how.add_argument("--recordings", help="file whose lines start with recording ids")
    how.add_argument("--number", type=int, help="utterances to take at random")
    how.add_argument("--hours", type=float, help="hours to take at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--allow_pipes", action="store_true", help="run commands of wav.scp for durations")
    args = parser.parse_args(argv)
    if args.number is not None and args.number < 1:
        parser.error(f"--number {args.number}: expected at least 1")
    if args.hours is not None and not 0 < args.hours < float("inf"):
        parser.error(f"--hours {args.hours}: expected more than 0")
    return guarded("subset_data.py", lambda: subset(args), args.out)


def subset(args: argparse.Namespace) -> int:
    inputs, listed = {"whole": identity.of_data(args.data)}, []
    for name in ("ids", "recordings"):
        if (path := getattr(args, name)) is not None:
            makers = makers_of(Path(path))
            listed = read_ids(path)
            inputs[name] = Identity(path, digest_of(listed), makers)
    how = {"number": args.number, "hours": args.hours, "seed": args.seed}
    step = Step("subset_data", args.out, inputs=inputs, options=how, arguments=vars(args))

    @cache
    def chosen() -> tuple[DataDir, list[str]]:
        data = DataDir(args.data)
        return data, choose(data, args, listed)

    if not step.done:  # refused before what another choice made is moved aside
        chosen()

    def work() -> dict:
        data, ids = chosen()
        taken = data.subset(ids, args.out)
        print(f"subset_data.py: {len(taken.segments)} of {counted(len(data.segments), 'utterance')} in {args.out}")
        return {"labels": provenance.of_labels(record_in(args.data))}

    return run_step(step, False, work)


if __name__ == "__main__":
    sys.exit(main())
