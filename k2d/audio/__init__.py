"""Recordings in, 16 kHz mono float32 out: `from k2d.audio import read_audio`.

The names that programs of others import are looked up when asked for: commands that decode nothing load no decoder.
"""

_READ = ("read_audio", "recording_duration", "audio_blocks", "header")


def __getattr__(name: str):
    if name not in _READ:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from k2d.audio import read

    return getattr(read, name)
