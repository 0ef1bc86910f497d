#!/usr/bin/env python3
"""Make the natural_cs corpus: names of sets in, Kaldi data directories with FLAC recordings out.

    python local/speak.py --voices downloads/voices --output_dir data --lecture_hours 0.7

Everything but words and voices is that of egs/mini_cs: how recordings are planned, what a microphone adds, the tables.
The same seed gives the same bytes on machines of one kind, with any number of jobs. A run that was killed goes on with
the recordings not finished. About 0.7 of real time of speech on a core.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parents[2] / "mini_cs" / "k2d1" / "local"), str(HERE.parents[3])]
from recording import plan_set  # noqa: E402
from synthesize import make_set  # noqa: E402
from world import SETS, natural  # noqa: E402

from k2d.options import end_if_parsed_only  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=Path, required=True, help="folder that local/fetch.py voices has filled")
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    parser.add_argument("--sets", default="lectures,dev,test_in,test_out", help=f"of {','.join(SETS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lecture_hours", type=float, default=2.0, help="hours of lectures")
    parser.add_argument("--seed_hours", type=float, default=1.0, help="hours of seed, what a validator is trained on")
    parser.add_argument("--scale", type=float, default=1.0, help="shorter dev and test recordings, to try things out")
    parser.add_argument("--nj", type=int, default=2)
    options = parser.parse_args()
    names = [name for name in options.sets.split(",") if name]
    if not names or not set(names) <= set(SETS):
        parser.error(f"--sets: expected some of {', '.join(SETS)}, got {options.sets!r}")
    if options.nj < 1 or options.seed < 0 or min(options.lecture_hours, options.seed_hours, options.scale) <= 0:
        parser.error("--nj must be at least 1, --seed at least 0, --lecture_hours, --seed_hours and --scale above 0")
    end_if_parsed_only()
    world = natural(options.voices)
    hours = {"lectures": options.lecture_hours, "seed": options.seed_hours}
    for name in names:
        decide = {"seed": options.seed, "hours": hours.get(name, 0.0), "scale": options.scale}
        make_set(name, options.output_dir, plan_set(name, **decide, world=world), decide, options.nj, world)


if __name__ == "__main__":
    main()
