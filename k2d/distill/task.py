"""The ESPnet task: which model, which batches, which options (`k2d train`).

Options of its own: --student, --teacher (checkpoints in any form), --model_conf (DistillConfig) and
--batch_conf (BatchConfig); all others are ESPnet's. Data names: `speech` (audio) or `encoder_out`, `text`
(labels with timestamp tokens), and optionally `text_prev`, `text_trusted`, `weight`, and `topk_ids` with
`topk_log_probs`, which take the teacher's place.
"""

import argparse
import contextlib
import dataclasses
import inspect
import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from types import SimpleNamespace

import torch

from k2d.audio.options import AudioOptions
from k2d.distill import command_line, espnet_import, rendezvous
from k2d.distill.batches import Collate, MakeExample, MakeRow
from k2d.distill.command_line import is_cached
from k2d.distill.config import BatchConfig, DistillConfig, from_dict
from k2d.distill.interruption import ends_as_asked
from k2d.distill.losses import Losses, needs, terms
from k2d.distill.model import DistillModel
from k2d.distill.sources import ArchiveReader, UtteranceReader
from k2d.distill.trainer import DistillTrainer, RankSeeds
from k2d.errors import UsageError, first_line, guarded
from k2d.options import add_options, options_of
from k2d.whisper import checkpoint
from k2d.whisper.model import ModelDimensions
from k2d.work import machine

with espnet_import.light():
    from espnet2.asr.specaug.specaug import SpecAug
    from espnet2.tasks.abs_task import AbsTask, optim_classes, scheduler_classes
    from espnet2.train import dataset as espnet_dataset
    from espnet2.utils.nested_dict_action import NestedDictAction
    from espnet2.utils.types import str_or_none

# Registered at import, so that spawned workers know them too.
espnet_dataset.DATA_TYPES["rows"] = {
    "func": ArchiveReader,
    "kwargs": [],
    "help": "Stored outputs of frozen models: a path of encoder_out.scp, topk_ids.scp or topk_log_probs.scp",
}
espnet_dataset.DATA_TYPES["utterances"] = {
    "func": UtteranceReader,
    "kwargs": [],
    "help": "Audio of a data directory's utterances: the path of its wav.scp",
}


class DistillTask(AbsTask):
    num_optimizers = 1
    class_choices_list: list = []
    trainer = DistillTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser):
        group = parser.add_argument_group(description="Distillation")
        group.add_argument("--student", type=str, help="checkpoint to train (any form k2d reads)")
        group.add_argument(
            "--teacher", type=str_or_none, default=None, help="checkpoint to learn from, or none"
        )
        group.add_argument(
            "--num_threads", type=int, default=0, help="CPU threads of a process; 0: OMP_NUM_THREADS, or all cores"
        )
        group.add_argument("--model_conf", action=NestedDictAction, default={}, help=_help(DistillConfig))
        group.add_argument("--batch_conf", action=NestedDictAction, default={}, help=_help(BatchConfig))
        add_options(parser, AudioOptions)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> DistillModel:
        student = checkpoint.load(args.student)
        teacher, cached = None, is_cached(args)
        config = from_dict(DistillConfig, args.model_conf, "model_conf")
        if args.teacher and needs(config.terms()):
            loaded = checkpoint.load(args.teacher)
            if loaded.tokenizer.tokens() != student.tokenizer.tokens():
                raise UsageError(
                    f"{args.teacher} and {args.student} do not share a vocabulary "
                    f"({loaded.dims.n_vocab} and {student.dims.n_vocab} tokens): build the student from its "
                    "teacher with k2d init_student"
                )
            teacher = loaded.model
        model = DistillModel(student.model, teacher, student.tokenizer.eot, config, cached)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        logging.info(f"student {args.student}: {trained / 1e6:.2f} M parameters are trained")
        if config.layer_drop or config.ends_only:
            args.unused_parameters = True  # a layer that was dropped has no gradient for DDP to wait for
        return model

    @classmethod
    def build_iter_factory(cls, args, distributed_option, mode, kwargs=None):
        factory = super().build_iter_factory(args, distributed_option, mode, kwargs)
        return RankSeeds(factory, args.seed)

    @classmethod
    def main(cls, args: argparse.Namespace | None = None, cmd: Sequence[str] | None = None):
        if args is None:
            args = cls.get_parser().parse_args(cmd)
        rendezvous.fill_in(args)
        if args.dist_launcher == "slurm" and not args.multiprocessing_distributed and args.dist_rank is None:
            # Left to itself ESPnet allows one task a node even where each task is one process.
            args.dist_rank = int(os.environ["SLURM_PROCID"]) if "SLURM_PROCID" in os.environ else None
        with ends_as_asked():
            super().main(args)

    @classmethod
    def main_worker(cls, args: argparse.Namespace):
        if not args.ngpu and args.dist_backend == "nccl":
            args.dist_backend = "gloo"  # nccl, ESPnet's default, knows no CPU
        torch.set_num_threads(args.num_threads or machine.threads())
        args.num_workers = min(args.num_workers, machine.cores())  # more would only wait, each with its own imports
        # Here, since spawned workers come past; ESPnet gives a reader nothing but its path.
        options = options_of(AudioOptions, args)
        espnet_dataset.DATA_TYPES["utterances"]["func"] = partial(UtteranceReader, options=options)
        if args.distributed and args.multiprocessing_distributed:
            # A process of ESPnet's own launcher, which learns no more of an error than the exit status.
            raise SystemExit(guarded("train", partial(cls._work, args)))
        cls._work(args)

    @classmethod
    def _work(cls, args: argparse.Namespace) -> None:
        with ends_as_asked(), rendezvous.parting():
            super().main_worker(args)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool):
        config = from_dict(BatchConfig, args.batch_conf, "batch_conf")
        make = MakeExample(checkpoint.load_tokenizer(args.student), config, train, train and is_cached(args))
        return MakeRow(make)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool):
        config = from_dict(BatchConfig, args.batch_conf, "batch_conf")
        return Collate(checkpoint.read_dims(args.student).n_mels, config.trim_padding)

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        return ("text",)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        return ("speech", "encoder_out", "text_prev", "text_trusted", "weight", "topk_ids", "topk_log_probs")


def parse(words: Sequence[str], config: dict, where: str) -> argparse.Namespace:
    """A training's command line and YAML, by ESPnet's parser and ours; UsageError says what is wrong."""
    args = command_line.parse(DistillTask.get_parser(), terms(), words, config, where)
    command_line.check_length(args, try_to_build(args), where)
    return args


def try_to_build(args: argparse.Namespace) -> int | None:
    """Build what a training builds of names and their options, for a model of one weight, and make an update. Returns
    how many updates the scheduler is for, None where it does not say. Raises UsageError for what cannot be built.
    """
    model, scheduler = torch.nn.Linear(1, 1), None
    optim = optim_classes[args.optim], f"optim {args.optim}", args.optim_conf
    with _refused(*optim):
        (optimizer,) = DistillTask.build_optimizers(args, model)
    if args.scheduler:
        kind = scheduler_classes[args.scheduler]
        with _refused(kind, f"scheduler {args.scheduler}", args.scheduler_conf):
            scheduler = kind(optimizer, **args.scheduler_conf)
    with _refused(*optim):
        model(torch.ones(1)).backward()
        optimizer.step()
    config = from_dict(DistillConfig, args.model_conf, "model_conf")
    if config.specaug:
        with _refused(SpecAug, "model_conf: specaug", config.specaug):
            SpecAug(**config.specaug)
    layers = SimpleNamespace(dims=ModelDimensions(80, 1500, 1, 1, 1, 1, 448, 1, 1, 2))
    wanted = {name: {key: of for key, of in given.items() if key != "map"} for name, given in config.terms().items()}
    Losses(wanted, layers, layers, 1)
    return getattr(scheduler, "total_steps", None)


@contextlib.contextmanager
def _refused(kind: type, name: str, given: dict) -> Iterator[None]:
    """UsageError for whatever a class raises inside: it is the class's affair which error that is, and how clear."""
    try:
        yield
    except Exception as error:
        takes = sorted(set(inspect.signature(kind).parameters) - {"params", "optimizer", "last_epoch"})
        raise UsageError(
            f"{name} with {given}: {first_line(error)}; correct its options, which are {', '.join(takes)}. (A later "
            "--config that names another optim or scheduler drops the options of the former)"
        ) from None


def _help(kind: type) -> str:
    defaults = kind()
    said = ", ".join(f"{field.name}={getattr(defaults, field.name)}" for field in dataclasses.fields(kind))
    return said.replace("%", "%%")
