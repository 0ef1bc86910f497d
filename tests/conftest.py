"""Settings of all tests."""

import gc
import os
import sys
from contextlib import contextmanager

import pytest
from hypothesis import settings

# No deadline: on a machine that also trains, a slow example says nothing of the code. Derandomised: the same
# commit passes or fails the same way everywhere.
settings.register_profile("k2d", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("k2d")

# As in k2d/bin/main.py, and more rarely still: otherwise a fifth of the time of importing all tests goes into it.
gc.set_threshold(100_000)

# pytest rewrites the assertions of every test file, which takes half of collecting the tests. Files that one worker has
# rewritten are read by those behind it, and by the next run.
sys.dont_write_bytecode = False

# What this processor was found to be quick at changes bytes; tests of that name a file of their own.
os.environ["K2D_PROCESSOR"] = os.devnull + "/none"

# What takes longest begins first: the cluster, which mostly waits, whole recipes, trainings. Short files come last, so
# that no worker is left alone with a long one. A worker is given its next test while it runs one: what follows a whole
# recipe is short, or another would wait behind it for minutes.
CORPORA = "tests/recipes/test_corpora.py::test_"
FIRST = (
    "tests/slurm/", "tests/recipes/test_own_folder.py", f"{CORPORA}ascend",
    f"{CORPORA}a_dry_run", f"{CORPORA}a_damaged", CORPORA,
    "tests/recipes/", "tests/distill/test_training.py", "tests/audio/test_odd_recordings.py", "tests/transcribers/",
    "tests/whisper/", "tests/bin/", "tests/egs/", "tests/publish/", "tests/distill/", "tests/explore/", "tests/audio/",
)  # fmt: skip
TOGETHER = ("tests/slurm/", "tests/transcribers/")


def place(nodeid: str) -> int:
    return next((i for i, name in enumerate(FIRST) if nodeid.startswith(name)), len(FIRST))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: place(item.nodeid))


@pytest.fixture
def as_nobody():
    """with as_nobody(*folders): as a user who may write there, but not read everything, as root may."""

    @contextmanager
    def nobody(*folders):
        is_root = os.geteuid() == 0
        if is_root:
            for folder in folders:
                os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield
        finally:
            if is_root:
                os.seteuid(0)

    return nobody


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """How tests are shared out to the workers of pytest-xdist: in groups, each of which one worker runs.

    tests/slurm has one cluster and is one group, tests/transcribers trains its models once and is another; the tests of
    a file share a model; but every test of test_corpora.py is a recipe of its own.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/recipes/test_corpora.py"):
                return nodeid
            return next((name for name in TOGETHER if nodeid.startswith(name)), nodeid.partition("::")[0])

    return Groups(config, log)
