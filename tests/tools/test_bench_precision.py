"""tools/bench_precision.py: a training again, in two types of numbers."""

import sys
from pathlib import Path

import pytest

from k2d.score.curves import TrainingLog

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import bench_precision


@pytest.mark.parametrize("accumulated", [1, 5])
def test_seconds_are_those_of_the_updates_alone(accumulated):
    curves = {("train", "total_count"): {1: 25.0, 2: 50.0, 3: 60.0}, ("train", "train_time"): {1: 2.0, 2: 1.0, 3: 0.5}}
    training = TrainingLog(curves, 60 / accumulated, None, None, None)
    seconds = [bench_precision.seconds_until(epoch, training) for epoch in (1, 2, 3)]
    assert seconds == [50 / accumulated, 75 / accumulated, 80 / accumulated]


def test_what_is_no_training_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "step.json").write_text('{"command": "k2d decode --model base"}')
    monkeypatch.setattr(sys, "argv", ["bench_precision.py", str(tmp_path)])
    with pytest.raises(SystemExit):
        bench_precision.main()
    assert f"{tmp_path}: it has no step.json of k2d train" in capsys.readouterr().err
