"""Store the teacher's top-k tokens along every label, so training needs no teacher.

    k2d cache_teacher --teacher T --data DIR --config YAML … --output_dir DIR [--encoder_out DIR] [--k 32]

With teacher forcing on each label, the k most probable tokens and their log-probabilities at the training temperature
are stored (topk_ids.scp, topk_log_probs.scp); the loss treats the remaining probability as one class. Labels are
tokenised and cut as in training (batch_conf of the training YAML), with the same choices for an utterance in every
epoch; the teacher's audio gets no noise.

The rows lie in archives of about --shard_rows tokens. An interrupted run resumes at the first incomplete archive. The
last line says how much probability the cache leaves out, which bounds the error of the gradient in the student's
logits; training logs the bound of the divergence itself as `kl_gap`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.distill.config import BatchConfig, DistillConfig, from_dict, in_language, read_config
from k2d.errors import DataError, Unusable, UsageError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.whisper.identity import model_identity
from k2d.work import identity
from k2d.work.skipped import SkipOptions, read_skipped, write_skipped
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 3)
STORED = {"float16": "<f2", "float32": "<f4"}


def parser() -> argparse.ArgumentParser:
    p = CommandParser("cache_teacher", __doc__)
    p.add_argument(
        "--teacher", required=True, help="model whose top-k tokens are stored: folder, file, published name or Hub id"
    )
    p.add_argument("--data", required=True, type=Path, help="chunks with labels (text, text.prev)")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--encoder_out", type=Path, help="output_dir of k2d encode by the same encoder")
    p.add_argument("--config", action="append", required=True, help="training YAML; later ones override earlier ones")
    p.add_argument("--language", help="language of the labels, unless the YAML has one (default: zh)")
    p.add_argument("--k", type=int, default=32, help="tokens to store per position")
    p.add_argument("--store", choices=tuple(STORED), default="float16", help="type of the stored log-probabilities")
    p.add_argument("--shard_rows", type=int, default=1 << 17, help="tokens per archive, approximately")
    p.add_argument("--batch_size", type=int, default=8, help="utterances per batch")
    p.add_argument("--nj", type=int, default=0, help="batches at a time; 0: one per core, or one on a GPU")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …")
    p.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="type to compute in")
    add_options(p, AudioOptions, "recordings")
    add_options(p, SkipOptions, "what cannot be used")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    read(args)
    for name in ("k", "shard_rows", "batch_size"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name} {getattr(args, name)}: expected a number from 1 on")


def read(args: argparse.Namespace) -> tuple[BatchConfig, float]:
    """What the YAML says of batches, as a cached teacher gets them, and the temperature."""
    options, where = in_language(read_config(args.config), args.language), args.config[-1]
    config = from_dict(BatchConfig, options.get("batch_conf"), f"{where}: batch_conf").of_cached_teacher()
    return config, from_dict(DistillConfig, options.get("model_conf"), f"{where}: model_conf").temperature


def run(args: argparse.Namespace) -> int:
    check(args)
    config, temperature = read(args)
    inputs = {"teacher": model_identity(args.teacher)}
    if args.encoder_out:
        inputs["data"] = identity.of_tables(args.data, "text", "text.prev")
        inputs["encoder_out"] = identity.of_step(args.encoder_out)
    else:
        inputs["data"] = identity.of_data(args.data, "wav.scp", "segments", "text", "text.prev")
    decides = {name: getattr(args, name) for name in ("k", "store", "shard_rows", "dtype")}
    decides |= options_of(AudioOptions, args).reading
    step = Step(
        "cache_teacher",
        args.output_dir,
        inputs=inputs,
        options={**decides, "batch_conf": vars(config), "temperature": temperature},
        arguments=args,
    )
    return run_step(step, args, lambda: cache(args, config, temperature))


def cache(args: argparse.Namespace, config: BatchConfig, temperature: float) -> dict:
    import torch
    from tqdm import tqdm

    from k2d.datadir import DataDir
    from k2d.distill.batches import MakeExample
    from k2d.distill.sources import TOPK_IDS, TOPK_LOG_PROBS, in_shards
    from k2d.distill.teacher_cache import TopK
    from k2d.distill.threads import one_thread_each
    from k2d.tables import read_table, write_table
    from k2d.whisper import checkpoint

    teacher = checkpoint.load(args.teacher, device=args.device, dtype=getattr(torch, args.dtype))
    data, make = DataDir(args.data), MakeExample(teacher.tokenizer, config, train=True, fixed=True)
    if not data.text:
        raise DataError(f"{args.data}/text: no labels; the teacher has nothing to be forced along")
    if args.k > teacher.tokenizer.vocab_size:
        raise UsageError(f"--k {args.k}: the vocabulary has {teacher.tokenizer.vocab_size} tokens")
    previous = read_table(args.data / "text.prev") if (args.data / "text.prev").exists() else {}
    sound, topk = _sound(args, data), TopK(teacher, make, args.k, temperature, STORED[args.store])

    def label(uid: str) -> dict:
        return {"text": data.text[uid], "text_prev": previous.get(uid, "")}

    def fields(uid: str) -> dict:
        return {**sound(uid), **label(uid)}

    of_encoder = read_skipped(args.encoder_out) if args.encoder_out else {}
    skipped = {uid: of_encoder[uid] for uid in of_encoder.keys() & data.text.keys()}
    lengths = {}
    for uid in tqdm(data.text, desc="tokenise", unit="utt", mininterval=2):
        try:
            if uid not in skipped:
                lengths[uid] = len(make(uid, label(uid))["text"])
        except Unusable as error:
            skipped[uid] = str(error)
    order = sorted(lengths, key=lambda uid: (lengths[uid], uid))  # batches of one length waste no padding
    start = time.monotonic()

    def compute(uids: list[str]):
        parts = [uids[first : first + args.batch_size] for first in range(0, len(uids), args.batch_size)]
        for part, found in zip(parts, one_thread_each(lambda ids: topk.of(ids, fields), parts, args.nj, args.device)):
            for uid, (arrays, facts) in zip(part, found):
                yield uid, arrays, facts

    shards = list(_shards(order, lengths, args.shard_rows))
    stored = in_shards(args.output_dir, [TOPK_IDS, TOPK_LOG_PROBS], shards, compute, "cache_teacher")
    skipped |= stored.skipped
    write_skipped(args.output_dir, skipped, len(data.text), args.max_skipped)
    for name, table in stored.tables.items():
        write_table(args.output_dir / f"{name}.scp", table)
    numbers = stored.numbers
    tokens, now = sum(n["tokens"] for n in numbers.values()), sum(numbers[uid]["tokens"] for uid in stored.fresh)
    mean = sum(n["tail"] for n in numbers.values()) / max(tokens, 1)
    largest = max(n["largest"] for n in numbers.values())
    print(
        f"cache_teacher: {len(numbers)} utterances, {len(skipped)} skipped; {tokens} tokens, {now} of them now in "
        f"{time.monotonic() - start:.0f} s; the top {args.k} leave {mean:.5f} of the probability on average, "
        f"{largest:.4f} at most, so the gradient in a token's logits is off by at most "
        f"{2 * temperature * mean:.5f} on average (L1)"
    )
    return {"tokens": tokens, "left_out": mean, "skipped": len(skipped)}


def _shards(order: list[str], lengths: dict[str, int], rows: int) -> Iterator[list[str]]:
    """Neighbours of `order` with about `rows` tokens together."""
    shard, size = [], 0
    for uid in order:
        shard.append(uid)
        size += lengths[uid]
        if size >= rows:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _sound(args: argparse.Namespace, data) -> Callable[[str], dict]:
    """id → the audio or the stored encoder output of an utterance, named as in training."""
    from k2d.audio.utterances import open_utterances
    from k2d.distill.sources import ENCODER_OUT, ArchiveReader

    if args.encoder_out:
        reader = ArchiveReader(args.encoder_out / f"{ENCODER_OUT}.scp")
        if missing := sorted(set(data.text) - set(reader) - set(read_skipped(args.encoder_out))):
            raise DataError(f"{args.encoder_out}: {missing[0]} is not stored; encode {args.data} first")
        return lambda uid: {ENCODER_OUT: reader[uid]}
    utterances = open_utterances(data, **options_of(AudioOptions, args).reading)
    return lambda uid: {"speech": utterances[uid]}


main = command(parser, run)
