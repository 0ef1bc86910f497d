#!/usr/bin/env python3
"""Check data directories: every problem on a line of its own, status 1 if there is any.

    utils/validate_data.py data/train data/test
    utils/validate_data.py --audio data/train      also opens every recording (headers, missing files)
"""

import argparse
import sys

import in_venv  # noqa: F401

from k2d.audio.read import header
from k2d.audio.stamps import is_command
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, guarded
from k2d.wording import counted


def audio_problems(data: DataDir, allow_pipes: bool) -> list[str]:
    """Recordings that do not open, and segments that end beyond them."""
    problems, seconds = [], {}
    for recording, source in data.wav.items():
        if is_command(source) and not allow_pipes:
            continue
        try:
            seconds[recording] = header(source, allow_pipes).seconds
        except BadAudio as error:
            problems.append(f"{data.path / 'wav.scp'}: {recording}: {error}")
    for segment in data.segments.values():
        length = seconds.get(segment.recording)
        if length is not None and segment.end is not None and segment.end > length + 0.5:
            problems.append(
                f"{data.path / 'segments'}: {segment.id} ends at {segment.end} s, "
                f"its recording at {length:.2f} s"
            )
    return problems


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+")
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--allow_pipes", action="store_true")
    parser.add_argument("--text", action="store_true", help="text must be there (a labelled set)")
    args = parser.parse_args(argv)
    return guarded("validate_data.py", lambda: validate(args))


def validate(args: argparse.Namespace) -> int:
    bad = 0
    for path in args.data:
        try:
            data = DataDir(path)
            problems = data.validate()
            if args.text and not (data.path / "text").is_file():
                problems.append(f"{data.path / 'text'}: missing; a set to be scored needs references")
            if args.audio and not problems:
                problems = audio_problems(data, args.allow_pipes)
        except DataError as error:
            problems = [str(error)]
        for problem in problems:
            print(problem, file=sys.stderr)
        if problems:
            bad += 1
        else:
            recordings = f"{counted(len(data.wav), 'recording')}, " if data.has_segments else ""
            held = f"{recordings}{counted(len(data.segments), 'utterance')}"
            print(f"validate_data.py: {path} is in order: {held}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
