"""Hours and disk of the pipeline's stages before they are run.

In: hours of speech, models by name, the training configuration. Out: for each stage, hours of the device,
hours of one core where a stage is bound by it, gigabytes of disk, memory of a job, and what each rests on:

    measured    by this project, with the command that is named, on a core of the machine that mini_cs was made on or
                on one H100
    published   the paper's own figure (Sec. 4: 120k updates of 256 chunks took 42 h on four H100 with large-v2)
    computed    from the sizes of models and data
    assumed     nobody has measured it here; a trial on the real machine replaces what it can (`speeds`, trial.py)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k2d.distill.length import CHUNK, batch_of
from k2d.work.folders import size_in_words

WINDOW = 26.0  # seconds by which sequential decoding advances, on average
TOKENS = 150  # of a 30 s window of lecture: four syllables a second, 1.2 tokens each
DECODED_AGAIN = 1.25  # windows that loop or doubt are decoded once more, or several times
FLAC = 0.063  # GB an hour: 16 kHz, 16 bit, mono, at 55 % of its raw size
DECODES = 300.0  # times real time: one core reading m4a, mp3 or mp4
ENCODES = 500.0  # times real time: one core writing FLAC
PAPER_SECONDS_A_CHUNK = 42 * 3600 * 4 / (120_000 * 256)  # one H100, large-v2 with two decoder layers
PAPER_TEACHER = 1550.0
# One core: seconds a chunk of the joins of stages 2 and 3; bytes a chunk of the tables that the latter, a job of stage
# 3 and a process of training read; gigabytes a job, of each of which the join of stage 2 holds an archive's chunks.
JOINED = "tools/bench_join.py --chunks 200000 --jobs 64"
JOIN_LABELS, JOIN_DECODED, TABLE_BYTES, JOIN_JOB = 285e-6, 152e-6, 566.0, 9e-3
DISTANCES = 5000.0  # pairs a second of one core, at least: tools/bench_distance.py
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
_VOCABULARY, _FRAMES = 51_865, 1500


@dataclass(frozen=True)
class Step:
    """Seconds of one step of a decoder on a GPU: fixed, for a layer, for a window, and for a window in a layer of
    large-v2's width, which is the time of reading its keys and values.
    """

    fixed: float
    layer: float
    window: float
    window_and_layer: float

    def seconds(self, layers: int, width: int, windows: int) -> float:
        reading = layers * self.window_and_layer * width / SIZES["large"].width
        return self.fixed + layers * self.layer + windows * (self.window + reading)


@dataclass(frozen=True)
class Device:
    """name; operations a second reached on matrices; how long a step of the decoder takes, if it does not follow from
    the operations; how this is known.
    """

    name: str
    operations: float
    step: Step | None
    known: str


# Of float16 and greedy search; base takes a fifth less. With windows of 150 tokens and prompts of 100, an encoder of
# large-v2 takes 7.4 ms a window and a step of its decoder 3.6, 5.0, 6.1, 8.5 and 13.0 ms for 1, 8, 16, 32 and 64
# windows; with two layers 0.6, 0.8 and 1.5 ms for 1, 16 and 64.
H100 = Device(
    "H100",
    305e12,
    Step(fixed=0.37e-3, layer=0.11e-3, window=5.8e-6, window_and_layer=4.3e-6),
    "measured, tools/bench_decoder.py --size large-v2 --batch_sizes 1,8,16,32,64",
)
# Two cores of the machine that mini_cs was made on.
CPU_DECODING = 10.0  # times what the operations alone would take: measured with tiny.en in batches of eight
CPU = Device("two cores", 121e9, None, "computed from 121 GFLOP/s on matrices and tiny.en's decoder, both measured")


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
        return encoder + TOKENS * device.step.seconds(layers, size.width, batch) / batch
    operations = TOKENS * 2 * (layers * 16 * size.width**2 + _VOCABULARY * size.width)
    return encoder + CPU_DECODING * operations / device.operations


def updates(config: Mapping, chunks: float) -> tuple[float, float]:
    """(updates, chunks a update) of a training configuration; an epoch without a number of its own is a
    pass.
    """
    batch, accumulate = batch_of(config), int(config.get("accum_grad", 1))
    iterations = config.get("num_iters_per_epoch") or math.ceil(chunks * accumulate / batch)
    return int(config.get("max_epoch", 40)) * int(iterations) / accumulate, batch


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    joined: training speech is joined anew from clips (a copy), else it stays where it is. speeds, as measured, in
    place of assumptions: times real time of "teacher" and "validator", "distance" in pairs a second of a core,
    "training" in chunks a second of a device; sources: where each was measured.
    jobs: of a stage that decodes. longest: hours of a recording.
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
    jobs: int = 64
    longest: float = LONGEST_RECORDING


@dataclass(frozen=True)
class Cost:
    stage: int
    device_hours: float
    core_hours: float
    gigabytes: float
    summary: str
    memory: float = RUNTIME  # GB of the largest of its jobs
    joining_hours: float = 0.0  # of core_hours: what one process does at the end, whatever the number of jobs
    rests_on: tuple[str, ...] = ()


def estimate(plan: Plan) -> list[Cost]:
    """Costs of stages 1 to 8."""
    device = H100 if plan.ngpu else CPU
    teacher, validator = size_of(plan.teacher), size_of(plan.validator)
    where = f"one {device.name}" if plan.ngpu else device.name
    speeds, sources = plan.speeds or {}, plan.sources or {}
    chunks = plan.train_hours * 3600 / CHUNK

    def rate(name: str, size: Size, windows_of: float, again: float = 1.0, layers: int | None = None) -> float:
        """Times real time; `again`: how often a window is decoded."""
        if name in speeds:
            return speeds[name]
        return windows_of / again / seconds_a_window(size, device, plan.batch, layers)

    def basis(name: str, value: str, otherwise: str) -> str:
        return f"{name}, {value}: {f'measured, {sources.get(name, "--speed")}' if name in speeds else otherwise}"

    def decoded(name: str, size: Size, windows_of: float, again: float = 1.0, layers: int | None = None) -> str:
        value = f"{rate(name, size, windows_of, again, layers):,.0f} times real time on {where}"
        window = f"{plan.batch} windows at a time, of {TOKENS} tokens in {windows_of:.0f} s"
        window += f", each decoded {again} times" if again != 1 else ""
        return basis(name, value, f"{device.known}, {window}")

    audio = f"audio: assumed, a core reads {DECODES:,.0f} and writes {ENCODES:,.0f} times real time"
    flac = f"disk: assumed, {FLAC * 1000:.0f} MB an hour, FLAC at 55 % of its raw size"
    runtime = f"memory: assumed, {RUNTIME} GB for Python and its libraries"

    def joining(seconds: float) -> str:
        return f"joining, {seconds * 1e6:.0f} µs a chunk: measured, {JOINED}"

    def weights(size: Size) -> float:
        return size.parameters * 4e-3  # GB, float32

    tables = chunks * TABLE_BYTES / 1e9
    read = f"tables of {TABLE_BYTES:.0f} bytes a chunk measured, {JOINED}"

    costs = []
    copied = plan.dev_hours + plan.test_hours + (plan.train_hours if plan.joined else 0.0)
    summary = f"{copied:,.1f} h copied as FLAC" + ("" if plan.joined else "; training recordings stay where they are")
    costs.append(Cost(1, 0.0, copied / DECODES + copied / ENCODES, copied * FLAC, summary,
                      rests_on=(audio, flac, runtime)))  # fmt: skip

    labelling = 0.0 if plan.ready_labels else plan.train_hours / rate("teacher", teacher, WINDOW, DECODED_AGAIN)
    joined = chunks * JOIN_LABELS / 3600
    writing = plan.train_hours * (1 / DECODES + 1 / ENCODES) + joined
    what = "labels from subtitles" if plan.ready_labels else f"{plan.teacher} on {plan.train_hours:,.1f} h"
    reading = 0.0 if plan.ready_labels else plan.train_hours / DECODES
    held = plan.batch * plan.longest * RECORDING
    rests = () if plan.ready_labels else (decoded("teacher", teacher, WINDOW, DECODED_AGAIN),)
    decoder = f"memory: {RUNTIME} GB assumed, model computed as float32"
    holds = f"{decoder}, {plan.batch} recordings of {plan.longest:.1g} h computed"
    held_by_join = RUNTIME + plan.jobs * JOIN_JOB
    costs.append(Cost(2, labelling, reading + writing, plan.train_hours * FLAC + chunks * 3e-6, what,
                      max(RUNTIME + weights(teacher) + held, held_by_join), joined,
                      (*rests, audio, joining(JOIN_LABELS), flac, holds)))  # fmt: skip

    checking = plan.train_hours / rate("validator", validator, CHUNK)
    joined = chunks * JOIN_DECODED / 3600
    distances = chunks / speeds.get("distance", DISTANCES) / 3600
    pairs = f"{speeds.get('distance', DISTANCES):,.0f} pairs a second of a core"
    costs.append(Cost(3, checking, plan.train_hours / DECODES + distances + joined, chunks * 1e-6,
                      f"{plan.validator} on {chunks:,.0f} chunks, distances",
                      RUNTIME + weights(validator) + tables, joined + distances / 8,
                      (decoded("validator", validator, CHUNK), audio, joining(JOIN_DECODED),
                       basis("distance", pairs, "measured, tools/bench_distance.py"),
                       "disk: assumed, 1 kB a chunk", f"{decoder}, {read}")))  # fmt: skip

    count = len(plan.selections)
    costs.append(Cost(4, 0.0, count * chunks / SELECTS / 3600, count * chunks * 0.8e-6, f"{count} selections",
                      RUNTIME + 2 * tables, count * chunks / SELECTS / 3600,
                      (f"selection: assumed, {SELECTS:,.0f} chunks a second", "disk: assumed, 0.8 kB a chunk",
                       f"memory: {RUNTIME} GB assumed, twice {read}")))  # fmt: skip

    steps, batch = updates(plan.config, chunks)
    relative = teacher.parameters / PAPER_TEACHER * H100.operations / device.operations
    learns = speeds.get("training", 1 / (PAPER_SECONDS_A_CHUNK * relative))
    training = count * steps * batch / learns / 3600
    student = weights(teacher) * STUDENT
    kept = int(config_value(plan.config, "keep_nbest_models", 10)) + 4  # latest, with optimizer, initial, averaged
    # Every process holds both models once while it loads them, and the tables; loader workers share those at first.
    processes = max(plan.ngpu, 1) if plan.ngpu < 8 else 8
    scaled = "" if relative == 1 else f", times {relative:,.2f} for the model and the {device.name}: assumed"
    costs.append(Cost(5, training, 0.0, count * kept * student,
                      f"{count} students one after the other, {steps:,.0f} updates of {batch:,.0f} chunks each",
                      processes * (RUNTIME + weights(teacher) + student + tables), 0.0,
                      (basis("training", f"{learns:,.2f} chunks a second of {where}",
                             f"published, 120k updates of 256 chunks in 42 h on four H100 with large-v2{scaled}"),
                       f"disk: computed, {kept} models of {space(student)} a student",
                       f"memory: computed, both models for each of {processes} processes, and {read}")))  # fmt: skip

    # Utterances are shorter than windows, and every one of them costs a window: five seconds on average.
    testing, tested = 0.0, []
    for name, size, layers, times in (
        ("teacher", teacher, None, 1),
        ("validator", validator, None, 1),
        ("student", teacher, 2, count),
    ):
        for form in ((5.0, 1.0), (WINDOW, DECODED_AGAIN)):
            testing += times * plan.test_hours / rate(name, size, *form, layers)
        tested.append(decoded(name, size, 5.0, 1.0, layers))
    costs.append(Cost(6, testing, 0.0, (count + 2) * plan.test_hours * 1e-4,
                      f"{count + 2} models on {plan.test_hours:,.1f} h, short-form and long-form",
                      RUNTIME + weights(teacher) + held, 0.0,
                      (*tested, "disk: assumed, 0.1 MB an hour", holds)))  # fmt: skip
    costs.append(Cost(7, 0.0, (count + 2) * plan.test_hours * 0.01, 0.01, "alignments, bootstrap, tables",
                      rests_on=("scoring: assumed, 36 s an hour of test audio and model", "disk: assumed", runtime)))
    costs.append(Cost(8, count * 0.05, 0.0, count * student * 1.5, f"{count} exports with parity check",
                      RUNTIME + 2 * (student + weights(teacher)),
                      rests_on=("publishing: assumed, three minutes a student",
                                "disk and memory: computed, one and a half and two copies of the models")))  # fmt: skip
    return costs


def config_value(config: Mapping, name: str, default):
    value = config.get(name, default)
    return max(value) if isinstance(value, (list, tuple)) else value


def duration(hours: float) -> str:
    """ "3 min", "4.2 h", "12 days" """
    if hours < 1:
        return f"{max(1, math.ceil(hours * 60))} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"


def space(gigabytes: float) -> str:
    if gigabytes < 0.1:
        return "under 0.1 GB"
    return size_in_words(gigabytes * 1e9)
