"""How long a student is trained."""

import json
from pathlib import Path

import pytest

from k2d.distill.config import BatchConfig, DistillConfig, computed_as, from_dict, read_config
from k2d.distill.length import with_length
from k2d.distill.training import read_words
from k2d.errors import UsageError
from k2d.tables import write_table
from k2d.whisper.processor import KINDS

CONFIG = Path(__file__).resolve().parents[2] / "conf/train_student.yaml"


def length(hours: float, updates: str = "auto", **recipe):
    shared = read_config([CONFIG])
    return with_length({**shared, **recipe}, recipe, updates, round(hours * 3600 / 27))


def test_the_paper_s_hours_give_the_paper_s_training():
    config, found = length(60_000)
    shared = read_config([CONFIG])
    assert (found.updates, found.batch, found.warm_up) == (120_000, 256, 50)
    assert config == shared


@pytest.mark.parametrize("hours", [0.05, 1, 8.5, 30, 50, 100, 1000, 20_000, 100_000])
def test_passes_and_updates_are_bounded(hours):
    config, found = length(hours)
    assert 200 <= found.updates <= 120_000 and 32 <= found.batch <= 256
    assert found.passes < 42 or found.updates == 200
    assert found.updates == config["max_epoch"] * config["num_iters_per_epoch"] / config["accum_grad"]
    assert config["batch_size"] * config["accum_grad"] == found.batch
    assert config["scheduler_conf"]["warmup_steps_list"] == [0, found.warm_up, found.updates]
    assert found.warm_up <= found.updates / 20


def test_more_hours_never_give_less_training():
    lengths = [length(hours)[1] for hours in (0.1, 1, 3, 10, 30, 47, 100, 300, 1000, 5000, 60_000)]
    assert [found.updates * found.batch for found in lengths] == sorted(f.updates * f.batch for f in lengths)


def test_the_yaml_of_a_recipe_rules_and_a_number_rules_over_it():
    config, found = length(100, max_epoch=3)
    assert found is None and config["max_epoch"] == 3 and config["num_iters_per_epoch"] == 4000
    config, found = length(100, updates="500", max_epoch=3)
    assert found.updates == 500 and config["max_epoch"] == 10 and found.warm_up == 25
    assert length(1, updates="500")[1].batch == 32, "few chunks, small batches"
    config, found = length(100, batch_size=16, accum_grad=1)
    assert found.batch == 16, "its batch stays, the number of updates follows"
    config, found = length(100, scheduler="noamlr", scheduler_conf={"warmup_steps": 7})
    assert found.warm_up is None and config["scheduler_conf"] == {"warmup_steps": 7}
    config, found = length(1, updates="300", scheduler="onecyclelr", scheduler_conf={"max_lr": 0.1, "total_steps": 101})
    assert config["scheduler_conf"] == {"max_lr": 0.1, "total_steps": 301}, "it would end before the training"
    for wrong, message in (({"batch_size": 0}, "batch_size 0, in the YAML"), ({"optim_conf": {}}, "which is missing")):
        with pytest.raises(UsageError, match=message):
            length(1, **wrong)


def test_the_command_knows_its_chunks_its_language_and_its_student(tmp_path):
    words = ["--tables", str(tmp_path), "--config", str(CONFIG), "--output_dir", "x", "--student", "y"]
    plain = computed_as(read_config([CONFIG]), on_gpu=False)
    assert read_words([*words, "--updates", "auto"]).config == plain, "before the tables are there"
    write_table(tmp_path / "text", {f"u{n}": "好" for n in range(1000)})
    training = read_words([*words, "--updates", "auto"])
    said = "1,260 updates of 32 chunks, the first 50 to warm up: 40.3 passes over 1,000 chunks"
    assert str(training.length) == said
    assert training.config["batch_size"] == 32
    assert read_words([*words, "--language", "zh"]).config == read_words(words).config == plain
    assert read_words([*words, "--language", "ja"]).config["batch_conf"]["language"] == "ja"
    student = tmp_path / "student"
    student.mkdir()
    (student / "config.json").write_text('{"trim_padding": true}')
    words[-1] = str(student)
    assert read_words(words).config["batch_conf"]["trim_padding"] is True, "trained as it is decoded"
    (tmp_path / "wrong.yaml").write_text("batch_conf: [1]\n")
    for more in (["--language", "ja"], []):
        wrong = read_words([*words, *more, "--config", f"{tmp_path}/wrong.yaml"])
        with pytest.raises(UsageError, match=r"batch_conf: .* is no mapping"):
            from_dict(BatchConfig, wrong.config["batch_conf"], "batch_conf")
    (tmp_path / "whole.yaml").write_text("batch_conf: {trim_padding: false}\n")
    assert read_words([*words, "--config", f"{tmp_path}/whole.yaml"]).config["batch_conf"]["trim_padding"] is False
    assert "autocast" not in plain["model_conf"], "this processor was not measured"
    with pytest.raises(UsageError, match="--updates some: expected auto, or how many updates"):
        read_words([*words, "--updates", "some"])


@pytest.mark.parametrize(("ngpu", "seconds", "found"), [(0, 0.5, "bfloat16"), (0, 0.95, None), (1, 0.5, None)])
def test_auto_is_the_type_that_the_processor_is_faster_in(tmp_path, monkeypatch, ngpu, seconds, found):
    monkeypatch.setenv("K2D_PROCESSOR", str(tmp_path / "processor.json"))
    times = {part: {kind: 1.0 if kind == "float32" else seconds for kind in kinds} for part, kinds in KINDS.items()}
    times["attention"]["products"] *= 0.9
    (tmp_path / "processor.json").write_text(json.dumps({"processor": "P", "torch": "2", "seconds": times}))
    words = ["--config", str(CONFIG), "--output_dir", "x", "--student", "y", "--ngpu", str(ngpu)]
    training = read_words(words)
    assert training.config["model_conf"].get("autocast") == found and training.chosen_autocast == (found is not None)
    assert training.config["model_conf"].get("attention") == (found and "products"), "as that was measured, too"
    for said in ("autocast=null", "autocast=bfloat16", "{autocast: null}"):
        typed = read_words([*words, "--model_conf", said])
        assert "autocast" not in typed.config["model_conf"] and not typed.chosen_autocast, "the words have it"
    (tmp_path / "own.yaml").write_text("model_conf: {autocast: bfloat16}\n")
    assert read_words([*words, "--resume=false"]).words[-1] == "--resume=false", "and not resumed all the same"
    named = read_words([*words, "--config", f"{tmp_path}/own.yaml"])
    assert named.config["model_conf"]["autocast"] == "bfloat16" and not named.chosen_autocast, "no measurement chose it"
    (tmp_path / "own.yaml").write_text("model_conf: {autocast: null}\n")
    words += ["--config", f"{tmp_path}/own.yaml"]
    assert read_words(words).config["model_conf"]["autocast"] is None
    for wrong in ("all", "[0, 1]", "0.5", "-1"):
        (tmp_path / "gpus.yaml").write_text(f"ngpu: {wrong}")
        with pytest.raises(UsageError, match=r"ngpu .*gpus\.yaml\): expected a number of GPUs"):
            read_words(["--config", f"{tmp_path}/gpus.yaml", "--output_dir", "x", "--student", "y"])
    (tmp_path / "wrong.yaml").write_text("model_conf: bfloat16")
    assert read_words([*words, "--config", f"{tmp_path}/wrong.yaml"]).config["model_conf"] == "bfloat16", "named later"
    with pytest.raises(UsageError, match="model_conf: 'bfloat16' is no mapping"):
        from_dict(DistillConfig, "bfloat16", "model_conf")
    (tmp_path / "both.yaml").write_text("model_conf: {autocast: auto, attention: products}\n")
    both = read_words([*words[:2], *words[4:8], "--config", f"{tmp_path}/both.yaml"]).config["model_conf"]
    assert both.get("autocast") == found and both.get("attention") == (found and "products")
    from_dict(DistillConfig, {"autocast": "auto", "attention": "products"}, "model_conf")
    for wrong in ("ce", None, [1]):
        with pytest.raises(UsageError, match=r"losses .*: expected names and weights"):
            from_dict(DistillConfig, {"losses": wrong}, "model_conf")
    with pytest.raises(UsageError, match="attention 'plain': expected fused or products"):
        from_dict(DistillConfig, {"attention": "plain"}, "model_conf")
    with pytest.raises(UsageError, match="attention products computes in bfloat16; say autocast: bfloat16, too"):
        from_dict(DistillConfig, {"attention": "products"}, "model_conf")
    with pytest.raises(UsageError, match="autocast 'float32': expected bfloat16, auto, or null for float32"):
        from_dict(DistillConfig, {"autocast": "float32"}, "model_conf")
