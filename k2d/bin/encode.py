"""Store the encoder's output of every utterance, for a frozen encoder.

    k2d encode --model exp/teacher --data data/lectures_teacher --output_dir exp/encoder_out0

With --noise_snr LOW,HIGH the audio gets noise first (one draw an utterance, from --seed): a second version, so the
student learns from worse audio than the labels were made from. Writes encoder_out.scp with its archives, and
utt2num_frames. Every utterance is computed separately, by one thread, --nj of them at a time, so the result does not
depend on the number of cores. After an interruption, complete archives are kept.
"""

import argparse
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.whisper import processor
from k2d.whisper.engine import DTYPES
from k2d.whisper.identity import check_name, model_identity
from k2d.work import identity
from k2d.work.skipped import SkipOptions
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 2)
SHARD = 100  # utterances an archive: what a kill can lose


def parser() -> argparse.ArgumentParser:
    p = CommandParser("encode", __doc__)
    p.add_argument("--model", required=True, help="model with the encoder")
    p.add_argument("--data", required=True, type=Path, help="data directory of the utterances")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--noise_snr", help="add noise: LOW,HIGH signal-to-noise ratio in dB")
    p.add_argument("--seed", type=int, default=0, help="seed of the noise")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …")
    p.add_argument(
        "--dtype",
        default="auto",
        choices=DTYPES,
        help="on a CPU, auto and bfloat16: what the processor is fastest in; others: float32",
    )
    p.add_argument("--nj", type=int, default=0, help="utterances at a time; 0: one per core, or one on a GPU")
    add_options(p, AudioOptions)
    add_options(p, SkipOptions)
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    check_name(args.model)
    signal_to_noise(args)
    if args.nj < 0:
        raise UsageError(f"--nj {args.nj}: expected a number of utterances at a time, or 0")


def signal_to_noise(args: argparse.Namespace) -> tuple[float, float] | None:
    """(lowest, highest) in dB, None where no noise is added."""
    if not args.noise_snr:
        return None
    try:
        low, high = (float(part) for part in args.noise_snr.split(","))
    except ValueError:
        raise UsageError(f"--noise_snr {args.noise_snr}: expected two numbers such as 0,15, in dB") from None
    if low > high:
        raise UsageError(f"--noise_snr {args.noise_snr}: expected the lower number first")
    return low, high


def run(args: argparse.Namespace) -> int:
    check(args)
    snr, audio = signal_to_noise(args), options_of(AudioOptions, args)
    inputs = {"model": model_identity(args.model), "data": identity.of_data(args.data, "wav.scp", "segments")}
    options = {**audio.reading, "noise_snr": snr, "seed": args.seed if snr else None, "shard": SHARD}
    parts = processor.parts_of(args.dtype if args.device == "cpu" else "float32")
    options |= parts.rounded_in_encoder
    step = Step("encode", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work() -> dict:
        from k2d.distill.encoder_out import Noise, encode

        if parts.rounded_in_encoder and (warning := processor.stranger()):
            print(f"encode: {warning}; --dtype float32 rounds nothing", file=sys.stderr)
        noise = Noise(snr, args.seed) if snr else None
        data = DataDir(args.data)
        return encode(
            args.model, data, args.output_dir, SHARD, noise, args.device, args.nj, audio, args.max_skipped, parts
        )

    return run_step(step, args.begin, work)


main = command(parser, run)
