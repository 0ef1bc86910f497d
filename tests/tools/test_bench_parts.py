"""The profile of labelling by parts: a part's time is its own, and every part is there."""

import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

import bench_parts  # noqa: E402
from decoding_material import random_model  # noqa: E402

from k2d.whisper import checkpoint  # noqa: E402
from k2d.whisper.decoding import DecodingOptions  # noqa: E402
from k2d.whisper.engine import EngineConfig, load_engine  # noqa: E402


def test_a_part_is_without_the_parts_that_it_calls():
    clock = bench_parts.PartClock()

    def busy(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    inner = clock.timed("inner", lambda: busy(0.05))
    clock.timed("outer", lambda: (busy(0.01), inner(), inner()))()
    assert clock.calls == {"inner": 2, "outer": 1}
    assert 0.1 <= clock.seconds["inner"] < 0.15
    assert 0.01 <= clock.seconds["outer"] < 0.05


class Looking(bench_parts.PartClock):
    """Times nothing, and lists what would be timed."""

    def watch(self, part, owner, *names):
        for name in names:
            assert callable(getattr(owner, name)), f"{part}: {owner} has no {name}"
            self.calls[part] += 1


@pytest.mark.parametrize("program", ["torch", "ctranslate2"])
def test_every_function_that_is_timed_is_there(tmp_path, program):
    checkpoint.save(tmp_path / "model", *random_model())
    config = EngineConfig(engine=program, device="cpu", num_threads=1)
    clock, engine = Looking(), load_engine(tmp_path / "model", config, DecodingOptions())
    bench_parts.watch_model(clock, program, engine)
    bench_parts.watch_features(clock)
    assert ("decoder: CTranslate2" in clock.calls) == (program == "ctranslate2")
