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
from k2d.distill.config import SHARD, EncodeOptions
from k2d.options import CommandParser, add_options, command, options_of
from k2d.whisper import processor
from k2d.whisper.identity import check_name, model_identity
from k2d.work import identity
from k2d.work.skipped import SkipOptions
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 2)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("encode", __doc__)
    p.add_argument("--model", required=True, help="model with the encoder")
    p.add_argument("--data", required=True, type=Path, help="data directory of the utterances")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    add_options(p, EncodeOptions)
    add_options(p, AudioOptions)
    add_options(p, SkipOptions)
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    check_name(args.model)
    options_of(EncodeOptions, args)


def run(args: argparse.Namespace) -> int:
    check(args)
    options, audio = options_of(EncodeOptions, args), options_of(AudioOptions, args)
    inputs = {"model": model_identity(args.model), "data": identity.of_data(args.data, "wav.scp", "segments")}
    parts = processor.parts_of(options.dtype if options.device == "cpu" else "float32")
    noise = {"noise_snr": options.snr, "seed": options.seed if options.snr else None}
    decides = {**audio.decides(inputs["data"].commands), **noise, "shard": SHARD, **parts.rounded_in_encoder}
    step = Step("encode", args.output_dir, inputs=inputs, options=decides, arguments=vars(args))

    def work() -> dict:
        from k2d.distill.encoder_out import encode

        if parts.rounded_in_encoder and (warning := processor.stranger()):
            print(f"encode: {warning}; --dtype float32 rounds nothing", file=sys.stderr)
        return encode(args.model, DataDir(args.data), args.output_dir, options, audio, parts, args.max_skipped)

    return run_step(step, args.begin, work)


main = command(parser, run)
