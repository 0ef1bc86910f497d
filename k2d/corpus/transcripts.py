"""The file that another program, or a person, has written of a recording: in, its segments out.

In: the JSON of openai-whisper, faster-whisper, whisperx, whisper.cpp, transformers' pipelines and `k2d transcribe`,
with the scores that it tells; subtitles (subtitles.py); a plain text. Out: `TimedText`s in order of time.
"""

import json
import math
from pathlib import Path

from k2d.constants import WINDOW
from k2d.corpus.subtitles import SHOWN, cues_of_text, read_cues, spoken, without_speakers
from k2d.errors import DataError
from k2d.text import timestamps
from k2d.text.encodings import read_text
from k2d.text.transcript import TimedText, as_whisper_writes, seconds_of

_OF_JSON = ("segments", "transcription", "chunks")  # what Whisper programs call the list of their segments
_SCORES = ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
_LEAST = 1e-10  # of a probability whose logarithm is taken


def read_transcript(path: Path) -> list[TimedText]:
    """Segments of a file; none of one that says nothing, as of a silent recording. Of a plain text one without an end.

    Raises DataError for what is no transcript.
    """
    if path.suffix.lower() == ".json":
        return segments_of_json(path)
    cues = cues_of_text(path) if path.suffix.lower() == ".txt" else read_cues(path)
    if cues is None:
        text = " ".join(read_text(path).split())
        return [TimedText(start, end, as_whisper_writes(said)) for start, end, said in timestamps.parse(text)]
    return [TimedText(cue.start, cue.end, as_whisper_writes(cue.text)) for cue in cues]


def segments_in(record: object) -> list | None:
    """What a .json lists as segments, dictionaries with a text; None of another file, as downloaders write beside a
    video.
    """
    lists = [record[key] for key in _OF_JSON if key in record] if isinstance(record, dict) else [record]
    found = next((one for one in lists if one), lists[0] if lists else None)
    texts = isinstance(found, list) and all(isinstance(one, dict) and "text" in one for one in found)
    return found if texts and (found or isinstance(record, dict)) else None


def segments_of_json(path: Path) -> list[TimedText]:
    """A segment without an end, as transformers write what they cut, ends where the next one starts; the last stays
    open. One that ends where it starts is `SHOWN` seconds long at most.
    """
    expected = 'expected what openai-whisper writes, as {"segments": [{"start": 0.0, "end": 1.5, "text": "…"}]}'
    try:
        record = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not understood (no JSON, or cut short: {error}); {expected}") from None
    if (entries := segments_in(record)) is None:
        raise DataError(f"{path}: not understood (no list of segments); {expected}")
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_of_json(entry))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: not understood (segment {number}: {error!r}); {expected}") from None
    return _with_ends(without_speakers([segment for segment in found if segment is not None]))


def _with_ends(found: list[TimedText]) -> list[TimedText]:
    found = sorted(found, key=lambda s: (s.start, math.inf if s.end is None else s.end))
    kept: list[TimedText] = []
    for place, s in enumerate(found):
        if s.end == s.start and kept and kept[-1].end is not None and kept[-1].end > s.start:  # within another one
            kept[-1].text += s.text
            continue
        kept.append(s)
        if s.end is None or s.end == s.start:
            longest = WINDOW if s.end is None else SHOWN
            others = (found[n] for n in range(place + 1, len(found)))
            ends = (other.start if other.start > s.start else other.end for other in others)
            following = next((end for end in ends if end is not None and end > s.start), None)
            if following is not None or s.end is not None:
                s.end = min(math.inf if following is None else following, s.start + longest)
    return kept


def _of_json(entry: dict) -> TimedText | None:
    """None where it says nothing, or before the recording begins."""
    if "offsets" in entry:  # whisper.cpp, in milliseconds
        start, end = entry["offsets"]["from"] / 1000, entry["offsets"]["to"] / 1000
    elif "timestamp" in entry:  # transformers
        start, end = entry["timestamp"]
    else:
        start, end = entry["start"], entry["end"]
    text = spoken(str(entry["text"] or ""))
    if not text:
        return None
    start, end = seconds_of(start), None if end is None else seconds_of(end)
    if end is not None and start < 0 >= end:
        return None
    words = [_score(word, "probability" if "probability" in word else "score", 1) for word in entry.get("words") or []]
    words = [max(word, _LEAST) for word in words if word is not None]
    confidence = math.exp(sum(map(math.log, words)) / len(words)) if words else _score(entry, "confidence", 1)
    tokens = [t for t in entry.get("tokens") or [] if isinstance(t, int)]
    facts = {name: _score(entry, name) for name in _SCORES}
    return TimedText(max(0.0, start), end, as_whisper_writes(text), tokens, None, **facts, confidence=confidence)


def _score(entry: dict, name: str, most: float = math.inf) -> float | None:
    """A number, also as text; None where there is none, as in what Python writes of NaN. ValueError for another."""
    value = entry.get(name)
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        raise ValueError(f"its {name} is {str(value)[:40]!r}, expected a number") from None
    if number > most or (most == 1 and number < 0):
        raise ValueError(f"its {name} is {value}, expected a number from 0 to 1")
    return number if math.isfinite(number) else None
