"""A training as a step: its command line, read as far as it can be without ESPnet, what it reads, what decides it.

In: the words of `k2d train`. Out: a `Training`, its `Step`, and the training done.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from k2d.audio.stamps import FileStamps
from k2d.distill.config import computed_as, in_language, padded_as, read_config, without
from k2d.distill.length import Length, check_updates, with_length
from k2d.errors import DataError, UsageError
from k2d.options import parse_seed, underscored
from k2d.tables import WEIGHT, read_table, scan
from k2d.text.trusted import TRUSTED
from k2d.whisper import processor
from k2d.whisper.files import check_whole
from k2d.whisper.identity import model_identity
from k2d.work import identity, machine
from k2d.work.identity import BEGUN, RECORD, Identity, digest_of, key_in, owner_of, record_in
from k2d.work.step import Step, add_step_arguments, run_step

GIVEN = "what a recipe gives"  # the group of these options in the help
# Options that decide how fast it goes and what is said meanwhile, and nothing of the result. The rest decides.
SPEED = (
    "output_dir", "ngpu", "num_workers", "num_threads", "multiprocessing_distributed", "local_rank", "resume",
    "log_interval", "log_level", "num_att_plot", "use_tensorboard", "use_matplotlib", "create_graph_in_tensorboard",
    "use_wandb",
)  # fmt: skip
SPEED_PREFIXES = ("dist_", "wandb_", "nproc")
# Options whose values name what is read: it stands among the step's inputs by its content.
READ = ("student", "teacher", "init_param", *(f"{phase}_{what}" for phase in ("train", "valid")
        for what in ("data_path_and_name_and_type", "shape_file")))  # fmt: skip


def own_parser() -> argparse.ArgumentParser:
    """The options that ESPnet does not know."""
    p = argparse.ArgumentParser(prog="k2d train", add_help=False, allow_abbrev=False)
    group = p.add_argument_group(GIVEN)
    group.add_argument(
        "--config",
        action="append",
        default=[],
        help="training YAML, such as conf/train_student.yaml; may be given again",
    )
    group.add_argument("--tables", type=Path, metavar="DIR", help="output of k2d training_tables")
    group.add_argument("--updates", metavar="N", help="number of updates, or auto: by the number of chunks")
    group.add_argument("--language", help="language of the labels, unless the YAML has one (default zh)")
    group.add_argument(
        "--usual_threads", type=int, metavar="N", help="--num_threads, unless such a training has begun with others"
    )
    add_step_arguments(group)
    return p


def reader() -> argparse.ArgumentParser:
    """Those of ESPnet's options that say what is read, where it goes and how."""
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    group = p.add_argument_group(GIVEN)
    group.add_argument("--student", metavar="MODEL", help="checkpoint to train, made by k2d init_student")
    group.add_argument("--teacher", metavar="MODEL", help="checkpoint to learn from, or none")
    group.add_argument("--output_dir", help="directory to write")
    group.add_argument("--ngpu", type=int, help="GPUs to use; 0 trains on the CPU (default 0)")
    group.add_argument("--seed", type=parse_seed, help="seed of training (default 0)")
    group.add_argument("--num_threads", type=int, help="CPU threads; 0: OMP_NUM_THREADS or all cores (default 0)")
    p.add_argument("--dist_rank", type=int, help=argparse.SUPPRESS)
    for phase in ("train", "valid"):
        p.add_argument(f"--{phase}_data_path_and_name_and_type", action="append", help=argparse.SUPPRESS)
        p.add_argument(f"--{phase}_shape_file", action="append", help=argparse.SUPPRESS)
    p.add_argument("--init_param", nargs="*", help=argparse.SUPPRESS)
    p.add_argument("--model_conf", action="append", help=argparse.SUPPRESS)
    return p


@dataclass
class Training:
    """A command line, read as far as it can be without ESPnet."""

    words: list[str]  # what ESPnet's parser gets
    config: dict  # all YAMLs as one
    where: str  # the YAMLs, as messages call them
    given: dict  # reader's options by name, from the YAML where the command line has none
    model_words: list[str]  # the values of --model_conf
    updates: str | None = None  # --updates, and the length that follows from it
    length: Length | None = None
    usual_threads: int | None = None  # --usual_threads
    chosen_autocast: bool = False  # that is, autocast is not null, and the processor's measurement made it so
    begin: bool = False  # only check whether there is work to do

    @property
    def on_gpu(self) -> bool:
        ngpu = self.given["ngpu"] or 0
        if not isinstance(ngpu, int) or ngpu < 0:
            raise UsageError(f"ngpu {ngpu!r} (--ngpu, or in {self.where}): expected a number of GPUs")
        return ngpu > 0

    @property
    def rank(self) -> int:
        """Which of the processes this is: only the first owns the output."""
        given = (self.given["dist_rank"], os.environ.get("RANK"), os.environ.get("SLURM_PROCID"))
        return next((int(value) for value in given if value not in (None, "")), 0)


def read_words(words: Sequence[str]) -> Training:
    """Raises UsageError for what no training can be."""
    words = [underscored(word) for word in words]
    parsers = own_parser(), reader()
    for parser in parsers:
        parser.error = _usage_error
    own, rest = parsers[0].parse_known_args(words)
    config, length = in_language(read_config(own.config), own.language), None
    if own.updates and check_updates(own.updates) and own.tables and (own.tables / "text").exists():
        chunks = sum(1 for _ in scan(own.tables / "text"))
        config, length = with_length(config, read_config(own.config[1:]), own.updates, max(chunks, 1))
    if own.tables:
        rest = [*table_words(own.tables), *rest]
    if not any(word.partition("=")[0] == "--resume" for word in rest):
        rest += ["--resume", "true"]  # a step that is not done goes on
    given = vars(parsers[1].parse_known_args(rest)[0])
    model_words = given.pop("model_conf") or []
    if any("autocast" in words for words in model_words):  # they say it, whatever was measured
        config = without(config, "autocast", *(() if "bfloat16" in " ".join(model_words) else ("attention",)))
    given = {name: config.get(name) if value is None else value for name, value in given.items()}
    config, where = padded_as(config, given["student"]), " ".join(own.config) or "the command line"
    training = Training(
        rest, config, where, given, model_words, own.updates, length, usual_threads=own.usual_threads, begin=own.begin
    )
    computed = computed_as(config, training.on_gpu)
    chosen = computed != config and "autocast" in computed["model_conf"]
    return replace(training, config=computed, chosen_autocast=chosen)


def _usage_error(message: str) -> None:
    raise UsageError(message)


def table_words(tables: Path) -> list[str]:
    """ESPnet's options for what training_tables wrote; before it has, those of audio and text."""
    words = []
    for phase, folder in (("train", tables), ("valid", tables / "valid")):
        there = [("text", "text", "text")]
        for file, name, kind in (
            ("text.prev", "text_prev", "text"),
            (TRUSTED, "text_trusted", "text"),
            (WEIGHT, "weight", "text_float"),
            ("topk_ids.scp", "topk_ids", "rows"),
            ("topk_log_probs.scp", "topk_log_probs", "rows"),
        ):
            if (folder / file).exists():
                there.append((file, name, kind))
        stored = (folder / "encoder_out.scp").exists()
        there.append(("encoder_out.scp", "encoder_out", "rows") if stored else ("wav.scp", "speech", "utterances"))
        for file, name, kind in there:
            words += [f"--{phase}_data_path_and_name_and_type", f"{folder / file},{name},{kind}"]
        words += [f"--{phase}_shape_file", str(folder / "frames_shape")]
    return words


def decides(name: str) -> bool:
    return name not in SPEED and not name.startswith(SPEED_PREFIXES)


def step_of(training: Training) -> Step:
    """The step of a training: what it reads by content, the YAML as it is parsed, and the other words."""
    given, config = training.given, training.config
    if not given["output_dir"]:
        raise UsageError("--output_dir is needed")
    if not given["student"]:
        raise UsageError("--student is needed: the checkpoint to train, made by k2d init_student")
    for name in ("student", "teacher", "output_dir"):
        if not isinstance(given[name] or "", str):
            raise UsageError(f"{training.where}: {name} {given[name]!r}: expected a path or a name")
    inputs = {"student": model_identity(given["student"])}
    if given["teacher"] and given["teacher"].lower() != "none":
        inputs["teacher"] = model_identity(given["teacher"])
    for phase in ("train", "valid"):
        for item in given[f"{phase}_data_path_and_name_and_type"] or []:
            parts = item.split(",") if isinstance(item, str) else item
            if len(parts) != 3:
                raise UsageError(f"--{phase}_data_path_and_name_and_type {item}: expected PATH,NAME,TYPE")
            path, name, kind = parts
            inputs |= _table_identities(f"{phase} {name}", Path(path), kind)
        for path in given[f"{phase}_shape_file"] or []:
            inputs[f"{phase} {Path(path).name}"] = identity.of_file(path)
    for source in given["init_param"] or []:
        inputs[f"init_param {source}"] = identity.of_file(source.partition(":")[0])
    other = READ if any(one.commands for one in inputs.values()) else (*READ, "allow_pipes")
    content = {name: value for name, value in config.items() if decides(name) and name not in other}
    inputs["config"] = Identity(training.where, digest_of(content))
    options: dict = {"words": [option for option in _deciding_words(training.words) if option[0] not in other]}
    made = partial(Step, "train", given["output_dir"], inputs=inputs, arguments={"words": training.words})
    if training.on_gpu:
        return made(options=options)
    threads = given["num_threads"] or training.usual_threads or machine.threads()
    step = made(options=options | {"num_threads": threads})
    if given["num_threads"]:
        return step
    places = step.out, step.aside / step.key, *sorted(step.aside.glob("*"))
    return next(filter(None, (_begun_in(place, made, options) for place in places)), step)


def _begun_in(place: Path, made: Callable[..., Step], options: dict) -> Step | None:
    """The step whose work lies in a directory, finished or begun, if only its number of threads could be another one. A
    machine with other cores, or a shell with another OMP_NUM_THREADS, then begins nothing anew."""
    for record in (RECORD, BEGUN):
        threads = record_in(place, record).get("options", {}).get("num_threads")
        step = made(options=options | {"num_threads": threads})
        if threads and step.key == key_in(place, record):
            return step
    return None


def _table_identities(name: str, path: Path, kind: str) -> dict[str, Identity]:
    """A table, and what its lines point to."""
    if kind == "utterances":
        return {name: identity.of_data(path.parent, "wav.scp", "segments")}
    found = {name: identity.of_file(path)}
    if kind == "rows":
        for archive in sorted({line.rpartition(":")[0] for line in read_table(path).values()}):
            owner = owner_of(Path(archive))
            if owner and (owner / RECORD).is_file():
                made = identity.of_step(owner)
                found[f"{name} of step {made.digest}"] = made
            else:
                found[f"{name} in {Path(archive).name}"] = Identity(archive, FileStamps()(archive))
    return found


def _deciding_words(words: Sequence[str]) -> list[list[str]]:
    """[option, value …] for each option that decides, in order of their names."""
    options: list[list[str]] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            options.append([name, value] if equals else [name])
        elif options:
            options[-1].append(word)
        else:
            raise UsageError(f"{word!r}: every option of k2d train has a name")
    deciding = [option for option in options if decides(option[0])]
    return sorted(deciding, key=lambda option: option[0])  # of one name the order counts, of several it does not


def train(training: Training) -> int:
    """Do the step of a training, or, as another of its processes, follow the first; the exit status."""
    step = step_of(training)
    work = partial(_train, training, step)
    if not training.rank:
        return run_step(step, training.begin, work)
    # The first process may have found that nothing is to do, or brought the finished work back.
    if not step.done and not (step.aside / step.key / RECORD).exists():
        work()
    return 0


def _train(training: Training, step: Step) -> None:
    checkpoint = Path(training.given["output_dir"]) / "checkpoint.pth"
    if checkpoint.exists():  # before ESPnet is imported, whose advice about a cut one is to load it unsafely
        check_whole(
            checkpoint,
            f"put back a copy of it, or remove it (rm {checkpoint}), and run again: without it training starts "
            "from its first epoch",
        )
    from k2d.distill.task import DistillTask, parse

    if training.chosen_autocast and (warning := processor.stranger()):
        print(f"train: {warning}; --model_conf autocast=null trains in float32", file=sys.stderr)
    if training.updates:
        print(f"train: {training.length or 'as long as the configuration says'} (--updates {training.updates})")
    words = training.words
    if threads := step.options.get("num_threads"):
        words = [*words, "--num_threads", str(threads)]
    try:
        DistillTask.main(parse(words, training.config, training.where))
    except FileNotFoundError as error:
        if not str(error.filename or "").endswith("epoch.pth"):
            raise
        raise DataError(
            f"{error.filename}: gone, though {checkpoint} says that it was written; put it back, or remove the latter "
            "and run again: training starts from its first epoch"
        ) from None
