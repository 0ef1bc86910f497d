"""One utterance of a corpus: where its audio lies, what was said, which long recording it is part of.

In: cells of parquet files, members of zip files, files. Out: 16 kHz audio, or a BadAudio with its reason.
"""

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from k2d.audio.files import out_of_reach
from k2d.audio.read import read_audio
from k2d.errors import BadAudio, disk_is_full, in_a_line

LARGEST_MEMBER = 2**34  # bytes of a member of a zip file when it is unpacked, on disk

# Marks of annotators: [UNK], [laughter], <noise>, and the same in full-width brackets.
TAG = re.compile(r"\[[^\[\]]*\]|［[^［］]*］|<[^<>]*>|＜[^＜＞]*＞")
_SPACE = re.compile(r"\s+")


class _Place:
    """Where audio lies: the first field of each is a file."""

    def stamp(self) -> str:
        """Changes when the file does: its path, size and time, and what of it is meant."""
        path, *inside = astuple(self)
        try:
            status = os.stat(path)
            return " ".join(map(str, (path, status.st_size, status.st_mtime_ns, *inside)))
        except OSError:
            return " ".join(map(str, (path, "missing", *inside)))


@dataclass(frozen=True)
class ParquetCell(_Place):
    """The audio struct {bytes, path} of one row."""

    file: str
    row_group: int
    row: int  # within its row group

    def __str__(self) -> str:
        return f"{self.file} (row group {self.row_group}, row {self.row})"


@dataclass(frozen=True)
class ZipMember(_Place):
    """A file inside a zip file."""

    file: str
    member: str

    def __str__(self) -> str:
        return f"{self.file}:{self.member}"


@dataclass(frozen=True)
class File(_Place):
    """A file by itself."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Clip:
    """An utterance as published.

    recording: the long recording that it is part of; clips of one recording follow each other as given.
    text: the reference, "" where nothing is said about it. seconds: what the corpus says of its length.
    facts: further columns by name, such as {"topic": "sports"}; they become `utt2topic`.
    """

    id: str
    recording: str
    speaker: str
    text: str
    audio: ParquetCell | ZipMember | File
    seconds: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


def reference(text: str) -> tuple[str, int]:
    """A published transcript as a reference: without annotators' tags, on one line; and how many tags went.

    A tag is no word, and scoring would count the letters in it as one. Script, width and case stay: scoring
    folds them on both sides.
    """
    text, tags = TAG.subn(" ", text)
    return _SPACE.sub(" ", text).strip(), tags


def read_clips(clips: Iterable[Clip], damaged: str = "warn") -> Iterator[tuple[Clip, np.ndarray | BadAudio]]:
    """(clip, (samples,) float32 at 16 kHz or what is wrong with it), in the order given.

    The clips should be those of one recording: their encoded bytes are held in memory together. damaged: see
    k2d.audio.read.read_audio.
    """
    clips = list(clips)
    cells = _parquet_bytes([c.audio for c in clips if isinstance(c.audio, ParquetCell)])
    for clip in clips:
        try:
            if isinstance(clip.audio, File):
                if not os.path.exists(clip.audio.path):
                    raise BadAudio(clip.audio.path, "missing", "the tables name it; unpack the release again")
                yield clip, read_audio(clip.audio.path, damaged=damaged)
            elif isinstance(clip.audio, ZipMember):
                yield clip, _decode_member(clip.audio, damaged)
            else:
                cell = cells.pop(clip.audio)
                if isinstance(cell, BadAudio):
                    raise cell
                yield clip, _decode(cell, str(clip.audio), damaged)
        except BadAudio as error:
            yield clip, error
        except Exception as error:  # no recording ends a job, whatever is raised while it is read
            yield clip, BadAudio(str(clip.audio), "unreadable", f"{in_a_line(error)}; download it again")


def _decode(data: bytes | BinaryIO | None, name: str, damaged: str) -> np.ndarray:
    """Audio of an encoded file; through a file on disk, because decoders seek and ask for a size."""
    if not data:
        raise BadAudio(name, "empty" if data is not None else "missing", "no audio there; download it again")
    with tempfile.NamedTemporaryFile(prefix="k2d-") as handle:
        handle.write(data) if isinstance(data, bytes) else shutil.copyfileobj(data, handle)
        handle.flush()
        try:
            return read_audio(handle.name, damaged=damaged)
        except BadAudio as error:
            raise BadAudio(name, error.reason, str(error).partition("; ")[2]) from None


def _decode_member(audio: ZipMember, damaged: str) -> np.ndarray:
    with zipfile.ZipFile(audio.file) as archive:
        try:
            size = archive.getinfo(audio.member).file_size
            if size > LARGEST_MEMBER:
                what = f"{size / 2**30:.0f} GiB unpacked"
                raise BadAudio(str(audio), "too long", f"{what}; unpack it and cut it into parts")
            with archive.open(audio.member) as member:
                return _decode(member, str(audio), damaged)
        except KeyError:
            return _decode(None, str(audio), damaged)
        except (zipfile.BadZipFile, OSError) as error:
            if disk_is_full(error):
                raise out_of_reach(str(audio), error) from None
            raise BadAudio(str(audio), "truncated", f"{error}; download it again") from None


def _beside(file: str, name: str | None) -> Path | None:
    """The audio file that a row of a parquet file names, in the folder of that file; None for a name that leads out of
    it. Links are followed: they are the folder owner's.
    """
    if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    return Path(file).parent / name


def _parquet_bytes(cells: list[ParquetCell]) -> dict[ParquetCell, bytes | BadAudio | None]:
    """Encoded audio of the cells, or why there is none; every row group is read once."""
    found: dict[ParquetCell, bytes | BadAudio | None] = {}
    groups: dict[tuple[str, int], list[ParquetCell]] = {}
    for cell in cells:
        groups.setdefault((cell.file, cell.row_group), []).append(cell)
    if groups:
        import pyarrow.parquet as parquet
    for (file, group), wanted in groups.items():
        try:
            with parquet.ParquetFile(file) as table:
                column = table.read_row_group(group, columns=["audio"]).column("audio")
        except Exception as error:  # of many kinds, by the compression that a damaged page had
            what = " ".join(str(error).split())[:200]
            found |= {cell: BadAudio(str(cell), "truncated", f"{what}; download {file} again") for cell in wanted}
            continue
        for cell in wanted:
            struct = column[cell.row].as_py() or {}
            if isinstance(struct, str | bytes):  # a column of paths, or of files alone
                struct = {"path" if isinstance(struct, str) else "bytes": struct}
            found[cell] = struct.get("bytes")
            beside = _beside(file, struct.get("path"))
            if found[cell] is None and beside is not None and beside.is_file():
                found[cell] = beside.read_bytes()  # a data set whose audio was not embedded
    return found
