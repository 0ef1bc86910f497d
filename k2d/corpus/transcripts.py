"""The file that another program, or a person, has written of a recording: in, its segments out.

In: the JSON of openai-whisper, faster-whisper, whisperx, whisper.cpp, transformers' pipelines and `k2d transcribe`,
with the scores that it tells; subtitles (subtitles.py); a plain text. Out: `TimedText`s in order of time.
"""

import json
import logging
import math
from pathlib import Path

from k2d.constants import WINDOW
from k2d.corpus.subtitles import SHOWN, cues_of_text, name_left_out, read_cues, spoken, without_speakers
from k2d.errors import DataError
from k2d.text import timestamps
from k2d.text.encodings import read_text
from k2d.text.transcript import TimedText, as_whisper_writes, mean_confidence, seconds_of

_EXPECTED = 'expected what openai-whisper writes, as {"segments": [{"start": 0.0, "end": 1.5, "text": "…"}]}'
_OF_JSON = ("segments", "transcription", "chunks")  # what Whisper programs call the list of their segments
_SCORES = ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
_OFF = 0.01  # by which rounding takes a probability out of 0 … 1
_log = logging.getLogger("k2d.corpus")
_LEAST = 1e-10  # of a probability whose logarithm is taken


def read_transcript(path: Path) -> list[TimedText]:
    """Segments of a file; none of one that says nothing, as of a silent recording. Of a plain text one without an end.

    Raises DataError for what is no transcript.
    """
    if path.suffix.lower() == ".json":
        return segments_of_json(path, read_json(path))
    cues = cues_of_text(path) if path.suffix.lower() == ".txt" else read_cues(path)
    if cues is None:
        text = " ".join(filter(None, (spoken(line, times=True) for line in read_text(path).splitlines())))
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


def read_json(path: Path) -> object:
    """What a .json holds. Raises DataError where it holds none."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not understood (no JSON, or cut short: {error}); {_EXPECTED}") from None


def segments_of_json(path: Path, record: object) -> list[TimedText]:
    """The segments of what `path` holds. One without an end, as transformers write what they cut, ends where the next
    one starts; the last stays open. One that ends where it starts is `SHOWN` seconds long at most.
    """
    if (entries := segments_in(record)) is None:
        raise DataError(f"{path}: not understood (no list of segments); {_EXPECTED}")
    found, faults, unusable = [], [], {}
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_of_json(entry, unusable))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            faults.append((number, f"not understood (segment {number}: {error!r}); {_EXPECTED}"))
    if faults and not any(found):
        raise DataError(f"{path}: {faults[0][1]}")
    name_left_out(path, faults, "segment", ": segment ")
    for name, value in unusable.items():
        _log.warning("%s: %s %s is no score; labels whose segments have such go without", path, name, value)
    said = without_speakers([segment for segment in found if segment is not None])
    if not said and isinstance(record, dict) and str(record.get("text") or "").strip():
        raise DataError(f"{path}: it has a text and no segment with a part of it; {_EXPECTED}")
    for segment in said:
        segment.text = as_whisper_writes(segment.text)
    return _with_ends(said)


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


def _of_json(entry: dict, unusable: dict[str, str]) -> TimedText | None:
    """None where it says nothing, or before the recording begins. unusable: where scores that are none are noted."""
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
    words = entry.get("words") or []
    known = [_probability(word, "probability" if "probability" in word else "score", unusable) for word in words]
    confidence = mean_confidence([math.log(max(word, _LEAST)) for word in known if word is not None])
    if confidence is None:
        confidence = _probability(entry, "confidence", unusable)
    tokens = [t for t in entry.get("tokens") or [] if isinstance(t, int)]
    facts = {name: _score(entry, name, unusable) for name in _SCORES}
    return TimedText(max(0.0, start), end, text, tokens, None, **facts, confidence=confidence)


def _score(entry: dict, name: str, unusable: dict[str, str], least: float = -math.inf, most: float = math.inf):
    """A finite number from least to most, also as text; None where there is none, as in what Python writes of NaN, and
    for what is no score, which is noted.
    """
    value = entry.get(name)
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isnan(number):
        return None
    if not (math.isfinite(number) and least <= number <= most):
        unusable.setdefault(name, str(value)[:40])
        return None
    return number


def _probability(entry: dict, name: str, unusable: dict[str, str]) -> float | None:
    number = _score(entry, name, unusable, -_OFF, 1 + _OFF)
    return None if number is None else min(max(number, 0.0), 1.0)
