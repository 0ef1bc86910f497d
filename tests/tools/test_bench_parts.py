"""The profile of labelling by parts: a part's time is its own."""

import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from bench_parts import Clock  # noqa: E402


def test_a_part_is_without_the_parts_that_it_calls():
    clock = Clock()

    def busy(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    inner = clock.timed("inner", lambda: busy(0.05))
    clock.timed("outer", lambda: (busy(0.01), inner(), inner()))()
    assert clock.calls == {"inner": 2, "outer": 1}
    assert 0.1 <= clock.seconds["inner"] < 0.15
    assert 0.01 <= clock.seconds["outer"] < 0.05
