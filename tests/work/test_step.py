"""A step: done means that the same content was asked for and the outputs are there; nothing finished is deleted."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from k2d.bin import clean
from k2d.errors import DataError, Locked, UsageError, guarded
from k2d.work import identity
from k2d.work.lock import DirectoryLock
from k2d.work.step import NOTHING_TO_DO, SOMETHING_TO_DO, Step, only_looking, run_step


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("in.txt").write_text("input\n")
    Path("exp").mkdir()


def step(number: int = 1, out: str = "exp/made") -> Step:
    return Step("make", out, inputs={"in": identity.of_file("in.txt")}, options={"number": number})


def make(number: int = 1, out: str = "exp/made", begin: bool = False, work=None) -> int:
    def write():
        Path(out, "result").write_text(f"{number} {Path('in.txt').read_text()}")

    return run_step(step(number, out), begin, work or write)


def result(out: str = "exp/made") -> str:
    return Path(out, "result").read_text()


def test_what_is_done_is_not_done_again():
    assert make(begin=True) == SOMETHING_TO_DO
    assert make() == 0
    made = os.stat("exp/made/result").st_mtime_ns
    assert make(begin=True) == NOTHING_TO_DO
    assert make(work=lambda: pytest.fail("done again")) == 0
    assert os.stat("exp/made/result").st_mtime_ns == made


def test_a_touched_input_is_the_same_and_a_changed_one_is_not():
    make()
    os.utime("in.txt")
    assert make(begin=True) == NOTHING_TO_DO
    Path("in.txt").write_text("output\n")
    assert make(begin=True) == SOMETHING_TO_DO


def test_work_of_other_options_is_moved_aside_whole_and_comes_back():
    make(1)
    record = Path("exp/made/step.json").read_bytes()
    make(2)
    assert result() == "2 input\n"
    assert make(1, work=lambda: pytest.fail("made again")) == 0
    assert (result(), Path("exp/made/step.json").read_bytes()) == ("1 input\n", record)
    assert make(2, begin=True) == NOTHING_TO_DO


def test_what_is_read_is_not_moved_aside():
    make(1)
    with pytest.raises(UsageError, match=r"^exp/made: is read here and cannot be written as well"):
        Step("make", "exp/made", inputs={"in": identity.of_file("exp/made/result")}, options={}).enter()
    assert result() == "1 input\n"


@pytest.mark.parametrize("finished", [True, False])
def test_the_work_of_another_command_stays_where_it_is(finished):
    if finished:
        make(1)
    else:
        with pytest.raises(KeyError):
            make(1, work=lambda: {}["stopped"])
    before = sorted(os.listdir("exp/made"))
    with pytest.raises(UsageError, match=r"^exp/made: holds what make made; give another --output_dir, or move"):
        run_step(Step("other", "exp/made", inputs={}, options={}), False, lambda: pytest.fail("made"))
    assert sorted(os.listdir("exp/made")) == before != [] and not Path("exp/.k2d/made").exists()


def test_why_work_is_moved_aside_is_said(capsys):
    make(1)
    make(2)
    assert "exp/made was made with other options (number): moved to " in capsys.readouterr().err
    Path("in.txt").write_text("output\n")
    make(2)
    assert "exp/made was made from another version of in.txt: moved to " in capsys.readouterr().err


def test_a_folder_given_for_a_file_is_told_the_file_in_it():
    Path("exp/text").write_text("a b\n")
    with pytest.raises(DataError, match=r"^exp: a folder; expected a file, such as exp/text$"):
        identity.of_file("exp")


def test_of_a_folder_that_has_changed_its_files_are_not_said(capsys):
    def of_folder() -> int:
        inputs = {path: identity.Identity(path, Path("in.txt").read_text()) for path in ("data", "data/text", "datum")}
        made = Step("make", "exp/made", inputs=inputs, options={})
        return run_step(made, False, lambda: None)

    of_folder()
    Path("in.txt").write_text("output\n")
    of_folder()
    assert "exp/made was made from another version of data, datum: moved to " in capsys.readouterr().err
    run_step(Step("make", "exp/made", inputs={}, options={}), False, lambda: None)
    assert "exp/made was made from data, datum as well: moved to " in capsys.readouterr().err


def test_an_input_that_is_given_now_and_was_not_is_no_other_version_of_it(capsys):
    def from_files(*paths: str) -> None:
        made = Step("make", "exp/made", inputs={path: identity.of_file(path) for path in paths}, options={})
        run_step(made, False, lambda: None)

    Path("more.txt").write_text("more\n")
    from_files("in.txt")
    from_files("in.txt", "more.txt")
    assert "exp/made was made without more.txt: moved to " in capsys.readouterr().err


def test_half_done_work_comes_back_too_and_items_stay_where_they_are():
    def half():
        Path("exp/made/work/items").mkdir(parents=True)
        Path("exp/made/work/items/one").write_text("1")
        Path("exp/made/half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(1, work=half)
    make(2)
    assert Path("exp/made/work/items/one").read_text() == "1"
    assert not Path("exp/made/half").exists()
    assert make(1, begin=True) == SOMETHING_TO_DO
    assert Path("exp/made/half").read_text() == "half"
    assert Path("exp/made/work/items/one").read_text() == "1"


def test_a_record_is_believed_only_while_its_outputs_are_there(capsys):
    make()
    Path("exp/made/result").unlink()
    assert make(begin=True) == SOMETHING_TO_DO
    assert "result" in capsys.readouterr().err
    make()
    Path("exp/made/result").write_text("corrected by hand")
    assert make() == 0
    assert result() == "1 input\n"
    (kept,) = Path("exp/.k2d/made").glob("changed.*/result")
    assert kept.read_text() == "corrected by hand", "it is no run's to delete"
    assert clean.main(["exp"]) == 0 and "exp/made: changed by hand" in capsys.readouterr().out


def test_hidden_files_copies_of_editors_and_logs_are_no_outputs():
    for name in (".result.swp", "log/make.log", "result~", "#result#"):
        Path("exp/made", name).parent.mkdir(parents=True, exist_ok=True)
        Path("exp/made", name).write_text("x")
    make()
    assert make(begin=True) == NOTHING_TO_DO
    assert json.loads(Path("exp/made/step.json").read_text())["outputs"] == {"result": len("1 input\n")}


@pytest.mark.parametrize("content", ["", '{"key": "', "\0" * 20, "[]"])
def test_a_damaged_record_is_named_and_what_is_in_work_stays(content):
    """As a disk leaves it that lost what it had promised to hold."""
    make()
    Path("exp/made/step.json").write_text(content)
    Path("exp/made/work").mkdir()
    Path("exp/made/work/journal").write_text("x")
    with pytest.raises(DataError, match=r"exp/made/step\.json: damaged, .* move it and all else but work/ away"):
        make()
    for name in ("step.json", "result"):
        Path("exp/made", name).unlink()
    make()
    assert Path("exp/made/work/journal").read_text() == "x"


def test_files_that_nobody_explains_are_not_mixed_with_outputs():
    Path("exp/made").mkdir()
    Path("exp/made/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        make()
    assert Path("exp/made/mine.txt").read_text() == "mine"


def test_a_second_owner_is_told_who_holds_it_and_since_when():
    with step() as held:
        assert not held.done
        with pytest.raises(Locked, match=r"process \d+ on .*, since \d{4}-"):
            make()
        with pytest.raises(Locked):
            make(2)


def test_of_a_long_command_what_it_writes_is_shown(monkeypatch):
    words = ["/venv/bin/k2d", "train", "--student", "exp/student/init" * 9, "--output_dir", "exp/student/train"]
    monkeypatch.setattr(sys, "argv", words)
    with step(), pytest.raises(Locked, match=r"in use by k2d train --output_dir exp/student/train --.*\.\.\. \("):
        make()


def test_of_those_who_share_it_one_that_still_runs_is_named():
    with DirectoryLock(Path("exp/made"), shared=True):
        if (child := os.fork()) == 0:
            DirectoryLock(Path("exp/made"), shared=True)
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(Locked, match=rf"\(process {os.getpid()} "):
            DirectoryLock(Path("exp/made"))


def test_what_may_only_be_read_is_read(monkeypatch, as_nobody):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.chdir(place)
        Path(place).chmod(0o755)
        Path("in.txt").write_text("input\n")
        for name in ("made", "locked"):
            make(1, out=f"theirs/{name}")
        Path("theirs/.k2d/made.lock").unlink()
        Path("theirs/.k2d").chmod(0o555)
        Path("mine").mkdir()
        lock = DirectoryLock(Path("theirs/locked"))
        with as_nobody(Path("mine")):
            assert make(1, out="theirs/made", work=lambda: pytest.fail("made again")) == 0
            made = identity.of_step("theirs/made")
            with Step("read", "mine/reader", inputs={"made": made}, options={}) as reader:
                assert not reader.done
            with pytest.raises(PermissionError):
                make(2, out="theirs/made")
            with pytest.raises(Locked):
                make(1, out="theirs/locked")
        lock.release()


def test_an_input_that_is_read_is_not_moved_aside():
    make(1)
    reader = Step("read", "exp/reader", inputs={"made": identity.of_step("exp/made")}, options={})
    with reader:
        with pytest.raises(Locked):
            make(2)
        assert make(1, begin=True) == NOTHING_TO_DO  # to look is allowed
    make(2)


def test_an_input_that_another_run_has_replaced_while_it_was_read_is_not_taken_for_the_old_one():
    make(1)
    read = identity.of_file("exp/made/result")
    make(2)
    reader = Step("read", "exp/reader", inputs={"made": read}, options={})
    with pytest.raises(Locked, match="another run has put other work there"), reader:
        pytest.fail("worked with an input that it does not know")


def test_an_input_that_is_not_finished_is_not_read():
    def killed():
        Path("exp/made/result").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(1, work=killed)
    reader = Step("read", "exp/reader", inputs={"made": identity.of_file("exp/made/result")}, options={})
    with pytest.raises(DataError, match="exp/made: not finished"), reader:
        pytest.fail("half of it was read")


def test_audio_in_another_steps_directory_is_held_too():
    make(1)
    Path("data").mkdir()
    Path("data/wav.scp").write_text("a exp/made/result\n")
    with Step("train", "exp/reader", inputs={"data": identity.of_data("data")}, options={}), pytest.raises(Locked):
        make(2)
    make(2)


def test_looking_says_what_has_changed_and_touches_nothing(capsys):
    make(1)
    with only_looking():
        assert make(1) == SOMETHING_TO_DO, "so that nobody goes on with it"
        assert capsys.readouterr().out == ""
        assert make(2) == SOMETHING_TO_DO
        assert capsys.readouterr().out == "exp/made was made with other options (number)\n"
        Path("in.txt").write_text("other\n")
        assert make(1) == SOMETHING_TO_DO
    assert capsys.readouterr().out == "exp/made was made from another version of in.txt\n"
    with only_looking():
        of_nothing = Step("make", "exp/made", inputs={}, options={"number": 1})
        assert run_step(of_nothing, False, None) == SOMETHING_TO_DO
    assert capsys.readouterr().out == "exp/made was made from in.txt as well\n"
    assert result() == "1 input\n"


def test_jobs_share_a_directory_and_others_wait_until_they_have_ended():
    one, two = step(), step()
    one.enter(shared=True)
    two.enter(shared=True)
    with pytest.raises(Locked):
        make(2)
    with pytest.raises(Locked):
        make(1)
    with pytest.raises(Locked):
        step(2).enter(shared=True)
    one.release()
    two.release()
    assert make(1) == 0


def test_leftovers_of_killed_runs_go():
    Path("exp/made").mkdir()
    Path("exp/made/.result.x.tmp").write_text("half")
    make()
    assert not Path("exp/made/.result.x.tmp").exists()


KILLED = """
import sys
from pathlib import Path
from k2d.work import identity
from k2d.work.step import Step, run_step
number = int(sys.argv[1])
step = Step("make", "exp/made", inputs={"in": identity.of_file("in.txt")}, options={"number": number})
def work():
    for i in range(300):
        Path("exp/made/result").write_text(f"{number} part {i}")
    Path("exp/made/result").write_text(f"{number} input\\n")
run_step(step, False, work)
"""


def test_killed_at_any_instant_the_next_run_ends_as_if_nothing_had_been(monkeypatch):
    environment = {**os.environ, "PYTHONPATH": str(Path(clean.__file__).parents[2])}
    for turn in range(12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(turn % 2 + 1)], env=environment)
        time.sleep(0.15 + 0.02 * turn)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for number in (1, 2, 1):
        assert make(number) == 0
        assert result() == f"{number} input\n"


@pytest.mark.parametrize("linked", [False, True], ids=["", "on a larger disk"])
@pytest.mark.parametrize("killed_after", range(1, 4))
def test_killed_between_two_renames_nothing_is_lost(killed_after, linked, monkeypatch):
    if linked:
        Path("disk/made").mkdir(parents=True)
        Path("exp/made").symlink_to("../disk/made")

    def work():
        Path("exp/made/work").mkdir(exist_ok=True)
        Path("exp/made/work/item").write_text("item")
        Path("exp/made/result").write_text("1 input\n")

    make(1, work=work)
    rename, calls = os.rename, []

    def dies(*names):
        rename(*names)
        calls.append(names)
        if len(calls) >= killed_after:
            raise KeyboardInterrupt

    monkeypatch.setattr("k2d.work.step.os.rename", dies)
    with pytest.raises(KeyboardInterrupt):
        make(2)
    monkeypatch.setattr("k2d.work.step.os.rename", rename)
    make(2)
    assert Path("exp/made").is_symlink() == linked and result() == "2 input\n"
    assert Path("exp/made/work/item").read_text() == "item"
    assert make(1, work=lambda: pytest.fail("made again")) == 0
    assert result() == "1 input\n"


def test_clean_lists_what_lies_aside_and_frees_it_when_told(capsys):
    make(1)
    make(2)
    assert clean.main(["exp"]) == 0
    said = capsys.readouterr().out
    assert "finished, of other options or data  (" in said and "in 1 place; --free removes this" in said
    assert clean.main(["exp", "--free"]) == 0
    capsys.readouterr()
    assert clean.main(["exp"]) == 0 and capsys.readouterr().out == "clean: nothing to remove\n"
    assert make(1, begin=True) == SOMETHING_TO_DO
    capsys.readouterr()


def test_a_directory_that_is_a_link_to_a_larger_disk_stays_one(capsys):
    Path("disk/made").mkdir(parents=True)
    Path("exp/made").symlink_to("../disk/made")
    make(1)
    make(2)
    assert make(1, work=lambda: pytest.fail("made again")) == 0
    assert Path("exp/made").is_symlink() and result() == "1 input\n"
    assert clean.main(["exp", "--free"]) == 0
    assert "exp/made: finished, of other options or data  (" in capsys.readouterr().out
    assert make(1, begin=True) == NOTHING_TO_DO and make(2, begin=True) == SOMETHING_TO_DO


@pytest.mark.parametrize("link", ["exp/made", "exp/sub", "exp/.k2d"])
def test_on_a_disk_that_is_not_mounted_nothing_is_made(link):
    os.symlink("../disk/made", link)
    with pytest.raises(UsageError, match=rf"{link} links to .*/disk/made, which is not there; is its disk mounted"):
        make(1, out="exp/sub/made" if link == "exp/sub" else "exp/made")
    assert not Path("disk").exists() and os.listdir("exp") == [Path(link).name]


def test_what_lay_aside_before_its_directory_became_a_link_is_not_made_again():
    make(1)
    make(2)
    Path("disk").mkdir()
    os.rename("exp/made", "disk/made")
    Path("exp/made").symlink_to("../disk/made")
    with pytest.raises(UsageError, match=r"mkdir -p .* && mv ") as refused:
        make(1, work=lambda: pytest.fail("made again"))
    assert result() == "2 input\n"
    os.system(re.search("mkdir -p .* && mv [^,]*", str(refused.value))[0])
    assert make(1, work=lambda: pytest.fail("made again")) == 0
    assert result() == "1 input\n"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs another disk than the temporary files'")
def test_what_cannot_be_moved_by_a_rename_stays_where_it_is():
    make(1)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        os.rename("exp/.k2d", "locks")
        Path("exp/.k2d").symlink_to(other)
        with pytest.raises(UsageError, match="on another disk"):
            make(2)
        assert result() == "1 input\n" and make(1, begin=True) == NOTHING_TO_DO


def test_what_was_being_freed_when_it_was_killed_never_comes_back(monkeypatch, capsys):
    make(1)
    make(2)

    def dies(folder, onexc):
        make(2, work=lambda: pytest.fail("made again"))  # nobody waits for what is being removed
        (folder / "step.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("k2d.bin.clean.shutil.rmtree", dies)
        assert clean.main(["exp", "--free"]) == 130
    make(1)
    assert Path("exp/made/result").exists() and clean.main(["exp"]) == 0
    assert "partly removed" in capsys.readouterr().out
    assert clean.main(["exp", "--free"]) == 0
    assert clean.main(["exp"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_clean_keeps_what_is_in_use_and_items_that_are_on_their_way(capsys):
    make(1)
    make(2)
    make(1, out="exp/more")
    make(2, out="exp/more")
    Path("exp/.k2d/made.work/items").mkdir(parents=True)  # killed between two renames
    with step(2):
        assert clean.main(["exp", "--free"]) == 1
    assert "kept: exp/made: in use by" in capsys.readouterr().err
    assert not list(Path("exp/.k2d/more").iterdir())
    assert clean.main(["exp", "--free"]) == 0
    assert Path("exp/.k2d/made.work/items").exists()
    assert make(2, begin=True) == NOTHING_TO_DO


def test_the_lock_is_not_inside_what_may_be_moved():
    with DirectoryLock(Path("exp/made")) as lock:
        assert lock.path == Path("exp/.k2d/made.lock").absolute()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "file above"])
def test_what_lies_where_a_lock_is_to_be_is_named_and_stays(kind, capsys):
    place = Path("exp/.k2d") if kind == "file above" else Path("exp/.k2d/made.lock")
    place.parent.mkdir(exist_ok=True)
    Path("other").write_text("mine")
    plant = {"link": partial(os.symlink, Path("other").absolute()), "fifo": os.mkfifo, "folder": os.mkdir}
    plant.get(kind, Path.touch)(place)
    assert guarded("made", make) == 1
    assert f"{place.absolute()}: no " in (said := capsys.readouterr().err) and said.endswith("; move it away\n")
    assert Path("other").read_text() == "mine" and not Path("exp/made").exists()


def test_a_hash_that_is_remembered_follows_the_file(tmp_path):
    big = tmp_path / "big.bin"
    big.write_bytes(b"a" * (identity.LARGE + 1))
    first = identity.file_digest(big)
    assert identity.file_digest(big) == first
    times = os.stat(big)
    other = tmp_path / "other.bin"
    other.write_bytes(b"b" * (identity.LARGE + 1))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(other, big)  # the same size and time
    assert identity.file_digest(big) != first


def test_a_data_directory_is_its_tables_and_the_stamps_of_its_audio():
    Path("data").mkdir()
    Path("a.wav").write_bytes(b"sound")
    Path("data/wav.scp").write_text("a a.wav\n")
    Path("data/text").write_text("a hello\n")
    before = identity.of_data("data"), identity.of_data("data", "wav.scp")
    Path("data/.text.swp").write_text("editor")
    Path("data/notes").write_text("x")
    for copy in ("text.bak", "utt2spk~"):
        Path("data", copy).write_text("as it was")
    assert identity.of_data("data") == before[0]
    Path("data/text").write_text("a hullo\n")
    assert (identity.of_data("data") != before[0], identity.of_data("data", "wav.scp") == before[1]) == (True, True)
    Path("a.wav").write_bytes(b"other")
    assert identity.of_data("data", "wav.scp") != before[1]


def test_a_child_that_outlives_its_parent_holds_no_lock():
    """As a loader's worker does after its training was killed."""
    reader, writer = os.pipe()
    if (parent := os.fork()) == 0:
        lock = DirectoryLock(Path("exp/made"))  # noqa: F841 - held until the process ends
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())  # here, when it has let go of what its parent held
            time.sleep(30)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    child = int(os.read(reader, 20))
    try:
        DirectoryLock(Path("exp/made")).release()
    finally:
        os.kill(child, signal.SIGKILL)
