"""Stored encoder outputs: what a frozen encoder would compute again in every epoch, kept once.

In: (frames, width) arrays. Out: `<folder>/encoder_out.scp`, lines "<id> <shard> <first row> <rows> <width>",
and float16 shards of raw rows. 2.3 MB for 30 s at width 384, so this suits small models and small data; ESPnet
reads it as the data type `encoder_out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from k2d.datadir import DataError, read_table, write_table

SCP = "encoder_out.scp"


class EncoderOutputWriter:
    """Append arrays to a shard; the table appears when the shard is whole (`close`)."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.shard = folder / "encoder_out.0.f16"
        self._stream = open(self.shard, "wb")
        self._rows = 0
        self._table: dict[str, str] = {}

    def write(self, uid: str, rows: np.ndarray) -> None:
        """rows: (frames, width)."""
        self._stream.write(rows.astype("<f2").tobytes())
        self._table[uid] = f"{self.shard.name} {self._rows} {len(rows)} {rows.shape[1]}"
        self._rows += len(rows)

    def close(self) -> None:
        self._stream.close()
        write_table(self.folder / SCP, self._table)


class EncoderOutputReader(Mapping):
    """id → (frames, width) float16, read through memory maps opened on first use (once a worker process)."""

    def __init__(self, path: str):
        self.path = Path(path)
        self._table = read_table(path)
        self._maps: dict[str, np.memmap] = {}

    def __getitem__(self, uid: str) -> np.ndarray:
        fields = self._table[uid].split()
        if len(fields) != 4:
            raise DataError(f"{self.path}: {uid}: expected 'shard first rows width', found {self._table[uid]!r}")
        shard, first, rows, width = fields[0], *map(int, fields[1:])
        if shard not in self._maps:
            self._maps[shard] = np.memmap(self.path.parent / shard, dtype="<f2", mode="r")
        return np.array(self._maps[shard][first * width : (first + rows) * width]).reshape(rows, width)

    def __iter__(self):
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __getstate__(self):
        return {**self.__dict__, "_maps": {}}
