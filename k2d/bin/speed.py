"""Measure how fast models generate, side by side in one process.

    python -m k2d.bin.speed --models teacher=exp/teacher student_comp=exp/student_comp/average \
        --data data/test_in --output_dir exp/speed

The first model is what the others are compared with. All decode the same audio (the first utterances of
--data, up to --max_seconds), taking turns over --rounds; encoder and decoder are timed apart. Writes
speed.json: medians over the rounds, the ratio to the first model, parameters and content hash of each.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from k2d.audio.utterances import open_utterances
from k2d.constants import SAMPLE_RATE
from k2d.datadir import DataDir
from k2d.errors import BadAudio, CheckpointError, DataError
from k2d.options import add_options, options_of
from k2d.score import speed
from k2d.tables import atomic
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.identity import model_identity
from k2d.whisper.model import count_parameters
from k2d.work import machine
from k2d.work.provenance import code_revision


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--models", required=True, nargs="+", metavar="NAME=CHECKPOINT")
    p.add_argument("--data", required=True, type=Path)
    p.add_argument("--output_dir", required=True, type=Path)
    p.add_argument("--max_seconds", type=float, default=60.0, help="of audio (default %(default)s)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--timestamps", choices=["true", "false"], default="true")
    add_options(p, EngineConfig, "engine", without=("workers",))
    add_options(p, DecodingOptions, "decoding", temperatures=(0.0,))
    return p


def named(words: list[str]) -> dict[str, str]:
    models = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path) or name in models:
            raise DataError(f"--models: {word!r}; expected NAME=CHECKPOINT, every name once")
        models[name] = path
    return models


def read_utterances(data: DataDir, most: float) -> dict[str, np.ndarray]:
    """The first readable utterances, up to `most` seconds, at least one."""
    source, audio, seconds = open_utterances(data), {}, 0.0
    for utterance in data.segments:
        try:
            samples = source[utterance]
        except BadAudio as error:
            print(f"speed: {utterance} is left out: {error}", file=sys.stderr)
            continue
        seconds += len(samples) / SAMPLE_RATE
        if audio and seconds > most:
            break
        audio[utterance] = samples
    if not audio:
        raise DataError(f"{data.path}: no utterance can be read, nothing to measure with")
    return audio


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        options = options_of(DecodingOptions, args, timestamps=args.timestamps == "true")
        models = named(args.models)
        config = options_of(EngineConfig, args).resolved()
        audio = read_utterances(DataDir(args.data), args.max_seconds)
        engines = {}
        for name, path in models.items():
            engines[name] = load_engine(path, config, options)
    except (CheckpointError, DataError, ValueError) as error:
        print(f"speed: {error}", file=sys.stderr)
        return 1
    windows = speed.cut(audio)
    seconds = sum(len(samples) for samples in windows.values()) / SAMPLE_RATE
    work = {name: speed.batches(e, windows, options, config.batch_size) for name, e in engines.items()}
    total = args.rounds * sum(map(len, work.values()))
    with tqdm(total=total, desc="speed", unit="batch", leave=False) as bar:
        timings = speed.measure(engines, work, seconds, options, rounds=args.rounds, progress=bar.update)
    record = {
        "data": str(args.data),
        "utterances": len(audio),
        "audio_seconds": round(seconds, 3),
        "rounds": args.rounds,
        "engine": config.engine,
        "device": config.device,
        "dtype": config.dtype,
        "threads": torch.get_num_threads(),
        "batch_size": config.batch_size,
        "beam_size": args.beam_size,
        "machine": machine.describe(),
        "revision": code_revision(),
        "models": {
            name: {
                "checkpoint": models[name],
                "hash": model_identity(models[name]).digest,
                "parameters": count_parameters(engines[name].model),
                **dataclasses.asdict(timing),
            }
            for name, timing in timings.items()
        },
    }
    with atomic(args.output_dir / "speed.json") as out:
        out.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    told = "; ".join(
        f"{name} ×{t.speed:.2f} (real-time factor {t.real_time_factor:.4f})" for name, t in timings.items()
    )
    print(f"speed: {record['audio_seconds']:.0f} s of audio, {args.rounds} rounds: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
