"""`k2d init_student`: what it builds, reports and refuses."""

import json
from dataclasses import replace

import pytest
import torch

from k2d.bin import init_student
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.model import Whisper


def build(world, output, *words) -> dict:
    assert init_student.main(["--teacher", str(world.teacher), "--output_dir", str(output), *words]) == 0
    return json.loads((output / "parameters.json").read_text(encoding="utf-8"))


def refused(world, output, capsys, *words) -> str:
    """What is said where nothing is built."""
    assert init_student.main(["--teacher", str(world.teacher), "--output_dir", str(output), *words]) == 1
    return capsys.readouterr().err


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
    said = refused(world, tmp_path / "s", capsys, "--decoder_layers", "0,7")
    assert "outside the teacher's layers 0 to 2" in said


def test_another_model_may_be_the_start(world, tmp_path):
    build(world, tmp_path / "other", "--decoder_layers", "all")
    report = build(world, tmp_path / "s", "--init", str(tmp_path / "other"), "--same_encoder")
    assert report["init"] == str(tmp_path / "other") and report["ratio"] == 1.0
    started, student = (checkpoint.load(tmp_path / name).model.state_dict() for name in ("other", "s"))
    assert student.keys() == started.keys()
    assert all(torch.equal(tensor, started[name]) for name, tensor in student.items())


def changed(world, folder, dims=None, encoder=False, tokenizer=None):
    """The teacher with other dimensions, other encoder weights or another vocabulary, saved to `folder`."""
    teacher = checkpoint.load(world.teacher)
    tokenizer = tokenizer or teacher.tokenizer
    model = Whisper(replace(teacher.dims, n_vocab=tokenizer.vocab_size, **(dims or {})))
    if encoder:
        model.load_state_dict(teacher.model.state_dict())
        model.encoder.ln_post.bias.data += 0.1
    checkpoint.save(folder, model, tokenizer)
    return str(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": {"n_mels": 128}}, "it takes 128 mel bands, the teacher 80"),
        ({"dims": {"n_text_ctx": 224}}, "it takes 224 text tokens, the teacher 448"),
        ({"encoder": True}, "its encoder is not the teacher's; use --store_encoder_out false"),
        ({"tokenizer": True}, "they do not share a vocabulary"),
    ],
)
def test_a_start_that_cannot_learn_from_the_teacher_is_refused(world, tmp_path, capsys, change, message):
    if "tokenizer" in change:
        change = {"tokenizer": train_sentencepiece(["另外的詞 other words"] * 5, 320)}
    other = changed(world, tmp_path / "other", **change)
    said = refused(world, tmp_path / "s", capsys, "--init", other, "--same_encoder")
    assert message in said and other in said and str(world.teacher) in said
    assert not (tmp_path / "s" / "step.json").exists()


def test_layers_are_not_chosen_of_a_start_given_whole(world, tmp_path, capsys):
    said = refused(world, tmp_path / "s", capsys, "--init", str(world.student), "--decoder_layers", "0")
    assert "--init takes a model as it is" in said
    said = refused(world, tmp_path / "s", capsys, "--init", "no_such_model")
    assert "init_student: no_such_model: no such file" in said


def test_a_teacher_of_another_kind_has_no_layers_to_give(world, tmp_path, capsys):
    words = ["--teacher", "text:labels", "--output_dir", str(tmp_path / "s")]
    assert init_student.main(words) == 1
    assert "name a model by --init" in capsys.readouterr().err
    assert init_student.main([*words, "--init", str(world.student)]) == 0
    assert checkpoint.load(tmp_path / "s").dims == checkpoint.load(world.student).dims


def test_what_is_built_is_not_built_again_and_the_default_spelt_out_is_the_default(world, tmp_path, capsys):
    build(world, tmp_path / "s")
    capsys.readouterr()
    build(world, tmp_path / "s", "--decoder_layers", "first,last")
    assert "is done; nothing to do" in capsys.readouterr().out
