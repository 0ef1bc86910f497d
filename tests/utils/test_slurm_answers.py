"""utils/slurm.py and sites whose commands say more than asked, or have several clusters. Stand-ins run the jobs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "utils"))
from slurm import is_alive, is_held  # noqa: E402

# A site's sbatch: a banner with numbers in it before and after the answer. It notes where it was sent. With ENDED it
# takes what it says to refuse, and answers when that has ended.
SBATCH = """#!/usr/bin/env bash
echo "sbatch:${SLURM_CLUSTERS-}:${SLURM_JOB_ID-}:${SQUEUE_STATES-}" >> calls
[ -z "${ANSWER-}" ] || { echo "$ANSWER"; exit; }
tries=$(grep -c sbatch: calls)
says() { [[ " ${REFUSED-} " != *" $tries "* ]] || { echo "sbatch: error: $SAYS" >&2; exit 1; }; }
[ -n "${ENDED-}" ] || says
cat > script
SLURM_JOB_ID=4711 setsid bash script > out 2>&1 &
echo $! > pid
[ -z "${ENDED-}" ] || { wait $!; says; }
echo "*** 12 nodes are down until 2027 ***"
echo "4711${SLURM_CLUSTERS:+;$SLURM_CLUSTERS}"
echo "*** see the wiki ***"
"""
# Knows the job while it runs, on its own cluster alone.
SQUEUE = """#!/usr/bin/env bash
echo "squeue:${SLURM_CLUSTERS-}:${SLURM_JOB_ID-}:${SQUEUE_STATES-}:$*" >> calls
echo "*** 12 nodes are down until 2027 ***"
echo "CLUSTER: home"
[[ "$*" != *--user=* || -z "${OTHERS-}" ]] || echo "4700|1-64%16|PENDING|Resources"
[ -z "${HICCUP-}" ] || [ -e hiccup ] || { touch hiccup; echo "slurm_load_jobs error: No error" >&2; exit 1; }
[[ "$*" == *--jobs=4711* ]] && kill -0 "$(cat pid)" 2> /dev/null && echo "4711|N/A|RUNNING|None"
exit 0
"""
SCANCEL = """#!/usr/bin/env bash
echo "scancel:$*" >> calls
kill -TERM "-$(cat pid)"
"""


@pytest.fixture
def site(tmp_path):
    """Start utils/slurm.py in a folder with the site's commands before all others."""
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def start(*words: str, program=(str(ROOT / "utils/slurm.py"),), **environment: str) -> subprocess.Popen:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("SLURM", "SQUEUE"))}
        path = f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [sys.executable, *program, "--retries", "1", *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**kept, **environment, "PATH": path},
        )

    return start


def calls(tmp_path, command: str) -> list[str]:
    return [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith(command)]


def test_a_banner_is_no_job_id_and_the_job_runs_once(site, tmp_path):
    process = site("x.log", "bash", "-c", "echo ran >> ran; sleep 2")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert "submitted as 4711, logs" in output
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert len(calls(tmp_path, "sbatch")) == 1
    assert all("--clusters" not in call for call in calls(tmp_path, "squeue"))


@pytest.mark.parametrize("answer", [
    "4096\nSubmitted batch job 4711\n2027", "Submitted batch job 4711 on cluster home\n 99 \n", "4096\n4711\n",
    "4711\n4096\n",
])  # fmt: skip
def test_a_number_of_a_banner_is_no_job_id(site, tmp_path, answer):
    """sbatch may know no --parsable; where several numbers stand alone, the queue tells which is the job."""
    printed = SBATCH[: SBATCH.index('echo "*** 12')] + f"printf '%s\\n' {shlex.quote(answer)}\n"
    (tmp_path / "bin/sbatch").write_text(printed)
    named = '[[ "$*" != *--name=* ]] || echo "4711|N/A|RUNNING|None"\n'
    (tmp_path / "bin/squeue").write_text(SQUEUE.replace("[[ ", named + "[[ ", 1))
    output = site("x.log", "bash", "-c", "echo ran >> ran; sleep 2").communicate(timeout=60)[0]
    assert "submitted as 4711" in output and (tmp_path / "ran").read_text() == "ran\n", output


@pytest.mark.parametrize("state", ["RUNNING", "POWER_UP_NODE", "UPDATE_DB", "STATE_OF_NEXT_YEAR"])
def test_what_is_in_the_queue_in_any_other_state_is_alive(state):
    assert is_alive(state) and not is_held(state, "None")
    assert not any(map(is_alive, ("", "COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "LAUNCH_FAILED")))


@pytest.mark.parametrize("state", ["REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_a_job_that_waits_for_an_operator_is_cancelled_before_another_takes_its_place(site, tmp_path, state):
    once = f'[ -e seen ] || {{ touch seen; echo "4711|N/A|{state}|JobHeldUser"; exit; }}\n'
    (tmp_path / "bin/squeue").write_text(SQUEUE.replace("[[ ", once + "[[ "))
    process = site("x.log", "bash", "-c", "sleep 2")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and f"lost ({state}): submitted again" in output
    assert [call.partition(":")[0] for call in (tmp_path / "calls").read_text().split("\n")].index("scancel") > 0
    assert len(calls(tmp_path, "sbatch")) == 2 and len(calls(tmp_path, "scancel")) == 1


def test_all_commands_look_at_the_cluster_that_the_job_is_on(site, tmp_path):
    settings = {"SLURM_CLUSTERS": "far", "SLURM_JOB_ID": "99", "SQUEUE_STATES": "FAILED"}
    process = site("x.log", "bash", "-c", "touch ran; sleep 60", **settings)
    assert "submitted as 4711 of cluster far, logs" in process.stdout.readline()
    while not (tmp_path / "ran").exists() or not calls(tmp_path, "squeue"):
        assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert calls(tmp_path, "sbatch") == ["sbatch:far::"]
    assert all(call.startswith("squeue:far:::--clusters=far ") for call in calls(tmp_path, "squeue"))
    assert calls(tmp_path, "scancel") == ["scancel:--clusters=far 4711"]


def test_an_answer_without_a_job_id_is_shown(site, tmp_path):
    process = site("x.log", "true", ANSWER="job queued, have a nice day")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "no job id" in output and "job queued, have a nice day" in output
    (cancelled,) = calls(tmp_path, "scancel")
    assert cancelled.startswith("scancel:--name=x-") and len(calls(tmp_path, "sbatch")) == 1


def runs_once(tmp_path, process, hiccup):
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "submitted as 4711" in output, output
    assert ("squeue gets no answer" in output) == bool(hiccup)
    assert (tmp_path / "ran").read_text() == "ran\n" and len(calls(tmp_path, "sbatch")) == 1


@pytest.mark.parametrize("hiccup", ["", "yes"])
def test_a_job_without_an_id_is_looked_for_in_the_queue(site, tmp_path, hiccup):
    (tmp_path / "bin/sbatch").write_text(SBATCH.replace("echo 3\n", "").replace("4711${", "job ${"))
    (tmp_path / "bin/squeue").write_text(SQUEUE.replace("*--jobs=4711*", "*=[x4]*"))
    runs_once(tmp_path, site("x.log", "bash", "-c", "echo ran >> ran; sleep 4", HICCUP=hiccup), hiccup)


TIMED_OUT = "Batch job submission failed: Socket timed out on send/recv operation"


@pytest.mark.parametrize(
    "says",
    [TIMED_OUT, "QOSMaxSubmitJobPerUserLimit", "Transport endpoint is not connected", "Unexpected message received"],
)
def test_what_is_refused_at_the_moment_is_submitted_again(site, tmp_path, says):
    process = site("x.log", "bash", "-c", "echo ran >> ran", REFUSED="1", SAYS=says, OTHERS="yes")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert f"{says}\n    tried again in 2 s" in output and "submitted as 4711, logs" in output
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert len(calls(tmp_path, "sbatch")) == 2


@pytest.mark.parametrize("hiccup", ["", "yes"])
def test_what_was_taken_and_has_ended_does_not_run_twice(site, tmp_path, hiccup):
    """squeue has forgotten it, or gets no answer at first."""
    command = "bash", "-c", "echo ran >> ran"
    runs_once(tmp_path, site("x.log", *command, REFUSED="1", SAYS=TIMED_OUT, ENDED="yes", HICCUP=hiccup), hiccup)


ADVICE = "counts all jobs of an array, whatever --max_jobs_run is: lower --nj (JOB=1:N)"


@pytest.mark.parametrize(
    ("limit", "others", "ends"),
    [("AssocMaxSubmitJobLimit", "", 1), ("AssocMaxSubmitJobLimit", "yes", 0), ("AssocGrpSubmitJobsLimit", "", 0)],
)
def test_an_array_that_a_limit_never_allows_is_not_tried_again(site, tmp_path, limit, others, ends):
    """Where the user has jobs, or others count as well, it may be allowed later."""
    process = site("JOB=1:9", "x.JOB.log", "true", REFUSED="1 2 3 4 5", SAYS=limit, OTHERS=others)
    output = ""
    while ADVICE not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    assert f"{limit} {ADVICE}" in output and ("tried again in 2 s" not in output) == ends
    if not ends:
        process.terminate()
    assert process.wait(60) == (1 if ends else -15) and len(calls(tmp_path, "sbatch")) == 1


def test_what_is_refused_for_good_ends_at_once(site, tmp_path):
    """Also where the folders and the names of a call sound like an error of the moment."""
    process = site("connection timed out.log", "true", REFUSED="1", SAYS="invalid partition specified: gpus")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "slurm.py: Slurm refuses the job: sbatch: error: invalid partition specified: gpus" in output
    assert "asked for by: sbatch" in output
    assert len(calls(tmp_path, "sbatch")) == 1 and not calls(tmp_path, "squeue")


def test_ctrl_c_cancels_what_may_have_been_taken_all_the_same(site, tmp_path):
    process = site("x.log", "true", REFUSED="1 2 3 4 5", SAYS=TIMED_OUT)
    assert TIMED_OUT in process.stdout.readline()
    process.terminate()
    process.communicate(timeout=60)
    (cancelled,) = calls(tmp_path, "scancel")
    assert cancelled.startswith("scancel:--name=x-")


# An array of two jobs, the second of which is lost at first. Slurm says that it refuses some submissions; with TAKEN it
# takes them nevertheless.
ARRAY_SBATCH = """#!/usr/bin/env bash
echo "sbatch:$*" >> calls
tries=$(grep -c sbatch: calls)
says() { [[ " $REFUSED " != *" $tries "* ]] || { echo "sbatch: error: $SAYS" >&2; exit 1; }; }
[ -n "${TAKEN-}" ] || says
job=$((tries == 1 ? 1 : 2))
cat > script
SLURM_ARRAY_JOB_ID=$((4710 + tries)) SLURM_ARRAY_TASK_ID=$job setsid bash script > out 2>&1 &
echo $! > pid.$job
[[ "$*" =~ --job-name=([^ ]+) ]] && echo "${BASH_REMATCH[1]}" > name.$job
echo $((4710 + tries)) > id.$job
[ -z "${ENDED-}" ] || [ $job = 1 ] || { wait $!; rm id.$job; }
says
echo $((4710 + tries))
"""
ARRAY_SQUEUE = """#!/usr/bin/env bash
for job in 1 2; do
    [ -e id.$job ] && [[ "$*" == *$(cat id.$job)* || "$*" == *$(cat name.$job)* ]] || continue
    kill -0 "$(cat pid.$job)" 2> /dev/null && echo "$(cat id.$job)|$job|RUNNING|None"
done
[[ "$*" != *4711* ]] || echo "4711|2|NODE_FAIL|None"
exit 0
"""


@pytest.fixture
def array(site, tmp_path):
    """Start an array of two jobs: the first runs until the second has, or for five seconds."""
    (tmp_path / "bin/sbatch").write_text(ARRAY_SBATCH)
    (tmp_path / "bin/squeue").write_text(ARRAY_SQUEUE)
    script = "echo >> ran.JOB; [ JOB = 2 ] || for i in {1..50}; do [ -e ran.2 ] && break; sleep 0.1; done; sleep 1"

    def run(**settings) -> tuple[int, str]:
        process = site("JOB=1:2", "JOB.log", "bash", "-c", script, **settings)
        output = process.communicate(timeout=60)[0]
        return process.returncode, output

    return run


@pytest.mark.parametrize(("taken", "submissions"), [("", 3), ("yes", 2)])
def test_a_refused_resubmission_leaves_the_other_jobs_alone(array, tmp_path, taken, submissions):
    """What Slurm has taken although it did not answer in time is not submitted twice."""
    status, output = array(REFUSED="2", SAYS=TIMED_OUT, TAKEN=taken)
    assert status == 0, output
    assert "job 2 was lost (NODE_FAIL)" in output and f"{TIMED_OUT}\n    tried again in 2 s" in output
    assert len(calls(tmp_path, "sbatch")) == submissions and not calls(tmp_path, "scancel")
    assert [(tmp_path / f"ran.{job}").read_text() for job in (1, 2)] == ["\n", "\n"]


def test_a_resubmission_that_was_taken_and_has_ended_does_not_run_twice(array, tmp_path):
    status, output = array(REFUSED="2", SAYS=TIMED_OUT, TAKEN="yes", ENDED="yes")
    assert status == 0 and f"{TIMED_OUT}\n    tried again in 2 s" in output, output
    assert len(calls(tmp_path, "sbatch")) == 2
    assert [(tmp_path / f"ran.{job}").read_text() for job in (1, 2)] == ["\n", "\n"]


def test_a_job_that_is_always_refused_fails_in_the_end(array, tmp_path):
    """Whatever the reason is: others of the array have run."""
    limit = f"import sys; sys.path.insert(0, '{ROOT}/utils'); import slurm; slurm.REFUSALS = 2; "
    program = ("-c", limit + "sys.exit(slurm.main(sys.argv[1:]))")
    status, output = array(program=program, REFUSED="2 3", SAYS="invalid account")
    assert status == 1
    assert "job 2 failed with status refused" in output and "1 of 2 jobs failed: 2" in output
    assert len(calls(tmp_path, "sbatch")) == 3
    assert "# status 0" in (tmp_path / "1.log").read_text()
    (cancelled,) = calls(tmp_path, "scancel")  # Slurm may have taken it at the last try
    assert cancelled == f"scancel:--name={re.findall('--job-name=([^ ]+)', calls(tmp_path, 'sbatch')[-1])[0]}"
