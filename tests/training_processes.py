"""Training runs as processes of their own, which may be killed. ESPnet is imported once, in a fork server."""

import os
import resource
import signal
import socket
import sys
from multiprocessing import get_context, set_start_method
from pathlib import Path

import yaml

# Where there is a GPU, the runs of one process can be done there: K2D_TEST_NGPU=1. It does not follow into a fork.
NGPU = os.environ.get("K2D_TEST_NGPU", "0")
CONTEXT = get_context("forkserver" if NGPU == "0" else "spawn")
# torch._dynamo: the first optimiser of a process imports it, in three seconds.
CONTEXT.set_forkserver_preload(["k2d.distill.task", "k2d.bin.train", "torch._dynamo"])


def options(world, output: Path, data: Path | None = None, **changes) -> list[str]:
    """The command line of a run of 3 epochs of 3 batches; `changes` go into its YAML."""
    data = data or world.data
    config = {
        "batch_conf": {"trim_padding": True, "timestamps": 0.5, "prompt": 0.5, "noise": 0.5},
        "model_conf": {"specaug": {"apply_time_warp": False, "time_mask_width_range": [0, 10]}},
        "optim": "adamw",
        "optim_conf": {"lr": 1e-3},
        "scheduler": "warmuplr",
        "scheduler_conf": {"warmup_steps": 4},
        "batch_type": "unsorted",
        "batch_size": 4,
        "max_epoch": 3,
        "num_workers": 0,
        "keep_nbest_models": 2,
        "best_model_criterion": [["valid", "ce", "min"]],
        "num_att_plot": 0,
        "use_tensorboard": False,
        "use_matplotlib": False,
        **changes,
    }
    file = output.parent / f"{output.name}.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    words = ["--config", str(file), "--student", str(world.student), "--teacher", str(world.teacher)]
    for phase in ("train", "valid"):
        for item in ("wav.scp,speech,utterances", "text,text,text", "text.prev,text_prev,text"):
            words += [f"--{phase}_data_path_and_name_and_type", f"{data}/{item}"]
        words += [f"--{phase}_shape_file", f"{data}/frames_shape"]
    return [*words, "--output_dir", str(output), "--ngpu", NGPU, "--num_threads", "1", "--seed", "7"]


def train(
    words: list[str],
    log: Path,
    world_size: int = 1,
    accident: tuple | None = None,
    launcher: str = "torchrun",
) -> int:
    """Run `k2d train` to its end, as `world_size` processes; returns the worst exit code (-9: SIGKILL).

    launcher: whose environment variables tell the processes apart, torchrun's or Slurm's.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if launcher == "slurm":
        words = [*words, "--dist_launcher", "slurm", "--dist_master_port", str(port)]
    runs = []
    for rank in range(world_size):
        environment = {}
        if launcher == "slurm":
            environment = {"PROCID": rank, "NTASKS": world_size, "LOCALID": rank}
            environment |= {"STEP_NUM_NODES": 1, "STEP_NODELIST": "localhost"}
            environment = {f"SLURM_{name}": str(value) for name, value in environment.items()}
        elif world_size > 1:
            environment = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        given = (words, log.with_suffix(f".{rank}"), environment, accident)
        runs.append(CONTEXT.Process(target=_train, args=given))
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    return max((run.exitcode for run in runs), key=abs)


def _train(words, log, environment, accident) -> None:
    stream = open(log, "a")  # noqa: SIM115 - stays open to the end of the process
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
    import torch

    set_start_method("fork", force=True)  # of a loader's workers, as where no fork server is the parent
    torch.set_num_threads(1)
    os.environ.update(environment)
    if accident:
        _arrange(*accident)
    from k2d.bin.train import main

    try:
        status = main(words)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)


def _arrange(what: str, when, signal_number: int = signal.SIGKILL) -> None:
    """An accident: ("step", n, signal) at the n-th update, ("rename", (name, n), signal) just before a file
    appears for the n-th time, ("full", n) no file may grow beyond 100 kB from the n-th update on, ("nan", n) from then
    on losses are no numbers.
    """
    count = 0
    if what == "rename":
        replace = os.replace

        def counted_replace(source, target):
            nonlocal count
            count += Path(target).name == when[0]
            if Path(target).name == when[0] and count == when[1]:
                os.kill(os.getpid(), signal_number)
            return replace(source, target)

        os.replace = counted_replace
        return
    from k2d.distill.model import DistillModel

    forward = DistillModel.forward

    def counted_forward(self, *args, **kwargs):
        nonlocal count
        count += self.training
        if what == "nan" and count >= when:
            loss, *others = forward(self, *args, **kwargs)
            return (loss * float("nan"), *others)
        if self.training and count == when:
            if what == "full":
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            else:
                os.kill(os.getpid(), signal_number)
        return forward(self, *args, **kwargs)

    DistillModel.forward = counted_forward
