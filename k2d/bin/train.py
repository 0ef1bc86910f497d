"""Train a student with ESPnet's trainer.

    k2d train --tables exp/student/data --student exp/student/init --teacher large-v2 --updates auto \\
        --config conf/train_student.yaml --output_dir exp/student/train

Takes all options of ESPnet's trainer, of which this page has the most common: `k2d train --help all` lists them. In a
recipe, give them in --train_opts, as in --train_opts "--max_epoch 3", or as YAML in --train_config. Later --config
files override earlier ones. --tables is the output of `k2d training_tables`, instead of ESPnet's
--train_data_path_and_name_and_type and so on. Without --teacher, and without its top k in the tables, the student
learns from the labels only. --updates N sets the number of updates and scales epochs and warm-up; --updates auto
chooses it by the number of chunks, unless a later --config sets the number of epochs (the rule is in
k2d/distill/length.py).

An interrupted run (killed, out of disk, out of time) resumes with the same options, and reaches the same losses. On
SIGUSR1 and SIGTERM it saves its state, to resume with the next batch, and exits with status 75 ("to be continued") or
as SIGTERM ends a process. Otherwise the interrupted epoch is repeated. Checkpoints are written atomically. On a CPU,
--num_threads affects rounding.

Several processes, each with its share of every batch:

    # one machine, its GPUs; ESPnet starts the processes
    k2d train … --ngpu 4 --multiprocessing_distributed true
    # one machine or several, torchrun starts them; --ngpu 0: on CPUs
    torchrun --no-python --nproc_per_node 4 k2d train … --ngpu 1
    torchrun --no-python --nproc_per_node 2 k2d train … --ngpu 0
    # Slurm, one task a node; ESPnet starts a process for each GPU
    srun --nodes 2 --ntasks-per-node 1 k2d train … --ngpu 4 --multiprocessing_distributed true
    # Slurm, CPUs, one process a task
    srun --ntasks 2 k2d train … --ngpu 0

Under srun the processes find each other through Slurm's variables; --dist_master_addr and --dist_master_port take
precedence.

--batch_size and --batch_bins are for all processes together, and a batch needs at least one utterance for
each. --multiprocessing_distributed is for GPUs: on a CPU it starts nothing.
"""

import dataclasses
import sys
from functools import partial

from k2d.distill import command_line
from k2d.distill.config import BatchConfig, DistillConfig
from k2d.distill.training import own_parser, read_words, reader, train
from k2d.errors import guarded
from k2d.options import PROGRAM, CommandParser, with_default

LISTED = ("train", 5)
ESPNET = "ESPnet's options that are changed most often"
COMMON = {
    "--max_epoch N": "epochs to train for",
    "--patience N": "stop after so many epochs without improvement",
    "--batch_size N": "chunks per batch, of all GPUs together",
    "--accum_grad N": "batches per update",
    "--optim_conf lr=RATE": "learning rate; with a warm-up, scheduler_conf of the YAML sets it",
}


def parser() -> CommandParser:
    """For the help alone: the options that matter. ESPnet's own parser knows all of them, and reads them."""
    p = CommandParser("train", __doc__, parents=[reader(), own_parser()])
    groups = {
        "model_conf in the YAML, or --model_conf losses.kl=0.5": _sentences(DistillConfig),
        "batch_conf in the YAML, or --batch_conf timestamps=1": _sentences(BatchConfig),
        ESPNET: COMMON,
    }
    for title, options in groups.items():
        p.add_argument_group(title, "\n".join(f"{name:<24}{words}" for name, words in options.items()))
    return p


def _sentences(kind: type) -> dict[str, str]:
    """The fields of a dataclass, each with its help and its default."""
    defaults = kind()
    return {f.name: with_default(f.metadata["help"], getattr(defaults, f.name)) for f in dataclasses.fields(kind)}


def check_words(words: list[str]) -> None:
    """UsageError where ESPnet's own parser, with our options, would refuse the words."""
    training, config = read_words(words), {}
    if training.updates and not training.length:  # that follows from the tables, which are not there yet
        config = {"num_iters_per_epoch": None}
    command_line.check(training.words, training.config | config, training.where)


def run(words: list[str]) -> int:
    training = read_words(words)
    return guarded("train", partial(train, training), training.given["output_dir"])


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if {"--help", "-h"} & set(words):
        if "all" not in words:
            parser().parse_args(["--help"])
        from k2d.distill.task import DistillTask

        every = DistillTask.get_parser()
        every.prog = f"{PROGRAM}train"
        every.print_help()
        return 0
    if "--begin" not in words:
        from k2d.distill import interruption

        interruption.listen()
    return guarded("train", lambda: run(words))
