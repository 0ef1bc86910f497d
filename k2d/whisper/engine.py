"""The engine that a configuration asks for, and what of it decides the text. Imports torch only where it loads.

In: an `EngineConfig`, whose fields are command-line options, and a model's name. Out: a loaded engine; the part of
the configuration that belongs to the key of stored work.
"""

import ctypes
import dataclasses
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from k2d.errors import UsageError
from k2d.options import option
from k2d.whisper import processor
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.identity import check_language
from k2d.whisper.processor import EXACT
from k2d.work import machine
from k2d.work.identity import Identity, digest_of
from k2d.work.journal import FORMAT

ENGINES = ("auto", "torch", "ctranslate2")
CUBLAS = "libcublas.so.12"  # that of CTranslate2's wheels; torch brings a later one
DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_log = logging.getLogger("k2d.whisper")

# Options of decoding that keys of finished work may lack: at their defaults they are no part of the key.
LATER = ("hotwords", "carry_initial_prompt")


def default_batch(gpu: bool) -> int:
    """Windows of a batch, unless --batch_size says it.

    A GPU reads the weights once for all windows of a batch: large-v2 is decoded on an H100 2.7 times as fast with 64 as
    with 8, and with 32 needs 15 GB (tools/bench_decoder.py).
    """
    return 32 if gpu else 8


@dataclass(frozen=True)
class EngineConfig:
    """What computes, and how fast. Only engine and dtype decide the text, beyond the rounding of another batch; the
    rest may change while work lies half-way.

    Raises ValueError for what does not exist on any machine.
    """

    GROUP = "engine"
    engine: str = option("auto", "auto: ctranslate2 for int8, else torch", choices=ENGINES)
    device: str = option("auto", "cpu, cuda, cuda:1 …; auto: cuda if available")
    dtype: str = option(
        "auto",
        "auto: float16 on a GPU; on a CPU, bfloat16 for the parts of a model that tools/install.sh has measured to be "
        "faster so, otherwise float32 (ctranslate2: int8). On a CPU, bfloat16 means the same as auto, and float16 and "
        "int8 are storage formats of the decoder's weights, with computation in float32",
        choices=DTYPES,
    )
    batch_size: int = option(0, f"windows per batch (0: {default_batch(False)}, on a GPU {default_batch(True)})")
    workers: int = option(0, "batches at a time, sharing the threads (0: 2 on a CPU, 1 in a job or on a GPU)")
    num_threads: int = option(0, "CPU threads; 0: OMP_NUM_THREADS or all cores")
    cache_dir: str | None = option(None, "cache of converted models (default $XDG_CACHE_HOME/k2d, ~/.cache/k2d)", str)
    encoder_cache: str | None = option(
        None, "folder of encoder outputs, which models with the same encoder share; may be deleted", str
    )

    def __post_init__(self):
        for name in ("batch_size", "workers", "num_threads"):
            if getattr(self, name) < 0:
                raise UsageError(f"--{name} {getattr(self, name)}: expected at least 0")
        if self.program == "torch" and self.dtype == "int8":
            raise UsageError(
                "--dtype int8 is for --engine ctranslate2; the torch engine has float32, bfloat16, float16"
            )
        if self.program == "ctranslate2" and self.device == "cpu" and self.dtype not in ("auto", "int8", "float32"):
            raise UsageError(f"--engine ctranslate2 on a CPU computes in int8 or float32, not {self.dtype}")

    @property
    def program(self) -> str:
        """torch or ctranslate2. By default torch: as fast as CTranslate2 with int8, and words and times stay
        openai-whisper's.
        """
        if self.engine == "auto":
            return "ctranslate2" if self.dtype == "int8" else "torch"
        return self.engine

    @property
    def decides(self) -> dict[str, object]:
        """What of this changes a result beyond rounding."""
        found: dict[str, object] = {"engine": self.program, "dtype": self._dtype}
        if (parts := self.parts) != EXACT:
            found["parts"] = dataclasses.asdict(parts)
        return found

    @property
    def parts(self) -> processor.Parts:
        """What a CPU computes each part of a model in."""
        return processor.parts_of(self.dtype) if self._device == "cpu" else EXACT

    @property
    def _device(self) -> str:
        return device_of_machine() if self.device == "auto" else self.device

    @property
    def _dtype(self) -> str:
        """The type, "auto" decided; of CTranslate2 on a CPU it stays "auto": int8 beside `parts`."""
        to_int8 = self.program == "ctranslate2" and self._device == "cpu"
        return "float16" if self.dtype == "auto" and not to_int8 else self.dtype

    def resolved(self) -> "EngineConfig":
        """With engine, device, type and batch of this machine in the place of "auto" and 0."""
        dtype = "int8" if self._dtype == "auto" else self._dtype
        batch_size = self.batch_size or default_batch(self._device != "cpu")
        return dataclasses.replace(self, engine=self.program, device=self._device, dtype=dtype, batch_size=batch_size)

    def workers_of(self, num_jobs: int) -> int:
        """Batches that a process decodes at once, unless --workers says it: 2 on a CPU, 1 on a GPU or where the work
        is split into jobs, which run at once themselves.
        """
        if self.workers or num_jobs > 1:
            return self.workers or 1
        return 2 if self.resolved().device == "cpu" else 1


def device_of_machine() -> str:
    return "cuda" if machine.has_gpu() else "cpu"


def chosen_device(device: str) -> str:
    """Where to compute, with "auto" decided. UsageError for a GPU that is not there."""
    there = device_of_machine()
    if device.startswith("cuda") and there != "cuda":
        raise UsageError(f"--device {device}: no CUDA device is seen; use --device cpu, or look at nvidia-smi")
    return there if device == "auto" else device


def what_decides(config: EngineConfig, decoding: DecodingOptions) -> dict[str, object]:
    """What decides a transcript beside the model and the audio, for the key of a step."""
    options = dataclasses.asdict(decoding)
    for field in dataclasses.fields(decoding):
        if field.name in LATER and options[field.name] == field.default:
            del options[field.name]
    return {**config.decides, "decoding": options, "journal": FORMAT}


def work_key(model: Identity, decides: dict[str, object]) -> str:
    """Key of the windows and results stored under `work/`."""
    return digest_of([model.digest, decides])[:16]


def load_engine(model: str | Path, config: EngineConfig, decoding: DecodingOptions, workers: int = 1):
    """The engine with its model, for so many threads that call it at once."""
    import torch

    from k2d.whisper import checkpoint

    parts = config.parts
    config = config.resolved()
    device, dtype = chosen_device(config.device), config.dtype
    if device == "cpu":
        _keep_memory()
    if parts != EXACT and (warning := processor.stranger()):
        _log.warning(f"{warning}; --dtype float32 rounds nothing")
    if config.engine == "ctranslate2" and device.startswith("cuda") and not machine.can_load(CUBLAS):
        raise UsageError(
            f"--engine ctranslate2 --device {device}: CTranslate2 computes with CUDA 12's {CUBLAS}, which is not "
            "found; install it and name its folder in LD_LIBRARY_PATH, or use --engine torch"
        )
    threads = config.num_threads or int(os.environ.get("OMP_NUM_THREADS", 0)) or len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, threads // workers))
    # Beside CTranslate2, which keeps its own weights, torch encodes. On a CPU all but products is float32.
    of_torch = "float16" if dtype == "int8" else dtype
    if device == "cpu":
        of_torch = "float32"
    loaded = checkpoint.load(model, device=device, dtype=getattr(torch, of_torch))
    check_language(model, decoding.language, not loaded.tokenizer.multilingual)
    if decoding.language and loaded.tokenizer.multilingual:
        try:
            loaded.tokenizer.language_token(decoding.language)
        except ValueError as error:
            raise UsageError(f"--language: {error}") from None
    if decoding.mix_languages:
        mix_languages(loaded.model, loaded.tokenizer, decoding.mix_languages, decoding.language)
    if device == "cpu" and dtype == "float16":
        with torch.no_grad():
            for weight in loaded.model.decoder.parameters():
                weight.copy_(weight.half())
    if config.engine == "torch":
        from k2d.whisper.engine_torch import TorchEngine

        engine = TorchEngine(loaded, workers, parts)
    else:
        from k2d.whisper.engine_ctranslate2 import CTranslate2Engine

        engine = CTranslate2Engine(loaded, dtype, config.cache_dir, workers, parts)
    if config.encoder_cache:
        from k2d.whisper.encoder_cache import EncoderCache

        computed_in = (engine.device.type, parts.encoder, parts.attention)
        engine.cache = EncoderCache(config.encoder_cache, loaded.model.encoder, *computed_in)
    return engine


def _keep_memory() -> None:
    """Have glibc keep what tensors free for the next ones.

    Otherwise every large tensor is new memory, whose pages the system clears and hands out one by one: a third of the
    time of an encoder's products. The process holds on to its peak, which comes back in the next window anyway.
    """
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, most in ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, (1 << 31) - 1)):
            mallopt(parameter, most)


def mix_languages(model, tokenizer, languages: Sequence[str], into: str | None) -> None:
    """Replace the embedding of the language `into` by the mean of several, as the paper's authors' code does with zh
    and en in teacher and student. UsageError for languages that there are none of.
    """
    import torch

    if not tokenizer.multilingual:
        raise UsageError("--mix_languages: an English-only model has no language tokens")
    if into is None:
        raise UsageError("--mix_languages needs a fixed --language, whose embedding it replaces")
    try:
        place, *ids = (tokenizer.language_token(code) for code in (into, *languages))
    except ValueError as error:
        raise UsageError(f"--mix_languages: {error}") from None
    embedding = model.decoder.token_embedding.weight
    with torch.no_grad():
        embedding[place] = embedding[ids].float().mean(dim=0).to(embedding.dtype)
