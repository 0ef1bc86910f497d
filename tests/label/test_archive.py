"""Chunk audio in archives: what kaldiio and k2d.audio read back is what was cut out."""

import kaldiio
import numpy as np
import pytest
from decoding_material import segment

from k2d.audio.read import read_audio
from k2d.errors import BadAudio
from k2d.label.archive import ShardWriter
from k2d.label.chunks import PackedChunk

RATE = 16000


@pytest.fixture
def audio():
    rng = np.random.default_rng(0)
    return {name: (0.1 * rng.standard_normal(RATE * 12)).astype(np.float32) for name in "ab"}


@pytest.fixture
def chunks():
    piece = segment(0, 1)
    return [PackedChunk(r, s, s + 2.5, [piece]) for r in "ab" for s in (0.0, 2.5, 6.02)]


def pieces_of(audio):
    return lambda name: np.split(audio[name], range(7001, len(audio[name]), 7001))


def test_chunks_come_back_in_order_and_at_random(audio, chunks, tmp_path):
    written = list(ShardWriter(tmp_path, "key", per_shard=4).write(chunks, pieces_of(audio)))
    assert sorted(p.name for p in tmp_path.glob("*.ark")) == ["chunks.000001.ark", "chunks.000002.ark"]
    for chunk, place, samples in reversed(written):
        expected = audio[chunk.recording][round(chunk.start * RATE) : round(chunk.end * RATE)]
        assert samples == len(expected) == 40000
        np.testing.assert_allclose(read_audio(place), expected, atol=1.6e-5)
        rate, theirs = kaldiio.load_mat(place)
        assert rate == RATE and len(theirs) == samples
    in_order = [name for name, _ in kaldiio.load_ark(str(tmp_path / "chunks.000001.ark"))]
    assert in_order == [c.id for c in chunks[:4]]


def test_a_killed_writer_goes_on_at_the_first_missing_shard(audio, chunks, tmp_path):
    def killed(name):
        if name == "b":
            raise KeyboardInterrupt
        return [audio[name]]

    with pytest.raises(KeyboardInterrupt):
        list(ShardWriter(tmp_path / "x", "key", per_shard=2).write(chunks, killed))
    assert [p.name for p in (tmp_path / "x").glob("*.ark")] == ["chunks.000001.ark"]
    asked = []

    def read(name):
        asked.append(name)
        return [audio[name]]

    again = list(ShardWriter(tmp_path / "x", "key", per_shard=2).write(chunks[2:], read))  # other chunks
    assert asked == ["a", "b"]
    assert len(again) == 4
    asked.clear()
    list(ShardWriter(tmp_path / "x", "key", per_shard=2).write(chunks[2:], read))
    assert asked == []  # all shards are there
    list(ShardWriter(tmp_path / "x", "other key", per_shard=2).write(chunks[2:], read))
    assert asked == ["a", "b"]


def test_loud_audio_is_clipped_and_not_wrapped(tmp_path):
    loud = {"a": np.array([2.0, -2.0, 0.5] * 16000, np.float32)}
    chunk = PackedChunk("a", 0.0, 3.0, [segment(0, 3)])
    [(_, place, _)] = ShardWriter(tmp_path, "key").write([chunk], pieces_of(loud))
    assert (read_audio(place)[:3] * 32768).tolist() == [32767, -32768, 16384]


def test_a_shard_that_has_lost_a_part_is_made_again(audio, chunks, tmp_path):
    places = list(ShardWriter(tmp_path, "key").write(chunks, pieces_of(audio)))
    ark = tmp_path / "chunks.000001.ark"
    whole = ark.read_bytes()
    ark.write_bytes(whole[:1000])
    assert list(ShardWriter(tmp_path, "key").write(chunks, pieces_of(audio))) == places
    assert ark.read_bytes() == whole


@pytest.mark.parametrize("shorter", [False, True])
def test_a_recording_that_cannot_be_read_again_costs_its_own_chunks_only(audio, chunks, tmp_path, shorter):
    """A command in wav.scp that fails the second time, a network drive that is gone, a file that was replaced."""

    def fail(name):
        yield audio[name][: 3 * RATE]
        if name == "a" and not shorter:
            raise BadAudio("a", "command failed", "it ended with status 1")
        if name != "a":
            yield audio[name][3 * RATE :]

    lost = {}
    written = list(ShardWriter(tmp_path, "key", per_shard=2, lost=lost).write(chunks, fail))
    assert [chunk.id for chunk, _, _ in written] == [c.id for c in chunks if c.recording == "b" or c.start == 0.0]
    assert {name: error.reason for name, error in lost.items()} == {"a": "truncated" if shorter else "command failed"}
    again = list(ShardWriter(tmp_path, "key", per_shard=2).write(chunks, pieces_of(audio)))
    assert [chunk.id for chunk, _, _ in again] == [c.id for c in chunks]
    np.testing.assert_allclose(read_audio(again[1][1]), audio["a"][40000:80000], atol=1.6e-5)
