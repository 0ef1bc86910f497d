"""k2d.atomic: a file appears whole or not at all, and of killed writers nothing stays."""

import errno
import os
import subprocess
import sys
from contextlib import ExitStack
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pytest

from k2d.atomic import atomic

ROOT = str(Path(__file__).resolve().parents[1])


def test_a_name_of_255_bytes_is_written_and_a_temporary_is_one_of_those_that_are_tidied(tmp_path):
    name = "課" * 82 + ".scp.long"  # 255 bytes
    with atomic(tmp_path / name) as handle:
        [temporary] = tmp_path.iterdir()
        assert fnmatch(temporary.name, ".*.tmp")
        handle.write("x")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / "plain").touch()
    assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode  # as the umask wants it


KILLED = """
import os, signal, sys
from k2d.atomic import atomic
with atomic(sys.argv[1]) as handle:
    handle.write("half of it, and longer than what follows")
    handle.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_killed_writers_have_left_goes_with_the_next_write(tmp_path):
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "text")], env={**os.environ, "PYTHONPATH": ROOT})
        assert len(list(tmp_path.iterdir())) == 1
    with atomic(tmp_path / "text") as handle:
        handle.write("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert (tmp_path / "text").read_text() == "whole"


def test_what_several_writers_killed_at_once_have_left_goes_with_the_next_write(tmp_path):
    with ExitStack() as several:
        for _ in range(3):
            several.enter_context(atomic(tmp_path / "text"))
        left = [path.name for path in tmp_path.iterdir()]
    (tmp_path / "text").unlink()
    for name in left:
        (tmp_path / name).write_text("half of it, and longer than what follows")
        (tmp_path / name).chmod(0o600)
    with atomic(tmp_path / "text") as handle:
        assert len(list(tmp_path.iterdir())) == 1
        handle.write("whole")
    assert (tmp_path / "text").read_text() == "whole"
    (tmp_path / "plain").touch()
    assert (tmp_path / "text").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("plant", ["link", "fifo", "folder"])
def test_what_lies_at_the_name_of_a_temporary_is_not_written_into(tmp_path, plant):
    with atomic(tmp_path / "text"):
        [temporary] = tmp_path.iterdir()
    (tmp_path / "other").write_text("mine")
    {"link": lambda: temporary.symlink_to("other"), "fifo": partial(os.mkfifo, temporary), "folder": temporary.mkdir}[
        plant
    ]()
    with atomic(tmp_path / "text") as handle:
        handle.write("whole")
    assert (tmp_path / "other").read_text() == "mine"
    assert (tmp_path / "text").read_text() == "whole" and not (tmp_path / "text").is_symlink()


def test_two_who_write_one_file_at_once_do_not_disturb_each_other(tmp_path):
    with atomic(tmp_path / "text") as first:
        first.write("first")
        first.flush()
        with atomic(tmp_path / "text") as second:
            second.write("second")
        assert (tmp_path / "text").read_text() == "second"
    assert (tmp_path / "text").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_where_nothing_can_be_locked_files_are_written_all_the_same(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("k2d.atomic.fcntl.flock", flock)
    with atomic(tmp_path / "text") as handle:
        handle.write("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as handle:
        handle.write("new")
        handle.flush()
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic(tmp_path / "deep/folder/x", "wb") as handle:
        handle.write(b"\0")
        assert not (tmp_path / "deep/folder/x").exists()
    assert (tmp_path / "deep/folder/x").read_bytes() == b"\0"
