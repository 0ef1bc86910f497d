"""Audio in, a small log-mel spectrogram out, as the picture a page shows under a player."""

import base64
import io

import numpy as np

from k2d.constants import SAMPLE_RATE

WIDTH, HEIGHT = 400, 64  # pixels: frames and mel bands
# Sixteen colours of matplotlib's viridis, dark to bright; four bits a pixel are 6 kB for speech, and no eye sees steps.
PALETTE = bytes.fromhex(
    "440154 48196b 462f7c 404387 38568b 30678d 29788e 23888d 1e988a 22a784 35b778 53c567 79d151 a5da35 d2e11b fde724"
)
LEVELS = len(PALETTE) // 3
RANGE = 60.0  # dB below the loudest place that are told apart


def spectrogram(audio: np.ndarray) -> str:
    """PNG of at most WIDTH frames as a data URI, low frequencies below. audio: (samples,) float32 of 16 kHz."""
    import librosa
    from PIL import Image

    hop = max(160, -(-len(audio) // WIDTH))
    mel = librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=1024, hop_length=hop, n_mels=HEIGHT)
    decibels = librosa.power_to_db(mel, ref=np.max, top_db=RANGE)[::-1, :WIDTH]
    picture = Image.fromarray(np.round((decibels / RANGE + 1) * (LEVELS - 1)).astype(np.uint8)).convert("L")
    picture.putpalette(PALETTE)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, bits=4)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
