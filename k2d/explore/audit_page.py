"""The page of an audit: served, it asks for sounds and figures; as a file it holds its sounds and counts by itself.

As a file it has what its script needs to do roughly what scoring does (cut a text into units, align, draw recordings):
the units of the systems, characters that are folded, and by how much few recordings widen an interval. It folds
Traditional characters one by one and knows no phrases, so its rates are about right; `k2d audit --read` has the exact
ones.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from k2d.atomic import atomic
from k2d.audio.options import AudioOptions
from k2d.explore.audit import Audit
from k2d.explore.audit_figures import Figures, System
from k2d.explore.page import as_json, render
from k2d.explore.sounds import Sounds, open_located, sounds
from k2d.score.significance import widening
from k2d.text.normalise import CJK, to_simplified
from k2d.text.units import units

_IDEOGRAPHS = range(0x4E00, 0xA000)


def audit_page(audit: Audit, figures: Figures, title: str, clips: Sounds | None = None) -> str:
    """clips: the audio embedded in the page; None if a server sends it."""
    rows = []
    for key in audit.order:
        chunk = audit.chunks[key]
        start = chunk.start if chunk.recording != key or math.isfinite(chunk.end) else None
        seconds = round(chunk.seconds, 2) if math.isfinite(chunk.seconds) else None
        label = audit.drawn.text[key]
        rows.append({"id": key, "recording": audit.recording(key), "start": start, "seconds": seconds, "label": label})
    payload = {
        "title": title,
        "key": audit.key,
        "served": clips is None,
        "rows": rows,
        "answers": {key: asdict(answer) for key, answer in audit.answers.items()},
        "figures": figures.now(),
        "with_sound": list(clips.uris) if clips else [],
        "sound_note": clips.says() if clips else "",
        "offline": offline_figures(audit, figures.systems) if clips else None,
    }
    return render(
        "audit.html.j2", title=title, data=payload, sounds=as_json(clips.uris if clips else {}), served=clips is None,
        folder=str(audit.folder),
    )  # fmt: skip


def write_audit_page(
    path: Path, audit: Audit, figures: Figures, title: str, audio: AudioOptions, megabytes: float
) -> tuple[int, Sounds]:
    """The page as a file with its sounds; returns its characters, and the sounds."""
    utterances = open_located(audit.drawn, audio)
    clips = sounds([(key, utterances, key) for key in audit.order], megabytes)
    text = audit_page(audit, figures, title, clips)
    with atomic(path) as handle:
        handle.write(text)
    return len(text), clips


@cache
def folded() -> tuple[str, str]:
    """Characters that are folded, and what each becomes."""
    every = [chr(code) for code in _IDEOGRAPHS]
    simple = to_simplified("\n".join(every)).split("\n")
    pairs = [(a, b) for a, b in zip(every, simple, strict=True) if a != b and len(b) == 1]
    return "".join(a for a, _ in pairs), "".join(b for _, b in pairs)


def offline_figures(audit: Audit, systems: Sequence[System]) -> dict:
    """What the script counts with."""
    recordings = len({audit.recording(key) for key in audit.order})
    return {
        "cjk": CJK,
        "folded": folded(),
        "widening": [None, None, *(round(widening(count), 4) for count in range(2, recordings + 1))],
        "systems": [
            {"name": s.name, "units": [units(s.texts.get(key, "")) for key in audit.order]} for s in systems
        ],
    }
