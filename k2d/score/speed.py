"""Models and audio in, how fast each generates out.

All models decode the same batches, greedily unless asked otherwise and without retries, taking turns: what
else the machine does meanwhile hits all of them. Every round decodes everything once with each model; the
medians over the rounds are reported. Log-mel features are computed beforehand and not counted.
"""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from tqdm import tqdm

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.constants import N_SAMPLES, SAMPLE_RATE
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError
from k2d.whisper.decoding import DecodingOptions, Engine
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.fallback import Window, decode_windows
from k2d.whisper.features import context_samples, utterance_log_mel
from k2d.whisper.model import count_parameters
from k2d.whisper.short_form import plan_batches
from k2d.work import machine
from k2d.work.provenance import code_revision


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds of one model. `speed` and `decoder_speed`: how many times faster than
    the first model, in all and for one token of the decoder; None without any token. `round_seconds`: (rounds,)."""

    encode_seconds: float
    decode_seconds: float
    tokens: int
    decode_seconds_per_token: float | None
    real_time_factor: float
    speed: float
    decoder_speed: float | None
    round_seconds: list[float]


def measured(
    models: Mapping[str, str],
    digests: Mapping[str, str],
    data: DataDir,
    config: EngineConfig,
    decoding: DecodingOptions,
    reading: AudioOptions,
    max_seconds: float,
    rounds: int,
) -> dict:
    """The content of speed.json: the conditions, and the `Timing` of each model. models: name -> checkpoint; digests:
    name -> its content. The first max_seconds of the data are decoded."""
    audio = read_utterances(data, max_seconds, reading)
    engines = {name: load_engine(path, config, decoding) for name, path in models.items()}
    windows = cut(audio)
    seconds = sum(len(samples) for samples in windows.values()) / SAMPLE_RATE
    work = {name: batches(engine, windows, decoding, config.batch_size) for name, engine in engines.items()}
    with tqdm(total=rounds * sum(map(len, work.values())), desc="speed", unit="batch", leave=False) as bar:
        timings = measure(engines, work, seconds, decoding, rounds=rounds, progress=bar.update)
    return {
        "data": str(data.path),
        "utterances": len(audio),
        "audio_seconds": round(seconds, 3),
        "rounds": rounds,
        "engine": config.engine,
        "device": config.device,
        "dtype": config.dtype,
        "threads": torch.get_num_threads(),
        "batch_size": config.batch_size,
        "beam_size": decoding.beam_size,
        "machine": machine.describe(),
        "revision": code_revision(),
        "models": {
            name: {
                "checkpoint": models[name],
                "model": digests[name],
                "parameters": count_parameters(engines[name].model),
                **asdict(timing),
            }
            for name, timing in timings.items()
        },
    }


def read_utterances(data: DataDir, most: float, options: AudioOptions) -> dict[str, np.ndarray]:
    """The first readable utterances, up to `most` seconds, the first of them cut to these."""
    source, audio, seconds = open_utterances(data, **options.reading), {}, 0.0
    for utterance in data.segments:
        try:
            samples = source[utterance]
        except BadAudio as error:
            print(f"speed: {utterance} is left out: {error}", file=sys.stderr)
            continue
        seconds += len(samples) / SAMPLE_RATE
        if audio and seconds > most:
            break
        audio[utterance] = samples[: round(most * SAMPLE_RATE)]  # a set of whole recordings may begin with an hour
    if not audio:
        raise DataError(f"{data.path}: no utterance can be read, nothing to measure with")
    return audio


def cut(audio: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Audio in windows of at most 30 s, so that long recordings can be timed too."""
    windows = {}
    for name, samples in audio.items():
        for start in range(0, len(samples), N_SAMPLES):
            windows[f"{name}@{start / SAMPLE_RATE:g}" if start else name] = samples[start : start + N_SAMPLES]
    return windows


def batches(
    engine: Engine, audio: Mapping[str, np.ndarray], options: DecodingOptions, batch_size: int
) -> list[list[Window]]:
    """The batches that short-form decoding would make for this model of audio of at most 30 s each."""
    seconds = {name: len(samples) / SAMPLE_RATE for name, samples in audio.items()}
    language = options.language if engine.tokenizer.multilingual else None
    made = []
    for names in plan_batches(seconds, batch_size, engine.trim_padding):
        samples = context_samples(max(len(audio[n]) for n in names), engine.trim_padding)
        mels = [utterance_log_mel(audio[n], engine.dims.n_mels, samples) for n in names]
        made.append([Window(n, 0, mel, [], language) for n, mel in zip(names, mels, strict=True)])
    return made


def measure(
    engines: Mapping[str, Engine],
    work: Mapping[str, Sequence[Sequence[Window]]],
    audio_seconds: float,
    options: DecodingOptions,
    *,
    rounds: int = 3,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time every engine on its batches, which hold the same audio. The first engine is what the others
    are compared with: the teacher. options: of one temperature, or retries are timed too. progress is called once a
    batch."""
    laps: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    for name, engine in engines.items():  # the first batch of a process pays for memory and kernels
        decode_windows(engine, work[name][0], options)
        engine.stopwatch.lap()
    for turn in range(rounds):
        names = list(engines)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for batch in work[name]:
                decode_windows(engines[name], batch, options)
                progress()
            laps[name].append(engines[name].stopwatch.lap())
    medians = {name: _median(laps[name]) for name in engines}
    first = next(iter(medians.values()))
    rounds_of = {name: [round(_total(lap), 4) for lap in laps[name]] for name in engines}
    return {name: _timing(lap, first, audio_seconds, rounds_of[name]) for name, lap in medians.items()}


def _median(laps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = ("encode_seconds", "decode_seconds", "tokens")
    return {name: statistics.median(lap[name] for lap in laps) for name in names}


def _total(lap: Mapping[str, float]) -> float:
    return lap["encode_seconds"] + lap["decode_seconds"]


def _timing(
    lap: Mapping[str, float], first: Mapping[str, float], audio_seconds: float, round_seconds: list[float]
) -> Timing:
    def per_token(counted: Mapping[str, float]) -> float | None:
        return counted["decode_seconds"] / counted["tokens"] if counted["tokens"] else None

    own, others = per_token(lap), per_token(first)
    return Timing(
        encode_seconds=round(lap["encode_seconds"], 4),
        decode_seconds=round(lap["decode_seconds"], 4),
        tokens=int(lap["tokens"]),
        decode_seconds_per_token=own and round(own, 8),
        real_time_factor=round(_total(lap) / audio_seconds, 6),
        speed=round(_total(first) / _total(lap), 4),
        decoder_speed=round(others / own, 4) if own and others else None,
        round_seconds=round_seconds,
    )
