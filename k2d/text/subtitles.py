"""Transcripts in the forms of the `whisper` command: SubRip, WebVTT, plain text, tab-separated times, JSON.

In: a Transcript. Out: a file's text, or the file. Where words have times, SubRip and WebVTT can show each as it is
said: its own cue, underlined in its segment, as `whisper --highlight_words` writes it.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import UsageError
from k2d.options import nearest
from k2d.text.transcript import Transcript


def time_code(seconds: float, decimal: str) -> str:
    """HH:MM:SS,mmm (SubRip's comma) or HH:MM:SS.mmm (WebVTT's point)."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{decimal}{rest % 1000:03d}"


def srt(transcript: Transcript, highlight: bool = False) -> str:
    return "\n".join(
        f"{n}\n{time_code(start, ',')} --> {time_code(end, ',')}\n{text}\n"
        for n, (start, end, text) in enumerate(cues(transcript, highlight), 1)
    )


def vtt(transcript: Transcript, highlight: bool = False) -> str:
    written = (
        f"{time_code(start, '.')} --> {time_code(end, '.')}\n{text}\n"
        for start, end, text in cues(transcript, highlight)
    )
    return "WEBVTT\n\n" + "\n".join(written)


def cues(transcript: Transcript, highlight: bool = False) -> Iterator[tuple[float, float, str]]:
    """(start, end, text) of each cue: of each segment or, to highlight, of each word of it and each pause between."""
    for segment in transcript.segments:
        if not highlight or not segment.words:
            yield segment.start, _end(segment, transcript), _cue(segment.text)
            continue
        said, until = [word["word"] for word in segment.words], segment.start
        for number, word in enumerate(segment.words):
            if word["start"] > until:
                yield until, word["start"], _cue("".join(said))
            text = said[number].lstrip()
            before = "".join(said[:number]) + said[number][: len(said[number]) - len(text)]
            yield word["start"], word["end"], _cue(f"{before}<u>{text}</u>{''.join(said[number + 1 :])}")
            until = word["end"]


def _end(segment, transcript: Transcript) -> float:
    return transcript.duration if segment.end is None else segment.end


def _cue(text: str) -> str:
    # An arrow inside a cue would be read as a time line.
    return text.strip().replace("-->", "->")


def txt(transcript: Transcript) -> str:
    return "".join(f"{s.text.strip()}\n" for s in transcript.segments)


def tsv(transcript: Transcript) -> str:
    """start, end (milliseconds) and text of each segment."""
    rows = (
        f"{round(1000 * s.start)}\t{round(1000 * _end(s, transcript))}\t{' '.join(s.text.split())}\n"
        for s in transcript.segments
    )
    return "start\tend\ttext\n" + "".join(rows)


def as_json(transcript: Transcript) -> str:
    """text, segments, language, as whisper writes them; id and duration (seconds) besides. A segment holds what the
    recogniser tells of it, and its words where their times are known.
    """
    segments = []
    for number, segment in enumerate(transcript.segments):
        facts = dataclasses.asdict(segment) | {"end": _end(segment, transcript)}
        segments.append({"id": number} | {name: value for name, value in facts.items() if value is not None})
    record = {
        "text": transcript.text,
        "segments": segments,
        "language": transcript.language,
        "id": transcript.recording,
        "duration": transcript.duration,
    }
    return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


HIGHLIGHTED = {"srt": srt, "vtt": vtt}
WRITERS = {"txt": txt, "srt": srt, "vtt": vtt, "tsv": tsv, "json": as_json}
ALL = "all"
LONGEST_NAME = 255  # bytes of a file's name


def formats(names: str) -> list[str]:
    """The forms in a list such as "srt,vtt", or "all"; UsageError for an unknown one."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in (*WRITERS, ALL):
            near = nearest(name, [*WRITERS, ALL])
            hint = f"; did you mean {near}?" if near else ""
            raise UsageError(f"no format {name!r}; choose from {', '.join(WRITERS)} and {ALL}{hint}")
    return list(WRITERS) if ALL in asked else list(dict.fromkeys(asked))


def path_of(stem: Path, form: str) -> Path:
    """<stem>.<form>; a name that is too long with its form is cut, and ends with a digest."""
    name = os.fsencode(stem.name)
    if len(name) + 1 + len(form) > LONGEST_NAME:
        digest = hashlib.sha256(name).hexdigest()[:16]
        name = name[: LONGEST_NAME - 30].decode(errors="ignore").encode() + f"%{digest}".encode()
    return stem.parent / f"{os.fsdecode(name)}.{form}"


def write(stem: Path, form: str, transcript: Transcript, highlight: bool = False) -> Path:
    """Write `path_of(stem, form)`, and return it. highlight: word by word, in the forms that can."""
    path = path_of(stem, form)
    more = {"highlight": True} if highlight and form in HIGHLIGHTED else {}
    with atomic(path) as handle:
        handle.write(WRITERS[form](transcript, **more))
    return path
