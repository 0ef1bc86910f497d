"""Chunk audio as FLAC inside Kaldi archives.

In: chunks and their recordings. Out: `chunks.<n>.ark` of a fixed number of chunks each, and where each chunk lies
("file.ark:offset"). Millions of chunks become thousands of files.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import kaldiio
import numpy as np

from k2d.atomic import atomic
from k2d.audio.cutting import Cutter
from k2d.audio.read import pcm16
from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio
from k2d.label.chunks import PackedChunk
from k2d.work.folders import json_or_none

CHUNKS_IN_SHARD = 1000
_FLAC = {"write_function": "soundfile", "write_kwargs": {"format": "FLAC", "subtype": "PCM_16"}}


class ShardWriter:
    """Writes chunks in the order given, `CHUNKS_IN_SHARD` a shard; finished shards are found again.

    A shard appears whole, with a `.json` beside it that tells its size and its chunks with offsets and samples. A run
    that was killed goes on at its first missing shard, without reading the audio of the others; one that has lost a
    part since is made again. Chunks of a recording that cannot be read any more are left out, and the next run tries
    their shards again.
    """

    def __init__(
        self, folder: Path, key: str, per_shard: int = CHUNKS_IN_SHARD, lost: dict[str, BadAudio] | None = None
    ):
        """key: digest of what decides the chunks; shards of another key are removed. lost: where recordings are added
        that could be read before and now cannot.
        """
        self.folder, self.per_shard = folder, per_shard
        self.lost = {} if lost is None else lost
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "key"
        if not mark.exists() or mark.read_text() != key:
            for old in [*folder.glob("chunks.*.ark"), *folder.glob("chunks.*.json"), mark]:
                old.unlink(missing_ok=True)
            with atomic(mark) as handle:
                handle.write(key)

    def write(
        self, chunks: Iterable[PackedChunk], read: Callable[[str], Iterable[np.ndarray]]
    ) -> Iterator[tuple[PackedChunk, str, int]]:
        """Yields (chunk, "file.ark:offset", samples). read(recording): its audio in pieces; asked once for chunks in
        order.
        """
        shard: list[PackedChunk] = []
        number = 0
        cutter = Cutter(read)
        for chunk in chunks:
            shard.append(chunk)
            if len(shard) == self.per_shard:
                number += 1
                yield from self._shard(number, shard, cutter)
                shard = []
        if shard:
            yield from self._shard(number + 1, shard, cutter)

    def _shard(self, number: int, chunks: list[PackedChunk], cutter: Cutter) -> Iterator[tuple[PackedChunk, str, int]]:
        ark = self.folder / f"chunks.{number:06d}.ark"
        index = ark.with_suffix(".json")
        known = json_or_none(index) or {}
        entries = known["chunks"] if ark.exists() and known.get("size") == ark.stat().st_size else {}
        if list(entries) != [c.id for c in chunks]:
            entries = {}
            with atomic(ark, "wb") as handle:
                for chunk in chunks:
                    if chunk.recording in self.lost:
                        continue
                    try:
                        place = round(chunk.start * SAMPLE_RATE), round(chunk.end * SAMPLE_RATE)
                        audio = cutter.cut(chunk.recording, *place)
                    except BadAudio as error:
                        self.lost[chunk.recording] = error
                        continue
                    entries[chunk.id] = [handle.tell() + len(f"{chunk.id} ".encode()), len(audio)]
                    kaldiio.save_ark(handle, {chunk.id: (SAMPLE_RATE, pcm16(audio))}, **_FLAC)
            with atomic(index) as handle:
                json.dump({"size": ark.stat().st_size, "chunks": entries}, handle)
        for chunk in chunks:
            if chunk.id in entries:
                place, samples = entries[chunk.id]
                yield chunk, f"{ark}:{place}", samples
