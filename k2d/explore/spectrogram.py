"""Audio in, a small log-mel spectrogram out, as the picture a page shows under a player."""

import base64
import io

import numpy as np

from k2d.constants import SAMPLE_RATE

WIDTH, HEIGHT = 400, 64  # pixels: frames and mel bands
FFT = 1024  # samples of a frame
LEVELS = 16  # colours, four bits a pixel: 6 kB for speech, and no eye sees the steps
RANGE = 60.0  # dB below the loudest place that are told apart


def spectrogram(audio: np.ndarray) -> str:
    """PNG of at most WIDTH frames as a data URI, low frequencies below. audio: (samples,) float32 of 16 kHz."""
    import matplotlib
    from PIL import Image

    mel = power(audio, max(160, -(-len(audio) // WIDTH)))[::-1, :WIDTH]
    loudest = max(mel.max(), 1e-10)
    decibels = 10 * np.log10(np.maximum(mel / loudest, 10 ** (-RANGE / 10)))
    picture = Image.fromarray(np.round((decibels / RANGE + 1) * (LEVELS - 1)).astype(np.uint8)).convert("L")
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, LEVELS))[:, :3]
    picture.putpalette((255 * colours).astype(np.uint8).tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, bits=4)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def power(audio: np.ndarray, hop: int) -> np.ndarray:
    """(HEIGHT, frames) power in bands of equal width on the mel scale, low frequencies first; a frame every `hop`
    samples. By numpy, since librosa takes longer to import than a page's pictures take to draw.
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, FFT // 2), FFT)[::hop]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(FFT))) ** 2
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, HEIGHT + 2) / 2595) - 1)[:, None]  # Hz
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
    triangles = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clip(0)
    return (triangles / (high - low)) @ spectra.T
