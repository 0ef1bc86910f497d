"""What every command that reads recordings is asked about them. Imports nothing heavy.

In: command-line options. Out: `AudioOptions`; its `reading` are the keyword arguments of read_audio,
open_utterances and the sources of k2d/audio/sources.py, its `decides` is what a step's key has of them.
"""

from dataclasses import dataclass

from k2d.options import option

DAMAGED = ("warn", "skip")


@dataclass(frozen=True)
class AudioOptions:
    """Which recordings may be read, and how."""

    GROUP = "recordings"
    allow_pipes: bool = option(False, "run commands (… |) in wav.scp")
    damaged: str = option("warn", "read the intact part of a damaged recording, or skip it", choices=DAMAGED)

    @property
    def reading(self) -> dict[str, object]:
        return {"allow_pipes": self.allow_pipes, "damaged": self.damaged}

    def decides(self, commands: bool) -> dict[str, object]:
        """What of this decides what is read. commands: whether there are any; where there are none, none is allowed."""
        return {**self.reading, "allow_pipes": self.allow_pipes and commands}


DEFAULT = AudioOptions()
