"""Recordings in, 16 kHz mono float32 out: `from k2d.audio import read_audio, open_utterances, BadAudio`.

Names are looked up when asked for, since stamps of files are needed where nothing is decoded.
"""

from importlib import import_module

_WHERE = {
    "read_audio": "k2d.audio.read",
    "recording_duration": "k2d.audio.read",
    "header": "k2d.audio.read",
    "open_utterances": "k2d.audio.utterances",
    "Utterances": "k2d.audio.utterances",
    "BadAudio": "k2d.errors",
    "SAMPLE_RATE": "k2d.constants",
}


def __getattr__(name: str):
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'k2d.audio' has no attribute {name!r}")
