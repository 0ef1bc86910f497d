"""What ESPnet's trainer sees: gradients, checkpoints, masks, the shared encoder."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from k2d.distill.batches import BatchConfig, Collate, MakeExample
from k2d.distill.model import DistillConfig, DistillModel
from k2d.distill.student import build_student, choose_layers, mix_language_embeddings
from k2d.text.tokenizer import train_sentencepiece
from k2d.whisper.model import ModelDimensions, Whisper

SENTENCES = [
    "我们用 model 来训练",
    "今天的 lecture 讲 gradient descent",
    "please open the door",
    "学校在山上",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_sentencepiece(SENTENCES * 5, 340)


@pytest.fixture
def teacher(tokenizer):
    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 32, 2, 2, tokenizer.vocab_size, 448, 32, 2, 5)
    return Whisper(dims).eval()


@pytest.fixture
def batch(tokenizer):
    rng = np.random.RandomState(0)
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0, prompt=0.0, trim_padding=True), train=False)
    rows = [
        (
            "a",
            make("a", {"speech": rng.randn(16000).astype("f") * 0.1, "text": "<|0.00|>我们用 model<|0.80|>"}),
        ),
        ("b", make("b", {"speech": rng.randn(9000).astype("f") * 0.1, "text": "<|0.00|>今天<|0.40|>"})),
    ]
    return Collate(80, True)(rows)[1]


def build(teacher, tokenizer, **options):
    return DistillModel(build_student(teacher), teacher, tokenizer.eot, DistillConfig(**options))


def test_gradients_reach_the_decoder_and_nothing_frozen(teacher, tokenizer, batch):
    model = build(teacher, tokenizer).train()
    model(**batch)[0].backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    decoder = {name for name, _ in model.named_parameters() if name.startswith("student.decoder.")}
    assert touched == decoder - {"student.decoder.positional_embedding"}
    assert not any(p.requires_grad for p in model.student.encoder.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_checkpoint_holds_no_teacher_and_the_teacher_stays_in_eval_mode(teacher, tokenizer):
    model = build(teacher, tokenizer).train()
    student = {f"student.{name}" for name in model.student.state_dict()}
    assert set(model.state_dict()) == student
    assert not teacher.training


def test_loss_equals_the_definition_on_the_real_batch(teacher, tokenizer, batch):
    model = build(teacher, tokenizer).eval()
    loss, stats, _ = model(**batch)
    inputs, targets = batch["text"][:, :-1].clamp_min(0), batch["text"][:, 1:].clone()
    targets[:, :2] = -1  # <|zh|><|transcribe|> are given, not predicted
    keep = targets >= 0
    with torch.no_grad():
        student = model.student(batch["mel"], inputs)[keep].double()
        told = teacher(batch["mel"], inputs)[keep].double()
    ce = F.cross_entropy(student, targets[keep])
    kl = F.kl_div(
        (student / 2).log_softmax(-1), (told / 2).log_softmax(-1), log_target=True, reduction="batchmean"
    )
    assert loss.item() == pytest.approx((0.8 * ce + 4 * kl).item(), rel=1e-4)
    assert stats["ce"].item() == pytest.approx(ce.item(), rel=1e-4)


def test_shared_frozen_encoder_runs_once(teacher, tokenizer, batch):
    model = build(teacher, tokenizer).eval()
    assert model.shared_encoder
    calls = []
    teacher.encoder.register_forward_hook(lambda *_: calls.append("teacher"))
    model.student.encoder.register_forward_hook(lambda *_: calls.append("student"))
    model(**batch)
    assert calls == ["student"]


def test_stored_encoder_output_gives_the_same_loss(teacher, tokenizer, batch):
    model = build(teacher, tokenizer).eval()
    want = model(**batch)[0].item()
    with torch.no_grad():
        stored = model.student.encoder(batch["mel"])
    without_mel = {key: value for key, value in batch.items() if key != "mel"}
    assert model(**without_mel, encoder_out=stored)[0].item() == pytest.approx(want, rel=1e-5)


def test_prompt_is_given_but_not_scored(teacher, tokenizer):
    speech = np.zeros(16000, "f") + 0.01
    base = dict(timestamps=1.0, trim_padding=True)
    plain = MakeExample(tokenizer, BatchConfig(prompt=0.0, **base), train=True)
    prompted = MakeExample(tokenizer, BatchConfig(prompt=1.0, **base), train=True)
    data = {"speech": speech, "text": "<|0.00|>今天<|0.40|>", "text_prev": "<|0.00|>我们用 model<|0.80|>"}
    a, b = plain("u", dict(data)), prompted("u", dict(data))
    prefix = [tokenizer.sot_prev, *tokenizer.encode("我们用 model")]
    assert list(b["text"]) == [*prefix, *a["text"]]
    assert b["loss_start"][0] == len(prefix) + a["loss_start"][0]


def test_long_label_is_cut_with_its_audio_at_a_timestamp(tokenizer):
    label = "".join(f"<|{i:.2f}|>{'我们' * 20}<|{i + 1:.2f}|>" for i in range(20))
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0), train=True)
    out = make("u", {"speech": np.ones(20 * 16000, "f"), "text": label})
    assert len(out["text"]) <= 448
    last = int(out["text"][-2]) - tokenizer.timestamp_begin
    assert len(out["speech"]) == round(last * 0.02 * 16000)
    with pytest.raises(ValueError, match="u: the label has more than"):
        make("u", {"speech": np.ones(16000, "f"), "text": "我们" * 300})


def test_nan_audio_is_refused_by_name(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(), train=True)
    with pytest.raises(ValueError, match="utt7: the audio holds NaN"):
        make("utt7", {"speech": np.array([0.0, np.nan], "f"), "text": "今天"})


def test_construction_follows_the_layer_map(teacher):
    student = build_student(teacher, "first,last")
    assert student.dims == dataclasses.replace(teacher.dims, n_text_layer=2)
    for ours, theirs in ((0, 0), (1, 4)):
        a, b = student.decoder.blocks[ours].state_dict(), teacher.decoder.blocks[theirs].state_dict()
        assert all(torch.equal(a[name], b[name]) for name in b)
    assert choose_layers("spaced:3", 9) == [0, 4, 8]
    assert choose_layers("0,3", 5) == [0, 3]
    for wrong in ("first,9", "spaced:0", "odd", "1,1"):
        with pytest.raises(ValueError, match="layer"):
            choose_layers(wrong, 5)


def test_language_embedding_becomes_the_mean(teacher, tokenizer):
    weight = teacher.decoder.token_embedding.weight
    zh, en = tokenizer.language_token("zh"), tokenizer.language_token("en")
    want = weight[[zh, en]].detach().mean(0)
    mix_language_embeddings(teacher, tokenizer, ["zh", "en"])
    torch.testing.assert_close(weight[zh].detach(), want)


def test_cached_teacher_with_the_whole_vocabulary_gives_the_online_loss(teacher, tokenizer, batch):
    online = build(teacher, tokenizer).eval()
    with torch.no_grad():
        logits = teacher(batch["mel"], batch["text"][:, :-1].clamp_min(0))
    log_probs, ids = (logits / 2.0).log_softmax(-1).topk(tokenizer.vocab_size, dim=-1)
    cached = DistillModel(online.student, None, tokenizer.eot, DistillConfig()).eval()
    got = cached(**batch, topk_ids=ids, topk_log_probs=log_probs)[0].item()
    assert got == pytest.approx(online(**batch)[0].item(), rel=1e-4)


def test_distillation_without_any_teacher_is_refused(teacher, tokenizer, batch):
    model = DistillModel(build_student(teacher), None, tokenizer.eot, DistillConfig()).train()
    with pytest.raises(ValueError, match="no teacher"):
        model(**batch)


def test_fixed_choices_give_an_utterance_the_same_tokens_in_every_epoch(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(timestamps=0.5, prompt=0.5, fixed_choices=True), train=True)
    data = {"text": "<|0.00|>今天<|0.40|>", "text_prev": "我们用 model"}
    rows = {f"utt{i}": [tuple(make(f"utt{i}", dict(data))["text"]) for _ in range(3)] for i in range(20)}
    assert all(len(set(epochs)) == 1 for epochs in rows.values())
    assert len({epochs[0] for epochs in rows.values()}) == 4  # all four combinations occur
