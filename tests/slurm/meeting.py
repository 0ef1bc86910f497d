"""k2d.bin.train as far as the place where its processes meet, for machines without GPUs.

Options, Slurm's variables and ESPnet's launcher, which starts a process for each GPU, are those of a training. Then,
in place of a training on GPUs, the processes meet with gloo and tell each other where they are; rank 0 prints it.
"""

import json
import os

import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.utils.build_dataclass import build_dataclass


def meet(args) -> None:
    option = build_dataclass(DistributedOption, args)
    option.init_options()
    option.dist_backend, option.ngpu = "gloo", 0  # no device is opened
    option.init_torch_distributed()
    mine = {
        "rank": option.dist_rank,
        "local_rank": option.local_rank,
        "node": os.environ["SLURMD_NODENAME"],
        "devices": os.environ["CUDA_VISIBLE_DEVICES"],
    }
    everybody = [None] * option.dist_world_size
    torch.distributed.all_gather_object(everybody, mine)
    if option.dist_rank == 0:
        print("met:", json.dumps(everybody), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    from k2d.distill.task import DistillTask

    class Meeting(DistillTask):
        main_worker = staticmethod(meet)

    Meeting.main()
