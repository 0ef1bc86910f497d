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

from k2d.constants import N_AUDIO_CTX
from k2d.distill.length import CHUNK, batch_of
from k2d.wording import audio_length, counted
from k2d.work.folders import size_in_words

ADVANCE = 26.0  # seconds by which long-form decoding goes on from window to window, on average
UTTERANCE = 5.0  # seconds of a test utterance, on average, and every one of them costs a window
TOKENS = 150  # of a 30 s window of lecture: four syllables a second, 1.2 tokens each
DECODED_AGAIN = 1.25  # windows that loop or doubt are decoded once more, or several times
FLAC = 0.063  # GB an hour: 16 kHz, 16 bit, mono, at 55 % of its raw size
DECODES = 300.0  # times real time: one core reading m4a, mp3 or mp4
ENCODES = 500.0  # times real time: one core writing FLAC
PAPER_CHUNKS_A_SECOND = 120_000 * 256 / (42 * 3600 * 4)  # one H100, large-v2 with two decoder layers
# Students of mini_cs, validation included: width 384, vocabulary of 2,511, encoder output stored and teacher cached.
DEMO_CHUNKS_A_SECOND, DEMO_VOCABULARY = 17.0, 2511
# One core: seconds a chunk of the joins of stages 2 and 3; bytes a chunk of the tables that the latter, a job of stage
# 3 and a process of training read; gigabytes a job, of each of which the join of stage 2 holds an archive's chunks.
JOINED = "tools/bench_join.py --chunks 200000 --jobs 64"
JOIN_LABELS, JOIN_DECODED, TABLE_BYTES, JOIN_JOB = 285e-6, 152e-6, 566.0, 9e-3
DISTANCES = 1000.0  # pairs a second of one core
MEASURED_DISTANCES = "k2d distance --signals none, 8,000 pairs of 110 units"
SELECTS = 50_000.0  # chunks a second
RUNTIME = 2.5  # GB: Python with torch and ESPnet
RECORDING = 0.06  # GB of a recording that is decoded: features of ten minutes, twice; what is longer lies on disk
BATCHES = 2  # at a time on a CPU, each with its keys and values of the audio, float32; on a GPU these are elsewhere


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
_VOCABULARY = 51_865


@dataclass(frozen=True)
class DecoderStep:
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


def encoder_operations(size: Size) -> float:
    """Of a 30 s window."""
    dense = 24 * size.width**2 * N_AUDIO_CTX + 4 * N_AUDIO_CTX**2 * size.width
    return float(size.encoder_layers * dense)


def label_operations(size: Size, layers: int, vocabulary: int = _VOCABULARY) -> float:
    """Of so many decoder layers and the logits, forward along a label of TOKENS: projections of tokens, keys and values
    of the audio, cross-attention.
    """
    layer = TOKENS * 28 * size.width**2 + N_AUDIO_CTX * 4 * size.width**2 + 4 * TOKENS * N_AUDIO_CTX * size.width
    return float(layers * layer + TOKENS * 2 * vocabulary * size.width)


def training_operations(size: Size, stored: bool, cached: bool, vocabulary: int = _VOCABULARY) -> float:
    """Of a chunk: the frozen encoder, unless its output is stored; the teacher's decoder, unless its probabilities are
    cached; the student's two layers, forward and backward.
    """
    encoder = 0.0 if stored else encoder_operations(size)
    teacher = 0.0 if cached else label_operations(size, size.decoder_layers, vocabulary)
    return encoder + teacher + 3 * label_operations(size, 2, vocabulary)


@dataclass(frozen=True)
class Device:
    """name; operations a second reached on matrices; how long a step of the decoder takes, if it does not follow from
    the operations; how this is known. training: operations a second reached there; trained: how that is known.
    """

    name: str
    operations: float
    step: DecoderStep | None
    known: str
    training: float
    trained: str


# Of float16 and greedy search; base takes a fifth less. With windows of 150 tokens and prompts of 100, an encoder of
# large-v2 takes 7.4 ms a window and a step of its decoder 3.6, 5.0, 6.1, 8.5 and 13.0 ms for 1, 8, 16, 32 and 64
# windows; with two layers 0.6, 0.8 and 1.5 ms for 1, 16 and 64.
H100 = Device(
    "H100",
    305e12,
    DecoderStep(fixed=0.37e-3, layer=0.11e-3, window=5.8e-6, window_and_layer=4.3e-6),
    "measured, tools/bench_decoder.py --size large-v2 --batch_sizes 1,8,16,32,64",
    PAPER_CHUNKS_A_SECOND * training_operations(SIZES["large"], stored=False, cached=False),
    "published, 120k updates of 256 chunks in 42 h on four H100 with large-v2",
)
# Two cores of the machine that mini_cs was made on.
CPU_DECODING = 10.0  # times what the operations alone would take: measured with tiny.en in batches of eight
CPU = Device(
    "two cores",
    121e9,
    None,
    "computed from 121 GFLOP/s on matrices and tiny.en's decoder, both measured",
    DEMO_CHUNKS_A_SECOND * training_operations(SIZES["tiny"], stored=True, cached=True, vocabulary=DEMO_VOCABULARY),
    f"measured, egs/mini_cs/k2d1/local/ladder.sh, {DEMO_CHUNKS_A_SECOND:.0f} chunks a second in bfloat16 (float32: 10)",
)


def size_of(model: str) -> Size:
    """By a published name; a folder or a file of one's own counts as tiny, which mini models are."""
    return published_size(model) or SIZES["tiny"]


def published_size(model: str) -> Size | None:
    name = model.rsplit("/", 1)[-1].removesuffix(".pt").removesuffix(".en")
    for known, size in SIZES.items():
        if name == known or name.startswith(f"{known}-"):
            return size
    return None


def seconds_a_window(size: Size, device: Device, batch: int, decoder_layers: int | None = None) -> float:
    """One 30 s window: encoder, and TOKENS steps of a decoder that serves `batch` windows."""
    layers = size.decoder_layers if decoder_layers is None else decoder_layers
    encoder = encoder_operations(size) / device.operations
    if device.step is not None:
        return encoder + TOKENS * device.step.seconds(layers, size.width, batch) / batch
    operations = TOKENS * 2 * (layers * 16 * size.width**2 + _VOCABULARY * size.width)
    return encoder + CPU_DECODING * operations / device.operations


def updates(config: Mapping, chunks: float) -> tuple[float, float]:
    """(updates, chunks an update) of a training configuration; an epoch without a number of its own is a pass, and no
    forward pass has more chunks than there are.
    """
    accumulate = int(config.get("accum_grad", 1))
    batch = min(batch_of(config), accumulate * max(1, math.ceil(chunks)))
    iterations = config.get("num_iters_per_epoch") or math.ceil(chunks * accumulate / batch)
    return int(config.get("max_epoch", 40)) * int(iterations) / accumulate, batch


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    joined: training speech is joined anew from clips (a copy), else it stays where it is. speeds, as measured, in
    place of assumptions: times real time of "teacher" and "validator", "distance" in pairs a second of a core,
    "training" in chunks a second of a device; sources: where each was measured.
    batch: windows decoded side by side. jobs: of a stage that decodes. validators: the speed measured as "validator" is
    the first one's. revise: further models that transcribe the chunks; one without a published name is a student of the
    teacher. seeds: students of each selection. encoder_out: stored versions of the encoder's output, clean and noisy;
    topk: cached tokens of the teacher at each position. side_by_side: students, decodings and exports at a time.
    """

    train_hours: float
    dev_hours: float
    test_hours: float
    teacher: str
    validators: Sequence[str]
    selections: Sequence[str]
    config: Mapping
    ngpu: int
    batch: int = 8
    joined: bool = True
    ready_labels: bool = False
    speeds: Mapping[str, float] | None = None
    sources: Mapping[str, str] | None = None
    jobs: int = 64
    revise: Sequence[str] = ()
    seeds: int = 1
    encoder_out: int = 0
    topk: int = 0
    side_by_side: int = 1

    @property
    def students(self) -> int:
        return len(self.selections) * self.seeds

    @property
    def models(self) -> int:
        """Those that decode the test sets."""
        return 1 + len(self.validators) + self.students


@dataclass(frozen=True)
class Cost:
    """Of one stage. memory: GB of the largest of its jobs; at_a_time: how many of them the plan allows side by side,
    beside what is spread over jobs or devices. joining_hours: of core_hours, what one process does at the
    end, whatever the number of jobs. rests_on: sentences, each with how a figure is known.
    """

    stage: int
    summary: str
    gigabytes: float
    device_hours: float = 0.0
    core_hours: float = 0.0
    memory: float = RUNTIME
    at_a_time: int = 1
    joining_hours: float = 0.0
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Decoding:
    """One way of decoding. name: in `Plan.speeds`; advance: seconds of audio a window; again: how often one is decoded;
    layers: of the decoder, where it has not all of its size's.
    """

    name: str
    size: Size
    advance: float
    again: float = 1.0
    layers: int | None = None


class _Run:
    """What several stages need to know of a plan, and how that is known."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.device = H100 if plan.ngpu else CPU
        self.where = f"one {self.device.name}" if plan.ngpu else self.device.name
        self.speeds, self.sources = plan.speeds or {}, plan.sources or {}
        self.teacher, self.students = size_of(plan.teacher), plan.students
        self.chunks = plan.train_hours * 3600 / CHUNK
        self.teacher_weights = self.teacher.parameters * 4e-3  # GB, float32
        self.student_weights = self.teacher_weights * STUDENT
        self.tables = self.chunks * TABLE_BYTES / 1e9
        self.labelling = _Decoding("teacher", self.teacher, ADVANCE, DECODED_AGAIN)
        names = ["validator", *plan.validators[1:]]
        self.checking = [
            _Decoding(name, size_of(model), CHUNK) for name, model in zip(names, plan.validators, strict=True)
        ]
        for name in plan.revise:
            size = published_size(name)
            self.checking.append(_Decoding(name, size or self.teacher, CHUNK, layers=None if size else 2))

    def memory(self, *decodings: _Decoding) -> float:
        """GB of a job that decodes so."""
        return RUNTIME + max(map(self._held, decodings))

    def _held(self, decoding: _Decoding) -> float:
        size, layers = decoding.size, decoding.layers or decoding.size.decoder_layers
        keys_and_values = 0 if self.plan.ngpu else 8e-9 * layers * N_AUDIO_CTX * size.width
        return size.parameters * 4e-3 + self.plan.batch * (RECORDING + BATCHES * keys_and_values)

    def rate(self, decoding: _Decoding) -> float:
        """Times real time."""
        if decoding.name in self.speeds:
            return self.speeds[decoding.name]
        seconds = seconds_a_window(decoding.size, self.device, self.plan.batch, decoding.layers)
        return decoding.advance / decoding.again / seconds

    def basis(self, name: str, value: str, otherwise: str) -> str:
        known = f"measured, {self.sources.get(name, '--speed')}" if name in self.speeds else otherwise
        return f"{name}, {value}: {known}"

    def decoded(self, decoding: _Decoding) -> str:
        """The basis of a rate."""
        rate = self.rate(decoding)
        value = f"{rate:,.{2 if rate < 1 else 1 if rate < 10 else 0}f} times real time on {self.where}"
        window = f"{counted(self.plan.batch, 'window')} at a time, of {TOKENS} tokens in {decoding.advance:.0f} s"
        window += f", each decoded {decoding.again} times" if decoding.again != 1 else ""
        return self.basis(decoding.name, value, f"{self.device.known}, {window}")

    @property
    def holds(self) -> str:
        """The basis of the memory of a job that decodes recordings."""
        caches = "" if self.plan.ngpu else f", and the decoder's caches of {counted(BATCHES, 'batch', 'batches')}"
        return f"{_DECODER}, features of {counted(self.plan.batch, 'recording')} computed{caches}"


_AUDIO = f"audio: assumed, a core reads {DECODES:,.0f} and writes {ENCODES:,.0f} times real time"
_FLAC = f"disk: assumed, {FLAC * 1000:.0f} MB an hour, FLAC at 55 % of its raw size"
_RUNTIME = f"memory: assumed, {RUNTIME} GB for Python and its libraries"
_DECODER = f"memory: {RUNTIME} GB assumed, model computed as float32"
_TABLES = f"tables of {TABLE_BYTES:.0f} bytes a chunk measured, {JOINED}"


def _joining(seconds: float) -> str:
    return f"joining, {seconds * 1e6:.0f} µs a chunk: measured, {JOINED}"


def estimate(plan: Plan) -> list[Cost]:
    """Costs of stages 1 to 8."""
    run = _Run(plan)
    return [stage(run) for stage in (_data, _label, _validate, _select, _train, _decode, _score, _publish)]


def _data(run: _Run) -> Cost:
    plan = run.plan
    copied = plan.dev_hours + plan.test_hours + (plan.train_hours if plan.joined else 0.0)
    stays = "" if plan.joined else "; training recordings stay where they are"
    return Cost(
        1,
        core_hours=copied / DECODES + copied / ENCODES,
        gigabytes=copied * FLAC,
        summary=f"{audio_length(copied * 3600)} copied as FLAC{stays}",
        rests_on=(_AUDIO, _FLAC, _RUNTIME),
    )


def _label(run: _Run) -> Cost:
    plan = run.plan
    joined = run.chunks * JOIN_LABELS / 3600
    writing = plan.train_hours * (1 / DECODES + 1 / ENCODES) + joined
    reading = 0.0 if plan.ready_labels else plan.train_hours / DECODES
    return Cost(
        2,
        device_hours=0.0 if plan.ready_labels else plan.train_hours / run.rate(run.labelling),
        core_hours=reading + writing,
        gigabytes=plan.train_hours * FLAC + run.chunks * 3e-6,
        summary="labels from subtitles"
        if plan.ready_labels
        else f"{plan.teacher} on {audio_length(plan.train_hours * 3600)}",
        memory=max(0 if plan.ready_labels else run.memory(run.labelling), RUNTIME + plan.jobs * JOIN_JOB),
        joining_hours=joined,
        rests_on=(*(() if plan.ready_labels else (run.decoded(run.labelling),)), _AUDIO, _joining(JOIN_LABELS), _FLAC,
                  _RUNTIME if plan.ready_labels else run.holds),
    )  # fmt: skip


def _validate(run: _Run) -> Cost:
    plan = run.plan
    joined = len(run.checking) * run.chunks * JOIN_DECODED / 3600
    pairs_a_second = run.speeds.get("distance", DISTANCES)
    distances = run.chunks / pairs_a_second / 3600
    pairs = f"{pairs_a_second:,.0f} pairs a second of a core"
    return Cost(
        3,
        device_hours=sum(plan.train_hours / run.rate(each) for each in run.checking),
        core_hours=len(run.checking) * plan.train_hours / DECODES + distances + joined,
        gigabytes=len(run.checking) * run.chunks * 1e-6,
        summary=f"{', '.join([*plan.validators, *plan.revise])} on {run.chunks:,.0f} chunks, distances",
        memory=run.memory(*run.checking) + run.tables,
        joining_hours=joined + distances / 8,
        rests_on=(*map(run.decoded, run.checking), _AUDIO, _joining(JOIN_DECODED),
                  run.basis("distance", pairs, f"measured, {MEASURED_DISTANCES}"),
                  "disk: assumed, 1 kB a chunk and model", f"{run.holds}, {_TABLES}"),
    )  # fmt: skip


def _select(run: _Run) -> Cost:
    selections = len(run.plan.selections)
    hours = selections * run.chunks / SELECTS / 3600
    return Cost(
        4,
        core_hours=hours,
        gigabytes=selections * run.chunks * 0.8e-6,
        summary=counted(selections, "selection"),
        memory=RUNTIME + 2 * run.tables,
        joining_hours=hours,
        rests_on=(f"selection: assumed, {SELECTS:,.0f} chunks a second", "disk: assumed, 0.8 kB a chunk",
                  f"memory: {RUNTIME} GB assumed, twice {_TABLES}"),
    )  # fmt: skip


def _train(run: _Run) -> Cost:
    plan = run.plan
    steps, batch = updates(plan.config, run.chunks)
    operations = training_operations(run.teacher, plan.encoder_out > 0, plan.topk > 0)
    learns = run.speeds.get("training", run.device.training / operations)
    encoded = plan.encoder_out * run.chunks + (plan.encoder_out > 0) * plan.dev_hours * 3600 / CHUNK
    once = encoded * encoder_operations(run.teacher)
    if plan.topk:
        once += run.chunks * label_operations(run.teacher, run.teacher.decoder_layers)
        once += (plan.encoder_out == 0) * run.chunks * encoder_operations(run.teacher)
    stored = encoded * N_AUDIO_CTX * run.teacher.width * 2e-9  # float16
    stored += run.chunks * TOKENS * plan.topk * 6e-9  # ids of 4 bytes, float16
    kept = int(config_value(plan.config, "keep_nbest_models", 10)) + 4  # latest, with optimizer, initial, averaged
    # Every process holds both models once while it loads them, and the tables; loader workers share those at first.
    processes = min(max(plan.ngpu, 1), 8)
    at_a_time = min(plan.side_by_side, run.students)
    students = counted(run.students, "student")
    if run.students > 1:
        students += " one after the other" if at_a_time == 1 else f", {at_a_time} at a time"
    held = counted(processes, "process", "processes")
    known = f"{run.device.trained}; for this model computed from {operations / 1e9:,.0f} GFLOP a chunk"
    rate = run.basis("training", f"{learns:,.2f} chunks a second of {run.where}", known)
    before = f"encoder output or teacher's tokens, stored once: computed, {once / 1e12:,.0f} TFLOP and {space(stored)}"
    return Cost(
        5,
        device_hours=(run.students * steps * batch / learns + once / run.device.operations) / 3600,
        gigabytes=run.students * kept * run.student_weights + stored,
        summary=f"{students}, {steps:,.0f} updates of {counted(round(batch), 'chunk')} each",
        memory=processes * (RUNTIME + run.teacher_weights + run.student_weights + run.tables),
        at_a_time=at_a_time,
        rests_on=(rate, *([before] if once else []),
                  f"disk: computed, {counted(kept, 'model')} of {space(run.student_weights)} a student",
                  f"memory: computed, both models for each of {held}, and {_TABLES}"),
    )  # fmt: skip


def _decode(run: _Run) -> Cost:
    plan, models = run.plan, run.plan.models
    testing, tested = 0.0, []
    for name, size, layers, times in (
        ("teacher", run.teacher, None, 1),
        *((each.name, each.size, None, 1) for each in run.checking[: len(plan.validators)]),
        ("student", run.teacher, 2, run.students),
    ):
        short = _Decoding(name, size, UTTERANCE, layers=layers)
        for form in (short, _Decoding(name, size, ADVANCE, DECODED_AGAIN, layers)):
            testing += times * plan.test_hours / run.rate(form)
        tested.append(run.decoded(short))
    return Cost(
        6,
        device_hours=testing,
        gigabytes=models * plan.test_hours * 1e-4,
        summary=f"{counted(models, 'model')} on {audio_length(plan.test_hours * 3600)}, short-form and long-form",
        memory=run.memory(run.labelling, *run.checking[: len(plan.validators)]),
        at_a_time=min(plan.side_by_side, models),
        rests_on=(*tested, "disk: assumed, 0.1 MB an hour", run.holds),
    )


def _score(run: _Run) -> Cost:
    return Cost(
        7,
        core_hours=run.plan.models * run.plan.test_hours * 0.01,
        gigabytes=0.01,
        summary="alignments, bootstrap, tables",
        rests_on=("scoring: assumed, 36 s an hour of test audio and model", "disk: assumed", _RUNTIME),
    )


def _publish(run: _Run) -> Cost:
    return Cost(
        8,
        device_hours=run.students * 0.05,
        gigabytes=run.students * run.student_weights * 1.5,
        summary=f"{counted(run.students, 'export')} with parity check",
        memory=RUNTIME + 2 * (run.student_weights + run.teacher_weights),
        at_a_time=min(run.plan.side_by_side, run.students),
        rests_on=("publishing: assumed, three minutes a student",
                  "disk and memory: computed, one and a half and two copies of the models"),
    )  # fmt: skip


def config_value(config: Mapping, name: str, default):
    value = config.get(name, default)
    return max(value) if isinstance(value, (list, tuple)) else value


def duration(hours: float) -> str:
    """ "under 1 min", "3 min", "4.2 h", "12 days" """
    minutes = hours * 60
    if minutes < 59.5:
        return "under 1 min" if minutes < 1 else f"{minutes:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"


def space(gigabytes: float) -> str:
    if gigabytes < 0.1:
        return "under 0.1 GB"
    return size_in_words(gigabytes * 1e9)
