"""Labelled training windows as long-form decoding will meet them.

In: a data directory of recordings with `segments` and `text`. Out: a data directory whose utterances are
windows of those recordings, labelled with timestamp tokens:
  long   up to 30 s from the start of an utterance; complete utterances with start and end, and of one that
         the window cuts only its start (Radford et al., 2023, Sec. 2.3). The next window starts there.
  short  one to three neighbouring utterances, so that short-form decoding is learnt too.
"""

import argparse
import random
import sys
from collections import defaultdict
from pathlib import Path

from k2d.constants import TIMESTAMP_STEP, WINDOW, chunk_id
from k2d.datadir import DataDir, DataDirWriter
from k2d.distill.sources import encoder_frames
from k2d.errors import guarded
from k2d.text import timestamps
from k2d.wording import counted
from k2d.work import identity
from k2d.work.step import Step, run_step


def lead_in(before, start, rng, early):
    """Where a window that begins with the utterance at `start` opens: just before it, or far earlier (a share)."""
    far = early > 0 and rng.random() >= 1 - early
    return max(before, start - rng.uniform(0.0, 12.0 if far else 0.4))


def long_windows(utterances, end, rng, early):
    """(start, end, [(start, end, text)], start of the cut utterance or None) for one recording.

    utterances: [(start, end, text)] in seconds, in order; end: the recording's length.
    """
    i = 0
    while i < len(utterances):
        before = utterances[i - 1][1] if i else 0.0
        start = lead_in(before, utterances[i][0], rng, early)
        stop = min(start + WINDOW, end)
        j = i
        while j < len(utterances) and utterances[j][1] <= stop - TIMESTAMP_STEP:
            j += 1
        cut = utterances[j][0] if j < len(utterances) and utterances[j][0] < stop - TIMESTAMP_STEP else None
        if j == i:  # an utterance longer than a window cannot be labelled
            i += 1
            continue
        yield start, stop, utterances[i:j], cut
        i = j


def short_windows(utterances, end, rng, early):
    i = 0
    while i < len(utterances):
        j = min(i + rng.choice((1, 1, 2, 3)), len(utterances))
        while utterances[j - 1][1] - utterances[i][0] > WINDOW - 2 and j > i + 1:
            j -= 1
        before = utterances[i - 1][1] if i else 0.0
        after = utterances[j][0] if j < len(utterances) else end
        start = lead_in(before, utterances[i][0], rng, 0.0)
        stop = min(after, utterances[j - 1][1] + rng.uniform(0.05, 0.6))
        yield start, stop, utterances[i:j], None
        i = j


def label(start, utterances, cut):
    """`<|0.20|> text<|3.14|>…`, times relative to the window's start."""

    def on_grid(seconds):
        return round((seconds - start) / TIMESTAMP_STEP) * TIMESTAMP_STEP

    text = timestamps.format((on_grid(a), on_grid(b), words) for a, b, words in utterances)
    return text if cut is None else f"{text}<|{on_grid(cut):.2f}|>"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--kinds", default="long,short")
    parser.add_argument("--early", type=float, default=0.0, help="share of long windows that open in the pause before")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    inputs = {"data": identity.of_data(args.data, "wav.scp", "segments", "text")}
    options = {"kinds": args.kinds, "early": args.early, "seed": args.seed}
    step = Step("windows", args.output_dir, inputs=inputs, options=options, arguments=vars(args))
    return run_step(step, False, lambda: write_windows(args))


def write_windows(args: argparse.Namespace) -> None:
    data = DataDir(args.data)
    by_recording = defaultdict(list)
    for uid, segment in data.segments.items():
        by_recording[segment.recording].append((segment.start, segment.end, data.text[uid]))
    segments, text, frames, speakers, hours = {}, {}, {}, {}, 0.0
    kinds = {"long": long_windows, "short": short_windows}
    for recording, utterances in sorted(by_recording.items()):
        utterances.sort()
        end = utterances[-1][1] + 0.2
        hours += end / 3600
        for kind in args.kinds.split(","):
            rng = random.Random(f"{args.seed} {recording} {kind}")
            for start, stop, inside, cut in kinds[kind](utterances, end, rng, args.early):
                uid = chunk_id(f"{recording}-{kind}", round(start * 100), round(stop * 100))
                segments[uid] = f"{recording} {start:.3f} {stop:.3f}"
                text[uid] = label(start, inside, cut)
                speakers[uid] = recording
                frames[uid] = str(encoder_frames(stop - start))
    with DataDirWriter(args.output_dir) as tables:
        tables.table("wav.scp", {r: data.wav[r] for r in set(speakers.values())})
        for name, table in (("segments", segments), ("utt2spk", speakers), ("frames_shape", frames), ("text", text)):
            tables.table(name, table)
    print(f"windows: {counted(len(text), 'window')} of {hours:.2f} h of recordings → {args.output_dir}")


if __name__ == "__main__":
    sys.exit(guarded("windows.py", main))
