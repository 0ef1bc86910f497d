"""A checkpoint in, every form that other programs read out, each loaded again and checked."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from k2d.publish import parity
from k2d.publish.huggingface import preprocessor_config, save_huggingface, tokenizer_files
from k2d.publish.parity import Parity, Sample
from k2d.tables import atomic
from k2d.text.tokenizer import SentencePieceTokenizer
from k2d.whisper import checkpoint
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.ctranslate2_conversion import convert

OPENAI, OWN, HUGGINGFACE, CTRANSLATE2 = "openai.pt", "k2d", "huggingface", "ctranslate2"


def save_ctranslate2(folder: Path, student: Checkpoint, dtype: str) -> None:
    """Write what ctranslate2 needs, and the tokenizer and features that faster-whisper looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = {
        "tokenizer.json": tokenizer_files(student.tokenizer)["tokenizer.json"],
        "preprocessor_config.json": preprocessor_config(student.dims),
    }
    for name, content in beside.items():
        with atomic(folder / name) as stream:
            stream.write(json.dumps(content, ensure_ascii=False) + "\n")
    if isinstance(student.tokenizer, SentencePieceTokenizer):
        with atomic(folder / "tokenizer.model", "wb") as stream:
            stream.write(student.tokenizer.model_proto)
    convert(student.model, student.tokenizer, dtype, folder)


def export_all(
    student: Checkpoint,
    original: Sequence[Sample],
    folder: Path,
    dtype: str,
    ct2_dtype: str,
    language: str,
) -> list[Parity]:
    """Write all forms into `folder` and compare each with the original, as every program that is installed
    reads it. dtype: float16 or float32; ct2_dtype also int8."""
    model = copy.deepcopy(student.model).to(getattr(torch, dtype))
    # A published folder stands on its own: no tensors that lie in another checkpoint.
    config = {name: value for name, value in student.config.items() if name not in ("frozen", "dims")}
    spoken = (language if student.tokenizer.multilingual else "en") if student.tokenizer.published else None

    def check(form: str, name: str, precision: str) -> Parity:
        return parity.check(form, precision, original, language, folder / name)

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save_openai(folder / OPENAI, model)
    parities = [parity.check_openai(folder / OPENAI, dtype, original, spoken)]
    checkpoint.save(folder / OWN, model, student.tokenizer, config)
    parities.append(check("safetensors", OWN, dtype))
    save_huggingface(folder / HUGGINGFACE, model, student.tokenizer)
    parities.append(check("huggingface", HUGGINGFACE, dtype))
    if (found := parity.check_transformers(folder / HUGGINGFACE, dtype, original)) is not None:
        parities.append(found)
    save_ctranslate2(folder / CTRANSLATE2, student, ct2_dtype)
    parities.append(check("ctranslate2", CTRANSLATE2, ct2_dtype))
    parities.append(parity.check_ctranslate2(folder / CTRANSLATE2, ct2_dtype, original, student))
    return parities
