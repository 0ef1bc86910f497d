"""The output of a frozen encoder, stored once for all utterances of a data directory.

In: a model, utterances of at most 30 s, maybe noise. Out: encoder_out.scp with its archives, (frames, width) float16,
utt2num_frames, and skipped.txt.
"""

import time
import zlib
from pathlib import Path

import numpy as np

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.constants import LONGEST, SAMPLE_RATE, WINDOW
from k2d.datadir import DataDir
from k2d.distill.batches import add_noise, log_mels
from k2d.distill.config import SHARD, EncodeOptions
from k2d.distill.sources import ENCODER_OUT, in_shards
from k2d.distill.threads import one_thread_each
from k2d.errors import BadAudio, DataError
from k2d.tables import write_numbers, write_table
from k2d.whisper import checkpoint
from k2d.whisper.encoding import rounding
from k2d.whisper.processor import Parts
from k2d.wording import audio_length, counted
from k2d.work.skipped import in_numbers, passing, sources_of, write_skipped


def encode(
    model: str,
    data: DataDir,
    output: Path,
    options: EncodeOptions,
    audio: AudioOptions,
    parts: Parts,
    max_skipped: int | None,
) -> dict:
    """Encode all utterances, in the types of `parts`; facts for the record. With noise, each draws its own ratio, by
    the seed and its id. Raises DataError where there are none, and TooManySkipped.
    """
    ids = list(data.segments)
    if not ids:
        raise DataError(f"{data.path}: no utterance to encode")
    loaded = checkpoint.load(model, device=options.device)
    encoder, utterances = rounding(loaded.model.encoder, parts), open_utterances(data, **audio.reading)
    encoder = encoder or (lambda mel: loaded.model.encoder(mel[None])[0])
    snr = options.snr

    def encoded(uid: str):
        """The encoder's output (frames, width), padding included, and seconds of audio; or what is wrong with it."""
        try:
            speech = utterances[uid]
        except BadAudio as error:
            return error, 0.0
        seconds = len(speech) / SAMPLE_RATE
        if seconds > LONGEST:
            return BadAudio(uid, "too long", f"{seconds:.1f} s, the encoder takes {WINDOW:.0f} s; cut it in two"), 0.0
        if snr:
            rng = np.random.RandomState(zlib.crc32(f"{options.seed} {uid}".encode()))
            speech = add_noise(speech, rng.uniform(*snr), rng)
        mel, _ = log_mels([speech], loaded.dims.n_mels, loaded.trim_padding)
        return encoder(mel[0].to(options.device)).float().cpu().numpy().astype("<f2"), seconds

    start = time.monotonic()

    def compute(part: list[str]):
        for uid, (rows, seconds) in zip(part, one_thread_each(encoded, part, options.nj, options.device)):
            if isinstance(rows, BadAudio):
                yield uid, rows, {}
            else:
                yield uid, {ENCODER_OUT: rows}, {"frames": len(rows), "seconds": seconds}

    shards = [ids[first : first + SHARD] for first in range(0, len(ids), SHARD)]
    stored = in_shards(output, [ENCODER_OUT], shards, compute, "encode")
    write_skipped(output, stored.skipped, len(ids), max_skipped)
    frames = {uid: facts["frames"] for uid, facts in stored.numbers.items()}
    write_numbers(output / "utt2num_frames", frames)
    write_table(output / f"{ENCODER_OUT}.scp", stored.tables[ENCODER_OUT])
    elapsed, seconds = time.monotonic() - start, sum(stored.numbers[uid]["seconds"] for uid in stored.fresh)
    print(
        f"encode: {counted(len(frames), 'utterance')}, {len(stored.fresh):,} of them now: {audio_length(seconds)} in "
        f"{elapsed:.0f} s, {seconds / elapsed:.1f} times real time; {in_numbers(stored.skipped)}"
    )
    again = sources_of(passing(stored.skipped), data)
    return {"utterances": len(frames), "skipped": len(stored.skipped), "again": again}
