"""Train a model with ESPnet's trainer: `python -m k2d.bin.train --config conf/train_student.yaml …`.

Takes ESPnet's own options beside --student, --teacher, --model_conf and --batch_conf; `--help` lists all.

A run that was stopped (killed, out of disk, out of time) goes on with `--resume true` and the same options, to
the same losses. After SIGUSR1 and SIGTERM it goes on with the next batch: they make it save its state, and exit
with status 75 ("to be continued") or as SIGTERM ends a process. After anything else the interrupted epoch is run
again. Checkpoints appear whole or not at all.

Several processes, each with its share of every batch:

    # one machine, its GPUs; ESPnet starts the processes
    python -m k2d.bin.train … --ngpu 4 --multiprocessing_distributed true
    # one machine or several, torchrun starts them; on a CPU with --ngpu 0 (the backend is then gloo)
    torchrun --nproc_per_node 4 -m k2d.bin.train … --ngpu 1
    torchrun --nproc_per_node 2 -m k2d.bin.train … --ngpu 0
    # Slurm, one node or many, one task a node; ESPnet starts a process for each of its GPUs
    srun --nodes 2 --ntasks-per-node 1 python -m k2d.bin.train … --ngpu 4 --multiprocessing_distributed true
    # Slurm, CPUs, one process a task
    srun --ntasks 2 python -m k2d.bin.train … --ngpu 0

Under srun the processes find each other by Slurm's own variables; --dist_master_addr and --dist_master_port go
before them.

--batch_size and --batch_bins are for all processes together, and a batch needs at least one utterance for
each. --multiprocessing_distributed is for GPUs: on a CPU it starts nothing.
"""

import sys

from k2d.distill import interruption


def main(argv: list[str] | None = None) -> None:
    interruption.listen()
    from k2d.distill.task import DistillTask

    DistillTask.main(cmd=sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    main()
