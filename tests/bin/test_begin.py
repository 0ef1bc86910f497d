"""`k2d begin`: many steps asked by one process."""

import io
import os

import pytest

from k2d.bin import begin, score
from k2d.bin.parse import commands_in
from k2d.errors import DataError, Locked
from k2d.work import lock


def test_words_come_as_they_are():
    class Pipe(io.BytesIO):
        def read1(self, size=-1):
            return super().read(3)  # words and letters come in parts

    commands = [["label", "--data", "data/資料 1"], ["decode"], ["score", "", "a\nb", "it's"]]
    text = "".join(f"{word}\0" for words in commands for word in (len(words), *words))
    assert list(commands_in(Pipe(text.encode()))) == commands


def test_each_is_answered_and_none_ends_the_others(tmp_path, capsys):
    text = tmp_path / "ref"
    text.write_text("a 你好 hello\n")
    words = ["score", "--ref", str(text), "--hyp", str(text), "--output_dir", str(tmp_path / "o")]
    assert begin.ask(words) == (3, "")
    assert begin.ask([*words, "--no_such_option"]) == (2, "")
    assert begin.ask(["no_command"]) == (1, "")
    assert begin.ask([*words[:2], "nowhere", *words[3:]]) == (1, "")
    errors = capsys.readouterr().err
    assert "unrecognized arguments: --no_such_option" in errors and "no command 'no_command'" in errors
    assert "nowhere" in errors and "Traceback" not in errors
    assert score.main(words[1:]) == 0
    assert begin.ask(words) == (0, f"score: {tmp_path / 'o'} is done; nothing to do")
    text.write_text("a 你好\n")
    assert begin.ask(words) == (3, ""), "nothing is remembered from one question to the next"


def test_a_fault_of_a_command_is_shown_and_is_no_answer_for_the_next(monkeypatch, capsys):
    def broken(words):
        raise RuntimeError("a fault")

    monkeypatch.setattr("k2d.bin.record.main", broken)
    assert begin.ask(["record"]) == (1, "")
    assert "RuntimeError: a fault" in capsys.readouterr().err


def test_what_a_run_holds_is_signed_with_what_was_typed_and_the_process_to_stop(tmp_path, monkeypatch):
    monkeypatch.setenv("K2D_COMMAND", "./run.sh\n--recordings\nmy lectures")
    monkeypatch.setenv("K2D_RUN", str(os.getppid()))
    (tmp_path / "made").mkdir()
    said = rf"made: in use by ./run.sh --recordings 'my lectures' \(process {os.getppid()} on "
    with lock.DirectoryLock(tmp_path / "made", shared=True), pytest.raises(Locked, match=said):
        lock.DirectoryLock(tmp_path / "made")


def test_what_a_run_goes_on_with_is_not_replaced_by_another(tmp_path):
    text = tmp_path / "ref"
    text.write_text("a 你好 hello\n")
    words = ["--ref", str(text), "--hyp", str(text), "--output_dir", str(tmp_path / "o")]
    with begin.Held() as held:
        with pytest.raises(DataError, match="not finished"):
            held.hold(str(tmp_path / "o"))
        assert score.main(words) == 0
        for _ in range(2):
            held.hold(str(tmp_path / "o"))
        assert begin.ask(["score", *words])[0] == 0, "the same work is no hindrance"
        text.write_text("a 你好\n")
        assert begin.ask(["score", *words])[0] == 1
    assert begin.ask(["score", *words])[0] == 3
