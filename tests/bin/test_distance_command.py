"""The command: its files, its streaming join, and what it does with bad input."""

import json

import pytest

from k2d.bin import distance
from k2d.tables import read_numbers, read_table
from k2d.work import growing


def run(folder, teacher: bytes | str, validator: bytes | str, *options: str) -> int:
    for name, text in (("teacher", teacher), ("validator", validator)):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    argv = ["--teacher", str(folder / "teacher"), "--validator", str(folder / "validator")]
    return distance.main([*argv, "--output_dir", str(folder / "out"), *options])


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
    assert (out / "distance.yaml").is_file()


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
    assert not list((tmp_path / "out").glob("*"))


def test_a_missing_file_is_named(tmp_path, capsys):
    assert distance.main(["--teacher", str(tmp_path / "no"), "--validator", "x", "--output_dir", str(tmp_path)]) == 1
    assert "no: missing" in capsys.readouterr().err


def test_odd_texts_have_outcomes(tmp_path):
    lines = {
        "a_empty": ("", ""),
        "b_one_empty": ("你好", ""),
        "c_control": ("你\x00\x0b\x1c\x85好\u2028", "你好"),
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
        "a_empty": 0, "b_one_empty": 1, "c_control": 0, "d_emoji": 0, "e_rtl": 0,
        "f_long": pytest.approx(1e-5), "g_punctuation": 1, "h_tab": 0,
    }  # fmt: skip
    assert read_numbers(tmp_path / "out/utt2blank_aux")["b_one_empty"] == 1


def test_blank_validators_are_not_kept_under_the_paper(tmp_path):
    assert run(tmp_path, "a 你\nb 你\n", "a <|0.00|> <|1.00|>\nb 你\n", "--paper") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["kept"]["comp"]["1.0"] == 0.5  # comp of the blank one is 0, and still it is not kept


def test_processes_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(distance, "BLOCK_PAIRS", 3)
    teacher = "".join(f"u{i:03d} 第{i}句 machine learning\n" for i in range(40))
    validator = "".join(f"u{i:03d} 第{i % 7}句 machine\n" for i in range(40))
    assert run(tmp_path, teacher, validator) == 0
    first = {p.name: p.read_bytes() for p in (tmp_path / "out").glob("utt2*")}
    assert run(tmp_path, teacher, validator, "--nj", "2") == 0
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "out").glob("utt2*")}


def test_a_conf_of_the_decoding_in_the_same_directory_survives(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/conf.yaml").write_text("command: decode\n")
    assert run(tmp_path, "a 你\n", "a 你\n") == 0
    assert (tmp_path / "out/conf.yaml").read_text() == "command: decode\n"


def test_unknown_options_are_sentences(tmp_path, capsys):
    assert run(tmp_path, "a 你\n", "a 你\n", "--signals", "zh_cer,magic") == 1
    assert "magic: expected text, all, none or some of" in capsys.readouterr().err
    assert run(tmp_path, "a 你\n", "a 你\n", "--signals", "untexted") == 1
    assert "--data" in capsys.readouterr().err
    assert run(tmp_path, "a 你\n", "a 你\n", "--n", "0") == 1


def test_a_killed_run_goes_on_and_ends_with_the_same_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(distance, "BLOCK_PAIRS", 3)
    monkeypatch.setattr(growing, "SECONDS", 0.0)
    teacher = "".join(f"u{i:03d} 第{i}句 machine learning\n" for i in range(40))
    validator = "".join(f"u{i:03d} 第{i % 7}句 machine\n" for i in range(1, 41))
    assert run(tmp_path, teacher, validator) == 0
    out, score, scored = tmp_path / "out", distance.score, []
    whole = {p.name: p.read_bytes() for p in out.iterdir() if p.name not in ("summary.json", "distance.yaml")}
    counts = json.loads((out / "summary.json").read_text())["counts"]

    def killed_in_the_eighth_block(job, block):
        scored.extend(pair.id for pair in block)
        if len(scored) == 24:
            raise KeyboardInterrupt
        return score(job, block)

    again = tmp_path / "again"
    argv = ["--teacher", str(tmp_path / "teacher"), "--validator", str(tmp_path / "validator")]
    argv += ["--output_dir", str(again)]
    monkeypatch.setattr(distance, "score", killed_in_the_eighth_block)
    with pytest.raises(KeyboardInterrupt):
        distance.main(argv)
    assert not list(again.glob("utt2*")) and not (again / "unpaired.txt").exists()
    with (again / ".growing/utt2mer").open("a") as torn:
        torn.write("u024 0.")
    assert distance.main(argv) == 0
    assert scored == [*(f"u{i:03d}" for i in range(1, 25)), *(f"u{i:03d}" for i in range(22, 40))]
    assert {p.name: p.read_bytes() for p in again.iterdir() if p.name in whole} == whole
    assert json.loads((again / "summary.json").read_text())["counts"] == counts
    assert not (again / ".growing").exists()


def test_what_other_options_or_texts_began_is_not_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "SECONDS", 0.0)
    score = distance.score

    def stopped(job, block):
        if block[0].id == "b":
            raise KeyboardInterrupt
        return score(job, block)

    monkeypatch.setattr(distance, "BLOCK_PAIRS", 1)
    monkeypatch.setattr(distance, "score", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "a 你好\nb 你\n", "a 你\nb 你\n")
    monkeypatch.setattr(distance, "score", score)
    assert run(tmp_path, "a 你好\nb 你\n", "a 你\nb 你\n", "--reference", "teacher") == 0
    assert read_table(tmp_path / "out/utt2mer") == {"a": "0.500000", "b": "0.000000"}
