"""`k2d next`: the last lines of a run name what it has made."""

import json
import shlex
import shutil

import pytest

from k2d.bin import audit, transcribe
from k2d.bin import next as command
from k2d.tables import write_table
from k2d.work.models import ModelRecord, write_record


@pytest.fixture
def exp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, role, rates in (
        ("teacher", "teacher", (0.18, 0.10)), ("student_full", "student", (0.20, 0.12)),
        ("student_comp", "student", (0.15, 0.13)), ("student_new", "student", None),
    ):  # fmt: skip
        made = rates is not None
        folder = tmp_path / "exp" / name
        (folder / "average").mkdir(parents=True)
        write_record(folder, ModelRecord(name, role, f"exp/{name}/average", name, teacher="teacher"))
        if made:
            (folder / "average/config.json").write_text("{}")
            for test_set, rate in zip(("test_in", "test_out"), rates):
                score = folder / f"decode_{test_set}/score"
                score.mkdir(parents=True)
                (score / "result.json").write_text(json.dumps({"mer": {"rate": rate}}))
        else:
            (folder / "average").rmdir()
    return tmp_path / "exp"


def said(capsys, *words) -> dict[str, str]:
    assert command.main(["--test_sets", "test_in test_out", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[: line.index("  ", 2)].strip(): line[line.index("  ", 2) :].strip() for line in lines}


def test_the_best_student_and_a_command_that_uses_it(exp, capsys):
    shown = said(capsys)
    assert shown["best student"] == "student_comp: 15.0 % errors on test_in, 13.0 % errors on test_out"
    assert shown["its teacher"] == "teacher: 18.0 % errors on test_in, 10.0 % errors on test_out"
    words = shlex.split(shown["use it"])
    assert words[0].endswith("k2d") and words[1:3] == ["transcribe", "RECORDING"]
    assert transcribe.parser().parse_args(words[2:]).model == str(exp / "student_comp")
    assert set(shown) == {"best student", "its teacher", "use it"}, "what is not there is not named"

    recording = exp.parent / "a b.wav"
    recording.write_bytes(b"RIFF")
    (exp.parent / "data/test_in").mkdir(parents=True)
    (exp.parent / "data/test_in/wav.scp").write_text(f"a {recording}\n")
    for page in ("report/index.html", "lectures_teacher/explorer_base/explorer.html", "student_comp/publish/README.md"):
        (exp / page).parent.mkdir(parents=True)
        (exp / page).write_text("")
    shown = said(capsys, "--models", "teacher student_comp student_full")
    assert shlex.split(shown["use it"])[2] == str(recording)
    assert shown["report"] == (exp / "report/index.html").as_uri() and shown["card"].endswith("publish/README.md")
    assert shown["labels"].endswith("explorer.html")


def test_the_best_student_is_of_those_scored_on_most_sets_as_in_the_report(exp, capsys):
    for number in (0, 1):
        folder = exp / f"student_new_seed{number}"
        record = ModelRecord(folder.name, "student", f"exp/{folder.name}", "new", teacher="teacher", seed=number)
        write_record(folder, record)
        score = folder / "decode_test_in/score"
        score.mkdir(parents=True)
        (score / "result.json").write_text(json.dumps({"mer": {"rate": 0.02 - 0.01 * number}}))
    assert said(capsys)["best student"].startswith("student_comp: ")
    assert said(capsys, "--test_sets", "test_in")["best student"].startswith("student_new_seed1: ")


def test_students_and_pages_of_earlier_runs_come_after_those_of_this_one(exp, capsys):
    for page in ("a_small/explorer_base/explorer.html", "b_small/explorer_base/explorer.html"):
        (exp / page).parent.mkdir(parents=True)
        (exp / page).write_text("")
    shown = said(capsys, "--models", "teacher student_full student_comp", "--earlier", "student_comp", "--explorers",
                 "exp/b_small/explorer_base")  # fmt: skip
    assert list(shown) == ["student", "its teacher", "use it", "earlier student", "labels"]
    assert shown["student"] == "student_full: 20.0 % errors on test_in, 12.0 % errors on test_out"
    assert shown["earlier student"] == "student_comp: 15.0 % errors on test_in, 13.0 % errors on test_out"
    assert shown["use it"].endswith("student_full") and "b_small" in shown["labels"]
    only = said(capsys, "--models", "teacher student_full student_comp", "--earlier", "student_full student_comp")
    assert list(only)[:3] == ["earlier student", "its teacher", "use it"] and "student" not in only


def test_without_test_sets_all_students_are_named(exp, tmp_path, capsys):
    shown = said(capsys, "--models", "teacher student_full student_comp", "--test_sets", "another")
    assert shown["students"].startswith("student_full, student_comp: no error rate is known")


def test_a_student_that_nothing_was_measured_of(exp, capsys):
    assert command.main(["--models", "student_comp"]) == 0
    assert "  student  student_comp\n" in capsys.readouterr().out


def test_where_nothing_was_made(tmp_path, capsys):
    assert command.main(["--exp", str(tmp_path / "no")]) == 1
    assert "nothing has been made there yet" in capsys.readouterr().err
    write_table(tmp_path / "data/lectures_teacher_held_out/text", {"u": "今天"})
    misspelt = ["--exp", str(tmp_path / "no"), "--data", str(tmp_path / "data")]
    assert command.main(misspelt) == 1, "no audit without its scores"


def test_without_a_test_set_it_says_how_to_make_one(exp, capsys):
    others = "data/lectures_another_held_out/text"  # of labels that another run made
    for path in (others, "data/lectures_teacher_held_out/text", "exp/lectures_teacher/base/utt2comp"):
        (exp.parent / path).parent.mkdir(parents=True)
        (exp.parent / path).write_text("")
    assert "a test set" not in said(capsys)

    def proposed():
        """It can be typed anywhere."""
        ours = ("--held_out", "data/lectures_teacher_held_out")
        there, _, what = said(capsys, "--test_sets", "", *ours)["a test set"].partition(" && ")
        assert shlex.split(there) == ["cd", str(exp.parent)]
        words = shlex.split(what)
        assert words[1] == "audit"
        return audit.parser().parse_args(words[2:])

    args = proposed()
    assert str(args.data) == "data/lectures_teacher_held_out"
    assert args.scores == ["exp/lectures_teacher/base"] and str(args.output_dir) == "data/audited"
    whole = exp.parent / "data/lectures_teacher/text"
    whole.parent.mkdir()
    write_table(whole, {f"u{i:02}": "今天" for i in range(50)})
    assert str(proposed().data) == "data/lectures_teacher", "one chunk that was held out tells nothing"
    write_table(exp.parent / "data/lectures_teacher_held_out/text", {f"u{i:02}": "今天" for i in range(20)})
    assert str(proposed().data) == "data/lectures_teacher_held_out" and proposed().count is None
    (exp.parent / "data/audited").mkdir()
    (exp.parent / "data/audited/audit.json").write_text('{"data": "data/lectures_teacher"}')
    (exp.parent / "data/audited/text").write_text("a 好\n")
    assert said(capsys, "--test_sets", "")["error rates"].endswith("--test_sets audited")
    for student in ("student_full", "student_comp"):
        (exp / student / "data").mkdir(parents=True)
        (exp / student / "data/step.json").write_text('{"arguments": {"valid_data": "data/audited"}}')
    assert said(capsys, "--test_sets", "")["error rates"].endswith("--test_sets audited in place of --dev_set audited")
    args = proposed()
    assert (args.data, str(args.output_dir)) == (None, "data/audited"), "goes on with what was drawn"
    for name, source in (("another", "lectures_another"), ("mine", "lectures_teacher_held_out")):
        (exp.parent / "data" / name).mkdir()
        (exp.parent / "data" / name / "audit.json").write_text(json.dumps({"data": f"data/{source}"}))
        (exp.parent / "data" / name / "text").write_text("a 好\n")
    held_out = ("--held_out", "data/lectures_teacher_held_out")
    assert said(capsys, "--test_sets", "", *held_out)["error rates"].endswith("--test_sets mine"), "it chose no epoch"
    shutil.rmtree(exp.parent / "data/audited")
    args = proposed()
    assert (args.data, str(args.output_dir)) == (None, "data/mine"), "whatever it is called"
