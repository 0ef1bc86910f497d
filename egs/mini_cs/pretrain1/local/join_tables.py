"""One training set from several: `join_tables.py --output_dir DIR DATA:ENCODER_OUT …`.

Each part is a directory of windows and the folder of its stored encoder output. Writes text, frames_shape and
encoder_out.scp.
"""

import argparse
import sys
from pathlib import Path

from k2d.distill.sources import ENCODER_OUT
from k2d.errors import guarded
from k2d.tables import read_table, write_table
from k2d.wording import counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("parts", nargs="+", metavar="DATA:ENCODER_OUT")
    args = parser.parse_args()
    text, shape, stored = {}, {}, {}
    for part in args.parts:
        data, encoder_out = map(Path, part.split(":"))
        text |= read_table(data / "text")
        shape |= read_table(data / "frames_shape")
        stored |= read_table(encoder_out / f"{ENCODER_OUT}.scp")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    write_table(args.output_dir / "text", text)
    write_table(args.output_dir / "frames_shape", shape)
    write_table(args.output_dir / f"{ENCODER_OUT}.scp", stored)
    print(f"join_tables: {counted(len(text), 'window')} → {args.output_dir}")


if __name__ == "__main__":
    sys.exit(guarded("join_tables.py", main))
