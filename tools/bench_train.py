"""Training speed and memory: two full models side by side, ours with the teacher online, ours with its cache.

    tools/venv/bin/python tools/bench_train.py                                   # tiny.en size, CPU
    tools/venv/bin/python tools/bench_train.py --size large-v2 --device cuda --dtype bfloat16 --batch_size 16

Each way of training is a process of its own: (a) student and teacher each run encoder and decoder, KL and CE
are plain PyTorch on whole logits; (b) the plug-in with the teacher online; (c) the plug-in with the teacher's
top 32 as k2d cache_teacher stores them. All three take the same random batches of 30 s and the same
optimiser steps; encoders are frozen, the student has the teacher's first and last decoder layer. Weights are
random, which changes no speed. Speed is the median of --steps after one step of warm-up.

A second pass measures memory where logits dominate: 448 tokens a sample, 2 s of audio. Memory is the peak of
the resident set (getrusage) on a CPU, of allocated memory on a GPU.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from k2d.constants import N_AUDIO_CTX
from k2d.plan import size_of
from k2d.text import markdown

SIZES = ("tiny.en", "base", "small", "large-v2")
WAYS = {"a": "two models, plain KL", "b": "k2d, teacher online", "c": "k2d, cached top 32"}
TEMPERATURE, BETA, K = 2.0, 0.8, 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="tiny.en")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the products")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=200, help="a 30 s label")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--memory_batch_size", type=int, default=8, help="of the second pass; 0: no pass")
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's)")
    parser.add_argument("--way", choices=tuple(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=3000, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args)))
        return
    passes = [("speed, 30 s of audio", args.batch_size, args.tokens, 3000, args.steps)]
    if args.memory_batch_size:
        passes.append(("memory, where logits dominate", args.memory_batch_size, 448, 200, 1))
    print(f"{args.size}, {args.device}, {args.dtype}; {' '.join(sys.argv)}")
    for title, batch, tokens, frames, steps in passes:
        print(f"\n{title}: {batch} samples of {tokens} tokens a step")
        print(*markdown.table(("way", "samples / s", "of (a)", "peak MiB", "of (a)"), []), sep="\n")
        first = None
        for way, name in WAYS.items():
            found = run(args, way, batch, tokens, frames, steps)
            first = first or found
            speed, peak = found["speed"], found["peak"]
            cells = (f"({way}) {name}", f"{speed:.3f}", f"{speed / first['speed']:.2f}",
                     f"{peak:.0f}", f"{peak / first['peak']:.2f}")  # fmt: skip
            print(markdown.row(cells), flush=True)


def run(args: argparse.Namespace, way: str, batch: int, tokens: int, frames: int, steps: int) -> dict:
    """One way of training in a process of its own, so that its peak is its own."""
    command = [sys.executable, __file__, "--way", way, "--size", args.size, "--device", args.device]
    command += ["--dtype", args.dtype, "--batch_size", str(batch), "--tokens", str(tokens)]
    command += ["--frames", str(frames), "--steps", str(steps)]
    command += ["--threads", str(args.threads)] if args.threads else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"({way}) failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(args: argparse.Namespace) -> dict:
    import torch

    from k2d.distill.config import DistillConfig
    from k2d.distill.model import DistillModel
    from k2d.distill.student import build_student
    from k2d.whisper.model import Whisper

    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dims = dimensions(args.size)
    with torch.device(args.device):
        teacher = Whisper(dims)
    student = build_student(teacher).to(args.device)
    mixed = args.dtype == "bfloat16"
    if args.way == "a":
        student.encoder.requires_grad_(False)
        teacher.requires_grad_(False)
        step = plain_step(student, teacher, args.device, mixed)
        parameters = list(student.decoder.parameters())
    else:
        config = DistillConfig(autocast="bfloat16" if mixed else None, teacher_dtype=args.dtype)
        online = teacher if args.way == "b" else None
        model = DistillModel(student, online, dims.n_vocab - 1, config, cached=args.way == "c").train()
        parameters = [p for p in model.parameters() if p.requires_grad]
        del teacher

        def step(batch):
            return model(**batch)[0]

    optimiser = torch.optim.AdamW(parameters, lr=1e-5)
    times = []
    for _ in range(args.steps + 1):
        batch = random_batch(args, dims)
        if args.device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        step(batch).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        if args.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    if args.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"speed": args.batch_size / statistics.median(times[1:]), "peak": peak}


def dimensions(name: str):
    """ModelDimensions of a published size; its heads are 64 wide."""
    from k2d.whisper.model import ModelDimensions

    size, vocabulary = size_of(name), 51864 if name.endswith(".en") else 51865
    wide = (size.width, size.width // 64)
    return ModelDimensions(80, N_AUDIO_CTX, *wide, size.encoder_layers, vocabulary, 448, *wide, size.decoder_layers)


def random_batch(args: argparse.Namespace, dims) -> dict:
    import torch

    batch = {
        "mel": torch.randn(args.batch_size, dims.n_mels, args.frames),
        "text": torch.randint(0, dims.n_vocab, (args.batch_size, args.tokens)),
        "loss_start": torch.ones(args.batch_size, dtype=torch.long),
        "frames": torch.full((args.batch_size,), args.frames // 2),
    }
    if args.way == "c":
        rows = (args.batch_size, args.tokens - 1)
        first = torch.randint(0, dims.n_vocab - K, (*rows, 1))
        batch["topk_ids"] = first + torch.arange(K)
        batch["topk_log_probs"] = torch.log_softmax(torch.randn(*rows, K), -1) - 0.01
    return {name: tensor.to(args.device) for name, tensor in batch.items()}


def plain_step(student, teacher, device: str, mixed: bool):
    """What a training loop around two Whisper models does: batch to loss."""
    import torch
    import torch.nn.functional as F

    def step(batch):
        inputs, targets = batch["text"][:, :-1], batch["text"][:, 1:]
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits = student(batch["mel"], inputs)
            with torch.no_grad():
                target = teacher(batch["mel"], inputs)
        logits, target = logits.float().flatten(0, 1), target.float().flatten(0, 1)
        ce = F.cross_entropy(logits, targets.flatten())
        log_q = F.log_softmax(logits / TEMPERATURE, dim=-1)
        log_p = F.log_softmax(target / TEMPERATURE, dim=-1)
        kl = F.kl_div(log_q, log_p, log_target=True, reduction="batchmean") * TEMPERATURE**2
        return BETA * ce + kl

    return step


if __name__ == "__main__":
    main()
