"""Items are prepared early, in order, and errors come in their item's place."""

import threading

import pytest

from k2d.work.jobs import prefetch


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
    together = threading.Barrier(3)

    def prepare(item):
        if item < 3:
            together.wait(5)  # broken unless three are under way
        return item

    assert list(prefetch(range(7), prepare, readers=3)) == list(range(7))
