"""Train a model with ESPnet's trainer: `python -m k2d.bin.train --config conf/train_student.yaml …`.

Takes ESPnet's own options beside --student, --teacher, --model_conf and --batch_conf; `--help` lists all.

A run that was stopped (killed, out of disk, out of time) goes on with `--resume true` and the same options:
the interrupted epoch is run again with the same batches and random choices. Checkpoints appear whole or not
at all.

Several processes, each with its share of every batch:

    # one machine, its GPUs; ESPnet starts the processes
    python -m k2d.bin.train … --ngpu 4 --multiprocessing_distributed true
    # one machine or several, torchrun starts them; on a CPU with --ngpu 0 (the backend is then gloo)
    torchrun --nproc_per_node 4 -m k2d.bin.train … --ngpu 1
    torchrun --nproc_per_node 2 -m k2d.bin.train … --ngpu 0
    # Slurm, one task a node, ESPnet starts a process for each of its GPUs
    srun --nodes 2 --ntasks-per-node 1 python -m k2d.bin.train … --ngpu 4 \\
        --multiprocessing_distributed true --dist_launcher slurm --dist_master_port 29500
    # Slurm, CPUs, one process a task
    srun --ntasks 2 python -m k2d.bin.train … --ngpu 0 --dist_launcher slurm --dist_master_port 29500

Where node names hold a hyphen, Slurm needs --dist_master_addr too: the first of `scontrol show hostnames`.

--batch_size and --batch_bins are for all processes together, and a batch needs at least one utterance for
each. --multiprocessing_distributed is for GPUs: on a CPU it starts nothing.
"""

import sys


def main(argv: list[str] | None = None) -> None:
    from k2d.distill.task import DistillTask  # ESPnet takes 12 s to import; only this command pays

    DistillTask.main(cmd=sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    main()
