"""The log of a job of utils/run.py or utils/slurm.py in; out: how far it is, what it said last, how it ended."""

import os
import re
import textwrap
import time
from pathlib import Path


def seen(line: bytes) -> bytes:
    """What a terminal shows of a line in the end: the last state of a progress bar, nothing of one that was wiped."""
    return next((state for state in reversed(line.split(b"\r")) if state), b"").rstrip(b" ")


def end_of(path: Path, size: int) -> str:
    """The last `size` bytes of a file."""
    with open(path, "rb") as handle:
        handle.seek(max(0, os.fstat(handle.fileno()).st_size - size))
        return handle.read().decode(errors="replace")


def beginning_of(path: Path, size: int = 4000) -> str:
    with open(path, "rb") as handle:
        return handle.read(size).decode(errors="replace")


def newest_lines(log: Path) -> list[str]:
    """The last lines of a log, newest first, as a terminal shows them."""
    text = end_of(log, 4000)
    if log.stat().st_size > 4000:  # it begins in the middle of a line
        text = text[re.search(r"[\r\n]|$", text).end() :]
    lines = (seen(line.encode()).decode().strip() for line in reversed(text.split("\n")))
    return [line for line in lines if line and not line.startswith("# ")]


def shortened(line: str, width: int) -> str:
    """At most `width` characters, and no half of a word or a value."""
    return line if len(line) <= width else textwrap.shorten(line, width, placeholder=" …")


def progress(log: Path) -> str:
    """What a job has said last, of a training its newest state and the time left; or nothing."""
    state, seconds = training_progress(log)
    left = f"; {duration(seconds)} left" if seconds else ""
    return shortened(f"{state}{left}" if state else newest_line(log), 120)


def newest_line(log: Path) -> str:
    """The last line, where ESPnet writes the last of k2d's own."""
    lines = newest_lines(log)
    if any(map(LOGGED.match, lines)):
        begins = beginning_of(log)
        command = COMMAND.match(begins)
        ours = f"{command[1]}: " if command else "k2d"
        lines = [line for line in [*lines, *reversed(begins.splitlines())] if line.startswith(ours)]
    return next(iter(lines), "")


# The first line of a log, one of ESPnet's logging, and those of the latter that tell of training.
COMMAND = re.compile(r"# \S*\bk2d (\w+)")
STAMP = r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
LOGGED = re.compile(rf"\[.*\] {STAMP}")
TRAINED = re.compile(rf"{STAMP}.*INFO: (?P<epoch>\d+)epoch:train:\d+-(?P<batch>\d+)batch: (?P<values>.*)")
BEGUN = re.compile(rf"{STAMP}.*INFO: (?P<epoch>\d+)/(?P<of>\d+)epoch started(.*to finish: (?P<left>.*))?")
RESULTS = re.compile(rf"{STAMP}.*INFO: (?P<epoch>\d+)epoch results: .*\[valid\] (?P<values>.*)")
VALUES = ("loss", "ce", "kl", "ctc", "acc")  # those that tell how training goes


def training_progress(log: Path) -> tuple[str, int]:
    """The newest state in a training's log, and the seconds left, 0 where it does not tell: "epoch 3 of 4, batch 50:
    loss=0.870, ce=0.314, acc=0.925"; "epoch 3 of 4, dev: ce=0.107, acc=0.917" at its end; "epoch 4 of 4" when that has
    begun; or nothing."""
    lines = list(reversed(end_of(log, 100_000).splitlines()))
    states = (found for line in lines for form in (TRAINED, RESULTS, BEGUN) if (found := form.search(line)))
    if (state := next(states, None)) is None:
        return "", 0
    begun, epoch = begun_of(lines, state["epoch"])
    if state.re is not BEGUN:
        where = f"batch {state['batch']}" if state.re is TRAINED else "dev"
        epoch += f", {where}: {', '.join(shown_values(state['values']))}"
    return epoch, seconds_left(begun, state["time"])


def seconds_left(begun: re.Match | None, now: str) -> int:
    """What ESPnet expected when the epoch began, less what has passed; 0 where it does not know."""
    if not (begun and begun["left"]):
        return 0
    units = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
    amounts = re.findall(rf"([\d.]+) ({'|'.join(units)})", begun["left"])
    expected = sum(float(number) * units[unit] for number, unit in amounts)
    return max(0, round(expected - _seconds(now) + _seconds(begun["time"])))


def begun_of(lines: list[str], epoch: str) -> tuple[re.Match | None, str]:
    """The line that an epoch began with, if it is there, and the epoch in words: "epoch 3 of 4"."""
    begun = next((b for b in map(BEGUN.search, lines) if b and b["epoch"] == epoch), None)
    return begun, f"epoch {epoch}" + (f" of {begun['of']}" if begun else "")


def shown_values(values: str) -> list[str]:
    return [value for value in values.split(", ") if value.partition("=")[0] in VALUES]


def _seconds(stamp: str) -> float:
    return time.mktime(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))


def duration(seconds: int) -> str:
    """ "45 s", "3 min 20 s", "2 h 5 min" """
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def last_line(log: Path) -> str:
    """What a job that has ended said last, of a training its last state."""
    return shortened(training_progress(log)[0] or newest_line(log), 400)


def status_of(log: Path) -> int | None:
    """Status of the last attempt that a log tells of; None where that has not ended, or there is no log."""
    try:
        found = re.findall(r"^# (start|status) (\d+)", end_of(log, 65536), re.MULTILINE)
    except FileNotFoundError:
        return None
    return int(found[-1][1]) if found and found[-1][0] == "status" else None
