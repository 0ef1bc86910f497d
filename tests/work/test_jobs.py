"""Pieces of work at once: all done, or the first error, and the others stop; items prepared early, in order."""

import threading
import time

import pytest

from k2d.work.jobs import Stopped, in_threads, prefetch


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


def test_the_next_item_is_prepared_while_this_one_is_used():
    second = threading.Event()

    def prepare(item):
        if item == 2:
            second.set()
        return item * 10

    prepared = prefetch([1, 2, 3], prepare)
    assert next(prepared) == 10
    assert second.wait(5)  # nobody has asked for the second one yet
    assert list(prepared) == [20, 30]


def test_an_error_is_raised_where_its_item_would_come():
    prepared = prefetch([1, 0, 2], lambda item: 1 / item)
    assert next(prepared) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(prepared)
    assert list(prefetch([], lambda item: item)) == []


def test_several_are_prepared_at_once_and_come_in_order():
    barrier = threading.Barrier(3)

    def prepare(item):
        if item < 3:
            barrier.wait(5)  # broken unless three are under way
        return item

    assert list(prefetch(range(7), prepare, readers=3)) == list(range(7))
