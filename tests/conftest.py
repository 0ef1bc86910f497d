"""Settings of all tests."""

import pytest
from hypothesis import settings

# No deadline: on a machine that also trains, a slow example says nothing of the code. Derandomised: the same
# commit passes or fails the same way everywhere.
settings.register_profile("k2d", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("k2d")

# What takes longest begins first. A folder or file named here is one group: its tests share a cluster or a model,
# so that one worker runs them all; of test_corpora.py every test is a recipe of its own.
FIRST = ("tests/slurm/", "tests/recipes/test_corpora.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Share the tests out to the workers of pytest-xdist (--dist loadgroup)."""

    def place(item) -> int:
        return next((i for i, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST))

    items.sort(key=place)
    for item in items:
        group = item.nodeid.partition("::")[0]
        if place(item) == 0:
            group = FIRST[0]
        elif place(item) == 1:
            group = item.nodeid
        item.add_marker(pytest.mark.xdist_group(group))
