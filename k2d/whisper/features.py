"""Log-mel features of whole recordings and of windows.

In: 16 kHz audio. Out: (n_mels, frames) tensors as openai-whisper computes them, 100 frames a second. A whole
recording is computed in blocks, since a spectrogram of three hours at once would need several gigabytes.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.audio.whole import scratch_file, write_all
from k2d.constants import HOP_LENGTH, MEL_FRAMES_PER_SECOND, N_FFT, N_FRAMES, N_SAMPLES, SAMPLE_RATE
from k2d.text.whisper_import import whisper

BLOCK = 6000  # frames computed at once

_log = logging.getLogger("k2d.whisper")


@cache
def mel_filters(n_mels: int) -> Tensor:
    """Slaney's mel filters: (n_mels, 201) float32, for any number of mels; Whisper's own where it has them."""
    if n_mels in (80, 128):
        return whisper.audio.mel_filters("cpu", n_mels)
    import librosa  # takes a second, and gives the same

    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=n_mels, norm="slaney"))


def _in_blocks(audio: Iterable[np.ndarray], n_mels: int) -> Iterator[Tensor]:
    """(n_mels, frames ≤ BLOCK), not yet normalised. Of the audio, which comes in pieces, a minute is held."""
    window, filters, half = torch.hann_window(N_FFT), mel_filters(n_mels), N_FFT // 2

    def features(samples: Tensor) -> Tensor:
        power = torch.stft(samples, N_FFT, HOP_LENGTH, window=window, center=False, return_complex=True).abs() ** 2
        return torch.clamp(filters @ power, min=1e-10).log10()

    # Frame t is centred on sample 160 t: reflection at the start, silence behind the end. `held` begins half a window
    # before the next frame's centre, once it is known what is mirrored before the first.
    held, begun, whole = torch.zeros(0), False, (BLOCK - 1) * HOP_LENGTH + N_FFT
    for piece in audio:
        held = torch.cat([held, torch.as_tensor(piece, dtype=torch.float32)])
        if not begun and len(held) > half:
            held, begun = torch.cat([held[1 : half + 1].flip(0), held]), True
        while len(held) >= whole:
            yield features(held[:whole])
            held = held[BLOCK * HOP_LENGTH :]
    frames = (len(held) - half) // HOP_LENGTH if begun else 0
    if frames:
        samples = held[: (frames - 1) * HOP_LENGTH + N_FFT]
        yield features(F.pad(samples, (0, (frames - 1) * HOP_LENGTH + N_FFT - len(samples))))


class RecordingFeatures:
    """The features of a recording, window by window: in memory, or on disk if it is long.

    Normalised by its loudest frame: those of `whisper.log_mel_spectrogram(audio, n_mels, padding=30 s)` without the
    frames of the padding.

    Thirty-two recordings of eight hours, decoded together, have 47 GB of features. `seconds` from which on they go into
    a temporary file (in $TMPDIR, else /var/tmp, which is no memory): a window is read in a thousandth of the time that
    it takes to decode. Where the disk is full they stay in memory.
    """

    def __init__(self, audio: Iterable[np.ndarray], n_mels: int, seconds: float = 600.0):
        """audio: the samples in pieces, which are gone through once."""
        self.n_mels, self.frames = n_mels, 0
        self._file, most = None, seconds * MEL_FRAMES_PER_SECOND
        self._raw_loudest = torch.tensor(-torch.inf)
        kept: list[Tensor] = []
        for part in _in_blocks(audio, n_mels):
            kept.append(part)
            self.frames += part.shape[1]
            self._raw_loudest = torch.maximum(self._raw_loudest, part.max())
            if self.frames < most:
                continue
            try:
                self._spill(kept)
                kept.clear()
            except OSError as error:
                _log.warning(f"features of a recording stay in memory from here on: {error}")
                before = self.frames - sum(part.shape[1] for part in kept)
                kept, most = ([self._raw(0, before)] if self._file else []) + kept, np.inf
                self._file = None
        self.loudest = float(_normalised(self._raw_loudest, self._raw_loudest))
        self._mel = None
        if self._file is None:
            self._mel = _normalised(torch.cat([torch.empty(n_mels, 0), *kept], dim=1), self._raw_loudest)

    def _spill(self, parts: list[Tensor]) -> None:
        """Add frames, one after the other, to the temporary file."""
        if self._file is None:
            self._file = scratch_file()
        for part in parts:
            write_all(self._file, part.T.numpy())

    def _raw(self, seek: int, size: int) -> Tensor:
        """Frames [seek, seek + size) from the file, not yet normalised."""
        row = 4 * self.n_mels
        found = bytearray(os.pread(self._file.fileno(), size * row, seek * row))
        return torch.frombuffer(found, dtype=torch.float32).view(-1, self.n_mels).T.contiguous()

    def window(self, seek: int, size: int, trim_padding: bool) -> Tensor:
        """Frames [seek, seek + size), padded as `padded_window` says."""
        if self._mel is not None:
            return padded_window(self._mel[:, seek : seek + size], self.loudest, trim_padding)
        raw = self._raw(seek, size)
        return padded_window(_normalised(raw, self._raw_loudest), self.loudest, trim_padding)


def _normalised(mel: Tensor, loudest: Tensor) -> Tensor:
    """Eight powers of ten below the loudest frame are the floor; speech lies around 0."""
    return (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0


def padded_window(window: Tensor, loudest: float, trim_padding: bool) -> Tensor:
    """A window (n_mels, frames) of a recording, padded as openai-whisper's `transcribe` pads: zeros, to 30 s.

    Models trained with shorter contexts (trim_padding) get what they were trained on: a little silence. loudest: the
    largest value of the whole recording.
    """
    size = window.shape[1]
    if not trim_padding:
        return F.pad(window, (0, N_FRAMES - size))
    wanted = context_samples(size * HOP_LENGTH, True) // HOP_LENGTH
    silence = loudest - 2.0  # the floor of `_normalised`
    return F.pad(window, (0, wanted - size), value=silence)


def context_samples(longest: int, trim_padding: bool) -> int:
    """Samples a batch is padded to: 30 s; with trim_padding its longest plus half a second, in whole
    seconds.
    """
    if not trim_padding:
        return N_SAMPLES
    return min(N_SAMPLES, -(-(longest + SAMPLE_RATE // 2) // SAMPLE_RATE) * SAMPLE_RATE)


def utterance_log_mel(audio: np.ndarray, n_mels: int, samples: int) -> Tensor:
    """Features of an utterance padded with silence to `samples`: (n_mels, samples // 160)."""
    audio = np.pad(audio[:samples], (0, max(0, samples - len(audio))))
    return log_mel(audio, n_mels)


def log_mel(audio, n_mels: int = 80) -> Tensor:
    """Whisper's features of 16 kHz audio (samples,): (n_mels, samples // 160) float32."""
    audio = torch.as_tensor(audio, dtype=torch.float32)
    power = torch.stft(audio, N_FFT, HOP_LENGTH, window=torch.hann_window(N_FFT), return_complex=True).abs() ** 2
    mel = torch.clamp(mel_filters(n_mels) @ power[..., :-1], min=1e-10).log10()
    return _normalised(mel, mel.max())
