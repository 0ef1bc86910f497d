"""A transcript: segments of a recording with their times, and whatever the recogniser knows of them.

In: what a recogniser, or a file of subtitles, says. Out: a `Transcript`, and the same as a JSON object.
"""

import dataclasses
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from k2d.text import timestamps

# What decoding says of a text; in a directory of scores it is of the validator's text.
DECODING_FACTS = ("avg_logprob", "no_speech", "compression", "temperature", "confidence")
_HALF = re.compile("[\ud800-\udfff]")  # of a character, as a cut JSON escape leaves it: no file can hold one


@dataclass
class TimedText:
    """One segment: start and end in seconds of the recording, text as Whisper writes it (a space before a word of a
    spaced script), token ids.

    end is None where only the text is known, which a recording of at most 30 s may have. What the recogniser does not
    tell is None: those facts from `seek` on are of Whisper's window it was decoded in; confidence (0 … 1) is its own.
    """

    start: float
    end: float | None
    text: str
    tokens: list[int] = field(default_factory=list)
    seek: int | None = None
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    confidence: float | None = None
    words: list[dict] | None = None  # {"word", "start", "end", "probability"}, where word times were asked for


@dataclass
class Transcript:
    recording: str
    duration: float  # seconds
    language: str | None
    segments: list[TimedText] = field(default_factory=list)
    # Seconds of windows by what became of them ("no_speech": left out, "failed": kept); None of other recognisers.
    windows: dict[str, float] | None = None

    @classmethod
    def from_record(cls, record: dict) -> "Transcript":
        """The transcript of a stored result (`record()`)."""
        segments = [TimedText(**s) for s in record["segments"]]
        return cls(record["id"], record["duration"], record["language"], segments, record.get("windows"))

    def record(self) -> dict:
        """A JSON object with everything that is known, "id" first."""
        record = {
            "id": self.recording,
            "duration": self.duration,
            "language": self.language,
            "segments": [_without_missing_words(dataclasses.asdict(s)) for s in self.segments],
        }
        return record if self.windows is None else record | {"windows": self.windows}

    @property
    def timed(self) -> bool:
        """Whether all times are known."""
        return all(s.end is not None for s in self.segments)

    @property
    def text(self) -> str:
        """Plain text: the segments with one space between words, none between Chinese characters."""
        return timestamps.strip(self.text_with_times)

    @property
    def text_with_times(self) -> str:
        """`<|0.00|>…<|5.20|>`."""
        return timestamps.format([(s.start, s.end, s.text) for s in self.segments])


def _without_missing_words(segment: dict) -> dict:
    return segment if segment["words"] is not None else {k: v for k, v in segment.items() if k != "words"}


def mean_fact(segments: Sequence[TimedText], name: str) -> float | None:
    """The mean of what is known of segments, weighted by their tokens; None where nothing is."""
    known = [(max(len(s.tokens), 1), getattr(s, name)) for s in segments if getattr(s, name) is not None]
    return sum(w * v for w, v in known) / sum(w for w, _ in known) if known else None


def worst_fact(segments: Sequence[TimedText], name: str) -> float | None:
    """The largest of what is known of segments; None where nothing is."""
    return max((getattr(s, name) for s in segments if getattr(s, name) is not None), default=None)


def facts_of(segments: Sequence[TimedText], text: str) -> dict[str, float | None]:
    """DECODING_FACTS of segments, None for what the transcriber did not tell.

    avg_logprob and confidence: means over the segments, weighted by tokens. no_speech and temperature: the worst of the
    windows. compression: of their text, since a loop in it is what counts.
    """
    return {
        "avg_logprob": mean_fact(segments, "avg_logprob"),
        "no_speech": worst_fact(segments, "no_speech_prob"),
        "compression": compression_ratio(text),
        "temperature": worst_fact(segments, "temperature"),
        "confidence": mean_fact(segments, "confidence"),
    }


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib compression: high where it repeats itself (Whisper's
    measure).
    """
    raw = text.encode("utf-8")
    return len(raw) / len(zlib.compress(raw))


def mean_confidence(token_logprobs: Sequence[float]) -> float | None:
    """Geometric mean probability of the tokens, 0 … 1; None where there is none."""
    if not token_logprobs:
        return None
    return math.exp(sum(token_logprobs) / len(token_logprobs))


def one_line(text: str) -> str:
    """The text without line breaks and other control characters, which a table of one line an id cannot hold
    and models do write now and then.
    """
    return re.sub(r"\s*[\x00-\x1f\x7f\x85\u2028\u2029]+\s*", " ", text)


def seconds_of(value: object) -> float:
    """A time that a file tells. ValueError or TypeError for what is not a finite number."""
    try:
        seconds = float(value)
    except OverflowError:
        seconds = float("inf")
    if not math.isfinite(seconds):
        raise ValueError(f"{str(value)[:20]} is not a time in seconds")
    return seconds


def as_whisper_writes(text: str) -> str:
    """One line, with a space before it unless its script has none or it is empty: a student learns Whisper's form."""
    text = " ".join(_HALF.sub("", text).split())
    return text if not text or timestamps.unspaced(text[0]) else f" {text}"
