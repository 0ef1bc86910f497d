"""The measurement of mini_cs: its plan, the configurations it trains by, and the shares it takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from k2d.atomic import atomic
from k2d.distill.config import DistillConfig, from_dict, read_config
from k2d.work.models import ModelRecord, write_record

RECIPE = Path(__file__).resolve().parents[2] / "egs/mini_cs/k2d1"
SHARED = RECIPE.parents[2] / "conf/train_student.yaml"
sys.path.insert(0, str(RECIPE / "local"))
import choose_share  # noqa: E402


@pytest.fixture
def scored(tmp_path):
    """Students of two selections and several shares, with a rate on dev each."""
    for selection, keep, rate in (("comp", 0.4, 0.3), ("comp", 0.6, 0.2), ("comp", 0.8, 0.2), ("fused", 0.4, 0.1)):
        name = f"student_patience_{selection}@keep{keep}"
        record = ModelRecord(name, "student", "x", selection, 0.123, seed=0, tag="patience", keep=keep)
        write_record(tmp_path / name, record)
        with atomic(tmp_path / name / "decode_dev/score/result.json") as out:
            out.write(f'{{"mer": {{"rate": {rate}}}}}')
    other = ModelRecord("student_comp", "student", "x", "comp", 0.1, seed=0, keep=0.1)
    write_record(tmp_path / "student_comp", other)
    with atomic(tmp_path / "student_comp/decode_dev/score/result.json") as out:
        out.write('{"mer": {"rate": 0.0}}')
    return tmp_path


def test_the_share_is_where_dev_errs_least_and_of_equal_ones_the_larger(scored, monkeypatch, capsys):
    arguments = ["choose_share.py", "--exp", str(scored), "--notes", str(scored / "notes.md")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert choose_share.main() == 0
    assert capsys.readouterr().out == "comp@keep0.8 fused@keep0.4\n"
    assert "| comp | 30.00 | 20.00 | 20.00 |" in (scored / "notes.md").read_text()
    monkeypatch.setattr(sys, "argv", [*arguments, "--selections", "mer"])
    assert choose_share.main() == 1
    assert "no student of mer" in capsys.readouterr().err


def test_every_stopping_rule_is_the_same_training_but_for_its_end():
    configs = {}
    for stop in ("patience", "updates", "epochs"):
        configs[stop] = read_config([SHARED, RECIPE / "conf/train_student.yaml", RECIPE / f"conf/stop_{stop}.yaml"])
    ends = ("patience", "early_stopping_criterion", "max_epoch", "num_iters_per_epoch")
    rest = [{k: v for k, v in config.items() if k not in ends} for config in configs.values()]
    assert rest[0] == rest[1] == rest[2]
    assert configs["patience"]["patience"] and configs["patience"]["early_stopping_criterion"] == ["valid", "ce", "min"]
    assert configs["epochs"]["num_iters_per_epoch"] is None and "patience" not in configs["updates"]


@pytest.mark.parametrize("name, terms", [("kl", {"kl"}), ("ce", {"ce"}), ("no_timestamps", {"ce", "kl"}),
                                         ("prompts", {"ce", "kl"})])  # fmt: skip
def test_an_ablation_leaves_out_what_it_says(name, terms):
    config = read_config([SHARED, RECIPE / "conf/train_student.yaml", RECIPE / f"conf/ablations/{name}.yaml"])
    assert set(from_dict(DistillConfig, config["model_conf"], name).terms()) == terms
    batch = config["batch_conf"]
    assert (batch["timestamps"] == 0.0) == (name == "no_timestamps") and (batch["prompt"] > 0) == (name == "prompts")


def test_a_dry_run_prints_every_part_with_its_students_and_hours():
    result = subprocess.run(
        ["local/ladder.sh", "--dry_run", "true", "--part", "3"], cwd=RECIPE, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    # Three seeds of four selections on three rungs, and of three more on one; two ways to stop of four selections.
    assert "# Part 3: rungs, 45 students, about " in result.stdout and "# Part 4: stops, 24 students" in result.stdout
    assert "In all about" in result.stdout and "Part 2" not in result.stdout
    wrong = subprocess.run(["local/ladder.sh", "--middle", "5"], cwd=RECIPE, capture_output=True, text=True)
    assert wrong.returncode == 2 and "expected one of the rungs, 1.5 6 18" in wrong.stderr
