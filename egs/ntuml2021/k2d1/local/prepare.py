"""NTUML2021 as published (the Hugging Face folder `ky552/ML2021_ASR_ST`) → data directories.

Read are data/{train,dev,test}-*.parquet with the columns audio, transcription, translation and, where it is
there, file. The corpus is cut up utterance by utterance; lectures are put together again in the order of the
rows, with 0.3 s between two utterances. What belongs to one lecture is told by the column file, or else by
the path of the audio: names that many rows share, or that differ by trailing numbers only. Where neither
says anything, consecutive rows make recordings of ten minutes.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from k2d.corpus import huggingface
from k2d.corpus.clips import Clip
from k2d.corpus.command import Preparation, main, write_set
from k2d.corpus.release import check_counts, corpus_folder
from k2d.corpus.sets import Account
from k2d.tables import safe_id
from k2d.wording import counted

CORPUS = "NTUML2021"
STATED = {"train": 17779, "dev": 2997, "test": 14916}
COLUMNS = ("transcription", "translation")
ROWS_A_LECTURE = 4  # on average, from which a name is taken for that of a lecture
BLOCK = 200  # rows, about ten minutes, where nothing tells the lectures
LONGEST = 3000  # rows of one recording: a course under one name would make one of many hours
_TRAILING_NUMBER = re.compile(r"[-_. ]*\d+$")


def lectures(names: Sequence[str]) -> list[str] | None:
    """The lecture of every row by the names of their audio, or None where the names do not tell."""
    if not all(names):
        return None
    stems = [PurePosixPath(name).with_suffix("").as_posix() for name in names]
    for _ in range(4):
        if len(stems) >= ROWS_A_LECTURE * len(set(stems)):
            return stems
        stems = [_TRAILING_NUMBER.sub("", stem) for stem in stems]
    return None


def clips_of(folder: Path, split: str, prefix: str) -> tuple[list[Clip], str]:
    """Utterances of a split in the published order, and a sentence on how lectures were told."""
    rows = list(huggingface.rows(folder, split, COLUMNS, CORPUS, optional=("file",)))
    width = max(5, len(str(len(rows))))
    found, how = lectures([row.get("file") or "" for row, _ in rows]), "lectures by the column file"
    if found is None:
        found, how = (
            lectures(huggingface.audio_paths(folder, split, CORPUS)),
            "lectures by the path of the audio",
        )
    if found is None:
        found = [f"block{number // BLOCK:04d}" for number in range(len(rows))]
        how = f"no column tells the lectures: {BLOCK} consecutive rows make a recording"
    clips, rows_of = [], Counter()
    for number, ((row, audio), lecture) in enumerate(zip(rows, found, strict=True)):
        part = rows_of[lecture] // LONGEST
        rows_of[lecture] += 1
        recording = f"{prefix}{split}-{safe_id(lecture)}" + (f"-part{part + 1}" if part else "")
        clip = Clip(f"{recording}-{number:0{width}d}", recording, recording, row["transcription"] or "", audio)
        clips.append(clip)
    return clips, f"{split}: {how}, {counted(len({c.recording for c in clips}), 'recording')}"


def prepare(options: Preparation) -> Iterator[Account]:
    folder = corpus_folder(options.corpus, "NTUML2021", CORPUS)
    asked = options.asked
    prefix = (options.prefix or "ntuml2021_").replace("_", "-")
    clips = {name: clips_of(folder, name, prefix) for name in asked}
    check_counts(
        CORPUS,
        {name: len(found) for name, (found, _) in clips.items()},
        {name: STATED[name] for name in asked},
        options.counts == "any",
    )
    for name, (found, how) in clips.items():
        account = write_set(options, name, found)
        account.notes.append(how)
        yield account


if __name__ == "__main__":
    sys.exit(main(CORPUS, __doc__, prepare))
