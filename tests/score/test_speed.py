"""Speed measured on real (small, untrained) models: what is counted, and what is compared."""

import json

import numpy as np
import pytest
import soundfile
import torch

from k2d.audio.options import AudioOptions
from k2d.bin.speed import main
from k2d.datadir import DataDir
from k2d.score import speed
from k2d.score.experiment import read_speed
from k2d.tables import write_table
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.identity import model_identity
from k2d.whisper.model import ModelDimensions, Whisper
from k2d.work.models import ModelRecord, write_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("speed")
    tokenizer = train_sentencepiece(["今天我们讲 attention", "the weather is good"] * 5, 400)
    for name, layers in (("teacher", 12), ("student", 1)):
        torch.manual_seed(0)
        dims = ModelDimensions(80, 1500, 32, 2, 1, tokenizer.vocab_size, 48, 32, 2, layers)
        checkpoint.save(root / name, Whisper(dims), tokenizer, {"trim_padding": True})
    generator = np.random.default_rng(0)
    for name, seconds in (("a", 1.0), ("b", 0.5), ("long", 31.0)):
        soundfile.write(root / f"{name}.wav", generator.normal(0, 0.1, int(16000 * seconds)), 16000)
    table = {name: str(root / f"{name}.wav") for name in ("a", "b", "long")}
    write_table(root / "data/wav.scp", {**table, "gone": str(root / "gone.wav")})
    return root


def test_models_are_timed_on_the_same_audio_and_compared_with_the_first(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    write_record(folder / "exp/student", ModelRecord("student", "student", "student"))
    models = ["teacher=teacher", "student"]  # a checkpoint, and a folder in exp/
    arguments = ["--models", *models, "--data", "data", "--output_dir", "out", "--max_seconds", "2"]
    assert main([*arguments, "--rounds", "2", "--num_threads", "1"]) == 0
    record = json.loads((folder / "out/speed.json").read_text())
    assert (record["utterances"], record["audio_seconds"], record["rounds"]) == (2, 1.5, 2)
    teacher, student = record["models"]["teacher"], record["models"]["student"]
    assert teacher["speed"] == teacher["decoder_speed"] == 1
    assert student["decoder_speed"] > 1.5  # 1 decoder layer against 12
    total = student["encode_seconds"] + student["decode_seconds"]
    assert student["real_time_factor"] == pytest.approx(total / 1.5, abs=1e-4)
    assert len(teacher["round_seconds"]) == len(student["round_seconds"]) == 2
    assert np.median(student["round_seconds"]) == pytest.approx(total, abs=1e-3)
    assert student["parameters"] < teacher["parameters"]
    assert student["tokens"] > 0 and student["encode_seconds"] > 0
    printed = capsys.readouterr()
    assert "gone is left out" in printed.err and "student ×" in printed.out
    assert str(folder) not in (folder / "out/speed.json").read_text()
    assert main([*arguments, "--rounds", "2", "--num_threads", "1"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_measurement_holds_for_the_weights_it_was_made_with(folder, monkeypatch):
    monkeypatch.chdir(folder)
    known = {"models": {"teacher": {"model": model_identity("teacher").digest}, "student": {"model": "0"}}}
    (folder / "old.json").write_text(json.dumps(known))
    records = [ModelRecord(name, "student", name) for name in ("teacher", "student")]
    assert list(read_speed(folder / "old.json", records)["models"]) == ["teacher"]


def test_no_more_is_decoded_than_asked_for_even_of_the_first(folder, capsys):
    audio = speed.read_utterances(DataDir(folder / "data"), 0.5, AudioOptions())
    assert {name: len(samples) for name, samples in audio.items()} == {"a": 8000}


def test_long_audio_is_cut_into_windows():
    pieces = speed.cut({"a": np.zeros(16000), "long": np.zeros(16000 * 61)})
    assert {name: len(piece) / 16000 for name, piece in pieces.items()} == {
        "a": 1,
        "long": 30,
        "long@30": 30,
        "long@60": 1,
    }


@pytest.mark.parametrize("words", [["a", "a=student"], ["a=teacher", "a=student"], ["a="]])
def test_models_are_named_once(folder, capsys, words):
    assert main(["--models", *words, "--data", str(folder / "data"), "--output_dir", "x"]) == 1
    assert "or NAME=CHECKPOINT, each once" in capsys.readouterr().err
