"""Untrained mini models around the real Whisper tiny.en: its encoder, and decoders over a small vocabulary.

In: text of the seed speech. Out: checkpoint folders of teacher and validator whose decoder blocks start as
copies of tiny.en's (of n > 4 blocks, block i starts from block ⌊4 i / n⌋), with tiny.en's embeddings of special
and timestamp tokens; pieces of text start from the mean of tiny.en's embeddings for the same string.
"""

import argparse
import dataclasses
from pathlib import Path

import torch

from k2d.datadir import read_table
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.model import Whisper, count_parameters


def build(source, tokenizer, encoder_layers, decoder_layers, seed):
    """A model with `encoder_layers` of the source's encoder and `decoder_layers` decoder blocks."""
    torch.manual_seed(seed)
    dims = dataclasses.replace(
        source.dims, n_vocab=tokenizer.vocab_size, n_audio_layer=encoder_layers, n_text_layer=decoder_layers
    )
    model = Whisper(dims)
    old, state = source.model.state_dict(), {}
    for name in model.state_dict():
        parts = name.split(".")
        deeper = decoder_layers > source.dims.n_text_layer
        if deeper and parts[0] == "decoder" and "blocks" in parts:
            parts[2] = str(int(parts[2]) * source.dims.n_text_layer // decoder_layers)
        if name != "decoder.token_embedding.weight":
            state[name] = old[".".join(parts)]
    embedding = old["decoder.token_embedding.weight"]
    english = source.tokenizer
    rows = torch.randn(tokenizer.vocab_size, dims.n_text_state) * embedding.std()
    for i, piece in enumerate(tokenizer.text_tokens()):
        ids = english.encode(piece.replace("▁", " "))
        if piece.isascii() or piece.startswith("▁"):
            rows[i] = embedding[ids].mean(0) + 0.1 * rows[i]
    special = ("eot", "sot", "translate", "transcribe", "sot_lm", "sot_prev", "no_speech", "no_timestamps")
    for name in special:
        rows[getattr(tokenizer, name)] = embedding[getattr(english, name)]
    rows[tokenizer.timestamp_begin :] = embedding[english.timestamp_begin :]
    state["decoder.token_embedding.weight"] = rows
    model.load_state_dict(state)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--vocab_size", type=int, default=1000, help="text tokens, 256 bytes of the fallback included")
    parser.add_argument("--teacher_layers", type=int, nargs=2, default=(4, 8), metavar=("ENCODER", "DECODER"))
    parser.add_argument("--validator_layers", type=int, nargs=2, default=(4, 2), metavar=("ENCODER", "DECODER"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tokenizer = train_sentencepiece(read_table(args.text).values(), args.vocab_size)
    source = checkpoint.load(checkpoint.TINY_EN)
    config = {"trim_padding": True, "frozen": {"source": checkpoint.TINY_EN}}
    for name, layers in (("teacher", args.teacher_layers), ("validator", args.validator_layers)):
        model = build(source, tokenizer, *layers, args.seed)
        checkpoint.save(args.output_dir / f"{name}_init", model, tokenizer, config)
        size = f"{count_parameters(model) / 1e6:.2f} M parameters, {tokenizer.vocab_size} tokens"
        print(f"init_models: {name}: {size}")


if __name__ == "__main__":
    main()
