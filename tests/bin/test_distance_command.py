"""The command: its files, its streaming join, and what it does with bad input."""

import json
import time

import pytest

from k2d.bin import distance
from k2d.label import measure
from k2d.tables import read_numbers, read_table
from k2d.work import growing


def run(folder, teacher: bytes | str, validator: bytes | str, *options: str, out="out") -> int:
    for name, text in (("teacher", teacher), ("validator", validator)):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    argv = ["--teacher", str(folder / "teacher"), "--validator", str(folder / "validator")]
    return distance.main([*argv, "--output_dir", str(folder / out), *options])


def tables(out) -> dict[str, bytes]:
    """What a run wrote, without what tells of the run itself."""
    return {p.name: p.read_bytes() for p in out.iterdir() if p.is_file() and p.suffix != ".json"}


def test_files_of_the_paper(tmp_path):
    assert run(tmp_path, "a 你好\nb 謝謝大家謝謝\n", "a 你早\nb 谢谢大家\n", "--paper", "--signals", "none") == 0
    out = tmp_path / "out"
    assert read_table(out / "utt2mer") == {"a": "0.500000", "b": "0.500000"}
    assert read_table(out / "utt2loop_teacher") == {"a": "0", "b": "0"}
    for name in ("mer", "per", "comp", "loop_teacher", "loop_aux", "blank_aux"):
        assert set(read_numbers(out / f"utt2{name}")) == {"a", "b"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["counts"]["pairs"] == 2
    assert summary["kept"]["mer"]["0.4"] == 0 and summary["kept"]["mer"]["0.5"] == 1
    assert list(summary["kept"]["per"]) == [str(i / 10) for i in range(1, 11)]
    assert summary["choices"]["empty"] == "paper"
    record = json.loads((out / "step.json").read_text())
    assert record["options"]["choices"]["empty"] == "paper" and "utt2mer" in record["outputs"]


def test_ids_of_one_side_are_listed_with_file_and_line(tmp_path):
    assert run(tmp_path, "a 你\nb 你\nd 你\n", "b 你\nc 你\nd 你\n") == 0
    assert set(read_table(tmp_path / "out/utt2mer")) == {"b", "d"}
    listed = read_table(tmp_path / "out/unpaired.txt")
    assert listed["a"].endswith("teacher:1") and listed["c"].endswith("validator:2")
    assert run(tmp_path, "a 你\nb 你\n", "b 你\n", "--max_unpaired", "0") == 1


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (b"a x\na y\n", "teacher:2: id 'a' appears twice"),
        (b"b x\na y\n", "teacher:2: id 'a' follows 'b', out of C order"),
        (b"a x\nb \xff\xfe\n", "teacher:2: byte 0xff is not UTF-8"),
        (b"a x\n\nb y\n", "teacher:2: expected an id"),
        (b"a x\r\n", "teacher:1: Windows line end"),
        (b"z x\n", "no id in common"),
    ],
)
def test_bad_files_stop_with_file_and_line_and_leave_nothing_behind(tmp_path, capsys, teacher, message):
    assert run(tmp_path, teacher, "a x\nb y\n") == 1
    assert message in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == []


def test_a_missing_file_is_named(tmp_path, capsys):
    assert distance.main(["--teacher", str(tmp_path / "no"), "--validator", "x", "--output_dir", str(tmp_path)]) == 1
    assert "no: No such file" in capsys.readouterr().err


def test_odd_texts_have_outcomes(tmp_path):
    lines = {
        "a_empty": ("", ""),
        "b_one_empty": ("你好", ""),
        "c_line_ends_of_unicode": ("你\x85好\u2028", "你好"),
        "d_emoji": ("你好👩‍👩‍👧", "你好"),
        "e_rtl": ("مرحبا \u202eשלום", "مرحبا שלום"),
        "f_long": ("好" * 100_000, "好" * 99_999),
        "g_punctuation": ("。。。", "你"),
        "h_tab": ("你\t好", "你好"),
    }
    teacher, validator = ("".join(f"{k} {v[i]}\n" for k, v in lines.items()) for i in (0, 1))
    assert run(tmp_path, teacher, validator) == 0
    mer = read_numbers(tmp_path / "out/utt2mer")
    assert mer == {
        "a_empty": 0, "b_one_empty": 1, "c_line_ends_of_unicode": 0, "d_emoji": 0, "e_rtl": 0,
        "f_long": pytest.approx(1e-5), "g_punctuation": 1, "h_tab": 0,
    }  # fmt: skip
    assert read_numbers(tmp_path / "out/utt2blank_aux")["b_one_empty"] == 1


def test_blank_validators_are_not_kept_under_the_paper(tmp_path):
    assert run(tmp_path, "a 你\nb 你\n", "a <|0.00|> <|1.00|>\nb 你\n", "--paper") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["kept"]["comp"]["1.0"] == 0.5  # comp of the blank one is 0, and still it is not kept


def test_processes_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "BLOCK_PAIRS", 3)
    teacher = "".join(f"u{i:03d} 第{i}句 machine learning\n" for i in range(40))
    validator = "".join(f"u{i:03d} 第{i % 7}句 machine\n" for i in range(40))
    assert run(tmp_path, teacher, validator) == 0
    assert run(tmp_path, teacher, validator, "--nj", "2", out="two") == 0
    assert tables(tmp_path / "out") == tables(tmp_path / "two")
    assert run(tmp_path, teacher, validator, "--nj", "2", "--begin") == 0  # nothing to do: it decides no byte


def test_the_validators_text_and_the_facts_of_its_decoding_lie_beside_the_scores(tmp_path):
    decoded = tmp_path / "decode_base"
    decoded.mkdir()
    for name, value in (("text", "你"), ("utt2avg_logprob", "-0.25"), ("utt2dur", "1.0")):
        (decoded / name).write_text(f"a {value}\n")
    (tmp_path / "teacher").write_text("a 你\n")
    argv = ["--teacher", str(tmp_path / "teacher"), "--validator", str(decoded / "text")]
    argv += ["--output_dir", str(tmp_path / "base")]
    assert distance.main(argv) == 0
    for name in ("text", "utt2avg_logprob"):
        assert (tmp_path / "base" / name).samefile(decoded / name)
    assert not (tmp_path / "base/utt2dur").exists()
    (decoded / "utt2avg_logprob").unlink()
    (decoded / "utt2avg_logprob").write_text("a -0.50\n")  # decoded anew
    assert distance.main([*argv, "--begin"]) == 3
    assert distance.main(argv) == 0
    assert read_table(tmp_path / "base/utt2avg_logprob") == {"a": "-0.50"}


def test_the_teachers_doubt_is_added_to_the_distance_where_it_is_known(tmp_path):
    chunks = tmp_path / "chunks"
    chunks.mkdir()
    (chunks / "utt2avg_logprob").write_text("a -0.25\nb -0.10\nc -0.50\n")
    teacher = f"a 你好\nb {'好' * 40}\nc 我\nd 你\n"
    assert run(tmp_path, teacher, "a 你们\nb 好\nc 他是谁\nd 你\n", "--data", str(chunks)) == 0
    assert read_table(tmp_path / "out/utt2fused") == {"a": "1.250000", "b": "10.000000", "c": "2.500000"}


def test_unknown_options_are_sentences(tmp_path, capsys):
    assert run(tmp_path, "a 你\n", "a 你\n", "--signals", "zh_cer,magic") == 1
    assert "magic: expected text, all, none or some of" in capsys.readouterr().err
    assert run(tmp_path, "a 你\n", "a 你\n", "--signals", "untexted") == 1
    assert "--data" in capsys.readouterr().err
    assert run(tmp_path, "a 你\n", "a 你\n", "--n", "0") == 1


def test_it_says_how_long_it_took(tmp_path, monkeypatch, capsys):
    score = measure.score
    monkeypatch.setattr(measure, "score", lambda job, block: time.sleep(0.2) or score(job, block))
    assert run(tmp_path, "a 你好\n", "a 你\n") == 0
    seconds = json.loads((tmp_path / "out/step.json").read_text())["seconds"]
    assert seconds >= 0.2 and f"1 pair in {seconds:.1f} s" in capsys.readouterr().err


def test_its_progress_has_an_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run(tmp_path, "a 你好\nb 好\n", "a 你\nb 好\n") == 0
    assert "distance: 100%" in capsys.readouterr().err


def test_a_killed_run_goes_on_and_ends_with_the_same_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "BLOCK_PAIRS", 3)
    monkeypatch.setattr(growing, "SECONDS", 0.0)
    teacher = "".join(f"u{i:03d} 第{i}句 machine learning\n" for i in range(40))
    validator = "".join(f"u{i:03d} 第{i % 7}句 machine\n" for i in range(1, 41))
    assert run(tmp_path, teacher, validator) == 0
    out, score, scored = tmp_path / "out", measure.score, []
    whole = tables(out)
    summary = (out / "summary.json").read_bytes()

    def killed_in_the_eighth_block(job, block):
        scored.extend(pair.id for pair in block)
        if len(scored) == 24:
            raise KeyboardInterrupt
        return score(job, block)

    again = tmp_path / "again"
    argv = ["--teacher", str(tmp_path / "teacher"), "--validator", str(tmp_path / "validator")]
    argv += ["--output_dir", str(again)]
    monkeypatch.setattr(measure, "score", killed_in_the_eighth_block)
    assert distance.main(argv) == 130
    assert not list(again.glob("utt2*")) and not (again / "unpaired.txt").exists()
    with (again / ".growing/utt2mer").open("a") as torn:
        torn.write("u024 0.")
    assert distance.main(argv) == 0
    assert scored == [*(f"u{i:03d}" for i in range(1, 25)), *(f"u{i:03d}" for i in range(22, 40))]
    assert tables(again) == whole
    assert (again / "summary.json").read_bytes() == summary
    assert not (again / ".growing").exists()


def test_what_other_options_began_is_kept_apart_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "SECONDS", 0.0)
    score, scored = measure.score, []

    def stopped(job, block):
        scored.append(block[0].id)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(job, block)

    monkeypatch.setattr(measure, "BLOCK_PAIRS", 1)
    monkeypatch.setattr(measure, "score", stopped)
    texts = ("a 你好\nb 你\n", "a 你\nb 你\n")
    assert run(tmp_path, *texts) == 130
    assert run(tmp_path, *texts, "--reference", "teacher") == 0
    assert read_table(tmp_path / "out/utt2mer") == {"a": "0.500000", "b": "0.000000"}
    assert run(tmp_path, *texts) == 0
    assert scored == ["a", "b", "a", "b", "b"]
    assert read_table(tmp_path / "out/utt2mer") == {"a": "1.000000", "b": "0.000000"}
