"""Store what the teacher thinks of every label token, so that training needs no teacher in memory.

`python -m k2d.bin.cache_teacher --teacher T --data DIR --output_dir DIR [--encoder_out DIR] [--k 32]`

For each utterance the teacher is forced along the label, and the k most probable tokens with their
log-probabilities at the training temperature are kept (topk_ids.scp, topk_log_probs.scp); what the k leave of
the probability is the tail that the loss treats as one class. Labels are tokenised as training will tokenise
them (batch_conf of the training YAML, with fixed_choices: true).
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from tqdm import tqdm

from k2d import audio
from k2d.datadir import DataDir, read_table, write_table
from k2d.distill.batches import BatchConfig, MakeExample, from_dict, log_mels
from k2d.distill.sources import ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS, RowReader, RowWriter
from k2d.whisper import checkpoint


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
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    tables = {name: args.output_dir / f"{name}.scp" for name in (TOPK_IDS, TOPK_LOG_PROBS)}
    if all(table.exists() for table in tables.values()):
        print(f"cache_teacher: {args.output_dir} is complete")
        return
    options = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    config = from_dict(BatchConfig, options.get("batch_conf", {}), f"{args.config}: batch_conf")
    if not config.fixed_choices:
        parser.error(
            f"{args.config}: batch_conf needs fixed_choices: true, or training would see other tokens"
        )
    temperature = options.get("model_conf", {}).get("temperature", 2.0)
    teacher = checkpoint.load(args.teacher, device=args.device)
    data, make = DataDir(args.data), MakeExample(teacher.tokenizer, config, train=True)
    heard = _heard(args, data, teacher, config)
    previous = read_table(args.data / "text.prev") if (args.data / "text.prev").exists() else {}
    rows = {
        uid: make(uid, {"text": text, "text_prev": previous.get(uid, "")})["text"]
        for uid, text in data.text.items()
    }
    order = sorted(rows, key=lambda uid: (len(rows[uid]), uid))  # batches of one length waste no padding
    writers = {
        TOPK_IDS: RowWriter(args.output_dir, TOPK_IDS, 0, ".i32"),
        TOPK_LOG_PROBS: RowWriter(args.output_dir, TOPK_LOG_PROBS, 0, ".f16"),
    }
    start, tokens, tail = time.time(), 0, 0.0
    with torch.inference_mode():
        for first in tqdm(
            range(0, len(order), args.batch_size), desc="cache_teacher", unit="batch", mininterval=2
        ):
            uids = order[first : first + args.batch_size]
            text = torch.nn.utils.rnn.pad_sequence(
                [torch.from_numpy(rows[uid][:-1]) for uid in uids], batch_first=True
            ).to(args.device)
            logits = teacher.model.decoder(text, heard(uids).to(args.device))
            top, ids = F.log_softmax(logits / temperature, dim=-1).topk(args.k, dim=-1)
            for i, uid in enumerate(uids):
                length = len(rows[uid]) - 1
                writers[TOPK_IDS].write(uid, ids[i, :length].cpu().numpy())
                writers[TOPK_LOG_PROBS].write(uid, top[i, :length].cpu().numpy())
                tokens += length
                tail += float((1 - top[i, :length].exp().sum(-1)).sum())
    for name, writer in writers.items():
        write_table(tables[name], writer.close())
    elapsed = time.time() - start
    print(
        f"cache_teacher: {len(order)} utterances, {tokens} tokens in {elapsed:.0f} s; the top {args.k} leave "
        f"{tail / max(tokens, 1):.4f} of the probability on average"
    )


def _heard(args: argparse.Namespace, data: DataDir, teacher: checkpoint.Checkpoint, config: BatchConfig):
    """ids → encoder output (batch, frames, width), stored or computed."""
    if args.encoder_out:
        reader = RowReader(args.encoder_out / f"{ENCODER_OUT}.scp")

        def stored(uids: list[str]) -> torch.Tensor:
            return torch.nn.utils.rnn.pad_sequence(
                [torch.from_numpy(reader[uid]).float() for uid in uids], batch_first=True
            )

        return stored
    utterances = audio.open_utterances(data)

    def computed(uids: list[str]) -> torch.Tensor:
        mel, _ = log_mels([utterances[uid] for uid in uids], teacher.dims.n_mels, config.trim_padding)
        return teacher.model.encoder(mel.to(args.device))

    return computed


if __name__ == "__main__":
    main()
