"""conf/slurm.conf: how options of a call become flags of sbatch. No cluster is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "utils"))
import slurm  # noqa: E402


def flags(tmp_path, text: str, *options: str) -> list[str]:
    (tmp_path / "slurm.conf").write_text(text)
    call = slurm.parse(["--config", str(tmp_path / "slurm.conf"), *options, "x.log", "true"], slurm.PARSER)
    return slurm.read_config(slurm.find_config(call)).flags(call)


def test_the_repository_s_file_maps_every_option():
    call = slurm.parse(
        "--num_threads 4 --mem 8G --time 1:00 --gpu 2 --num_nodes 3 --signal_before 60 x.log true".split(), slurm.PARSER
    )
    assert slurm.read_config(ROOT / "conf/slurm.conf").flags(call) == (
        "sbatch --cpus-per-task=4 --mem=8G --time=1:00 --gres=gpu:2 --nodes=3 --ntasks-per-node=1 "
        "--signal=B:USR1@60"
    ).split()


def test_a_site_chooses_flags(tmp_path):
    text = """
    command sbatch --account 'my lab' # comment
    option gpu=0 --partition=cpu
    option gpu=* --partition=gpu --gres=gpu:h100:$0
    default mem=4G
    option mem=* --mem=$0
    option time=*
    """
    assert flags(tmp_path, text, "--time", "5:00") == ["sbatch", "--account", "my lab", "--mem=4G", "--partition=cpu"]
    gpu = flags(tmp_path, text, "--gpu", "2", "--mem", "1G")
    assert gpu[-3:] == ["--mem=1G", "--partition=gpu", "--gres=gpu:h100:2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("option gpus=* --gres=gpu:$0", "slurm.conf:1: 'option gpus=* --gres=gpu:$0'; expected"),
        ("\ndefault mem", "slurm.conf:2: 'default mem'; expected"),
        ("submit sbatch", "slurm.conf:1: 'submit sbatch'; expected"),
        ("command 'sbatch", "slurm.conf:1: No closing quotation"),
        ("command sbatch", "slurm.conf: no line for gpu=0; expected 'option gpu=* FLAG…'"),
    ],
)
def test_mistakes_name_the_line(tmp_path, text, message):
    with pytest.raises(slurm.ConfigError) as error:
        flags(tmp_path, text)
    assert message in str(error.value)


def test_a_byte_of_another_encoding_names_the_line(tmp_path):
    (tmp_path / "slurm.conf").write_bytes("command sbatch\n# für alle\n".encode("latin-1"))
    with pytest.raises(slurm.ConfigError, match=r"slurm.conf:2: 'utf-8' codec can't decode byte 0xfc"):
        slurm.read_config(tmp_path / "slurm.conf")


def test_arrays_name_their_elements_shortly():
    assert slurm.ranges([3]) == "3"
    assert slurm.ranges([9, 7, 8, 3, 1, 2]) == "1-3,7-9"


def test_time_limits_are_read_as_sbatch_does():
    limits = {"90": 5400, "1:30": 90, "2:00:00": 7200, "1-0": 86400, "1-12:30": 131400, "2-00:00:05": 172805}
    assert {limit: slurm.seconds_of(limit) for limit in limits} == limits


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("5:00", "--signal_before 600: longer than the whole job"),
        ("1-", "--time: expected minutes, m:s, h:m:s, d-h, d-h:m or d-h:m:s, not '1-'"),
        ("-", "--time: expected minutes"),
        ("1:2:3:4", "--time: expected minutes"),
        ("0", "none.conf: no such file"),
        ("UNLIMITED", "none.conf: no such file"),
    ],
)
def test_a_signal_before_the_limit_needs_a_limit_that_is_longer(limit, message):
    """0 is no limit. What passes goes on to read the configuration."""
    call = [sys.executable, ROOT / "utils/slurm.py", "--config", "none.conf", "--signal_before", "600", "x.log", "true"]
    call[2:2] = ["--time", limit]
    result = subprocess.run(call, capture_output=True, text=True)
    assert result.returncode and message in result.stderr


@pytest.mark.parametrize(
    ("log", "status"),
    [
        ("# start 2026-11-01 10:00:00\nx\n# end …\n# status 3\n", 3),
        ("# start 2026-11-01 10:00:00\nx\n# status 3\n# start 2026-11-01 11:00:00\n", None),
        ("# start 2026-11-01 10:00:00\n    # status 0\n", None),
        ("", None),
    ],
)
def test_the_last_attempt_in_a_log_counts(tmp_path, log, status):
    (tmp_path / "x.log").write_text(log)
    assert slurm.status_of(tmp_path / "x.log") == status
    assert slurm.status_of(tmp_path / "none.log") is None
