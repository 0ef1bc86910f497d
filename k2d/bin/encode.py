"""Store the encoder's output of every utterance, for training decoders on a frozen encoder.

`python -m k2d.bin.encode --model M --data DIR --output_dir DIR`
With --noise_snr LOW,HIGH the audio gets noise first (one draw an utterance, from --seed): a second version
for a student that should hear worse audio than its teacher did.
"""

import argparse
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from k2d import audio
from k2d.datadir import DataDir
from k2d.distill.batches import add_noise, log_mels
from k2d.distill.features import SCP, EncoderOutputWriter
from k2d.whisper import checkpoint


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--trim_padding", action="store_true", help="contexts of the utterance's length, not 30 s")
    parser.add_argument("--noise_snr", type=str, help="LOW,HIGH in dB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    if (args.output_dir / SCP).exists():
        print(f"encode: {args.output_dir} is complete")
        return
    snr = tuple(float(x) for x in args.noise_snr.split(",")) if args.noise_snr else None
    encoder = checkpoint.load(args.model, device=args.device).model.encoder
    utterances = audio.open_utterances(DataDir(args.data))
    ids = list(DataDir(args.data).segments)
    writer = EncoderOutputWriter(args.output_dir)
    seconds, start = 0.0, time.time()
    with torch.inference_mode():
        for uid in tqdm(ids, desc="encode", unit="utt", mininterval=2):
            speech = utterances[uid]
            seconds += len(speech) / audio.SAMPLE_RATE
            if snr:
                rng = np.random.RandomState(zlib.crc32(f"{args.seed} {uid}".encode()))
                speech = add_noise(speech, rng.uniform(*snr), rng)
            mel, _ = log_mels([speech], encoder.conv1.in_channels, args.trim_padding)
            writer.write(uid, encoder(mel.to(args.device))[0].float().cpu().numpy())
    writer.close()
    elapsed = time.time() - start
    print(f"encode: {len(ids)} utterances, {seconds / 3600:.2f} h in {elapsed:.0f} s, {seconds / elapsed:.1f} times real time")


if __name__ == "__main__":
    main()
