"""What was said in a recording and when: segments with times, text, and what is known of how they were found.

In: what a transcriber wrote. Out: plain objects that come back from JSON as they were.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field


@dataclass
class TimedText:
    """One segment: start and end in seconds of the recording, text as the model wrote it, token ids.

    The facts below `tokens` are those of the window it was decoded in; confidence is its own (0 … 1, None
    where the engine does not tell token probabilities).
    """

    start: float
    end: float
    text: str
    tokens: list[int]
    seek: int
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    confidence: float | None = None


@dataclass
class Transcript:
    recording: str
    duration: float  # seconds
    language: str | None
    segments: list[TimedText] = field(default_factory=list)

    @classmethod
    def from_record(cls, record: dict) -> Transcript:
        """The transcript of a stored result (`dataclasses.asdict` and an "id")."""
        segments = [TimedText(**s) for s in record["segments"]]
        return cls(record["id"], record["duration"], record["language"], segments)

    def record(self) -> dict:
        """A JSON object with everything, "id" first."""
        return {
            "id": self.recording,
            "duration": self.duration,
            "language": self.language,
            "segments": [dataclasses.asdict(s) for s in self.segments],
        }
