"""One real cluster for all tests of this folder; without Slurm on the machine they are skipped, loudly."""

import os

import pytest
from cluster import Cluster, missing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    lacking = missing()
    if lacking:
        pytest.skip(
            f"SLURM IS NOT INSTALLED ({', '.join(lacking)} missing): the cluster back end is NOT tested. "
            "On Debian, as root: apt-get install slurm-wlm munge"
        )
    if os.name != "posix" or not os.path.isdir("/proc/self"):
        pytest.skip("THE CLUSTER BACK END IS NOT TESTED: its one-machine cluster needs Linux")
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running
