"""Pieces of work side by side: all done, or the first error, and the others stop."""

import time

import pytest

from k2d.work.jobs import Stopped, in_threads


def test_all_tasks_are_done():
    done = []
    in_threads([lambda stop, n=n: done.append(n) for n in range(4)])
    assert sorted(done) == [0, 1, 2, 3]
    in_threads([])


def test_the_first_error_stops_the_others():
    rounds = []

    def long(stop):
        for n in range(1000):
            if stop.is_set():
                raise Stopped
            rounds.append(n)
            time.sleep(0.01)

    def fails(stop):
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        in_threads([long, fails])
    assert len(rounds) < 500
