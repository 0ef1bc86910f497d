"""Stages 2 and 3 on a few seconds of speech: audio that changes between stages, and two runs at a time."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from decoding_material import SHORT, random_pair  # noqa: E402

DATA_SH = """#!/usr/bin/env bash
# Two spoken sentences in three sets, made once.
set -euo pipefail
[ -e audio.wav ] || espeak-ng -v cmn -w audio.wav "我們今天要討論 machine learning 的模型。這個資料很大。"
for set in lectures dev test; do
    mkdir -p "data/$set"
    echo "r $PWD/audio.wav" >"data/$set/wav.scp"
    echo "r 我們今天要討論" >"data/$set/text"
done
"""
OPTIONS = (
    *("--train_set", "lectures", "--dev_set", "dev", "--test_sets", "test", "--language", "zh"),
    *("--teacher", "models/teacher", "--validator", "models/validator"),
    *("--teacher_opts", SHORT, "--validator_opts", SHORT),
)
CHUNKS = "data/lectures_teacher"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe of its own, of which stages 1 and 2 are done; returns a function that starts it."""
    if not (ROOT / "tools/venv/bin/python").exists() or not shutil.which("espeak-ng"):
        pytest.skip("tools/venv or espeak-ng is missing")
    top = tmp_path_factory.mktemp("at_once")
    for name in ("utils", "tools", "k2d", "conf"):
        (top / name).symlink_to(ROOT / name)
    folder = top / "egs/mine/k2d1"
    (folder / "local").mkdir(parents=True)
    random_pair(folder / "models/teacher", folder / "models/validator")
    for name in ("k2d.sh", "cmd.sh", "path.sh"):
        (folder / name).symlink_to(ROOT / "egs/TEMPLATE/k2d1" / name)
    (folder / "local/data.sh").write_text(DATA_SH)
    (folder / "local/data.sh").chmod(0o755)

    def start(*options: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["./k2d.sh", *OPTIONS, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    start.folder = folder
    assert finished(start("--stop_stage", "2"))[0] == 0
    return start


def finished(process: subprocess.Popen) -> tuple[int, str]:
    """(status, what it has said) of a run."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out + err


def record(folder: Path) -> bytes:
    return (folder / CHUNKS / "step.json").read_bytes()


def test_audio_replaced_between_stages_is_noticed_and_comes_back(recipe):
    audio, first = recipe.folder / "audio.wav", record(recipe.folder)
    before, times = audio.read_bytes(), audio.stat()
    audio.write_bytes(before[: len(before) // 4 * 2])
    _, said = finished(recipe("--stage", "3", "--stop_stage", "3"))
    assert f"{CHUNKS} was made from another version of data/lectures; --stage label makes it again" in said
    assert record(recipe.folder) == first, "an earlier stage's work is taken as it is"
    assert finished(recipe("--stage", "2", "--stop_stage", "2"))[0] == 0
    assert json.loads(record(recipe.folder))["key"] != json.loads(first)["key"]
    audio.write_bytes(before)
    os.utime(audio, ns=(times.st_atime_ns, times.st_mtime_ns))
    status, said = finished(recipe("--stage", "2", "--stop_stage", "2"))
    assert status == 0 and "was moved back from" in said
    assert record(recipe.folder) == first


def test_of_two_runs_with_other_options_the_second_stops_and_names_the_first(recipe):
    folder = recipe.folder
    ours = ("--stage", "2", "--stop_stage", "2", "--teacher_opts", "--beam_size 2 --temperatures 0")
    theirs = ("--stage", "2", "--stop_stage", "2", "--teacher_opts", "--beam_size 3 --temperatures 0")
    first = recipe(*ours)
    while not (folder / CHUNKS / ".begun.json").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    second = recipe(*theirs)
    statuses = [finished(run) for run in (first, second)]
    refused = [said for status, said in statuses if status]
    assert len(refused) == 1, statuses  # whichever held it first
    assert "in use by " in refused[0] and "(process " in refused[0] and "since " in refused[0]
    kept, other = (ours, theirs) if statuses[1][0] else (theirs, ours)
    made = record(folder)
    assert json.loads(made)["arguments"]["beam_size"] == int(kept[-1].split()[1])
    status, said = finished(recipe(*other))
    assert status == 0, said
    assert json.loads(record(folder))["arguments"]["beam_size"] == int(other[-1].split()[1])
    status, said = finished(recipe(*kept))
    assert status == 0 and "was moved back from" in said
    assert record(folder) == made
