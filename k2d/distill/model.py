"""The model that ESPnet's trainer sees: a student, its losses, and a teacher that no checkpoint ever holds.

In: batches of k2d.distill.batches. Out: (loss, statistics, weight), each statistic a curve. Losses are means
over the batch's scored tokens and the weight is their number, so that processes which share a batch add up
to the gradient of the whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging

import torch
import torch.nn.functional as F
from espnet2.asr.specaug.specaug import SpecAug
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from k2d.distill.forward import decode, encode
from k2d.distill.hidden import HiddenLoss, default_map
from k2d.distill.losses import CachedTeacher, OnlineTeacher, distillation_loss
from k2d.whisper.model import Whisper, convert, same_weights


@dataclasses.dataclass
class DistillConfig:
    """`model_conf` of the training YAML."""

    ce_weight: float = 0.8  # β
    kl_weight: float = 1.0  # γ
    temperature: float = 2.0
    label_smoothing: float = 0.0
    hidden_weight: float = 0.0  # of the distance between decoder layers, hidden.py
    hidden_loss: str = "cosine"  # or mse
    hidden_map: list | None = None  # pairs [student layer, teacher layer]; default: equal shares
    hidden_adaptive: bool = False  # learn the weight of each pair
    ctc_weight: float = 0.0  # CTC of the text on the encoder, for pre-training
    freeze_encoder: bool = True
    freeze_positions: bool = True  # the decoder's positional embedding
    layer_drop: float = 0.0  # probability of skipping an inner decoder layer for a batch (LayerDrop)
    ends_only: float = 0.0  # probability of running only the first and the last decoder layer for a batch
    gradient_checkpointing: bool = False
    loss_chunk: int = 512  # tokens whose logits exist at a time
    autocast: str | None = None  # bfloat16: mixed precision on a CPU too, where --use_amp does nothing
    teacher_dtype: str = "float32"  # type of the teacher's weights; bfloat16 halves its memory
    specaug: dict | None = None  # espnet2's SpecAug options, applied to what the student hears


class DistillModel(AbsESPnetModel):
    """ce_weight · CE + kl_weight · T² · KL(teacher ‖ student) + hidden_weight · hidden + ctc_weight · CTC."""

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
        # DDP refuses sparse buffers, and training does not need them sparse.
        student.alignment_heads = student.alignment_heads.to_dense()
        if config.gradient_checkpointing:
            for block in [*student.encoder.blocks, *student.decoder.blocks]:
                block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
        self.specaug = SpecAug(**config.specaug) if config.specaug else None
        self.ctc_head = nn.Linear(student.dims.n_audio_state, n_text + 1) if config.ctc_weight else None
        self.hidden = self._hidden_loss() if config.hidden_weight else None

    def _hidden_loss(self) -> HiddenLoss:
        if not self._teacher:
            raise ValueError("hidden_weight needs the teacher itself: give --teacher, not its cached top k")
        ours, theirs = self.student.dims, self._teacher[0].dims
        if ours.n_text_state != theirs.n_text_state:
            raise ValueError(
                f"hidden_weight: the student's decoder is {ours.n_text_state} wide, the teacher's "
                f"{theirs.n_text_state}; states of different widths have no distance"
            )
        pairs = self.config.hidden_map or default_map(ours.n_text_layer, theirs.n_text_layer)
        hidden = HiddenLoss(pairs, self.config.hidden_loss, self.config.hidden_adaptive)
        hidden.check(ours.n_text_layer, theirs.n_text_layer)
        return hidden

    @functools.cached_property
    def shared_encoder(self) -> bool:
        """Whether the teacher's encoder is the student's, frozen: then one of them is enough.

        Asked at the first batch, not before: --init_param and --freeze_param act after construction.
        """
        if not self._teacher or any(p.requires_grad for p in self.student.encoder.parameters()):
            return False
        teacher = self._teacher[0]
        shared = same_weights(self.student.encoder, teacher.encoder)
        if shared:
            teacher.encoder = self.student.encoder  # the copy's memory is free
        logging.info(f"the student's encoder is {'shared with the teacher' if shared else 'its own'}")
        return shared

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
        teacher. `trusted` (batch, length): tokens that the loss counts, all where it is absent.
        """
        kind = text.device.type
        precision = (
            torch.autocast(kind, getattr(torch, self.config.autocast))
            if self.config.autocast
            else contextlib.nullcontext()
        )
        with precision:
            loss, stats, tokens = self._losses(text, loss_start, batch)
        return force_gatherable((loss, stats, tokens), loss.device)

    def _losses(self, text: Tensor, loss_start: Tensor, batch: dict[str, Tensor]):
        config = self.config
        inputs = text[:, :-1].clamp_min(0)
        targets = text[:, 1:]
        position = torch.arange(targets.shape[1], device=text.device)
        # Prompts and padding are not predicted. What is not trusted is read, as a model's own errors are at inference,
        # but not learnt.
        scored = (targets >= 0) & (position + 1 >= loss_start[:, None])
        if "trusted" in batch:
            scored &= batch["trusted"][:, 1:]
        tokens = scored.sum()

        heard, told = self._hear(batch)
        pairs = self.hidden.pairs if self.hidden is not None else ()
        layers = self._layers(len(self.student.decoder.blocks))
        keep = {ours for ours, _ in pairs}
        hidden, states = decode(self.student, inputs, heard, scored, layers, keep)
        teacher, told_states = None, {}
        if told is not None:
            with torch.no_grad():
                module = self._teacher[0]
                keep = {theirs for _, theirs in pairs}
                told_hidden, told_states = decode(module, inputs, told(), scored, keep=keep)
                teacher = OnlineTeacher(told_hidden, module.decoder.token_embedding.weight)
        if "topk_ids" in batch:
            teacher = CachedTeacher(batch["topk_ids"][scored], batch["topk_log_probs"][scored])
        if teacher is None and config.kl_weight and self.training:
            # Validation without a teacher is by cross-entropy alone.
            raise ValueError(
                f"kl_weight is {config.kl_weight}, but there is no teacher: give --teacher, or "
                "topk_ids and topk_log_probs of k2d.bin.cache_teacher, or set kl_weight: 0"
            )
        losses = distillation_loss(
            hidden,
            self.student.decoder.token_embedding.weight,
            targets[scored],
            teacher,
            beta=config.ce_weight,
            gamma=config.kl_weight,
            temperature=config.temperature,
            smoothing=config.label_smoothing,
            chunk=config.loss_chunk,
        )
        loss = losses["loss"]
        stats = {name: losses[name].detach() for name in ("ce", "acc")}
        if teacher is not None and config.kl_weight:
            stats["kl"] = losses["kl"].detach()
        if isinstance(teacher, CachedTeacher) and config.kl_weight:
            stats["kl_gap"] = losses["kl_gap"].detach()
        if self.hidden is not None:
            distance = self.hidden(states, told_states)
            loss = loss + config.hidden_weight * distance
            stats["hidden"] = distance.detach()
        if self.ctc_head is not None:
            ctc = self._ctc(heard, batch["frames"], text, loss_start) / tokens
            loss = loss + config.ctc_weight * ctc
            stats["ctc"] = ctc.detach()
        stats["loss"] = loss.detach()
        return loss, stats, tokens

    def _hear(self, batch: dict[str, Tensor]):
        """What the student hears (batch, frames, width), and a function that gives what the teacher hears.

        The second is None where no teacher is needed. Only the student's side is augmented.
        """
        mel, stored = batch.get("mel"), batch.get("encoder_out")
        augment = self.specaug is not None and self.training
        clean = None
        if stored is not None:
            heard = self.specaug(stored.float().clone())[0] if augment else stored
        else:
            frozen = not any(p.requires_grad for p in self.student.encoder.parameters())
            # SpecAug masks in place; the teacher must not hear that.
            student_mel = self.specaug(mel.transpose(1, 2).clone())[0].transpose(1, 2) if augment else mel
            heard = encode(self.student, student_mel, frozen)
            clean = None if augment else heard
        heard = heard.to(self.student.decoder.positional_embedding.dtype)
        if not self._teacher or not (self.hidden or (self.config.kl_weight and "topk_ids" not in batch)):
            return heard, None

        def told() -> Tensor:
            teacher = self._teacher_on(heard.device)
            for name in ("teacher_encoder_out", "encoder_out"):
                if name in batch:
                    return batch[name].to(teacher.decoder.positional_embedding.dtype)
            out = clean.detach() if self.shared_encoder and clean is not None else encode(teacher, mel, True)
            return out.to(teacher.decoder.positional_embedding.dtype)

        return heard, told

    def _layers(self, count: int) -> list[int]:
        """The decoder layers that run for this batch; the ends always do."""
        layers = list(range(count))
        if self.training and (self.config.layer_drop or self.config.ends_only) and count > 2:
            inner = layers[1:-1]
            if torch.rand(()) < self.config.ends_only:
                inner = []
            else:
                inner = [layer for layer in inner if torch.rand(()) >= self.config.layer_drop]
            layers = [0, *inner, count - 1]
        return layers

    def _teacher_on(self, device: torch.device) -> Whisper:
        teacher = self._teacher[0]
        dtype = getattr(torch, self.config.teacher_dtype)
        parts = [teacher.decoder] if self.shared_encoder else [teacher.decoder, teacher.encoder]
        if teacher.decoder.positional_embedding.device != device or (
            teacher.decoder.positional_embedding.dtype != dtype
        ):
            for part in parts:
                convert(part, device, dtype)
        return teacher

    def _ctc(self, heard: Tensor, frames: Tensor, text: Tensor, loss_start: Tensor) -> Tensor:
        """CTC of the text tokens (Graves et al., 2006) on the encoder's output, summed over the batch."""
        log_probs = F.log_softmax(self.ctc_head(heard).float(), dim=-1).transpose(0, 1)
        position = torch.arange(text.shape[1], device=text.device)
        spoken = (text >= 0) & (text < self.n_text) & (position >= loss_start[:, None])
        labels = [row[keep] for row, keep in zip(text, spoken, strict=True)]
        return F.ctc_loss(
            log_probs,
            torch.cat(labels),
            frames.clamp_max(log_probs.shape[0]),
            torch.tensor([len(label) for label in labels], device=text.device),
            blank=self.n_text,
            reduction="sum",
            zero_infinity=True,
        )
