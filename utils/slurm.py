#!/usr/bin/env python3
"""Run a command, or N of them as one job array, on a Slurm cluster, each with its own log.

    utils/slurm.py --mem 64G --time 24:00:00 --gpu 4 --num_nodes 2 exp/log/train.log k2d train …
    utils/slurm.py JOB=1:200 --max_jobs_run 64 exp/log/label.JOB.log k2d label … --job JOB

In:  the calling form of utils/run.py, and conf/slurm.conf, which maps its options to sbatch's flags.
Out: one log a job, as utils/run.py writes it; a failing job is named with the end of its log and the exit status
     is 1, once all others have ended. Ctrl-C cancels what was submitted.

The job runs in the folder of the call, after ./path.sh (where there is one) was sourced on the node. A job that
is lost (node failure, preemption, time limit, no trace of an end) is submitted again, alone, --retries times; one
that ends with status 75, "state saved, to be continued", as often as it takes. What Slurm does not take at the moment
is submitted again later, for over an hour, while the other jobs go on. What became of a job is read from squeue and
from the last lines of its log, so that no accounting database is needed.
"""

import contextlib
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from job_logs import progress, status_of
from run import Call, finish, option_parser, parse, report, run_all, send, start

CONTINUE = 75  # EX_TEMPFAIL: the command has saved its state and wants to go on in another job
CONTINUATIONS = 100  # of one job: with a time limit of a day, three months
PROGRESS_SECONDS = 60  # between two reports while nothing ends
SETTLE = 15.0  # seconds for the end of a log to arrive from another node's cache
POLL = (0.5, 10.0)  # seconds between two looks at the queue: the shortest, for short jobs, and the longest
REFUSALS = 24  # of one submission; the first ones 2, 4, 8 … seconds apart
REFUSED_DELAY = 240  # seconds between two refusals at most: squeue knows an ended job for 300 by default (MinJobAge)
RETRY_DELAY = 30  # seconds before a second retry and later ones: the lost job may still be ending on its node

# States of Slurm. With any other one, such as RUNNING, a job is alive: it may still write its output.
ENDED = {"", "COMPLETED", "FAILED"}  # of which the log has the status; "": Slurm knows it no more
HELD = {"REQUEUE_HOLD", "SPECIAL_EXIT", "LAUNCH_FAILED", "RESV_DEL_HOLD"}  # in the queue until an operator comes
LOST = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "TIMEOUT", "REVOKED", *HELD}
FINAL = {"CANCELLED", "OUT_OF_MEMORY", "DEADLINE"}  # another try would end the same way, or is not wanted

# Of a submission that may succeed in a while: the controller is busy or restarts, the user has too many jobs.
TRANSIENT = re.compile(
    r"timed out|unable to contact|temporarily|connection|zero bytes|transport endpoint is not connected"
    r"|unexpected message received|squeue gets no answer|(max|grp)\w*submit",
    re.IGNORECASE,
)
SUBMIT_LIMIT = re.compile(r"\w*(max|grp)\w*submit\w*", re.IGNORECASE)
SHARED = re.compile(r"grp|account", re.IGNORECASE)  # in the name of a limit that also counts jobs of others
# What sbatch prints, without and with --parsable, and squeue as asked below; other lines are a site's banners and
# headings.
SUBMITTED = re.compile(r"\bSubmitted batch job (\d+)(?: on cluster (\S+))?")
PARSABLE = re.compile(r"^[ \t]*(\d+)(?:;(\S+))?[ \t]*$", re.MULTILINE)
FORMAT = "--format=%F|%K|%T|%r"
QUEUED = re.compile(r"^[ \t]*(\d+)\|([^|\n]*)\|([A-Z_]+)\|(.*)$", re.MULTILINE)
STARTED = re.compile(r"^# host .*, Slurm job (\d+)", re.MULTILINE)  # in a log
# Settings of the user that say which cluster is meant; other variables of these names are the ones of a job that
# this program runs in, or would hide jobs from squeue and scancel.
KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")
DROPPED = ("SLURM_", "SQUEUE_", "SCANCEL_")

PARSER = option_parser("slurm.py", __doc__)
SCRIPT = """\
#!/usr/bin/env bash
# One job of a call of utils/slurm.py, on the node that Slurm gave it.
shopt -s execfail
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-${{SLURM_CPUS_ON_NODE:-1}}}}"
cd {folder} && {prepare} exec {python} {program} --on_node {words}
echo "# status 127 (the job cannot start: see above)"
exit 127
"""


class ConfigError(ValueError):
    """A line of conf/slurm.conf that says nothing, or a call it has no line for."""


class Refused(Exception):
    """Slurm has not taken a job, or has not said so: what it said, and what to know besides."""

    def __str__(self) -> str:
        return "\n    ".join(self.args)


@dataclass
class Config:
    """What conf/slurm.conf says."""

    path: Path
    command: list[str]
    options: dict[tuple[str, str], list[str]]  # (name, value or "*") -> flags
    defaults: dict[str, str]

    def flags(self, call: Call) -> list[str]:
        """sbatch and its flags for the options of a call."""
        words = list(self.command)
        for name in mapped_options():
            value = getattr(call.options, name)
            value = self.defaults.get(name) if value is None else str(value)
            if value is None:
                continue
            flags = self.options.get((name, value), self.options.get((name, "*")))
            if flags is None:
                raise ConfigError(f"{self.path}: no line for {name}={value}; expected 'option {name}=* FLAG…'")
            words += [flag.replace("$0", value) for flag in flags]
        return words


def mapped_options() -> list[str]:
    """Names of the options that conf/slurm.conf maps."""
    own = ("help", "config", "max_jobs_run", "retries")
    return [action.dest for action in PARSER._actions if action.dest not in own]


def read_config(path: Path) -> Config:
    """Read a configuration. ConfigError names file and line."""
    config = Config(path, ["sbatch"], {}, {})
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected lines 'command …', 'option NAME=VALUE FLAG…'")
    for number, coded in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = coded.decode("utf-8")
            words = shlex.split(line, comments=True)
        except ValueError as error:  # of either
            raise ConfigError(f"{path}:{number}: {error}") from None
        if not words:
            continue
        kind, *rest = words
        name, equals, value = rest[0].partition("=") if rest else ("", "", "")
        known = equals and name in mapped_options()
        if kind == "command" and rest:
            config.command = rest
        elif kind == "option" and known:
            config.options[name, value] = rest[1:]
        elif kind == "default" and known and len(rest) == 1:
            config.defaults[name] = value
        else:
            raise ConfigError(
                f"{path}:{number}: {line.strip()!r}; expected 'command PROGRAM FLAG…', 'option NAME=VALUE FLAG…' "
                f"or 'default NAME=VALUE', with one of the names {', '.join(mapped_options())}"
            )
    return config


def seconds_of(limit: str) -> int:
    """A time limit as sbatch reads it. ValueError names the forms."""
    if not re.fullmatch(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}", limit):
        raise ValueError(f"expected minutes, m:s, h:m:s, d-h, d-h:m or d-h:m:s, not {limit!r}")
    days, dash, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units))


def find_config(call: Call) -> Path:
    """--config, else the recipe's conf/slurm.conf, else the one of the repository."""
    if call.options.config:
        return Path(call.options.config)
    own = Path("conf/slurm.conf")
    return own if own.is_file() else Path(__file__).resolve().parents[1] / "conf/slurm.conf"


# ----------------------------------------------------------------------------------------------- on the node


def on_node(argv: list[str]) -> int:
    """What the job script runs: the command of this element of the array, with the log of utils/run.py."""
    call = parse(argv, PARSER)
    number = int(os.environ.get("SLURM_ARRAY_TASK_ID", call.first))
    if call.options.num_nodes is not None:
        # srun does not take over the cores of the job by itself. When one process ends, the others have five
        # minutes: rank 0 still averages checkpoints, and after a crash the others would wait for it forever.
        cores = os.environ.get("SLURM_CPUS_PER_TASK", "1")
        flags = ["--export=ALL", "--kill-on-bad-exit=0", "--wait=300", f"--cpus-per-task={cores}"]
        call.command = ["srun", *flags, *call.command]
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{task}" if task else os.environ.get("SLURM_JOB_ID", "?")
    where = f", Slurm job {name} on {os.environ.get('SLURM_JOB_NODELIST', '?')}"
    asked: list[int] = []
    job = None

    def pass_on(signal_number: int, _frame) -> None:
        asked.append(signal_number)
        if job is not None:
            send(job, signal_number)

    for signal_number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, pass_on)
    try:
        job = start(call, number, [], show=False, mode="a", where=where)
    except OSError:
        return 127
    for signal_number in asked:  # came before there was anything to pass it on to
        send(job, signal_number)
    job.process.wait()
    return finish(job)


# ------------------------------------------------------------------------------------------- on the login node


def script_of(argv: list[str]) -> str:
    has_path = Path("path.sh").is_file()
    return SCRIPT.format(
        folder=shlex.quote(os.getcwd()),
        prepare="source ./path.sh &&" if has_path else "",
        python="python3" if has_path else shlex.quote(sys.executable),
        program=shlex.quote(os.path.abspath(__file__)),
        words=shlex.join(argv),
    )


class SlurmId(NamedTuple):
    """What Slurm calls an array or a job. `cluster`: where sbatch named one (--clusters, SLURM_CLUSTERS), else ""."""

    number: str
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.number} of cluster {self.cluster}" if self.cluster else self.number


def ask_slurm(words: list[str], cluster: str = "", **options) -> subprocess.CompletedProcess:
    """Run one of Slurm's commands, all of them with the same environment; `cluster`: where sbatch put the job."""
    if cluster:
        words = [words[0], f"--clusters={cluster}", *words[1:]]
    environment = {n: v for n, v in os.environ.items() if n in KEPT or not n.startswith(DROPPED)}
    # A second Ctrl-C does not end scancel.
    apart = words[0] == "scancel"
    return subprocess.run(
        words, capture_output=True, text=True, env=environment, start_new_session=apart, **options
    )


def submit(
    call: Call, flags: list[str], clusters: str, script: str, name: str, numbers: list[int], delay: int = 0
) -> SlurmId:
    """Submit jobs as one array (a call without JOB= as a plain job)."""
    # Slurm fills in %a, in the folder's name too, where it adds that itself.
    output = os.path.join(os.getcwd().replace("%", "%%"), call.numbered(call.log.replace("%", "%%"), "%a"))
    words = [*flags, "--parsable", f"--job-name={name}", f"--output={output}", "--open-mode=append"]
    if call.name:
        limit = f"%{call.options.max_jobs_run}" if call.options.max_jobs_run else ""
        words.append(f"--array={ranges(numbers)}{limit}")
    if delay:
        words.append(f"--begin=now+{delay}")
    # A signal waits until the id is known, or the job could not be cancelled.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        result = ask_slurm(words, input=script)
    except OSError as error:
        said = f"cannot start {words[0]!r}: {error.strerror}; is this a login node of a Slurm cluster?"
        raise Refused(said) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    if result.returncode:
        raise Refused(
            f"Slurm refuses the job: {result.stderr.strip()}",
            f"asked for by: {shlex.join(words)}",
            "conf/slurm.conf maps options to these flags",
        )
    said = SUBMITTED.findall(result.stdout) or PARSABLE.findall(result.stdout)
    if len(said) == 1:
        return SlurmId(*said[0])
    if found := submitted_as(name, clusters):  # numbers stand in a banner, too, or nowhere
        return found
    if said:
        return SlurmId(*said[-1])
    raise Refused(
        f"no job id in the answer of {words[0]}:\n{result.stdout.strip()[:2000]}",
        f"asked for by: {shlex.join(words)}",
        f"expected a line '123' or '123;cluster', as sbatch --parsable prints; squeue has no job called {name}",
    )


def ranges(numbers: list[int]) -> str:
    """1-64 or 3,7-9: an array's elements as sbatch reads them."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def new_name(call: Call) -> str:
    """Of a submission in the queue, by which it can be told from all others."""
    stem = call.numbered(Path(call.log).stem, "").replace("..", ".").strip(".-_") or "k2d"
    return f"{stem}-{secrets.token_hex(3)}"


def submitted_as(name: str, clusters: str) -> SlurmId | None:
    """What Slurm calls a submission that it has taken after all: the answer of a busy controller comes too late."""
    result = ask_slurm(["squeue", "--noheader", "--array", "--states=all", f"--name={name}", FORMAT], clusters)
    if result.returncode:
        raise Refused(f"squeue gets no answer: {result.stderr.strip()}")
    found = QUEUED.search(result.stdout)
    headings = re.findall(r"^CLUSTER: (\S+)", result.stdout[: found.start()], re.MULTILINE) if found else []
    return SlurmId(found[1], *headings[-1:]) if found else None


def nothing_queued(clusters: str) -> bool:
    """Whether the user has no job in the queue; not without an answer."""
    result = ask_slurm(["squeue", "--noheader", "--all", f"--user={os.getuid()}", FORMAT], clusters)
    return not result.returncode and not QUEUED.search(result.stdout)


def by_cluster(jobs: set[SlurmId]) -> dict[str, list[str]]:
    """cluster -> numbers of the jobs on it, in order"""
    return {name: sorted(job.number for job in jobs if job.cluster == name) for name in {job.cluster for job in jobs}}


def look_at_queue(jobs: set[SlurmId]) -> dict[tuple[SlurmId, str], tuple[str, str]] | None:
    """(job, element or "N/A") -> (state, reason), of ended jobs as long as Slurm knows them; None when it
    does not answer.
    """
    states = {}
    for cluster, numbers in by_cluster(jobs).items():
        words = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(numbers)}",
                 FORMAT]  # fmt: skip
        result = ask_slurm(words, cluster)
        if result.returncode and "Invalid job id" not in result.stderr:
            return None
        for number, element, state, reason in QUEUED.findall(result.stdout):
            states[SlurmId(number, cluster), element] = (state, reason)
    return states


@dataclass
class Job:
    """One job of the call, over all its attempts."""

    number: int
    slurm: SlurmId | None = None  # of the array, or of the job; None before it is submitted
    known: set[str] = field(default_factory=set)  # numbers that its attempts had
    lost: int = 0
    continued: int = 0
    gone_since: float | None = None


@dataclass
class Submission:
    """Jobs that Slurm has not taken yet. `name`: theirs in the queue; `due`: when to try, by the monotonic clock."""

    name: str
    jobs: list[Job]
    delay: int = 0
    refused: int = 0
    due: float = 0.0


def is_held(state: str, reason: str) -> bool:
    """Whether a job waits for an operator, and has to be cancelled before another one takes its place."""
    return state in HELD or (state == "PENDING" and "launch failed" in reason.replace("_", " "))


def is_alive(state: str) -> bool:
    return state not in ENDED | LOST | FINAL


def outcome(job: Job, state: str, status: int | None) -> str:
    """What to do about a job that is no longer in the queue: done, failed, lost, continue, or wait."""
    if status == 0:
        return "done"
    if status == CONTINUE:
        return "continue"
    if state in FINAL:
        return "failed"
    if state in LOST or (status is not None and job.lost):
        # After a loss the earlier attempt may still hold its output, where only the daemon died.
        return "lost"
    if status is not None:
        return "failed"
    job.gone_since = job.gone_since or time.monotonic()
    return "lost" if time.monotonic() - job.gone_since > SETTLE else "wait"


class Queue:
    """The jobs of a call that have not ended, and what to do about those that have."""

    def __init__(self, call: Call, argv: list[str]):
        self.call = call
        self.flags, self.script = read_config(find_config(call)).flags(call), script_of(argv)
        self.clusters = ",".join(f.partition("=")[2] for f in self.flags if f.startswith("--clusters="))
        self.failed: dict[int, int | str] = {}
        self.jobs = {number: Job(number) for number in call.numbers}
        self.waiting = [Submission(new_name(call), list(self.jobs.values()))]
        for number in call.numbers:
            path = call.log_of(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)

    def submit(self) -> None:
        """Submit what is due. Slurm may refuse it: then it waits on, and the other jobs are not concerned."""
        for waiting in [each for each in self.waiting if each.due <= time.monotonic()]:
            numbers = [job.number for job in waiting.jobs]
            try:
                slurm = (waiting.refused and self._taken(waiting)) or submit(
                    self.call, self.flags, self.clusters, self.script, waiting.name, numbers, waiting.delay
                )
            except Refused as refusal:
                self._wait(waiting, refusal)
                continue
            self.waiting.remove(waiting)
            if waiting.jobs[0].slurm is None:
                most = self.call.options.max_jobs_run
                jobs, limit = "jobs" if self.call.name else "job", f", at most {most} at a time" if most else ""
                report(f"{len(numbers)} {jobs} submitted as {slurm}{limit}, logs {self.call.log}")
            for job in waiting.jobs:
                job.slurm = slurm
                job.known.add(slurm.number)

    def _taken(self, waiting: Submission) -> SlurmId | None:
        """What Slurm calls a submission that it has taken after all. When squeue has forgotten it, as it has ended, a
        log still has a number that is not of an earlier attempt.
        """
        if found := submitted_as(waiting.name, self.clusters):
            return found
        logs = [(job, self.call.log_of(job.number)) for job in waiting.jobs]
        texts = [(job, log.read_text(encoding="utf-8", errors="replace")) for job, log in logs if log.exists()]
        new = (number for job, text in texts for number in STARTED.findall(text) if number not in job.known)
        return next((SlurmId(number, self.clusters) for number in new), None)

    def _wait(self, waiting: Submission, refusal: Refused) -> None:
        """Put off what Slurm has refused; at the last refusal its jobs have failed. A call none of whose jobs has run
        ends at the first one, unless that is of the moment.
        """
        limit, advice = SUBMIT_LIMIT.search(refusal.args[0]), ""
        if limit and not waiting.refused and len(waiting.jobs) > 1:
            advice = f"\n    {limit[0]} counts all jobs of an array, whatever --max_jobs_run is: lower --nj (JOB=1:N)"
        if waiting.jobs[0].slurm is None and not waiting.refused:
            never = limit and not SHARED.search(limit[0]) and nothing_queued(self.clusters)
            if never or not TRANSIENT.search(refusal.args[0]):
                sys.exit(f"slurm.py: {refusal}{advice}")
        waiting.refused += 1
        if waiting.refused < REFUSALS:
            seconds = min(2**waiting.refused, REFUSED_DELAY)
            waiting.due = time.monotonic() + seconds
            tries = f"tried again in {seconds} s, {waiting.refused} of {REFUSALS - 1} times"
            report(f"{refusal.args[0]}\n    {tries}{advice}")
            return
        report(str(refusal))
        self._cancel_waiting(waiting)
        self.waiting.remove(waiting)
        for job in waiting.jobs:
            del self.jobs[job.number]
            self.failed[job.number] = "refused"

    def states(self) -> dict[int, tuple[str, str]] | None:
        """Number -> (state, reason) of every job, ("", "") of one that is gone; None without an answer."""
        known = look_at_queue(self._submitted())
        if known is None:
            return None
        return {n: known.get((job.slurm, self._element(n)), ("", "")) for n, job in self.jobs.items()}

    def _submitted(self) -> set[SlurmId]:
        return {job.slurm for job in self.jobs.values() if job.slurm}

    def _element(self, number: int) -> str:
        return str(number) if self.call.name else "N/A"

    def settle(self, states: dict[int, tuple[str, str]]) -> bool:
        """Take out the jobs that have ended, submit again what was lost; whether any was taken out."""
        again: dict[int, list[Job]] = {}  # by delay
        before = len(self.jobs)
        waiting = {job.number for submission in self.waiting for job in submission.jobs}
        for job in [job for job in self.jobs.values() if job.number not in waiting]:
            state, reason = states[job.number]
            held = is_held(state, reason)
            if is_alive(state) and not held:
                continue
            if held:
                element = f"_{job.number}" if self.call.name else ""
                scancel({job.slurm._replace(number=job.slurm.number + element)})
            status = status_of(self.call.log_of(job.number))
            what = outcome(job, state, status)
            if held and what in ("failed", "wait"):
                what = "lost"
            if what == "wait":
                continue
            job.gone_since = None
            name = f"job {job.number}" if self.call.name else "the job"
            if what == "continue" and job.continued < CONTINUATIONS:
                job.continued += 1
                again.setdefault(0, []).append(job)
                report(f"{name} has saved its state and goes on in another job")
            elif what == "lost" and job.lost < self.call.options.retries:
                job.lost += 1
                again.setdefault(RETRY_DELAY * (job.lost - 1), []).append(job)
                how = state if state in LOST else f"status {status}" if status is not None else "it left no status"
                report(f"{name} was lost ({how}): submitted again, {job.lost} of {self.call.options.retries}")
            else:
                del self.jobs[job.number]
                if what != "done":
                    self.failed[job.number] = (state if state in LOST | FINAL else "") or status or "unknown"
        self.waiting += [Submission(new_name(self.call), jobs, delay) for delay, jobs in again.items()]
        self.submit()
        return len(self.jobs) < before

    def progress(self, states: dict[int, tuple[str, str]]) -> str:
        """ "12 of 200 jobs ended, 64 running, 124 pending (JobArrayTaskLimit); job 13: label: 40%|####    |" """
        total = len(self.call.numbers)
        parts = [f"{total - len(self.jobs)} of {total} job{'s' * (total != 1)} ended"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        mine = {n: state for n, state in states.items() if n in self.jobs and is_alive(state[0])}
        for state, count in Counter(state for state, _ in mine.values()).most_common():
            reasons = sorted({reason for s, reason in mine.values() if s == state} - {"None", ""})
            parts.append(f"{count} {state.lower()}" + (f" ({', '.join(reasons)})" if reasons else ""))
        line = ", ".join(parts)
        for number, (state, _) in mine.items():
            log = self.call.log_of(number)
            if state == "RUNNING" and log.exists() and (bar := progress(log)):
                return f"{line}; job {number}: {bar}"
        return line

    def cancel(self) -> None:
        scancel(self._submitted())
        for waiting in self.waiting:
            self._cancel_waiting(waiting)

    def _cancel_waiting(self, waiting: Submission) -> None:
        """Of what Slurm has refused, it may have taken some all the same."""
        with contextlib.suppress(FileNotFoundError):  # this is no login node
            ask_slurm(["scancel", f"--name={waiting.name}"], self.clusters)


def run(call: Call, argv: list[str]) -> dict[int, int | str]:
    """Run all jobs and return the statuses other than 0, by job number."""
    queue = Queue(call, argv)
    started = reported = time.monotonic()
    try:
        queue.submit()
        while queue.jobs:
            time.sleep(min(POLL[1], max(POLL[0], 0.05 * (time.monotonic() - started))))
            states = queue.states()
            some_ended = states is not None and queue.settle(states)
            if (some_ended and call.name) or time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                report("squeue gets no answer; waiting" if states is None else queue.progress(states))
    except BaseException:
        queue.cancel()
        raise
    return queue.failed


def scancel(jobs: set[SlurmId]) -> None:
    for cluster, numbers in by_cluster(jobs).items():
        ask_slurm(["scancel", *numbers], cluster)


def main(argv: list[str]) -> int:
    if argv[:1] == ["--on_node"]:
        return on_node(argv[1:])
    call = parse(argv, PARSER)
    limit, before = call.options.time, call.options.signal_before
    if limit and before and re.fullmatch(r"[\d:-]+", limit):  # no word such as UNLIMITED
        try:
            seconds = seconds_of(limit)
        except ValueError as error:
            PARSER.error(f"--time: {error}")
        if 0 < seconds <= before:  # 0: no limit
            PARSER.error(f"--signal_before {before}: longer than the whole job (--time {limit}); it would never get on")
    try:
        return run_all(call, lambda call: run(call, argv))
    except ConfigError as error:
        report(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
