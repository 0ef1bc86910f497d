"""Settings of all tests."""

import pytest
from hypothesis import settings

# No deadline: on a machine that also trains, a slow example says nothing of the code. Derandomised: the same
# commit passes or fails the same way everywhere.
settings.register_profile("k2d", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("k2d")

# What takes longest begins first: the cluster, which mostly waits, whole recipes, trainings.
FIRST = (
    "tests/slurm/", "tests/recipes/test_corpora.py", "tests/recipes/test_sweep.py", "tests/distill/test_training.py",
    "tests/transcribers/",
)  # fmt: skip


def place(nodeid: str) -> int:
    return next((i for i, name in enumerate(FIRST) if nodeid.startswith(name)), len(FIRST))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """How tests are shared out to the workers of pytest-xdist: in groups, each of which one worker runs.

    tests/slurm has one cluster and is one group; the tests of a file share a model; but every test of
    test_corpora.py is a recipe of its own.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return {0: FIRST[0], 1: nodeid}.get(place(nodeid), nodeid.partition("::")[0])

    return Groups(config, log)
