"""The mini models: how the teacher's decoder grows out of its ends, and what is committed."""

import sys
from pathlib import Path

import pytest
import torch

from k2d.distill.student import build_student
from k2d.whisper import checkpoint
from k2d.whisper.model import count_parameters

PRETRAIN = Path(__file__).resolve().parents[2] / "egs" / "mini_cs" / "pretrain1"
MODELS = PRETRAIN / "models"
sys.path.insert(0, str(PRETRAIN / "local"))
import stack  # noqa: E402


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["stack.py", *map(str, options)])
    stack.main()


def test_stacked_model_answers_as_the_shallow_one_and_every_new_layer_can_learn(tmp_path, monkeypatch):
    shallow = checkpoint.load(MODELS / "validator")
    run(monkeypatch, "--model", MODELS / "validator", "--layers", 5, "--output_dir", tmp_path)
    deep = checkpoint.load(tmp_path)
    assert deep.dims.n_text_layer == 5
    torch.manual_seed(0)
    audio, tokens = torch.randn(1, 50, deep.dims.n_audio_state), torch.randint(1000, (1, 12))
    wanted, got = (model.decoder(tokens, audio) for model in (shallow.model, deep.model.train()))
    torch.testing.assert_close(got, wanted)
    got.square().mean().backward()
    for block in deep.model.decoder.blocks:
        assert block.mlp[2].weight.grad.abs().sum() > 0
    ends = build_student(deep.model, "first,last").state_dict()
    assert all(torch.equal(tensor, ends[name]) for name, tensor in shallow.model.state_dict().items())


def test_stacking_needs_more_layers_than_there_are(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--model", MODELS / "validator", "--layers", 2, "--output_dir", tmp_path)
    assert "--layers must be above 2" in capsys.readouterr().err


def test_committed_models_are_small_and_the_student_has_half_the_teachers_parameters():
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) <= 50_000_000
    teacher = checkpoint.load(MODELS / "teacher").model
    assert len(teacher.decoder.blocks) >= 8
    assert count_parameters(build_student(teacher)) <= 0.5 * count_parameters(teacher)
