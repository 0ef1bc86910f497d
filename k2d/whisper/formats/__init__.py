"""The published forms of a Whisper checkpoint, each read into dimensions, tensors and a tokenizer that fit each other.

In: a name or path: our folder, an OpenAI `.pt`, a Hugging Face folder, a CTranslate2 folder. Out: an `Opened`, whose
tensors are still on the disk, or the facts of `inspect_model`. Nothing is unpickled beyond tensors, every tensor of
the file is accounted for, and what does not fit is named with its file, before anything is computed.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from k2d.errors import CheckpointError
from k2d.text.tokenizer import SentencePieceTokenizer, Tokenizer
from k2d.text.whisper_import import whisper
from k2d.whisper import heads
from k2d.whisper.files import weight_files
from k2d.whisper.formats.ctranslate2 import open_ctranslate2
from k2d.whisper.formats.huggingface import open_huggingface
from k2d.whisper.formats.openai import open_openai
from k2d.whisper.formats.own import open_own
from k2d.whisper.formats.state import EMBEDDING
from k2d.whisper.formats.stored import Stored, StoredTensor, check_numbers, check_tensors, read_tensor
from k2d.whisper.formats.vocabulary import check_features, tokenizer_of
from k2d.whisper.identity import comes_later, frozen_sources, own_config, resolve
from k2d.whisper.model import ModelDimensions

HEAD_SIZE = 64  # width of an attention head in every published Whisper


@dataclass(frozen=True)
class Opened:
    """A checkpoint whose headers and files agree. The embedding's rows are in the order of the tokenizer's ids.

    findings: sentences worth telling, none of them an error. doubts: what is probably wrong, and what to do.
    """

    stored: Stored
    tokenizer: Tokenizer
    findings: tuple[str, ...]
    doubts: tuple[tuple[str, str], ...]

    @property
    def dims(self) -> ModelDimensions:
        return self.stored.dims

    @property
    def config(self) -> dict:
        return self.stored.config

    @property
    def alignment_heads(self) -> tuple[heads.Head, ...] | None:
        """Those that the checkpoint states, or that are published with its name."""
        return self.stored.alignment_heads

    @property
    def parameters(self) -> int:
        """Numbers of all tensors but the encoder's sinusoids, as `count_parameters` counts them in the module."""
        shapes = {name: tensor.shape for name, tensor in self.stored.tensors.items()}
        return sum(math.prod(shape) for name, shape in shapes.items() if name != "encoder.positional_embedding")

    def state(self) -> dict[str, Tensor]:
        """All tensors, by the names of openai-whisper's module. Raises CheckpointError for NaN or Inf in one."""
        return {name: read_tensor(name, tensor) for name, tensor in self.stored.tensors.items()}


@dataclass(frozen=True)
class ModelFacts:
    """form: "k2d", "openai", "huggingface", "ctranslate2", or "download" for a published name that is not here yet
    (then dims is None, and nothing is known of it). parameters: how many. vocabulary: a phrase for
    people. bytes: of the weights on the disk. findings, doubts: as in `Opened`.
    """

    path: str
    form: str
    dims: ModelDimensions | None
    parameters: int
    vocabulary: str
    languages: tuple[str, ...]
    bytes: int
    findings: tuple[str, ...]
    doubts: tuple[tuple[str, str], ...] = ()


def open_checkpoint(name_or_path: str | Path) -> Opened:
    """A checkpoint of any form, its tensors not read yet. Raises CheckpointError for what is damaged, or unfit."""
    stored = _checked(name_or_path)
    tokenizer, rows, findings, doubts = tokenizer_of(stored)
    if rows is not None:
        embedding = stored.tensors[EMBEDDING]
        moved = StoredTensor((len(rows), *embedding.shape[1:]), embedding.file, partial(_rows, embedding, rows))
        dims = replace(stored.dims, n_vocab=len(rows))
        stored = replace(stored, dims=dims, tensors={**stored.tensors, EMBEDDING: moved})
    return Opened(stored, tokenizer, tuple(findings), tuple(doubts))


def _rows(tensor: StoredTensor, rows: list[int]) -> Tensor:
    return tensor.load()[rows]


def _checked(name_or_path: str | Path) -> Stored:
    """A checkpoint whose tensors fit; its vocabulary is not read, so the embedding's rows are in the file's order."""
    path = resolve(name_or_path)
    frozen_sources(name_or_path)  # first: a circle of them would never end
    stored = _open(path)
    if stored.form == "openai" and (known := whisper._ALIGNMENT_HEADS.get(str(name_or_path))):
        stored = replace(stored, alignment_heads=heads.stored(known, stored.dims))
    check_tensors(stored)
    check_features(stored)
    return stored


def _open(path: Path) -> Stored:
    if path.is_file():
        return open_openai(path)
    config = own_config(path)
    if config:
        frozen = config.get("frozen")
        return open_own(path, config, partial(_source, frozen["source"]) if frozen else None)
    files = weight_files(path)
    if files[0].name == "model.bin":
        return open_ctranslate2(path)
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"{path}: not a Whisper checkpoint: {files[0].name} is there and config.json is not; download the folder "
            "again, with every file"
        )
    return open_huggingface(path)


def _source(name: str, embedding: bool) -> Stored:
    """embedding: it is wanted too, in the order of the tokenizer's ids. Reading a vocabulary takes half a second."""
    return open_checkpoint(name).stored if embedding else _checked(name)


def inspect_model(name_or_path: str | Path) -> ModelFacts:
    """What a checkpoint is, without building it. Every tensor is read once, for NaN, Inf and holes, one at a time.

    A published name that is not here is not downloaded. Raises CheckpointError, as loading it would.
    """
    name = str(name_or_path)
    if comes_later(name):
        return ModelFacts(name, "download", None, 0, "Whisper's", (), 0, ("is downloaded when it is first used",))
    opened = open_checkpoint(name_or_path)
    check_numbers(opened.stored)
    tokenizer = opened.tokenizer
    if isinstance(tokenizer, SentencePieceTokenizer):
        kind = "its own (sentencepiece)"
    else:
        kind = "Whisper's" if tokenizer.published else "Whisper's with added tokens"
    kind += ", multilingual" if tokenizer.multilingual else ", English only"
    return ModelFacts(
        name,
        opened.stored.form,
        opened.dims,
        opened.parameters,
        f"{kind}, {tokenizer.vocab_size} tokens",
        tokenizer.languages if tokenizer.multilingual else (),
        sum(file.stat().st_size for file in {tensor.file for tensor in opened.stored.tensors.values()}),
        (*opened.findings, *_odd_heads(opened.dims)),
        opened.doubts,
    )


def _odd_heads(dims) -> list[str]:
    """Numbers of heads that go into the width and are probably wrong: nothing else in a file tells them."""
    found = []
    for part, count, width in (
        ("encoder", dims.n_audio_head, dims.n_audio_state),
        ("decoder", dims.n_text_head, dims.n_text_state),
    ):
        if count * HEAD_SIZE != width and width % HEAD_SIZE == 0:
            what = f"the {part} has {count} attention heads for a width of {width}"
            found.append(f"{what}; all published Whispers would have {width // HEAD_SIZE}: is that right?")
    return found
