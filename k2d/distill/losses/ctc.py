"""CTC of the text on the encoder's output (Graves et al., 2006), for pre-training an encoder.

In: encoder output and labels. Out: the loss, per scored token, of a linear layer of its own over text tokens and blank.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2d.distill.losses import Outputs, term_options

NAMES = ("ctc",)


class CTCLoss(nn.Module):
    def __init__(self, width: int, n_text: int, weight: float):
        """n_text: ids below are text; the blank follows them."""
        super().__init__()
        self.head = nn.Linear(width, n_text + 1)
        self.n_text, self.weight = n_text, weight

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]):
        text, frames = batch["text"], batch["frames"]
        log_probs = F.log_softmax(self.head(student.encoder_out).float(), dim=-1).transpose(0, 1)
        position = torch.arange(text.shape[1], device=text.device)
        spoken = (text >= 0) & (text < self.n_text) & (position >= batch["loss_start"][:, None])
        labels = [row[keep] for row, keep in zip(text, spoken, strict=True)]
        each = F.ctc_loss(
            log_probs,
            torch.cat(labels),
            frames.clamp_max(log_probs.shape[0]),
            torch.tensor([len(label) for label in labels], device=text.device),
            blank=self.n_text,
            reduction="none",
            zero_infinity=True,
        )
        weights = batch.get("weights")
        tokens = len(batch["targets"]) if weights is None else weights.sum()
        loss = (each * batch.get("weight", 1.0)).sum() * (1 / tokens if tokens else 0.0)
        return self.weight * loss, {"ctc": loss}


def build(options: dict[str, dict], student, teacher, n_text: int) -> CTCLoss:
    """`ctc: weight`."""
    term_options("ctc", options["ctc"])
    return CTCLoss(student.dims.n_audio_state, n_text, options["ctc"]["weight"])
