"""Seconds that a training takes to the same dev cross-entropy, in float32 and in bfloat16.

    cd egs/mini_cs/k2d1 && ../../../tools/venv/bin/python ../../../tools/bench_precision.py exp/student_full/train

In: a finished training of a recipe. It is done again in each type, from its start, one type after the other, with the
command that its step.json has, into a temporary folder; decoding and other programs should rest meanwhile. Out: a table
of seconds and dev cross-entropy after every epoch.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k2d.score.curves import Curves, curves_in
from k2d.text import markdown
from k2d.work.identity import record_in

TYPES = {"float32": "null", "bfloat16": "bfloat16"}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("training", type=Path, help="a training's folder, such as exp/student_full/train")
    args = p.parse_args()
    command = shlex.split(record_in(args.training).get("command", ""))
    if command[:2] != ["k2d", "train"]:
        p.error(f"{args.training}: it has no step.json of k2d train; give the folder of a finished training")
    found = {}
    for kind, autocast in TYPES.items():
        with tempfile.TemporaryDirectory() as folder:
            yaml, output = Path(folder, "autocast.yaml"), Path(folder, "train")
            yaml.write_text(f"model_conf: {{autocast: {autocast}}}\n", encoding="utf-8")
            again = ["--config", str(yaml), "--output_dir", str(output)]
            with open(Path(folder, "log"), "w+", encoding="utf-8") as log:
                if subprocess.run([*command, *again], stdout=log, stderr=log).returncode:
                    log.seek(0)
                    sys.exit(f"bench_precision: in {kind} it failed:\n{log.read()[-2000:]}")
                log.seek(0)
                found[kind] = curves_in(log.read())
    rows = []
    for epoch in found["float32"]["valid", "ce"]:
        row, seconds = [str(epoch)], {kind: seconds_until(epoch, curves) for kind, curves in found.items()}
        for kind, curves in found.items():
            row += [f"{seconds[kind]:.0f}", f"{curves['valid', 'ce'][epoch]:.3f}"]
        rows.append([*row, f"{seconds['float32'] / seconds['bfloat16']:.2f}"])
    heads = [f"{kind}, {what}" for kind in found for what in ("seconds", "dev CE")]
    print(*markdown.table(("epoch", *heads, "times as fast"), rows), sep="\n")


def seconds_until(epoch: int, curves: Curves) -> float:
    """What the updates up to the end of an epoch took."""
    total, before = 0.0, 0.0
    for number, batches in curves["train", "total_count"].items():
        if number <= epoch:
            total, before = total + (batches - before) * curves["train", "train_time"][number], batches
    return total


if __name__ == "__main__":
    main()
