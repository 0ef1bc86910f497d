"""Store what the teacher thinks of every label token, so that training needs no teacher in memory.

`python -m k2d.bin.cache_teacher --teacher T --data DIR --output_dir DIR [--encoder_out DIR] [--k 32]`

For each utterance the teacher is forced along the label, and the k most probable tokens with their
log-probabilities at the training temperature are kept (topk_ids.scp, topk_log_probs.scp); what the k leave of
the probability is the tail that the loss treats as one class. Labels are tokenised and cut as in training
(batch_conf of the training YAML, with fixed_choices: true); the teacher hears no added noise.

The rows lie in shards of about --shard_rows tokens. A shard is recorded when it is complete, so a killed run,
started again with the same options, goes on with the first shard that is not; with other options it starts
anew. The last line says how much of the probability the cache leaves out, and with it how far the gradient in
the student's logits can be off; training logs the bound of the divergence itself as `kl_gap`.
"""

import argparse
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor
from tqdm import tqdm

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.distill.batches import BatchConfig, MakeExample, from_dict, log_mels, pad
from k2d.distill.forward import decode, encode
from k2d.distill.sources import ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS, RowReader, RowWriter
from k2d.errors import DataError
from k2d.tables import atomic, read_table, write_table
from k2d.whisper import checkpoint
from k2d.whisper.identity import model_identity
from k2d.work.provenance import write_provenance

SUFFIX = {"float16": ".f16", "float32": ".f32"}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True, type=Path, help="chunks with labels (text, text.prev)")
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--encoder_out", type=Path, help="output_dir of k2d.bin.encode by the same encoder")
    parser.add_argument(
        "--config", type=Path, required=True, help="training YAML: batch_conf and temperature"
    )
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--store", choices=tuple(SUFFIX), default="float16", help="of log-probabilities")
    parser.add_argument("--shard_rows", type=int, default=1 << 17, help="tokens a shard, about")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="of the computation"
    )
    args = parser.parse_args(argv)
    options = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    config = from_dict(BatchConfig, options.get("batch_conf") or {}, f"{args.config}: batch_conf")
    if not config.fixed_choices:
        parser.error(
            f"{args.config}: batch_conf needs fixed_choices: true, or training would see other tokens"
        )
    temperature = (options.get("model_conf") or {}).get("temperature", 2.0)
    try:
        cache(args, dataclasses.replace(config, noise=0.0), temperature)
    except DataError as error:
        parser.exit(1, f"cache_teacher: {error}\n")


def cache(args: argparse.Namespace, config: BatchConfig, temperature: float) -> None:
    tables = {name: args.output_dir / f"{name}.scp" for name in (TOPK_IDS, TOPK_LOG_PROBS)}
    made_with = _fingerprint(args, config, temperature)
    record = args.output_dir / "cache.json"
    if not record.exists() or json.loads(record.read_text(encoding="utf-8")) != made_with:
        for file in [*tables.values(), *args.output_dir.glob("shard.*.json")]:
            file.unlink(missing_ok=True)
        with atomic(record) as stream:
            stream.write(json.dumps(made_with, indent=2) + "\n")
    if all(table.exists() for table in tables.values()):
        print(f"cache_teacher: {args.output_dir} is complete")
        return
    teacher = checkpoint.load(args.teacher, device=args.device, dtype=getattr(torch, args.dtype))
    write_provenance(args.output_dir, args, {"teacher": teacher.hash})
    data, make = DataDir(args.data), MakeExample(teacher.tokenizer, config, train=True)
    if not data.text:
        raise DataError(f"{args.data}/text: no labels; the teacher has nothing to be forced along")
    if args.k > teacher.tokenizer.vocab_size:
        raise DataError(f"--k {args.k}: the vocabulary has {teacher.tokenizer.vocab_size} tokens")
    previous = read_table(args.data / "text.prev") if (args.data / "text.prev").exists() else {}
    sound, heard = _sound(args, data), _heard(args, teacher, config)

    def label(uid: str) -> dict:
        return {"text": data.text[uid], "text_prev": previous.get(uid, "")}

    lengths = {
        uid: len(make(uid, label(uid))["text"])
        for uid in tqdm(data.text, desc="tokenise", unit="utt", mininterval=2)
    }
    order = sorted(lengths, key=lambda uid: (lengths[uid], uid))  # batches of one length waste no padding
    lines: dict[str, dict[str, str]] = {name: {} for name in tables}
    start, tokens, fresh, tail, largest = time.time(), 0, 0, 0.0, 0.0
    bar = tqdm(total=len(order), desc="cache_teacher", unit="utt", mininterval=2)
    with torch.inference_mode(), bar:
        for number, uids in enumerate(_shards(order, lengths, args.shard_rows)):
            done = args.output_dir / f"shard.{number}.json"
            if not done.exists():
                writers = {
                    TOPK_IDS: RowWriter(args.output_dir, TOPK_IDS, number, ".i32"),
                    TOPK_LOG_PROBS: RowWriter(args.output_dir, TOPK_LOG_PROBS, number, SUFFIX[args.store]),
                }
                shard = {"tokens": 0, "tail": 0.0, "largest": 0.0}
                for first in range(0, len(uids), args.batch_size):
                    part = uids[first : first + args.batch_size]
                    rows = [make(uid, {**sound(uid), **label(uid)}) for uid in part]
                    told = _top(teacher.model, rows, heard(rows), args, temperature)
                    for uid, (ids, log_probs) in zip(part, told):
                        writers[TOPK_IDS].write(uid, ids.cpu().numpy())
                        writers[TOPK_LOG_PROBS].write(uid, log_probs.cpu().numpy())
                        left = (1 - log_probs.exp().sum(-1)).clamp_min(0)
                        shard["tokens"] += len(ids)
                        shard["tail"] += float(left.sum())
                        shard["largest"] = max(shard["largest"], float(left.max()))
                    bar.update(len(part))
                fresh += shard["tokens"]
                shard["lines"] = {name: writer.close() for name, writer in writers.items()}
                with atomic(done) as stream:
                    stream.write(json.dumps(shard, ensure_ascii=False) + "\n")
            else:
                bar.update(len(uids))
                shard = json.loads(done.read_text(encoding="utf-8"))
            tokens, tail = tokens + shard["tokens"], tail + shard["tail"]
            largest = max(largest, shard["largest"])
            for name in tables:
                lines[name].update(shard["lines"][name])
    for name, table in tables.items():
        write_table(table, lines[name])
    for file in args.output_dir.glob("shard.*.json"):
        file.unlink()
    elapsed, mean = time.time() - start, tail / max(tokens, 1)
    print(
        f"cache_teacher: {len(order)} utterances, {tokens} tokens, {fresh} of them now in {elapsed:.0f} s; "
        f"the top {args.k} leave {mean:.5f} of the probability on average, {largest:.4f} at most, so the "
        f"gradient in a token's logits is off by at most {2 * temperature * mean:.5f} on average (L1)"
    )


def _fingerprint(args: argparse.Namespace, config: BatchConfig, temperature: float) -> dict:
    """What a shard depends on, for not mixing shards of two runs."""
    labels = hashlib.sha256()
    for name in ("text", "text.prev"):
        if (args.data / name).exists():
            labels.update((args.data / name).read_bytes())
    return {
        "teacher": model_identity(args.teacher).digest,
        "labels": labels.hexdigest(),
        "encoder_out": str(args.encoder_out) if args.encoder_out else None,
        "batch_conf": json.loads(json.dumps(dataclasses.asdict(config))),
        "temperature": temperature,
        **{name: getattr(args, name) for name in ("k", "store", "shard_rows", "batch_size", "dtype")},
    }


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


def _top(
    teacher: checkpoint.Whisper, rows: list[dict], heard: Tensor, args: argparse.Namespace, temperature: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each row its (tokens, k) ids and log-probabilities."""
    text = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row["text"][:-1]) for row in rows], batch_first=True, padding_value=-1
    ).to(args.device)
    hidden, _ = decode(teacher, text.clamp_min(0), heard, text >= 0)
    weight = teacher.decoder.token_embedding.weight
    for states in hidden.split([len(row["text"]) - 1 for row in rows]):
        top = F.log_softmax((states @ weight.T).float() / temperature, dim=-1).topk(args.k, dim=-1)
        yield top.indices, top.values


def _sound(args: argparse.Namespace, data: DataDir) -> Callable[[str], dict]:
    """id → the audio or the stored encoder output of an utterance, named as in training."""
    if args.encoder_out:
        reader = RowReader(args.encoder_out / f"{ENCODER_OUT}.scp")
        if missing := sorted(set(data.text) - set(reader)):
            raise DataError(f"{args.encoder_out}: {missing[0]} is not stored; encode {args.data} first")
        return lambda uid: {ENCODER_OUT: reader[uid]}
    utterances = open_utterances(data)
    return lambda uid: {"speech": utterances[uid]}


def _heard(
    args: argparse.Namespace, teacher: checkpoint.Checkpoint, config: BatchConfig
) -> Callable[[list[dict]], Tensor]:
    """Rows → encoder output (batch, frames, width), stored or computed."""
    dtype = getattr(torch, args.dtype)

    def heard(rows: list[dict]) -> Tensor:
        if args.encoder_out:
            return pad([row[ENCODER_OUT] for row in rows])[0].to(args.device, dtype)
        mel, _ = log_mels([row["speech"] for row in rows], teacher.dims.n_mels, config.trim_padding)
        return encode(teacher.model, mel.to(args.device))

    return heard


if __name__ == "__main__":
    main()
