"""Where the processes of a training meet, read from Slurm's own variables, and how they part.

In: ESPnet's options and the environment of an srun step. Out: the options that ESPnet would otherwise want to be
told: --dist_launcher, --dist_master_addr, --dist_master_port. The same command serves one node and many.
"""

import argparse
import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterator

import torch

from k2d.errors import UsageError

STEP = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NODELIST")
PORTS = (12_000, 20_000)  # first, and how many: below those that systems hand out by themselves


def fill_in(args: argparse.Namespace) -> None:
    """Set what is not given. Outside a step of several tasks nothing changes."""
    in_step = all(name in os.environ for name in STEP) and int(os.environ["SLURM_NTASKS"]) > 1
    by_hand = args.dist_rank is not None or "RANK" in os.environ
    if args.dist_launcher is None and in_step and not by_hand:
        args.dist_launcher = "slurm"
    if args.dist_launcher != "slurm" or not in_step:
        return
    if args.dist_master_addr is None:
        args.dist_master_addr = os.environ.get("MASTER_ADDR") or address()
    if args.dist_master_port is None and "MASTER_PORT" not in os.environ:
        # Jobs that share a node differ in it.
        args.dist_master_port = PORTS[0] + int(os.environ.get("SLURM_JOB_ID", 0)) % PORTS[1]


@contextlib.contextmanager
def parting() -> Iterator[None]:
    """Leave the group of processes when the work inside has ended or was asked to stop: a process that ends within it
    may be aborted by threads of gloo that free Python's tensors too late. After an error the others may be gone, and
    leaving could wait for them.
    """
    try:
        yield
    finally:
        if torch.distributed.is_initialized() and not isinstance(sys.exc_info()[1], Exception):
            torch.distributed.destroy_process_group()


def first_host(nodelist: str) -> str:
    """ "gpu-[03-05,07],cpu1" -> "gpu-03": the node of task 0."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodelist)[0]
    return re.sub(r"\[([^\]]*)\]", lambda group: re.split("[-,]", group[1])[0], first)


def address() -> str:
    """The first node's name if it can be looked up, else the address from which srun started the step: its
    batch script runs on the first node.
    """
    host = first_host(os.environ["SLURM_STEP_NODELIST"])
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        if "SLURM_LAUNCH_NODE_IPADDR" not in os.environ:
            raise UsageError(
                f"{host}, the first node of the job, has no address here; give --dist_master_addr"
            ) from None
        return os.environ["SLURM_LAUNCH_NODE_IPADDR"]
    return host
