"""The model that ESPnet's trainer sees: a student, its losses, and a teacher that no checkpoint ever holds.

In: batches of k2d.distill.batches. Out: (loss, statistics, weight), each statistic a curve. Losses are means
over the batch's scored tokens and the weight is their number, or the sum of their weights, so that processes which
share a batch add up to the gradient of the whole.
"""

import contextlib
import functools
import logging

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from k2d.distill import espnet_import
from k2d.distill.attention import use_products
from k2d.distill.config import DistillConfig
from k2d.distill.forward import decode, encode
from k2d.distill.losses import LOGITS, MODEL, Losses, Outputs
from k2d.errors import DataError
from k2d.whisper.model import Whisper, convert, same_weights

with espnet_import.light():
    from espnet2.asr.specaug.specaug import SpecAug
    from espnet2.torch_utils.device_funcs import force_gatherable
    from espnet2.train.abs_espnet_model import AbsESPnetModel


class DistillModel(AbsESPnetModel):
    """A student and the terms of its loss, `losses` of the configuration (k2d/distill/losses)."""

    def __init__(
        self, student: Whisper, teacher: Whisper | None, n_text: int, config: DistillConfig, cached: bool = False
    ):
        """n_text: ids below are text. cached: batches bring the teacher's top k; with neither, labels alone teach."""
        super().__init__()
        self.student = student
        self.config = config
        self.cached = cached
        # A list hides the teacher from nn.Module: not in state_dict, not moved to train mode, not optimised.
        self._teacher = [teacher] if teacher is not None else []
        if teacher is not None:
            teacher.eval().requires_grad_(False)
        if config.freeze_encoder:
            student.encoder.requires_grad_(False)
        if config.freeze_positions:
            student.decoder.positional_embedding.requires_grad_(False)
        # DDP refuses sparse buffers, and training does not need them sparse.
        student.alignment_heads = student.alignment_heads.to_dense()
        if config.attention == "products":
            for decoder in (model.decoder for model in (student, teacher) if model is not None):
                use_products(decoder)
        if config.gradient_checkpointing:
            for block in [*student.encoder.blocks, *student.decoder.blocks]:
                block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
        self.specaug = SpecAug(**config.specaug) if config.specaug else None
        self.losses = Losses(config.terms(), student, teacher, n_text, cached)

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

        Either `mel` (batch, n_mels, frames) or `encoder_out` (batch, frames, width), which the teacher reads, too;
        `topk_ids`, `topk_log_probs` (batch, length, k) replace the teacher. `trusted` (batch, length): tokens that the
        loss counts, all where it is absent. `weight` (batch,): how much it counts them, 1 where it is absent.
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
        inputs = text[:, :-1].clamp_min(0)
        targets = text[:, 1:]
        position = torch.arange(targets.shape[1], device=text.device)
        # Prompts and padding are not predicted. What is not trusted is read, as a model's own errors are at inference,
        # but not learnt.
        scored = (targets >= 0) & (position + 1 >= loss_start[:, None])
        if "trusted" in batch:
            scored &= batch["trusted"][:, 1:]
        encoder_out, clean = self._encoder_out(batch)
        layers, keep = self._layers(len(self.student.decoder.blocks)), self.losses.layers("student")
        hidden, states = decode(self.student, inputs, encoder_out, scored, layers, keep)
        student = Outputs(encoder_out, hidden, self.student.decoder.token_embedding.weight, states)
        with torch.no_grad():
            teacher = self._teacher_outputs(inputs, scored, batch, clean)
        weights = batch["weight"][:, None].expand_as(targets)[scored] if "weight" in batch else None
        facts = {**batch, "text": text, "loss_start": loss_start, "targets": targets[scored], "weights": weights}
        loss, stats = self.losses(student, teacher, facts)
        return loss, stats, scored.sum() if weights is None else weights.sum()

    def _encoder_out(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """(batch, frames, width) of the student's encoder, or stored; and the same where nothing was augmented."""
        mel, stored = batch.get("mel"), batch.get("encoder_out")
        augment = self.specaug is not None and self.training
        clean = None
        if stored is not None:
            encoder_out = self.specaug(stored.float().clone())[0] if augment else stored
        else:
            frozen = not any(p.requires_grad for p in self.student.encoder.parameters())
            # SpecAug masks in place; the teacher must not get that.
            student_mel = self.specaug(mel.transpose(1, 2).clone())[0].transpose(1, 2) if augment else mel
            encoder_out = encode(self.student, student_mel, frozen)
            clean = None if augment else encoder_out.detach()
        return encoder_out.to(self.student.decoder.positional_embedding.dtype), clean

    def _teacher_outputs(
        self, inputs: Tensor, scored: Tensor, batch: dict[str, Tensor], clean: Tensor | None
    ) -> Outputs | None:
        """What the teacher makes of the batch, or has made of it, as far as a term wants it.

        Its audio is not augmented. clean: the student's encoder output, if it is not either.
        """
        found, needs = Outputs(), set(self.losses.needs)
        if "topk_ids" in batch:
            found.topk = batch["topk_ids"][scored], batch["topk_log_probs"][scored]
            needs.discard(LOGITS)
        elif self.cached and self.training and LOGITS in needs:
            raise DataError(
                "the training set has no topk_ids and topk_log_probs for this batch; make its tables again, with "
                "--teacher_topk of k2d cache_teacher"
            )
        if self._teacher and needs & {LOGITS, MODEL}:
            teacher = self._teacher_on(inputs.device)
            if "encoder_out" in batch:
                encoder_out = batch["encoder_out"]
            elif self.shared_encoder and clean is not None:
                encoder_out = clean
            else:
                encoder_out = encode(teacher, batch["mel"], True)
            encoder_out = encoder_out.to(teacher.decoder.positional_embedding.dtype)
            keep = self.losses.layers("teacher")
            found.hidden, found.layers = decode(teacher, inputs, encoder_out, scored, keep=keep)
            found.encoder_out, found.embedding = encoder_out, teacher.decoder.token_embedding.weight
        return found if found.hidden is not None or found.topk is not None else None

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
