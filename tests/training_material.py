"""A small world for the tests of training: a teacher, its student and a data directory, all random."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from k2d.distill.student import build_student
from k2d.tables import read_table, write_table
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.model import ModelDimensions, Whisper

SENTENCES = [
    "我们用 model 来训练",
    "今天的 lecture 讲 gradient descent",
    "please open the door",
    "学校在山上",
]


def through_commands(data: Path) -> None:
    """Let wav.scp read its files by commands."""
    write_table(data / "wav.scp", {uid: f"cat {path} |" for uid, path in read_table(data / "wav.scp").items()})


def write_data(folder: Path, count: int) -> Path:
    """`count` utterances of 0.6 to 1.3 s, all in one padding step, with labels of very different lengths."""
    rng = np.random.RandomState(0)
    ids = [f"utt{i:02d}" for i in range(count)]
    folder.mkdir()
    seconds = {uid: 0.6 + 0.7 * i / count for i, uid in enumerate(ids)}
    for uid in ids:
        soundfile.write(folder / f"{uid}.wav", rng.randn(int(seconds[uid] * 16000)) * 0.1, 16000)
    write_table(folder / "wav.scp", {uid: str(folder / f"{uid}.wav") for uid in ids})
    write_table(folder / "utt2spk", {uid: uid for uid in ids})
    write_table(folder / "utt2dur", {uid: f"{s:.2f}" for uid, s in seconds.items()})
    text = {uid: f"<|0.00|>{SENTENCES[i % 4] * (1 + i % 3)}<|0.50|>" for i, uid in enumerate(ids)}
    write_table(folder / "text", text)
    write_table(folder / "text.prev", {uid: SENTENCES[(i + 1) % 4] for i, uid in enumerate(ids)})
    write_table(folder / "frames_shape", {uid: str(round(s * 50)) for uid, s in seconds.items()})
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Paths: teacher, student, data (12 utterances), few (4), and the tokenizer."""
    folder = tmp_path_factory.mktemp("world")
    tokenizer = train_sentencepiece(SENTENCES * 5, 340)
    torch.manual_seed(0)
    teacher = Whisper(ModelDimensions(80, 1500, 32, 2, 1, tokenizer.vocab_size, 448, 32, 2, 3)).eval()
    checkpoint.save(folder / "teacher", teacher, tokenizer, {"trim_padding": True})
    checkpoint.save(folder / "student", build_student(teacher), tokenizer, {"trim_padding": True})
    return SimpleNamespace(
        folder=folder,
        teacher=folder / "teacher",
        student=folder / "student",
        data=write_data(folder / "data", 12),
        few=write_data(folder / "few", 4),
        tokenizer=tokenizer,
    )
