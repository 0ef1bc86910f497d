"""What can only be read whole is read once, and lies on disk."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from k2d.audio import whole
from k2d.audio.whole import Wholes


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(whole, "_IN_MEMORY", 1000)
    monkeypatch.setattr(whole, "_KEPT", 10_000)


def test_threads_that_want_one_recording_read_it_once(small):
    pieces, begun = np.random.default_rng(0).standard_normal((8, 700)).astype(np.float32), []

    def read():
        begun.append(1)
        return iter(pieces)

    wholes = Wholes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: wholes.get(("a",), read), range(8)))
    assert len(begun) == 1
    assert all(isinstance(audio, np.memmap) and np.array_equal(audio, pieces.ravel()) for audio in found)


def test_what_was_asked_for_last_is_kept(small):
    wholes, begun = Wholes(), []

    def get(name: str, samples: int) -> np.ndarray:
        def read():
            begun.append(name)
            return [np.full(samples, ord(name), np.float32)]

        return wholes.get((name,), read)

    for name in "abab":
        assert set(get(name, 4000)) == {ord(name)}
    assert begun == ["a", "b"]
    get("a", 4000)
    get("c", 4000)  # b goes
    for name in "acb":
        get(name, 4000)
    assert begun == ["a", "b", "c", "b"]
    assert len(get("d", 50_000)) == 50_000  # more than is kept


def test_a_recording_that_cannot_be_read_is_asked_for_again(small):
    wholes = Wholes()
    with pytest.raises(OSError):
        wholes.get(("a",), lambda: (_ for _ in ()).throw(OSError("gone")))
    assert len(wholes.get(("a",), lambda: [np.zeros(5, np.float32)])) == 5
