"""`k2d init_student`: what it builds, reports and refuses."""

import json

import pytest
import torch

from k2d.bin import init_student
from k2d.whisper import checkpoint


def build(world, output, *words) -> dict:
    init_student.main(["--teacher", str(world.teacher), "--output_dir", str(output), *words])
    return json.loads((output / "parameters.json").read_text(encoding="utf-8"))


def test_the_default_is_the_papers_and_is_reported(world, tmp_path, capsys):
    report = build(world, tmp_path / "student")
    teacher, student = (checkpoint.load(path).model for path in (world.teacher, tmp_path / "student"))
    sizes = [sum(p.numel() for p in model.parameters()) for model in (teacher, student)]
    assert [report["teacher"], report["student"]] == sizes
    assert report["ratio"] == pytest.approx(sizes[1] / sizes[0], abs=1e-4)
    assert report["decoder_layers"] == [0, 2]
    assert f"({report['ratio']:.2f})" in capsys.readouterr().out
    theirs = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, theirs[name.replace("decoder.blocks.1.", "decoder.blocks.2.")]), name


def test_other_layers_and_mixed_languages(world, tmp_path):
    report = build(world, tmp_path / "s", "--decoder_layers", "spaced:3", "--mix_languages", "zh,en")
    assert report["decoder_layers"] == [0, 1, 2]
    ours, teacher = checkpoint.load(tmp_path / "s"), checkpoint.load(world.teacher).model
    zh, en = (ours.tokenizer.language_token(code) for code in ("zh", "en"))
    theirs = teacher.decoder.token_embedding.weight
    torch.testing.assert_close(ours.model.decoder.token_embedding.weight[zh], theirs[[zh, en]].mean(0))


def test_a_layer_the_teacher_has_not_is_refused(world, tmp_path, capsys):
    with pytest.raises(SystemExit):
        build(world, tmp_path / "s", "--decoder_layers", "0,7")
    assert "outside the teacher's layers 0 to 2" in capsys.readouterr().err
