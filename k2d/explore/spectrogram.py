"""Audio in, a small log-mel spectrogram out, as the picture a page shows under a player.

In numpy alone: librosa and matplotlib, which draw the same, take longer to import than a page's pictures to compute.
"""

import base64
import io
from functools import cache

import numpy as np

from k2d.constants import SAMPLE_RATE

WIDTH, HEIGHT = 400, 64  # pixels: frames and mel bands
N_FFT = 1024
RANGE = 60.0  # dB below the loudest place that are told apart
# Viridis in 16 colours, four bits a pixel: 6 kB for speech, and no eye sees the steps.
COLOURS = bytes.fromhex(
    "44015448196b462f7c40438738568b30678d29788e23888d1e988a22a78435b77853c56779d151a5da35d2e11bfde724"
)
LEVELS = len(COLOURS) // 3


def spectrogram(audio: np.ndarray) -> str:
    """PNG of at most WIDTH frames as a data URI, low frequencies below. audio: (samples,) float32 of 16 kHz."""
    from PIL import Image

    hop = max(160, -(-len(audio) // WIDTH))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, N_FFT // 2), N_FFT)[::hop][:WIDTH]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1])) ** 2
    decibels = 10 * np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    decibels = np.maximum(decibels - decibels.max(), -RANGE)[::-1]
    picture = Image.fromarray(np.round((decibels / RANGE + 1) * (LEVELS - 1)).astype(np.uint8)).convert("L")
    picture.putpalette(COLOURS)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, bits=4)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


@cache
def mel_filters() -> np.ndarray:
    """Triangles of equal area between places equally far apart in mel: (HEIGHT, N_FFT // 2 + 1)."""
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), HEIGHT + 2)
    low, middle, high = (700 * (10 ** (part[:, None] / 2595) - 1) for part in (mel[:-2], mel[1:-1], mel[2:]))
    hertz = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    triangles = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle))
    return np.maximum(triangles, 0) / (high - low)
