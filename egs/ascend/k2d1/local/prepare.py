"""ASCEND as published → data directories.

Read are the Hugging Face folder `CAiRE/ASCEND` (parquet under main/) and the original form: `waves/` beside
`train_metadata.csv validation_metadata.csv test_metadata.csv`, unpacked or in one zip file.

The corpus is cut up utterance by utterance. Sessions are put together again in the order in which they were
spoken (the file names hold the start in the session: ses2_spk3_L13101_189.900_5.490.wav), with 0.3 s between
two utterances, for unlabelled training and for long-form tests. Columns language and topic become
utt2language and utt2topic.
"""

import csv
import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from k2d.corpus import huggingface
from k2d.corpus.clips import Clip, File, ZipMember
from k2d.corpus.command import Preparation, main, write_set
from k2d.corpus.release import NotTheCorpus, check_counts, corpus_folder, not_found
from k2d.corpus.sets import Account
from k2d.errors import DataError
from k2d.tables import safe_id
from k2d.wording import counted

CORPUS = "ASCEND"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
STATED = {"train": 9869, "validation": 1130, "test": 1315}
COLUMNS = (
    "id",
    "path",
    "transcription",
    "duration",
    "language",
    "original_speaker_id",
    "session_id",
    "topic",
)
_NAME = re.compile(r"ses\d+_spk\d+_L\d+_(?P<start>[\d.]+)_(?P<seconds>[\d.]+)\.\w+$")
_PATH_COLUMNS = ("file_name", "path", "file")


def start_of(path: str) -> float | None:
    """Seconds from the session's start, as the file name says; None where it does not."""
    match = _NAME.search(path or "")
    return float(match["start"]) if match else None


def parquet_rows(folder: Path, split: str) -> Iterator[tuple[dict, object]]:
    yield from huggingface.rows(folder, split, COLUMNS, CORPUS)


class Original:
    """The original form, a folder or a zip file: tables by name, audio by the path that the tables give."""

    def __init__(self, path: Path):
        self.path = path
        self.archive = zipfile.ZipFile(path) if path.is_file() else None
        if self.archive:
            self.names = self.archive.namelist()
        else:
            self.names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
        # Where the archive was packed with a folder around it, paths in the tables do not name that folder.
        self.waves = {PurePosixPath(n).name: n for n in self.names if "/waves/" in f"/{n}"}

    def table(self, split: str) -> str | None:
        """Name of a split's metadata table."""
        for name in self.names:
            if PurePosixPath(name).name in (f"{split}_metadata.csv", f"{split}.csv"):
                return name
        return None

    def rows(self, split: str) -> Iterator[tuple[dict, object]]:
        name = self.table(split)
        raw = self.archive.read(name) if self.archive else (self.path / name).read_bytes()
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
        column = next((c for c in _PATH_COLUMNS if c in (reader.fieldnames or ())), None)
        missing = [c for c in COLUMNS if c not in ("id", "path") and c not in (reader.fieldnames or ())]
        if column is None or missing:
            raise NotTheCorpus(
                f"{self.path}/{name} does not look like {CORPUS}: looked for the columns file_name, "
                f"{', '.join(COLUMNS[2:])}, found {', '.join(reader.fieldnames or ['nothing'])}"
            )
        for number, row in enumerate(reader):
            wave = self.waves.get(PurePosixPath(row[column]).name, row[column])
            audio = ZipMember(str(self.path), wave) if self.archive else File(str(self.path / wave))
            yield {**row, "id": row.get("id") or f"{number:05d}", "path": row[column]}, audio


def open_corpus(path: Path):
    """rows(split) of whichever form lies at `path`."""
    if path.is_file():
        if not zipfile.is_zipfile(path):
            raise NotTheCorpus(f"{path}: not a zip file; give the folder, or the original zip")
        original = Original(path)
    else:
        if any(path.glob("*.parquet")) or any(path.glob("*/*.parquet")):
            return lambda split: parquet_rows(path, split)
        zips = sorted(path.glob("*.zip"))
        original = Original(path)
        if original.table("test") is None and len(zips) == 1:
            original = Original(zips[0])
    if original.table("test") is None or not original.waves:
        raise not_found(
            path,
            CORPUS,
            "main/*.parquet (Hugging Face), or waves/ and test_metadata.csv (original, also in a zip)",
        )
    return original.rows


def clips_of(rows, split: str, prefix: str) -> list[Clip]:
    """Utterances of a split, session by session in the order spoken."""
    found = []
    for number, (row, audio) in enumerate(rows(split)):
        session = safe_id(str(row["session_id"]))
        try:
            recording = f"{prefix}{split}-ses{int(float(session)):02d}"
        except ValueError:
            recording = f"{prefix}{split}-{session}"
        begin = start_of(row["path"])
        clip = Clip(
            id=f"{recording}-{safe_id(str(row['id']))}",
            recording=recording,
            speaker=f"ascend-spk{safe_id(str(row['original_speaker_id']))}",
            text=row["transcription"] or "",
            audio=audio,
            seconds=float(row["duration"]) if row["duration"] not in (None, "") else None,
            facts={name: safe_id(str(row[name] or "unknown")) for name in ("language", "topic")},
        )
        found.append((recording, begin is None, begin or 0.0, number, clip))
    found.sort(key=lambda entry: entry[:4])
    ids = {entry[-1].id for entry in found}
    if len(ids) < len(found):
        raise DataError(f"{CORPUS}: {split} has {counted(len(found) - len(ids), 'id')} twice; are two copies mixed?")
    return [entry[-1] for entry in found]


def prepare(options: Preparation) -> Iterator[Account]:
    rows = open_corpus(corpus_folder(options.corpus, "ASCEND", CORPUS))
    asked = options.asked
    prefix = options.prefix or "ascend_"
    clips = {name: clips_of(rows, SPLITS[name], prefix.replace("_", "-")) for name in asked}
    check_counts(
        CORPUS,
        {SPLITS[name]: len(found) for name, found in clips.items()},
        {SPLITS[name]: STATED[SPLITS[name]] for name in asked},
        options.counts == "any",
    )
    for name, found in clips.items():
        yield write_set(options, name, found)


if __name__ == "__main__":
    sys.exit(main(CORPUS, __doc__, prepare))
