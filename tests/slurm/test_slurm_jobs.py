"""utils/slurm.py on a real cluster: what a call gets, what becomes of lost, failed and cancelled jobs."""

import json
import re
import signal
import sys

import pytest
from cluster import wait_for
from slurm_calls import ended, slurm_id


def test_arguments_reach_the_node_as_given_and_path_sh_is_sourced_there(start):
    words = ["two words", "it's", 'a "quote"', "$HOME `x` \\ *", "中文，標點", "", "--flag", "a\nb", "%a", "x JOB"]
    code = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('out', 'w'))"
    (start.folder / "path.sh").write_text('export FROM_PATH_SH="on $SLURMD_NODENAME"\n')
    process = start(
        *("JOB=2:2", "--num_threads", 2, "--mem", "100M", "--time", "5:00", "a b/日誌 100%.JOB.log"),
        *(sys.executable, "-c", code, *words),
        ONLY_AT_HOME="yes",
    )
    status, output = ended(process)
    assert status == 0, output
    given, environment = json.loads((start.folder / "out").read_text())
    assert given == [word.replace("JOB", "2") for word in words]
    assert re.fullmatch(r"on n\d", environment["FROM_PATH_SH"])
    assert environment["OMP_NUM_THREADS"] == environment["SLURM_CPUS_PER_TASK"] == "2"
    log = (start.folder / "a b/日誌 100%.2.log").read_text()
    assert log.startswith(f"# {sys.executable} -c")
    assert re.search(r"^# host \S+, Slurm job \d+_2 on n\d\n# start [-\d]+ [:\d]+\n", log, re.MULTILINE)
    assert re.search(r"^# end .* s\n# status 0\n$", log, re.MULTILINE)


def test_a_job_that_cannot_start_is_a_failed_job(start):
    assert "cannot start 'no-such-command'" in ended(start("x.log", "no-such-command"))[1]
    (start.folder / "path.sh").write_text("echo 'tools/venv is missing'; return 1\n")
    status, output = ended(start("x.log", "true"))
    assert status == 1
    assert "    tools/venv is missing" in output and "failed with status 127" in output


def test_what_slurm_refuses_is_said_with_its_words(start):
    status, output = ended(start("--mem", "9999T", "x.log", "true"))
    assert status == 1
    assert "Slurm refuses the job" in output and "--mem=9999T" in output and "conf/slurm.conf" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_what_was_submitted(start, cluster, number):
    process = start("JOB=1:20", "--num_threads", 4, "JOB.log", "bash", "-c", "touch ran.JOB; sleep 60")
    array = slurm_id(process)
    wait_for(lambda: (start.folder / "ran.1").exists(), 120, "no job ran", cluster.logs)
    process.send_signal(number)
    status, output = ended(process)
    assert status == -number
    assert "its jobs with it" in output
    wait_for(lambda: not cluster.call("squeue", "-h", "-j", array).strip(), 120, "jobs are left", cluster.logs)


def test_somebody_else_cancels_a_job(start, cluster):
    process = start("JOB=1:2", "JOB.log", "bash", "-c", "touch ran.JOB; [ JOB = 1 ] || sleep 60")
    array = slurm_id(process)
    wait_for(lambda: (start.folder / "ran.2").exists(), 120, "the job did not start", cluster.logs)
    cluster.call("scancel", f"{array}_2")
    status, output = ended(process)
    assert status == 1
    assert "job 2 failed with status CANCELLED" in output


def test_a_job_that_saves_its_state_goes_on_in_another(slow_calls):
    """Status 75 after SIGUSR1, as a training gives before its time limit."""
    folder, process = slow_calls["saves"]
    status, output = ended(process)
    assert status == 0, output
    assert "the job has saved its state and goes on in another job" in output
    assert len(set((folder / "jobs").read_text().split())) == 2
    log = (folder / "x.log").read_text()
    assert log.index("# status 75") < log.index("# status 0")


def test_a_job_that_is_always_lost_fails_in_the_end(slow_calls):
    """Its processes vanish without a status, as where a node kills them."""
    status, output = ended(slow_calls["vanishes"][1])
    assert status == 1
    assert "job 2 was lost (it left no status): submitted again, 1 of 1" in output
    assert "1 of 2 jobs failed: 2" in output


def test_only_the_jobs_of_a_lost_node_run_again(lost_node):
    folder, output, lost = lost_node.result()
    assert len(lost) == 2, "two jobs of eight cores on each node of sixteen"
    for number in range(1, 5):
        ran = (folder / f"ran.{number}").read_text().split()
        assert len(ran) == (2 if number in lost else 1), output
        assert (f"job {number} was lost (NODE_FAIL): submitted again, 1 of 3" in output) == (number in lost)


def test_fifty_elements_are_one_array_with_throttling_and_failed_ones_are_named(slow_calls):
    folder, process = slow_calls["fifty"]
    status, output = ended(process)
    assert status == 1
    array = re.search(r"50 jobs submitted as (\d+), at most 16 at a time", output)[1]
    hosts = [(folder / f"log/x.{number}.log").read_text().splitlines()[1] for number in range(1, 51)]
    assert [host.partition("Slurm job ")[2].split()[0] for host in hosts] == [f"{array}_{n}" for n in range(1, 51)]
    assert "job 7 failed with status 3" in output and "job 40 failed with status 3" in output
    assert "    at 40" in output
    assert "2 of 50 jobs failed: 7 40" in output
    assert re.search(r"\d+ of 50 jobs ended, .*\d+ pending \(.*JobArrayTaskLimit", output)
    running = most = 0
    for line in (folder / "trace").read_text().split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert 1 < most <= 16
