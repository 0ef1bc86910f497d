"""What ESPnet's trainer sees: gradients, checkpoints, masks, the shared encoder."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from k2d.distill import losses
from k2d.distill.attention import attention
from k2d.distill.batches import Collate, MakeExample
from k2d.distill.config import BatchConfig, DistillConfig
from k2d.distill.layers import choose_layers
from k2d.distill.losses.hidden import HiddenLoss, default_map
from k2d.distill.model import DistillModel
from k2d.distill.student import build_student
from k2d.errors import DataError, UsageError
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


@pytest.mark.parametrize("kind", ["cosine", "mse"])
def test_a_batch_of_which_nothing_is_learnt_moves_nothing(teacher, tokenizer, batch, kind):
    """As one whose utterances cannot be read, or whose segments are none of them trusted."""
    terms = {"ce": 1.0, "kl": 1.0, "ctc": 0.1, "hidden": {"weight": 1.0, "kind": kind}}
    model = build(teacher, tokenizer, losses=terms).train()
    loss, stats, weight = model(**{**batch, "loss_start": torch.full((2,), batch["text"].shape[1])})
    loss.backward()
    assert loss.item() == 0 and weight.item() == 0 and all(value.item() == 0 for value in stats.values())
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_loss_equals_the_definition_on_the_real_batch(teacher, tokenizer, batch):
    model = build(teacher, tokenizer).eval()
    loss, stats, _ = model(**batch)
    inputs, targets = batch["text"][:, :-1].clamp_min(0), batch["text"][:, 1:].clone()
    targets[:, :2] = -1  # <|zh|><|transcribe|> are given, not predicted
    keep = targets >= 0
    with torch.no_grad():
        student = model.student(batch["mel"], inputs)[keep].double()
        teacher_hidden = teacher(batch["mel"], inputs)[keep].double()
    ce = F.cross_entropy(student, targets[keep])
    kl = F.kl_div(
        (student / 2).log_softmax(-1), (teacher_hidden / 2).log_softmax(-1), log_target=True, reduction="batchmean"
    )
    assert loss.item() == pytest.approx((0.8 * ce + 4 * kl).item(), rel=1e-4)
    assert stats["ce"].item() == pytest.approx(ce.item(), rel=1e-4)


def test_shared_frozen_encoder_runs_once(teacher, tokenizer, batch):
    calls = []
    teacher.encoder.register_forward_hook(lambda module, mel, _: calls.append(("teacher", len(mel[0]))))
    model = build(teacher, tokenizer).eval()
    model.student.encoder.register_forward_hook(lambda module, mel, _: calls.append(("student", len(mel[0]))))
    model(**batch)
    assert model.shared_encoder
    assert {who for who, _ in calls} == {"student"}
    assert sum(count for _, count in calls) == len(batch["text"])


def test_an_encoder_changed_after_construction_is_not_shared(teacher, tokenizer, batch):
    """--init_param acts on the built model."""
    model = build(teacher, tokenizer).eval()
    with torch.no_grad():
        model.student.encoder.conv1.bias += 1
    model(**batch)
    assert not model.shared_encoder


@pytest.mark.parametrize("stored", [False, True])
def test_only_the_student_gets_augmented_speech(teacher, tokenizer, batch, stored):
    mask = {"apply_time_warp": False, "time_mask_width_range": [20, 40], "num_time_mask": 20}
    model = build(teacher, tokenizer, specaug=mask, losses={"kl": 1.0}).train()
    if stored:
        with torch.no_grad():
            batch["encoder_out"] = model.student.encoder(batch.pop("mel"))
    clean = {name: tensor.clone() for name, tensor in batch.items()}
    given_to_teacher = []
    teacher.decoder.blocks[0].register_forward_hook(lambda module, given, _: given_to_teacher.append(given[1].clone()))
    model(**batch)
    model.eval()
    model(**clean)
    torch.testing.assert_close(given_to_teacher[0], given_to_teacher[1])
    assert all(torch.equal(batch[name], clean[name]) for name in batch)


def test_a_trained_encoder_and_positions_get_gradients(teacher, tokenizer, batch):
    model = build(teacher, tokenizer, freeze_encoder=False, freeze_positions=False).train()
    model(**batch)[0].backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert touched == {name for name, _ in model.named_parameters()}
    assert any(name.startswith("student.encoder.blocks.1.") for name in touched)
    assert "student.decoder.positional_embedding" in touched
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("frozen", [True, False])
def test_gradient_checkpointing_changes_nothing(teacher, tokenizer, batch, frozen):
    gradients = []
    for checkpointing in (False, True):
        model = build(
            teacher, tokenizer, freeze_encoder=frozen, gradient_checkpointing=checkpointing
        ).train()
        model(**batch)[0].backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-7, rtol=1e-5, msg=name)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_products_is_torchs(causal):
    generator = torch.Generator().manual_seed(0)
    keys = 30 if causal else 70
    inputs = [torch.randn(2, length, 48, generator=generator) for length in (30, keys, keys)]
    inputs[1] = (inputs[1] + 20.0).bfloat16().float()  # what all keys have in common decides nothing
    mask, upstream = (torch.full((448, 448), -torch.inf).triu_(1) if causal else None), torch.randn_like(inputs[0])
    found, expected = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
    out, scores = attention(3, *found, mask)
    out.backward(upstream.bfloat16())
    q, k, v = (x.unflatten(2, (3, 16)).transpose(1, 2) for x in expected)
    want = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
    want.backward(upstream)
    assert out.dtype == torch.bfloat16 and scores is None
    for a, b in zip([out, *(x.grad for x in found)], [want, *(x.grad for x in expected)], strict=True):
        assert (a.float() - b).norm() < 0.02 * b.norm()


@pytest.mark.parametrize("kind", ["fused", "products"])
def test_bfloat16_stays_near_float32(teacher, tokenizer, batch, kind):
    teacher = copy.deepcopy(teacher)
    want = build(teacher, tokenizer).train()
    want_loss = want(**batch)[0]
    want_loss.backward()
    got = build(teacher, tokenizer, autocast="bfloat16", attention=kind, teacher_dtype="bfloat16").train()
    loss = got(**batch)[0]
    loss.backward()
    attentions = [part for part in got.student.decoder.modules() if hasattr(part, "qkv_attention")]
    assert len(attentions) == 2 * len(got.student.decoder.blocks)
    assert {isinstance(part.qkv_attention, functools.partial) for part in attentions} == {kind == "products"}
    assert loss.item() == pytest.approx(want_loss.item(), rel=0.02)
    a, b = want.student.decoder.token_embedding.weight.grad, got.student.decoder.token_embedding.weight.grad
    assert b.dtype == torch.float32
    assert F.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.99


def test_dropped_layers_keep_the_ends_and_get_no_gradient(teacher, tokenizer, batch):
    student = build_student(teacher, "all")
    model = DistillModel(student, teacher, tokenizer.eot, DistillConfig(layer_drop=1.0)).train()
    model(**batch)[0].backward()
    touched = [any(p.grad is not None for p in block.parameters()) for block in student.decoder.blocks]
    assert touched == [True, False, False, False, True]
    model.eval()
    assert model._layers(5) == [0, 1, 2, 3, 4]


def test_hidden_loss_follows_the_map(teacher, tokenizer, batch):
    """Two layers built from the teacher's first and last: only the first sees what the teacher's saw."""
    assert default_map(2, 5) == [[0, 1], [1, 4]]
    for kind in ("cosine", "mse"):
        same = build(teacher, tokenizer, losses={"hidden": {"kind": kind, "map": [[0, 0]]}}).train()
        other = build(teacher, tokenizer, losses={"hidden": {"kind": kind, "map": [[0, 3]]}}).train()
        assert same(**batch)[1]["hidden"].item() == pytest.approx(0, abs=1e-6)
        loss, stats, _ = other(**batch)
        assert loss.item() == stats["hidden"].item() > 1e-4
        loss.backward()
        student = other.student.decoder
        assert student.blocks[0].mlp[0].weight.grad.abs().sum() > 0
        assert student.blocks[1].mlp[0].weight.grad is None or not student.blocks[1].mlp[0].weight.grad.any()


def test_adaptive_weights_learn_the_noise_of_each_pair():
    torch.manual_seed(0)
    teacher_hidden = {0: torch.randn(50, 8), 1: torch.randn(50, 8)}
    ours = {0: teacher_hidden[0] + 0.1 * torch.randn(50, 8), 1: teacher_hidden[1] + torch.randn(50, 8)}
    loss = HiddenLoss([[0, 0], [1, 1]], "mse", adaptive=True)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss.distance(ours, teacher_hidden).backward()
        optimizer.step()
    noise = torch.stack([F.mse_loss(ours[i], teacher_hidden[i]) for i in (0, 1)])  # where ½(e^(−s) d + s) is least
    torch.testing.assert_close(loss.log_variance.exp(), noise, rtol=0.05, atol=0)


def test_a_wrong_layer_map_is_refused(teacher, tokenizer):
    with pytest.raises(UsageError, match=r"map: \[2, 4\] is not a pair"):
        build(teacher, tokenizer, losses={"hidden": {"map": [[2, 4]]}})
    with pytest.raises(UsageError, match="choose one of cosine, mse"):
        build(teacher, tokenizer, losses={"hidden": {"kind": "l3"}})
    with pytest.raises(UsageError, match="hidden needs the teacher itself"):
        DistillModel(build_student(teacher), None, tokenizer.eot, DistillConfig(losses={"hidden": 1.0}), cached=True)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"mse": 1.0}, "no mse; there are ce, ctc, hidden, kl"),
        ({"ce": "much"}, "ce has the weight 'much'"),
        ({"kl": {"weight": 1.0, "temprature": 2.0}}, "kl has no option temprature; known are temperature"),
        ({"ctc": {"weight": 1.0, "blank": 0}}, "ctc has no option blank"),
    ],
)
def test_a_term_that_is_no_loss_is_refused(teacher, tokenizer, losses, message):
    with pytest.raises(UsageError, match=message):
        build(teacher, tokenizer, losses=losses)


def test_a_new_term_is_a_file_and_a_line_of_yaml(teacher, tokenizer, batch, tmp_path, monkeypatch):
    (tmp_path / "norm.py").write_text(
        'NAMES = ("norm",)\n'
        "def build(options, student, teacher, n_text):\n"
        "    def loss(student, teacher, batch):\n"
        "        size = student.hidden.square().mean()\n"
        "        return options['norm']['weight'] * size, {'norm': size}\n"
        "    return loss\n"
    )
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    losses.terms.cache_clear()
    plain = build(teacher, tokenizer, losses={"ce": 1.0}).eval()(**batch)[1]
    loss, stats, _ = build(teacher, tokenizer, losses={"ce": 1.0, "norm": 0.5}).eval()(**batch)
    losses.terms.cache_clear()
    assert loss.item() == pytest.approx((plain["ce"] + 0.5 * stats["norm"]).item())


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


def test_a_segment_that_is_not_trusted_is_read_but_not_learnt(teacher, tokenizer):
    label = "<|0.00|>我们用 model<|0.40|><|0.40|>学校在山上<|0.80|><|0.90|>今天<|1.00|>"
    speech = np.random.RandomState(0).randn(16000).astype("f") * 0.1

    def made(flags, **options):
        config = BatchConfig(prompt=0.0, trim_padding=True, **options)
        data = {"speech": speech, "text": label} | ({"text_trusted": flags} if flags else {})
        return MakeExample(tokenizer, config, train=True)("a", data)

    row = made("1 0 1", timestamps=1.0)
    learnt = tokenizer.decode_with_timestamps(row["text"][row["trusted"] == 1])
    assert learnt == "<|0.00|>我们用 model<|0.40|><|0.40|><|0.80|><|0.90|>今天<|1.00|>"  # times are learnt everywhere
    assert made("0 0 0", timestamps=1.0)["trusted"][-1] == 1  # and where the text ends
    plain = made("1 0 1", timestamps=0.0)
    assert tokenizer.decode(plain["text"][plain["trusted"] == 1]) == "我们用 model今天"
    with pytest.raises(ValueError, match=r"text\.trusted: a has '1 0'"):
        made("1 0", timestamps=1.0)

    model = build(teacher, tokenizer, losses={"ce": 1.0}).eval()
    collate = Collate(80, True)
    everything = collate([("a", made("", timestamps=1.0))])[1]
    assert "trusted" not in everything
    # A row without flags in the same batch is learnt whole.
    both = collate([("a", row), ("b", made("", timestamps=1.0))])[1]
    loss, _, weight = model(**both)
    logits = model.student(both["mel"], both["text"][:, :-1])
    ce = F.cross_entropy(logits.transpose(1, 2), both["text"][:, 1:], reduction="none")
    begin = int(both["loss_start"][0]) - 1
    mask = torch.from_numpy(np.stack([row["trusted"][1:], np.ones_like(row["trusted"][1:])])).bool()
    mask[:, :begin] = False
    assert int(weight) == int(mask.sum())
    torch.testing.assert_close(loss.squeeze(), ce[mask].mean(), atol=1e-4, rtol=1e-4)
    # Weights are a batch's, and a row without one counts as 1.
    weighed = collate([("a", row | {"weight": np.array([0.25], "f")}), ("b", made("", timestamps=1.0))])[1]
    loss, _, weight = model(**weighed)
    want = mask * torch.tensor([[0.25], [1.0]])
    torch.testing.assert_close(loss.squeeze(), (ce * want).sum() / want.sum(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(weight.squeeze(), want.sum())


@pytest.mark.parametrize("losses", [{"ce": 1.0, "hidden": 1.0}, {"ce": 1.0, "ctc": 1.0}])
def test_every_term_weighs_its_rows(teacher, tokenizer, losses):
    """A row of weight 0.5 beside one of 1.5 is the mean of the losses by themselves, weighted by their tokens."""
    make = MakeExample(tokenizer, BatchConfig(timestamps=0.0), train=False)
    rows = [make(uid, {"speech": tone(200, 1.2), "text": text}) for uid, text in (("a", "我们用 model"), ("b", "今天"))]
    weights = (0.5, 1.5)
    torch.manual_seed(0)
    model = build(teacher, tokenizer, losses=losses).eval()
    collate = Collate(80, True)
    alone = [model(**collate([("u", row)])[1]) for row in rows]
    together = [("u", row | {"weight": np.array([w], "f")}) for row, w in zip(rows, weights, strict=True)]
    loss, _, total = model(**collate(together)[1])
    want = sum(w * one[0] * one[2] for w, one in zip(weights, alone, strict=True)) / total
    torch.testing.assert_close(loss, want, atol=2e-4, rtol=2e-4)


def test_long_label_is_cut_with_its_audio_at_a_timestamp(tokenizer):
    label = "".join(f"<|{i:.2f}|>{'我们' * 20}<|{i + 1:.2f}|>" for i in range(20))
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0), train=True)
    out = make("u", {"speech": np.ones(20 * 16000, "f"), "text": label})
    assert len(out["text"]) <= 448
    last = int(out["text"][-2]) - tokenizer.timestamp_begin
    assert len(out["speech"]) == round(last * 0.02 * 16000)
    with pytest.raises(ValueError, match="u: the label has more than"):
        make("u", {"speech": np.ones(16000, "f"), "text": "我们" * 300})


def test_audio_beyond_30_s_is_cut_with_its_label(tokenizer):
    label = "<|0.00|>我们<|20.00|><|20.00|>今天<|29.00|><|29.00|>学校<|33.00|>"
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0), train=True)
    out = make("u", {"speech": np.ones(33 * 16000, "f"), "text": label})
    assert tokenizer.decode(out["text"]) == tokenizer.decode(tokenizer.encode("我们今天"))
    assert len(out["speech"]) == 29 * 16000
    with pytest.raises(ValueError, match=r"u: the label has 33.0 s of audio and no timestamp"):
        make("u", {"speech": np.ones(33 * 16000, "f"), "text": "我们"})


def test_stored_encoder_output_is_cut_like_audio(tokenizer):
    label = "".join(f"<|{i:.2f}|>{'我们' * 20}<|{i + 1:.2f}|>" for i in range(20))
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0), train=True)
    audio = make("u", {"speech": np.ones(20 * 16000, "f"), "text": label})["speech"]
    stored = make("u", {"encoder_out": np.ones((1000, 4), "f"), "text": label})["encoder_out"]
    assert len(stored) == len(audio) / 16000 * 50


def test_speed_moves_the_timestamps_with_the_audio(tokenizer):
    tone = np.sin(2 * np.pi * 440 * np.arange(8 * 16000) / 16000).astype("f")
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0, prompt=0.0, speed=(0.8,)), train=True)
    out = make("u", {"speech": tone, "text": "<|0.00|>今天<|2.40|><|2.40|>我们<|8.00|>"})
    assert tokenizer.decode_with_timestamps(out["text"]).count("<|3.00|>") == 2
    assert tokenizer.decode_with_timestamps(out["text"]).endswith("<|10.00|>")
    assert len(out["speech"]) == 10 * 16000
    spectrum = np.abs(np.fft.rfft(out["speech"]))
    assert spectrum.argmax() / 10 == pytest.approx(352, abs=1)  # Hz
    valid = MakeExample(tokenizer, BatchConfig(speed=(0.8,)), train=False)
    assert len(valid("u", {"speech": tone, "text": "今天"})["speech"]) == len(tone)


def test_speech_is_not_slowed_beyond_the_window(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(speed=(0.9, 1.1)), train=True)
    data = {"speech": np.ones(28 * 16000, "f"), "text": "今天"}
    assert {len(make("u", dict(data))["speech"]) for _ in range(20)} == {round(28 * 16000 / 1.1)}


def tone(hertz: float, seconds: float = 4.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * 16000)) / 16000).astype("f")


def pitch_of(speech: np.ndarray) -> float:
    """The strongest frequency in Hz."""
    return np.abs(np.fft.rfft(speech * np.hanning(len(speech)))).argmax() * 16000 / len(speech)


def test_tempo_moves_the_timestamps_and_keeps_the_pitch(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0, prompt=0.0, tempo=(0.8,)), train=True)
    out = make("u", {"speech": tone(440), "text": "<|0.00|>今天<|2.40|><|2.40|>我们<|4.00|>"})
    assert tokenizer.decode_with_timestamps(out["text"]) == "<|0.00|>今天<|3.00|><|3.00|>我们<|5.00|>"
    assert len(out["speech"]) == 5 * 16000 and out["speech"].dtype == np.float32
    assert pitch_of(out["speech"]) == pytest.approx(440, rel=0.01)


def test_pitch_moves_no_timestamp(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(timestamps=1.0, prompt=0.0, pitch=(12,)), train=True)
    label = "<|0.00|>今天<|2.40|>"
    out = make("u", {"speech": tone(440), "text": label})
    assert tokenizer.decode_with_timestamps(out["text"]) == label
    assert len(out["speech"]) == 4 * 16000
    assert pitch_of(out["speech"]) == pytest.approx(880, rel=0.01)
    plain = MakeExample(tokenizer, BatchConfig(timestamps=1.0, prompt=0.0, pitch=(12,), tempo=(2.0,)), train=False)
    np.testing.assert_array_equal(plain("u", {"speech": tone(440), "text": label})["speech"], tone(440))


def test_speed_and_tempo_together_stay_within_the_window(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(speed=(0.95,), tempo=(0.9,)), train=True)
    out = make("u", {"speech": tone(200, 28), "text": "今天"})
    assert len(out["speech"]) == round(28 * 16000 / 0.95)


def test_distorted_audio_without_audio_or_with_a_cache_is_refused(tokenizer):
    for config in (BatchConfig(speed=(0.9,)), BatchConfig(tempo=(0.9,))):
        with pytest.raises(UsageError, match="use one or the other"):
            MakeExample(tokenizer, config, train=True, fixed=True)
    for config in (BatchConfig(speed=(0.9,)), BatchConfig(pitch=(2,))):
        with pytest.raises(DataError, match="u: batch_conf: speed, tempo and pitch need audio"):
            make = MakeExample(tokenizer, config, train=True)
            make("u", {"encoder_out": np.ones((50, 4), "f"), "text": "今天"})
    with pytest.raises(UsageError, match=r"speed 9\.0 is outside 0\.5 to 2"):
        BatchConfig(speed=(9.0,))
    with pytest.raises(UsageError, match="pitch 30 is outside"):
        BatchConfig(pitch=(30,))


@pytest.mark.parametrize("flags", ["", "1 0"])
def test_of_a_segment_that_runs_on_the_start_is_learnt_and_then_nothing(tokenizer, flags):
    label = "<|0.00|>我们用 model<|0.40|><|0.40|>今天<|0.80|><|0.90|>"

    def made(timestamps: float, text: str = label + "<|continued|>", **data):
        data = {"speech": tone(200, 1.2), "text": text} | data | ({"text_trusted": flags} if flags else {})
        return MakeExample(tokenizer, BatchConfig(prompt=0.0, timestamps=timestamps), train=True)("u", data)

    timed = made(1.0)
    assert tokenizer.decode_with_timestamps(timed["text"]) == label
    assert list(timed["text"][-2:]) == [tokenizer.timestamp_token(0.9), tokenizer.eot]
    assert len(timed["speech"]) == round(1.2 * 16000)
    plain = made(0.0)
    assert tokenizer.decode(plain["text"]) == tokenizer.decode(tokenizer.encode("我们用 model今天"))
    assert len(plain["speech"]) == round(0.9 * 16000)  # or it would learn to leave out what is said
    stored = made(0.0, encoder_out=np.ones((60, 4), "f"), speech=tone(200, 1.2))
    assert len(stored["encoder_out"]) == 45
    if flags:
        assert list(timed["trusted"][-2:]) == [1, 1]
        learnt = tokenizer.decode_with_timestamps(timed["text"][timed["trusted"] == 1])
        assert learnt == "<|0.00|>我们用 model<|0.40|><|0.40|><|0.80|><|0.90|>"
        assert tokenizer.decode(plain["text"][plain["trusted"] == 1]) == "我们用 model"
        assert plain["trusted"][-1] == 1


def test_other_tokens_in_a_label_are_not_learnt_as_characters(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(prompt=0.0, timestamps=1.0), train=True)
    data = {"text": "<|0|>我们<|music|><|1.5|>今天<|2.00|>", "text_trusted": "1 0"}
    assert tokenizer.decode_with_timestamps(make("u", data)["text"]) == "<|0.00|>我们<|1.50|>今天<|2.00|>"


def test_a_cache_of_other_labels_or_another_vocabulary_is_refused(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(timestamps=0.0), train=True, fixed=True)
    rows = len(make("u", {"text": "今天"})["text"]) - 1
    good = {"topk_ids": np.zeros((rows, 2), "i4"), "topk_log_probs": np.zeros((rows, 2), "f")}
    assert set(good) <= set(make("u", {"text": "今天", **good}))
    with pytest.raises(ValueError, match=f"u: topk_ids holds {rows} rows, the label needs"):
        make("u", {"text": "今天我们", **good})
    good["topk_ids"][0, 1] = tokenizer.vocab_size
    with pytest.raises(ValueError, match=f"u: token {tokenizer.vocab_size} is outside the vocabulary"):
        make("u", {"text": "今天", **good})


def test_label_and_prompt_never_exceed_the_decoder(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(timestamps=0.5, prompt=1.0), train=True)
    for length in (1, 100, 215, 220):
        data = {"text": "<|0.00|>" + "我们" * length + "<|9.00|>", "text_prev": "今天" * 300}
        for _ in range(4):
            row = make("u", dict(data))["text"]
            assert len(row) <= 448
            assert list(row).count(tokenizer.sot) == 1


def test_nan_audio_is_refused_by_name(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(), train=True)
    with pytest.raises(ValueError, match="utt7: the audio holds NaN"):
        make("utt7", {"speech": np.array([0.0, np.nan], "f"), "text": "今天"})
    with pytest.raises(ValueError, match="utt8: the audio is empty"):
        make("utt8", {"speech": np.zeros(0, "f"), "text": "今天"})


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


def test_cached_teacher_with_the_whole_vocabulary_gives_the_online_loss(teacher, tokenizer, batch):
    online = build(teacher, tokenizer).eval()
    with torch.no_grad():
        logits = teacher(batch["mel"], batch["text"][:, :-1].clamp_min(0))
    log_probs, ids = (logits / 2.0).log_softmax(-1).topk(tokenizer.vocab_size, dim=-1)
    cached = DistillModel(online.student, None, tokenizer.eot, DistillConfig(), cached=True).eval()
    got = cached(**batch, topk_ids=ids, topk_log_probs=log_probs)[0].item()
    assert got == pytest.approx(online(**batch)[0].item(), rel=1e-4)


def test_without_a_teacher_the_labels_teach_and_the_log_says_so(teacher, tokenizer, batch, caplog):
    conf = DistillConfig(losses={"ce": 0.5, "kl": 1.0, "hidden": 1.0})
    with caplog.at_level("INFO"):
        model = DistillModel(build_student(teacher), None, tokenizer.eot, conf).train()
    assert [r.message for r in caplog.records if "no teacher" in r.message] == [
        "no teacher with logits: the student learns from its labels by cross-entropy, without kl, hidden"
    ]
    loss, stats, _ = model(**batch)
    assert loss.item() == pytest.approx(0.5 * stats["ce"].item())
    assert "kl" not in stats
    only_kl = DistillModel(build_student(teacher), None, tokenizer.eot, DistillConfig(losses={"kl": 1.0})).train()
    loss, stats, _ = only_kl(**batch)
    assert loss.item() == pytest.approx(stats["ce"].item()) and loss.requires_grad


def test_a_cached_teacher_that_a_batch_lacks_is_refused(teacher, tokenizer, batch):
    model = DistillModel(build_student(teacher), None, tokenizer.eot, DistillConfig(), cached=True).train()
    with pytest.raises(DataError, match="has no topk_ids"):
        model(**batch)
    assert "kl" not in model.eval()(**batch)[1]  # validation is by cross-entropy alone


def test_fixed_choices_give_an_utterance_the_same_tokens_in_every_epoch(tokenizer):
    make = MakeExample(tokenizer, BatchConfig(timestamps=0.5, prompt=0.5), train=True, fixed=True)
    data = {"text": "<|0.00|>今天<|0.40|>", "text_prev": "我们用 model"}
    rows = {f"utt{i}": [tuple(make(f"utt{i}", dict(data))["text"]) for _ in range(3)] for i in range(20)}
    assert all(len(set(epochs)) == 1 for epochs in rows.values())
    assert len({epochs[0] for epochs in rows.values()}) == 4  # all four combinations occur


@pytest.mark.skipif(not torch.cuda.is_available(), reason="THERE IS NO GPU: no loss is computed on one")
def test_loss_and_gradients_on_a_gpu_are_the_cpus(teacher, tokenizer, batch):
    def gradients(device: str, **options):
        model = build(copy.deepcopy(teacher).to(device), tokenizer, **options).to(device).train()
        loss = model(**{k: v.to(device) if torch.is_tensor(v) else v for k, v in batch.items()})[0]
        loss.backward()
        return float(loss), {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}

    expected, of_cpu = gradients("cpu")
    for options, bound in (({}, 2e-3), ({"autocast": "bfloat16", "teacher_dtype": "bfloat16"}, 5e-2)):
        loss, of_gpu = gradients("cuda", **options)
        assert loss == pytest.approx(expected, rel=bound)
        assert of_gpu.keys() == of_cpu.keys()
        for name, gradient in of_cpu.items():
            assert (of_gpu[name] - gradient).norm() <= 2 * bound * gradient.norm() + 1e-6, name
