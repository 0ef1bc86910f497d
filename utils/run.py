#!/usr/bin/env python3
"""Run a command, or N of them side by side, on this machine, each with its own log.

    utils/run.py exp/log/train.log k2d train …
    utils/run.py JOB=1:8 --num_threads 2 exp/log/label.JOB.log k2d label --data split8/JOB …

In:  the name of the job number (JOB, any word), its range, options, a log file, the command. The number
     takes the place of the name in the log's name and in the command's arguments, wherever it is not part
     of a longer word. No shell reads the command: spaces, quotes and Chinese stay as given; for a pipe,
     write bash -c '…'.
Out: one log a job: command, host, start, output, end, status. A failing job is named with the end of its log
     and the exit status is 1, once all others have ended. Ctrl-C ends what it started. The output of a single
     command is shown as it comes, in a file line by line; with RUN_QUIETLY=true in the environment, as where several
     are run side by side, now and then a line that says how far it is, and its last line.

The calling form is Kaldi's and that of utils/slurm.py, so that a recipe says the same for all back ends: --mem,
--time, --signal_before, --retries and --config are theirs and change nothing here.
"""

import argparse
import contextlib
import ctypes
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from job_logs import last_line, progress, seen

TAIL = 12  # lines of a failed job's log to show
PROGRESS_SECONDS = 15  # between two reports of how far jobs are
GRACE = 5.0  # seconds between asking a job to end and ending it
JOB = re.compile(r"^([A-Za-z_]\w*)=(\d+):(\d+)$")
PR_SET_PDEATHSIG = 1  # Linux: a signal for the child when its parent is gone


@dataclass
class Call:
    """What to run, as parsed from the command line."""

    log: str
    command: list[str]
    name: str | None = None  # the word that stands for the job number; None for a single job
    first: int = 1
    last: int = 1
    options: argparse.Namespace = field(default_factory=argparse.Namespace)

    def numbered(self, word: str, number: int | str) -> str:
        """`word` with the job's number for its name: split8/JOB, x.JOB.log, part_JOB, but not MYJOBS."""
        if not self.name:
            return word
        return re.sub(rf"(?<![A-Za-z0-9]){self.name}(?![A-Za-z0-9])", str(number), word)

    def log_of(self, number: int) -> Path:
        return Path(self.numbered(self.log, number))

    def command_of(self, number: int) -> list[str]:
        return [self.numbered(word, number) for word in self.command]

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1)


@dataclass
class Running:
    number: int
    process: subprocess.Popen
    log: Path
    started: float
    devices: list[str]


def option_parser(prog: str = "run.py", description: str | None = __doc__) -> argparse.ArgumentParser:
    """The options that all back ends share."""
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num_threads", type=int, help="cores a job uses (sets OMP_NUM_THREADS)")
    parser.add_argument("--mem", help="memory a job needs, such as 4G")
    parser.add_argument("--time", help="longest time of a job, as sbatch reads it")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs a job needs, on each of its nodes (default 0)")
    parser.add_argument("--num_nodes", type=int, help="nodes of a job: the command runs once on each, through srun")
    parser.add_argument("--max_jobs_run", type=int, help="jobs at a time (default: as the cores or the cluster allow)")
    parser.add_argument(
        "--signal_before",
        type=int,
        metavar="SECONDS",
        help="before the time limit SIGUSR1 asks the command to save its state and to exit with status 75",
    )
    parser.add_argument("--retries", type=int, default=3, help="of a job whose node was lost (default %(default)s)")
    parser.add_argument("--config", help="how options map to the cluster's flags (default conf/slurm.conf)")
    return parser


def parse(argv: list[str], parser: argparse.ArgumentParser) -> Call:
    """Split `[JOB=1:N] [options] LOG COMMAND…`; options and JOB= in any order before LOG."""
    name, first, last, position = None, 1, 1, 0
    leading: list[str] = []
    while position < len(argv):
        word = argv[position]
        match = JOB.match(word)
        if match and name is None:
            name, first, last = match[1], int(match[2]), int(match[3])
            position += 1
        elif word.startswith("--"):
            step = 1 if "=" in word or word == "--help" else 2
            leading += argv[position : position + step]
            position += step
        elif word == "-h":
            leading.append(word)
            position += 1
        else:
            break
    options = parser.parse_args(leading)
    if len(argv) - position < 2:
        parser.error("expected LOG COMMAND… after the options")
    log, command = argv[position], argv[position + 1 :]
    if name is not None and (last < first):
        parser.error(f"{name}={first}:{last} holds no job")
    call = Call(log, command, name, first, last, options)
    if last > first and call.log_of(first) == call.log_of(last):
        parser.error(f"the log {log!r} does not hold {name}: all jobs would write into it")
    return call


def visible_gpus() -> list[str]:
    """Identifiers of the GPUs that jobs may use: CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [device for device in chosen.split(",") if device]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    except OSError:
        return []
    return [str(i) for i, line in enumerate(listing.stdout.splitlines()) if line.startswith("GPU ")]


def _child_setup() -> None:
    """In the child: end with the parent, even when that is killed without a chance to clean up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def start(call: Call, number: int, devices: list[str], show: bool, mode: str = "w", where: str = "") -> Running:
    """Start one job. `show`: its output comes back through a pipe, to be shown beside the log. `mode`: of
    opening the log. `where`: what to say of the place beside the name of the host.
    """
    path, command = call.log_of(number), call.command_of(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if call.options.num_threads:
        environment["OMP_NUM_THREADS"] = str(call.options.num_threads)
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    if not show:
        environment.setdefault("TQDM_MININTERVAL", str(PROGRESS_SECONDS))  # a log needs few lines
    with open(path, mode, encoding="utf-8") as log:
        log.write(f"# {shlex.join(command)}\n# host {socket.gethostname()}{where}\n# start {now()}\n")
        log.flush()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if show else log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_child_setup,
            )
        except OSError as error:
            log.write(f"cannot start {command[0]!r}: {error.strerror}\n# end {now()}\n# status 127\n")
            raise
    return Running(number, process, path, time.monotonic(), devices)


def finish(job: Running) -> int:
    """Write the end of an ended job's log; returns its status (128 + signal for a killed one)."""
    status = job.process.returncode
    killed = f" (killed by signal {-status})" if status < 0 else ""
    status = 128 - status if status < 0 else status
    with contextlib.suppress(OSError), open(job.log, "a", encoding="utf-8") as log:  # on a full disk the status is told
        log.write(f"# end {now()}, {time.monotonic() - job.started:.1f} s\n# status {status}{killed}\n")
    return status


def show_output(job: Running) -> None:
    """Copy a single job's output to stderr as it comes, and to its log as a terminal shows it in the end. Where stderr
    is no terminal it gets the lines of the log, and now and then how far a progress bar is.
    """
    line, terminal, reported = b"", sys.stderr.isatty(), time.monotonic()
    with open(job.log, "ab", buffering=0) as log:
        while chunk := os.read(job.process.stdout.fileno(), 65536):
            *lines, line = (line + chunk).split(b"\n")
            whole = b"".join(seen(each) + b"\n" for each in lines)
            is_bar = b"\r" in line  # a line of text comes when it is whole
            line = line[line.rstrip(b"\r").rfind(b"\r") + 1 :]
            with contextlib.suppress(OSError):  # on a full disk it is shown all the same
                log.write(whole)
            if is_bar and seen(line) and time.monotonic() - reported > PROGRESS_SECONDS and not terminal:
                reported = time.monotonic()
                whole += seen(line) + b"\n"
            sys.stderr.buffer.write(chunk if terminal else whole)
            sys.stderr.buffer.flush()
        if line:
            with contextlib.suppress(OSError):
                log.write(seen(line) + b"\n")
            if not terminal:
                sys.stderr.buffer.write(seen(line) + b"\n")
    job.process.wait()


def send(job: Running, signal_number: int) -> None:
    """Signal a job's processes; its shell wrappers and workers are in the group as well."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.killpg(job.process.pid, signal_number)


def stop(jobs: list[Running]) -> None:
    """End the process groups of the jobs: SIGTERM, and SIGKILL for what is left after GRACE seconds."""
    for job in jobs:
        send(job, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for job in jobs:
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.process.wait(max(0.0, deadline - time.monotonic()))
        send(job, signal.SIGKILL)
        job.process.wait()
        finish(job)


class Interrupted(Exception):
    """A signal asked this program to end."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


ASKED_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, _frame) -> None:
    for again in ASKED_TO_END:  # jobs are being ended already; SIG_IGN is an error where another signal is on its way
        signal.signal(again, lambda *_: None)
    raise Interrupted(number)


def report(text: str) -> None:
    say(f"{Path(sys.argv[0]).name}: {text}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def place_of(log: Path) -> Path:
    """What a job works on, the folder of its log's folder: exp/student/train of exp/student/train/log/train.log."""
    return log.parent.parent if log.parent.name == "log" else log


def run(call: Call) -> dict[int, int]:
    """Run all jobs and return the statuses other than 0, by job number."""
    numbers = list(call.numbers)
    threads = call.options.num_threads or 1
    limit = call.options.max_jobs_run or max(1, (os.cpu_count() or 1) // threads)
    if (call.options.num_nodes or 1) > 1:
        sys.exit(f"run.py: --num_nodes {call.options.num_nodes}, but this is one machine; --cmd_backend slurm has more")
    free = visible_gpus() if call.options.gpu else []
    if call.options.gpu and free and len(free) < call.options.gpu:
        sys.exit(f"run.py: --gpu {call.options.gpu}, but GPUs seen here: {len(free)}; ask for fewer")
    if free:
        limit = min(limit, len(free) // call.options.gpu)
    alone, show = len(numbers) == 1, is_shown(call)
    waiting, running, failed = list(reversed(numbers)), [], {}
    reported, shown = time.monotonic(), ""
    if not alone:
        report(f"{len(numbers)} jobs, {min(limit, len(numbers))} at a time, logs {call.log}")
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                devices = [free.pop() for _ in range(call.options.gpu)] if free else []
                number = waiting.pop()
                try:
                    running.append(start(call, number, devices, show))
                except OSError as error:  # there may be no log to say it in
                    report(f"{error.filename or call.log_of(number)}: {error.strerror}")
                    failed[number] = 127
                    free += devices
                    continue
            if show and running:
                show_output(running[0])
            ended = [job for job in running if job.process.poll() is not None]
            for job in ended:
                running.remove(job)
                free += job.devices
                status = finish(job)
                if status:
                    failed[job.number] = status
            if ended and alone and not show and not failed:
                if (state := last_line(ended[0].log)) != shown:  # else it has been said
                    say(f"{place_of(ended[0].log)}: {state}")
            elif ended and not alone:
                done = len(numbers) - len(waiting) - len(running)
                report(f"{done} of {len(numbers)} jobs ended" + (f", {len(failed)} failed" if failed else ""))
            elif running:
                time.sleep(0.05)
                if not show and time.monotonic() - reported > PROGRESS_SECONDS:
                    reported = time.monotonic()
                    states = [(job, state) for job in running if (state := progress(job.log))]
                    if states and states[0][1] != shown:  # the same again is no news
                        shown = states[0][1]
                        job, state = states[0]
                        more = f" (and {len(running) - 1} more running)" if len(running) > 1 else ""
                        say(f"{place_of(job.log) if alone else f'job {job.number}'}: {state}{more}")
    except Interrupted:
        stop(running)
        raise
    return failed


def name_failures(call: Call, failed: dict[int, int | str], shown: bool = False) -> None:
    """Say which jobs failed with which status, and how their logs end, unless that has been `shown`."""
    for number, status in sorted(failed.items()):
        path = call.log_of(number)
        what = f"job {number}" if call.name else "the command"
        if shown and status != 127 and path.exists():  # 127: it could not be started, which the log alone tells
            report(f"{what} failed with status {status}, log {path}")
            continue
        report(f"{what} failed with status {status}; the end of {path}:")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ["(no log)"]
        for line in lines[-TAIL:]:
            print(f"    {line.rsplit(chr(13), 1)[-1]}", file=sys.stderr)
    if failed and call.name:
        names = " ".join(map(str, sorted(failed)))
        report(f"{len(failed)} of {len(call.numbers)} jobs failed: {names}")


def is_shown(call: Call) -> bool:
    """Whether the output of a call goes to the terminal as it comes: that of one job, unless it is to be quiet."""
    return len(call.numbers) == 1 and os.environ.get("RUN_QUIETLY") != "true"


def run_all(call: Call, run: Callable[[Call], dict[int, int | str]], shows: bool = False) -> int:
    """Run a call with a back end's `run`, which ends its jobs when Interrupted; returns the exit status. shows:
    whether the back end shows the output of one job.
    """
    for number in ASKED_TO_END:
        # nohup has SIGHUP ignored, which stays. A shell has SIGINT ignored of what it starts in the background.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        failed = run(call)
    except Interrupted as interrupted:
        report(f"ended by signal {interrupted.number}, and its jobs with it")
        # End as the signal would have ended it, so that the calling script ends too.
        signal.signal(interrupted.number, signal.SIG_DFL)
        os.kill(os.getpid(), interrupted.number)
        return 128 + interrupted.number
    name_failures(call, failed, shows and is_shown(call))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_all(parse(sys.argv[1:], option_parser()), run, shows=True))
