"""Seconds that a training takes to the same dev cross-entropy, in float32 and in bfloat16.

    cd egs/mini_cs/k2d1 && ../../../tools/venv/bin/python ../../../tools/bench_precision.py exp/student_full/train

In: a finished training of a recipe. It is done again in each type, from its start, one type after the other, with the
command that its step.json has, into a temporary folder; decoding and other programs should rest meanwhile. Out: a table
of seconds and dev cross-entropy after every epoch.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k2d.distill.training import read_words
from k2d.score.curves import TrainingLog, read_training
from k2d.text import markdown
from k2d.whisper import processor
from k2d.work.identity import record_in

PRODUCTS = "products" if processor.parts_of("auto").attention == "products" else "fused"
TYPES = {
    "float32": {"autocast": None, "attention": "fused"},
    "bfloat16": {"autocast": "bfloat16", "attention": PRODUCTS},  # as autocast: auto computes, where it is faster
}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("training", type=Path, help="a training's folder, such as exp/student_full/train")
    args = p.parse_args()
    command = shlex.split(record_in(args.training).get("command", ""))
    if command[:2] != ["k2d", "train"]:
        p.error(f"{args.training}: it has no step.json of k2d train; give the folder of a finished training")
    words = read_words(command[2:]).model_words
    if any(name in word for word in words for name in TYPES["float32"]):
        p.error(f"{args.training}: no file can change its --model_conf {' '.join(words)}; give another training")
    command[0] = str(Path(sys.executable).with_name("k2d"))
    found = {}
    for kind, options in TYPES.items():
        with tempfile.TemporaryDirectory() as folder:
            yaml, output = Path(folder, "autocast.yaml"), Path(folder, "train")
            (output / "log").mkdir(parents=True)
            yaml.write_text(json.dumps({"model_conf": options}), encoding="utf-8")
            again = ["--config", str(yaml), "--output_dir", str(output)]
            with open(output / "log/train.log", "w+", encoding="utf-8") as log:
                if subprocess.run([*command, *again], stdout=log, stderr=log).returncode:
                    log.seek(0)
                    sys.exit(f"bench_precision: in {kind} it failed:\n{log.read()[-2000:]}")
                if (training := read_training(Path(folder))) is None:
                    log.seek(0)
                    sys.exit(f"bench_precision: in {kind} its log tells of no epoch:\n{log.read()[-2000:]}")
            found[kind] = training
    rows = []
    for epoch in range(1, 1 + min(len(training.curves["valid", "ce"]) for training in found.values())):
        row, seconds = [str(epoch)], {kind: seconds_until(epoch, training) for kind, training in found.items()}
        for kind, training in found.items():
            row += [f"{seconds[kind]:.0f}", f"{training.curves['valid', 'ce'][epoch]:.3f}"]
        rows.append([*row, f"{seconds['float32'] / seconds['bfloat16']:.2f}"])
    heads = [f"{kind}, {what}" for kind in found for what in ("seconds", "dev CE")]
    print(*markdown.table(("epoch", *heads, "times as fast"), rows), sep="\n")


def seconds_until(epoch: int, training: TrainingLog) -> float:
    """What the updates up to the end of an epoch took. The log has the time of an update, and counts batches."""
    batches = training.curves["train", "total_count"]
    accumulated = max(batches.values()) / training.updates
    total, before = 0.0, 0.0
    for number in range(1, epoch + 1):
        total += (batches[number] - before) / accumulated * training.curves["train", "train_time"][number]
        before = batches[number]
    return total


if __name__ == "__main__":
    main()
