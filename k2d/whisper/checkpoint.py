"""Loading and saving models of the Whisper family.

In: a name or path in any published form. Out: a `Checkpoint` (model, tokenizer, hash, config).
Forms read: our own folder, OpenAI `.pt`, Hugging Face folder, CTranslate2 folder, ids of the Hugging Face Hub, and the
names that openai-whisper downloads. Forms written: our own folder (safetensors) and OpenAI `.pt`.

Our folder holds `model.safetensors`, `config.json` ({"dims": {...}, "trim_padding": false, ...}) and, where
the vocabulary is not Whisper's own, `tokenizer.model` (sentencepiece) or, where tokens were added to Whisper's,
`vocabulary.json` (all tokens in order). `"alignment_heads": [[layer, head], …]` are those that words are timed by.
`"frozen": {"source": "tiny.en@…"}` says that tensors not stored are those of another checkpoint, which is how a model
that was trained on top of a frozen encoder is kept small.
"""

import dataclasses
import json
import logging
from pathlib import Path

import safetensors.torch
import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

from k2d.atomic import atomic
from k2d.text.tokenizer import SentencePieceTokenizer, Tokenizer
from k2d.whisper import formats, heads
from k2d.whisper.identity import HEADS, checkpoint_in, model_identity
from k2d.whisper.model import ModelDimensions, Whisper, convert
from k2d.work.folders import json_or_none

_log = logging.getLogger("k2d.whisper")


@dataclasses.dataclass
class Checkpoint:
    model: Whisper
    tokenizer: Tokenizer
    hash: str  # of weights, configuration and tokenizer: identity.model_identity
    path: str
    config: dict

    @property
    def dims(self) -> ModelDimensions:
        return self.model.dims

    @property
    def trim_padding(self) -> bool:
        """Whether short utterances may be decoded with an encoder context shorter than 30 s."""
        return bool(self.config.get("trim_padding", False))


class _Undrawn(TorchFunctionMode):
    """Within it a model is built without random weights, which would be drawn, for small in two seconds, only to be
    overwritten by those of its file."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (init.kaiming_uniform_, init.uniform_, init.normal_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def load(name_or_path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Load a checkpoint of any form; the model is in eval mode. Raises CheckpointError."""
    opened = formats.open_checkpoint(name_or_path)
    with _Undrawn():
        model = Whisper(opened.dims)
    model.load_state_dict(opened.state())
    for what, todo in opened.doubts:
        _log.warning("%s: %s; %s", name_or_path, what, todo)
    digest = model_identity(name_or_path).digest
    if chosen := heads.stored(heads_beside(name_or_path, digest), opened.dims) or opened.alignment_heads:
        heads.use_heads(model, chosen)
    model = convert(model, device, dtype).eval()
    return Checkpoint(model, opened.tokenizer, digest, str(name_or_path), opened.config)


def heads_beside(name_or_path: str | Path, digest: str) -> list | None:
    """What `k2d align_heads` has chosen for a student, beside its average; None where there is nothing, or where it was
    chosen for other weights than those of this digest.
    """
    found = json_or_none(checkpoint_in(Path(name_or_path)).parent / HEADS) or {}
    return found.get("heads") if found.get("model") == digest else None


def load_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """Only the tokenizer of a checkpoint."""
    return formats.open_checkpoint(name_or_path).tokenizer


def read_dims(name_or_path: str | Path) -> ModelDimensions:
    """Only the dimensions of a checkpoint; no tensor is read."""
    return formats.open_checkpoint(name_or_path).dims


def save(folder: str | Path, model: Whisper, tokenizer: Tokenizer, config: dict | None = None) -> None:
    """Write our folder. With config["frozen"], tensors equal to the source's are left out.

    Each file appears whole; the weights come last, so that a folder with weights is complete.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {**(config or {}), "dims": dataclasses.asdict(model.dims)}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if frozen := config.get("frozen"):
        source = formats.open_checkpoint(frozen["source"]).state()
        state = {
            name: tensor
            for name, tensor in state.items()
            if name not in source or not torch.equal(tensor.float(), source[name].float())
        }
    if isinstance(tokenizer, SentencePieceTokenizer):
        with atomic(folder / "tokenizer.model", "wb") as stream:
            stream.write(tokenizer.model_proto)
    elif not tokenizer.published:
        with atomic(folder / "vocabulary.json") as stream:
            stream.write(json.dumps(tokenizer.tokens(), ensure_ascii=False) + "\n")
    with atomic(folder / "config.json") as stream:
        stream.write(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    with atomic(folder / "model.safetensors", "wb") as stream:
        stream.write(safetensors.torch.save(state, metadata={"format": "pt"}))


def save_openai(path: str | Path, model: Whisper) -> None:
    """Write an OpenAI `.pt`, which openai-whisper's `load_model` reads."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    dims = dataclasses.asdict(model.dims)
    content = {"dims": dims, "model_state_dict": state, "alignment_heads": heads.packed(model)}
    with atomic(path, "wb") as stream:
        torch.save(content, stream)
