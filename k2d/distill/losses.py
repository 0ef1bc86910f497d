"""The distillation loss L = β · CE(Ŷ) + γ · T² · KL(teacher ‖ student), straight from hidden states.

In: the decoder's last hidden states of student and teacher, (tokens, width), and their token embeddings,
(vocabulary, width), which Whisper uses as its output projection. Out: mean losses over the tokens.

The vocabulary is far wider than the model, so the logits dominate memory. Here they exist for `chunk`
tokens at a time and never survive the forward pass: its gradient with respect to hidden states and
embedding is formed beside the loss (the trick of fused linear cross-entropy kernels), and backward only
scales it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, embedding, targets, teacher, beta, gamma, temperature, smoothing, chunk):
        n, vocabulary = hidden.shape[0], embedding.shape[0]
        grad_hidden = torch.empty_like(hidden, dtype=torch.float32)
        grad_embedding = torch.zeros_like(embedding, dtype=torch.float32)
        ce_sum = hidden.new_zeros((), dtype=torch.float32)
        kl_sum = hidden.new_zeros((), dtype=torch.float32)
        correct = hidden.new_zeros((), dtype=torch.float32)
        weight = embedding.to(hidden.dtype)
        for start in range(0, n, chunk):
            part = slice(start, min(start + chunk, n))
            h, y = hidden[part], targets[part, None]
            logits = (h @ weight.T).float()
            correct += (logits.argmax(-1, keepdim=True) == y).sum()
            logp = F.log_softmax(logits, dim=-1)
            nll = -logp.gather(1, y).sum()
            ce_sum += (1 - smoothing) * nll - smoothing * logp.sum() / vocabulary
            # ∂CE/∂z = softmax(z) − smoothed one-hot
            grad = logp.exp_().mul_(beta)
            if smoothing:
                grad -= beta * smoothing / vocabulary
            grad.scatter_add_(1, y, torch.full_like(y, -beta * (1 - smoothing), dtype=grad.dtype))
            if gamma:
                kl, grad_kl = teacher(part, logits, temperature)
                kl_sum += kl
                grad.add_(grad_kl, alpha=gamma)
            grad = (grad / n).to(hidden.dtype)
            grad_hidden[part] = grad @ weight
            grad_embedding += (grad.T @ h).float()
        ctx.save_for_backward(grad_hidden.to(hidden.dtype), grad_embedding.to(embedding.dtype))
        ce, kl = ce_sum / n, kl_sum / n
        loss = beta * ce + gamma * kl
        ctx.mark_non_differentiable(ce, kl, correct)
        return loss, ce, kl, correct / n

    @staticmethod
    def backward(ctx, grad_loss, *_):
        grad_hidden, grad_embedding = ctx.saved_tensors
        return grad_hidden * grad_loss, grad_embedding * grad_loss, *[None] * 7


class OnlineTeacher:
    """KL(teacher ‖ student) · T² from the teacher's hidden states (tokens, width) and embedding."""

    def __init__(self, hidden: Tensor, embedding: Tensor):
        self.hidden, self.embedding = hidden, embedding

    def __call__(self, part: slice, student_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Sum of the divergence over the tokens of `part`, and its gradient in the student's logits."""
        logits = (self.hidden[part] @ self.embedding.to(self.hidden.dtype).T).float()
        log_p = F.log_softmax(logits.div_(temperature), dim=-1)
        log_q = F.log_softmax(student_logits / temperature, dim=-1)
        p = log_p.exp()
        kl = (p * (log_p - log_q)).sum() * temperature**2
        return kl, log_q.exp_().sub_(p).mul_(temperature)


class CachedTeacher:
    """The same from a stored top-k: log-probabilities at temperature T, and the rest as one class.

    Divergence over the k tokens and "any other token". Merging classes can only lower a KL divergence, so
    this is a lower bound of the full one, and exact as the tail's mass goes to 0.
    """

    def __init__(self, ids: Tensor, log_probs: Tensor):
        """ids, log_probs: (tokens, k); the tail's mass is what the k probabilities leave of 1."""
        self.ids, self.log_probs = ids, log_probs

    def __call__(self, part: slice, student_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        ids = self.ids[part].long()
        log_p = self.log_probs[part].float()
        p = log_p.exp()
        tail_p = (1 - p.sum(-1, keepdim=True)).clamp_min(1e-8)
        log_q = F.log_softmax(student_logits / temperature, dim=-1)
        log_qk = log_q.gather(1, ids)
        tail_q = (1 - log_qk.exp().sum(-1, keepdim=True)).clamp_min(1e-8)
        kl = (p * (log_p - log_qk)).sum() + (tail_p * (tail_p.log() - tail_q.log())).sum()
        # ∂/∂z_j: q_j − p_j for stored tokens; for the others q_j − tail_p · q_j / tail_q.
        q = log_q.exp_()
        qk = q.gather(1, ids)
        grad = q * (1 - tail_p / tail_q)
        grad.scatter_(1, ids, qk - p)
        return kl * temperature**2, grad.mul_(temperature)


def distillation_loss(
    hidden: Tensor,
    embedding: Tensor,
    targets: Tensor,
    teacher: OnlineTeacher | CachedTeacher | None = None,
    *,
    beta: float = 0.8,
    gamma: float = 1.0,
    temperature: float = 2.0,
    smoothing: float = 0.0,
    chunk: int = 512,
) -> dict[str, Tensor]:
    """Mean over tokens of β · CE + γ · T² · KL; K²D's weights (Sec. 3) are the defaults.

    hidden: (tokens, width), embedding: (vocabulary, width), targets: (tokens,) int64.
    Returns scalars `loss` (differentiable), `ce`, `kl` (with T²) and `acc` (token accuracy).
    """
    if teacher is None:
        gamma = 0.0
    loss, ce, kl, acc = _FusedLoss.apply(
        hidden, embedding, targets, teacher, beta, gamma, temperature, smoothing, chunk
    )
    return {"loss": loss, "ce": ce, "kl": kl, "acc": acc}
