"""Hours and disk of the pipeline's stages before they are run.

In: hours of speech, models by name, the training configuration. Out: for each stage, hours of the device,
hours of one core where a stage is bound by it, gigabytes of disk, memory of a job, and what each rests on.

Training is the paper's own figure (Sec. 4: 120k updates of 256 chunks took 42 h on four H100 with large-v2), the
work on tables was measured with tools/bench_join.py and tools/bench_distance.py. The rest is arithmetic on
assumptions, named below; a short trial on the real machine replaces them (`speeds`; trial.py reads them from it).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from k2d.datadir import DataError

CHUNK = 27.0  # seconds; mean length of a chunk packed to at most 30 s
WINDOW = 26.0  # seconds by which sequential decoding advances, on average
TOKENS = 150  # of a 30 s window of lecture: four syllables a second, 1.2 tokens each
DECODED_AGAIN = 1.25  # windows that loop or doubt are decoded once more, or several times
FLAC = 0.063  # GB an hour: 16 kHz, 16 bit, mono, at 55 % of its raw size
DECODES = 300.0  # times real time: one core reading m4a, mp3 or mp4
ENCODES = 500.0  # times real time: one core writing FLAC
PAPER_SECONDS_A_CHUNK = 42 * 3600 * 4 / (120_000 * 256)  # one H100, large-v2 with two decoder layers
PAPER_TEACHER = 1550.0
# tools/bench_join.py --chunks 20000 --jobs 16, one core: seconds and bytes a chunk
JOIN_LABELS, JOIN_DECODED, JOIN_BYTES = 217e-6, 142e-6, 1259.0
START_BYTES = 494.0  # of the tables that every job of stage 3 and every process of training reads
DISTANCES = 5000.0  # pairs a second of one core: tools/bench_distance.py
SELECTS = 50_000.0  # chunks a second
RUNTIME = 2.5  # GB: Python with torch and ESPnet
RECORDING = 0.23  # GB an hour of a recording that lies in memory while it is decoded, float32
LONGEST_RECORDING = 3.0  # hours


@dataclass(frozen=True)
class Size:
    """parameters in millions; layers of the encoder and of the decoder; width."""

    parameters: float
    encoder_layers: int
    decoder_layers: int
    width: int


SIZES = {
    "tiny": Size(39, 4, 4, 384),
    "base": Size(74, 6, 6, 512),
    "small": Size(244, 12, 12, 768),
    "medium": Size(769, 24, 24, 1024),
    "large": Size(1550, 32, 32, 1280),
}
STUDENT = 756 / 1550  # of the teacher's parameters: its encoder and two decoder layers
FRAMES = 50  # a second, of the encoder's output
_VOCABULARY, _FRAMES = 51_865, 1500


@dataclass(frozen=True)
class Device:
    """name; operations a second reached on matrices; seconds of one decoder step and layer, whatever the
    batch.
    """

    name: str
    operations: float
    step: float | None


# Half of what an H100 reaches in bf16 on large matrices; a step of a layer is about a dozen small kernels.
H100 = Device("H100", 400e12, 0.12e-3)
# Two cores of the machine that mini_cs was made on.
CPU = Device("two CPU cores", 121e9, None)
CPU_DECODING = 10.0  # times what the operations alone would take: measured with tiny.en in batches of eight


def size_of(model: str) -> Size:
    """By a published name; a folder or a file of one's own counts as tiny, which mini models are."""
    name = model.rsplit("/", 1)[-1].removesuffix(".pt").removesuffix(".en")
    for known, size in SIZES.items():
        if name == known or name.startswith(f"{known}-"):
            return size
    return SIZES["tiny"]


def seconds_a_window(size: Size, device: Device, batch: int, decoder_layers: int | None = None) -> float:
    """One 30 s window: encoder, and TOKENS steps of a decoder that serves `batch` windows."""
    layers = size.decoder_layers if decoder_layers is None else decoder_layers
    dense = 24 * size.width**2 * _FRAMES + 4 * _FRAMES**2 * size.width
    encoder = size.encoder_layers * dense / device.operations
    if device.step is not None:
        return encoder + TOKENS * (layers + 2) * device.step / batch
    operations = TOKENS * 2 * (layers * 16 * size.width**2 + _VOCABULARY * size.width)
    return encoder + CPU_DECODING * operations / device.operations


def updates(config: Mapping, chunks: float) -> tuple[float, float]:
    """(updates, chunks a update) of a training configuration; an epoch without a number of its own is a
    pass.
    """
    accumulate = int(config.get("accum_grad", 1))
    batch = int(config.get("batch_size", 20))
    if config.get("batch_type") == "numel":
        batch = max(1, round(int(config["batch_bins"]) / (FRAMES * CHUNK)))
    iterations = config.get("num_iters_per_epoch") or math.ceil(chunks / batch)
    return int(config.get("max_epoch", 40)) * int(iterations) / accumulate, batch * accumulate


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    joined: training speech is joined anew from clips (a copy), else it stays where it is. forms: of a test
    set. speeds, as measured, in place of assumptions: times real time of "teacher" and "validator", "distance" in
    pairs a second of a core, "training" in chunks a second of a device; sources: where each was measured.
    """

    train_hours: float
    dev_hours: float
    test_hours: float
    teacher: str
    validator: str
    selections: Sequence[str]
    config: Mapping
    ngpu: int
    batch: int = 8
    joined: bool = True
    ready_labels: bool = False
    speeds: Mapping[str, float] | None = None
    sources: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Cost:
    stage: int
    device_hours: float
    core_hours: float
    gigabytes: float
    said: str
    memory: float = RUNTIME  # GB of the largest of its jobs
    joining_hours: float = 0.0  # of core_hours: what one process does at the end, whatever the number of jobs
    rests_on: tuple[str, ...] = ()


def estimate(plan: Plan) -> list[Cost]:
    """Costs of stages 1 to 8."""
    device = H100 if plan.ngpu else CPU
    teacher, validator = size_of(plan.teacher), size_of(plan.validator)
    speeds, sources = plan.speeds or {}, plan.sources or {}
    chunks = plan.train_hours * 3600 / CHUNK

    def decoding(name: str, size: Size, hours: float, windows_of: float, layers: int | None = None) -> float:
        if name in speeds:
            return hours / speeds[name]
        windows = hours * 3600 / windows_of * DECODED_AGAIN
        return windows * seconds_a_window(size, device, plan.batch, layers) / 3600

    def basis(name: str, otherwise: str, value: str = "{:,.0f} times real time") -> str:
        if name in speeds:
            return f"{name}: {value.format(speeds[name])}, measured: {sources.get(name, '--speed')}"
        return f"{name}: {otherwise}"

    assumed = f"assumed: {device.operations / 1e12:,.2f} TFLOP/s reached on one {device.name}"
    audio = f"audio: assumed, a core reads {DECODES:,.0f} and writes {ENCODES:,.0f} times real time as FLAC"
    joining = "joining and memory of tables: measured, tools/bench_join.py, 20,000 chunks of 16 jobs"
    tables = chunks * START_BYTES / 1e9

    costs = []
    copied = plan.dev_hours + plan.test_hours + (plan.train_hours if plan.joined else 0.0)
    costs.append(Cost(1, 0.0, copied / DECODES + copied / ENCODES, copied * FLAC, f"{copied:,.1f} h copied as FLAC",
                      rests_on=(audio,)))  # fmt: skip

    labelling = 0.0 if plan.ready_labels else decoding("teacher", teacher, plan.train_hours, WINDOW)
    joined = chunks * JOIN_LABELS / 3600
    writing = plan.train_hours * (1 / DECODES + 1 / ENCODES) + joined
    what = "labels from subtitles" if plan.ready_labels else f"{plan.teacher} on {plan.train_hours:,.1f} h"
    reading = 0.0 if plan.ready_labels else plan.train_hours / DECODES
    held = plan.batch * LONGEST_RECORDING * RECORDING
    costs.append(Cost(2, labelling, reading + writing, plan.train_hours * FLAC + chunks * 3e-6, what,
                      max(RUNTIME + teacher.parameters * 4e-3 + held, chunks * JOIN_BYTES / 1e9), joined,
                      (basis("teacher", assumed), audio, joining)))  # fmt: skip

    checking = decoding("validator", validator, plan.train_hours, CHUNK / DECODED_AGAIN)
    joined = chunks * JOIN_DECODED / 3600
    distances = chunks / speeds.get("distance", DISTANCES) / 3600
    costs.append(Cost(3, checking, plan.train_hours / DECODES + distances + joined, chunks * 1e-6,
                      f"{plan.validator} on {chunks:,.0f} chunks, distances",
                      RUNTIME + validator.parameters * 4e-3 + tables, joined + distances / 8,
                      (basis("validator", assumed), joining,
                       basis("distance", f"{DISTANCES:,.0f} pairs a second of a core, tools/bench_distance.py",
                             "{:,.0f} pairs a second of a core"))))  # fmt: skip

    count = len(plan.selections)
    costs.append(Cost(4, 0.0, count * chunks / SELECTS / 3600, count * chunks * 0.8e-6, f"{count} selections",
                      RUNTIME + 2 * tables, count * chunks / SELECTS / 3600,
                      (f"selection: assumed, {SELECTS:,.0f} chunks a second",)))  # fmt: skip

    steps, batch = updates(plan.config, chunks)
    if "training" in speeds:
        training = count * steps * batch / speeds["training"] / 3600
    else:
        relative = teacher.parameters / PAPER_TEACHER * H100.operations / device.operations
        training = count * steps * batch * PAPER_SECONDS_A_CHUNK * relative / 3600
    student = teacher.parameters * STUDENT * 4e-3  # GB, float32
    kept = int(config_value(plan.config, "keep_nbest_models", 10)) + 4  # latest, with optimizer, initial, averaged
    # Every process holds both models once while it loads them, and the tables; loader workers share those at first.
    processes = max(plan.ngpu, 1) if plan.ngpu < 8 else 8
    costs.append(Cost(5, training, 0.0, count * kept * student,
                      f"{count} students, {steps:,.0f} updates of {batch:,.0f} chunks each",
                      processes * (RUNTIME + teacher.parameters * 4e-3 + student + tables), 0.0,
                      (basis("training", "the paper's, 120k updates of 256 chunks in 42 h on four H100 with large-v2",
                             "{:,.2f} chunks a second of a device"),)))  # fmt: skip

    # Utterances are shorter than windows, and every one of them costs a window: five seconds on average.
    testing = 0.0
    for name, size, layers, times in (
        ("teacher", teacher, None, 1),
        ("validator", validator, None, 1),
        ("student", teacher, 2, count),
    ):
        for windows_of in (5.0, WINDOW):
            testing += times * decoding(name, size, plan.test_hours, windows_of, layers)
    costs.append(Cost(6, testing, 0.0, (count + 2) * plan.test_hours * 1e-4,
                      f"{count + 2} models on {plan.test_hours:,.1f} h, short-form and long-form",
                      RUNTIME + teacher.parameters * 4e-3 + held, 0.0,
                      (basis("teacher", assumed), basis("validator", assumed), f"student: {assumed}")))  # fmt: skip
    costs.append(Cost(7, 0.0, (count + 2) * plan.test_hours * 0.01, 0.01, "alignments, bootstrap, tables",
                      rests_on=("scoring: assumed, 36 s an hour of test audio",)))  # fmt: skip
    costs.append(Cost(8, count * 0.05, 0.0, count * student * 1.5, f"{count} exports with parity check",
                      RUNTIME + 2 * (student + teacher.parameters * 4e-3),
                      rests_on=("publishing: assumed, three minutes a student",)))  # fmt: skip
    return costs


def config_value(config: Mapping, name: str, default):
    value = config.get(name, default)
    return max(value) if isinstance(value, (list, tuple)) else value


def read_config(path: str) -> dict:
    """A training configuration. DataError where there is none."""
    try:
        with open(path, encoding="utf-8") as handle:
            return yaml.safe_load(handle) or {}
    except FileNotFoundError:
        raise DataError(f"{path}: no such training configuration; --train_config names another") from None


def duration(hours: float) -> str:
    """ "3 min", "4.2 h", "12 days" """
    if hours < 1:
        return f"{max(1, math.ceil(hours * 60))} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"


def space(gigabytes: float) -> str:
    if gigabytes < 0.1:
        return "under 0.1 GB"
    return f"{gigabytes:,.1f} GB" if gigabytes < 1000 else f"{gigabytes / 1000:,.1f} TB"


def sentence(cost: Cost, plan: Plan) -> str:
    """ "about 12.3 h on 4 H100 (49.2 h of one), 3.8 TB: large-v2 on 60,000 h" """
    parts = []
    if cost.device_hours:
        name = H100.name if plan.ngpu else CPU.name
        count = max(plan.ngpu, 1)
        one = f" ({duration(cost.device_hours)} of one)" if count > 1 else ""
        parts.append(f"{duration(cost.device_hours / count)} on {f'{count} ' if plan.ngpu else ''}{name}{one}")
    if cost.core_hours:
        parts.append(f"{duration(cost.core_hours)} of one core")
    parts.append(space(cost.gigabytes))
    return f"{', '.join(parts)}: {cost.said}"
