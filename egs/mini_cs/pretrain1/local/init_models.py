"""Untrained mini models around the real Whisper tiny.en: its encoder, and decoders over a small vocabulary.

In: text of the seed speech. Out: <output_dir>/{ends,validator}_init. The two decoder layers of `ends`, which become the
ends of the teacher's decoder, start as copies of tiny.en's first and last, those of the validator as copies of its
first and second, or of others (--validator_layers). Embeddings of special and timestamp tokens are tiny.en's; pieces of
text start from the mean of tiny.en's embeddings for the same string.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from k2d.distill.student import build_student
from k2d.errors import guarded
from k2d.tables import read_table
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.identity import TINY_EN
from k2d.whisper.model import Whisper, count_parameters


def token_embedding(source, tokenizer, seed):
    """(tokens, width): a row for every token of the small vocabulary, as near to tiny.en's as there is one."""
    embedding, english = source.model.decoder.token_embedding.weight.detach(), source.tokenizer
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(tokenizer.vocab_size, embedding.shape[1], generator=generator) * embedding.std()
    for i, piece in enumerate(tokenizer.text_tokens()):
        ids = english.encode(piece.replace("▁", " "))
        if piece.isascii() or piece.startswith("▁"):
            rows[i] = embedding[ids].mean(0) + 0.1 * rows[i]
    for name in ("eot", "sot", "translate", "transcribe", "sot_lm", "sot_prev", "no_speech", "no_timestamps"):
        rows[getattr(tokenizer, name)] = embedding[getattr(english, name)]
    rows[tokenizer.timestamp_begin :] = embedding[english.timestamp_begin :]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--vocab_size", type=int, default=1000, help="text tokens, 256 bytes of the fallback included")
    parser.add_argument("--validator_layers", default="0,1", help="which of tiny.en's four (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    lines = [line for table in args.text for line in read_table(table).values()]
    tokenizer = train_sentencepiece(lines, args.vocab_size)
    source = checkpoint.load(TINY_EN)
    embedding = token_embedding(source, tokenizer, args.seed)
    config = {"trim_padding": True, "frozen": {"source": TINY_EN}}
    for name, layers in (("ends", "first,last"), ("validator", args.validator_layers)):
        state = build_student(source.model, layers).state_dict()
        state["decoder.token_embedding.weight"] = embedding
        dims = dataclasses.replace(source.dims, n_vocab=tokenizer.vocab_size, n_text_layer=len(layers.split(",")))
        model = Whisper(dims)
        model.load_state_dict(state)
        checkpoint.save(args.output_dir / f"{name}_init", model, tokenizer, config)
        print(f"init_models: {name}: {count_parameters(model) / 1e6:.2f} M parameters, {dims.n_vocab} tokens")


if __name__ == "__main__":
    sys.exit(guarded("init_models.py", main))
