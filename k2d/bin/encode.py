"""Store the encoder's output of every utterance, for a frozen encoder.

    k2d encode --model M --data DIR --output_dir DIR

With --noise_snr LOW,HIGH the audio gets noise first (one draw an utterance, from --seed): a second version, so the
student learns from worse audio than the labels were made from. Writes encoder_out.scp with its archives, and
utt2num_frames. Every utterance is computed separately, by one thread, --nj of them at a time, so the result does not
depend on the number of cores. After an interruption, complete archives are kept.
"""

import argparse
import time
import zlib
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.errors import BadAudio, DataError, UsageError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.whisper.identity import check_name, model_identity
from k2d.work import identity
from k2d.work.skipped import SkipOptions, in_numbers, passing, sources_of, write_skipped
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
    p.add_argument("--nj", type=int, default=0, help="utterances at a time; 0: one per core, or one on a GPU")
    add_options(p, AudioOptions, "recordings")
    add_options(p, SkipOptions, "what cannot be used")
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
    snr = signal_to_noise(args)
    step = Step(
        "encode",
        args.output_dir,
        inputs={"model": model_identity(args.model), "data": identity.of_data(args.data, "wav.scp", "segments")},
        options={
            **options_of(AudioOptions, args).reading,
            "noise_snr": snr,
            "seed": args.seed if snr else None,
            "shard": SHARD,
        },
        arguments=args,
    )
    return run_step(step, args, lambda: encode(args, snr))


def encode(args: argparse.Namespace, snr: tuple[float, float] | None) -> dict:
    import numpy as np

    from k2d.audio.utterances import open_utterances
    from k2d.constants import SAMPLE_RATE, WINDOW
    from k2d.datadir import DataDir
    from k2d.distill.batches import add_noise, log_mels
    from k2d.distill.sources import ENCODER_OUT, SLACK, in_shards
    from k2d.distill.threads import one_thread_each
    from k2d.tables import write_numbers, write_table
    from k2d.whisper import checkpoint

    data = DataDir(args.data)
    ids = list(data.segments)
    if not ids:
        raise DataError(f"{args.data}: no utterance to encode")
    loaded = checkpoint.load(args.model, device=args.device)
    encoder, utterances = loaded.model.encoder, open_utterances(data, **options_of(AudioOptions, args).reading)

    def encoded(uid: str):
        """The encoder's output (frames, width), padding included, and seconds of audio; or what is wrong with it."""
        try:
            speech = utterances[uid]
        except BadAudio as error:
            return error, 0.0
        seconds = len(speech) / SAMPLE_RATE
        if seconds > WINDOW + SLACK:
            return BadAudio(uid, "too long", f"{seconds:.1f} s, the encoder takes {WINDOW:.0f} s; cut it in two"), 0.0
        if snr:
            rng = np.random.RandomState(zlib.crc32(f"{args.seed} {uid}".encode()))
            speech = add_noise(speech, rng.uniform(*snr), rng)
        mel, _ = log_mels([speech], loaded.dims.n_mels, loaded.trim_padding)
        return encoder(mel.to(args.device))[0].float().cpu().numpy().astype("<f2"), seconds

    start = time.monotonic()

    def compute(part: list[str]):
        for uid, (rows, seconds) in zip(part, one_thread_each(encoded, part, args.nj, args.device)):
            if isinstance(rows, BadAudio):
                yield uid, rows, {}
            else:
                yield uid, {ENCODER_OUT: rows}, {"frames": len(rows), "seconds": seconds}

    shards = [ids[first : first + SHARD] for first in range(0, len(ids), SHARD)]
    stored = in_shards(args.output_dir, [ENCODER_OUT], shards, compute, "encode")
    write_skipped(args.output_dir, stored.skipped, len(ids), args.max_skipped)
    frames = {uid: facts["frames"] for uid, facts in stored.numbers.items()}
    write_numbers(args.output_dir / "utt2num_frames", frames)
    write_table(args.output_dir / f"{ENCODER_OUT}.scp", stored.tables[ENCODER_OUT])
    elapsed, seconds = time.monotonic() - start, sum(stored.numbers[uid]["seconds"] for uid in stored.fresh)
    print(
        f"encode: {len(frames)} utterances, {len(stored.fresh)} of them now: {seconds / 3600:.2f} h in "
        f"{elapsed:.0f} s, {seconds / elapsed:.1f} times real time; {in_numbers(stored.skipped)}"
    )
    again = sources_of(passing(stored.skipped), data)
    return {"utterances": len(frames), "skipped": len(stored.skipped), "again": again}


main = command(parser, run)
