"""In which type of numbers this processor computes each part of a model fastest: measured once, kept in a file.

In: --dtype, and autocast of a training. Out: `Parts`, a type for each part. The file lies in the Python environment,
which all jobs of an array share, so that they compute alike whatever processor each runs on; `tools/install.sh`
measures, and again with `--measure`. Imports torch only to measure.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from k2d.constants import N_AUDIO_CTX
from k2d.errors import DataError
from k2d.work import machine
from k2d.work.folders import write_json

NAME = "k2d-processor.json"
GAIN = 0.8  # another type than float32 is chosen where it takes at most so much of float32's time
IN_WORDS = {"products": "products of bfloat16", "onednn": "oneDNN's int8"}
HOPELESS = 0.1  # seconds: what takes so much longer than float32 the first time, kernels made, is not measured again


@dataclass(frozen=True)
class Parts:
    """The type of numbers of each part of a model on a CPU; what is not named here is float32."""

    encoder: str = "float32"  # products with many rows: the encoder's, and keys and values of cross-attention
    attention: str = "float32"  # the encoder's: torch's fused one in float32 or bfloat16, or products in bfloat16
    decoder: str = "float32"  # products with few rows: a step's
    caches: str = "float32"  # keys and values of the audio that steps attend to
    vocabulary: str = "int8"  # the first look at all logits, of two: see `Vocabulary`

    @property
    def rounded_in_encoder(self) -> dict[str, str]:
        """Of the encoder and its attention, those that are not float32."""
        kinds = {"encoder": self.encoder, "attention": self.attention}
        return {part: kind for part, kind in kinds.items() if kind != "float32"}


EXACT = Parts()
# What is measured of each part.
KINDS = {
    "encoder": ("float32", "bfloat16"),
    "attention": ("float32", "bfloat16", "products"),
    "decoder": ("float32", "bfloat16"),
    "caches": ("float32", "bfloat16"),
    "vocabulary": ("float32", "int8", "onednn"),
}


def path() -> Path:
    return Path(os.environ.get("K2D_PROCESSOR") or Path(sys.prefix) / NAME)


def parts_of(dtype: str) -> Parts:
    """What --dtype means on a CPU: with auto and bfloat16 each part's fastest type, with others float32.

    Without a file all is float32, but for bfloat16, with which it is measured now. DataError for a file that cannot be
    read.
    """
    if dtype not in ("auto", "bfloat16"):
        return EXACT
    record = read()
    if record is None:
        if dtype != "bfloat16":
            return EXACT
        record = write()
    return fastest(record["seconds"])


def fastest(seconds: dict[str, dict[str, float]]) -> Parts:
    """seconds: part → type → time that it took."""
    found = {}
    for part, times in seconds.items():
        best = min(times, key=times.get)
        found[part] = best if times[best] <= GAIN * times["float32"] else "float32"
    return Parts(**found)


def read() -> dict | None:
    """The file: processor, instructions, torch, seconds of every part in every type; None where there is none."""
    place = path()
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        if not _is_whole(record):
            raise ValueError("it is damaged, or of another version of K2D")
        return record
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{place}: {error}; measure anew: tools/install.sh --measure") from None


def _is_whole(record: object) -> bool:
    """Whether every part has times of types that there are here, float32 among them. An older file lacks some."""
    seconds = record.get("seconds") if isinstance(record, dict) else None
    return (
        isinstance(seconds, dict)
        and isinstance(record.get("processor"), str)
        and isinstance(record.get("instructions", []), list)
        and set(seconds) == set(KINDS)
        and all(isinstance(t, dict) and "float32" in t and set(t) <= set(KINDS[part]) for part, t in seconds.items())
        and all(isinstance(each, float | int) for times in seconds.values() for each in times.values())
    )


def write() -> dict:
    """Measure, and keep it."""
    record = {**_this(), "torch": version("torch"), "seconds": measure()}
    write_json(path(), record)
    return record


def stranger() -> str | None:
    """What to tell who computes here as another kind of processor was measured; None where it is this one."""
    record, this = read() or {}, _this()
    measured = {name: record.get(name, own) for name, own in this.items()}  # an older file has no instructions
    if measured == this:
        return None
    return (
        f"this processor, {_shown(this)}, is not the one that was measured, {_shown(measured)}: types of numbers are "
        f"chosen as they were measured there ({path()}), so that all jobs compute alike"
    )


def _this() -> dict[str, object]:
    """What tells this processor from others."""
    return {"processor": machine.processor(), "instructions": machine.instructions()}


def _shown(processor: dict[str, object]) -> str:
    return f"{processor['processor']} ({' '.join(processor['instructions']) or 'none of these instructions'})"


# --------------------------------------------------------------------------------------------------- measuring


def measure() -> dict[str, dict[str, float]]:
    """Seconds of every part in every type that there is, on one thread, at Whisper base's sizes; takes about 5 s."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return {part: _race(works) for part, works in _works().items()}
    finally:
        torch.set_num_threads(threads)


def _works() -> dict[str, dict[str, Callable[[], object]]]:
    import torch

    from k2d.whisper import products
    from k2d.whisper.caches import AudioCache
    from k2d.whisper.encoding import attend
    from k2d.whisper.vocabulary import Vocabulary

    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        # Weights that float16 holds, as published ones.
        return torch.randn(shape, generator=generator).mul_(0.05).half().float()

    def multiply(rows: int, layers: int = 1) -> dict[str, Callable[[], object]]:
        x, bias, weights = random(rows, 512), random(2048), [random(2048, 512) for _ in range(layers)]
        made = {
            kind: [products.product(kind, weight, bias, gelu=True) for weight in weights] for kind in KINDS["decoder"]
        }
        return {kind: lambda multiply=multiply: [f(x) for f in multiply] for kind, multiply in made.items()}

    def attention(kind: str) -> Callable[[], object]:
        qkv = random(N_AUDIO_CTX, 3, 8, 64)
        return lambda: attend(kind, qkv)

    def steps(kind: str) -> Callable[[], object]:
        audio, prompt = random(2, N_AUDIO_CTX, 1024), random(2, 8, 100, 64)
        queries = [random(2, 8, group, 64) for group in (1, 5)]

        def work() -> None:
            cache = AudioCache(8, getattr(torch, kind))
            cache.add(audio, [N_AUDIO_CTX] * 2)
            for q in [prompt, *queries * 50]:  # about as many as a window has tokens
                cache.attend(0, q)

        return work

    embedding, hidden = random(51865, 512), random(8, 512)
    # What this torch and this processor have no quick instructions for is not tried: it takes seconds.
    lacking = {"int8": not products.has_fbgemm(), "products": not products.has_onednn()}
    lacking["onednn"] = lacking["products"] or not torch.cpu._is_amx_tile_supported()
    attentions, kinds = ([k for k in KINDS[part] if not lacking.get(k)] for part in ("attention", "vocabulary"))
    vocabularies = {kind: Vocabulary(embedding, 50257, kind) for kind in kinds}
    return {
        "encoder": multiply(N_AUDIO_CTX),
        "attention": {kind: attention(kind) for kind in attentions},
        "decoder": multiply(8, layers=24),  # more than stays in the caches from one step to the next
        "caches": {kind: steps(kind) for kind in KINDS["caches"]},
        "vocabulary": {kind: lambda v=v: v(hidden) for kind, v in vocabularies.items()},
    }


def _race(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The shortest of six times of each, in turns; of one that is hopeless, its first. The thread's own time, which
    others that share the processor do not lengthen.
    """
    times = {}
    for number in range(6):
        for kind, work in works.items():
            if number and times[kind] > times["float32"] + HOPELESS:
                continue
            start = time.thread_time()
            work()
            times[kind] = min(times.get(kind, float("inf")), time.thread_time() - start)
    return {kind: float(f"{seconds:.3g}") for kind, seconds in times.items()}


def described(record: dict) -> str:
    """ "encoder in bfloat16, attention in float32, …": what the record means."""
    kinds = asdict(fastest(record["seconds"]))
    return ", ".join(f"{part} in {IN_WORDS.get(kind, kind)}" for part, kind in kinds.items())


def main() -> None:
    record = write()
    for part, times in record["seconds"].items():
        print(f"{part}: " + ", ".join(f"{kind} {1000 * seconds:.1f} ms" for kind, seconds in times.items()))
    print(f"{path()}: {record['processor']} computes {described(record)}")


if __name__ == "__main__":
    main()
