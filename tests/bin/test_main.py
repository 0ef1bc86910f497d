"""`k2d`: the list of commands, help that fits, and what a slip of the finger is told."""

import errno
import importlib
import os
import shlex
import subprocess
import sys

import pytest
import soundfile

from k2d import __version__
from k2d.atomic import atomic
from k2d.bin import main as console
from k2d.bin import parse
from k2d.errors import guarded
from k2d.options import CommandParser
from k2d.options import command as command_of

COMMANDS = sorted(console.commands())


def parser_of(command: str) -> CommandParser:
    return importlib.import_module(f"k2d.bin.{command}").parser()


def call(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        console.main(list(words))
    return ended.value.code


def test_the_list_has_every_command_once_under_what_people_want(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    console.main([])
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert sum(line.split()[:1] == [command] for line in shown.splitlines()) == 1, command
    assert all(len(line) <= 80 for line in shown.splitlines())
    titles = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[0] == "Use a model:" and "Other:" not in titles, "every command says where it stands (LISTED)"
    assert "exit status: 0 success; 1 " in shown
    for words in (["help"], ["--help"]):
        console.main(words)
        assert capsys.readouterr().out == shown


def test_who_reads_the_first_line_of_it_alone_sees_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    code = "from k2d.bin.main import main; main()"
    result = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, env=os.environ)
    os.close(writer)
    assert result.stderr == b""


def test_a_new_command_appears_by_itself(tmp_path, monkeypatch):
    (tmp_path / "fly.py").write_text('"""Fly over the data.\n\nMore."""\nLISTED = ("labels", 3.5)\n')
    (tmp_path / "odd.py").write_text('"""Nobody knows."""\n')
    monkeypatch.setattr(console, "COMMANDS", tmp_path)
    shown = console.usage()
    group = shown.index("Make, inspect and select labels:")
    assert group < shown.index("fly  Fly over the data.") < shown.index("Other:")
    assert shown.index("Other:") < shown.index("odd  Nobody knows.")


def test_the_list_is_there_at_once():
    """No command's module is imported for it, nor torch or numpy."""
    code = (
        "import sys; from k2d.bin.main import main; main([]); "
        "heavy = {'torch', 'numpy', 'k2d.bin.label'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert result.returncode == 0, result.stderr


def test_version_and_unknown_commands(capsys):
    console.main(["--version"])
    assert capsys.readouterr().out == f"k2d {__version__}\n"
    assert call("trancsribe") == 2
    assert capsys.readouterr().err == "k2d: no command 'trancsribe'; did you mean transcribe?\n"
    assert call("fly") == 2 and "lists them" in capsys.readouterr().err
    assert call("main") == 2, "the console itself is no command"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal_and_tells_of_every_option(command, capsys, monkeypatch):
    for columns in (60, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert call("help", command.replace("_", "-")) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"usage: k2d {command}") and "python -m" not in shown and "%%" not in shown
        breakable = [line for line in shown.splitlines() if " " in line.strip() and "{" not in line]
        assert all(len(line) < columns for line in breakable), shown
    parser = parser_of(command)
    assert isinstance(parser, CommandParser)
    for action in parser._actions:
        assert action.help, f"{command}: {action.dest} has no help"


def test_examples_can_be_copied_from_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    call("help", "select")
    example = capsys.readouterr().out.split("\n\n")[2].replace("\\\n", "")
    assert [shlex.split(line)[-1] for line in example.splitlines()] == [
        "0.4", "comp@0.2", "0.75", "comp <= 0.4 and dur >= 2", "min(comp_base, comp_small) <= 0.4",
    ]  # fmt: skip


def test_an_option_stays_with_its_value_and_a_list_is_no_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    call("help", "decode")
    assert "\\\n        --output_dir exp/student_comp/decode_test_in\n" in capsys.readouterr().out
    call("help", "clean")
    assert "\\" not in capsys.readouterr().out


def test_help_tells_defaults(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    call("help", "label")
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 is greedy (default 1)" in shown and "(default true)" in shown and "(default zh)" in shown
    assert "is a chunk by itself (default 30)" in shown and "(default -1)" in shown, "as a person writes them"
    assert "--max_chunk N " in shown and "--data DIR " in shown
    assert "(default none)" not in shown.lower() and "(default false)" not in shown


def test_hyphens_stand_for_underscores_and_a_misspelt_option_is_told_its_neighbour(capsys):
    words = ["--model", "base", "--data", "d"]
    assert parser_of("label").parse_args([*words, "--output-dir=a-b", "--max-chunk", "9"]).output_dir == "a-b"
    assert parse.problem(["label", *words, "--output-dir", "o", "--beam-size", "5"]) is None
    said = parse.problem(["label", *words, "--output_dir", "o", "--beem-size", "5"])
    assert said == "unrecognized arguments: --beem-size 5 (did you mean --beam_size?)"
    assert parse.problem(["lable", *words]) == "no command 'lable'; did you mean label?"
    said = parse.problem(["decode", *words, "--output_dir", "o", "--long_form", "true"])
    assert said == "unrecognized arguments: true; an option takes true or false only if its help shows [true|false]"
    said = parse.problem(["transcribe", "--word_timestamps", "talk.wav", "--model", "base"])
    assert said.endswith("'talk.wav' is neither true nor false; give one of them, or let another option follow")
    from k2d.distill.training import read_words

    assert read_words(["--output-dir", "x", "--train-shape-file=a"]).given["output_dir"] == "x"


def test_who_is_interrupted_says_no_traceback(monkeypatch):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr("k2d.bin.begin.main", interrupted)
    assert call("begin") == 130


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full (a.pt)"),
        (errno.EROFS, "a.pt: Read-only file system;"),
        (errno.EFBIG, "a.pt: a larger file than the disk, or ulimit -f, allows; name another place"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_whatever_is_raised_over_it(number, sentence, capsys):
    def work():
        try:
            raise OSError(number, os.strerror(number), "a.pt")
        finally:
            raise RuntimeError("unexpected position")  # as torch does, in closing a file that it could not write

    def fault():
        raise RuntimeError("a fault")

    assert guarded("train", work) == 1
    assert sentence in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a fault"):
        guarded("train", fault)


@pytest.mark.parametrize("place", ["file", "file/below", "dangling", "dangling/below", "/proc/x", "x" * 300 + "/y"])
def test_where_nothing_can_be_written_is_said(place, tmp_path, monkeypatch, capsys):
    """Also where being root does not help."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere/at/all")

    def parser() -> CommandParser:
        words = CommandParser("write", "Write.")
        words.add_argument("--output_dir")
        return words

    def write(args) -> int:
        with atomic(f"{args.output_dir}/a/b"):
            return 0

    assert command_of(parser, write)(["--output_dir", place]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"write: {place}") and said.endswith("; name another place\n")
    assert command_of(parser, write)(["--output_dir", "new"]) == 0


def test_a_name_that_leaves_no_room_for_those_beside_it_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talks").mkdir()
    soundfile.write(tmp_path / "talks/a.wav", [0.1, -0.1] * 16000, 16000)
    recordings = importlib.import_module("k2d.bin.recordings")
    with pytest.raises(SystemExit):
        recordings.main(["--recordings", "talks", "--output_dir", f"data/{'x' * 201}"])
    assert "--output_dir: a name of 201 bytes, expected at most 200" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["talks"]
    assert recordings.main(["--recordings", "talks", "--output_dir", f"data/{'x' * 200}"]) == 0
    words = ["score", "--ref", "a", "--hyp", "b", "--output_dir", "課" * 67]
    assert "a name of 201 bytes, expected at most 200" in parse.problem(words)
    assert "talks.work ends in .work, as names of" in parse.problem([*words[:-1], "exp/talks.work"])
    assert not parse.problem([*words[:-1], "exp/talks.works"])


def test_a_stage_says_where_nothing_can_be_written(tmp_path, monkeypatch, capsys):
    """Recordings, and what holds a stage, whose command lines are not `k2d.options.command`'s."""
    (tmp_path / "file").touch()
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks/a.wav").touch()
    place = str(tmp_path / "file/x")
    recordings = importlib.import_module("k2d.bin.recordings")
    assert recordings.main(["--recordings", str(tmp_path / "talks"), "--output_dir", place]) == 1
    assert "is not a folder; name another place" in capsys.readouterr().err
    train = importlib.import_module("k2d.bin.train")
    (tmp_path / "student.pt").touch()
    for words in (["--output_dir", place], [f"--output_dir={place}"], [f"--output-dir={place}"]):
        assert train.main([*words, "--student", str(tmp_path / "student.pt")]) == 1
        assert "is not a folder; name another place" in capsys.readouterr().err


def test_who_has_read_enough_of_the_output_is_no_fault():
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "k2d.bin.main", "plan", "--train_hours", "10"]
    ended = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_pipe_that_breaks_elsewhere_is_one(monkeypatch):
    def breaks(argv):
        raise BrokenPipeError(errno.EPIPE, "to a worker")

    monkeypatch.setattr(importlib.import_module("k2d.bin.plan"), "main", breaks)
    with pytest.raises(BrokenPipeError):
        console.main(["plan"])
