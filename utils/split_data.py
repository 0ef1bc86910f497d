#!/usr/bin/env python3
"""Split a data directory into parts of about equal duration and print how many there are.

    n=$(utils/split_data.py --nj 8 data/lectures data/lectures/split8)

In:  a data directory. Out: <out>/1 … <out>/n, data directories; recordings stay whole, so n is at most
their number. Durations come from utt2dur or segments, else from the recordings' headers.
"""

import argparse
import sys
from pathlib import Path

import in_venv  # noqa: F401

from k2d.audio.durations import recording_seconds, utterance_seconds
from k2d.audio.read import recording_duration
from k2d.datadir import DataDir
from k2d.errors import BadAudio, guarded
from k2d.work import identity, provenance
from k2d.work.identity import record_in
from k2d.work.step import Step


def header_durations(data: DataDir, allow_pipes: bool) -> dict[str, float] | None:
    """Seconds of every recording by its header, or None where the tables tell them already.

    A recording that cannot be opened counts nothing: the command that works on it names what is wrong.
    """
    known = utterance_seconds(data)
    if all(s.end is not None or s.id in known for s in data.segments.values()):
        return None
    durations = recording_seconds(data)
    for recording, source in data.wav.items():
        if recording in durations:
            continue
        try:
            durations[recording] = recording_duration(source, allow_pipes)
        except BadAudio:
            durations[recording] = 0.0
    return durations


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("out", nargs="?", help="default: DATA/split<nj>")
    parser.add_argument("--nj", type=int, required=True, help="parts wanted")
    parser.add_argument("--allow_pipes", action="store_true", help="run commands of wav.scp for durations")
    args = parser.parse_args(argv)
    return guarded("split_data.py", lambda: split(args), args.out or args.data)


def split(args: argparse.Namespace) -> int:
    data = DataDir(args.data)
    out = Path(args.out or Path(args.data) / f"split{args.nj}")
    inputs = {"whole": identity.of_data(args.data)}
    with Step("split_data", out, inputs=inputs, options={"nj": args.nj}, arguments=vars(args)) as step:
        if not step.done:
            data.split(args.nj, out, header_durations(data, args.allow_pipes))
            step.finish(labels=provenance.of_labels(record_in(args.data)))
        print(sum(part.name.isdecimal() for part in out.iterdir()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
