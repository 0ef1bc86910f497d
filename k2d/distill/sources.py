"""What ESPnet's datasets read of a data directory: audio, or what frozen models made of it.

`utterances`  path of a wav.scp: the audio of its directory's segments, wherever it lies (files, archives)
`rows`        path of a table, lines `id path.ark:offset` of Kaldi archives that kaldiio writes and reads: the output
              of a frozen encoder (`encoder_out.scp`, 1.2 MB for 30 s at width 384, so for small models and small data)
              and the k most probable tokens of a teacher (`topk_ids.scp`, `topk_log_probs.scp`). An entry is a numpy
              array, so that float16 and int32 stay what they are.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import kaldiio
import numpy as np
from tqdm import tqdm

from k2d import archives
from k2d.atomic import atomic
from k2d.audio.options import DEFAULT, AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.constants import ENCODER_FRAMES_PER_SECOND, N_AUDIO_CTX
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError, UserError
from k2d.tables import read_table
from k2d.work.folders import json_or_none
from k2d.work.skipped import passing, why

ENCODER_OUT = "encoder_out"
TOPK_IDS = "topk_ids"
TOPK_LOG_PROBS = "topk_log_probs"
COPY_MARK = "+"  # <id>+1 is another version of <id>, with the same label


def encoder_frames(seconds: float) -> int:
    """Frames of the encoder's output that hold `seconds` of audio: 50 a second, the nearest whole number."""
    return min(round(seconds * ENCODER_FRAMES_PER_SECOND), N_AUDIO_CTX)


def write_rows(archive: BinaryIO, uid: str, rows: np.ndarray) -> int:
    """Append rows, (rows, width) of any type of numbers, to a Kaldi archive; returns where the entry begins."""
    offset = archive.tell() + len(f"{uid} ".encode())
    kaldiio.save_ark(archive, {uid: rows}, write_function="numpy")
    return offset


class ArchiveReader(Mapping):
    """id → (rows, width), by a table of lines `id path.ark:offset`; paths as the working directory sees them.

    The archive is opened for every entry, which costs nothing beside reading it, so that processes and threads may
    share a reader. Raises DataError where the entry is not that of the id, or not whole. Nothing is unpickled, and no
    command is run, whatever the table says.
    """

    def __init__(self, path: str):
        self.path = Path(path)
        self._table = read_table(path)

    def __getitem__(self, uid: str) -> np.ndarray:
        value = self._table[uid]
        archive, _, offset = value.rpartition(":")
        if not archive or not offset.isdecimal():
            raise DataError(f"{self.path}: {uid}: expected 'archive.ark:offset', found {value!r}")
        try:
            rows = archives.read_entry(archive, int(offset), *filter(None, (uid, uid.rpartition(COPY_MARK)[0])))
        except OSError as error:
            raise DataError(
                f"{self.path}: {uid}: the archive {archive} cannot be read ({error.strerror}); make it again, or "
                "correct the path"
            ) from None
        except DataError as error:
            raise DataError(f"{self.path}: {uid}: {error}") from None
        if not isinstance(rows, np.ndarray) or rows.ndim != 2:
            raise DataError(f"{self.path}: {uid}: {value} is not a matrix; expected (rows, width)")
        return rows

    def __iter__(self):
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@dataclass(frozen=True)
class ArchivedRows:
    """What lies in the archives of a folder.

    tables  : name -> id -> "path.ark:offset"
    numbers : id -> what was to be kept of it
    fresh   : ids computed now
    skipped : id -> why it was left out
    """

    tables: dict[str, dict[str, str]]
    numbers: dict[str, dict[str, float]]
    fresh: set[str]
    skipped: dict[str, str]


def in_shards(
    folder: Path,
    names: Iterable[str],
    shards: Sequence[list[str]],
    compute: Callable[[list[str]], Iterator[tuple[str, dict[str, np.ndarray] | UserError, dict[str, float]]]],
    what: str,
) -> ArchivedRows:
    """Write arrays of utterances to `<folder>/<name>.<shard>.ark`; a shard that is there already is not made again.

    what: the work, in a word, for the progress bar.
    compute: ids of a shard → for each, in order, (id, {name: array (rows, width)}, numbers to keep), with an error in
    place of the arrays for an utterance that is to be left out. Whoever owns the folder sees to it that all its shards
    are of the same options.
    """
    names = list(names)
    tables: dict[str, dict[str, str]] = {name: {} for name in names}
    numbers: dict[str, dict[str, float]] = {}
    fresh: set[str] = set()
    skipped: dict[str, str] = {}
    with tqdm(total=sum(map(len, shards)), desc=what, unit="utt", mininterval=2) as bar:
        for shard, ids in enumerate(shards):
            paths = {name: folder / f"{name}.{shard}.ark" for name in names}
            record_file = folder / f".shard.{shard}.json"  # written last, and kept: of lost archives only they are made
            record = json_or_none(record_file)
            whole = record is not None and record["sizes"] == {name: _size(path) for name, path in paths.items()}
            if whole and not passing(record.get("skipped", {})):
                bar.initial += len(ids)  # what was there says nothing of the speed
                bar.update(len(ids))
            else:
                record = _write_shard(paths, compute(ids), bar)
                with atomic(record_file) as handle:
                    json.dump(record, handle, ensure_ascii=False)
                fresh.update(record["numbers"])
            numbers.update(record["numbers"])
            skipped.update(record.get("skipped", {}))
            for name in names:
                tables[name].update({uid: f"{paths[name]}:{at}" for uid, at in record["offsets"][name].items()})
    return ArchivedRows(tables, numbers, fresh, skipped)


def _write_shard(paths: Mapping[str, Path], computed: Iterable[tuple], bar: tqdm) -> dict:
    """Write the archives of one shard, by name; what its record says of them."""
    numbers, skipped = {}, {}
    offsets: dict[str, dict[str, int]] = {name: {} for name in paths}
    with ExitStack() as stack:
        streams = {name: stack.enter_context(atomic(path, "wb")) for name, path in paths.items()}
        for uid, arrays, facts in computed:
            bar.update()
            if isinstance(arrays, UserError):
                skipped[uid] = why(arrays)
                continue
            for name, stream in streams.items():
                offsets[name][uid] = write_rows(stream, uid, arrays[name])
            numbers[uid] = facts
    return {
        "offsets": offsets,
        "sizes": {name: _size(path) for name, path in paths.items()},
        "numbers": numbers,
        "skipped": skipped,
    }


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


class UtteranceReader(Mapping):
    """id → (samples,) float32 at 16 kHz of the utterances of the directory that `path` (wav.scp) lies in.

    None, with a line in the log, for one that cannot be read: a file may vanish in the third day of a training.
    """

    def __init__(self, path: str, options: AudioOptions = DEFAULT):
        data = DataDir(Path(path).parent)
        self._ids = list(data.segments)
        self._utterances = open_utterances(data, **options.reading)

    def __getitem__(self, uid: str) -> np.ndarray | None:
        try:
            return self._utterances[uid]
        except BadAudio as error:
            logging.warning(f"{uid} cannot be read: {error}")
            return None

    def __iter__(self):
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
