"""RESULTS.md of a small directory of experiments: real scoring, real (tiny, untrained) checkpoints."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from k2d.atomic import atomic
from k2d.bin.report import main, written_by_us
from k2d.bin.score import main as score
from k2d.datadir import Segment, write_segments
from k2d.explore.page import prose
from k2d.score.curves import curves_in
from k2d.tables import read_table, write_numbers, write_table
from k2d.text.tokenizer import WhisperTokenizer
from k2d.whisper import checkpoint
from k2d.whisper.identity import model_identity
from k2d.whisper.model import ModelDimensions, Whisper
from k2d.work import machine
from k2d.work.models import ModelRecord, write_record
from k2d.work.step import only_looking

ROOT = Path(__file__).resolve().parents[2]
SETS = ("test_in", "test_in_long")
REFERENCE = {f"u{i}": "今天 我们 讲 attention 和 model" for i in range(8)}
WORSE = {f"u{i}": "今天 我们 讲 tension 和 mode" for i in range(8)}
BETTER = {f"u{i}": "今天 我们 讲 attention 和 mode" if i % 2 else REFERENCE["u0"] for i in range(8)}
LOG = """
[host] (trainer:372) INFO: 1epoch results: [train] iter_time=1.2e-04, loss=3.210, loss_ce=2.000, acc=0.410, \
optim0_lr0=1.000e-04, train_time=0.5, time=1 minute and 2.1 seconds, total_count=20, [valid] loss=2.500, \
loss_ce=1.500, acc=0.500, time=3.1 seconds, total_count=2, [att_plot] time=0 seconds
[host] (trainer:372) INFO: 2epoch results: [train] loss=2.110, loss_ce=1.000, acc=0.610, total_count=40, \
[valid] loss=1.900, loss_ce=1.100, acc=0.600, total_count=4
"""


RECORDS = {
    "teacher": ModelRecord("teacher", "teacher", "models/teacher"),
    "student_full": ModelRecord(
        "student_full", "student", "models/student_full", "full", teacher="teacher", seed=0, data="data/full"
    ),
    "student_comp": ModelRecord(
        "student_comp", "student", "models/student_comp", "comp", 0.4, "teacher", "validator", 0, "data/comp"
    ),
}


def save_model(folder: Path, decoder_layers: int) -> None:
    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 8, 1, 1, 51865, 448, 8, 1, decoder_layers)
    checkpoint.save(folder, Whisper(dims), WhisperTokenizer(51865))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """exp/, models/ and data/ as the stages leave them."""
    root = tmp_path_factory.mktemp("report")
    for name, layers in (("teacher", 4), ("student_full", 1), ("student_comp", 1)):
        save_model(root / "models" / name, layers)
        for test_set in SETS:
            decode = root / "exp" / name / f"decode_{test_set}"
            write_table(decode / "text", BETTER if name == "student_comp" else WORSE)
            write_table(root / "ref", REFERENCE)
            arguments = ["--ref", root / "ref", "--hyp", decode / "text", "--output_dir", decode / "score"]
            if (name, test_set) != ("student_full", "test_in_long"):  # one that has not been run
                assert score(list(map(str, arguments))) == 0
        write_record(root / "exp" / name, RECORDS[name])
    training = root / "exp/student_comp/train/log/train.log"
    training.parent.mkdir(parents=True)
    training.write_text(LOG)
    speed = {
        name: {
            "checkpoint": f"models/{name}",
            "model": model_identity(root / "models" / name).digest,
            "parameters": parameters,
            "encode_seconds": 2.0,
            "decode_seconds": seconds,
            "tokens": 100,
            "decode_seconds_per_token": seconds / 100,
            "real_time_factor": (2 + seconds) / 60,
            "speed": 6 / (2 + seconds),
            "decoder_speed": 4 / seconds,
            "round_seconds": [2 + seconds - wait, 2 + seconds, 2 + seconds + wait],
        }
        for name, parameters, seconds, wait in (("teacher", 1000, 4.0, 0.1), ("student_comp", 400, 2.0, 0.2))
    }
    facts = {"rounds": 3, "utterances": 8, "audio_seconds": 60, "engine": "torch", "dtype": "float32",
             "device": "cpu", "threads": 2, "batch_size": 8, "beam_size": 1, "models": speed}  # fmt: skip
    (root / "exp/speed").mkdir()
    (root / "exp/speed/speed.json").write_text(json.dumps(facts))

    # Three labelled chunks of one recording: right, invented, one word wrong. comp drops the invented one.
    labels = {
        "rec-0000000-0001000": "<|0.00|>今天 讲 attention<|10.00|>",
        "rec-0001000-0002000": "<|0.00|>谢谢 大家 收看 再见<|10.00|>",
        "rec-0002000-0003000": "<|0.00|>model 的 decode<|10.00|>",
    }
    kept = [i for i in labels if "0001000-" not in i]
    for name, ids in (("all", list(labels)), ("full", list(labels)), ("comp", kept)):
        write_table(root / "data" / name / "wav.scp", dict.fromkeys(ids, "x.ark:1"))
        write_table(root / "data" / name / "text", {i: labels[i] for i in ids})
        write_numbers(root / "data" / name / "utt2dur", dict.fromkeys(ids, 10.0))
    said = {
        "s1": ("今天讲 attention", 0.5, 9.5),
        "s2": ("model 的 decoder", 20.2, 30.3),
        "s3": ("好", 45.0, 46.0),
    }
    write_table(root / "reference/text", {i: text for i, (text, _, _) in said.items()})
    write_segments(root / "reference/segments", [Segment(i, "rec", a, b) for i, (_, a, b) in said.items()])
    stretches = {"rec": [[1000, 2000, "music"], [4000, 4400, "noise"]], "not labelled": [[0, 500, "music"]]}
    for name, interruptions in stretches.items():
        with atomic(root / f"reference/recordings/{name}.json") as out:
            json.dump({"recording": name, "interruptions": interruptions}, out)
    write_numbers(root / "aux/utt2comp", dict(zip(labels, (0.0, 0.9, 0.3), strict=True)))
    return root


def report(folder: Path, monkeypatch, *more: str) -> int:
    monkeypatch.chdir(folder)
    arguments = ["--exp", "exp", "--models", " ".join(RECORDS), "--test_sets", " ".join(SETS)]
    return main([*arguments, "--output_dir", "exp/report", "--results", "RESULTS.md", *more])


def rows(text: str, title: str) -> list[list[str]]:
    part = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in part.splitlines() if line[:1] == "|"]


def test_everything_measured_is_in_the_tables(folder, monkeypatch, capsys):
    options = ["--train_data", "data/all"]
    options += ["--reference", "reference", "--scores", "validator:aux"]
    assert report(folder, monkeypatch, *options) == 0
    text = (folder / "RESULTS.md").read_text()
    main_rows = {row[0]: row for row in rows(text, "Error rates")}
    # 7 units a text: 今 天 我 们 讲 attention 和 model makes 8; two wrong, or one in half of the texts.
    assert main_rows["teacher"][1:5] == ["0.0 M", "×1.00", "×1.00", "–"]
    assert main_rows["teacher"][5].startswith("25.00 [25.00, 25.00]")
    assert main_rows["student_comp"][2:5] == ["×0.40", "×1.50", "66.7 %"]
    assert main_rows["student_comp"][5].startswith("6.25 [")
    assert main_rows["student_full"][5].startswith("25.00") and main_rows["student_full"][6] == "–"
    assert ["student_comp", "0.00", "25.00", "0.00", "25.00"] in rows(text, "By language")
    errors = rows(text, "Kinds of errors")
    assert ["test_in", "teacher", "0", "0", "0", "16", "0", "0", "0", "0"] in errors
    assert rows(text, "What became of both languages")[2:] == [
        ["English words", "3", "66.7", "33.3", "0.0", "0.0"],  # decode for decoder
        ["Chinese characters", "4", "100.0", "0.0", "0.0", "0.0"],
    ]
    silent = rows(text, "Stretches without speech")[2:]
    assert silent == [["music", "1", "10", "1", "11"], ["noise", "1", "4", "0", "0"]]
    labels = {row[0]: row for row in rows(text, "Label quality")}
    # Reference: 4 + 3 units in chunks, 好 in none. full: 1 wrong + 8 invented of 7; comp: 1 wrong of 7.
    assert labels["full"][1:5] == ["3", "0.01", "100.0", f"{100 * 9 / 7:.2f}"]
    assert labels["comp"][1:] == ["2", "0.01", "66.7", f"{100 / 7:.2f}", "0.00", "0.00", "–", "0", "0"]
    kinds = {row[0]: row[1:] for row in rows(text, "Bad labels kept")}
    assert kinds["full"] == ["0 of 0", "1 of 1", *["0 of 0"] * 4] and kinds["comp"][1] == "0 of 1"
    assert "1 of 8 reference units lie in no chunk" in text and "reads the references" in text
    # One bad label, dropped by every alpha but 0.9 itself; by 0.1 and 0.2 a good one is dropped too.
    assert rows(text, "Spotting bad labels")[-1] == [
        "validator",
        "comp",
        f"{8 / 9:.2f}",
        f"{7 / 8:.2f}",
        "1",
        "3",
    ]
    signals = {row[0]: row[1:] for row in rows(text, "Signals that spot bad labels")}
    assert signals["comp"][:2] == ["validator", "3"] and signals["comp"][4:] == ["0.4", "1.00", "1.00"]
    assert signals["the teacher's own confidence (published)"][3] == "0.68"
    header, _, row = rows(text, "Kinds of bad labels found")
    assert header[3] == "over silence (1)" and row[:4] == ["comp", "validator", "–", "1.00"]
    recalls = rows(text, "Bad labels found by α")
    assert recalls[0][2:] == [f"α {i / 10:g}" for i in range(1, 10)]
    assert recalls[-1] == ["validator", "comp", *["1.00"] * 8, "0.00"]
    assert [row[0] for row in rows(text, "Speed of generation")[2:]] == ["teacher", "student_comp"]
    assert "6 of 6" not in (printed := capsys.readouterr().out) and "5 of 6 results" in printed


def test_a_signal_of_a_validator_has_the_limit_of_its_own_students(folder, monkeypatch):
    chosen = {"student_full": ("small", 0.7), "student_comp": ("large", 0.2)}
    for name, (validator, alpha) in chosen.items():
        write_record(folder / "exp" / name, replace(RECORDS[name], validator=validator, alpha=alpha))
    options = ["--train_data", "data/all", "--reference", "reference", "--scores", "small:aux large:aux other:aux"]
    try:
        assert report(folder, monkeypatch, *options) == 0
    finally:
        for name in chosen:
            write_record(folder / "exp" / name, RECORDS[name])
    found = rows((folder / "RESULTS.md").read_text(), "Signals that spot bad labels")
    limits = {row[1]: row[5] for row in found if row[0] == "comp"}
    assert limits["small"] == "0.7" and limits["large"] == "0.2" and limits["other"] in ("0.7", "0.2")


def test_selected_segments_are_counted_as_segments(folder, monkeypatch):
    some = folder / "data/some"
    ids = ["rec-0000000-0001000", "rec-0002000-0003000"]
    write_table(folder / "data/all/text", {
        ids[0]: "<|0.00|>今天 讲<|4.00|><|4.00|>attention 好<|10.00|>",
        "rec-0001000-0002000": "<|0.00|>谢谢 大家 收看 再见<|10.00|>",
        ids[1]: "<|0.00|>model 的 decode<|10.00|>",
    })  # fmt: skip
    write_table(some / "wav.scp", dict.fromkeys(ids, "x.ark:1"))
    write_table(some / "text", {i: read_table(folder / "data/all/text")[i] for i in ids})
    write_table(some / "text.trusted", {ids[0]: "1 0", ids[1]: "1"})
    write_numbers(some / "utt2dur", dict.fromkeys(ids, 10.0))
    (some / "report.json").write_text(json.dumps({"segments": {"trusted_hours": 0.5, "hours": 2.0}}))
    write_record(folder / "exp/student_comp", replace(RECORDS["student_comp"], data="data/some"))
    try:
        assert report(folder, monkeypatch, "--train_data", "data/all", "--reference", "reference") == 0
    finally:
        write_record(folder / "exp/student_comp", RECORDS["student_comp"])
    labels = {row[0]: row for row in rows((folder / "RESULTS.md").read_text(), "Label quality")}
    # Trusted: 今 天 讲 right, model 的 right, decoder wrong. Not: attention right, 好 and eight units invented.
    assert labels["comp"][1:] == ["2", "0.50", "25.0", f"{100 / 6:.2f}", "0.00", "0.00", "900.00", "–", "–"]


def test_every_aim_is_stated_as_reached_missed_or_not_measured(folder, monkeypatch):
    report(folder, monkeypatch)
    text = (folder / "RESULTS.md").read_text()
    found = re.search(r"- student_comp below teacher on test_in: (.*)\n", text)[1]
    assert found.startswith("**reached**. 6.25 % against 25.00 %, difference -18.75 points [")
    assert "], paired bootstrap p = 0.00" in found and "over 8 texts; one seed, so this holds for these mod" in found
    assert "- student_comp below student_full on test_in_long: **not measured**. student_full/decode_te" in text
    assert "parameters: **reached**. 400 of 1,000, that is 0.400." in text
    assert "- student_comp generates faster than the teacher: **reached**. ×1.50 [1.38, 1.63] in all, ×2.00 for" in text


def test_an_aim_that_is_missed_says_so(folder, monkeypatch):
    for name, path in (("teacher", "models/student_comp"), ("student_comp", "models/teacher")):
        write_record(folder / "exp" / name, replace(RECORDS[name], path=path))
    try:
        assert report(folder, monkeypatch, "--speed", "none.json") == 0
    finally:
        for name, record in RECORDS.items():
            write_record(folder / "exp" / name, record)
    text = Path("RESULTS.md").read_text()
    assert re.search(r"parameters: \*\*missed\*\*\. [\d,]+ of [\d,]+, that is 1\.\d", text)
    assert "generates faster than the teacher: **not measured**" in text


def test_the_header_tells_the_typed_command_revision_machine_and_no_path(folder, monkeypatch):
    typed = ["./run.sh", "--trial", "10", "--recordings", "/elsewhere/my lectures", "--notes", f"{folder}/我.md"]
    monkeypatch.setenv("K2D_COMMAND", "\n".join(typed))
    report(
        folder,
        monkeypatch,
        "--reference",
        str(folder / "reference"),
        "--train_data",
        str(folder / "data/all"),
    )
    text = (folder / "RESULTS.md").read_text()
    assert "- command: `./run.sh --trial 10 --recordings 'my lectures' --notes '我.md'`\n" in text
    assert re.search(r"- revision: ([0-9a-f]{40}(-dirty)?|unknown)\n", text)
    assert re.search(r", \d+ cores?, ", text) and f"torch {torch.__version__.split('+')[0]}" in text
    page = (folder / "exp/report/index.html").read_text()
    for written in (text, page):
        assert str(folder) not in written and "/root" not in written


def test_absolute_paths_elsewhere_keep_only_their_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["m", "--models", f"teacher:/elsewhere/large.pt a:{tmp_path}/exp/a", "--exp=/other/exp"]
    monkeypatch.setattr(sys, "argv", ["/venv/bin/k2d", *arguments])
    assert machine.command() == "k2d m --models 'teacher:large.pt a:exp/a' --exp=exp"


def test_notes_of_the_tables_are_prose_on_the_page():
    assert prose("by `k2d label`, *comp* & 3 * 4 * 5") == "by <code>k2d label</code>, <em>comp</em> &amp; 3 * 4 * 5"


def test_the_page_begins_with_a_sentence_and_the_main_table_and_ends_with_the_command(folder, monkeypatch):
    report(folder, monkeypatch, "--train_data", "data/all")
    text = (folder / "exp/report/index.html").read_text()
    headline = "student_<wbr>comp errs in 6.2 % of test_<wbr>in, teacher in 25.0 % (lower)"
    command = "command: <code>"
    places = [text.index(words) for words in (headline, "<h2>Error rates</h2>", "<h2>Aims</h2>", command)]
    assert places == sorted(places) and places[-1] > text.rindex("<table")
    assert "with 0.40 times the parameters and 1.50 times the speed of its teacher." in text
    data = json.loads(re.search(r'id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1])
    assert data["training"]["loss"]["student_comp"] == {"train": [[1, 3.21], [2, 2.11]], "valid": [[1, 2.5], [2, 1.9]]}
    shutil.rmtree(folder / "exp/report")
    report(folder, monkeypatch, "--train_data", "data/all")
    assert (folder / "exp/report/index.html").read_text() == text  # the same numbers, the same bytes


def test_training_logs_are_read_by_epoch():
    curves = curves_in(LOG)
    assert curves["train", "loss"] == {1: 3.21, 2: 2.11}
    assert curves["valid", "acc"] == {1: 0.5, 2: 0.6}
    assert curves["train", "optim0_lr0"] == {1: 1e-4}


def test_the_papers_rows_stand_beside_ours(folder, monkeypatch):
    assert report(folder, monkeypatch, "--paper", "test_in:COOLTEST") == 0
    text = (folder / "RESULTS.md").read_text()
    assert ["student_comp (paper)", "756 M", "–", "×5.10", "74 %", "11.44", "–"] in rows(text, "Error rates")
    assert ["teacher (paper)", "13.23", "20.64", "–", "–"] in rows(text, "By language")
    assert rows(text, "Kinds of errors")[-1][:2] != ["test_in", "teacher (paper)"]
    assert any(row[:3] == ["test_in", "teacher (paper)", "110"] for row in rows(text, "Kinds of errors"))
    assert "The same rows in the paper" not in text


def test_without_a_set_of_the_papers_its_rows_stand_apart(folder, monkeypatch):
    assert report(folder, monkeypatch) == 0
    text = (folder / "RESULTS.md").read_text()
    assert "(paper)" not in text
    found = rows(text, "The same rows in the paper")
    assert [row[0] for row in found[2:]] == ["teacher", "student_full", "student_comp"]
    assert found[-1] == ["student_comp", "756 M", "×5.10", "74 %", "11.44", "6.09", "7.62", "17.86"]


def test_the_main_table_is_written_for_the_terminal(folder, monkeypatch):
    assert report(folder, monkeypatch, "--paper", "test_in:COOLTEST") == 0
    title, *lines = (folder / "exp/report/table.txt").read_text().splitlines()
    assert title == "Error rates (MER in %, with 95 % intervals)" and lines[0].split()[:2] == ["model", "parameters"]
    starts = [line.split("  ")[0] for line in lines[2:]]
    assert starts == ["teacher", "student_full", "student_comp", *(f"{name} (paper)" for name in (
        "teacher", "student_full", "student_comp"))]  # fmt: skip
    assert len({len(line) for line in lines}) == 1, "columns are aligned"


@pytest.mark.parametrize(
    "options, message",
    [
        (["--scores", "comp"], "--scores: 'comp'; expected NAME:VALUE"),
        (["--models", "teacher elsewhere"], "exp/elsewhere/model.json: no record of a model"),
        (["--paper", "test_in:LIBRISPEECH"], "no column 'LIBRISPEECH'"),
        (["--reference", "reference"], "need --train_data"),
        (["--train_data", "nowhere"], "nowhere: no wav.scp"),
    ],
)
def test_mistakes_are_named(folder, monkeypatch, capsys, options, message):
    assert report(folder, monkeypatch, *options) == 1
    assert message in capsys.readouterr().err


def test_only_what_the_scoring_stage_wrote_is_overwritten(folder, monkeypatch, capsys):
    notes = {"mine.md": b"# Results\n\nof last week\n", "sound.wav": b"RIFF\xff\xfe", "no.md": b""}
    for name, content in notes.items():
        (folder / name).write_bytes(content)
        assert report(folder, monkeypatch, "--results", name) == 1
        assert (folder / name).read_bytes() == content
        assert f"--results {name}: no tables of ours, and not overwritten" in capsys.readouterr().err
    for option, place, why in (
        ("--results", "", "a folder; name a file in it"),
        ("--results", "exp", "a folder; name a file in it"),
        ("--results", "/dev/null", "no regular file"),
        ("--results", "mine.md/RESULTS.md", "mine.md is no folder"),
        ("--figure", "exp", "a folder; name a file in it"),
    ):
        assert report(folder, monkeypatch, option, place) == 1
        assert why in capsys.readouterr().err
    assert report(folder, monkeypatch, "--results", "new/RESULTS.md") == 0
    assert report(folder, monkeypatch, "--results", "new/RESULTS.md", "--title", "Again") == 0
    assert (folder / "new/RESULTS.md").read_text().startswith("# Again\n")


def test_the_tables_that_a_recipe_comes_with_may_be_overwritten():
    recipes = [file for file in ROOT.glob("egs/*/k2d1/RESULTS.md") if "natural_cs" not in str(file)]
    assert len(recipes) > 4 and all(map(written_by_us, recipes))


@pytest.fixture
def more(folder):
    """A function that adds students to exp/, scored as one of RECORDS or with other transcripts; taken away at last."""
    added = []

    def add(name: str, record: ModelRecord, hypotheses=None) -> None:
        added.append(folder / "exp" / name)
        shutil.copytree(folder / "exp" / record.name, added[-1], dirs_exist_ok=True)
        write_record(added[-1], record)
        if hypotheses is not None:
            decode = added[-1] / "decode_test_in"
            write_table(decode / "text", hypotheses)
            arguments = ["--ref", folder / "ref", "--hyp", decode / "text", "--output_dir", decode / "score"]
            assert score(list(map(str, arguments))) == 0

    yield add
    for path in added:
        shutil.rmtree(path)


def test_students_of_several_seeds_are_one_row_and_the_single_ones_below(folder, monkeypatch, more):
    more("student_full_seed1", replace(RECORDS["student_full"], seed=1))
    more("student_comp_seed1", replace(RECORDS["student_comp"], seed=1), WORSE | {"u0": REFERENCE["u0"]})
    more("student_comp@0.2", replace(RECORDS["student_comp"], alpha=0.2, data="data/full"))
    names = [*RECORDS, "student_full_seed1", "student_comp_seed1", "student_comp@0.2"]
    options = ["--models", " ".join(names), "--train_data", "data/all", "--paper", "test_in:CV16"]
    assert report(folder, monkeypatch, *options) == 0
    text = (folder / "RESULTS.md").read_text()
    header, _, *found = rows(text, "Error rates")
    assert header[:3] == ["model", "α", "seeds"]
    assert [row[:3] for row in found[:4]] == [
        ["teacher", "–", "–"], ["student_full", "–", "2"], ["student_comp", "0.4", "2"],
        ["student_comp@0.2", "0.2", "1"],
    ]  # fmt: skip
    # 6.25 and 7/8 of 25: their mean, and their standard deviation.
    assert found[2][7].startswith("14.06 ± 11.05 [") and found[1][7].startswith("25.00 ± 0.00 [")
    assert [row[0] for row in found[4:]] == ["teacher (paper)", "student_full (paper)", "student_comp (paper)"]
    single = {row[0]: row[1:] for row in rows(text, "Single seeds")}
    assert single["student_comp_seed1"] == ["1", "21.88", "6.25"] and "student_comp@0.2" not in single
    assert re.search(r"- student_comp below student_full on test_in: .* over 8 texts, 2 seeds against 2 seeds\.", text)
    assert "- student_comp@0.2 below student_full on test_in:" in text
    # Two seeds so far apart tell little of the next.
    assert "- student_comp below teacher on test_in: **inconclusive**. 14.06 % against 25.00 %" in text
    page = (folder / "exp/report/index.html").read_text()
    assert re.search(r"~ lower, not significant</span></span><span>student_comp below teacher on test_in<", page)
    assert "demonstration" not in text


def test_selections_by_share_are_told_apart_by_the_share_not_by_the_alpha_it_came_to(folder, monkeypatch, more):
    for hours, alpha in ((1.5, 0.71), (6.0, 0.74)):
        kept = replace(RECORDS["student_comp"], alpha=alpha, keep=0.75, hours=hours, data="data/full")
        more(f"student_comp@keep0.75_{hours:g}h", kept)
    names = ["teacher", "student_comp@keep0.75_1.5h", "student_comp@keep0.75_6h"]
    assert report(folder, monkeypatch, "--models", " ".join(names)) == 0
    assert rows((folder / "RESULTS.md").read_text(), "Error rates")[0][:3] == ["model", "hours", "parameters"]
    more("student_comp@keep0.5_6h", replace(RECORDS["student_comp"], alpha=0.5, keep=0.5, hours=6.0))
    assert report(folder, monkeypatch, "--models", " ".join([*names, "student_comp@keep0.5_6h"])) == 0
    header, _, *found = rows((folder / "RESULTS.md").read_text(), "Error rates")
    assert [row[1] for row in found] == ["–", "0.71 (75 %)", "0.74 (75 %)", "0.5 (50 %)"] and header[1] == "α"


def test_an_aim_is_missed_only_where_the_other_is_better_for_certain(folder, monkeypatch, more):
    more("student_mer", replace(RECORDS["student_comp"], selection="mer"), dict.fromkeys(REFERENCE, "今天"))
    assert report(folder, monkeypatch, "--models", " ".join([*RECORDS, "student_mer"])) == 0
    text = (folder / "RESULTS.md").read_text()
    assert "- student_mer below teacher on test_in: **missed**. 75.00 % against 25.00 %" in text
    more("student_per", replace(RECORDS["student_full"], selection="per"))
    assert report(folder, monkeypatch, "--models", " ".join([*RECORDS, "student_per"])) == 0
    text = (folder / "RESULTS.md").read_text()
    assert "- student_per below teacher on test_in: **inconclusive**. 25.00 % against 25.00 %" in text
    assert "p = 1.0000" in text and "demonstration" in text


def test_every_way_of_training_has_its_table_and_hours_a_figure(folder, monkeypatch, more):
    names = list(RECORDS)
    for tag in ("updates", "epochs"):
        for hours in (1.5, 6.0):
            names.append(f"student_{tag}_comp_{hours:g}h")
            more(names[-1], replace(RECORDS["student_comp"], tag=tag, hours=hours))
    names.append("student_epochs_mer_6h")
    more(names[-1], replace(RECORDS["student_comp"], selection="mer", tag="epochs", hours=6.0))
    (folder / "notes.md").write_text("## Choices\n\nα was chosen on dev.\n")
    options = ["--models", " ".join(names), "--notes", "notes.md", "--figure", "docs/ladder.svg"]
    assert report(folder, monkeypatch, *options) == 0
    text = (folder / "RESULTS.md").read_text()
    assert text.index("α was chosen on dev.") < text.index("## Error rates")
    for tag in ("updates", "epochs"):
        header, _, *found = rows(text, f"Error rates, {tag}")
        assert header[:2] == ["model", "hours"]
        assert [row[:2] for row in found] == [
            ["teacher", "–"], [f"student_{tag}_comp_1.5h", "1.5"], [f"student_{tag}_comp_6h", "6"],
            *([["student_epochs_mer_6h", "6"]] if tag == "epochs" else []),
        ]  # fmt: skip
    assert [row[:2] for row in rows(text, "Error rates")[2:]] == [
        ["teacher", "–"], ["student_full", "all"], ["student_comp", "all"],
    ]  # fmt: skip
    figure = (folder / "docs/ladder.svg").read_text()
    assert figure.startswith("<svg") and "hours of recordings" in figure and "comp, epochs" in figure
    assert "mer, epochs" in figure, "a point, of one number of hours"


def test_ways_of_training_are_compared_on_the_same_labels(folder, monkeypatch, more):
    more("student_kl_comp", replace(RECORDS["student_comp"], name="student_full", tag="kl"))  # scored as that one
    more("student_kl_full", replace(RECORDS["student_full"], tag="kl"))
    assert report(folder, monkeypatch, "--models", f"{' '.join(RECORDS)} student_kl_full student_kl_comp") == 0
    _, _, full, comp = rows((folder / "RESULTS.md").read_text(), "Ways of training, the same labels")
    assert full[:2] == ["student_kl_full", "student_full"] and full[3] == "–", "one that has not been run"
    assert full[2].startswith("+0.00 [") and full[2].endswith("p = 1.0000")
    assert comp[:2] == ["student_kl_comp", "student_comp"]
    assert comp[2].startswith("+18.75 ["), "as much worse as WORSE is than BETTER"


def test_how_long_a_student_was_trained_is_told_from_its_log(folder, monkeypatch):
    log = folder / "exp/student_comp/train/log/train.log"
    log.write_text("INFO: [train] Batch sampler: NumElementsBatchSampler(N-batch=8, batch_bins=8000)\n" + LOG.replace(
        "loss_ce", "ce"))  # fmt: skip
    (folder / "exp/student_comp/train/config.yaml").write_text("accum_grad: 2\n")
    try:
        assert report(folder, monkeypatch) == 0
    finally:
        log.write_text(LOG)
    # 40 batches, two an update, eight a pass; the lowest cross-entropy after all of them.
    found = rows((folder / "RESULTS.md").read_text(), "Training")
    assert found[-1] == ["student_comp", "1", "20", "5.0", "1.100", "20"]


def test_students_of_revised_labels_are_compared_with_all_revised_labels(folder, monkeypatch, more):
    for name in ("student_full", "student_comp"):
        more(f"{name}_by_x", replace(RECORDS[name], revised_by="x"))
    names = [*RECORDS, "student_full_by_x", "student_comp_by_x"]
    assert report(folder, monkeypatch, "--models", " ".join(names)) == 0
    text = (folder / "RESULTS.md").read_text()
    assert "- student_comp_by_x below student_full_by_x on test_in: " in text
    assert "- student_comp below student_full on test_in: " in text


def test_students_are_compared_with_those_of_as_much_speech_that_nobody_selected(folder, monkeypatch, more):
    # comp keeps 20 of 30 seconds; "data/comp" of all labels is as much, "data/full" of all labels is not.
    more("student_full_1h", replace(RECORDS["student_full"], hours=1.0, data="data/comp"))
    more("student_full_2h", replace(RECORDS["student_full"], hours=2.0))
    more("student_tagged_full_1h", replace(RECORDS["student_full"], tag="tagged", hours=1.0, data="data/comp"))
    names = [*RECORDS, "student_full_1h", "student_full_2h", "student_tagged_full_1h"]
    assert report(folder, monkeypatch, "--models", " ".join(names)) == 0
    text = (folder / "RESULTS.md").read_text()
    told = re.findall(r"- student_comp below (.*, of as much speech,) on test_in: \*\*reached\*\*", text)
    assert told == ["student_full_1h, of as much speech,"]
    assert "- student_comp below student_full on test_in: **reached**" in text


def test_a_student_without_its_rival_says_so(folder, monkeypatch):
    assert report(folder, monkeypatch, "--models", "student_comp") == 0
    text = (folder / "RESULTS.md").read_text()
    assert "- student_comp below its teacher on test_in: **not measured**. It is not among the models." in text
    assert "- student_comp below the student of all labels on test_in: **not measured**." in text


def test_a_teacher_that_is_no_whisper_model_has_no_parameters(folder, monkeypatch):
    write_record(folder / "exp/teacher", replace(RECORDS["teacher"], path="text:labels.txt"))
    try:
        assert report(folder, monkeypatch) == 0
    finally:
        write_record(folder / "exp/teacher", RECORDS["teacher"])
    found = {row[0]: row for row in rows((folder / "RESULTS.md").read_text(), "Error rates")}
    assert found["teacher"][1:4] == ["–", "–", "–"]


def test_a_report_of_the_same_numbers_is_done_and_its_copy_restored(folder, monkeypatch, capsys):
    assert report(folder, monkeypatch) == 0
    changed = (folder / "RESULTS.md").read_text() + "changed by hand"
    (folder / "RESULTS.md").write_text(changed)
    with only_looking():
        report(folder, monkeypatch)
    assert (folder / "RESULTS.md").read_text() == changed
    assert report(folder, monkeypatch) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (folder / "RESULTS.md").read_bytes() == (folder / "exp/report/RESULTS.md").read_bytes()


def test_results_of_other_references_are_not_compared(folder, monkeypatch, capsys):
    units = folder / "exp/teacher/decode_test_in/score/utt2units"
    before = units.read_text()
    units.write_text(before.replace("u0 8", "u0 7"))
    try:
        assert report(folder, monkeypatch) == 1
        assert "scored against different references" in capsys.readouterr().err
    finally:
        units.write_text(before)


def test_a_speed_measured_on_other_weights_is_not_shown(folder, monkeypatch, capsys):
    path = folder / "exp/speed/speed.json"
    before = path.read_text()
    path.write_text(before.replace(model_identity(folder / "models/student_comp").digest, "0" * 64))
    try:
        assert report(folder, monkeypatch) == 0
        assert "student_comp has changed since" in capsys.readouterr().err
        assert {r[0]: r for r in rows((folder / "RESULTS.md").read_text(), "Error rates")}["student_comp"][3] == "–"
    finally:
        path.write_text(before)


@pytest.mark.parametrize(("seconds", "verdict"), [
    ([6.1, 5.8, 5.9], r"inconclusive\*\*. ×1.50 \[0.95, 1.08\] in all, .*; 3 rounds on 60 s of audio\."),
    ([7.0, 7.1, 7.2], r"missed\*\*. ×1.50 \[0.8"),
    ([4.0], r"inconclusive\*\*.*, so no test is possible\."),
    (None, r"inconclusive\*\*.* measured by an earlier version, which did not note each round"),
])  # fmt: skip
def test_a_student_is_faster_only_where_the_rounds_agree(folder, monkeypatch, seconds, verdict):
    path = folder / "exp/speed/speed.json"
    before = path.read_text()
    measured = json.loads(before)
    for name, rounds in (("teacher", [6.0, 6.0, 6.0]), ("student_comp", seconds)):
        measured["models"][name]["round_seconds"] = rounds and seconds and rounds[: len(seconds)]
        if seconds is None:
            del measured["models"][name]["round_seconds"]
    path.write_text(json.dumps(measured))
    try:
        assert report(folder, monkeypatch) == 0
    finally:
        path.write_text(before)
    assert re.search(rf"faster than the teacher: \*\*{verdict}", (folder / "RESULTS.md").read_text())


def test_a_rung_is_a_share_of_what_it_was_selected_from(folder, monkeypatch, more):
    """Of three chunks two belong to the recordings of the rung; one of these was kept."""
    rung, ids = folder / "data/rung", ["rec-0000000-0001000"]
    labels = read_table(folder / "data/all/text")
    write_table(rung / "wav.scp", dict.fromkeys(ids, "x.ark:1"))
    write_table(rung / "text", {i: labels[i] for i in ids})
    write_numbers(rung / "utt2dur", dict.fromkeys(ids, 10.0))
    (rung / "dropped.tsv").write_text("id\treason\nrec-0001000-0002000\tcomp <= alpha\n")
    hours = {"recordings_hours": 0.01, "kept": {"hours": 10 / 3600}, "dropped": {"hours": 10 / 3600}}
    (rung / "report.json").write_text(json.dumps(hours))
    more("student_comp_rung", replace(RECORDS["student_comp"], data="data/rung", hours=0.01))
    options = ["--models", "teacher student_comp_rung", "--train_data", "data/all", "--reference", "reference"]
    assert report(folder, monkeypatch, *options) == 0
    text = (folder / "RESULTS.md").read_text()
    assert rows(text, "Error rates")[-1][4] == "50.0 %"
    assert rows(text, "Label quality")[-1][1:4] == ["1", "0.00", "50.0"]
    assert rows(text, "Label quality")[-1][-2:] == ["0", "0"], "what lies outside the rung was not dropped"
