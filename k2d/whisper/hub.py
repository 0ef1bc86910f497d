"""Models of the Hugging Face Hub by their ids: `openai/whisper-large-v3`, `MediaTek-Research/Breeze-ASR-25@v1.0`.

In: an id, with a branch, tag or commit behind an @. Out: the folder of its files in Hugging Face's own cache (HF_HOME,
HF_HUB_CACHE). What the cache holds is taken from there without asking the network, so that a model stays the same
through a run and on machines without a network; HF_HUB_OFFLINE=1 never asks. HF_ENDPOINT names a mirror, HF_TOKEN
opens gated models. Fetched are the files that a kind of transcriber reads, safetensors before other forms, and nothing
pickled but ESPnet's weights. Imports no torch.
"""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

from k2d.errors import CheckpointError, first_line

REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_ID = re.compile(rf"(?P<repo>{REPOSITORY})(@(?P<revision>refs/[\w./-]+|[\w.-]+))?")
_CONFIG = "config.json"
_SHARDS = "model.safetensors.index.json"
# What is read beside the weights, of each kind of transcriber.
_BESIDE = {
    "whisper": ("generation_config.json", "preprocessor_config.json", "tokenizer*", "vocab*", "merges.txt",
                "added_tokens.json", "special_tokens_map.json"),
    "transformers": ("*.json", "*.txt", "*.model"),
    "espnet": ("*.yaml", "*.pth", "*.model", "*.npz"),
}  # fmt: skip
_NOT_READ = ("*optimizer*", "*trainer_state*", "*training_args*", "*.msgpack", "*.index.json", "*/*.json")


def parts_of(name: str) -> tuple[str, str] | None:
    """(repository, revision) of a name that has the form of an id; None for what is, or lies in, a folder here."""
    found = _ID.fullmatch(name)
    if found is None or Path(name).exists() or Path(name.partition("/")[0]).exists():
        return None
    return found["repo"], found["revision"] or "main"


def folder_of(name: str, kind: str = "whisper") -> Path:
    """The folder of an id's files; those missing are fetched. Raises CheckpointError, which says what to do."""
    folder = cached(name, kind)
    return folder if folder is not None else _guarded(name, lambda: _fetch(name, kind))


def check(name: str, kind: str = "whisper") -> None:
    """CheckpointError for an id that cannot be had; of a model that is not in the cache only its files are listed."""
    if cached(name, kind) is None:
        _guarded(name, lambda: _listed(name, kind))


def cached(name: str, kind: str = "whisper") -> Path | None:
    """The folder of an id in the cache, if all that its configuration asks for is there."""
    from huggingface_hub import try_to_load_from_cache

    repo, revision = parts_of(name)
    first = try_to_load_from_cache(repo, "meta.yaml" if kind == "espnet" else _CONFIG, revision=revision)
    if not isinstance(first, str):
        return None
    folder = Path(first).parent
    return folder if _whole(folder, kind) else None


def _whole(folder: Path, kind: str) -> bool:
    if kind == "espnet":
        return any(folder.glob("**/*.pth")) and any(folder.glob("**/config.yaml"))
    if kind == "transformers" and not any(folder.glob("*processor_config.json")):
        return False
    index = folder / _SHARDS
    if (folder / "model.safetensors").is_file() or (kind == "whisper" and (folder / "model.bin").is_file()):
        return True
    return index.is_file() and all((folder / shard).is_file() for shard in _shards(index))


def _shards(index: Path) -> list[str]:
    return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))


def _listed(name: str, kind: str) -> tuple[str, list[str]]:
    """(commit, files to fetch) of an id. Raises CheckpointError where there are no weights that are read."""
    from huggingface_hub import HfApi

    repo, revision = parts_of(name)
    info = HfApi().model_info(repo, revision=revision)
    there = [file.rfilename for file in info.siblings or []]
    needed = "meta.yaml" if kind == "espnet" else _CONFIG
    if needed not in there:
        raise CheckpointError(f"{name}: the repository holds no {needed}; expected {_EXPECTED[kind]}")
    weights = _weights(there, kind)
    if not weights:
        pickled = [file for file in there if file.endswith((".bin", ".pt", ".pth"))]
        hint = (
            f"its weights ({pickled[0]}) are pickled and could run code: ask its owner for safetensors, or convert "
            "them with transformers (from_pretrained, save_pretrained) and give the folder"
            if pickled
            else f"expected {_EXPECTED[kind]}"
        )
        raise CheckpointError(f"{name}: the repository has no weights in a supported format; {hint}")
    beside = [
        file
        for file in there
        if any(fnmatch(file, pattern) for pattern in _BESIDE[kind])
        and (kind == "espnet" or not any(fnmatch(file, pattern) for pattern in _NOT_READ))
    ]
    return info.sha, list(dict.fromkeys([needed, *beside, *weights]))


_EXPECTED = {
    "whisper": "config.json with model.safetensors (transformers) or model.bin (CTranslate2)",
    "transformers": "config.json with model.safetensors",
    "espnet": "an ESPnet model with meta.yaml and *.pth",
}


def _weights(there: list[str], kind: str) -> list[str]:
    """One complete set of weights among a repository's files, or none."""
    if kind == "espnet":
        return [file for file in there if file.endswith(".pth")]
    if "model.safetensors" in there:
        return ["model.safetensors"]
    if _SHARDS in there:
        return [_SHARDS, *(file for file in there if fnmatch(file, "model-*-of-*.safetensors"))]
    return ["model.bin"] if kind == "whisper" and "model.bin" in there else []


def _fetch(name: str, kind: str) -> Path:
    from huggingface_hub import hf_hub_download

    repo, revision = parts_of(name)
    commit, files = _listed(name, kind)
    # Weights come last: a killed download is no complete model. By the branch's name once, which notes its commit.
    for file in files:
        path = hf_hub_download(repo, file, revision=revision if file == files[0] else commit)
    folder = Path(path)
    for _ in Path(file).parts:
        folder = folder.parent
    if not _whole(folder, kind):
        raise CheckpointError(f"{name}: not all of its files are there ({folder}); the repository seems to lack some")
    return folder


def _guarded(name: str, work):
    """Run a request; what goes wrong is said as what to do about it."""
    import huggingface_hub.constants as settings
    from huggingface_hub import errors

    host = settings.ENDPOINT
    try:
        return work()
    except errors.GatedRepoError:
        what = f"is gated; accept its terms at {host}/{parts_of(name)[0]}, and log in ('hf auth login', or HF_TOKEN)"
    except errors.RepositoryNotFoundError:
        what = (
            f"no such folder here, and {host} has no such model, or it is private; correct the id, or log in "
            "('hf auth login', or HF_TOKEN)"
        )
    except errors.RevisionNotFoundError:
        what = f"the model has no revision {parts_of(name)[1]!r}; correct what follows the @, or leave it out"
    except errors.OfflineModeIsEnabled:
        what = (
            f"no such folder here, nor in the cache ({settings.HF_HUB_CACHE}), and HF_HUB_OFFLINE forbids to fetch it; "
            "unset it, or copy the cache, or the model's folder, from a machine that has it"
        )
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            what = _no_network(host, error.__cause__ or error)
        else:
            what = f"a file of it is missing on {host} ({first_line(error)}); give another revision, as {name}@COMMIT"
    except errors.HfHubHTTPError as error:
        what = f"{host} answered: {first_line(error)}; try again later, or give a folder"
    except errors.HFValidationError as error:
        what = f"no id of the Hub ({first_line(error)}); expected OWNER/NAME"
    except (CheckpointError, json.JSONDecodeError) as error:
        if isinstance(error, CheckpointError):
            raise
        what = f"{host} does not answer as the Hub does; correct HF_ENDPOINT"
    except Exception as error:
        if not of_network(error):
            raise
        what = _no_network(host, error)
    raise CheckpointError(f"{name}: {what}") from None


def _no_network(host: str, error: BaseException) -> str:
    return (
        f"no such folder here, nor in the cache, and {host} cannot be reached ({first_line(error)}); connect, name a "
        "mirror in HF_ENDPOINT or a proxy in HTTPS_PROXY, or give the folder of a copy"
    )


def of_network(error: Exception) -> bool:
    """Whether the network, and not this program, is to blame; httpx names its errors so."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"TransportError", "TimeoutError", "ConnectionError", "HTTPError"})
