"""One training set from several: `join_tables.py --output_dir DIR DATA:ENCODER_OUT[:LIKE] …`.

Each part is a directory of windows and the folder of its stored encoder output; with LIKE, another directory of
windows, only the utterances that are also there. Writes text, frames_shape and encoder_out.scp.
"""

import argparse
from pathlib import Path

from k2d.datadir import read_table, write_table
from k2d.distill.sources import ENCODER_OUT, located


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("parts", nargs="+", metavar="DATA:ENCODER_OUT[:LIKE]")
    args = parser.parse_args()
    text, shape, stored = {}, {}, {}
    for part in args.parts:
        data, encoder_out, *like = map(Path, part.split(":"))
        ids = set(read_table((like[0] if like else data) / "text"))
        text |= {uid: words for uid, words in read_table(data / "text").items() if uid in ids}
        shape |= {uid: frames for uid, frames in read_table(data / "frames_shape").items() if uid in ids}
        lines = located(encoder_out, ENCODER_OUT, args.output_dir)
        stored |= {uid: line for uid, line in lines.items() if uid in ids}
    args.output_dir.mkdir(parents=True, exist_ok=True)
    write_table(args.output_dir / "text", text)
    write_table(args.output_dir / "frames_shape", shape)
    write_table(args.output_dir / f"{ENCODER_OUT}.scp", stored)
    print(f"join_tables: {len(text)} windows → {args.output_dir}")


if __name__ == "__main__":
    main()
