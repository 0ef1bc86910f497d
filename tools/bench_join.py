"""How long the last step of stages 2 and 3 takes, which joins the results of all jobs, and in how much memory.

    tools/venv/bin/python tools/bench_join.py --chunks 200000 --jobs 64

Journals of finished jobs are made up: `--chunks` chunks of 27 s with 150 tokens each, in recordings of 75 minutes.
Then, each in a process of its own, the tables of stage 2 (`label`) and of stage 3 (`decode`) are joined from them,
and `start` does what each job of stage 3 does before it loads a model: read the data directory, find its share.
Prints seconds of a core, peak memory beyond that of the imports, and both for a chunk.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k2d.bin import decode, label
from k2d.datadir import DataDir, TableWriters
from k2d.whisper import sources
from k2d.whisper.journal import job_folder, share_of
from k2d.whisper.session import Session

CHUNK, A_RECORDING, TOKENS = 27.0, 167, 150  # seconds; chunks; tokens of a chunk
STEPS = ("label", "decode", "start")
WORDS = "我們 今天 講 gradient descent 的 方法 然後 看 一個 example 這個 model 的 output 是 什麼".split()


def make(folder: Path, chunks: int, jobs: int) -> None:
    """A data directory of recordings, one of chunks, and the journals of both."""
    rng = random.Random(0)
    for kind in ("recordings", "chunks", "labels/work", "aux/work"):
        (folder / kind).mkdir(parents=True)
    (folder / "audio").touch()
    writers = {
        kind: [job_folder(folder / out, "key", job, jobs) for job in range(1, jobs + 1)]
        for kind, out in (("label", "labels"), ("decode", "aux"))
    }
    for job in [job for some in writers.values() for job in some]:
        job.mkdir(parents=True)
        (job / "finished").write_text('{"seconds": 1.0}')
    files = {
        kind: [open(job / "results.jsonl", "w") for job in some]  # noqa: SIM115
        for kind, some in writers.items()
    }
    with TableWriters(folder / "recordings", "wav.scp", "utt2dur") as recordings, \
            TableWriters(folder / "chunks", "wav.scp", "utt2dur") as pieces:  # fmt: skip
        for first in range(0, chunks, A_RECORDING):
            name = f"lecture-{first // A_RECORDING:06d}"
            segments, count = [], min(A_RECORDING, chunks - first)
            for index in range(count):
                text = "".join(rng.choice(WORDS) for _ in range(TOKENS // 2))
                tokens = [rng.randrange(50000) for _ in range(TOKENS)]
                start, end = CHUNK * index, CHUNK * (index + 1)
                facts = {"avg_logprob": -0.3, "no_speech_prob": 0.01, "compression_ratio": 1.6, "temperature": 0.0}
                segments.append({"start": start, "end": end, "text": text, "tokens": tokens, "seek": 0, **facts})
                chunk = f"{name}-{round(start * 100):07d}-{round(end * 100):07d}"
                record = {"id": chunk, "duration": CHUNK, "language": "zh", "text": text, "text_with_times": text,
                          "avg_logprob": -0.3, "no_speech": 0.01, "compression": 1.6, "temperature": 0.0,
                          "confidence": None, "tokens": tokens}  # fmt: skip
                _append(rng.choice(files["decode"]), record)
                pieces.write("wav.scp", chunk, f"{folder / 'audio'}:{index}")
                pieces.write_number("utt2dur", chunk, CHUNK)
            record = {"id": name, "duration": CHUNK * count, "language": "zh", "segments": segments}
            _append(rng.choice(files["label"]), record)
            recordings.write("wav.scp", name, str(folder / "audio"))
            recordings.write_number("utt2dur", name, CHUNK * count)
    for handle in [handle for some in files.values() for handle in some]:
        handle.close()


def _append(handle, record: dict) -> None:
    handle.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def run_step(step: str, folder: Path, jobs: int) -> dict:
    """Seconds and gigabytes of one step."""
    before, began = _peak(), time.process_time()
    if step == "label":
        data = DataDir(folder / "recordings")
        source = sources.recordings(data)
        session = Session("label", folder / "labels", "key", source, list(data.wav), jobs)
        args = SimpleNamespace(subtitles="", max_chunk=30.0, continued=False, no_copy=True, num_jobs=jobs)
        label.join(args, session, data, ())
    else:
        data = DataDir(folder / "chunks")
        source = sources.utterances(data)
        session = Session("decode", folder / "aux", "key", source, list(data.segments), jobs)
        if step == "decode":
            decode.join(SimpleNamespace(timestamps=True, long_form=False, num_jobs=jobs), session)
        else:
            share_of(1, jobs, session.seconds())
    return {"seconds": time.process_time() - began, "gigabytes": _peak() - before}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where to make up the journals (default: a temporary one)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(run_step(args.step, args.folder, args.jobs)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = Path(temporary)
        make(folder, args.chunks, args.jobs)
        print(f"{args.chunks} chunks of {args.jobs} jobs\n| step | seconds | GB | µs a chunk | bytes a chunk |")
        for step in STEPS:
            words = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--jobs", str(args.jobs)]
            found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
            seconds, gigabytes = found["seconds"], found["gigabytes"]
            each = f"{seconds * 1e6 / args.chunks:.0f} | {gigabytes * 1e9 / args.chunks:.0f}"
            print(f"| {step} | {seconds:.1f} | {gigabytes:.2f} | {each} |")


if __name__ == "__main__":
    main()
