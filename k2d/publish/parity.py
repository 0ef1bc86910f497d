"""The original and an export of it in, how far they differ out.

Every export is loaded again from its files and must give the original's logits, teacher-forced on
the original's own transcripts, and the original's transcripts. Where an outside program reads the form
(openai-whisper, transformers, CTranslate2), that program is asked too.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.constants import N_SAMPLES, TIMESTAMP_STEP
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError
from k2d.text.tokenizer import Tokenizer
from k2d.whisper import checkpoint
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions, Engine, initial_tokens
from k2d.whisper.engine_torch import TorchEngine
from k2d.whisper.features import utterance_log_mel
from k2d.whisper.logit_rules import suppressed_tokens
from k2d.wording import counted

# Largest difference of a logit, as a share of the largest logit. float32 differs by the order of
# summation only; float16 by half a unit in the eleventh bit of every weight; int8 by the eighth.
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "int8": 1e-1}


# mel (1, n_mels, 3000) and ids (1, length) to logits (1, length, n_vocab)
Model = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Sample:
    """One utterance as the original transcribes it. mel: (n_mels, 3000); logits: (tokens + 1, n_vocab);
    eot: id of the end of text, which `tokens` do not hold."""

    id: str
    mel: Tensor
    prompt: list[int]
    tokens: list[int]
    logits: Tensor
    eot: int


@dataclass(frozen=True)
class Parity:
    """How one program read one export. `logits`: largest absolute difference; `ties`: transcripts that
    part at two tokens whose logits the original does not tell apart within the tolerance."""

    form: str
    reader: str
    utterances: int
    tolerance: float
    logits: float | None = None
    equal_transcripts: int | None = None
    ties: int = 0
    parted: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        within = self.logits is None or self.logits <= self.tolerance
        return within and not self.parted

    def __str__(self) -> str:
        said = []
        if self.logits is not None:
            said.append(f"logits within {self.logits:.2g} (allowed {self.tolerance:.2g})")
        if self.equal_transcripts is not None:
            said.append(f"{self.equal_transcripts} of {counted(self.utterances, 'transcript')} equal")
            if self.ties:
                said.append(f"{self.ties} parted at a numerical tie")
            if self.parted:
                said.append(f"differing: {', '.join(self.parted[:5])}")
        return f"{self.form} read by {self.reader}: {', '.join(said)}: {'ok' if self.ok else 'FAILED'}"

    def as_dict(self) -> dict:
        return {**asdict(self), "ok": self.ok}


def decoding_options(model: Checkpoint, language: str) -> DecodingOptions:
    """Greedy, in the language asked for or, where the vocabulary lacks it, in its first."""
    known = model.tokenizer.languages
    return DecodingOptions(language=language if language in known else known[0], temperatures=(0.0,))


def some_mels(data: DataDir, most: int, n_mels: int, options: AudioOptions) -> dict[str, Tensor]:
    """Features of evenly spaced utterances, (n_mels, 3000) each; what cannot be read is passed over. Raises DataError
    where nothing can."""
    audio = open_utterances(data, **options.reading)
    ids = list(data.segments)
    step = max(1, len(ids) // most)
    mels: dict[str, Tensor] = {}
    for utterance in ids[::step] + ids:
        if len(mels) == most:
            break
        try:
            mels[utterance] = utterance_log_mel(audio[utterance], n_mels, N_SAMPLES)
        except BadAudio as error:
            print(f"publish: {utterance} is left out of the parity check: {error}", file=sys.stderr)
    if not mels:
        raise DataError(f"{data.path}: no utterance can be read; the parity check needs at least one")
    return mels


@torch.inference_mode()
def samples(original: Checkpoint, mels: dict[str, Tensor], language: str) -> list[Sample]:
    """Transcribe the utterances with the original, greedily. mels: id to (n_mels, 3000)."""
    options = decoding_options(original, language)
    prompt = initial_tokens(original.tokenizer, original.dims.n_text_ctx, [], options, None)
    tokens = transcripts(TorchEngine(original), list(mels.values()), prompt, options)
    made = []
    for (utterance, mel), spoken in zip(mels.items(), tokens, strict=True):
        logits = forced_logits(original.model, mel, prompt, spoken)
        made.append(Sample(utterance, mel, prompt, spoken, logits, original.tokenizer.eot))
    return made


def transcripts(engine: Engine, mels: Sequence[Tensor], prompt: list[int], options: DecodingOptions) -> list[list[int]]:
    found = engine.generate(engine.encode(mels), [prompt] * len(mels), options)
    return [list(h.tokens) for h in found]


def forced_logits(model: Model, mel: Tensor, prompt: list[int], tokens: list[int]) -> Tensor:
    """Logits of every token of the transcript and of what follows it: (tokens + 1, n_vocab)."""
    return model(mel[None], torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 :].float()


def tolerance(original: Sequence[Sample], precision: str) -> float:
    largest = max((float(s.logits.abs().max()) for s in original), default=1.0)
    return TOLERANCE[precision] * max(1.0, largest)


def compare_transcripts(original: Sequence[Sample], tokens: Sequence[list[int]], allowed: float) -> dict:
    """Equal transcripts, numerical ties, and the ids of those that truly part."""
    equal, ties, parted = 0, 0, []
    for sample, other in zip(original, tokens, strict=True):
        if sample.tokens == list(other):
            equal += 1
        elif _margin(sample, list(other)) <= allowed:
            ties += 1
        else:
            parted.append(sample.id)
    return {"equal_transcripts": equal, "ties": ties, "parted": tuple(parted)}


def _margin(sample: Sample, other: list[int]) -> float:
    """How far apart the original's logits are of its own and the other's token where they first differ."""
    ours, theirs = [*sample.tokens, sample.eot], [*other, sample.eot]
    at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    return float((sample.logits[at, ours[at]] - sample.logits[at, theirs[at]]).abs())


@torch.inference_mode()
def check(form: str, precision: str, original: Sequence[Sample], language: str, path: Path) -> Parity:
    """Read an export with our loader and transcribe with it."""
    return compare_model(form, precision, original, language, checkpoint.load(path))


@torch.inference_mode()
def compare_model(form: str, precision: str, original: Sequence[Sample], language: str, export: Checkpoint) -> Parity:
    """Transcribe with an export that is loaded."""
    allowed = tolerance(original, precision)
    options = decoding_options(export, language)
    tokens = transcripts(TorchEngine(export), [s.mel for s in original], original[0].prompt, options)
    logits = _largest_difference(original, export.model)
    found = compare_transcripts(original, tokens, allowed)
    return Parity(form, "k2d", len(original), allowed, logits=logits, **found)


def _largest_difference(original: Sequence[Sample], model: Model) -> float:
    differences = (forced_logits(model, s.mel, s.prompt, s.tokens) - s.logits for s in original)
    # A tensor's maximum, unlike Python's, does not lose a NaN.
    return float(torch.stack([difference.abs().max() for difference in differences]).max())


@torch.inference_mode()
def check_openai(path: Path, precision: str, original: Sequence[Sample], language: str | None) -> Parity:
    """Read a `.pt` with openai-whisper itself. language: of the transcripts; None where the vocabulary is not
    Whisper's own, which openai-whisper's decoder cannot read, so that only logits are compared."""
    import whisper

    model = whisper.load_model(str(path), device="cpu").eval()
    allowed = tolerance(original, precision)
    found = {}
    if language is not None:
        options = whisper.DecodingOptions(language=language, fp16=False)
        tokens = [whisper.decode(model, s.mel, options).tokens for s in original]
        found = compare_transcripts(original, tokens, allowed)
    logits = _largest_difference(original, model)
    return Parity("openai", "openai-whisper", len(original), allowed, logits=logits, **found)


@torch.inference_mode()
def check_transformers(
    folder: Path, precision: str, original: Sequence[Sample], tokenizer: Tokenizer
) -> Parity | None:
    """Read a Hugging Face folder with transformers: logits, and what its pipeline's tokenizer makes of the
    transcripts. None where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import AutoProcessor, WhisperForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    theirs = AutoProcessor.from_pretrained(folder).tokenizer

    def forward(mel: Tensor, ids: Tensor) -> Tensor:
        return model(input_features=mel, decoder_input_ids=ids).logits

    parted = []
    for sample in original:
        # As the vocabulary cuts the text: a byte that is a letter of its own is nothing that a student learns to write.
        ids = tokenizer.encode(tokenizer.decode(sample.tokens))
        said, _ = theirs._decode_asr(
            [{"tokens": np.array([[*sample.prompt, tokenizer.no_timestamps, *ids, sample.eot]])}],
            return_timestamps=False, return_language=False, time_precision=TIMESTAMP_STEP,
        )  # fmt: skip
        if said.strip() != tokenizer.decode(ids).strip():
            parted.append(sample.id)
    return Parity(
        "huggingface",
        "transformers",
        len(original),
        tolerance(original, precision),
        logits=_largest_difference(original, forward),
        equal_transcripts=len(original) - len(parted),
        parted=tuple(parted),
    )


def check_ctranslate2(folder: Path, precision: str, original: Sequence[Sample], student: Checkpoint) -> Parity:
    """Transcribe with CTranslate2 alone, encoder included. It does not tell logits."""
    import ctranslate2

    options = DecodingOptions()
    model = ctranslate2.models.Whisper(
        str(folder), device="cpu", compute_type="int8" if precision == "int8" else "float32"
    )
    # What our decoder stops at; CTranslate2 would go on to the end of the context.
    most = student.dims.n_text_ctx // 2
    tokens = []
    for sample in original:
        result = model.generate(
            ctranslate2.StorageView.from_array(sample.mel[None].numpy()),
            [sample.prompt],
            beam_size=1,
            max_length=student.dims.n_text_ctx,
            max_initial_timestamp_index=options.last_initial_timestamp(student.dims.n_audio_ctx),
            suppress_tokens=suppressed_tokens(student.tokenizer, options),
        )
        tokens.append(result[0].sequences_ids[0][:most])
    allowed = tolerance(original, precision)
    return Parity(
        "ctranslate2", "ctranslate2", len(original), allowed, **compare_transcripts(original, tokens, allowed)
    )
