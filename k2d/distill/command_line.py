"""A training's command line, read without ESPnet's trainer, whose import takes five seconds.

In: the words of a command line, the YAML's content. Out: the namespace that ESPnet's own parser would make of them, or
a UsageError that says what is wrong. The parser is rebuilt from a description, which is made once and kept in
$XDG_CACHE_HOME/k2d/options; another ESPnet, or other code of ours, has another one.
"""

import argparse
import importlib
from collections.abc import Collection, Sequence
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path

import yaml

from k2d.distill.config import AUTO, BatchConfig, DistillConfig, check_terms, from_dict, with_numbers
from k2d.distill.sources import TOPK_IDS, TOPK_LOG_PROBS
from k2d.errors import UsageError, first_line
from k2d.options import with_neighbours
from k2d.work.folders import cache_folder, json_or_none, remember
from k2d.work.identity import digest_of, file_digest

STORE_TRUE = "store_true"
FOLDS = {"ab": "builtins:str.lower", "AB": "builtins:str.upper", "aB": "builtins:str"}  # what becomes of aB

# Whole numbers that may be 0 though their default is another.
MAY_BE_ZERO = ("dist_rank", "local_rank", "max_cache_fd", "num_att_plot", "num_cache_chunks", "num_workers", "patience")
# With these ESPnet trains nothing, and the step would be taken for done or begun.
TRAIN_NOTHING = ("dry_run", "print_config", "collect_stats")
# Options from which objects are built.
BUILT_FROM = ("optim", "optim_conf", "exclude_weight_decay", "exclude_weight_decay_conf", "sharded_ddp", "scheduler",
              "scheduler_conf", "model_conf")  # fmt: skip


def parse(
    parser: argparse.ArgumentParser, terms: Collection[str], words: Sequence[str], config: dict, where: str
) -> argparse.Namespace:
    """ESPnet's parser with our options on a command line's words and a YAML's content.

    terms: the losses that there are. where: the YAML, as messages call it. Raises UsageError.
    """
    if unknown := sorted(set(config) - {action.dest for action in parser._actions}):
        raise UsageError(f"{where}: unknown {', '.join(unknown)}; k2d train --help lists all options")

    def error(message: str):
        raise UsageError(with_neighbours(message, parser._option_string_actions))

    parser.error = error
    parser.allow_abbrev = False  # a step's key has the names as they are written
    defaults = {action.dest: action.default for action in parser._actions}
    parser.set_defaults(**config | _of_types(parser, config, where))
    try:
        args = parser.parse_args(words)
    except yaml.YAMLError as broken:
        raise UsageError(f"{' '.join(words)}: a value cannot be read ({first_line(broken)}); correct it") from None
    if asked := next((name for name in TRAIN_NOTHING if getattr(args, name)), None):
        raise UsageError(f"{asked} ({_place(asked, where)}): with it ESPnet trains nothing; leave it out")
    args.config = where
    for name, value in vars(args).items():
        if name.endswith("_conf"):
            setattr(args, name, with_numbers(value))
    check_values(args, defaults, where)
    check_criteria(args, {"loss", "acc", "kl_gap", *terms})
    model = from_dict(DistillConfig, args.model_conf, "model_conf")
    check_terms(model.terms(), terms)
    if model.autocast == AUTO:  # in a file it has been resolved, since the step's key says what it means
        raise UsageError("--model_conf autocast=auto: leave it to the file of --config, or give bfloat16 or null here")
    batches = from_dict(BatchConfig, args.batch_conf, "batch_conf")
    if is_cached(args):
        batches.of_cached_teacher()
    if not args.student:
        raise UsageError("--student is needed: the checkpoint to train, made by k2d init_student")
    return args


def _of_types(parser: argparse.ArgumentParser, config: dict, where: str) -> dict:
    """The YAML's values as they would be read on a command line, which looks at types and choices; argparse does not
    look at those of defaults. Raises UsageError."""
    words, names = [], []
    for action in parser._actions:
        value = config.get(action.dest)
        if type(action) is not argparse._StoreAction or action.dest not in config or value == action.default:
            continue
        if value is None:
            raise UsageError(f"{where}: {action.dest} has no value; give one, or leave it out")
        names.append(action.dest)
        if action.nargs in (None, "?"):
            words.append(f"--{action.dest}={value}")
        else:
            values = value if isinstance(value, (list, tuple)) else [value]
            joined = (",".join(map(str, each)) if isinstance(each, (list, tuple)) else str(each) for each in values)
            words += [f"--{action.dest}", *joined]
    said = parser.error
    parser.error = lambda message: said(f"{where}: {message}")
    read = vars(parser.parse_known_args(words)[0])
    parser.error = said
    return {name: read[name] for name in names}


def check_values(args: argparse.Namespace, defaults: dict, where: str) -> None:
    """UsageError for numbers that no training can have. A whole number counts something, at least 1 unless its default
    or MAY_BE_ZERO says otherwise."""
    for name, default in defaults.items():
        given = getattr(args, name, None)
        least = 0 if name in MAY_BE_ZERO else min(1, default) if _is_whole(default) else 1
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if _is_whole(value) and value < least:
                raise UsageError(f"{name} {value} ({_place(name, where)}): expected at least {least}")
    for name in ("grad_clip", "grad_clip_type"):
        if not getattr(args, name) > 0:
            raise UsageError(f"{name} {getattr(args, name):g} ({_place(name, where)}): expected a number above 0")
    if args.use_tf32 and args.use_amp:
        raise UsageError(f"use_tf32 goes without use_amp: give --use_amp false ({_place('use_amp', where)})")


def check_criteria(args: argparse.Namespace, curves: Collection[str]) -> None:
    """UsageError for a criterion of what is no curve, in neither direction."""
    for name in ("best_model_criterion", "early_stopping_criterion", "val_scheduler_criterion"):
        given = getattr(args, name)
        for phase, curve, *way in given if name == "best_model_criterion" else [given]:
            if phase not in ("train", "valid") or curve not in curves or not set(way) <= {"min", "max"}:
                raise UsageError(
                    f"--{name} {' '.join((phase, curve, *way))}: expected train or valid, one of "
                    f"{', '.join(sorted(curves))}{', and min or max' if way else ''}"
                )


def check_length(args: argparse.Namespace, total_steps: int | None, where: str) -> None:
    """UsageError where no update comes about, or more than the scheduler is for. total_steps: the scheduler's."""
    if args.num_iters_per_epoch is None:
        return
    if args.num_iters_per_epoch < args.accum_grad:
        raise UsageError(
            f"num_iters_per_epoch {args.num_iters_per_epoch} ({_place('num_iters_per_epoch', where)}): an update takes "
            f"{args.accum_grad} batches (accum_grad), so that no epoch has one; raise the former or lower the latter"
        )
    updates = args.max_epoch * (args.num_iters_per_epoch // args.accum_grad)
    if total_steps and updates > total_steps:
        raise UsageError(
            f"scheduler_conf of {args.scheduler} ends after {total_steps} updates, and max_epoch, num_iters_per_epoch "
            f"and accum_grad make {updates}; give --scheduler_conf total_steps={updates + 1}, or fewer updates"
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _place(name: str, where: str) -> str:
    return f"--{name}, or in {where}"


def is_cached(args: argparse.Namespace) -> bool:
    """Whether the training set brings the teacher's top k. Raises UsageError for half of it."""
    names = {name for _, name, _ in args.train_data_path_and_name_and_type}
    found = names & {TOPK_IDS, TOPK_LOG_PROBS}
    if len(found) == 1:
        raise UsageError(
            f"the training set has {found.pop()} alone; a cached teacher is {TOPK_IDS} and {TOPK_LOG_PROBS}"
        )
    return bool(found)


def check(words: Sequence[str], config: dict, where: str) -> None:
    """Raise UsageError where `parse` would, and where the optimizer, its scheduler and what else ESPnet builds cannot
    be built; ESPnet is imported only for what has never been described or built."""
    package = Path(__file__).resolve().parent
    options = [package.parent / name for name in ("options.py", "audio/options.py")]
    code = {str(path): file_digest(path) for path in sorted([*package.rglob("*.py"), *options])}
    key = digest_of([version("espnet"), version("torch"), code])[:32]
    known = cache_folder() / "options" / f"{key}.json"
    found = json_or_none(known)
    if found is None:
        from k2d.distill.losses import terms
        from k2d.distill.task import DistillTask

        found = {"terms": sorted(terms()), "options": describe(DistillTask.get_parser())}
        remember(known, found)
    args = parse(rebuilt(found["options"]), found["terms"], words, config, where)
    built = digest_of([key, {name: getattr(args, name) for name in BUILT_FROM}])[:32]
    known = cache_folder() / "options" / f"{built}.json"
    tried = json_or_none(known)
    if tried is None:
        from k2d.distill.task import try_to_build

        tried = {"total_steps": try_to_build(args)}
        remember(known, tried)
    check_length(args, tried["total_steps"], where)


def describe(parser: argparse.ArgumentParser) -> list[dict]:
    """The options of a parser as JSON can hold them: arguments of `add_argument`, functions and classes by name."""
    options = []
    for action in parser._actions:
        option = {"flags": action.option_strings, "dest": action.dest}
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._StoreTrueAction):
            options.append(option | {"action": STORE_TRUE})
            continue
        option |= {"action": _name_of(type(action)), "default": action.default, "required": action.required}
        for name in ("nargs", "choices"):
            if getattr(action, name) is not None:
                option[name] = getattr(action, name)
        if action.type is not None:
            option["type"] = _name_of(action.type)
        if "<lambda>" in option.get("type", ""):  # ESPnet's fold letters' case
            option["type"] = FOLDS.get(action.type("aB"), FOLDS["aB"])
        options.append(option)
    return options


def rebuilt(options: Sequence[dict]) -> argparse.ArgumentParser:
    """The parser that `describe` has described, without its help."""
    parser = argparse.ArgumentParser(add_help=False)
    for option in options:
        given = dict(option)
        if given["action"] != STORE_TRUE:
            given["action"] = _named(given["action"])
        if "type" in given:
            given["type"] = _named(given["type"])
        parser.add_argument(*given.pop("flags"), **given)
    return parser


def _name_of(thing) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _named(name: str):
    module, _, attribute = name.partition(":")
    return attrgetter(attribute)(importlib.import_module(module))
