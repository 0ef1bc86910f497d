"""What is said of models where nobody has transcribed anything."""

import json

import pytest

from k2d.bin import record, report
from k2d.score.agreement import switches
from k2d.tables import write_table

LABELS = {"a": "今天 我們 用 model 來 train", "b": "好 的"}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """exp/ of a teacher that is an ESPnet model, so that nothing is loaded, and a student that differs in one unit."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "held/text", LABELS)
    write_table(tmp_path / "held/text.validator", {"a": "今天 我們 用 modal 來 train", "b": "好"})
    for name, role, said in (
        ("teacher", "teacher", LABELS),
        ("student_full", "student", {"a": "<|0.00|>今天 我們 用 modal 來 train<|2.00|>", "b": "好的" * 30}),
    ):
        words = ["--output_dir", f"exp/{name}", "--role", role, "--path", "espnet:none"]
        words += ["--selection", "full", "--teacher", "teacher"] if role == "student" else []
        assert record.main(words) == 0
        write_table(tmp_path / f"exp/{name}/decode_held_out/text", said)
    return tmp_path


def run(*options) -> int:
    return report.main(["--models", "teacher student_full", "--output_dir", "exp/report", *options])


def rows(text: str) -> dict[str, list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for line in lines for cells in [[c.strip() for c in line.strip("|").split("|")]]}


def test_agreement_takes_the_place_of_error_rates(measured, capsys):
    assert run("--held_out", "held", "--results", "RESULTS.md") == 0
    assert "No error rate is known" in capsys.readouterr().out
    text = (measured / "RESULTS.md").read_text()
    assert "No error rate is known" in text and "## Error rates" not in text
    assert "Only 2 chunks are held out, too few to compare models by" in text
    assert "below its teacher: **not measured**. No error rate is known: nobody has transcribed a test set. k2d" in text
    found = rows(text)
    head = found["model"]
    labels, said, teacher, student = (
        dict(zip(head, found[name], strict=True))
        for name in ("labels", "validator's transcripts", "teacher", "student_full")
    )
    assert labels["switches"] == teacher["switches"] == "3" and labels["loops"] == "0"
    assert teacher["differs from labels"].startswith("0.00")
    # Ten units in the labels: one substituted, 58 inserted.
    assert student["differs from labels"].startswith("590.00") and student["en"] == "50.00"
    assert student["from the validator"].startswith("655.56") and student["loops"] == "1"
    assert said["differs from labels"] == "–" and said["empty"] == "0"
    shown = (measured / "exp/report/table.txt").read_text()
    assert shown.startswith("Agreement on held-out recordings (differences in % of the units, with 95 % intervals)\n")
    assert "Agreement on held-out" in (measured / "exp/report/index.html").read_text()
    made = json.loads((measured / "exp/report/step.json").read_text())["key"]
    write_table(measured / "exp/student_full/decode_held_out/text", LABELS)
    assert run("--held_out", "held") == 0
    assert json.loads((measured / "exp/report/step.json").read_text())["key"] != made


def test_one_of_references_and_agreement_is_reported(measured, capsys):
    assert run() == 1 and run("--held_out", "held", "--test_sets", "test") == 1
    assert capsys.readouterr().err.count("give one of --test_sets and --held_out") == 2


def test_switches_pass_over_numbers():
    assert [switches(text) for text in ("", "好", "好 one 2 two 好", "one 3 好 two")] == [0, 0, 2, 2]
