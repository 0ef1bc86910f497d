"""The distillation loss L = β · CE(Ŷ) + γ · T² · KL(teacher ‖ student), straight from hidden states.

In: the decoder's last hidden states of student and teacher, (tokens, width), and their token embeddings,
(vocabulary, width), which Whisper uses as its output projection. Out: mean losses over the tokens.

Both terms share one file, since they share the logits. The vocabulary is far wider than the model, so the logits
dominate memory. Here they exist for `chunk` tokens at a time and never survive the forward pass: its gradient with
respect to hidden states and embedding is formed beside the loss (the trick of fused linear cross-entropy kernels), and
backward only scales it.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.distill.config import TEMPERATURE
from k2d.distill.losses import LOGITS, Outputs, term_options

NAMES = ("ce", "kl")
NEEDS = {"kl": LOGITS}

# On a CPU the softmax works on this many tokens at a time: their logits (16 · 51,866 float32, 3.3 MB) stay in
# the cache between its passes, while the matrix products keep the size of a whole chunk.
CPU_ROWS = 16

# (rows, student's logits / T) → KL(teacher ‖ student) of each row, bound on what a truncated teacher leaves out of
# it, and p, q: what the gradient T · (q − p) of T² · KL is made of.
Divergence = Callable[[slice, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, hidden, embedding, targets, weights, teacher, beta, gamma, temperature, smoothing, chunk, dtype, wanted
    ):
        n, vocabulary = hidden.shape[0], embedding.shape[0]
        # Of the mean; of no tokens the loss is 0, with gradients of 0.
        weights = hidden.new_ones((n,), dtype=torch.float32) if weights is None else weights.float()
        shares = (weights / weights.sum().clamp_min(1e-8))[:, None]
        need_hidden, need_embedding = (wanted and need for need in ctx.needs_input_grad[:2])
        grad_hidden = torch.empty_like(hidden, dtype=torch.float32) if need_hidden else None
        grad_embedding = torch.zeros_like(embedding, dtype=torch.float32) if need_embedding else None
        ce, kl, gap, correct = (hidden.new_zeros((), dtype=torch.float64) for _ in range(4))
        weight, states = embedding.to(dtype), hidden.to(dtype)
        for start in range(0, n, chunk):
            part = slice(start, min(start + chunk, n))
            size = part.stop - start
            logits = (states[part] @ weight.T).float()  # turns into its own gradient, rows by rows
            divergence = teacher.begin(part, dtype, temperature) if gamma else None
            step = CPU_ROWS if logits.device.type == "cpu" else size
            for first in range(0, size, step):
                rows = slice(first, min(first + step, size))
                z, y = logits[rows], targets[start + first : start + rows.stop, None]
                share = shares[start + first : start + rows.stop]
                exact = share.double()
                correct += ((z.argmax(-1, keepdim=True) == y) * exact).sum()
                scaled = z / temperature if gamma else None
                log_q1 = F.log_softmax(z, dim=-1)
                ce -= (1 - smoothing) * (log_q1.gather(1, y) * exact).sum()
                if smoothing:
                    ce -= smoothing / vocabulary * (log_q1.sum(-1, keepdim=True, dtype=torch.float64) * exact).sum()
                if wanted:  # ∂CE/∂z = softmax(z) − smoothed one-hot
                    torch.exp(log_q1, out=z).mul_(beta * share)
                    if smoothing:
                        z -= beta * smoothing / vocabulary * share
                    z.scatter_add_(1, y, -beta * (1 - smoothing) * share)
                if gamma:
                    part_kl, part_gap, p, q = divergence(rows, scaled)
                    kl += (part_kl * exact[:, 0]).sum()
                    gap += (part_gap * exact[:, 0]).sum()
                    if wanted:
                        z.addcmul_(q.sub_(p), gamma * temperature * share)
            if need_hidden or need_embedding:
                grad = logits.to(dtype)
            if need_hidden:
                grad_hidden[part] = (grad @ weight).float()
            if need_embedding:
                if dtype == torch.float32:
                    grad_embedding.addmm_(grad.T, states[part])
                else:
                    grad_embedding += grad.T @ states[part]
        ctx.save_for_backward(
            grad_hidden.to(hidden.dtype) if need_hidden else None,
            grad_embedding.to(embedding.dtype) if need_embedding else None,
        )
        kl, gap = kl * temperature**2, gap * temperature**2
        loss = (beta * ce + gamma * kl).float()
        outputs = [value.float() for value in (ce, kl, gap, correct)]
        ctx.mark_non_differentiable(*outputs)
        return loss, *outputs

    @staticmethod
    def backward(ctx, grad_loss, *_):
        grads = (None if grad is None else grad * grad_loss for grad in ctx.saved_tensors)
        return *grads, *[None] * 10


class OnlineTeacher:
    """KL(teacher ‖ student) from the teacher's hidden states (tokens, width) and embedding."""

    def __init__(self, hidden: Tensor, embedding: Tensor):
        self.hidden, self.embedding = hidden, embedding

    def begin(self, part: slice, dtype: torch.dtype, temperature: float) -> Divergence:
        self.embedding = self.embedding.to(dtype)
        logits = (self.hidden[part].to(dtype) @ self.embedding.T).float().div_(temperature)
        return partial(self._divergence, logits)

    @staticmethod
    def _divergence(logits: Tensor, rows: slice, scaled: Tensor):
        log_p = F.log_softmax(logits[rows], dim=-1)
        log_q = F.log_softmax(scaled, dim=-1)
        p = log_p.exp()
        kl = (p * log_p.sub_(log_q)).sum(-1, dtype=torch.float64)
        return kl, torch.zeros_like(kl), p, log_q.exp_()


class CachedTeacher:
    """The same from a stored top-k: log-probabilities at temperature T, and the rest as one class.

    Divergence over the k tokens and "any other token". Merging classes can only lower a KL divergence, so
    this is a lower bound of the full one, and exact as the tail's mass t goes to 0. What is left out is
    t · KL within the tail. No tail token is more probable than the k-th, p_k, nor than t, and none less
    probable for the student than its least probable token, q_min, so it is at most
    t · (log min(p_k, t) − log q_min − log(t / t_student)), which is reported as `kl_gap`. The gradient in the
    logits is off by at most 2 · T · t (sum of absolute values) a token, whatever the student.
    """

    def __init__(self, ids: Tensor, log_probs: Tensor):
        """ids, log_probs: (tokens, k); the tail's mass is what the k probabilities leave of 1."""
        self.ids, self.log_probs = ids, log_probs

    def begin(self, part: slice, dtype: torch.dtype, temperature: float) -> Divergence:
        return partial(self._divergence, self.ids[part].long(), self.log_probs[part].float())

    @staticmethod
    def _divergence(ids: Tensor, log_probs: Tensor, rows: slice, scaled: Tensor):
        ids, log_p = ids[rows], log_probs[rows]
        p = log_p.exp()
        tail_p = (1 - p.sum(-1, keepdim=True)).clamp_min(1e-8)
        log_q = F.log_softmax(scaled, dim=-1)
        log_qk = log_q.gather(1, ids)
        tail_q = (1 - log_qk.exp().sum(-1, keepdim=True)).clamp_min(1e-8)
        odds = tail_p.log() - tail_q.log()
        kl = (p * (log_p - log_qk)).sum(-1, dtype=torch.float64) + (tail_p * odds)[:, 0].double()
        largest = torch.minimum(log_p.amin(-1, keepdim=True), tail_p.log())
        gap = (tail_p * (largest - log_q.amin(-1, keepdim=True) - odds)).clamp_min(0)[:, 0].double()
        # q_j − p_j for stored tokens; for the others q_j − tail_p · q_j / tail_q.
        q = log_q.exp_()
        target = q * (tail_p / tail_q)
        target.scatter_(1, ids, p)
        return kl, gap, target, q


def distillation_loss(
    hidden: Tensor,
    embedding: Tensor,
    targets: Tensor,
    teacher: OnlineTeacher | CachedTeacher | None = None,
    *,
    weights: Tensor | None = None,
    beta: float = 0.8,
    gamma: float = 1.0,
    temperature: float = 2.0,
    smoothing: float = 0.0,
    chunk: int = 512,
) -> dict[str, Tensor]:
    """Mean over tokens of β · CE + γ · T² · KL; K²D's β, γ and T (Sec. 3) are the defaults.

    hidden: (tokens, width), embedding: (vocabulary, width), targets: (tokens,) int64. weights: (tokens,) of the mean.
    Returns scalars `loss` (differentiable), `ce`, `kl` (with T²), `acc` (token accuracy) and `kl_gap`: an
    upper bound on what `kl` lacks of the full divergence, 0 for an online teacher. Under autocast the
    products with the embeddings are in its type, the softmax in float32, sums in float64.
    """
    if teacher is None:
        gamma = 0.0
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    with torch.autocast(device, enabled=False):
        loss, ce, kl, gap, acc = _FusedLoss.apply(
            hidden,
            embedding,
            targets,
            weights,
            teacher,
            beta,
            gamma,
            temperature,
            smoothing,
            chunk,
            dtype,
            torch.is_grad_enabled(),
        )
    return {"loss": loss, "ce": ce, "kl": kl, "kl_gap": gap, "acc": acc}


def build(options: dict[str, dict], student, teacher, n_text: int):
    """The function of both terms: `ce: {weight, smoothing, chunk}`, `kl: {weight, temperature}`.

    chunk: tokens whose logits exist at a time. Where a batch has no teacher, as in validation beside a cached one, it
    is cross-entropy alone.
    """
    ce, kl = options.get("ce", {"weight": 0.0}), options.get("kl", {"weight": 0.0})
    conf = term_options("ce", ce, smoothing=0.0, chunk=512) | term_options("kl", kl, temperature=TEMPERATURE)

    def loss(student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]):
        source = None
        if teacher is not None and kl["weight"]:
            cached = teacher.topk is not None
            source = CachedTeacher(*teacher.topk) if cached else OnlineTeacher(teacher.hidden, teacher.embedding)
        found = distillation_loss(
            student.hidden,
            student.embedding,
            batch["targets"],
            source,
            weights=batch.get("weights"),
            beta=ce["weight"],
            gamma=kl["weight"],
            **conf,
        )
        curves = ["ce", "acc"]
        if source is not None:
            curves += ["kl", "kl_gap"] if isinstance(source, CachedTeacher) else ["kl"]
        return found["loss"], {name: found[name] for name in curves}

    return loss
