"""A checkpoint in, every form that other programs read out, each loaded again and checked."""

import copy
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from k2d.atomic import atomic
from k2d.publish import parity
from k2d.publish.forms import CTRANSLATE2, GGML, HUGGINGFACE, OPENAI, OWN
from k2d.publish.ggml import read_ggml, save_ggml
from k2d.publish.huggingface import preprocessor_config, save_huggingface
from k2d.publish.parity import Parity, Sample
from k2d.publish.tokenizer_json import tokenizer_json
from k2d.text.tokenizer import SentencePieceTokenizer
from k2d.whisper import checkpoint
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.ctranslate2_conversion import convert
from k2d.whisper.heads import heads_of
from k2d.whisper.model import Whisper
from k2d.whisper.model import convert as convert_model


def save_ctranslate2(folder: Path, student: Checkpoint, dtype: str) -> None:
    """Write what ctranslate2 needs, and the tokenizer and features that faster-whisper looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = {
        "tokenizer.json": tokenizer_json(student.tokenizer),
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
    reads it. dtype: float16 or float32; ct2_dtype also int8. whisper.cpp's form is written where the vocabulary is a
    published one, always in float16."""
    model = copy.deepcopy(student.model).to(getattr(torch, dtype))
    # A published folder stands on its own: no tensors that lie in another checkpoint.
    config = {name: value for name, value in student.config.items() if name not in ("frozen", "dims")}
    config["alignment_heads"] = heads_of(model)
    spoken = parity.decoding_options(student, language).language if student.tokenizer.published else None

    def check(form: str, name: str, precision: str) -> Parity:
        return parity.check(form, precision, original, language, folder / name)

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save_openai(folder / OPENAI, model)
    parities = [parity.check_openai(folder / OPENAI, dtype, original, spoken)]
    checkpoint.save(folder / OWN, model, student.tokenizer, config)
    parities.append(check("safetensors", OWN, dtype))
    save_huggingface(folder / HUGGINGFACE, model, student.tokenizer, language)
    parities.append(check("huggingface", HUGGINGFACE, dtype))
    if (found := parity.check_transformers(folder / HUGGINGFACE, dtype, original, student.tokenizer)) is not None:
        parities.append(found)
    save_ctranslate2(folder / CTRANSLATE2, student, ct2_dtype)
    parities.append(check("ctranslate2", CTRANSLATE2, ct2_dtype))
    parities.append(parity.check_ctranslate2(folder / CTRANSLATE2, ct2_dtype, original, student))
    if student.tokenizer.published:
        save_ggml(folder / GGML, model, student.tokenizer)
        dims, _, state = read_ggml(folder / GGML)
        read = Whisper(dims).eval()
        read.load_state_dict(state)
        export = dataclasses.replace(student, model=convert_model(read, "cpu", torch.float32))
        parities.append(parity.compare_model("ggml", "float16", original, language, export))
    return parities
