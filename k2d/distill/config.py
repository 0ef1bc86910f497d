"""The training YAML: what it may say beside ESPnet's own options, and how several files become one.

In: files such as conf/train_student.yaml and a recipe's own, which says only what it does otherwise. Out: one mapping,
and its parts `batch_conf` and `model_conf` as dataclasses. Imports no torch.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import yaml

from k2d.constants import N_TEXT_CTX
from k2d.errors import UsageError
from k2d.options import option, parse_seed
from k2d.whisper.engine import DTYPES
from k2d.whisper.processor import parts_of
from k2d.work.folders import json_or_none

AUTO = "auto"
AUTOCAST = (None, AUTO, "bfloat16")
ATTENTION = ("fused", "products")
SHARD = 100  # utterances whose encoder output is one archive: what a kill can lose
TEMPERATURE = 2.0  # of the paper's code
DTYPES_OF_TEACHER = ("float32", "bfloat16", "float16")
STORED = {"float16": "<f2", "float32": "<f4"}  # types of a cached teacher's log-probabilities, as numpy names them


@dataclasses.dataclass
class BatchConfig:
    """`batch_conf` of the training YAML."""

    language: str = option("zh", "language of the labels")
    timestamps: float = option(0.5, "probability of training with timestamp tokens")  # p_t
    prompt: float = option(0.2, "probability of the previous text as prompt")  # p_p
    max_prompt: int = option(224, "most tokens of that prompt")
    max_tokens: int = option(N_TEXT_CTX, "most tokens of prompt and label; a longer label loses its last segments")
    trim_padding: bool = option(
        False, "pad to the batch's longest chunk, rounded up, instead of 30 s; left out: as --student was trained"
    )
    speed: tuple[float, ...] = option((), "factors to draw from in training, such as [0.9,1.0,1.1]; changes the pitch")
    tempo: tuple[float, ...] = option((), "the same without a change of pitch")
    pitch: tuple[float, ...] = option((), "semitones to draw from in training, such as [-2,0,2]")
    noise: float = option(0.0, "probability of added noise in training")
    noise_snr: tuple[float, float] = option((5.0, 20.0), "lowest and highest signal-to-noise ratio of the noise, in dB")

    def __post_init__(self):
        _check_probabilities(self, "batch_conf", "timestamps", "prompt", "noise")
        for name, least in (("max_prompt", 0), ("max_tokens", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"batch_conf: {name} {getattr(self, name)}: expected at least {least}")
        for name in ("speed", "tempo"):
            if bad := [factor for factor in getattr(self, name) if not 0.5 <= factor <= 2]:
                raise UsageError(f"batch_conf: {name} {bad[0]} is outside 0.5 to 2")
        if bad := [steps for steps in self.pitch if not -12 <= steps <= 12]:
            raise UsageError(f"batch_conf: pitch {bad[0]} is outside -12 to 12 semitones")

    def of_cached_teacher(self) -> "BatchConfig":
        """As the teacher of a cache gets its batches: clean audio. Raises UsageError where it cannot be cached."""
        if self.speed or self.tempo:
            raise UsageError(
                "batch_conf: speed and tempo move the timestamps, and a cached teacher needs them where they were; "
                "use one or the other"
            )
        return dataclasses.replace(self, noise=0.0, pitch=())


@dataclasses.dataclass(frozen=True)
class OnDevice:
    """Where a frozen model computes."""

    GROUP = "where it is computed"
    device: str = option("cpu", "cpu, cuda, cuda:1 …")


@dataclasses.dataclass(frozen=True)
class CacheOptions(OnDevice):
    """What is stored of a teacher, and how it is computed."""

    GROUP = "what is stored, and how it is computed"
    k: int = option(32, "tokens to store per position")
    store: str = option("float16", "type of the stored log-probabilities", choices=tuple(STORED))
    shard_rows: int = option(1 << 17, "tokens per archive, approximately")
    batch_size: int = option(8, "utterances per batch")
    nj: int = option(0, "batches at a time; 0: one per core, or one on a GPU")
    dtype: str = option("float32", "type to compute in", choices=("float32", "bfloat16", "float16"))

    def __post_init__(self):
        for name in ("k", "shard_rows", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} {getattr(self, name)}: expected at least 1")


@dataclasses.dataclass(frozen=True)
class EncodeOptions(OnDevice):
    """What an encoder gets, and how its output is computed."""

    GROUP = "what the encoder gets, and how it is computed"
    noise_snr: str = option("", "add noise: LOW,HIGH signal-to-noise ratio in dB")
    seed: int = option(0, "seed of the noise", parse_seed)
    dtype: str = option(
        AUTO, "on a CPU, auto and bfloat16: what the processor is fastest in; others: float32", choices=DTYPES
    )
    nj: int = option(0, "utterances at a time; 0: one per core, or one on a GPU")

    def __post_init__(self):
        if self.nj < 0:
            raise UsageError(f"--nj {self.nj}: expected a number of utterances at a time, or 0")
        if self.snr and self.snr[0] > self.snr[1]:
            raise UsageError(f"--noise_snr {self.noise_snr}: expected the lower number first")

    @property
    def snr(self) -> tuple[float, float] | None:
        """(lowest, highest) signal-to-noise ratio in dB, None where no noise is added."""
        if not self.noise_snr:
            return None
        try:
            low, high = (float(part) for part in self.noise_snr.split(","))
        except ValueError:
            raise UsageError(f"--noise_snr {self.noise_snr}: expected two numbers such as 0,15, in dB") from None
        return low, high


def in_language(config: dict, language: str | None) -> dict:
    """The YAML's content with the language of batches, where it names none; None and "auto": as BatchConfig has it."""
    batches = config.get("batch_conf") or {}
    if language in (None, "auto", BatchConfig.language) or "language" in batches or not isinstance(batches, dict):
        return config
    return {**config, "batch_conf": {**batches, "language": language}}


def padded_as(config: dict, model: str | None) -> dict:
    """The YAML's content with `trim_padding` of batches as a model in our form has learnt, where it names none."""
    batches = config.get("batch_conf") or {}
    if "trim_padding" in batches or not isinstance(batches, dict):
        return config
    if not (json_or_none(Path(model or "") / "config.json") or {}).get("trim_padding"):
        return config
    return {**config, "batch_conf": {**batches, "trim_padding": True}}


def computed_as(config: dict, on_gpu: bool) -> dict:
    """The YAML's content with what `autocast: auto` of the model means here; where that is nothing, without it. The
    attention that a YAML names is for bfloat16."""
    model = config.get("model_conf")
    if not isinstance(model, dict) or model.get("autocast") != AUTO:
        return config
    if on_gpu or (parts := parts_of(AUTO)).encoder == "float32":
        return without(config, "autocast", "attention")
    config = without(config, "autocast")
    found = {"autocast": "bfloat16"} | ({"attention": "products"} if parts.attention == "products" else {})
    return {**config, "model_conf": {**found, **config["model_conf"]}}


def without(config: dict, *names: str) -> dict:
    """The YAML's content without some options of the model."""
    model = config.get("model_conf")
    if not isinstance(model, dict):
        return config
    return {**config, "model_conf": {name: value for name, value in model.items() if name not in names}}


@dataclasses.dataclass
class DistillConfig:
    """`model_conf` of the training YAML."""

    # Each term with its weight, or {weight: …, option: …}; k2d/distill/losses.
    losses: dict = dataclasses.field(
        default_factory=lambda: {"ce": 0.8, "kl": 1.0},
        metadata={
            "help": "terms of the loss and their weights: ce (labels), kl (the teacher's probabilities), hidden (its "
            "layers), ctc; losses.kl=0 leaves one out"
        },
    )
    freeze_encoder: bool = option(True, "do not train the encoder")
    freeze_positions: bool = option(True, "do not train the decoder's positional embedding")
    layer_drop: float = option(0.0, "probability of skipping an inner decoder layer for a batch (LayerDrop)")
    ends_only: float = option(0.0, "probability of running only the first and the last decoder layer for a batch")
    gradient_checkpointing: bool = option(False, "less memory, but slower")
    autocast: str | None = option(
        None,
        "mixed precision on a CPU, where --use_amp does nothing: bfloat16, null (float32), or in a YAML file auto: "
        "bfloat16 on a processor that was measured to be faster in it",
    )
    attention: str = option(
        "fused",
        "fused is torch's; products of matrices are faster in bfloat16 on some CPUs, where autocast auto chooses them",
    )
    teacher_dtype: str = option("float32", "type of the teacher's weights; bfloat16 halves its memory")
    specaug: dict | None = dataclasses.field(
        default=None, metadata={"help": "options of ESPnet's SpecAug, for the student's features"}
    )

    def __post_init__(self):
        self.terms()
        _check_probabilities(self, "model_conf", "layer_drop", "ends_only")
        if self.teacher_dtype not in DTYPES_OF_TEACHER:
            known = ", ".join(DTYPES_OF_TEACHER)
            raise UsageError(f"model_conf: teacher_dtype {self.teacher_dtype!r}: expected one of {known}")
        if self.attention not in ATTENTION:
            raise UsageError(f"model_conf: attention {self.attention!r}: expected fused or products")
        if self.attention == "products" and self.autocast not in ("bfloat16", AUTO):
            raise UsageError("model_conf: attention products computes in bfloat16; say autocast: bfloat16, too")
        if self.autocast not in AUTOCAST:
            raise UsageError(f"model_conf: autocast {self.autocast!r}: expected bfloat16, auto, or null for float32")

    def terms(self) -> dict[str, dict]:
        """name → {"weight": …, option: …}, without terms of weight 0. Raises UsageError for what is no weight."""
        found = {}
        if not isinstance(self.losses, dict):
            raise UsageError(f"model_conf: losses {self.losses!r}: expected names and weights, as {{ce: 0.8, kl: 1.0}}")
        for name, value in self.losses.items():
            options = dict(value) if isinstance(value, dict) else {"weight": value}
            weight = options.setdefault("weight", 1.0)
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
                raise UsageError(f"model_conf: losses: {name} has the weight {weight!r}, expected a number from 0 on")
            if weight:
                found[name] = options
        return found

    @property
    def temperature(self) -> float:
        """At which teacher and student are compared."""
        return self.terms().get("kl", {}).get("temperature", TEMPERATURE)


def check_terms(wanted: dict[str, dict], known: Collection[str]) -> None:
    """Raise UsageError for a term of the loss that no file defines."""
    if unknown := sorted(set(wanted) - set(known)):
        raise UsageError(f"model_conf: losses: no {', '.join(unknown)}; there are {', '.join(sorted(known))}")


def _check_probabilities(config, where: str, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise UsageError(f"{where}: {name} {getattr(config, name)}: expected a probability, from 0 to 1")


def from_dict(kind: type, options: dict | None, where: str):
    """A dataclass from a YAML mapping; an unknown key is an error that lists the known ones, and so is a value of
    another type than the default."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(options or {}, dict):
        raise UsageError(f"{where}: {options!r} is no mapping; expected options and their values")
    if unknown := sorted(set(options or {}) - set(known)):
        raise UsageError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}")
    for name, value in (options or {}).items():
        if expected := _not_like(known[name].default, value):
            raise UsageError(f"{where}: {name} {value!r}: expected {expected}")
    return kind(**options or {})


def _not_like(default: object, value: object) -> str:
    """What was expected in place of a value, by the type of the default; "" where it fits, or nothing is said."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int):
        return "" if number and isinstance(value, int) else "a whole number"
    if isinstance(default, float):
        return "" if number else "a number"
    if isinstance(default, str):
        return "" if isinstance(value, str) else "a word (in a YAML, no and yes are words in quotes alone)"
    if isinstance(default, tuple):
        of = f"{len(default)} numbers" if default else "numbers"
        fits = isinstance(value, (list, tuple)) and not any(_not_like(0.0, each) for each in value)
        return "" if fits and (not default or len(value) == len(default)) else f"a list of {of}, as [0.9,1.1]"
    return ""


_REAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?")


def with_numbers(value):
    """A value of a YAML with 1e-4 as the number it is: YAML 1.1 takes it for a word, for want of a point."""
    if isinstance(value, dict):
        return {key: with_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [with_numbers(each) for each in value]
    return float(value) if isinstance(value, str) and _REAL.fullmatch(value) else value


def read_config(paths: Iterable[str | Path]) -> dict:
    """Training YAMLs as one mapping, what stands in a later file over what stands in an earlier one."""
    merged: dict = {}
    for path in paths:
        try:
            found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{path}: no YAML can be read from it ({error}); correct the file or the path") from None
        if not isinstance(found or {}, dict):
            raise UsageError(f"{path}: expected a mapping, options and their values")
        for name, value in (found or {}).items():
            # Of another optimiser or scheduler, options of the old one say nothing.
            if name in merged and value != merged[name]:
                merged.pop(f"{name}_conf", None)
        merged = _merged(merged, found or {})
    return {name: with_numbers(value) if name.endswith("_conf") else value for name, value in merged.items()}


def _merged(below: dict, above: dict) -> dict:
    """Mappings are merged key by key; anything else above takes the place of what is below."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
