"""Measure how fast models decode, side by side in one process.

    k2d speed --models teacher student_comp --data data/test_in --output_dir exp/speed
    k2d speed --models teacher=large-v2 mine=exp/student_comp/average --data data/test_in --output_dir exp/speed

A model is a folder in --exp with a model.json (k2d record), or NAME=CHECKPOINT. The others are compared with the first.
All decode the same audio (the first utterances of --data, up to --max_seconds), taking turns over --rounds; encoder and
decoder are timed apart. A step: writes speed.json: medians over the rounds, the seconds of each round, the real-time
factor (seconds of computing for a second of audio), the ratio to the first model, parameters and content of each.
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.options import BOOLEAN, CommandParser, add_options, command, options_of
from k2d.transcribers import kind_of
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig
from k2d.whisper.identity import model_identity
from k2d.wording import counted
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.models import read_record
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("results", 2)
# Each window is decoded once, at temperature 0 and without a prompt.
_WITHOUT = (
    "temperatures", "best_of", "seed", "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold",
    "condition_on_previous", "initial_prompt", "carry_initial_prompt", "hotwords",
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    p = CommandParser("speed", __doc__)
    p.add_argument(
        "--models",
        required=True,
        nargs="+",
        metavar="NAME[=CHECKPOINT]",
        help="folders in --exp, or names with a checkpoint; the others are compared with the first",
    )
    p.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the models")
    p.add_argument("--data", required=True, type=Path, help="data directory whose first utterances are decoded")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--max_seconds", type=float, default=60.0, help="seconds of audio to decode")
    p.add_argument("--rounds", type=int, default=3, help="rounds of measurement")
    p.add_argument("--timestamps", **BOOLEAN, default=True, help="decode with timestamps")
    # One batch at a time; and what is stored takes no time to encode.
    add_options(p, EngineConfig, without=("workers", "encoder_cache"))
    add_options(p, DecodingOptions, without=_WITHOUT)
    add_options(p, AudioOptions)
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    names = [word.partition("=")[0] for word in args.models]
    for word, name in zip(args.models, names, strict=True):
        if not name or word.endswith("=") or names.count(name) > 1:
            raise UsageError(f"--models: {word!r}; expected NAME of a folder in --exp, or NAME=CHECKPOINT, each once")
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: expected at least 1")
    if not 0 < args.max_seconds < math.inf:
        raise UsageError(f"--max_seconds {args.max_seconds}: expected a number above 0")
    options_of(EngineConfig, args)
    options_of(DecodingOptions, args)


def checkpoints(words: list[str], exp: Path) -> dict[str, str]:
    """name -> checkpoint; models that are no Whisper checkpoints are left out, with a line that says so."""
    models = {}
    for word in words:
        name, equals, path = word.partition("=")
        path = path if equals else read_record(exp / name).path
        if kind_of(path) == "whisper":
            models[name] = path
        else:
            print(f"speed: {name} is left out: {path} is not a Whisper checkpoint", file=sys.stderr)
    if not models:
        raise UsageError("--models: not one of them is a Whisper checkpoint, nothing to measure")
    return models


def run(args: argparse.Namespace) -> int:
    check(args)
    models = checkpoints(args.models, args.exp)
    decoding = options_of(DecodingOptions, args, timestamps=args.timestamps, temperatures=(0.0,))
    config, audio = options_of(EngineConfig, args).resolved(), options_of(AudioOptions, args)
    made_of = {name: model_identity(path) for name, path in models.items()}
    data = identity.of_data(args.data, "segments")
    step = Step(
        "speed",
        args.output_dir,
        inputs={
            "data": data,
            **{f"model {name}": model for name, model in made_of.items()},
        },
        options={
            "decoding": dataclasses.asdict(decoding),
            "engine": dataclasses.asdict(dataclasses.replace(config, cache_dir=None)),
            "max_seconds": args.max_seconds,
            "rounds": args.rounds,
            **audio.decides(data.commands),
        },
        arguments=vars(args),
    )

    def work() -> None:
        from k2d.score.speed import measured

        digests = {name: model.digest for name, model in made_of.items()}
        record = measured(models, digests, DataDir(args.data), config, decoding, audio, args.max_seconds, args.rounds)
        write_json(args.output_dir / "speed.json", record)
        said = "; ".join(
            f"{name} ×{t['speed']:.2f} (real-time factor {t['real_time_factor']:.4f})"
            for name, t in record["models"].items()
        )
        print(f"speed: {record['audio_seconds']:.0f} s of audio, {counted(args.rounds, 'round')}: {said}")

    return run_step(step, args.begin, work)


main = command(parser, run)
