"""tools/bench_precision.py: a training again, in two types of numbers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import bench_precision


def test_seconds_are_those_of_the_updates_alone():
    curves = {("train", "total_count"): {1: 25.0, 2: 50.0, 3: 60.0}, ("train", "train_time"): {1: 2.0, 2: 1.0, 3: 0.5}}
    assert [bench_precision.seconds_until(epoch, curves) for epoch in (1, 2, 3)] == [50.0, 75.0, 80.0]


def test_what_is_no_training_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "step.json").write_text('{"command": "k2d decode --model base"}')
    monkeypatch.setattr(sys, "argv", ["bench_precision.py", str(tmp_path)])
    with pytest.raises(SystemExit):
        bench_precision.main()
    assert f"{tmp_path}: it has no step.json of k2d train" in capsys.readouterr().err
