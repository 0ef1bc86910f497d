#!/usr/bin/env python3
"""Write utt2dur (and, where there are segments, reco2dur) of data directories that lack them, or lack entries.

    utils/get_utt2dur.py data/train data/test

What was measured here is measured again only where the audio has changed; entries that came with the data stay.
Recordings that cannot be read have no entry and are named; status 1 only if none of a directory can be.
"""

import argparse
import sys

import in_venv  # noqa: F401

from k2d.audio.durations import make_durations
from k2d.datadir import DataDir
from k2d.errors import guarded
from k2d.wording import counted


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+")
    parser.add_argument("--nj", type=int, default=1, help="recordings measured at a time")
    parser.add_argument("--allow_pipes", action="store_true", help="run commands that stand in wav.scp")
    return guarded("get_utt2dur.py", lambda: measure(parser.parse_args(argv)))


def measure(args: argparse.Namespace) -> int:
    status = 0
    for path in args.data:
        data = DataDir(path)
        bad = make_durations(data, args.nj, args.allow_pipes)
        for recording, why in bad.items():
            print(f"get_utt2dur.py: {path}: {recording}: {why}", file=sys.stderr)
        measured = f"{len(data.wav) - len(bad)} of {counted(len(data.wav), 'recording')}"
        print(f"get_utt2dur.py: {path}: durations of {measured}")
        status = max(status, int(len(bad) == len(data.wav)))
    return status


if __name__ == "__main__":
    sys.exit(main())
