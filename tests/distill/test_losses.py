"""The fused loss equals the definition in float64, whatever the chunk."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.distill.losses.cross_entropy import CachedTeacher, OnlineTeacher, distillation_loss


def reference(hidden, embedding, targets, log_p, temperature, beta, gamma, smoothing):
    logits = hidden @ embedding.T
    ce = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    log_q = F.log_softmax(logits / temperature, dim=-1)
    kl = F.kl_div(log_q, log_p, log_target=True, reduction="batchmean") * temperature**2
    return beta * ce + gamma * kl, ce, kl


def problem(seed=0, n=37, width=12, vocabulary=50, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=dtype)  # noqa: E731
    hidden, embedding = draw(n, width).requires_grad_(), draw(vocabulary, width).requires_grad_()
    targets = torch.randint(0, vocabulary, (n,), generator=g)
    return hidden, embedding, targets, draw(n, width), draw(vocabulary, width)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 1000),
    st.sampled_from([1, 5, 37, 100]),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0.0, 0.1]),
)
def test_online_loss_and_gradients_equal_the_definition(seed, chunk, temperature, smoothing):
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem(seed)
    log_p = F.log_softmax(teacher_hidden @ teacher_embedding.T / temperature, dim=-1)
    want, ce, kl = reference(hidden, embedding, targets, log_p, temperature, 0.8, 1.0, smoothing)
    want_grads = torch.autograd.grad(want, (hidden, embedding))
    single = [t.detach().float().requires_grad_() for t in (hidden, embedding)]
    got = distillation_loss(
        *single,
        targets,
        OnlineTeacher(teacher_hidden.float(), teacher_embedding.float()),
        temperature=temperature,
        smoothing=smoothing,
        chunk=chunk,
    )
    assert got["loss"].item() == pytest.approx(want.item(), rel=1e-6)
    assert got["ce"].item() == pytest.approx(ce.item(), rel=1e-6)
    assert got["kl"].item() == pytest.approx(kl.item(), rel=1e-6)
    assert got["kl_gap"] == 0
    for a, b in zip(torch.autograd.grad(got["loss"], single), want_grads, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-5, rtol=1e-4)


def test_weights_are_those_of_the_mean_over_tokens():
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem()
    weights = torch.rand(len(targets), generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    log_p = F.log_softmax(teacher_hidden @ teacher_embedding.T / 2.0, dim=-1)
    alone = [
        reference(*(hidden[i : i + 1], embedding, targets[i : i + 1], log_p[i : i + 1]), 2.0, 0.8, 1.0, 0.1)
        for i in range(len(targets))
    ]
    want, ce, kl = (sum(w * each[k] for w, each in zip(weights, alone, strict=True)) / weights.sum() for k in range(3))
    want_grads = torch.autograd.grad(want, (hidden, embedding))
    single = [t.detach().float().requires_grad_() for t in (hidden, embedding)]
    teacher = OnlineTeacher(teacher_hidden.float(), teacher_embedding.float())
    top, ids = log_p.float().topk(embedding.shape[0], dim=-1)
    for source in (teacher, CachedTeacher(ids, top)):
        # Weights ten times as large say the same.
        got = distillation_loss(*single, targets, source, weights=weights.float() * 10, smoothing=0.1, chunk=5)
        assert got["loss"].item() == pytest.approx(want.item(), rel=1e-5)
        assert got["ce"].item() == pytest.approx(ce.item(), rel=1e-5)
        assert got["kl"].item() == pytest.approx(kl.item(), rel=1e-5)
        for a, b in zip(torch.autograd.grad(got["loss"], single), want_grads, strict=True):
            torch.testing.assert_close(a.double(), b, atol=1e-5, rtol=1e-4)


def test_temperature_scales_by_its_square():
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem(dtype=torch.float32)
    teacher = OnlineTeacher(teacher_hidden, teacher_embedding)
    kl = {t: distillation_loss(hidden, embedding, targets, teacher, temperature=t)["kl"] for t in (2.0, 50.0)}
    log_p = F.log_softmax(teacher_hidden @ teacher_embedding.T / 50, dim=-1)
    log_q = F.log_softmax(hidden @ embedding.T / 50, dim=-1)
    plain = F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    assert kl[50.0].item() == pytest.approx(2500 * plain.item(), rel=1e-2)
    assert kl[2.0] > 0


def test_cached_teacher_with_every_token_is_exact_and_with_fewer_a_lower_bound():
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem(dtype=torch.float32)
    temperature, vocabulary = 2.0, embedding.shape[0]
    log_p = F.log_softmax(teacher_hidden @ teacher_embedding.T / temperature, dim=-1)
    online = distillation_loss(
        hidden, embedding, targets, OnlineTeacher(teacher_hidden, teacher_embedding), temperature=temperature
    )
    previous = 0.0
    for k in (1, 5, 20, vocabulary):
        top, ids = log_p.topk(k, dim=-1)
        got = distillation_loss(hidden, embedding, targets, CachedTeacher(ids, top), temperature=temperature)
        assert previous - 1e-4 <= got["kl"].item() <= online["kl"].item() + 1e-4
        previous = got["kl"].item()
    assert previous == pytest.approx(online["kl"].item(), rel=1e-4)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 50), st.sampled_from([0.3, 1.0, 3.0]))
def test_what_a_truncated_teacher_lacks_is_within_its_bound(seed, k, sharpness):
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem(seed, dtype=torch.float32)
    teacher_embedding *= sharpness
    log_p = F.log_softmax(teacher_hidden @ teacher_embedding.T / 2.0, dim=-1)
    full = distillation_loss(hidden, embedding, targets, OnlineTeacher(teacher_hidden, teacher_embedding))["kl"].item()
    top, ids = log_p.topk(k, dim=-1)
    got = distillation_loss(hidden, embedding, targets, CachedTeacher(ids, top))
    assert got["kl"].item() - 1e-4 <= full <= got["kl"].item() + got["kl_gap"].item() + 1e-4


def test_gradient_of_a_truncated_teacher_is_within_its_bound():
    _, _, targets, teacher_hidden, teacher_embedding = problem(dtype=torch.float32)
    logits = (teacher_hidden @ teacher_embedding.T * 0.7 + 0.1).requires_grad_()
    eye = torch.eye(logits.shape[1])  # so that the hidden states are the logits
    log_p = F.log_softmax(teacher_hidden @ teacher_embedding.T / 2.0, dim=-1)
    top, ids = log_p.topk(5, dim=-1)
    grads = [
        torch.autograd.grad(distillation_loss(logits, eye, targets, teacher, beta=0.0)["loss"], logits)[0]
        for teacher in (OnlineTeacher(teacher_hidden, teacher_embedding), CachedTeacher(ids, top))
    ]
    off = (grads[0] - grads[1]).abs().sum(-1) * len(targets)
    assert (off <= 2 * 2.0 * (1 - top.exp().sum(-1)) + 1e-5).all()
    assert off.max() > 1e-3


def test_validation_gives_the_same_numbers_without_a_gradient():
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem(dtype=torch.float32)
    teacher = OnlineTeacher(teacher_hidden, teacher_embedding)
    want = distillation_loss(hidden, embedding, targets, teacher)
    with torch.no_grad():
        got = distillation_loss(hidden, embedding, targets, teacher)
    assert {k: v.item() for k, v in got.items()} == {k: v.item() for k, v in want.items()}
    assert not got["loss"].requires_grad


def test_cached_gradient_equals_autograd_of_the_merged_divergence():
    hidden, embedding, targets, teacher_hidden, teacher_embedding = problem()
    temperature, k = 2.0, 5
    top, ids = F.log_softmax(teacher_hidden @ teacher_embedding.T / temperature, dim=-1).topk(k, dim=-1)
    log_q = F.log_softmax(hidden @ embedding.T / temperature, dim=-1).gather(1, ids)
    tail_p, tail_q = 1 - top.exp().sum(-1), 1 - log_q.exp().sum(-1)
    want = (
        ((top.exp() * (top - log_q)).sum() + (tail_p * (tail_p / tail_q).log()).sum())
        * temperature**2
        / len(teacher_hidden)
    )
    want_grads = torch.autograd.grad(want, (hidden, embedding))
    single = [t.detach().float().requires_grad_() for t in (hidden, embedding)]
    got = distillation_loss(
        *single, targets, CachedTeacher(ids, top.float()), beta=0.0, temperature=temperature
    )
    assert got["loss"].item() == pytest.approx(want.item(), rel=1e-4)
    for a, b in zip(torch.autograd.grad(got["loss"], single), want_grads, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-5, rtol=1e-3)
