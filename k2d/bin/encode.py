"""Store the encoder's output of every utterance, for training decoders on a frozen encoder.

`python -m k2d.bin.encode --model M --data DIR --output_dir DIR`
With --noise_snr LOW,HIGH the audio gets noise first (one draw an utterance, from --seed): a second version
for a student that should hear worse audio than its teacher did.
"""

import argparse
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from k2d.audio.utterances import open_utterances
from k2d.constants import SAMPLE_RATE
from k2d.datadir import DataDir
from k2d.distill.batches import add_noise, log_mels
from k2d.distill.sources import ENCODER_OUT, RowWriter
from k2d.tables import write_table
from k2d.whisper import checkpoint


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--noise_snr", type=str, help="LOW,HIGH in dB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--nj", type=int, default=1, help="utterances at a time, which share the cores")
    args = parser.parse_args(argv)
    table_file = args.output_dir / f"{ENCODER_OUT}.scp"
    if table_file.exists():
        print(f"encode: {args.output_dir} is complete")
        return
    data = DataDir(args.data)
    ids = list(data.segments)
    torch.set_num_threads(max(1, torch.get_num_threads() // args.nj))
    loaded = checkpoint.load(args.model, device=args.device)
    start, seconds, table = time.time(), 0.0, {}
    with (
        tqdm(total=len(ids), desc="encode", unit="utt", mininterval=2) as bar,
        ThreadPoolExecutor(args.nj) as pool,
    ):
        work = partial(_encode, args, loaded, data, bar)
        for part, lines in pool.map(work, range(args.nj), [ids[i :: args.nj] for i in range(args.nj)]):
            seconds += part
            table.update(lines)
    write_table(table_file, table)
    elapsed = time.time() - start
    print(
        f"encode: {len(ids)} utterances, {seconds / 3600:.2f} h in {elapsed:.0f} s, "
        f"{seconds / elapsed:.1f} times real time"
    )


def _encode(args, loaded: checkpoint.Checkpoint, data: DataDir, bar: tqdm, shard: int, ids: list[str]):
    """Encode `ids` into one shard; returns seconds of audio and the shard's table."""
    snr = tuple(float(x) for x in args.noise_snr.split(",")) if args.noise_snr else None
    encoder = loaded.model.encoder
    utterances = open_utterances(data)
    writer = RowWriter(args.output_dir, ENCODER_OUT, shard, ".f16")
    seconds = 0.0
    with torch.inference_mode():
        for uid in ids:
            speech = utterances[uid]
            seconds += len(speech) / SAMPLE_RATE
            if snr:
                rng = np.random.RandomState(zlib.crc32(f"{args.seed} {uid}".encode()))
                speech = add_noise(speech, rng.uniform(*snr), rng)
            mel, _ = log_mels([speech], encoder.conv1.in_channels, loaded.trim_padding)
            writer.write(uid, encoder(mel.to(args.device))[0].float().cpu().numpy())
            bar.update()
    return seconds, writer.close()


if __name__ == "__main__":
    main()
