"""Speech with no text: seconds of a chunk where a voice is active and the teacher wrote nothing.

In: audio (mono, 16 kHz) and the teacher's text with timestamps. Out: seconds.

Agreement between two models cannot see this: models that share a habit of leaving things out agree.
"""

import warnings
from functools import cache
from importlib.util import find_spec

import numpy as np

from k2d.constants import SAMPLE_RATE
from k2d.text import timestamps

DETECTORS = ("auto", "silero", "energy")
_HOP = 0.02  # seconds
_HANGOVER = 0.2  # seconds by which speech is widened on both sides


def untexted_speech(audio: np.ndarray, text: str, detector: str = "auto") -> float:
    """Seconds of speech outside the teacher's segments; all of the speech when the text is empty.

    A text without timestamps covers its whole chunk, and an open segment runs to the chunk's end, also one
    whose text stands in the next chunk (`<|continued|>`).
    """
    speaking = voice_activity(audio, detector)
    silent_text = np.ones(len(speaking), bool)
    segments = timestamps.parse(text)
    if (continued := timestamps.continued(text)) is not None:
        segments.append((continued, None, ""))
    for start, end, _ in segments:
        last = len(speaking) if end is None else int(np.ceil(end / _HOP))
        silent_text[int(start / _HOP) : last] = False
    return float((speaking & silent_text).sum() * _HOP)


def voice_activity(audio: np.ndarray, detector: str = "auto") -> np.ndarray:
    """Is there speech? One answer every 20 ms, bool.

    "silero" is the network of the package silero-vad, "energy" the detector below, "auto" silero where the
    package is installed.
    """
    if detector not in DETECTORS:
        raise ValueError(f"voice activity detector {detector!r}: expected one of {', '.join(DETECTORS)}")
    frames = int(np.ceil(len(audio) / SAMPLE_RATE / _HOP))
    if detector == "energy" or (detector == "auto" and find_spec("silero_vad") is None):
        return energy_activity(audio)
    import torch
    from silero_vad import get_speech_timestamps

    found = get_speech_timestamps(torch.from_numpy(np.ascontiguousarray(audio, np.float32)), _silero())
    speaking = np.zeros(frames, bool)
    for span in found:
        first, last = (span[key] / SAMPLE_RATE / _HOP for key in ("start", "end"))
        speaking[int(first) : int(np.ceil(last))] = True
    return speaking


@cache
def _silero():
    import torch
    from silero_vad import load_silero_vad

    threads = torch.get_num_threads()
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of its use of TorchScript
        model = load_silero_vad()
    torch.set_num_threads(threads)  # the package sets one for the whole process
    return model


def energy_activity(audio: np.ndarray) -> np.ndarray:
    """Speech where the energy of the voice band stands out of the chunk's own noise floor.

    The band is 250 to 4,000 Hz. Its level must lie 10 dB above the quietest tenth of the chunk, above
    −50 dB of full scale, and within 30 dB of the loudest; gaps of up to 0.4 s inside speech are speech.
    Music and steady tones may pass for speech: install silero-vad where they are common.
    """
    hop = int(_HOP * SAMPLE_RATE)
    frames = int(np.ceil(len(audio) / hop))
    if not frames:
        return np.zeros(0, bool)
    window = np.zeros(frames * hop, np.float32)
    window[: len(audio)] = audio
    spectrum = np.abs(np.fft.rfft(window.reshape(frames, hop) * np.hanning(hop).astype(np.float32)))
    hertz = np.fft.rfftfreq(hop, 1 / SAMPLE_RATE)
    band = spectrum[:, (hertz >= 250) & (hertz <= 4000)]
    level = 10 * np.log10((band**2).sum(1) / hop**2 + 1e-12)
    floor, peak = np.quantile(level, 0.1), level.max()
    speaking = (level > floor + 10) & (level > -50) & (level > peak - 30)
    wide = int(_HANGOVER / _HOP)
    return np.convolve(speaking, np.ones(2 * wide + 1), "same") > 0.5
