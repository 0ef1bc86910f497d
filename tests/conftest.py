"""Settings of all tests."""

import pytest
from hypothesis import settings

# No deadline: on a machine that also trains, a slow example says nothing of the code. Derandomised: the same
# commit passes or fails the same way everywhere.
settings.register_profile("k2d", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("k2d")

# What takes longest begins first, shared out to the workers of pytest-xdist (--dist loadgroup) in groups: tests/slurm
# has one cluster, so that one worker runs all of it; the tests of a file share a model; but every test of
# test_corpora.py is a recipe of its own.
FIRST = ("tests/slurm/", "tests/recipes/test_corpora.py")


def place(item) -> int:
    return next((i for i, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST))


def pytest_itemcollected(item):
    groups = (FIRST[0], item.nodeid, item.nodeid.partition("::")[0])
    item.add_marker(pytest.mark.xdist_group(groups[place(item)]))


def pytest_collection_modifyitems(items):
    items.sort(key=place)
