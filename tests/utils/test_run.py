"""utils/run.py: jobs side by side with a log each, failures named, nothing left behind after Ctrl-C."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "utils/run.py"
sys.path.insert(0, str(RUN.parent))

from job_logs import duration, last_line, progress  # noqa: E402


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, RUN, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def test_each_job_gets_its_number_and_its_log(tmp_path):
    result = run("JOB=1:3", tmp_path / "log/x.JOB.log", "bash", "-c", "echo job JOB > JOB.out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for number in "123":
        assert (tmp_path / f"{number}.out").read_text() == f"job {number}\n"
        log = (tmp_path / f"log/x.{number}.log").read_text()
        assert f"echo job {number} > {number}.out" in log.splitlines()[0]
        for line in ("# host ", "# start ", "# end ", "# status 0"):
            assert f"\n{line}" in log
    assert "3 of 3 jobs ended" in result.stderr


def test_options_stand_on_either_side_of_the_range_and_any_word_names_the_job(tmp_path):
    for leading in ("--num_threads 1 N=2:2", "N=2:2 --num_threads=1 --mem 4G --time 1:00 --config x.conf"):
        result = run(*leading.split(), tmp_path / "N.log", "bash", "-c", "echo $OMP_NUM_THREADS N")
        assert result.returncode == 0, result.stderr
        assert "\n1 2\n" in (tmp_path / "2.log").read_text()


def test_arguments_reach_the_command_as_given(tmp_path):
    words = ["two words", "it's", 'a "quote"', "$HOME `x` \\ *", "中文，標點", "", "--flag", "a\nb"]
    code = "import json, sys; json.dump(sys.argv[1:], open('out', 'w'))"
    result = run(tmp_path / "a b.log", sys.executable, "-c", code, *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "out").read_text()) == words


def test_failing_jobs_are_named_with_the_end_of_their_log_and_the_others_finish(tmp_path):
    script = 'if [ JOB = 2 ]; then echo "line of job JOB"; exit 7; fi; sleep 0.2; touch ok.JOB'
    result = run("JOB=1:3", tmp_path / "JOB.log", "bash", "-c", script, cwd=tmp_path)
    assert result.returncode == 1
    assert "job 2 failed with status 7" in result.stderr
    assert "line of job 2" in result.stderr
    assert "1 of 3 jobs failed: 2" in result.stderr
    assert (tmp_path / "ok.1").exists() and (tmp_path / "ok.3").exists()
    assert "# status 7" in (tmp_path / "2.log").read_text()


def test_a_command_run_quietly_shows_its_last_line_and_logs_all(tmp_path):
    environment = {**os.environ, "RUN_QUIETLY": "true"}
    log = tmp_path / "x.log"
    result = run(log, "bash", "-c", "echo much; echo the sum", env=environment)
    assert result.returncode == 0
    assert result.stderr == f"{log}: the sum\n"
    assert "\nmuch\nthe sum\n# end " in log.read_text()
    result = run(log, "bash", "-c", "echo why; exit 3", env=environment)
    assert result.returncode == 1
    assert "failed with status 3" in result.stderr and "    why" in result.stderr


def test_a_command_that_does_not_exist_is_a_failed_job(tmp_path):
    result = run(tmp_path / "x.log", "no-such-command-here")
    assert result.returncode == 1
    assert "cannot start 'no-such-command-here'" in result.stderr


def test_a_line_that_is_slow_to_end_is_shown_once(tmp_path):
    script = "printf slow; sleep 1; printf ' line'; sleep 1; echo; printf '1/2\\r'; sleep 1; printf '2/2\\r'; sleep 1"
    program = f"""import sys, run
run.PROGRESS_SECONDS = 0.5
call = run.parse({[str(tmp_path / "x.log"), "bash", "-c", script]!r}, run.option_parser())
sys.exit(run.run_all(call, run.run, shows=True))
"""
    shown = subprocess.run([sys.executable, "-c", program], cwd=RUN.parent, capture_output=True, text=True).stderr
    assert shown.count("slow") == 1 and "slow line\n" in shown
    assert "1/2\n" in shown, "a progress bar is shown now and then"


@pytest.mark.parametrize(("room", "status"), [(0, 1), (300, 0)])
def test_where_a_log_cannot_be_written_output_and_reason_are_shown(tmp_path, room, status):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    result = run(tmp_path / "x.log", "bash", "-c", "printf '%400d\\n' 1; echo made", preexec_fn=little_room)
    assert result.returncode == status and "Traceback" not in result.stderr
    assert ("made" if room else "x.log: File too large") in result.stderr


def test_a_killed_job_fails(tmp_path):
    result = run(tmp_path / "x.log", "bash", "-c", "kill -9 $$")
    assert result.returncode == 1
    assert "# status 137 (killed by signal 9)" in (tmp_path / "x.log").read_text()


def test_no_more_jobs_at_a_time_than_asked_for(tmp_path):
    script = "echo + >> trace; sleep 0.15; echo - >> trace"
    result = run("JOB=1:5", "--max_jobs_run", 2, tmp_path / "JOB.log", "bash", "-c", script, cwd=tmp_path)
    assert result.returncode == 0
    running = most = 0
    for line in (tmp_path / "trace").read_text().split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert most == 2


def test_gpus_are_shared_out(tmp_path):
    """Two jobs of one GPU each never hold the same one, and a third waits."""
    script = "echo $CUDA_VISIBLE_DEVICES > gpu.JOB; echo + >> trace; sleep 0.15; echo - >> trace"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "4,6"}
    result = run(
        *("JOB=1:3", "--gpu", 1, "--max_jobs_run", 8, tmp_path / "JOB.log", "bash", "-c", script),
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    used = [(tmp_path / f"gpu.{n}").read_text().strip() for n in (1, 2, 3)]
    assert set(used[:2]) == {"4", "6"} and used[2] in ("4", "6")
    assert (tmp_path / "trace").read_text().split()[:2] == ["+", "+"]
    assert "+ + +" not in (tmp_path / "trace").read_text().replace("\n", " ")


def test_output_of_a_single_job_is_shown_and_its_progress_bar_is_one_line_of_a_file(tmp_path):
    script = r"printf 'a 1%%\ra 50%%\ra 100%%\nb 1%%\r    \rend\nlast 1%%\rlast 2%%'"
    result = run(tmp_path / "x.log", "bash", "-c", script)
    assert result.stderr == "a 100%\nend\nlast 2%\n"
    assert "\na 100%\nend\nlast 2%\n# end" in (tmp_path / "x.log").read_text()
    ours, terminal = os.openpty()
    subprocess.run([sys.executable, RUN, tmp_path / "x.log", "bash", "-c", script], stderr=terminal, check=True)
    assert b"a 1%\ra 50%\ra 100%" in os.read(ours, 1000), "on a terminal it moves"


def test_how_far_a_job_is(tmp_path):
    """Its newest line as a terminal shows it, whole words of it."""
    log, head = tmp_path / "x.log", "# k2d publish\n# start now\n"
    for text, shown in (
        ("", ""),
        ("\rlabels:   0%|   | 0/7", "labels:   0%|   | 0/7"),
        ("\rlabels:   0%|   | 0/7\rlabels:  50%|#  | 3/7", "labels:  50%|#  | 3/7"),
        ("first: ok\n\rlabels:   0%|   | 0/7\r          \r", "first: ok"),
        ("\rlabels:   0%|   | 0/7\r          \rLoading: 100%\nread by whisper: ok\n", "read by whisper: ok"),
        ("[vm] 2026-11-28 10:00:00 (trainer:1) INFO: 1epoch:train:1-9batch: loss=1.25, acc=0.5\n[vm] INFO: saved\n",
         "epoch 1, batch 9: loss=1.25, acc=0.5"),
        ("".join(f"\rlabel: {n}/9999" for n in range(9999)), "label: 9998/9999"),
    ):  # fmt: skip
        log.write_text(head + text)
        assert progress(log) == shown
    log.write_text(head + "values: " + ", ".join(f"value{n}={n / 7}" for n in range(40)) + "\n")
    assert len(progress(log)) <= 120 and progress(log).endswith(f", value3={3 / 7}, …")
    assert len(last_line(log)) <= 400
    log.write_text(head + "x" * 9000)
    assert progress(log) == last_line(log) == ""


def test_how_far_a_training_is(tmp_path):
    """Epochs, the values that tell how it goes, whole, and the time that ESPnet expects it to take."""
    log = tmp_path / "train.log"
    line = "[host] 2026-11-28 10:{} (trainer:1) INFO: {}\n"
    values = "iter_time=0.03, ce=0.853, acc=0.824, kl=0.848, loss=1.531, backward_time=0.5, " + "x" * 300
    head = "# k2d train --tables x\n# start now\ntrain: 8 updates of 32 chunks\n"
    log.write_text(head + line.format("28:01,000", "[train] dataset:") + "  preprocess: <MakeRow object at 0x7f84>)\n")
    assert progress(log) == "train: 8 updates of 32 chunks", "nothing of what ESPnet is made of"
    log.write_text(line.format("28:03,313", "1/4epoch started") + "x.py:7: UserWarning: no CUDA\n  with autocast(\n")
    assert progress(log) == "epoch 1 of 4", "whatever libraries warn of behind it"
    with log.open("a") as handle:
        handle.write(line.format("28:30,042", f"1epoch:train:1-25batch: {values}"))
    assert progress(log) == "epoch 1 of 4, batch 25: ce=0.853, acc=0.824, kl=0.848, loss=1.531"
    with log.open("a") as handle:
        started = "2/4epoch started. Estimated time to finish: 2 minutes and 53.03 seconds"
        handle.write(line.format("29:00,992", started))
    assert progress(log) == "epoch 2 of 4; 2 min 53 s left"
    with log.open("a") as handle:
        handle.write(line.format("29:20,000", f"2epoch:train:1-25batch: {values}"))
    assert progress(log).startswith("epoch 2 of 4, batch 25: ce=")
    assert progress(log).endswith("; 2 min 33 s left")
    results = f"2epoch results: [train] {values}, [valid] ce=0.107, acc=0.917, time=0.93 seconds, total_count=4"
    with log.open("a") as handle:
        handle.write(line.format("30:00,000", results) + line.format("30:01,000", "There are no improvements"))
    assert progress(log) == "epoch 2 of 4, dev: ce=0.107, acc=0.917; 1 min 53 s left"
    assert last_line(log) == "epoch 2 of 4, dev: ce=0.107, acc=0.917", "of what has ended there is no time left"
    with log.open("a") as handle:
        handle.write(line.format("30:02,000", "3/4epoch started. Estimated time to finish: 1 week, 1 day and 2 hours"))
    assert progress(log) == "epoch 3 of 4; 194 h 0 min left"
    assert duration(7500) == "2 h 5 min" and duration(59) == "59 s"


def test_mistakes_in_the_call_say_what_was_expected(tmp_path):
    assert "holds no job" in run("JOB=3:1", tmp_path / "JOB.log", "true").stderr
    assert "does not hold JOB" in run("JOB=1:2", tmp_path / "x.log", "true").stderr
    assert "expected LOG COMMAND" in run("JOB=1:2", tmp_path / "x.log").stderr
    assert "--bogus" in run("--bogus", "1", tmp_path / "x.log", "true").stderr


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def start_sleepers(tmp_path):
    """run.py with two jobs, each a shell with a child of its own; returns it and the four process ids."""
    script = "sleep 60 & echo $! > child.JOB; echo $$ > parent.JOB; wait"
    process = subprocess.Popen(
        [sys.executable, RUN, "JOB=1:2", "--max_jobs_run", "2", "JOB.log", "bash", "-c", script],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    files = [tmp_path / f"{kind}.{n}" for kind in ("child", "parent") for n in (1, 2)]
    wait_for(lambda: all(f.exists() and f.read_text().strip() for f in files))
    return process, [int(f.read_text()) for f in files]


def test_ctrl_c_ends_jobs_and_their_children(tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM):
        process, pids = start_sleepers(tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == -number
        assert "its jobs with it" in errors
        wait_for(lambda pids=pids: not any(alive(pid) for pid in pids))
        assert "(killed by signal" in (tmp_path / "1.log").read_text()
        for leftover in tmp_path.iterdir():
            leftover.unlink()


def test_jobs_end_when_run_py_is_killed_outright(tmp_path):
    process, pids = start_sleepers(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    parents = pids[2:]
    wait_for(lambda: not any(alive(pid) for pid in parents))
    for pid in pids[:2]:  # grandchildren are beyond a job's reach; do not leave them to the machine
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_what_nohup_lets_run_on_runs_on(tmp_path):
    words = [sys.executable, RUN, "log", "bash", "-c", "touch begun; until [ -e go ]; do sleep 0.05; done; touch done"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    wait_for((tmp_path / "begun").exists)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    (tmp_path / "go").touch()
    assert process.wait(60) == 0 and (tmp_path / "done").exists()
