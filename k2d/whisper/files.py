"""The files of a downloaded model: which hold its weights, and what came in place of them. Imports no torch.

In: a folder or file. Out: paths of weights, parsed JSON; a CheckpointError that names the file, what was expected and
what to do. Damaged downloads are the commonest fault of models: an empty or cut file, a web page that says "log in
first", the pointer that git leaves without Git LFS.

Names that come out of a file (shards of an index, files of ESPnet's meta.yaml) must lie in the folder: no absolute
path, no "..". Symbolic links are followed wherever they lead, since the cache of huggingface_hub is made of them and
only the owner of the folder can make one.
"""

import json
import re
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from k2d.errors import CheckpointError
from k2d.wording import counted
from k2d.work.models import MODEL, read_record

SINGLE = ("model.safetensors", "pytorch_model.bin", "model.bin")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.safetensors|\.bin)")
_LFS = b"version https://git-lfs.github.com/spec"
_PAGE = re.compile(rb"\s*(?:<!doctype html|<html|<\?xml|<error)", re.IGNORECASE)
_TEXT = (".json", ".yaml", ".yml", ".txt")
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_config.json")
_OTHER_FORMS = {
    "flax_model.msgpack": "weights of Flax alone; convert them (from_flax=True) and save_pretrained",
    "tf_model.h5": "weights of TensorFlow alone; convert them (from_tf=True) and save_pretrained",
}


def damage(path: Path) -> str:
    """What came in place of a file, as half a sentence with what to do; "" where its first bytes do not tell."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as stream:
            head = stream.read(512)
    except OSError as error:
        return f"cannot be read ({error.strerror}); correct the path, or download it again"
    if not size:
        return "the file is empty; download it again"
    if size >= 8 and not any(head):
        return "zeros in place of the file, as a download that broke off leaves them; download it again"
    if head.startswith(_LFS):
        held = re.search(rb"size (\d+)", head)
        of = f" of a file of {int(held[1]):,} bytes" if held else ""
        return f"only the Git LFS pointer{of}; run 'git lfs pull' in its folder, or download it again"
    if _PAGE.match(head):
        return "a web page in place of the file; download it again, logged in where the model's licence asks for it"
    if size < 512 and path.suffix not in _TEXT and _is_text(head):
        said = " ".join(head.decode(errors="replace").split())[:80]
        return f'text in place of the file ("{said}"); download it again'
    return ""


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)


def check_file(path: Path, what: str) -> Path:
    """The path of a file that is there and is none of `damage`. what: what was expected."""
    if not path.is_file():
        state = "a link that leads nowhere" if path.is_symlink() else "missing"
        raise CheckpointError(f"{path}: {state}; expected {what}: download the folder again, with every file")
    if fault := damage(path):
        raise CheckpointError(f"{path}: {fault}. Expected {what}")
    return path


def read_json(path: Path, what: str = "a JSON object") -> dict:
    """The object in a JSON file. Raises CheckpointError for whatever else is there."""
    found = read_json_value(path, what)
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected {what}, found a {type(found).__name__}; download it again")
    return found


def read_json_value(path: Path, what: str):
    """What a JSON file holds, of any type."""
    check_file(path, what)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON, cut short or damaged ({error}); download it again") from None


def inside(folder: Path, name: object, source: Path) -> Path:
    """The file that `source` names, in the folder. Raises CheckpointError for a name that leads out of it."""
    named = str(name)
    parts = {*PurePosixPath(named).parts, *PureWindowsPath(named).parts}
    leads_out = PurePosixPath(named).is_absolute() or PureWindowsPath(named).anchor or ".." in parts
    if not isinstance(name, str) or not named.strip() or leads_out or "\0" in named:
        raise CheckpointError(
            f"{source}: names the file {name!r}, which is not in {folder}; a model's files lie in its folder: download "
            "it again, from a place that you trust"
        )
    return folder / named


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights of a checkpoint, of which every one is there and none is a known `damage`.

    Of several forms in one folder the first of: safetensors, pytorch_model.bin, CTranslate2's model.bin.
    """
    if path.is_file():
        check_file(path, "weights")
        return [path]
    if adapter := next((path / name for name in _ADAPTERS if (path / name).exists()), None):
        what = "a LoRA adapter, which must be in the weights; merge it into its model (merge_and_unload) and save that"
        raise CheckpointError(f"{adapter}: {what}. Expected model.safetensors, or pytorch_model.bin, and no adapter")
    for name in SINGLE:
        if (path / name).exists():
            return [check_file(path / name, "weights")]
        index = path / f"{name}.index.json"
        if index.exists():
            return [check_file(file, f"the weights that {index.name} names") for file in _of_index(index)]
        stem, suffix = name.rsplit(".", 1)
        if name != "model.bin" and (shards := sorted(path.glob(f"{stem}-*-of-*.{suffix}"))):
            return _all_shards(path, shards[0])
    for name, what in _OTHER_FORMS.items():
        if (path / name).exists():
            raise CheckpointError(f"{path / name}: {what}. Expected model.safetensors, or pytorch_model.bin")
    if (path / MODEL).is_file():
        record = read_record(path)
        what = f"is the record of a {record.role}"
        raise CheckpointError(f"{path}: {what}, not a model; give its checkpoint {record.path}")
    for name in SINGLE:
        if (path / name).is_symlink():  # to what is not there
            check_file(path / name, "weights")
    deeper = min((str(file.parent) for name in SINGLE for file in path.glob(f"*/{name}*")), default="")
    raise CheckpointError(
        f"{path}: holds no weights; expected model.safetensors (ours or Hugging Face's), pytorch_model.bin (Hugging "
        f"Face), or model.bin (CTranslate2){deeper and f': perhaps you mean {deeper}'}"
    )


def _of_index(index: Path) -> list[Path]:
    names = read_json(index, 'an index of weights, {"weight_map": {...}}').get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f'{index}: no index of weights: "weight_map" is missing or empty; download it again')
    files = [inside(index.parent, name, index) for name in names.values()]
    return sorted(set(files))


def _all_shards(folder: Path, first: Path) -> list[Path]:
    """The shards of a folder whose index is missing: their names say how many there are."""
    match = _SHARD.fullmatch(first.name)
    if not match:
        raise CheckpointError(f"{folder}: {first.name} is one of several files, and their index is missing; get it")
    stem, _, total, suffix = match.groups()
    names = [f"{stem}-{n:05d}-of-{total}{suffix}" for n in range(1, min(int(total), 10000) + 1)]
    return [check_file(folder / name, f"one of {counted(int(total), 'file')} of weights") for name in names]


def check_whole(path: Path, remedy: str) -> Path:
    """The path of a file that this torch has saved and that is whole: every part of its zip has its checksum.

    Takes about a second for a gigabyte. Raises CheckpointError.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file; {remedy}")
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        bad = str(error) or type(error).__name__
    if bad is not None:
        size = path.stat().st_size
        raise CheckpointError(f"{path}: cut short or damaged ({bad}), {size:,} bytes are there; {remedy}")
    return path
