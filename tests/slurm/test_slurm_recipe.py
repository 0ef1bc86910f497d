"""mini_cs through Slurm: stages 2 to 5 give what a local run gives, node failures and preemption or not.

Two minutes of speech and the committed mini models. The recordings are shared by all runs, since what is known of
them includes their time of change.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cluster import wait_for

from k2d.corpus.trial import read_trial
from k2d.datadir import read_table, write_numbers, write_table

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/mini_cs/k2d1"
MODELS = ROOT / "egs/mini_cs/pretrain1/models"
OPTIONS = [
    *("--train_set", "lectures", "--dev_set", "dev", "--test_sets", "dev"),
    *("--teacher", str(MODELS / "teacher"), "--validator", str(MODELS / "validator")),
    *("--label_opts", "--condition_on_previous false --temperatures 0"),
    *("--selection", "full", "--nj", "2", "--job_threads", "1", "--batch_size", "2", "--nbest", "1"),
    *("--train_config", "conf/short.yaml"),
]
SHORT = """\
batch_conf: {timestamps: 1.0, trim_padding: true}
optim: adamw
optim_conf: {lr: 1.0e-4}
batch_type: unsorted
batch_size: 1
max_epoch: 1
num_iters_per_epoch: 6
num_workers: 0
log_interval: 1
keep_nbest_models: 1
best_model_criterion: [[valid, ce, min]]
use_tensorboard: false
use_matplotlib: false
num_att_plot: 0
"""


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """data/dev and data/lectures: the same six recordings, once with references, once whole and without."""
    folder = tmp_path_factory.mktemp("speech")
    words = [RECIPE / "local/synthesize.py", "--output_dir", folder, "--sets", "dev", "--scale", "0.12", "--nj", "2"]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    sources = read_table(folder / "dev/wav.scp")
    seconds: dict[str, float] = {}
    for line in (folder / "dev/segments").read_text().splitlines():
        _, recording, _, end = line.split()
        seconds[recording] = float(end)
    (folder / "lectures").mkdir()
    write_table(folder / "lectures/wav.scp", sources)
    write_table(folder / "lectures/utt2spk", {name: name for name in sources})
    write_table(folder / "lectures/spk2utt", {name: name for name in sources})
    write_numbers(folder / "lectures/utt2dur", seconds)
    return folder


class Run:
    """A clone of the repository with a recipe of its own, run in one go."""

    def __init__(self, folder: Path, speech: Path, environment: dict[str, str]):
        for name in ("utils", "tools", "k2d", "conf"):
            (folder / name).symlink_to(ROOT / name)
        self.recipe = folder / "egs/mini_cs/k2d1"
        shutil.copytree(ROOT / "egs/TEMPLATE/k2d1", self.recipe)
        # What a site changes: fewer cores than a GPU node has.
        cmd = (self.recipe / "cmd.sh").read_text()
        (self.recipe / "cmd.sh").write_text(cmd.replace("--num_threads 16", "--num_threads 1"))
        (self.recipe / "conf/short.yaml").write_text(SHORT)
        (self.recipe / "data").mkdir()
        for name in ("dev", "lectures"):
            (self.recipe / "data" / name).symlink_to(speech / name)
        self.environment = {**environment, "OMP_NUM_THREADS": "1"}

    def start(self, *options: str) -> "Run":
        self.output = open(self.recipe / "output", "w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            ["./k2d.sh", *OPTIONS, *options],
            cwd=self.recipe,
            env=self.environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        return self

    def finish(self) -> str:
        status = self.process.wait(900)
        text = (self.recipe / "output").read_text()
        assert status == 0, text[-4000:]
        return text

    def log(self, path: str) -> str:
        path = self.recipe / path
        return path.read_text(errors="replace") if path.exists() else ""


def made(run: Run) -> dict[str, str]:
    """Digests of what stages 2 to 4 have made, apart from what tells a time, a path, or when a file was written."""
    stages = ("data/lectures_teacher", "data/lectures_teacher_full", "exp/lectures_teacher/aux_validator")
    apart = ("cost.jsonl", "finished", ".lock", "conf.yaml", "distance.yaml", "speed.json", "summary.json", ".done")
    digests = {}
    for stage in stages:
        for path in sorted((run.recipe / stage).rglob("*")):
            inside = path.relative_to(run.recipe / stage).parts
            stamped = "work" in inside and stage.startswith("exp")  # by the archives that stage 2 has written
            if path.is_file() and path.name not in apart and "log" not in inside and not stamped:
                digests[str(path.relative_to(run.recipe))] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert any("chunks." in name for name in digests) and any("utt2comp" in name for name in digests)
    return digests


def average(run: Run) -> dict[str, torch.Tensor]:
    return torch.load(run.recipe / "exp/student_full/train/1epoch.pth", weights_only=True)


@pytest.fixture(scope="module")
def local(speech, cluster, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("local"), speech, cluster.environment)
    run.start("--stage", "2", "--stop_stage", "5").finish()
    return run


def test_the_planner_measures_a_run(local):
    rates = read_trial(local.recipe)
    assert set(rates) == {"teacher", "validator", "distance", "training"}
    assert all(rate.value > 0 for rate in rates.values())
    assert "of 2 jobs, " in rates["teacher"].source


def test_stages_two_to_four_give_the_same_bytes(speech, cluster, local, tmp_path):
    run = Run(tmp_path, speech, cluster.environment)
    text = run.start("--stage", "2", "--stop_stage", "4", "--cmd_backend", "slurm").finish()
    assert text.count("2 jobs submitted as") == 2
    assert made(run) == made(local)
    assert re.search(r"^# host .*, Slurm job \d+_2 on n\d$", run.log("data/lectures_teacher/log/label.2.log"), re.M)


def test_a_lost_node_and_a_preempted_training_change_nothing(speech, cluster, local, tmp_path):
    run = Run(tmp_path, speech, cluster.environment)
    run.start("--stage", "2", "--stop_stage", "5", "--cmd_backend", "slurm")

    def decoding_on_n2() -> bool:
        journals = (run.recipe / "data/lectures_teacher").glob("work/*/job*of2/journal.jsonl")
        begun = {path.parent.name[3] for path in journals if '"round"' in path.read_text()}
        return any(" on n2\n" in run.log(f"data/lectures_teacher/log/label.{job}.log") for job in begun)

    wait_for(decoding_on_n2, 300, "no job of stage 2 decodes on n2", cluster.logs)
    cluster.kill_node("n2")
    lost = [job for job in "12" if "# status" not in run.log(f"data/lectures_teacher/log/label.{job}.log")]
    assert lost
    log = "exp/student_full/log/train.log"
    wait_for(lambda: ":train:1-1batch" in run.log(log), 600, "training does not start", cluster.logs)
    cluster.call("scontrol", "requeue", re.search(r"Slurm job (\d+) on", run.log(log))[1])
    run.finish()
    cluster.start_node("n2")
    assert made(run) == made(local)
    again = [job for job in "12" if run.log(f"data/lectures_teacher/log/label.{job}.log").count("# start") == 2]
    assert again == [job for job in lost if job in again], "only what was lost ran again"
    assert again
    trained = run.log(log)
    assert trained.count("# start") == 2
    assert re.search(r"stopped after batch \d of 6", trained) and re.search(r"goes on after batch \d of 6", trained)
    whole = average(local)
    for name, tensor in average(run).items():
        torch.testing.assert_close(tensor, whole[name], atol=1e-6, rtol=1e-5, msg=name)
