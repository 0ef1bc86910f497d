"""From one utterance of a data directory to one row of a batch.

In: audio (or stored encoder output) and a label with timestamp tokens. Out: padded tensors for
`DistillModel.forward`. Random choices follow numpy's state, which ESPnet seeds for every epoch.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import torch

from k2d.audio import SAMPLE_RATE
from k2d.distill.sources import COPY_MARK
from k2d.text import timestamps
from k2d.text.tokenizer import Tokenizer
from k2d.whisper.features import context_samples, utterance_log_mel

FRAMES_PER_SECOND = 50  # of the encoder's output


@dataclasses.dataclass
class BatchConfig:
    """`batch_conf` of the training YAML."""

    language: str = "zh"
    timestamps: float = 0.5  # p_t: probability of training with timestamp tokens
    prompt: float = 0.2  # p_p: probability of the previous text as prompt
    max_prompt: int = 224  # tokens of it
    max_tokens: int = 448
    trim_padding: bool = False  # pad to the batch's longest, rounded up, instead of 30 s
    noise: float = 0.0  # probability of added noise (training only)
    noise_snr: tuple[float, float] = (5.0, 20.0)  # dB
    fixed_choices: bool = False  # the same choices for an utterance in every epoch, as a cached teacher needs


def from_dict(kind: type, options: dict, where: str):
    """A dataclass from a YAML mapping; an unknown key is an error that lists the known ones."""
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(set(options) - known):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return kind(**options)


class MakeExample:
    """ESPnet preprocessor: (utterance id, {"speech" | "encoder_out", "text", "text_prev"}) → arrays."""

    def __init__(self, tokenizer: Tokenizer, config: BatchConfig, train: bool):
        self.tokenizer, self.config, self.train = tokenizer, config, train

    def __call__(self, uid: str, data: dict) -> dict[str, np.ndarray]:
        conf = self.config
        text = data.pop("text")
        previous = data.pop("text_prev", "")
        rng = np.random
        if conf.fixed_choices:
            rng = np.random.RandomState(zlib.crc32(uid.partition(COPY_MARK)[0].encode()))
        with_timestamps = "<|" in text and (
            rng.random_sample() < conf.timestamps if self.train else conf.timestamps > 0
        )
        tokens, cut = self._label(uid, text, with_timestamps)
        start = self.tokenizer.sot_sequence(conf.language, timestamps=with_timestamps)
        prompt: list[int] = []
        if previous and self.train and rng.random_sample() < conf.prompt:
            prompt = self.tokenizer.encode(timestamps.strip(previous))[-(conf.max_prompt - 1) :]
            room = conf.max_tokens - len(start) - len(tokens)
            prompt = [self.tokenizer.sot_prev, *prompt[max(0, len(prompt) - room + 1) :]] if room > 1 else []
        row = np.array([*prompt, *start, *tokens, self.tokenizer.eot], dtype=np.int64)
        if row.max() >= self.tokenizer.vocab_size:
            raise ValueError(
                f"{uid}: token {row.max()} is outside the vocabulary of {self.tokenizer.vocab_size}"
            )
        # The start sequence is given at inference, so the first predicted token follows it.
        out = {"text": row, "loss_start": np.array([len(prompt) + len(start)], dtype=np.int64)}
        if "speech" in data:
            speech = np.asarray(data.pop("speech"), dtype=np.float32)
            if not np.isfinite(speech).all():
                raise ValueError(f"{uid}: the audio holds NaN or infinity; remove it with utils/fix_data.py")
            if cut is not None:
                speech = speech[: round(cut * SAMPLE_RATE)]
            out["speech"] = self._augment(speech)
        return {**out, **data}

    def _label(self, uid: str, text: str, with_timestamps: bool) -> tuple[list[int], float | None]:
        """Tokens of the label; a label too long is cut behind its last end timestamp that fits.

        Returns the tokens and the time (s) the audio must be cut at, None for no cut.
        """
        encode = self.tokenizer.encode_with_timestamps
        room = self.config.max_tokens - len(self.tokenizer.sot_sequence(self.config.language)) - 1
        tokens, cut = encode(text), None
        if len(tokens) > room:
            segments = timestamps.parse(text)
            while segments and len(tokens) > room:
                segments.pop()
                tokens = encode(timestamps.format(segments))
            if not segments:
                raise ValueError(
                    f"{uid}: the label has more than {room} tokens and no timestamp to cut it at; "
                    "drop it from text"
                )
            cut = segments[-1][1]
        if not with_timestamps:
            tokens = [t for t in tokens if t < self.tokenizer.timestamp_begin]
        return tokens, cut

    def _augment(self, speech: np.ndarray) -> np.ndarray:
        conf = self.config
        if not self.train or not conf.noise or np.random.random() >= conf.noise:
            return speech
        return add_noise(speech, np.random.uniform(*conf.noise_snr), np.random)


def add_noise(speech: np.ndarray, snr: float, rng) -> np.ndarray:
    """Speech (samples,) plus stationary noise with a random spectral tilt (white to brown) at `snr` dB."""
    noise = rng.standard_normal(len(speech)).astype(np.float32)
    spectrum = np.fft.rfft(noise)
    frequency = np.maximum(np.arange(len(spectrum)), len(spectrum) / 400)
    spectrum *= frequency ** -rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, n=len(speech)).astype(np.float32)
    power = float(np.mean(speech**2)) / max(float(np.mean(noise**2)), 1e-12)
    mixed = speech + noise * np.sqrt(power * 10 ** (-snr / 10))
    peak = float(np.abs(mixed).max(initial=0.0))
    return mixed / peak if peak > 1.0 else mixed


class Collate:
    """ESPnet collate function: list of (id, arrays) → (ids, padded tensors)."""

    def __init__(self, n_mels: int, trim_padding: bool):
        self.n_mels, self.trim_padding = n_mels, trim_padding

    def __call__(
        self, items: list[tuple[str, dict[str, np.ndarray]]]
    ) -> tuple[list[str], dict[str, torch.Tensor]]:
        uids = [uid for uid, _ in items]
        rows = [data for _, data in items]
        text = torch.full((len(rows), max(len(row["text"]) for row in rows)), -1, dtype=torch.long)
        for i, row in enumerate(rows):
            text[i, : len(row["text"])] = torch.from_numpy(row["text"])
        batch = {
            "text": text,
            "loss_start": torch.from_numpy(np.concatenate([row["loss_start"] for row in rows])),
        }
        if "speech" in rows[0]:
            mel, frames = log_mels([row["speech"] for row in rows], self.n_mels, self.trim_padding)
            batch["mel"], batch["frames"] = mel, frames
        for name in ("encoder_out", "teacher_encoder_out", "topk_ids", "topk_log_probs"):
            if name in rows[0]:
                length = text.shape[1] - 1 if name.startswith("topk") else None
                batch[name], lengths = pad([row[name] for row in rows], length)
                if name == "encoder_out":
                    batch["frames"] = lengths
        return uids, batch


def pad(arrays: list[np.ndarray], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, longest, width) with zeros behind the shorter ones, and their lengths."""
    lengths = torch.tensor([len(a) for a in arrays])
    out = torch.zeros(
        len(arrays), length or int(lengths.max()), arrays[0].shape[1], dtype=torch.from_numpy(arrays[0]).dtype
    )
    for i, a in enumerate(arrays):
        out[i, : len(a)] = torch.from_numpy(a)
    return out, lengths


def log_mels(speech: list[np.ndarray], n_mels: int, trim_padding: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, n_mels, frames) and the encoder frames (50 a second) that hold speech.

    One utterance at a time: Whisper's features are scaled by the utterance's own maximum.
    """
    samples = context_samples(max(map(len, speech)), trim_padding)
    mels = [utterance_log_mel(s, n_mels, samples) for s in speech]
    frames = torch.tensor([min(len(s), samples) * FRAMES_PER_SECOND // SAMPLE_RATE for s in speech])
    return torch.stack(mels), frames
