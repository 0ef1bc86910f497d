"""What a microphone adds to speech: noises, music, tones and a room. All signals are float32 mono at 16 kHz.

Every function takes a numpy Generator, and gives the same signal for the same state of it. Noises come out
with root mean square 1, so that a caller sets their level.
"""

import numpy as np
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

SAMPLE_RATE = 16000


def level(signal: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0


def scaled(signal: np.ndarray, target: float) -> np.ndarray:
    """The signal brought to a root mean square of `target`."""
    now = level(signal)
    return (signal * (target / now) if now > 0 else signal).astype(np.float32)


def decibels(db: float) -> float:
    """The amplitude ratio of so many decibels."""
    return 10 ** (db / 20)


# ---------------------------------------------------------------------------------------------------- noises


def white(length: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(length, dtype=np.float32)


def pink(length: int, rng: np.random.Generator) -> np.ndarray:
    """Power falling by 3 dB an octave: white noise through Kellet's three-pole approximation."""
    source = white(length, rng)
    poles = ((0.99765, 0.0990460), (0.96300, 0.2965164), (0.57000, 1.0526913))
    return sum(lfilter([gain], [1, -pole], source) for pole, gain in poles) + 0.1848 * source


def hum(length: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum of 50 or 60 Hz with its harmonics, over some white noise."""
    base, time = rng.choice([50, 60]), np.arange(length) / SAMPLE_RATE
    harmonics = sum(
        rng.uniform(0.3, 1) / k**0.7 * np.sin(2 * np.pi * base * k * time + rng.uniform(0, 2 * np.pi))
        for k in range(1, 13)
    )
    return harmonics + 0.6 * white(length, rng)


def babble(length: int, rng: np.random.Generator, voices: list[np.ndarray]) -> np.ndarray:
    """Several people talking at once: each of `voices` repeated, from its own random point."""
    return sum(np.resize(np.roll(scaled(voice, 1), rng.integers(len(voice))), length) for voice in voices)


def rumble(length: int, rng: np.random.Generator) -> np.ndarray:
    """Traffic: power falling by 6 dB an octave, swelling and fading every few seconds."""
    source = lfilter([1], [1, -0.99], white(length, rng))
    return source * _slow(length, rng, seconds=3.0) + 0.5 * white(length, rng)


def fan(length: int, rng: np.random.Generator) -> np.ndarray:
    """A ventilator: noise below 1 kHz that pulses with the blades, and the blades' own tone."""
    time, blades = np.arange(length) / SAMPLE_RATE, rng.uniform(9, 22)
    air = sosfilt(butter(2, 1000, fs=SAMPLE_RATE, output="sos"), white(length, rng))
    return scaled(air, 1) * (1 + 0.5 * np.sin(2 * np.pi * blades * time)) + 0.4 * np.sin(2 * np.pi * 7 * blades * time)


def crackle(length: int, rng: np.random.Generator) -> np.ndarray:
    """A bad line: sparse clicks through a resonance, over band-limited hiss."""
    clicks = (rng.random(length, dtype=np.float32) < 30 / SAMPLE_RATE) * rng.standard_normal(length, dtype=np.float32)
    ringing = lfilter([1], [1, -1.7, 0.81], clicks)
    hiss = sosfilt(butter(2, [800, 5000], "bandpass", fs=SAMPLE_RATE, output="sos"), white(length, rng))
    return scaled(ringing, 0.6) + scaled(hiss, 0.8)


def typing(length: int, rng: np.random.Generator) -> np.ndarray:
    """Somebody types beside the microphone: bursts of keys, each a short click that rings, over a little room noise."""
    keys, position = np.zeros(length, np.float32), 0
    while position < length:
        keys[position] = rng.uniform(0.5, 1.0) * rng.choice([-1, 1])
        waiting = rng.uniform(0.06, 0.25) if rng.random() < 0.9 else rng.uniform(0.5, 2.0)
        position += int(waiting * SAMPLE_RATE)
    clicks = lfilter([1], [1, -1.5, 0.9], keys)
    return scaled(clicks, 0.9) + 0.4 * scaled(pink(length, rng), 1)


def _slow(length: int, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A gain that wanders between about 0.3 and 1.7, with corners every so many seconds."""
    corners = rng.uniform(0.3, 1.7, size=int(length / SAMPLE_RATE / seconds) + 2)
    return np.interp(np.arange(length), np.arange(len(corners)) * seconds * SAMPLE_RATE, corners)


NOISES = {
    "white": white,
    "pink": pink,
    "hum": hum,
    "babble": babble,
    "rumble": rumble,
    "fan": fan,
    "crackle": crackle,
    "typing": typing,
}


def noise(kind: str, length: int, rng: np.random.Generator, voices: list[np.ndarray] = ()) -> np.ndarray:
    """`length` samples of a noise of NOISES with root mean square 1; `voices` are needed by babble only."""
    extra = (voices,) if kind == "babble" else ()
    return scaled(NOISES[kind](length, rng, *extra), 1)


# ----------------------------------------------------------------------------------------- what is not speech


def music(length: int, rng: np.random.Generator) -> np.ndarray:
    """Plucked chords, one after another: triads of a scale with decaying harmonics."""
    track, position = np.zeros(length, np.float32), 0
    root = rng.uniform(110, 220)
    while position < length:
        lasting = int(rng.uniform(0.3, 1.2) * SAMPLE_RATE)
        time = np.arange(min(lasting, length - position)) / SAMPLE_RATE
        degree = rng.choice([0, 2, 4, 5, 7, 9, 11])
        for step in (0, rng.choice([3, 4]), 7):
            pitch = root * 2 ** ((degree + step) / 12)
            for harmonic in range(1, 6):
                track[position : position + len(time)] += (
                    np.exp(-time * (1.5 + harmonic)) / harmonic * np.sin(2 * np.pi * pitch * harmonic * time)
                ).astype(np.float32)
        position += lasting
    return scaled(track, 1)


def tones(length: int, rng: np.random.Generator) -> np.ndarray:
    """Signals of a device: beeps of one or two frequencies with silence between them."""
    track, position = np.zeros(length, np.float32), 0
    pitches = rng.uniform(300, 2500, size=3)
    while position < length:
        lasting, silent = int(rng.uniform(0.1, 1.0) * SAMPLE_RATE), int(rng.uniform(0.05, 0.6) * SAMPLE_RATE)
        time = np.arange(min(lasting, length - position)) / SAMPLE_RATE
        for pitch in rng.choice(pitches, size=rng.integers(1, 3), replace=False):
            track[position : position + len(time)] += np.sin(2 * np.pi * pitch * time).astype(np.float32)
        position += lasting + silent
    return scaled(track, 1)


SOUNDS = {"music": music, "tones": tones}


def faded(signal: np.ndarray, seconds: float = 0.05) -> np.ndarray:
    """The signal without clicks at its ends."""
    ramp = np.minimum(1, np.arange(len(signal)) / (seconds * SAMPLE_RATE))
    return (signal * ramp * ramp[::-1]).astype(np.float32)


# ----------------------------------------------------------------------------------------------------- a room


def room(signal: np.ndarray, rng: np.random.Generator, decay: float, direct_db: float) -> np.ndarray:
    """The signal in a reverberant room, as long as before.

    decay: seconds in which the echoes fall by 60 dB; direct_db: how much louder the direct sound is than all
    echoes together. The impulse response is the direct sound and, 5 ms later, exponentially decaying noise.
    """
    length = int(decay * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: int(0.005 * SAMPLE_RATE)] = 0
    response = tail * decibels(-direct_db) / np.linalg.norm(tail)
    response[0] = 1
    return oaconvolve(signal, response.astype(np.float32))[: len(signal)].astype(np.float32)
