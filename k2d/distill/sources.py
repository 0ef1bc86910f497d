"""What ESPnet's datasets read of a data directory: audio, or what frozen models made of it.

`utterances`  path of a wav.scp: the audio of its directory's segments, wherever it lies (files, archives)
`rows`        path of a table, lines "<id> <shard> <first row> <rows> <width>", beside raw shards; the shard's
              suffix says the type of its numbers. Kept so: the output of a frozen encoder (`encoder_out.scp`,
              1.2 MB for 30 s at width 384, so for small models and small data) and the k most probable tokens
              of a teacher (`topk_ids.scp`, `topk_log_probs.scp`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.tables import read_table

ENCODER_OUT = "encoder_out"
TOPK_IDS = "topk_ids"
TOPK_LOG_PROBS = "topk_log_probs"
COPY_MARK = "+"  # <id>+1 is another version of <id>, with the same label
_TYPES = {".f16": "<f2", ".f32": "<f4", ".i32": "<i4"}


class RowWriter:
    """Append (rows, width) arrays to one shard; `close` returns the shard's lines of the table."""

    def __init__(self, folder: Path, name: str, shard: int, suffix: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.{shard}{suffix}"
        self._type = _TYPES[suffix]
        self._stream = open(self.path, "wb")  # noqa: SIM115 - closed by close()
        self._rows = 0
        self._table: dict[str, str] = {}

    def write(self, uid: str, rows: np.ndarray) -> None:
        """rows: (rows, width)."""
        self._stream.write(rows.astype(self._type).tobytes())
        self._table[uid] = f"{self.path.name} {self._rows} {len(rows)} {rows.shape[1]}"
        self._rows += len(rows)

    def close(self) -> dict[str, str]:
        self._stream.flush()
        os.fsync(self._stream.fileno())  # the table that names these rows must not outlive them
        self._stream.close()
        return self._table


class RowReader(Mapping):
    """id → (rows, width), read through memory maps opened on first use (once a worker process)."""

    def __init__(self, path: str):
        self.path = Path(path)
        self._table = read_table(path)
        self._maps: dict[str, np.memmap] = {}

    def __getitem__(self, uid: str) -> np.ndarray:
        fields = self._table[uid].split()
        if len(fields) != 4:
            raise DataError(
                f"{self.path}: {uid}: expected 'shard first rows width', found {self._table[uid]!r}"
            )
        shard, first, rows, width = fields[0], *map(int, fields[1:])
        if shard not in self._maps:
            file = self.path.parent / shard
            self._maps[shard] = np.memmap(file, dtype=_TYPES[file.suffix], mode="r")
        numbers = np.array(self._maps[shard][first * width : (first + rows) * width])
        if len(numbers) != rows * width:
            raise DataError(
                f"{self.path}: {uid}: {shard} ends before its rows; remove the directory and make it again"
            )
        return numbers.reshape(rows, width)

    def __iter__(self):
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __getstate__(self):
        return {**self.__dict__, "_maps": {}}


def located(folder: Path, name: str, seen_from: Path) -> dict[str, str]:
    """The table `name` of stored rows in `folder`, its shard paths made relative to `seen_from`."""
    prefix = os.path.relpath(folder, seen_from)
    return {uid: f"{prefix}/{line}" for uid, line in read_table(folder / f"{name}.scp").items()}


class UtteranceReader(Mapping):
    """id → (samples,) float32 at 16 kHz of the utterances of the directory that `path` (wav.scp) lies in."""

    def __init__(self, path: str):
        data = DataDir(Path(path).parent)
        self._ids = list(data.segments)
        self._utterances = open_utterances(data)

    def __getitem__(self, uid: str) -> np.ndarray:
        return self._utterances[uid]

    def __iter__(self):
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
