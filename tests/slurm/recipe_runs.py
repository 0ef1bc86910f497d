"""Runs of mini_cs, each a clone of the repository with a recipe of its own, and what they are to have in common.

The committed mini models and a test set of mini_cs, whole recordings of a quarter of a minute, as unlabelled speech.
The recordings are shared by all runs, since what is known of them includes their time of change.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from cluster import Cluster, wait_for

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/mini_cs/k2d1"
MODELS = ROOT / "egs/mini_cs/pretrain1/models"
ONCE = "--condition_on_previous false --temperatures 0"
FEW_TOKENS = f"{ONCE} --max_new_tokens 16"
OPTIONS = [
    *("--train_set", "test_in_long", "--dev_set", "dev", "--test_sets", "dev"),
    *("--teacher", str(MODELS / "teacher"), "--validator", str(MODELS / "validator")),
    *("--local_data_opts", "--sets dev,test_in --scale 0.12"),
    *("--teacher_opts", ONCE, "--validator_opts", FEW_TOKENS, "--test_opts", FEW_TOKENS),
    *("--selection", "segment", "--alpha", "9"),  # of which no chunk is dropped
    *("--nj", "2", "--job_threads", "1", "--batch_size", "2", "--nbest", "1"),
    *("--train_config", "conf/short.yaml"),
    *("--timing_opts", "--rounds 1 --max_seconds 5 --max_new_tokens 8"),
    "--",
]
SHORT = """\
batch_conf: {timestamps: 1.0, trim_padding: true}
optim: adamw
optim_conf: {lr: 1.0e-4}
batch_type: unsorted
batch_size: 1
accum_grad: 1
use_amp: false
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
# What a site changes: fewer cores than a GPU node has, and as many here as there.
CORES = {
    "train_threads:=16": "train_threads:=1",
    "cpu_threads=8": "cpu_threads=2",
    "cpu_threads=$(nproc)": "cpu_threads=2",
}

# What no two runs can share: seconds, and when a file was written.
TIMES = re.compile(
    rb'"(?:stamp|seconds|encode_seconds|decode_seconds|real_time_factor|times_real_time)": ?(?:"[^"]*"|[-\d.e]+|null)'
)


class Run:
    """A run of k2d.sh."""

    def __init__(self, folder: Path, cluster: Cluster, data: "Run | None" = None, partition: str | None = None):
        """data: whose stage 1 this run goes on from."""
        for name in ("utils", "tools", "k2d", "conf"):
            (folder / name).symlink_to(ROOT / name)
        self.folder, self.recipe = folder, folder / "egs/mini_cs/k2d1"
        shutil.copytree(ROOT / "egs/TEMPLATE/k2d1", self.recipe)
        shutil.copytree(RECIPE / "local", self.recipe / "local", dirs_exist_ok=True)
        cmd = (self.recipe / "cmd.sh").read_text()
        for old, new in CORES.items():
            cmd = cmd.replace(old, new)
        (self.recipe / "cmd.sh").write_text(cmd)
        (self.recipe / "conf").mkdir(exist_ok=True)
        (self.recipe / "conf/short.yaml").write_text(SHORT)
        if partition:
            site = (ROOT / "conf/slurm.conf").read_text() + f"command sbatch --partition={partition}\n"
            (self.recipe / "conf/slurm.conf").write_text(site)
        if data:
            (self.recipe / "data").mkdir()
            for name in ("dev", "test_in_long"):
                (self.recipe / "data" / name).symlink_to(data.recipe / "data" / name)
        self.environment = {**cluster.environment, "OMP_NUM_THREADS": "1"}
        self.process: subprocess.Popen | None = None

    def go(self, stage: int, stop_stage: int, *options: str) -> "Run":
        """Run some stages to their end."""
        return self.start(stage, stop_stage, *options).finish()

    def start(self, stage: int, stop_stage: int, *options: str) -> "Run":
        with open(self.recipe / "output", "a") as output:
            self.process = subprocess.Popen(
                ["./k2d.sh", *OPTIONS, "--stage", str(stage), "--stop_stage", str(stop_stage), *options],
                cwd=self.recipe,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def finish(self) -> "Run":
        status = self.process.wait(900)
        assert status == 0, self.log("output")[-4000:]
        return self

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def log(self, path: str) -> str:
        path = self.recipe / path
        return path.read_text(errors="replace") if path.exists() else ""

    def digest(self, path: Path) -> str:
        """Of a file's content, but for times and this run's folder."""
        content = path.read_bytes().replace(str(self.folder).encode(), b"")
        return hashlib.sha256(TIMES.sub(b"", content) if path.suffix.startswith(".json") else content).hexdigest()

    def data(self) -> dict[str, str]:
        """Digests of what stage 1 has made."""
        return self._digests("data", lambda inside: not {"log", ".k2d", "step.json", ".durations"} & set(inside.parts))

    def labels(self) -> dict[str, str]:
        """Digests of what stages 2 to 4 have made, apart from logs and what the decoding cost. In stage 3 files that
        digest its inputs' times are apart as well: its inputs are the archives that stage 2 has just written.
        """

        def made(inside: Path) -> bool:
            told_apart = {"log", ".k2d", "cost.jsonl", "finished", "step.json", "key"}
            return not told_apart & set(inside.parts)

        def made_of_archives(inside: Path) -> bool:
            return made(inside) and not ("work" in inside.parts and inside.name == "data")

        digests = self._digests("data/test_in_long_teacher", made)
        digests |= self._digests("data/test_in_long_teacher_segment", made)
        for name in ("decode_validator", "validator"):
            digests |= self._digests(f"exp/test_in_long_teacher/{name}", made_of_archives)
        for name in ("chunks.", "utt2comp", "text.trusted", "journal.jsonl", "summary.json"):
            assert any(name in path for path in digests), f"{name} is not among {sorted(digests)}"
        return digests

    def _digests(self, stage: str, wanted) -> dict[str, str]:
        paths = [path for path in sorted((self.recipe / stage).rglob("*")) if path.is_file()]
        wanted = [path for path in paths if wanted(path.relative_to(self.recipe / stage))]
        return {str(path.relative_to(self.recipe)): self.digest(path) for path in wanted}


def lose_a_node_and_requeue_the_training(run: Run, cluster: Cluster, node: str) -> list[str]:
    """Stages 2 to 7, in which a node dies while it decodes, and the training is put back into the queue; returns
    the jobs of stage 2 that were lost. From stage 6 on each decoding is one job: split ones are tried before.
    """
    there = ("--cmd_backend", "slurm", "--side_by_side", "2")
    run.start(2, 5, *there)

    logs = {job: f"data/test_in_long_teacher/log/label.{job}.log" for job in "12"}

    def decoding_there() -> bool:
        assert run.process.poll() is None, run.log("output")[-4000:]
        # A round's cost is written behind the round: before, a kill would leave the round and not its tokens.
        costs = (run.recipe / "data/test_in_long_teacher").glob("work/*/job*of2/cost.jsonl")
        begun = {path.parent.name[3] for path in costs if path.stat().st_size}
        return any(f" on {node}\n" in run.log(logs[job]) for job in begun)

    wait_for(decoding_there, 600, f"no job of stage 2 decodes on {node}", cluster.logs)
    cluster.kill_node(node)
    texts = {job: run.log(path) for job, path in logs.items()}
    lost = [job for job, text in texts.items() if f" on {node}\n" in text and "# status" not in text]
    log = "exp/student_segment/train/log/train.log"
    wait_for(lambda: ":train:1-1batch" in run.log(log), 900, "training does not start", cluster.logs)
    cluster.call("scontrol", "requeue", re.search(r"Slurm job (\d+) on", run.log(log))[1])
    run.finish()
    run.go(6, 7, *there, "--nj", "1")
    cluster.start_node(node)
    return lost
