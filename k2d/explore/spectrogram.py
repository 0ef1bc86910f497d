"""Audio in, a small log-mel spectrogram out, as the picture a page shows under a player."""

import base64
import io

import numpy as np

from k2d.constants import SAMPLE_RATE

WIDTH, HEIGHT = 400, 64  # pixels: frames and mel bands
LEVELS = 16  # colours, four bits a pixel: 6 kB for speech, and no eye sees the steps
RANGE = 60.0  # dB below the loudest place that are told apart


def spectrogram(audio: np.ndarray) -> str:
    """PNG of at most WIDTH frames as a data URI, low frequencies below. audio: (samples,) float32 of 16 kHz."""
    import librosa
    import matplotlib
    from PIL import Image

    hop = max(160, -(-len(audio) // WIDTH))
    mel = librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=1024, hop_length=hop, n_mels=HEIGHT)
    decibels = librosa.power_to_db(mel, ref=np.max, top_db=RANGE)[::-1, :WIDTH]
    picture = Image.fromarray(np.round((decibels / RANGE + 1) * (LEVELS - 1)).astype(np.uint8)).convert("L")
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, LEVELS))[:, :3]
    picture.putpalette((255 * colours).astype(np.uint8).tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, bits=4)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
