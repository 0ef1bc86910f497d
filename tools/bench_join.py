"""How long the last step of stages 2 and 3 takes, which joins the results of all jobs, and in how much memory.

    tools/venv/bin/python tools/bench_join.py --chunks 200000 --jobs 64

Journals of finished jobs are made up: `--chunks` chunks of 27 s with 150 tokens each, in recordings of 75 minutes,
and for stage 2 the lists of what each job has written into its archives, which stay empty. Then, each in a process
of its own, the tables of stage 2 (`label`) and of stage 3 (`decode`) are joined from them, from reading the data
directory to the last table, and `start` does what each job of stage 3 does before it loads a model: read the data
directory, find its share. Prints seconds of a core, chunks a second, peak memory beyond what the imports take, and the
bytes a chunk that these are. Memory also holds what every job has open, whatever the hours: `--chunks` of two sizes
tell the two apart.
"""

import argparse
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from k2d.audio import sources
from k2d.constants import chunk_id
from k2d.datadir import DataDir, balanced
from k2d.label import labelling
from k2d.label.archive import CHUNKS_IN_SHARD, ShardWriter
from k2d.tables import TableWriters
from k2d.text import markdown
from k2d.transcribers.hypotheses import write_results
from k2d.whisper.long_form import Transcript
from k2d.work.journal import job_folder
from k2d.work.session import Session, WorkOptions

CHUNK, A_RECORDING, TOKENS = 27.0, 167, 150  # seconds; chunks; tokens of a chunk
STEPS = ("label", "decode", "start")
LAYOUT = labelling.ChunkLayout()
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
        (job / "cost.jsonl").write_text('{"seconds":1.0}\n')
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
                chunk = chunk_id(name, round(start * 100), round(end * 100))
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
        (Path(handle.name).parent / "finished").write_text(str(handle.tell()))  # as `Results.finish` does
        handle.close()
    for session in (session_of("label", folder, jobs), session_of("decode", folder, jobs)):
        for job in range(1, jobs + 1):
            (job_folder(session.out, "key", job, jobs) / "data").write_text(session.data)
    for job in range(1, jobs + 1):
        make_archives(session_of("label", folder, jobs), job)


def make_archives(session: Session, job: int) -> None:
    """What a job of stage 2 leaves behind, but for the audio."""
    folder = session.out / "audio" / f"job{job}of{session.options.num_jobs}"
    ShardWriter(folder, "key")
    chunks = labelling.chunks_of(map(Transcript.from_record, session.results(job)), LAYOUT)
    for number in itertools.count(1):
        entries = {
            c.id: [1000 * i, round(CHUNK * 16000)] for i, c in enumerate(itertools.islice(chunks, CHUNKS_IN_SHARD))
        }
        if not entries:
            break
        (folder / f"chunks.{number:06d}.ark").touch()
        (folder / f"chunks.{number:06d}.json").write_text(json.dumps({"size": 0, "chunks": entries}))


def _append(handle, record: dict) -> None:
    handle.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def session_of(step: str, folder: Path, jobs: int) -> Session:
    """As the command has it."""
    options = WorkOptions(num_jobs=jobs)
    if step == "label":
        data = DataDir(folder / "recordings")
        return Session(step, folder / "labels", "key", sources.recordings(data), list(data.wav), options)
    data = DataDir(folder / "chunks")
    return Session(step, folder / "aux", "key", sources.utterances(data), list(data.segments), options)


def run_step(step: str, folder: Path, jobs: int) -> dict:
    """Seconds and gigabytes of one step."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before, began = _memory("VmRSS"), time.process_time()
    session = session_of("label" if step == "label" else "decode", folder, jobs)
    if step == "start":
        balanced(session.seconds(), jobs)
    else:
        for job in session.options.jobs:
            session.run_job(job, load=None, work=None)  # all are complete
    if step == "label":
        labelling.write_chunks(session, "key", DataDir(folder / "recordings"), LAYOUT)
    elif step == "decode":
        write_results(session, DataDir(folder / "chunks"), True, "utterances")
    return {"seconds": time.process_time() - began, "gigabytes": _memory("VmHWM") - before}


def _memory(name: str) -> float:
    """Gigabytes of this process, now (VmRSS) or at most so far (VmHWM)."""
    return int(re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[1]) * 1024 / 1e9


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
        print(f"{args.chunks} chunks of {args.jobs} jobs\n")
        print(*markdown.table(("step", "seconds", "chunks a second", "GB", "bytes a chunk"), []), sep="\n")
        for step in STEPS:
            words = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--jobs", str(args.jobs)]
            found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
            seconds, gigabytes = found["seconds"], found["gigabytes"]
            rate, each = args.chunks / seconds, gigabytes * 1e9 / args.chunks
            cells = (step, f"{seconds:.1f}", f"{rate:,.0f}", f"{gigabytes:.2f}", f"{each:.0f}")
            print(markdown.row(cells), flush=True)


if __name__ == "__main__":
    main()
