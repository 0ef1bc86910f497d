"""SubRip and WebVTT files in, cues out.

Read are: both decimal marks, hours left out, byte-order marks, Windows line ends, cue settings, NOTE and
STYLE blocks, mark-up (`<i>`, `<v Name>`, `{\\an8}`) and HTML entities. A cue that repeats the text of the
one before (rolling captions) prolongs it.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k2d.constants import TIMESTAMP_STEP, WINDOW
from k2d.corpus.joined import Reject
from k2d.errors import DataError

SUFFIXES = (".srt", ".vtt")
LATE = 2.0  # seconds after the recording's end; more of it in many cues are those of another recording
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


@dataclass(frozen=True)
class Cue:
    """start and end in seconds; text on one line."""

    start: float
    end: float
    text: str


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def read_cues(path) -> list[Cue]:
    """Cues with text, in order of time; where two overlap the earlier ends when the later starts.

    Raises DataError with file and line for bytes that are not UTF-8, times that run backwards, and a file
    with no cue at all.
    """
    path = Path(path)
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: not UTF-8; convert the file, for instance with 'iconv -f big5 -t utf-8'"
        ) from None
    lines = text.splitlines()
    cues: list[Cue] = []
    number, times = 0, 0
    while number < len(lines):
        match = _CUE.match(lines[number])
        number += 1
        if not match:
            continue
        times += 1
        start, end = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
        if end < start:
            raise DataError(f"{path}:{number}: the cue ends at {end:.3f} s, before it starts; correct the times")
        words = []
        while number < len(lines) and lines[number].strip() and not _CUE.match(lines[number]):
            words.append(lines[number])
            number += 1
        said = " ".join(html.unescape(_MARKUP.sub("", " ".join(words))).split())
        if said and end > start:
            cues.append(Cue(start, end, said))
    if not times:
        raise DataError(f"{path}: no cue ('00:00:01,000 --> 00:00:04,000') found; expected SubRip or WebVTT")
    return _in_order(cues)


def _in_order(cues: list[Cue]) -> list[Cue]:
    ordered: list[Cue] = []
    for cue in sorted(cues, key=lambda c: (c.start, c.end)):
        if ordered:
            last = ordered[-1]
            if cue.text == last.text and cue.start <= last.end:
                ordered[-1] = Cue(last.start, max(last.end, cue.end), last.text)
                continue
            if cue.start < last.end:
                if cue.start - last.start < TIMESTAMP_STEP:  # the same place: both texts, one after the other
                    ordered[-1] = Cue(last.start, max(last.end, cue.end), f"{last.text} {cue.text}")
                    continue
                ordered[-1] = Cue(last.start, cue.start, last.text)
        ordered.append(cue)
    return ordered


def usable_cues(cues: list[Cue], seconds: float) -> tuple[list[Cue], str]:
    """Cues inside the recording and no longer than a chunk; and why a file of subtitles cannot be used
    ("").
    """
    inside = [c for c in cues if c.start < seconds and c.end - c.start <= WINDOW]  # what a chunk holds
    if not inside:
        return [], "no cue lies inside the recording"
    beyond = [c for c in cues if c.end > seconds + LATE]
    if len(beyond) > 0.1 * len(cues):
        return [], f"{len(beyond)} of {len(cues)} cues end after {seconds:.0f} s, where the recording does"
    return inside, ""


def read_all(subtitles: Mapping[str, Path], seconds: Mapping[str, float]) -> tuple[dict[str, list[Cue]], list[Reject]]:
    """recording -> cues, and the recordings whose subtitles cannot be used."""
    found, rejects = {}, []
    for recording, path in subtitles.items():
        try:
            cues, why = usable_cues(read_cues(path), seconds[recording])
        except DataError as error:
            cues, why = [], str(error)
        if why:
            rejects.append(Reject(recording, "unusable subtitles", f"{path}: {why}"))
        else:
            found[recording] = cues
    return found, rejects
