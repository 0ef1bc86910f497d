"""From one utterance of a data directory to one row of a batch.

In: audio (or stored encoder output) and a label with timestamp tokens. Out: padded tensors for
`DistillModel.forward`. Random choices follow numpy's state, which the task seeds for every epoch.
"""

import itertools
import logging
import re
import zlib
from collections.abc import Sequence

import numpy as np
import soxr
import torch

from k2d.constants import CONTINUED, LONGEST, SAMPLE_RATE, TIMESTAMP_STEP, WINDOW
from k2d.distill.config import BatchConfig
from k2d.distill.sources import COPY_MARK, ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS, encoder_frames
from k2d.errors import DataError, Unusable
from k2d.text import timestamps, trusted
from k2d.text.tokenizer import Tokenizer
from k2d.whisper.features import context_samples, utterance_log_mel

LEFT_OUT = "left_out"  # marks the row of an example that cannot be made
_STORED = (ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS)
_EMPTY = 20  # batches in a row of which nothing can be used; then it is the disk, not the recordings


class MakeExample:
    """ESPnet preprocessor: (utterance id, {"speech" | "encoder_out", "text", "text_prev", …}) → arrays.

    `text_trusted`, a line of text.trusted, becomes `trusted`: whether the loss counts each token. `weight`, (1,), how
    much it counts them, goes through.
    """

    def __init__(self, tokenizer: Tokenizer, config: BatchConfig, train: bool, fixed: bool = False):
        """fixed: the same choices for an utterance in every epoch, as a cached teacher needs."""
        self.tokenizer, self.config, self.train, self.fixed = tokenizer, config, train, fixed
        if fixed:
            config.of_cached_teacher()  # whether it can be one

    def __call__(self, uid: str, data: dict) -> dict[str, np.ndarray]:
        conf = self.config
        text = written(data.pop("text"))
        previous = data.pop("text_prev", "")
        flags = data.pop("text_trusted", "")
        rng = np.random
        if self.fixed:
            rng = np.random.RandomState(zlib.crc32(uid.partition(COPY_MARK)[0].encode()))
        with_timestamps = "<|" in text and (
            rng.random_sample() < conf.timestamps if self.train else conf.timestamps > 0
        )
        speech = self._speech(uid, data)
        seconds = 0.0 if speech is None else len(speech) / SAMPLE_RATE
        tokens, cut = self._label(uid, text, seconds)
        runs_on = timestamps.continued(text)
        if runs_on is not None and not with_timestamps and cut is None:
            # Without its start to say so, nothing tells the student that a segment begins whose words are not here.
            cut = runs_on or None
        if cut is not None:
            speech = None if speech is None else speech[: round(cut * SAMPLE_RATE)]
            if ENCODER_OUT in data:
                data[ENCODER_OUT] = data[ENCODER_OUT][: encoder_frames(cut)]
        if self.train and (conf.speed or conf.tempo or conf.pitch):
            tokens, speech = self._distort(uid, tokens, speech)
        learnt = self._learnt(uid, text, tokens, flags) if flags else None
        if not with_timestamps:
            is_text = [t < self.tokenizer.timestamp_begin for t in tokens]
            tokens = list(itertools.compress(tokens, is_text))
            if learnt is not None:
                learnt = [*itertools.compress(learnt, is_text), True]
        start = self.tokenizer.sot_sequence(conf.language, timestamps=with_timestamps)
        prompt: list[int] = []
        if previous and self.train and rng.random_sample() < conf.prompt:
            prompt = self.tokenizer.encode(timestamps.strip(previous))[-(conf.max_prompt - 1) :]
            room = conf.max_tokens - len(start) - len(tokens) - 1
            prompt = [self.tokenizer.sot_prev, *prompt[max(0, len(prompt) - room + 1) :]] if room > 1 else []
        row = np.array([*prompt, *start, *tokens, self.tokenizer.eot], dtype=np.int64)
        self._check(uid, row, data)
        # The start sequence is given at inference, so the first predicted token follows it.
        out = {"text": row, "loss_start": np.array([len(prompt) + len(start)], dtype=np.int64)}
        if learnt is not None:
            out["trusted"] = np.array([*[0] * (len(prompt) + len(start)), *learnt], dtype=np.int64)
        if speech is not None:
            out["speech"] = self._augment(speech)
        return {**out, **data}

    def _learnt(self, uid: str, text: str, tokens: list[int], flags: str) -> list[bool]:
        """For each token of the label and for the end of text whether training counts it.

        Those of segments that are not trusted it does not, but all times: where speech is can be right though the
        words are not, and a student that is not held to times loses the thread of a long recording.
        """
        try:
            flags_left = iter(trusted.read(uid, flags, len(timestamps.parse(text))))
        except ValueError as error:
            raise DataError(str(error)) from None
        marks: list[bool] = []
        for is_time, run in itertools.groupby(tokens, lambda token: token >= self.tokenizer.timestamp_begin):
            run = list(run)
            is_segment = not is_time and bool(self.tokenizer.decode(run).strip())
            marks += [next(flags_left) if is_segment else True] * len(run)
        return [*marks, True]

    def _speech(self, uid: str, data: dict) -> np.ndarray | None:
        if "speech" not in data:
            return None
        speech = data.pop("speech")
        if speech is None:
            raise Unusable(f"{uid}: its audio cannot be read")
        speech = np.asarray(speech, dtype=np.float32)
        if not len(speech):
            raise Unusable(f"{uid}: the audio is empty; copy its recording again")
        if not np.isfinite(speech).all():
            raise Unusable(f"{uid}: the audio holds NaN or infinity; write its recording again")
        return speech

    def _check(self, uid: str, row: np.ndarray, data: dict) -> None:
        """What is stored of a teacher has to belong to these tokens and this vocabulary."""
        size = self.tokenizer.vocab_size
        largest = max(row.max(), data[TOPK_IDS].max(initial=0) if TOPK_IDS in data else 0)
        if largest >= size:
            raise DataError(f"{uid}: token {largest} is outside the vocabulary of {size}")
        for name in (TOPK_IDS, TOPK_LOG_PROBS):
            if name in data and len(data[name]) != len(row) - 1:
                raise DataError(
                    f"{uid}: {name} holds {len(data[name])} rows, the label needs {len(row) - 1}; run "
                    "k2d cache_teacher again with these labels and this batch_conf"
                )

    def _label(self, uid: str, text: str, seconds: float) -> tuple[list[int], float | None]:
        """Tokens of the label of `seconds` of audio; what is too long is cut behind the last end timestamp
        that fits.

        Returns the tokens and the time (s) the audio must be cut at, None for no cut.
        """
        encode = self.tokenizer.encode_with_timestamps
        start = self.tokenizer.sot_sequence(self.config.language, timestamps=False)
        room = self.config.max_tokens - len(start) - 1
        tokens, cut = encode(text), None
        too_long = seconds > LONGEST
        if len(tokens) > room or too_long:
            segments = timestamps.parse(text)
            while segments and (len(tokens) > room or too_long):
                segments.pop()
                tokens = encode(timestamps.format(segments))
                too_long = too_long and bool(segments) and segments[-1][1] > WINDOW
            if not segments:
                problem = (
                    f"more than {room} tokens" if seconds <= LONGEST else f"{seconds:.1f} s of audio"
                )
                raise Unusable(
                    f"{uid}: the label has {problem} and no timestamp to cut it at; drop it from text"
                )
            cut = segments[-1][1]
        return tokens, cut

    def _distort(self, uid: str, tokens: list[int], speech: np.ndarray | None):
        """Speed, tempo and pitch, each drawn from its choices; timestamps move with the first two."""
        conf = self.config
        if speech is None:
            raise DataError(
                f"{uid}: batch_conf: speed, tempo and pitch need audio, but the training set holds stored encoder "
                "output; leave them empty"
            )
        speed = _drawn(conf.speed, speech)
        if speed != 1.0:
            speech = soxr.resample(speech, SAMPLE_RATE * speed, SAMPLE_RATE).astype(np.float32)
        tempo = _drawn(conf.tempo, speech)
        if tempo != 1.0 or conf.pitch:
            import librosa  # here, because it takes a second to import and few configurations want it

            if tempo != 1.0:
                speech = librosa.effects.time_stretch(speech, rate=tempo)
            if conf.pitch and (steps := float(np.random.choice(conf.pitch))):
                speech = librosa.effects.pitch_shift(speech, sr=SAMPLE_RATE, n_steps=steps)
        begin, factor = self.tokenizer.timestamp_begin, speed * tempo
        moved = [
            t if t < begin else self.tokenizer.timestamp_token((t - begin) * TIMESTAMP_STEP / factor)
            for t in tokens
        ]
        return moved, np.asarray(speech, dtype=np.float32)

    def _augment(self, speech: np.ndarray) -> np.ndarray:
        conf = self.config
        if not self.train or not conf.noise or np.random.random() >= conf.noise:
            return speech
        return add_noise(speech, np.random.uniform(*conf.noise_snr), np.random)


class MakeRow:
    """MakeExample for ESPnet's loaders: an utterance that cannot be used is marked LEFT_OUT, with a line in the log the
    first time, so that it ends no training. Its row is one of which no token is learnt, for a batch of nothing else.
    """

    def __init__(self, make: MakeExample):
        self.make = make
        self._warned_of: set[str] = set()

    def __call__(self, uid: str, data: dict) -> dict[str, np.ndarray]:
        given = dict(data)
        try:
            return self.make(uid, data)
        except Unusable as error:
            if uid not in self._warned_of:
                self._warned_of.add(uid)
                logging.warning(f"left out: {error}")
            return {LEFT_OUT: np.ones(1, np.int64), **self._nothing(given)}

    def _nothing(self, given: dict) -> dict[str, np.ndarray]:
        tokenizer = self.make.tokenizer
        start = tokenizer.sot_sequence(self.make.config.language, timestamps=False)
        row = np.array([*start, tokenizer.eot], dtype=np.int64)
        out = {"text": row, "loss_start": np.array([len(row)], dtype=np.int64)}
        if "speech" in given:
            out["speech"] = np.zeros(SAMPLE_RATE // 10, dtype=np.float32)
        return out | {name: given[name][: len(row) - 1] for name in _STORED if name in given}


def written(label: str) -> str:
    """A label with no other tokens than times on Whisper's grid and, at its end, `<|continued|>`."""

    def token(match: re.Match) -> str:
        time = timestamps.TIME.fullmatch(match[0])
        return timestamps.token(float(time[1])) if time else ""

    found = timestamps.TOKEN.sub(token, label)
    return found + CONTINUED if timestamps.continued(label) is not None else found


def _drawn(factors: Sequence[float], speech: np.ndarray) -> float:
    """One of the factors under which the audio still fits the encoder, or its last words would be lost; else 1."""
    fitting = [f for f in factors if len(speech) / f <= LONGEST * SAMPLE_RATE]
    return float(np.random.choice(fitting)) if fitting else 1.0


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
        self.n_mels, self.trim_padding, self._empty = n_mels, trim_padding, 0

    def __call__(
        self, items: list[tuple[str, dict[str, np.ndarray]]]
    ) -> tuple[list[str], dict[str, torch.Tensor]]:
        kept = [(uid, data) for uid, data in items if LEFT_OUT not in data]
        self._empty = 0 if kept else self._empty + 1
        if self._empty > _EMPTY:
            raise DataError(
                f"{', '.join(uid for uid, _ in items)}: no utterance of this batch can be used; the lines above say "
                f"why. Nor could any of the {_EMPTY} batches before: is the disk of the recordings there?"
            )
        # Of nothing usable one row stays, of which nothing is learnt: every process of a training needs its batch.
        kept = kept or items[:1]
        uids = [uid for uid, _ in kept]
        rows = [data for _, data in kept]
        text = torch.full((len(rows), max(len(row["text"]) for row in rows)), -1, dtype=torch.long)
        for i, row in enumerate(rows):
            text[i, : len(row["text"])] = torch.from_numpy(row["text"])
        batch = {
            "text": text,
            "loss_start": torch.from_numpy(np.concatenate([row["loss_start"] for row in rows])),
        }
        if any("trusted" in row for row in rows):
            batch["trusted"] = torch.zeros(text.shape, dtype=torch.bool)
            for i, row in enumerate(rows):
                batch["trusted"][i, : len(row["text"])] = torch.from_numpy(row.get("trusted", np.array(1)))
        if any("weight" in row for row in rows):
            batch["weight"] = torch.tensor([float(row.get("weight", np.ones(1))[0]) for row in rows])
        if "speech" in rows[0]:
            mel, frames = log_mels([row["speech"] for row in rows], self.n_mels, self.trim_padding)
            batch["mel"], batch["frames"] = mel, frames
        for name in _STORED:
            if name in rows[0]:
                length = text.shape[1] - 1 if name.startswith("topk") else None
                batch[name], lengths = pad([row[name] for row in rows], length)
                if name == ENCODER_OUT:
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
    frames = torch.tensor([encoder_frames(min(len(s), samples) / SAMPLE_RATE) for s in speech])
    return torch.stack(mels), frames
