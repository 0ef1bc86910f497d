"""k2d plan: what a corpus takes, and what every figure rests on."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from k2d.bin.plan import main
from k2d.corpus.trial import read_trial
from k2d.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(capsys):
    """What the command prints."""

    def run(*options) -> str:
        status = main([*map(str, options), "--explain"])
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out

    return run


def row(text: str, stage: int) -> list[str]:
    """Stage, jobs, time, disk, memory, kinds of figures."""
    line = next(line for line in text.splitlines() if line.startswith(f"{stage} "))
    return re.split(r"\s{2,}", line)


@pytest.fixture
def trial(tmp_path):
    """What a trial leaves behind: ten hours of recordings at 100 times real time, and so on."""
    label, exp, train = tmp_path / "data/x_t", tmp_path / "exp/x_t", tmp_path / "exp/student_full/train"
    for folder in (label, exp / "decode_v", exp / "v", train / "log"):
        folder.mkdir(parents=True)
    for folder, times in ((label, 100.0), (exp / "decode_v", 1000.0)):
        speed = {"audio_seconds": 36000.0, "seconds": 36000.0 / times, "times_real_time": times}
        (folder / "speed.json").write_text(json.dumps(speed))
    (exp / "v/summary.json").write_text(json.dumps({"counts": {"pairs": 1000}}))
    (exp / "v/step.json").write_text(json.dumps({"step": "distance", "arguments": {"nj": 2}, "seconds": 0.5}))
    config = "batch_type: unsorted\nbatch_size: 4\nnum_iters_per_epoch: 10\nngpu: 1\ndist_world_size: 2\n"
    (train / "config.yaml").write_text(config)
    log = "[train] mini-batch sizes summary: N-batch=9, mean=4.0, min=4, max=4\n"
    log += "1epoch results: x\n# end 2026-11-01 10:00:00, 5.0 s\n2epoch results: x\n# end 2026-11-01 11:00:00, 5.0 s\n"
    (train / "log/train.log").write_text(log)
    return tmp_path


def test_a_trial_is_read(trial):
    rates = read_trial(trial)
    assert {name: rate.value for name, rate in rates.items()} == {
        "teacher": 100.0, "validator": 1000.0, "distance": 1000.0, "training": 4.0
    }  # fmt: skip
    assert rates["teacher"].source == f"10.00 h in 360 s, {trial / 'data/x_t/speed.json'}"
    (trial / "exp/student_full/train/config.yaml").write_text("batch_type: numel\nnum_iters_per_epoch: null\n")
    assert read_trial(trial)["training"].value == 2 * 9 * 4.0 / 10, "two epochs of nine batches, on one CPU"


def test_a_trial_of_other_models_is_told_from_that_of_these(trial, capsys):
    (trial / "data/x_t/step.json").write_text(json.dumps({"arguments": {"model": "models/mine"}}))
    words = ["--train_hours", "10", "--trial", str(trial)]
    assert main(words) == 0 and "plan: --trial is of the teacher models/mine; " in capsys.readouterr().err
    assert main([*words, "--teacher", "elsewhere/mine"]) == 0 and capsys.readouterr().err == ""


def test_no_trial_is_an_error(tmp_path):
    with pytest.raises(DataError, match="stages 2 to 5 have run"):
        read_trial(tmp_path)


def basis(text: str, stage: int) -> dict[str, str]:
    """What a figure of a stage is -> how it is known."""
    lines = text.partition(f"\nStage {stage}, ")[2].partition("\n\n")[0].splitlines()[1:]
    return dict(line.strip().split(": ", 1) for line in lines)


@pytest.mark.parametrize("gpus", [16, 0])
def test_every_figure_says_how_it_is_known(plan, gpus):
    text = plan("--train_hours", 60000, "--ngpu", gpus)
    for stage in range(1, 9):
        found = basis(text, stage)
        assert all(re.search(r"\b(measured|published|computed|assumed)\b", known) for known in found.values()), found
        assert any("disk" in what for what in found) and any("memory" in what for what in found)
        assert len(found) > 2 or stage == 8, "what the time rests on"
    assert ", 0 times" not in text


def test_a_trial_s_measurements_take_the_place_of_assumptions(plan, trial):
    sized = ("--train_hours", 60000, "--ngpu", 16)
    before, after = plan(*sized), plan(*sized, "--trial", trial)
    source = f"measured, 10.00 h in 360 s, {trial / 'data/x_t/speed.json'}"
    assert basis(after, 2)["teacher, 100 times real time on one H100"] == source
    source = f"measured, 80 chunks in 10 s on 2 devices, {trial / 'exp/student_full/train/log/train.log'}"
    assert basis(after, 5)["training, 4.00 chunks a second of one H100"] == source
    (teacher,) = [known for what, known in basis(before, 2).items() if what.startswith("teacher")]
    assert teacher.startswith("measured, tools/bench_decoder.py ")
    (training,) = [known for what, known in basis(before, 5).items() if what.startswith("training")]
    assert training.startswith("published, ")


def test_more_gpus_take_less_time_and_as_much_disk(plan, trial):
    hours = "--train_hours", 6000, "--trial", trial
    few, many = (plan(*hours, "--ngpu", gpus, "--nj", 4 * gpus) for gpus in (1, 10))
    # 6,000 h at 100 times real time are 60 h; reading, cutting and writing is shared by the jobs.
    assert row(few, 2)[1] == "4 + 1" and row(few, 2)[2].endswith(" days")
    assert row(many, 2)[1] == "40 + 1"
    assert row(many, 2)[2].endswith(" h") and 6 < float(row(many, 2)[2].split()[0]) < 9
    assert row(few, 2)[3:] == row(many, 2)[3:]
    assert row(plan(*hours, "--ngpu", 3), 2)[1] == "3 + 1", "one a GPU, as in k2d.sh"
    assert row(many, 5)[1] == "2 × 3 nodes of 4 GPUs"


def test_the_hours_of_a_folder_are_counted(plan, tmp_path, capsys):
    (tmp_path / "a b").mkdir()
    for name, samples in (("a b/one.wav", 36000), ("a b/two.wav", 36016), ("again.wav", 36000)):
        soundfile.write(tmp_path / name, [0.1] * samples, 16000)
    text = plan("--recordings", tmp_path, "--speeds", "teacher:0.001")
    assert "4.5 s of recordings, teacher large-v2" in text
    assert row(text, 2)[2] == "1.3 h", "4.5 s, the third is the first once more"
    assert not list(tmp_path.glob("*.json")), "nothing is written"
    assert main(["--recordings", str(tmp_path / "none")]) == 1
    assert "none: no such folder" in capsys.readouterr().err
    assert main([]) == 1 and "give the hours, by one of" in capsys.readouterr().err
    for speed, said in (("teacher", "expected MODEL:NUMBER"), ("tchr:10", "nothing here is called 'tchr'")):
        assert main(["--train_hours", "1", "--speeds", speed]) == 1
        assert said in capsys.readouterr().err


def test_long_recordings_take_no_more_memory_and_a_cpu_that_of_the_decoders_caches(plan):
    def memory(*options: object) -> float:
        return float(row(plan("--teacher", "large-v2", *options), 2)[4].removesuffix(" GB"))

    assert memory("--train_hours", 2) == memory("--train_hours", 1000) > memory("--train_hours", 2, "--ngpu", 1)
    assert memory("--train_hours", 2, "--batch_size", 16) > memory("--train_hours", 2)


@pytest.mark.parametrize("wrong", ["--train_hours nan", "--train_hours -5", "--train_hours 5 --batch_size -5",
                                   "--train_hours 5 --gpus_per_node 0", "--train_hours 5 --speeds teacher:0",
                                   "--train_hours 5 --ngpu -1"])  # fmt: skip
def test_numbers_that_none_can_mean_are_refused(capsys, wrong):
    assert main(wrong.split()) == 1 and ": expected" in capsys.readouterr().err.replace(", expected", ": expected")


def test_every_model_that_a_stage_decodes_with_has_to_fit(plan):
    def memory(stage: int, *options: object) -> float:
        return float(row(plan("--train_hours", 2, *options), stage)[4].removesuffix(" GB"))

    swapped = ("--teacher", "base", "--validator", "large-v2")
    assert memory(3, *swapped) == memory(6, *swapped) == memory(2, "--teacher", "large-v2") > memory(2, *swapped)
    assert memory(2, "--teacher", "large-v2", "--ready_labels") < memory(2, "--teacher", "large-v2")


def test_what_further_models_transcribe_is_counted(plan):
    hours = ("--train_hours", 6000, "--ngpu", 1)
    one, more = (basis(plan(*hours, *words), 3) for words in ((), ("--revise", "student_full large-v2")))
    assert not any(what.startswith(("student_full", "large-v2")) for what in one)
    found = (re.match(r"(.*), ([\d,]+) times real", what) for what in more)
    speeds = {match[1]: float(match[2].replace(",", "")) for match in found if match}
    assert speeds["student_full"] > 2 * speeds["large-v2"], "two layers of the teacher's decoder"
    assert row(plan(*hours, "--revise", "large-v2"), 3)[2] != row(plan(*hours), 3)[2]


def test_only_the_stages_that_are_run_are_counted(plan):
    hours = ("--train_hours", 1000, "--ngpu", 1)
    whole, labels = plan(*hours), plan(*hours, "--stop_stage", 4)
    assert "\n5 train" not in labels and "updates" not in labels and row(labels, 4) == row(whole, 4)
    sums = [text.partition("\nin all ")[2].split() for text in (whole, labels)]
    assert sums[0][1] == "days" and sums[1][1] == "h", sums


def test_every_validator_and_every_seed_decodes_the_tests(plan):
    sizes = ("--train_hours", 100, "--test_hours", 200, "--selection", "full comp")
    one = plan(*sizes)
    two = plan(*sizes, "--validator", "base medium")
    assert (row(one, 6)[1], row(two, 6)[1]) == ("4", "5") and row(one, 6)[2] != row(two, 6)[2]
    assert "medium" in " ".join(basis(two, 3)) and "medium" in " ".join(basis(two, 6))
    seeds = plan(*sizes, "--seed", "0 1 2")
    assert row(seeds, 5)[1] == "6" and row(seeds, 4)[1] == "2" and row(seeds, 8)[1] == "6"


def test_students_side_by_side_share_a_machine_or_have_one_each(plan):
    sizes = ("--train_hours", 1000, "--ngpu", 4, "--seed", "0 1 2")
    three = ("--side_by_side", 3)
    one, shared, each = (plan(*sizes, *words) for words in ((), three, (*three, "--elsewhere")))
    assert "6 students one after the other, " in one and "6 students, 3 at a time, " in shared
    days = [float(row(text, 5)[2].split()[0]) for text in (one, shared, each)]
    assert days[0] == days[1] == pytest.approx(3 * days[2], rel=0.05)
    assert row(one, 2) == row(each, 2) and "4 GPUs at a time for each of 3 students" in each
    assert main(["--train_hours", "1", "--side_by_side", "0"]) == 1


def test_what_is_stored_once_is_in_the_estimate_and_says_what_it_rests_on(plan):
    hours = ("--train_hours", 2, "--teacher", "tiny", "--updates", "auto")
    whole, stored = plan(*hours), plan(*hours, "--encoder_out", 1, "--topk", 32)
    assert "stored once" not in whole and row(whole, 5)[2] != row(stored, 5)[2]
    (known,) = [known for what, known in basis(stored, 5).items() if "stored once" in what]
    assert re.fullmatch(r"computed, \d+ TFLOP and 31\d\.\d MB", known), "267 chunks of 1.15 MB, and their tokens"
    (known,) = [known for what, known in basis(stored, 5).items() if what.startswith("training")]
    assert known.startswith("measured, egs/mini_cs/k2d1/local/ladder.sh")


def test_a_newcomer_s_minutes_are_not_trained_on_as_long_as_the_papers_hours(plan):
    text = plan("--train_hours", 1 / 60, "--teacher", "models/mine")
    assert "Stage 5, 2 students one after the other, 200 updates of 3 chunks each" in text
    assert "Of unknown size, counted as tiny: models/mine." in text
    assert "Waiting in a queue" not in text and row(text, 5)[1] == "2"
    paper = plan("--train_hours", 1 / 60, "--config", ROOT / "conf/train_student.yaml")
    assert "120,000 updates of 12 chunks" in paper, "four passes of all that there is"
    assert "unknown size" not in plan("--train_hours", 1)


def test_training_is_as_long_as_the_hours_are_unless_a_configuration_says(plan):
    assert "2,100 updates of 256 chunks" in plan("--train_hours", 100)
    given = ("--train_hours", 100, "--config", ROOT / "conf/train_student.yaml")
    assert "120,000 updates of 256 chunks" in plan(*given)
    assert "2,100 updates of 256 chunks" in plan(*given, "--updates", "auto")
    assert "500 updates of 256 chunks" in plan("--train_hours", 100, "--updates", 500)


def test_what_a_folder_holds_and_is_not_counted_is_named(tmp_path, capsys, monkeypatch):
    soundfile.write(tmp_path / "talk.wav", np.sin(np.arange(48000) / 9), 16000)
    (tmp_path / "broken.mp3").write_bytes(b"no sound")
    (tmp_path / "locked").mkdir()
    list_folder = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):  # root may read everything
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main(["--recordings", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert f"not counted: 1 × unreadable folder, such as {tmp_path}/locked: Permission denied" in said
    assert "1 × not audio, such as" in said and "broken.mp3" in said


def test_jobs_on_a_cluster_ask_for_the_memory_that_the_papers_corpus_takes(plan):
    text = plan("--train_hours", 60000, "--ngpu", 16)
    slurm = (ROOT / "egs/TEMPLATE/k2d1/cmd.sh").read_text().partition("slurm)")[2].partition(";;")[0]
    asked = {name: int(found) for name, found in re.findall(r"(\w+)_cmd=.*--mem (\d+)G", slurm)}
    for stage, name in ((2, "decode"), (3, "decode"), (4, "cpu"), (5, "train"), (6, "decode"), (7, "cpu"), (8, "cpu")):
        assert int(row(text, stage)[4].removesuffix(" GB")) < asked[name], f"stage {stage}"
