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

from k2d.distill.config import AUTO, BatchConfig, DistillConfig, check_terms, from_dict
from k2d.distill.sources import TOPK_IDS, TOPK_LOG_PROBS
from k2d.errors import UsageError
from k2d.options import with_neighbours
from k2d.work.folders import cache_folder, json_or_none, remember
from k2d.work.identity import digest_of, file_digest

STORE_TRUE = "store_true"
FOLDS = {"ab": "builtins:str.lower", "AB": "builtins:str.upper", "aB": "builtins:str"}  # what becomes of aB


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
    parser.set_defaults(**config)
    args = parser.parse_args(words)
    args.config = where
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
    """Raise UsageError where `parse` would; ESPnet is imported only for what has never been described."""
    package = Path(__file__).resolve().parent
    options = [package.parent / name for name in ("options.py", "audio/options.py")]
    code = {str(path): file_digest(path) for path in sorted([*package.rglob("*.py"), *options])}
    key = digest_of([version("espnet"), code])[:32]
    known = cache_folder() / "options" / f"{key}.json"
    found = json_or_none(known)
    if found is None:
        from k2d.distill.losses import terms
        from k2d.distill.task import DistillTask

        found = {"terms": sorted(terms()), "options": describe(DistillTask.get_parser())}
        remember(known, found)
    parse(rebuilt(found["options"]), found["terms"], words, config, where)


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
