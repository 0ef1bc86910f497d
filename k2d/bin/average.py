"""Turn ESPnet's best training checkpoints into one model.

`python -m k2d.bin.average --exp DIR --init CHECKPOINT --output_dir DIR` averages the weights of the n best
epochs by `valid <criterion>` and writes a checkpoint of the Whisper family. --init_weight W puts the model that
training started from into the average, with the weight W: what a student knew beyond its training speech is forgotten
less (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models").
"""

import argparse
from pathlib import Path

import torch

from k2d.whisper import checkpoint


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", required=True, type=Path, help="output_dir of k2d.bin.train")
    parser.add_argument("--init", required=True, help="the checkpoint that training started from")
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--nbest", type=int, default=3)
    parser.add_argument("--criterion", default="loss")
    parser.add_argument("--mode", choices=["min", "max"], default="min")
    parser.add_argument("--init_weight", type=float, default=0.0, help="weight of the initial model, 0 to 1")
    parser.add_argument("--half", action="store_true", help="store float16")
    args = parser.parse_args(argv)
    if not 0 <= args.init_weight < 1:
        parser.error(f"--init_weight {args.init_weight}: expected a number from 0 (not at all) to below 1")
    epochs = best_epochs(args.exp, args.criterion, args.mode, args.nbest)
    average: dict[str, torch.Tensor] = {}
    for epoch in epochs:
        state = torch.load(args.exp / f"{epoch}epoch.pth", map_location="cpu", weights_only=True)
        for name, tensor in state.items():
            if name.startswith("student."):
                name = name.removeprefix("student.")
                average[name] = average.get(name, 0) + tensor.double() / len(epochs)
    start = checkpoint.load(args.init)
    old, weight = start.model.state_dict(), args.init_weight
    mixed = {name: (1 - weight) * tensor + weight * old[name].double() for name, tensor in average.items()}
    start.model.load_state_dict({name: tensor.float() for name, tensor in mixed.items()})
    model = start.model.half() if args.half else start.model
    checkpoint.save(args.output_dir, model, start.tokenizer, start.config)
    share = f", and {weight:g} of {args.init}" if weight else ""
    print(f"average: epochs {', '.join(map(str, epochs))} of {args.exp}{share} → {args.output_dir}")


def best_epochs(exp: Path, criterion: str, mode: str, nbest: int) -> list[int]:
    """The epochs whose checkpoint is kept, best first, at most `nbest`, by the reporter in checkpoint.pth."""
    # The reporter holds plain numbers beside ESPnet's own states; only tensors and containers are unpickled.
    reporter = torch.load(exp / "checkpoint.pth", map_location="cpu", weights_only=True)["reporter"]
    values = {
        epoch: phases["valid"][criterion]
        for epoch, phases in reporter["stats"].items()
        if criterion in phases.get("valid", {}) and (exp / f"{epoch}epoch.pth").exists()
    }
    if not values:
        raise SystemExit(
            f"average: {exp}: no kept checkpoint has a valid {criterion}; has training finished an epoch?"
        )
    return sorted(values, key=values.get, reverse=mode == "max")[:nbest]


if __name__ == "__main__":
    main()
