"""Transcripts as subtitles (SubRip, WebVTT), plain text and JSON.

In: a Transcript. Out: a file, named after the recording.
"""

from __future__ import annotations

import json
from pathlib import Path

from k2d.constants import file_name
from k2d.errors import UsageError
from k2d.tables import atomic
from k2d.text.transcript import Transcript


def time_code(seconds: float, decimal: str) -> str:
    """HH:MM:SS,mmm (SubRip's comma) or HH:MM:SS.mmm (WebVTT's point)."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{decimal}{rest % 1000:03d}"


def srt(transcript: Transcript) -> str:
    return "\n".join(
        f"{n}\n{time_code(s.start, ',')} --> {time_code(s.end, ',')}\n{_cue(s.text)}\n"
        for n, s in enumerate(transcript.segments, 1)
    )


def vtt(transcript: Transcript) -> str:
    cues = (f"{time_code(s.start, '.')} --> {time_code(s.end, '.')}\n{_cue(s.text)}\n" for s in transcript.segments)
    return "WEBVTT\n\n" + "\n".join(cues)


def _cue(text: str) -> str:
    # An arrow inside a cue would be read as a time line.
    return text.strip().replace("-->", "->")


def txt(transcript: Transcript) -> str:
    return "".join(f"{s.text.strip()}\n" for s in transcript.segments)


def as_json(transcript: Transcript) -> str:
    return json.dumps(transcript.record(), ensure_ascii=False, indent=1) + "\n"


WRITERS = {"srt": srt, "vtt": vtt, "txt": txt, "json": as_json}


def formats(names: str) -> list[str]:
    """The forms in a list such as "srt,vtt"; UsageError for an unknown one."""
    asked = [name for name in names.split(",") if name]
    for name in asked:
        if name not in WRITERS:
            raise UsageError(f"no format {name!r}; there are {', '.join(WRITERS)}")
    return asked


def write(folder: Path, form: str, transcript: Transcript) -> Path:
    """Write <folder>/<recording>.<form>; returns the path."""
    path = Path(folder) / f"{file_name(transcript.recording)}.{form}"
    with atomic(path) as handle:
        handle.write(WRITERS[form](transcript))
    return path
