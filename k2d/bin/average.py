"""Average the best epochs of a training into one model.

    k2d average --exp DIR --init CHECKPOINT --output_dir DIR

Averages the weights of the n best epochs by `valid <criterion>` and writes a checkpoint of the Whisper family.
--init_weight W includes the initial model in the average, with the weight W, against forgetting (Wortsman et al., 2022,
"Robust fine-tuning of zero-shot models").
"""

import argparse
from pathlib import Path

import yaml

from k2d.distill.config import BatchConfig, from_dict
from k2d.errors import DataError, UsageError
from k2d.options import CommandParser, command
from k2d.whisper.files import check_whole
from k2d.whisper.identity import model_identity
from k2d.work import identity
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 6)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("average", __doc__)
    p.add_argument("--exp", required=True, type=Path, help="output_dir of k2d train")
    p.add_argument("--init", required=True, help="the checkpoint that training started from")
    p.add_argument("--output_dir", required=True, type=Path, help="checkpoint to write")
    p.add_argument("--nbest", type=int, default=3, help="epochs to average")
    p.add_argument(
        "--criterion", default="loss", help="validation statistic that ranks the epochs, such as ce or loss"
    )
    p.add_argument(
        "--mode",
        choices=["min", "max"],
        default="min",
        help="whether the smallest or the largest value is the best",
    )
    p.add_argument("--init_weight", type=float, default=0.0, help="weight of the initial model, 0 to 1")
    p.add_argument("--half", action="store_true", help="store float16")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    if not 0 <= args.init_weight < 1:
        raise UsageError(f"--init_weight {args.init_weight}: expected a number from 0 (not at all) to below 1")
    if args.nbest < 1:
        raise UsageError(f"--nbest {args.nbest}: expected a number of epochs from 1 on")


def run(args: argparse.Namespace) -> int:
    check(args)
    trained, init = identity.of_step(args.exp), model_identity(args.init)
    started = identity.record_in(args.exp).get("inputs", {}).get("student", {})
    if started.get("digest") != init.digest:
        raise UsageError(
            f"--init {args.init}: {args.exp} was not trained from it but from {started.get('path', 'something else')}, "
            "or it has changed since; give the model that training started from"
        )
    names = ("nbest", "criterion", "mode", "init_weight", "half")
    step = Step(
        "average",
        args.output_dir,
        inputs={"exp": trained, "init": init},
        options={name: getattr(args, name) for name in names},
        arguments=args,
    )
    return run_step(step, args, lambda: average(args))


def average(args: argparse.Namespace) -> dict:
    import torch

    from k2d.whisper import checkpoint

    epochs = best_epochs(args.exp, args.criterion, args.mode, args.nbest)
    mean: dict[str, torch.Tensor] = {}
    for epoch in epochs:
        path = check_whole(args.exp / f"{epoch}epoch.pth", f"remove {args.exp} and train again, or put back a copy")
        for name, tensor in torch.load(path, map_location="cpu", weights_only=True).items():
            if name.startswith("student."):
                name = name.removeprefix("student.")
                mean[name] = mean.get(name, 0) + tensor.double() / len(epochs)
    start = checkpoint.load(args.init)
    old, weight = start.model.state_dict(), args.init_weight
    mixed = {name: (1 - weight) * tensor + weight * old[name].double() for name, tensor in mean.items()}
    start.model.load_state_dict({name: tensor.float() for name, tensor in mixed.items()})
    model = start.model.half() if args.half else start.model
    config = {**start.config, "trim_padding": trim_padding_of(args.exp, start.trim_padding)}
    checkpoint.save(args.output_dir, model, start.tokenizer, config)
    share = f", and {weight:g} of {args.init}" if weight else ""
    print(f"average: epochs {', '.join(map(str, epochs))} of {args.exp}{share} → {args.output_dir}")
    return {"epochs": epochs}


def best_epochs(exp: Path, criterion: str, mode: str, nbest: int) -> list[int]:
    """The epochs whose checkpoint is kept, best first, at most `nbest`, by the reporter in checkpoint.pth."""
    import torch

    # The reporter holds plain numbers beside ESPnet's own states; only tensors and containers are unpickled.
    path = check_whole(exp / "checkpoint.pth", f"remove {exp} and train again, or put back a copy")
    reporter = torch.load(path, map_location="cpu", weights_only=True)["reporter"]
    valid = {epoch: phases.get("valid", {}) for epoch, phases in reporter["stats"].items()}
    known = {epoch: found[criterion] for epoch, found in valid.items() if criterion in found}
    values = {epoch: value for epoch, value in known.items() if (exp / f"{epoch}epoch.pth").exists()}
    if not values:
        raise DataError(f"{exp}: no kept checkpoint has a valid {criterion}; give another --criterion, or train again")
    best = sorted(known, key=known.get, reverse=mode == "max")[: min(nbest, kept_by(exp, criterion, mode))]
    if gone := [epoch for epoch in best if epoch not in values]:
        raise DataError(
            f"{exp}: {gone[0]}epoch.pth is gone, one of the {nbest} best epochs; put back a copy, or remove {exp} and "
            "train again"
        )
    return sorted(values, key=values.get, reverse=mode == "max")[:nbest]


def kept_by(exp: Path, criterion: str, mode: str) -> int:
    """How many of the best epochs by this criterion training keeps, by its config.yaml; 0 if it goes by others."""
    config = config_of(exp)
    if ["valid", criterion, mode] not in [list(each) for each in config.get("best_model_criterion") or []]:
        return 0
    kept = config.get("keep_nbest_models") or 0
    return max(kept) if isinstance(kept, list) else kept


def trim_padding_of(exp: Path, init: bool) -> bool:
    """Whether the student was trained on encoder contexts shorter than 30 s, and so is to be decoded with them.

    Training on audio has it in its batch_conf; training on stored encoder output has it from the model that it started
    from, whose encoder made that output. init: whether that model trims.
    """
    config = config_of(exp)
    if all(name != "speech" for _, name, _ in config.get("train_data_path_and_name_and_type") or []):
        return init
    return from_dict(BatchConfig, config.get("batch_conf"), "batch_conf").trim_padding


def config_of(exp: Path) -> dict:
    """Options of a training as ESPnet has written them; {} where it has not."""
    path = exp / "config.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


main = command(parser, run)
