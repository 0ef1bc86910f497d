"""What a student learns from a teacher that is not there: its k most probable tokens along every label.

In: a teacher, utterances with their labels, and their audio or the encoder's stored output. Out: for each utterance
`topk_ids` and `topk_log_probs`, (tokens, k), at the temperature of training, and how much probability is left to the
other tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.distill.batches import MakeExample, log_mels, pad
from k2d.distill.forward import decode, encode
from k2d.distill.sources import ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS
from k2d.errors import BadAudio, Unusable, UserError
from k2d.whisper.checkpoint import Checkpoint


class TopK:
    """make: labels and audio to examples, the same for an utterance in every epoch. stored: type in which
    log-probabilities are kept, as numpy names it.
    """

    def __init__(self, teacher: Checkpoint, make: MakeExample, k: int, temperature: float, stored: str):
        self.teacher, self.make, self.k, self.temperature, self.stored = teacher, make, k, temperature, stored

    def of(
        self, uids: Sequence[str], fields: Callable[[str], dict]
    ) -> list[tuple[dict[str, np.ndarray] | UserError, dict[str, float]]]:
        """For each utterance its arrays by name, and how many tokens it has, the sum and the largest of what is left to
        other tokens; or why it is left out. fields: id → label and audio, named as in training; may raise BadAudio.
        """
        examples, found = {}, {}
        for uid in uids:
            try:
                examples[uid] = self.make(uid, fields(uid))
            except (BadAudio, Unusable) as error:
                found[uid] = error, {}
        for uid, (ids, log_probs) in zip(examples, self._top(list(examples.values()))):
            left = (1 - log_probs.exp().sum(-1)).clamp_min(0)
            arrays = {
                TOPK_IDS: ids.cpu().numpy().astype("<i4"),
                TOPK_LOG_PROBS: log_probs.cpu().numpy().astype(self.stored),
            }
            found[uid] = arrays, {"tokens": len(ids), "tail": float(left.sum()), "largest": float(left.max())}
        return [found[uid] for uid in uids]

    def _top(self, examples: Sequence[dict]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example its (tokens, k) ids and log-probabilities."""
        if not examples:
            return
        weight = self.teacher.model.decoder.token_embedding.weight
        text = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(example["text"][:-1]) for example in examples], batch_first=True, padding_value=-1
        ).to(weight.device)
        hidden, _ = decode(self.teacher.model, text.clamp_min(0), self._encoder_out(examples), text >= 0)
        for states in hidden.split([len(example["text"]) - 1 for example in examples]):
            top = F.log_softmax((states @ weight.T).float() / self.temperature, dim=-1).topk(self.k, dim=-1)
            yield top.indices, top.values

    def _encoder_out(self, examples: Sequence[dict]) -> Tensor:
        """(batch, frames, width), stored or computed."""
        weight = self.teacher.model.decoder.token_embedding.weight
        if ENCODER_OUT in examples[0]:
            return pad([example[ENCODER_OUT] for example in examples])[0].to(weight.device, weight.dtype)
        speech = [example["speech"] for example in examples]
        mel, _ = log_mels(speech, self.teacher.dims.n_mels, self.make.config.trim_padding)
        return encode(self.teacher.model, mel.to(weight.device))
