"""What a student learns from a teacher that is not there: its k most probable tokens along every label.

In: a teacher, utterances with their labels, and their audio or the encoder's stored output. Out: for each utterance
`topk_ids` and `topk_log_probs`, (tokens, k), at the temperature of training, and how much probability is left to the
other tokens.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.distill.batches import MakeExample, log_mels, pad
from k2d.distill.config import STORED, BatchConfig, CacheOptions
from k2d.distill.forward import decode, encode
from k2d.distill.sources import ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS, ArchiveReader, in_shards
from k2d.distill.threads import one_thread_each
from k2d.errors import BadAudio, DataError, Unusable, UsageError, UserError
from k2d.tables import blocks, read_table, write_table
from k2d.whisper.checkpoint import Checkpoint
from k2d.wording import counted
from k2d.work.skipped import read_skipped, write_skipped

MUCH = 0.2  # of the probability, that is left out
_log = logging.getLogger("k2d.distill.teacher_cache")


class TopK:
    """config, temperature: of training."""

    def __init__(self, teacher: Checkpoint, config: BatchConfig, temperature: float, options: CacheOptions):
        self.teacher, self.temperature, self.options = teacher, temperature, options
        # Labels and audio to examples, the same for an utterance in every epoch.
        self.make = MakeExample(teacher.tokenizer, config, train=True, fixed=True)

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
                TOPK_LOG_PROBS: log_probs.cpu().numpy().astype(STORED[self.options.store]),
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
            top = F.log_softmax((states @ weight.T).float() / self.temperature, dim=-1).topk(self.options.k, dim=-1)
            yield top.indices, top.values

    def _encoder_out(self, examples: Sequence[dict]) -> Tensor:
        """(batch, frames, width), stored or computed."""
        weight = self.teacher.model.decoder.token_embedding.weight
        if ENCODER_OUT in examples[0]:
            return pad([example[ENCODER_OUT] for example in examples])[0].to(weight.device, weight.dtype)
        speech = [example["speech"] for example in examples]
        mel, _ = log_mels(speech, self.teacher.dims.n_mels, self.make.config.trim_padding)
        return encode(self.teacher.model, mel.to(weight.device))


def store(
    topk: TopK,
    data: DataDir,
    output: Path,
    sound: Callable[[str], dict],
    skipped: Mapping[str, str],
    max_skipped: int | None,
) -> dict:
    """The TopK of all labels of `data` into `output`; facts for the record. sound, skipped: of `sound_of`. Raises
    DataError where there are no labels, UsageError where the vocabulary has fewer than k tokens.
    """
    options, vocabulary = topk.options, topk.teacher.tokenizer.vocab_size
    if not data.text:
        raise DataError(f"{data.path}/text: no labels; the teacher has nothing to be forced along")
    if options.k > vocabulary:
        raise UsageError(f"--k {options.k}: the vocabulary has {vocabulary} tokens")
    previous = read_table(data.path / "text.prev") if (data.path / "text.prev").exists() else {}

    def label(uid: str) -> dict:
        return {"text": data.text[uid], "text_prev": previous.get(uid, "")}

    def fields(uid: str) -> dict:
        return {**sound(uid), **label(uid)}

    skipped, lengths = {uid: skipped[uid] for uid in skipped.keys() & data.text.keys()}, {}
    for uid in tqdm(data.text, desc="tokenise", unit="utt", mininterval=2):
        try:
            if uid not in skipped:
                lengths[uid] = len(topk.make(uid, label(uid))["text"])
        except Unusable as error:
            skipped[uid] = str(error)
    order = sorted(lengths, key=lambda uid: (lengths[uid], uid))  # batches of one length waste no padding
    start = time.monotonic()

    def compute(uids: list[str]):
        parts = [uids[first : first + options.batch_size] for first in range(0, len(uids), options.batch_size)]
        found = one_thread_each(lambda ids: topk.of(ids, fields), parts, options.nj, options.device)
        for part, of_part in zip(parts, found):
            for uid, (arrays, facts) in zip(part, of_part):
                yield uid, arrays, facts

    shards = list(blocks(order, len(order), options.shard_rows, lengths.get))  # about so many tokens each
    stored = in_shards(output, [TOPK_IDS, TOPK_LOG_PROBS], shards, compute, "cache_teacher")
    skipped |= stored.skipped
    write_skipped(output, skipped, len(data.text), max_skipped)
    for name, table in stored.tables.items():
        write_table(output / f"{name}.scp", table)
    numbers = stored.numbers
    tokens, now = sum(n["tokens"] for n in numbers.values()), sum(numbers[uid]["tokens"] for uid in stored.fresh)
    mean = sum(n["tail"] for n in numbers.values()) / max(tokens, 1)
    largest = max(n["largest"] for n in numbers.values())
    print(
        f"cache_teacher: {counted(len(numbers), 'utterance')}, {len(skipped)} skipped; "
        f"{counted(tokens, 'token')}, {now:,} of them now in "
        f"{time.monotonic() - start:.0f} s; the top {options.k} leave {mean:.5f} of the probability on average, "
        f"{largest:.4f} at most, so the gradient in a token's logits is off by at most "
        f"{2 * topk.temperature * mean:.5f} on average (L1)"
    )
    if mean > MUCH:
        _log.warning(
            "the %d tokens stored at a position hold only %.0f %% of the teacher's probability at the temperature of "
            "training, %g: the student does not learn how the rest is spread. Store more (--k, --topk of k2d.sh), "
            "give kl a temperature of 1 (model_conf: losses), or train beside the teacher (--cache_teacher false)",
            options.k,
            100 * (1 - mean),
            topk.temperature,
        )
    return {"tokens": tokens, "left_out": mean, "skipped": len(skipped)}


def sound_of(data: DataDir, encoder_out: Path | None, audio: AudioOptions) -> tuple[Callable, dict[str, str]]:
    """For `store`: id → stored encoder output, or else the audio; and which of them were left out, with why."""
    if encoder_out is None:
        utterances = open_utterances(data, **audio.reading)
        return lambda uid: {"speech": utterances[uid]}, {}
    reader, skipped = ArchiveReader(encoder_out / f"{ENCODER_OUT}.scp"), read_skipped(encoder_out)
    if missing := sorted(set(data.text) - set(reader) - set(skipped)):
        raise DataError(f"{encoder_out}: {missing[0]} is not stored; encode {data.path} first")
    return lambda uid: {ENCODER_OUT: reader[uid]}, skipped
