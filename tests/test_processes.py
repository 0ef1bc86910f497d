"""Work spread over processes: in order, and nothing is left of it when who asked is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from k2d.processes import ordered_map


def test_results_come_in_the_order_of_the_items():
    assert list(ordered_map(abs, range(-50, 50), 2)) == [abs(n) for n in range(-50, 50)]


def ended(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(number):
    code = """
import os, time
from k2d.processes import ordered_map
def say(item):
    if item < 2:
        os.write(1, f"{os.getpid()} ".encode())  # at once: two of them write
    time.sleep(0.2)
for _ in ordered_map(say, range(1000), 2): pass
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ)
    said = ""
    while len(said.split(" ")) < 3:
        said += parent.stdout.read(1)
    processes = [int(word) for word in said.split()]
    parent.send_signal(number)
    assert parent.wait() == -number
    until = time.monotonic() + 20
    while not all(map(ended, processes)):
        assert time.monotonic() < until, "they wait for work for ever"
        time.sleep(0.05)
