"""Chunk audio as FLAC inside Kaldi archives.

In: chunks and their recordings. Out: `chunks.<n>.ark` of a fixed number of chunks each, and where each chunk
lies ("file.ark:offset", which kaldiio and k2d.audio.read read in order or at random). Millions of chunks
become thousands of files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from k2d.constants import SAMPLE_RATE
from k2d.label.chunks import PackedChunk
from k2d.tables import atomic

CHUNKS_IN_SHARD = 1000


def flac(audio: np.ndarray) -> bytes:
    """16 bit FLAC of float audio in [-1, 1] at 16 kHz."""
    samples = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def ark_entry(name: str, data: bytes) -> tuple[bytes, int]:
    """(bytes of an archive entry, offset of the object in them), as kaldiio's "soundfile" writer lays it
    out.
    """
    head = name.encode() + b" "
    size = len(data)
    width = (size.bit_length() + 7) // 8
    return head + b"AUDIO" + bytes([width]) + size.to_bytes(width, "little") + data, len(head)


class ShardWriter:
    """Writes chunks in the order given, `CHUNKS_IN_SHARD` a shard; finished shards are found again.

    A shard appears whole, with a `.json` beside it that lists its chunks with offsets and samples. A run that
    was killed goes on at its first missing shard, without reading the audio of the others.
    """

    def __init__(self, folder: Path, key: str, per_shard: int = CHUNKS_IN_SHARD):
        """key: digest of what decides the chunks; shards of another key are removed."""
        self.folder, self.per_shard = folder, per_shard
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "key"
        if not mark.exists() or mark.read_text() != key:
            for old in [*folder.glob("chunks.*.ark"), *folder.glob("chunks.*.json"), mark]:
                old.unlink(missing_ok=True)
            with atomic(mark) as handle:
                handle.write(key)

    def write(
        self, chunks: Iterable[PackedChunk], read: Callable[[str], np.ndarray]
    ) -> Iterator[tuple[PackedChunk, str, int]]:
        """Yields (chunk, "file.ark:offset", samples). read(recording): its audio; asked once for adjacent
        chunks.
        """
        shard: list[PackedChunk] = []
        number = 0
        reader = _Latest(read)
        for chunk in chunks:
            shard.append(chunk)
            if len(shard) == self.per_shard:
                number += 1
                yield from self._shard(number, shard, reader)
                shard = []
        if shard:
            yield from self._shard(number + 1, shard, reader)

    def _shard(self, number: int, chunks: list[PackedChunk], read) -> Iterator[tuple[PackedChunk, str, int]]:
        ark = self.folder / f"chunks.{number:06d}.ark"
        index = ark.with_suffix(".json")
        entries = json.loads(index.read_text()) if index.exists() and ark.exists() else None
        if entries is None or list(entries) != [c.id for c in chunks]:
            entries = {}
            offset = 0
            with atomic(ark, "wb") as handle:
                for chunk in chunks:
                    audio = read(chunk.recording)[round(chunk.start * SAMPLE_RATE) : round(chunk.end * SAMPLE_RATE)]
                    data, inside = ark_entry(chunk.id, flac(audio))
                    entries[chunk.id] = [offset + inside, len(audio)]
                    offset += len(data)
                    handle.write(data)
            with atomic(index) as handle:
                json.dump(entries, handle)
        for chunk in chunks:
            place, samples = entries[chunk.id]
            yield chunk, f"{ark}:{place}", samples


class _Latest:
    """The last recording read stays: its chunks follow each other."""

    def __init__(self, read: Callable[[str], np.ndarray]):
        self.read, self.name, self.audio = read, None, None

    def __call__(self, name: str) -> np.ndarray:
        if name != self.name:
            self.audio = None  # two recordings of several hours need not lie in memory together
            self.audio = self.read(name)
            self.name = name
        return self.audio
