"""The best epochs of a training in, one model out: the mean of their weights."""

from pathlib import Path

import torch
import yaml

from k2d.distill.config import BatchConfig, from_dict
from k2d.errors import DataError
from k2d.whisper import checkpoint
from k2d.whisper.files import check_whole


def average(
    exp: Path,
    init: str,
    output: Path,
    nbest: int,
    criterion: str,
    mode: str,
    init_weight: float,
    half: bool,
) -> dict:
    """Write the mean of the `nbest` epochs of `exp` whose valid `criterion` is best (mode: min or max) to `output`; in
    float16 if `half`. init: the checkpoint that training started from; init_weight: its share, 0 to 1 (Wortsman et al.,
    2022). Returns which epochs. Raises DataError where a checkpoint of the training is gone or damaged.
    """
    epochs = best_epochs(exp, criterion, mode, nbest)
    mean: dict[str, torch.Tensor] = {}
    for epoch in epochs:
        path = check_whole(exp / f"{epoch}epoch.pth", f"remove {exp} and train again, or put back a copy")
        for name, tensor in torch.load(path, map_location="cpu", weights_only=True).items():
            if name.startswith("student."):
                name = name.removeprefix("student.")
                mean[name] = mean.get(name, 0) + tensor.double() / len(epochs)
    start = checkpoint.load(init)
    old, weight = start.model.state_dict(), init_weight
    mixed = {name: (1 - weight) * tensor + weight * old[name].double() for name, tensor in mean.items()}
    start.model.load_state_dict({name: tensor.float() for name, tensor in mixed.items()})
    model = start.model.half() if half else start.model
    config = {**start.config, "trim_padding": trim_padding_of(exp, start.trim_padding)}
    checkpoint.save(output, model, start.tokenizer, config)
    share = f", and {weight:g} of {init}" if weight else ""
    print(f"average: epoch{'s' * (len(epochs) > 1)} {', '.join(map(str, epochs))} of {exp}{share} → {output}")
    return {"epochs": epochs}


def best_epochs(exp: Path, criterion: str, mode: str, nbest: int) -> list[int]:
    """The epochs whose checkpoint is kept, best first, at most `nbest`, by the reporter in checkpoint.pth."""
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
