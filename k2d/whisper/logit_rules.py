"""Which tokens may come next: Whisper's suppression and timestamp rules for a whole batch at once.

In: logits (rows, n_vocab) and the last tokens of each row. Out: the same logits with what is forbidden at
-inf. The rules are those of openai-whisper's SuppressBlank, SuppressTokens and ApplyTimestampRules, as
tensor operations over the batch, and on a GPU without a copy to the host.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from k2d.text.tokenizer import Tokenizer
from k2d.whisper.decoding import DecodingOptions

INFINITY = float("inf")


def suppressed_tokens(tokenizer: Tokenizer, options: DecodingOptions) -> list[int]:
    """Ids that never may be sampled: control tokens, and annotations of sound where asked."""
    ids = {
        tokenizer.transcribe,
        tokenizer.translate,
        tokenizer.sot,
        tokenizer.sot_prev,
        tokenizer.sot_lm,
        tokenizer.no_speech,
    }
    if options.suppress_non_speech:
        ids.update(tokenizer.non_speech_tokens)
    if options.timestamps:
        ids.add(tokenizer.no_timestamps)
    return sorted(ids)


def blank_tokens(tokenizer: Tokenizer) -> list[int]:
    """Ids that may not start a text: a lone space, and the end of text."""
    return [*tokenizer.encode(" "), tokenizer.eot]


@dataclass
class RowState:
    """What the rules need to remember of each row: last two tokens and last timestamp, (rows,) int64 each.

    -1 stands for "none yet".
    """

    last: Tensor
    before_last: Tensor
    last_timestamp: Tensor

    @classmethod
    def fresh(cls, rows: int, device) -> "RowState":
        return cls(*(torch.full((rows,), -1, dtype=torch.int64, device=device) for _ in range(3)))

    def select(self, index: Tensor) -> "RowState":
        return RowState(self.last[index], self.before_last[index], self.last_timestamp[index])

    def append(self, tokens: Tensor, timestamp_begin: int) -> None:
        """tokens: (rows,), the ones just sampled."""
        self.before_last = self.last
        self.last = tokens
        self.last_timestamp = torch.where(tokens >= timestamp_begin, tokens, self.last_timestamp)


class LogitRules:
    def __init__(self, tokenizer: Tokenizer, options: DecodingOptions, n_audio_ctx: int, device):
        self.eot = tokenizer.eot
        self.timestamp_begin = tokenizer.timestamp_begin
        self.timestamps = options.timestamps
        self.suppressed = torch.tensor(suppressed_tokens(tokenizer, options), device=device)
        self.blank = None
        if options.suppress_blank:
            self.blank = torch.tensor(blank_tokens(tokenizer), device=device)
        self.last_initial = self.timestamp_begin + options.last_initial_timestamp(n_audio_ctx)
        n_timestamps = tokenizer.vocab_size - tokenizer.timestamp_begin
        self.timestamp_ids = torch.arange(n_timestamps, device=device)[None] + self.timestamp_begin

    def apply(self, logits: Tensor, state: RowState, first: bool) -> Tensor:
        """logits: (rows, n_vocab) float32, changed in place and returned. first: nothing sampled yet."""
        logits.index_fill_(1, self.suppressed, -INFINITY)
        if first and self.blank is not None:
            logits.index_fill_(1, self.blank, -INFINITY)
        if not self.timestamps:
            return logits
        if first:
            # The text starts with a timestamp, and not a late one.
            logits[:, : self.timestamp_begin] = -INFINITY
            logits[:, self.last_initial + 1 :] = -INFINITY
            return logits

        begin = self.timestamp_begin
        last_is_time = state.last >= begin
        # "Nothing before" counts as a timestamp: after the first one there must be text.
        before_is_time = (state.before_last < 0) | (state.before_last >= begin)
        pair_open = last_is_time & ~before_is_time  # text, then an end time: a start time or the end follows
        pair_closed = last_is_time & before_is_time  # two times, or the first one: text follows
        # Time does not run backwards, and a segment has a length unless the next one starts where it ends.
        allowed_from = torch.where(pair_open, state.last_timestamp, state.last_timestamp + 1)
        allowed_from = torch.where(pair_closed, logits.shape[1], allowed_from)
        _forbid(logits[:, : self.eot], pair_open)
        times = logits[:, begin:]
        times.masked_fill_(self.timestamp_ids < allowed_from[:, None], -INFINITY)
        # If a time is likelier, taken together, than any single other token, it has to be a time.
        text = logits[:, :begin]
        time_wins = torch.logsumexp(times, dim=-1) > text.amax(dim=-1)
        _forbid(text, time_wins)
        return logits


def _forbid(logits: Tensor, rows: Tensor) -> None:
    """Set these rows of (rows, n) to -inf. They are few; a GPU is not asked which, it would have to wait."""
    if logits.device.type != "cpu":
        logits.masked_fill_(rows[:, None], -INFINITY)
        return
    for row in rows.nonzero()[:, 0].tolist():
        logits[row] = -INFINITY
