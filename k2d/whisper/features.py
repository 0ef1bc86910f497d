"""Log-mel features of whole recordings and of windows.

In: 16 kHz audio. Out: (n_mels, frames) tensors as openai-whisper computes them, 100 frames a second. A whole
recording is computed in blocks, since a spectrogram of three hours at once would need several gigabytes.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from typing import IO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.constants import HOP_LENGTH, N_FRAMES, N_SAMPLES, SAMPLE_RATE

N_FFT = 400  # samples
BLOCK = 6000  # frames computed at once

_log = logging.getLogger("k2d.whisper")


@cache
def mel_filters(n_mels: int) -> Tensor:
    """Slaney's mel filters, as Whisper has them: (n_mels, 201) float32, for any number of mels."""
    import librosa  # takes a second

    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=n_mels, norm="slaney"))


def recording_log_mel(audio: np.ndarray, n_mels: int) -> Tensor:
    """Features of a recording, (n_mels, samples // 160), normalised by its loudest frame.

    Equal to `whisper.log_mel_spectrogram(audio, n_mels, padding=30 s)` without the frames of the padding.
    """
    mel = torch.empty(n_mels, len(audio) // HOP_LENGTH)
    for first, part in _in_blocks(audio, n_mels):
        mel[:, first : first + part.shape[1]] = part
    return _normalised(mel, mel.max())


def _in_blocks(audio: np.ndarray, n_mels: int) -> Iterator[tuple[int, Tensor]]:
    """(first frame, (n_mels, frames ≤ BLOCK)), not yet normalised. Nothing is copied that is as long as the audio."""
    audio = torch.as_tensor(audio, dtype=torch.float32)
    frames, half = len(audio) // HOP_LENGTH, N_FFT // 2
    window, filters = torch.hann_window(N_FFT), mel_filters(n_mels)
    for first in range(0, frames, BLOCK):
        last = min(first + BLOCK, frames)
        # Frame t is centred on sample 160 t: reflection at the start, silence behind the end.
        begin, end = first * HOP_LENGTH - half, (last - 1) * HOP_LENGTH + half
        part = audio[max(begin, 0) : end]
        if begin < 0:
            part = torch.cat([audio[1 : half + 1].flip(0), part])
        if end > len(audio):
            part = F.pad(part, (0, end - len(audio)))
        power = torch.stft(part, N_FFT, HOP_LENGTH, window=window, center=False, return_complex=True).abs() ** 2
        yield first, torch.clamp(filters @ power, min=1e-10).log10()


class RecordingFeatures:
    """The features of a recording, window by window: in memory, or on disk if it is long.

    Eight recordings of eight hours, decoded together, have 7 GB of features. `seconds` from which on they go into a
    temporary file (in $TMPDIR, else /var/tmp, which is no memory): a window is read in a thousandth of the time that it
    takes to decode. Where the disk is full they stay in memory.
    """

    def __init__(self, audio: np.ndarray, n_mels: int, seconds: float = 1800.0):
        self.n_mels, self.frames = n_mels, len(audio) // HOP_LENGTH
        self._mel, self._file = None, None
        if len(audio) >= seconds * SAMPLE_RATE:
            try:
                self._file, loudest = self._spill(audio)
            except OSError as error:
                _log.warning(f"features of {len(audio) / SAMPLE_RATE / 3600:.1f} h stay in memory: {error}")
        if self._file is None:
            self._mel = recording_log_mel(audio, n_mels)
            self.loudest = float(self._mel.max())
        else:
            self._raw_loudest, self.loudest = loudest, float(_normalised(loudest, loudest))

    def _spill(self, audio: np.ndarray) -> tuple[IO[bytes], Tensor]:
        """A file of the frames, one after the other, and the largest value in it."""
        folder = os.environ.get("TMPDIR") or ("/var/tmp" if os.path.isdir("/var/tmp") else None)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the features
        loudest = torch.tensor(-torch.inf)
        try:
            for _, part in _in_blocks(audio, self.n_mels):
                file.write(part.T.contiguous().numpy().data)
                loudest = torch.maximum(loudest, part.max())
            file.flush()
        except BaseException:
            file.close()
            raise
        return file, loudest

    def window(self, seek: int, size: int, trim_padding: bool) -> Tensor:
        """Frames [seek, seek + size), padded as `padded_window` says."""
        if self._mel is not None:
            return padded_window(self._mel[:, seek : seek + size], self.loudest, trim_padding)
        row = 4 * self.n_mels
        found = os.pread(self._file.fileno(), size * row, seek * row)
        raw = torch.frombuffer(bytearray(found), dtype=torch.float32).view(-1, self.n_mels).T.contiguous()
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
    silence = loudest - 2.0  # where recording_log_mel cuts off
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
