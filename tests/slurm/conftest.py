"""One real cluster for all tests of this folder; without Slurm on the machine they are skipped, loudly.

Whole recipes and trainings begin before the first test and run beside the others: two at a time, since they
compute, while most tests wait. So does what waits longest.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest
from cluster import Cluster, missing
from recipe_runs import Run, lose_a_node_and_requeue_the_training
from slurm_calls import call, lose_a_node_of_an_array
from training_material import world  # noqa: F401
from two_nodes import meet_on_two_nodes, train_here, train_on_two_nodes

EARLY = ("slow_calls", "lost_node", "recipes", "trainings", "meeting")


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


@pytest.fixture(scope="session", autouse=True)
def begun_early(request):
    """What takes long begins before the first test, as far as a selected test wants it."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in EARLY:
        if name in wanted:
            request.getfixturevalue(name)


@pytest.fixture
def start(cluster, tmp_path):
    """Start utils/slurm.py in a folder whose name wants quoting."""
    folder = tmp_path / "a folder's 资料 %a"
    folder.mkdir()
    begin = partial(call, cluster, folder)
    begin.folder = folder
    return begin


@pytest.fixture(scope="session")
def lines():
    """Two threads, each of which does what it is given one after the other."""
    pools = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]
    yield pools
    for pool in pools:
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def slow_calls(cluster, tmp_path_factory):
    """Calls that mostly wait: name -> (folder, process)."""
    saves = 'echo "$SLURM_JOB_ID" >> jobs; trap "exit 75" USR1; while [ $(wc -l < jobs) = 1 ]; do sleep 0.1; done'
    vanishes = "[ JOB = 1 ] || { kill -9 $PPID; sleep 5; }"
    traces = "echo + >> trace; sleep 0.02; echo - >> trace; [ JOB != 7 ] && [ JOB != 40 ] || { echo at JOB; exit 3; }"
    calls = {
        "saves": ["--time", "1:00", "--signal_before", "55", "x.log", "bash", "-c", saves],
        "vanishes": ["--retries", "1", "JOB=1:2", "JOB.log", "bash", "-c", vanishes],
        "fifty": ["JOB=1:50", "--max_jobs_run", 16, "log/x.JOB.log", "bash", "-c", traces],
    }
    begun = {}
    for name, words in calls.items():
        folder = tmp_path_factory.mktemp(name)
        begun[name] = (folder, call(cluster, folder, *words))
    return begun


@pytest.fixture(scope="session")
def lost_node(cluster, tmp_path_factory):
    """The promise of an array one of whose nodes dies: its folder, its output, and the elements that were there."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(lose_a_node_of_an_array, cluster, tmp_path_factory.mktemp("lost_node"))


@pytest.fixture(scope="session")
def recipes(cluster, lines, tmp_path_factory):
    """Runs of mini_cs, each the promise of one that has ended: `data` and `data_slurm` of stage 1, `local` of stages
    2 to 4. `lossy` is a run of 2 to 7 with accidents, `lost` the promise of what these took.
    """
    data, data_slurm = (Run(tmp_path_factory.mktemp(name), cluster) for name in ("data", "data_slurm"))
    local = Run(tmp_path_factory.mktemp("local"), cluster, data)
    lossy = Run(tmp_path_factory.mktemp("lossy"), cluster, data, partition="second")
    prepared = lines[0].submit(data.go, 1, 1)
    begun = SimpleNamespace(
        data=prepared,
        lossy=lossy,
        lost=lines[0].submit(lose_a_node_and_requeue_the_training, lossy, cluster, "n4"),
        data_slurm=lines[1].submit(data_slurm.go, 1, 1, "--cmd_backend", "slurm"),
        local=lines[1].submit(lambda: prepared.result() and local.go(2, 4)),
    )
    yield begun
    for run in (data, data_slurm, local, lossy):
        run.stop()


@pytest.fixture(scope="session")
def trainings(world, cluster, lines, tmp_path_factory):  # noqa: F811
    """The same training by two local processes and on two nodes, each a promise."""
    folder = tmp_path_factory.mktemp("trainings")
    return SimpleNamespace(
        local=lines[1].submit(train_here, world, folder / "local"),
        slurm=lines[1].submit(train_on_two_nodes, world, cluster, folder / "slurm"),
    )


@pytest.fixture(scope="session")
def meeting(world, cluster, lines, tmp_path_factory):  # noqa: F811
    """The promise of the log of a training for two nodes of two GPUs, as far as its processes meet."""
    return lines[1].submit(meet_on_two_nodes, world, cluster, tmp_path_factory.mktemp("meeting"))
