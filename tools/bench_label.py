"""How fast the labelling engines are, beside openai-whisper and faster-whisper, and how many units they find.

    tools/venv/bin/python tools/bench_label.py --audio speech/*.flac --recordings 16 --seconds 60 --threads 2
    tools/venv/bin/python tools/bench_label.py --audio speech/*.flac --short 64 --threads 2

Recordings are made by stringing the given audio files together in another order each, with pauses. With --short each
is one file, an utterance. Every program transcribes the same arrays with the same options, after a warm-up; loading the
model is not counted. Ours run as in a recipe, in --processes jobs (`--nj`) of --workers threads; the others as they are
used, in one process with all threads, unless --peer_processes gives them as many. torch computes as this processor was
measured (`--dtype auto`).

Units (Chinese characters and words of other scripts, as mixed error rates count them) are compared with those of
openai-whisper with the same beam, which has no reference text but is what "nothing lost" means here; where that is not
run with a beam, with its greedy ones. Of a loop two rounds count. It is the slowest: --openai_recordings lets it hear
only the first few, and units are compared on those. openai-dithered is openai-whisper on the same samples with the
noise that rounding to 16 bits adds, which nobody hears: what that does not find is left to chance by the recordings.
"A core" is audio over processor time: on a machine that does other things too the fairer figure, where nothing runs in
--processes. Prints a table and writes JSON, texts included, with --output. faster-whisper needs the package
`faster-whisper` and a model that is a CTranslate2 folder.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from rapidfuzz.distance import Indel

from k2d.audio.read import read_audio
from k2d.audio.sources import AudioSource
from k2d.constants import SAMPLE_RATE
from k2d.datadir import balanced
from k2d.text import markdown
from k2d.text.units import units
from k2d.whisper import checkpoint
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.identity import TINY_EN, resolve
from k2d.whisper.long_form import joined_text, transcribe_all
from k2d.whisper.short_form import decode_all, plan_batches
from k2d.work import machine
from k2d.work.jobs import in_threads

OURS = ("torch", "torch-float32", "torch-bfloat16", "ctranslate2")
PROGRAMS = ("openai", "openai-dithered", *OURS, "faster", "faster-batched")
DITHER = 1 / 32768  # the step of 16 bits


def add_speech(p: argparse.ArgumentParser, seconds: float) -> None:
    """Options of who transcribes which recordings, for tools/bench_parts.py too."""
    p.add_argument("--model", default=TINY_EN)
    p.add_argument("--language", default="en")
    p.add_argument("--audio", nargs="+", required=True, help="speech to string together")
    p.add_argument("--recordings", type=int, default=8)
    p.add_argument("--seconds", type=float, default=seconds, help="length of each recording, at least")
    p.add_argument("--batch_size", type=int, default=8)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_speech(p, seconds=75.0)
    p.add_argument("--short", type=int, default=0, help="utterances, in place of recordings: so many of the files")
    p.add_argument("--openai_recordings", type=int, default=0, help="those that openai-whisper hears (0: all)")
    p.add_argument("--programs", default="openai,torch,ctranslate2,faster,faster-batched", help=",".join(PROGRAMS))
    p.add_argument(
        "--temperatures", default="0,0.2,0.4,0.6,0.8,1", help="of the fallback (default %(default)s); 0: no fallback"
    )
    p.add_argument("--beams", default="1,5", help="beam sizes to compare (default %(default)s)")
    p.add_argument("--workers", type=int, default=0, help="batches at once, of our engines (0: 2, on a GPU 1)")
    p.add_argument("--processes", type=int, default=1, help="jobs at once, of our engines, each with so many workers")
    p.add_argument("--peer_processes", type=int, default=1, help="the same for the other programs")
    p.add_argument("--threads", type=int, default=0, help="CPU threads of every program; 0: all cores")
    p.add_argument("--device", default="cpu")
    p.add_argument("--faster_type", default="int8", help="of faster-whisper on a CPU: int8, int16, float32")
    p.add_argument("--output", help="JSON file")
    return p


# -------------------------------------------------------------------------------------------------- audio


def make_recordings(clips: list[np.ndarray], count: int, seconds: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    recordings = {}
    for number in range(count):
        parts, length = [], 0
        while length < seconds * SAMPLE_RATE:
            for index in rng.permutation(len(clips)):
                pause = rng.standard_normal(int(rng.uniform(0.3, 0.9) * SAMPLE_RATE)) * 1e-3
                parts += [clips[index], pause.astype(np.float32)]
                length += len(clips[index]) + len(pause)
                if length >= seconds * SAMPLE_RATE:
                    break
        recordings[f"r{number:02d}"] = np.concatenate(parts).astype(np.float32)
    return recordings


# ----------------------------------------------------------------------------------------------- programs


def temperatures(args) -> tuple[float, ...]:
    return tuple(map(float, args.temperatures.split(",")))


def ours(engine, args) -> Callable[[dict[str, np.ndarray], int], dict[str, str]]:
    def run(recordings, beam: int) -> dict[str, str]:
        source = AudioSource(lambda name: [recordings[name]], lambda n: 0.0, lambda n: "")
        options = DecodingOptions(language=args.language, beam_size=beam, temperatures=temperatures(args))
        texts: dict[str, str] = {}

        def part(worker: int, stop) -> None:
            mine = balanced({n: len(a) for n, a in recordings.items()}, args.workers)[worker]
            if args.short:
                seconds = {name: len(recordings[name]) / SAMPLE_RATE for name in mine}
                batches = plan_batches(seconds, args.batch_size, engine.trim_padding)
                for batch in decode_all(engine.for_worker(), batches, source, options):
                    texts.update((d.utterance, engine.tokenizer.decode(d.hypothesis.tokens)) for d in batch)
                return
            for t in transcribe_all(engine.for_worker(), mine, source, options, args.batch_size):
                texts[t.recording] = joined_text(t, engine.tokenizer)

        in_threads([partial(part, worker) for worker in range(args.workers)])
        return texts

    return run


class Jobs:
    """A program in several processes, each with its share of the recordings and of the threads; as a function."""

    def __init__(self, program: str, args, processes: int):
        context = multiprocessing.get_context("spawn")
        self.ends = []
        for _ in range(processes):
            here, there = context.Pipe()
            threads = max(1, args.threads // processes)
            alone = argparse.Namespace(**vars(args) | {"processes": 1, "peer_processes": 1, "threads": threads})
            context.Process(target=_job, args=(program, alone, there), daemon=True).start()
            self.ends.append(here)
        for end in self.ends:
            end.recv()  # loaded

    def __call__(self, recordings: dict[str, np.ndarray], beam: int) -> dict[str, str]:
        lengths = {name: len(audio) for name, audio in recordings.items()}
        shares = balanced(lengths, len(self.ends))
        for own, end in zip(shares, self.ends, strict=True):
            mine = own if len(recordings) > 1 else list(recordings)
            end.send(({name: recordings[name] for name in mine}, beam))
        return {name: text for end in self.ends for name, text in end.recv().items()}


def _job(program: str, args, end) -> None:
    run = load(program, args)
    end.send(None)
    with suppress(EOFError):  # the other end is gone: nothing more to do
        while True:
            end.send(run(*end.recv()))


def dithered(audio: np.ndarray) -> np.ndarray:
    """With triangular noise of one step of 16 bits, the same for the same samples."""
    rng = np.random.default_rng(len(audio))
    return audio + (rng.random(len(audio), np.float32) - rng.random(len(audio), np.float32)) * np.float32(DITHER)


def openai(model, args, heard: Callable[[np.ndarray], np.ndarray]) -> Callable:
    import whisper

    def run(recordings, beam: int) -> dict[str, str]:
        more = {"temperature": temperatures(args)} | ({"beam_size": beam} if beam > 1 else {})
        half = args.device != "cpu"
        taken = list(recordings)[: args.openai_recordings or None]
        return {
            name: whisper.transcribe(model, heard(recordings[name]), language=args.language, fp16=half, **more)["text"]
            for name in taken
        }

    return run


def faster(folder: Path, args, batched: bool) -> Callable:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    kind = args.faster_type if args.device == "cpu" else "float16"
    model = WhisperModel(str(folder), device=args.device, compute_type=kind, cpu_threads=args.threads)
    pipeline = BatchedInferencePipeline(model) if batched else None
    more = {"language": args.language, "temperature": temperatures(args)}

    def run(recordings, beam: int) -> dict[str, str]:
        texts = {}
        for name, audio in recordings.items():
            if batched:
                segments, _ = pipeline.transcribe(audio, beam_size=beam, batch_size=args.batch_size, **more)
            else:
                segments, _ = model.transcribe(audio, beam_size=beam, **more)
            texts[name] = "".join(s.text for s in segments)
        return texts

    return run


def hindrance(program: str, args) -> str | None:
    """Why the program cannot take part."""
    if program.startswith("faster"):
        if importlib.util.find_spec("faster_whisper") is None:
            return "the package faster-whisper is not installed"
        folder = resolve(args.model)
        if not (folder / "model.bin").is_file() or not (folder / "tokenizer.json").is_file():
            return f"{folder} is no CTranslate2 folder with a tokenizer.json"
    return None


def load(program: str, args) -> Callable:
    """The program as a function. Each has the same number of threads, ours split them among the workers."""
    processes = args.processes if program in OURS else args.peer_processes
    if processes > 1:
        return Jobs(program, args, processes)
    if program in OURS:
        name, _, dtype = program.partition("-")
        config = EngineConfig(engine=name, dtype=dtype or "auto", device=args.device, num_threads=args.threads)
        return ours(load_engine(args.model, config, DecodingOptions(language=args.language), args.workers), args)
    torch.set_num_threads(args.threads)
    if program.startswith("faster"):
        return faster(resolve(args.model), args, program == "faster-batched")
    model = checkpoint.load(args.model, args.device, torch.float32).model
    return openai(model, args, dithered if program == "openai-dithered" else np.asarray)


# ------------------------------------------------------------------------------------------------- report


def without_loops(said: list[str], longest: int = 24) -> list[str]:
    """Units, where a phrase that is said more than twice in a row stands twice: a decoder that stops a loop early, as
    ours do, loses nothing.
    """
    kept: list[str] = []
    for unit in said:
        kept.append(unit)
        for n in range(1, min(longest, len(kept) // 3) + 1):
            if kept[-3 * n : -2 * n] == kept[-2 * n : -n] == kept[-n:]:
                del kept[-n:]
                break
    return kept


def in_common(reference: dict[str, str], texts: dict[str, str]) -> tuple[int, int]:
    """Units of the longest common subsequences, and of the reference, both without loops."""
    pairs = [(without_loops(units(text)), without_loops(units(texts[name]))) for name, text in reference.items()]
    return sum((len(a) + len(b) - Indel.distance(a, b)) // 2 for a, b in pairs), sum(len(a) for a, _ in pairs)


def table(rows: list[dict]) -> str:
    header = ("program", "beam", "times real time", "× openai-whisper", "× faster-whisper", "a core: times real time",
              "× faster-whisper", "in common with openai-whisper")  # fmt: skip
    lines = []
    by_name = {(r["program"], r["beam"]): r for r in rows}

    def times(row: dict, other: str, measure: str) -> str:
        base = by_name.get((other, row["beam"]))
        return f"{row[measure] / base[measure]:.2f}" if base else "–"

    for r in rows:
        reference = by_name.get(("openai", r["beam"])) or by_name.get(("openai", 1))
        common, of = in_common(reference["texts"], r["texts"]) if reference else (0, 0)
        found = f"{common} of {of} ({100 * common / of:.1f} %)" if of else "–"
        wall, core = "times_real_time", "of_processor"
        lines.append((r["program"], str(r["beam"]), f"{r[wall]:.1f}", times(r, "openai", wall),
                      times(r, "faster", wall), f"{r[core]:.1f}", times(r, "faster", core), found))  # fmt: skip
    return "\n".join(markdown.table(header, lines))


def main(argv: list[str] | None = None) -> int:
    p = parser()
    args = p.parse_args(argv)
    if unknown := set(args.programs.split(",")) - set(PROGRAMS):
        p.error(f"--programs: unknown {' '.join(sorted(unknown))}; known are {','.join(PROGRAMS)}")
    args.threads = args.threads or len(os.sched_getaffinity(0))
    args.workers = args.workers or (2 if args.device == "cpu" else 1)
    clips = [read_audio(path) for path in args.audio]
    if args.short:
        recordings = {f"u{n:03d}": clips[n % len(clips)] for n in range(args.short)}
    else:
        recordings = make_recordings(clips, args.recordings, args.seconds)
    total = sum(map(len, recordings.values())) / SAMPLE_RATE
    print(
        f"{len(recordings)} recordings, {total / 60:.1f} min; {args.model}; {args.threads} threads; "
        f"{machine.processor()}; torch {torch.__version__}",
        flush=True,
    )
    warm_up = {"w": next(iter(recordings.values()))[: 35 * SAMPLE_RATE]}
    rows: list[dict] = []
    for program in args.programs.split(","):
        if reason := hindrance(program, args):
            print(f"{program}: left out, {reason}", file=sys.stderr)
            continue
        run = load(program, args)
        for beam in map(int, args.beams.split(",")):
            run(warm_up, beam)
            start, busy = time.perf_counter(), time.process_time()
            texts = run(recordings, beam)
            seconds, busy = time.perf_counter() - start, time.process_time() - busy
            audio_seconds = sum(len(recordings[name]) for name in texts) / SAMPLE_RATE
            speed = audio_seconds / seconds
            rows.append(
                {
                    "program": program,
                    "beam": beam,
                    "seconds": round(seconds, 2),
                    "times_real_time": round(speed, 2),
                    "of_processor": round(audio_seconds / busy, 2),
                    "texts": texts,
                }
            )
            print(f"{program}, beam {beam}: {speed:.1f} times real time", file=sys.stderr, flush=True)
    print(table(rows))
    if args.output:
        record = {"audio_seconds": total, "rows": rows}
        Path(args.output).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
