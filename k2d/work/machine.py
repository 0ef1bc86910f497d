"""What a table of results must say about where it was made: processor, cores, torch, revision.

Never a host name, a user or a path: a result belongs to a kind of machine, not to somebody's.
"""

import ctypes
import os
import platform
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from k2d.wording import counted


def processor() -> str:
    """The processor's model name as the system tells it."""
    return " ".join(_told_by_system("model name")) or platform.processor() or platform.machine()


# Instructions that decide in which type of numbers a processor is quick: x86's, and bf16 of ARM's.
DECISIVE = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "bf16", "i8mm")


def instructions() -> list[str]:
    """Those of DECISIVE that the processor has. A virtual machine may tell no more of its name than the maker's."""
    flags = _told_by_system("flags", "Features")
    return [name for name in DECISIVE if name in flags]


def _told_by_system(*names: str) -> list[str]:
    """The words of the first line of /proc/cpuinfo that has one of these names; none where there is no such line."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((line.partition(":")[2].split() for line in lines if line.startswith(names)), [])


def cores() -> int:
    """Cores this process may use, which on a shared machine are fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """CPU threads of one process that runs alone: OMP_NUM_THREADS, else all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0) or cores()


def can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_gpu() -> bool:
    """Whether torch sees a GPU. It is not asked where there is no driver of one, since it takes seconds to import."""
    if "torch" not in sys.modules and not can_load("libcuda.so.1"):
        return False
    import torch

    return torch.cuda.is_available()


def gpus() -> list[str]:
    """Names of the GPUs that torch sees."""
    if not has_gpu():
        return []
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def describe() -> str:
    """ "AMD EPYC … (avx2 avx512f), 2 cores, no GPU; Python 3.12.3, torch 2.14.1, espnet 202611"."""
    cards = gpus()
    packages = []
    for name in ("torch", "espnet", "openai-whisper", "ctranslate2"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    with_gpu = f"{len(cards)} × {cards[0]}" if cards else "no GPU"
    versions = ", ".join([f"Python {platform.python_version()}", *packages])
    known = instructions()
    quick = f" ({' '.join(known)})" if known else ""
    return f"{processor()}{quick}, {counted(cores(), 'core')}, {with_gpu}; {versions}"


def command() -> str:
    """The line that was typed: that of a recipe's script (K2D_COMMAND, a word a line), else this process's own.

    Absolute paths are made relative to the working directory, or cut to their last part where they lie elsewhere.
    """
    typed = os.environ.get("K2D_COMMAND", "").splitlines() or [Path(sys.argv[0]).name, *sys.argv[1:]]
    here = str(Path.cwd()) + os.sep

    def local(path: re.Match) -> str:
        return path[0].removeprefix(here) if path[0].startswith(here) else Path(path[0]).name

    # A word is one path, also with blanks, unless another one follows in it.
    one = r"\A/(?:(?![\s:=]/).)*\Z|(?<![^\s:=])/[^\s:]*"
    return shlex.join(re.sub(one, local, word) for word in typed)
