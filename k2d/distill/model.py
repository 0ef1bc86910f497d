"""The model that ESPnet's trainer sees: a student, its losses, and a teacher that no checkpoint ever holds.

In: batches of k2d.distill.batches. Out: (loss, statistics, weight), each statistic a curve.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from espnet2.asr.specaug.specaug import SpecAug
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn

from k2d.distill.losses import CachedTeacher, OnlineTeacher, distillation_loss
from k2d.whisper.model import Whisper


@dataclasses.dataclass
class DistillConfig:
    """`model_conf` of the training YAML."""

    ce_weight: float = 0.8  # β
    kl_weight: float = 1.0  # γ
    temperature: float = 2.0
    label_smoothing: float = 0.0
    ctc_weight: float = 0.0  # CTC of the text on the encoder, for pre-training
    freeze_encoder: bool = True
    freeze_positions: bool = True  # the decoder's positional embedding
    layer_drop: float = 0.0  # probability of skipping an inner decoder layer for a batch (LayerDrop)
    ends_only: float = 0.0  # probability of running only the first and the last decoder layer for a batch
    gradient_checkpointing: bool = False
    loss_chunk: int = 512  # tokens whose logits exist at a time
    specaug: dict | None = None  # espnet2's SpecAug options, applied to what the student hears


class DistillModel(AbsESPnetModel):
    """loss = ce_weight · CE + kl_weight · T² · KL(teacher ‖ student) + ctc_weight · CTC."""

    def __init__(self, student: Whisper, teacher: Whisper | None, n_text: int, config: DistillConfig):
        super().__init__()
        self.student = student
        self.config = config
        self.n_text = n_text  # ids below are text, for CTC
        # A list hides the teacher from nn.Module: not in state_dict, not moved to train mode, not optimised.
        self._teacher = [teacher] if teacher is not None else []
        for teacher in self._teacher:
            teacher.eval().requires_grad_(False)
        if config.freeze_encoder:
            student.encoder.requires_grad_(False)
        if config.freeze_positions:
            student.decoder.positional_embedding.requires_grad_(False)
        self.shared_encoder = bool(
            config.freeze_encoder
            and self._teacher
            and same_weights(student.encoder, self._teacher[0].encoder)
        )
        self.specaug = SpecAug(**config.specaug) if config.specaug else None
        self.ctc_head = nn.Linear(student.dims.n_audio_state, n_text + 1) if config.ctc_weight else None

    def collect_feats(self, **batch: Tensor) -> dict[str, Tensor]:
        key = "encoder_out" if "encoder_out" in batch else "mel"
        return {
            "feats": batch[key].transpose(1, 2) if key == "mel" else batch[key],
            "feats_lengths": batch["frames"],
        }

    def forward(self, text: Tensor, loss_start: Tensor, **batch: Tensor):
        """text: (batch, length) ids padded with -1; loss_start: (batch,) first position to be predicted.

        Either `mel` (batch, n_mels, frames) or `encoder_out` (batch, frames, width); `teacher_encoder_out`
        where the teacher hears another version; `topk_ids`, `topk_log_probs` (batch, length, k) replace the
        teacher.
        """
        mel = batch.get("mel")
        training = self.training
        heard = batch.get("encoder_out")
        if heard is None:
            augment = self.specaug is not None and training
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_encoder):
                student_mel = self.specaug(mel.transpose(1, 2))[0].transpose(1, 2) if augment else mel
                heard = self.student.encoder(student_mel)
        else:
            augment = False
            if self.specaug is not None and training:
                heard = self.specaug(heard.float())[0]
        heard = heard.to(self.student.decoder.positional_embedding.dtype)

        inputs = text[:, :-1].clamp_min(0)
        targets = text[:, 1:]
        position = torch.arange(targets.shape[1], device=text.device)
        scored = (targets >= 0) & (
            position + 1 >= loss_start[:, None]
        )  # prompts and padding are not predicted
        hidden = self._decode(self.student, inputs, heard, drop=training)[scored]

        teacher = None
        if self.config.kl_weight:
            if "topk_ids" in batch:
                teacher = CachedTeacher(batch["topk_ids"][scored], batch["topk_log_probs"][scored])
            elif self._teacher:
                with torch.no_grad():
                    module = self._teacher_on(hidden.device)
                    told = batch.get("teacher_encoder_out", batch.get("encoder_out"))
                    if told is None:
                        told = heard.detach() if self.shared_encoder and not augment else module.encoder(mel)
                    told = told.to(module.decoder.positional_embedding.dtype)
                    told_hidden = self._decode(module, inputs, told)[scored]
                    teacher = OnlineTeacher(told_hidden, module.decoder.token_embedding.weight)
            elif training:  # validation without a teacher is by cross-entropy alone
                raise ValueError(
                    f"kl_weight is {self.config.kl_weight}, but there is no teacher: give --teacher, or "
                    "topk_ids and topk_log_probs of k2d.bin.cache_teacher, or set kl_weight: 0"
                )
        losses = distillation_loss(
            hidden,
            self.student.decoder.token_embedding.weight,
            targets[scored],
            teacher,
            beta=self.config.ce_weight,
            gamma=self.config.kl_weight,
            temperature=self.config.temperature,
            smoothing=self.config.label_smoothing,
            chunk=self.config.loss_chunk,
        )
        loss = losses["loss"]
        stats = {name: losses[name].detach() for name in ("ce", "acc")}
        if teacher is not None:
            stats["kl"] = losses["kl"].detach()
        if self.ctc_head is not None:
            ctc = self._ctc(heard, batch["frames"], text, loss_start)
            loss = loss + self.config.ctc_weight * ctc
            stats["ctc"] = ctc.detach()
        stats["loss"] = loss.detach()
        return force_gatherable((loss, stats, text.shape[0]), loss.device)

    def _decode(self, model: Whisper, tokens: Tensor, heard: Tensor, drop: bool = False) -> Tensor:
        """Last hidden states (batch, length, width) of the decoder; its logits are hidden @ embeddingᵀ."""
        decoder = model.decoder
        x = decoder.token_embedding(tokens) + decoder.positional_embedding[: tokens.shape[1]]
        x = x.to(heard.dtype)
        blocks = list(decoder.blocks)
        if drop and (self.config.layer_drop or self.config.ends_only) and len(blocks) > 2:
            inner = blocks[1:-1]
            if torch.rand(()) < self.config.ends_only:
                inner = []
            else:
                inner = [block for block in inner if torch.rand(()) >= self.config.layer_drop]
            blocks = [blocks[0], *inner, blocks[-1]]
        for block in blocks:
            if self.config.gradient_checkpointing and torch.is_grad_enabled():
                x = torch.utils.checkpoint.checkpoint(block, x, heard, mask=decoder.mask, use_reentrant=False)
            else:
                x = block(x, heard, mask=decoder.mask)
        return decoder.ln(x)

    def _teacher_on(self, device: torch.device) -> Whisper:
        teacher = self._teacher[0]
        if teacher.device != device:
            teacher.to(device)
        return teacher

    def _ctc(self, heard: Tensor, frames: Tensor, text: Tensor, loss_start: Tensor) -> Tensor:
        """CTC of the text tokens (Graves et al., 2006) on the encoder's output, divided by their number."""
        log_probs = F.log_softmax(self.ctc_head(heard).float(), dim=-1).transpose(0, 1)
        position = torch.arange(text.shape[1], device=text.device)
        spoken = (text >= 0) & (text < self.n_text) & (position >= loss_start[:, None])
        labels = [row[keep] for row, keep in zip(text, spoken, strict=True)]
        lengths = torch.tensor([len(label) for label in labels], device=text.device)
        frames = frames.clamp_max(log_probs.shape[0])
        loss = F.ctc_loss(
            log_probs,
            torch.cat(labels),
            frames,
            lengths,
            blank=self.n_text,
            reduction="sum",
            zero_infinity=True,
        )
        return loss / lengths.sum().clamp_min(1)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules hold equal tensors under equal names."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k].cpu(), right[k].cpu()) for k in left)
