"""Log-mel features of whole recordings and of windows.

In: 16 kHz audio. Out: (n_mels, frames) tensors as openai-whisper computes them, 100 frames a second. A whole
recording is computed in blocks, since a spectrogram of three hours at once would need several gigabytes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from k2d.constants import HOP_LENGTH, N_FRAMES, N_SAMPLES, SAMPLE_RATE

N_FFT = 400  # samples
BLOCK = 6000  # frames computed at once


@cache
def mel_filters(n_mels: int) -> Tensor:
    """Slaney's mel filters, as Whisper has them: (n_mels, 201) float32, for any number of mels."""
    import librosa  # takes a second

    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=n_mels, norm="slaney"))


def recording_log_mel(audio: np.ndarray, n_mels: int) -> Tensor:
    """Features of a recording, (n_mels, samples // 160), normalised by its loudest frame.

    Equal to `whisper.log_mel_spectrogram(audio, n_mels, padding=30 s)` without the frames of the padding.
    """
    audio = torch.as_tensor(audio, dtype=torch.float32)
    frames = len(audio) // HOP_LENGTH
    half = N_FFT // 2
    # Frame t is centred on sample 160 t: reflection at the start, silence behind the end.
    padded = torch.cat([audio[1 : half + 1].flip(0), audio, audio.new_zeros(N_FFT)])
    window, filters = torch.hann_window(N_FFT), mel_filters(n_mels)
    mel = torch.empty(n_mels, frames)
    for first in range(0, frames, BLOCK):
        last = min(first + BLOCK, frames)
        part = padded[first * HOP_LENGTH : (last - 1) * HOP_LENGTH + N_FFT]
        power = torch.stft(part, N_FFT, HOP_LENGTH, window=window, center=False, return_complex=True).abs() ** 2
        mel[:, first:last] = torch.clamp(filters @ power, min=1e-10).log10()
    return _normalised(mel)


def _normalised(mel: Tensor) -> Tensor:
    """Eight powers of ten below the loudest frame are the floor; speech lies around 0."""
    return (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0


def window_of(mel: Tensor, seek: int, size: int, trim_padding: bool) -> Tensor:
    """Frames [seek, seek + size) of a recording, padded as openai-whisper's `transcribe` pads: zeros, to 30
    s.

    Models trained with shorter contexts (trim_padding) get what they were trained on: a little silence.
    """
    window = mel[:, seek : seek + size]
    if not trim_padding:
        return F.pad(window, (0, N_FRAMES - size))
    wanted = context_samples(size * HOP_LENGTH, True) // HOP_LENGTH
    silence = float(mel.max()) - 2.0  # where recording_log_mel cuts off
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
    return _normalised(torch.clamp(mel_filters(n_mels) @ power[..., :-1], min=1e-10).log10())
