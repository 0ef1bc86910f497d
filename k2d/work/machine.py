"""What a table of results must say about where it was made: processor, cores, torch, revision.

Never a host name, a user or a path: a result belongs to a kind of machine, not to somebody's.
"""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def processor() -> str:
    """The processor's model name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores this process may use, which on a shared machine are fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """CPU threads of one process that runs alone: OMP_NUM_THREADS, else all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0) or cores()


def gpus() -> list[str]:
    """Names of the GPUs that torch sees. A machine without any is not asked, since torch takes seconds to import."""
    if "torch" not in sys.modules and not Path("/dev/nvidia0").exists():
        return []
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def describe() -> str:
    """ "AMD EPYC …, 2 cores, no GPU; Python 3.12.3, torch 2.14.1, espnet 202611"."""
    cards = gpus()
    packages = []
    for name in ("torch", "espnet", "openai-whisper", "ctranslate2"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    with_gpu = f"{len(cards)} × {cards[0]}" if cards else "no GPU"
    return (
        f"{processor()}, {cores()} cores, {with_gpu}; {', '.join([f'Python {platform.python_version()}', *packages])}"
    )


def command(name: str, arguments: Sequence[str]) -> str:
    """The command line of `k2d NAME`, with absolute paths made relative to the working directory, or cut to their
    last part where they lie elsewhere."""
    here = str(Path.cwd()) + os.sep

    def local(word: str) -> str:
        if here in word:
            return word.replace(here, "")
        return Path(word).name if word.startswith(os.sep) else word

    words = [" ".join(_each(local, argument)) for argument in arguments]
    return " ".join(["k2d", name, *(shlex.quote(word) for word in words)])


def _each(local, argument: str) -> list[str]:
    """Apply to every blank-separated NAME:VALUE part of an argument."""
    parts = []
    for word in argument.split(" "):
        name, colon, value = word.partition(":")
        parts.append(f"{name}:{local(value)}" if colon and value.startswith(os.sep) else local(word))
    return parts
