"""A deeper decoder around a trained shallow one.

In: a model with a few decoder layers. Out: the same model with --layers decoder layers, the new ones before its
last. They start from tiny.en's blocks (of n layers, layer i from block ⌊4 i / n⌋) with the outputs of attention
and of the feed-forward part set to zero: in a residual network such a layer changes nothing, so training starts
where the shallow model ended. (Deeper from shallow: Gong et al., 2019, "Progressive stacking"; nothing at first:
Zhang et al., 2019, "Fixup initialization".)
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from k2d.errors import guarded
from k2d.whisper import checkpoint
from k2d.whisper.identity import TINY_EN
from k2d.whisper.model import Whisper, count_parameters

OUTPUTS = ("attn.out", "cross_attn.out", "mlp.2")  # of a decoder block


def stack(shallow, source, layers):
    """The shallow Whisper with `layers` decoder layers."""
    model = Whisper(dataclasses.replace(shallow.dims, n_text_layer=layers))
    old, blocks, last = shallow.state_dict(), source.state_dict(), shallow.dims.n_text_layer - 1
    state = {}
    for name, tensor in model.state_dict().items():
        parts = name.split(".")
        if not name.startswith("decoder.blocks."):
            state[name] = old[name]
            continue
        layer, rest = int(parts[2]), ".".join(parts[3:])
        if layer < last or layer == layers - 1:
            state[name] = old[f"decoder.blocks.{min(layer, last)}.{rest}"]
        elif rest.rpartition(".")[0] in OUTPUTS:
            state[name] = tensor.new_zeros(tensor.shape)
        else:
            state[name] = blocks[f"decoder.blocks.{layer * source.dims.n_text_layer // layers}.{rest}"]
    model.load_state_dict(state)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args()
    shallow = checkpoint.load(args.model)
    if args.layers <= shallow.dims.n_text_layer:
        parser.error(f"--layers must be above {shallow.dims.n_text_layer}, the layers of {args.model}")
    model = stack(shallow.model, checkpoint.load(TINY_EN).model, args.layers)
    checkpoint.save(args.output_dir, model, shallow.tokenizer, shallow.config)
    sizes = [count_parameters(m) / 1e6 for m in (shallow.model, model)]
    print(f"stack: {sizes[0]:.2f} M → {sizes[1]:.2f} M parameters, {args.layers} decoder layers")


if __name__ == "__main__":
    sys.exit(guarded("stack.py", main))
