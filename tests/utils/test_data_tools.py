"""utils/*_data.py: small commands over k2d.datadir, with messages that say what to do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from k2d.datadir import DataDir, invert
from k2d.tables import read_table, write_numbers, write_table
from k2d.work.lock import DirectoryLock

ROOT = Path(__file__).resolve().parents[2]


def tool(name, *arguments):
    return run(f"{name}_data.py", *arguments)


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, ROOT / "utils" / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


@pytest.fixture
def data(tmp_path):
    """Three recordings of 1, 2 and 3 s with audio, and one that is missing."""
    path = tmp_path / "data"
    rng = np.random.default_rng(0)
    for name, seconds in (("a", 1), ("b", 2), ("c", 3)):
        soundfile.write(tmp_path / f"{name}.wav", rng.uniform(-0.1, 0.1, seconds * 16000), 16000)
    write_table(path / "wav.scp", {name: str(tmp_path / f"{name}.wav") for name in "abcd"})
    write_table(path / "text", {name: f"text {name}" for name in "abcd"})
    write_table(path / "utt2spk", {name: name for name in "abcd"})
    write_table(path / "spk2utt", {name: name for name in "abcd"})
    return path


def test_split_prints_the_number_of_parts_and_balances_by_headers(data):
    result = tool("split", "--nj", 2, data)
    assert (result.returncode, result.stdout) == (0, "2\n"), result.stderr
    assert [sorted(DataDir(data / f"split2/{n}").wav) for n in (1, 2)] == [["c", "d"], ["a", "b"]]
    assert tool("split", "--nj", 99, data).stdout == "4\n"
    before = (data / "split2/1/wav.scp").stat().st_mtime_ns
    assert tool("split", "--nj", 2, data).stdout == "2\n"
    assert (data / "split2/1/wav.scp").stat().st_mtime_ns == before, "it was done"
    assert "no wav.scp" in tool("split", "--nj", 2, data.parent).stderr


def test_a_list_may_be_a_pipe_and_none_that_is_empty(data, tmp_path):
    subset = [sys.executable, ROOT / "utils/subset_data.py"]
    for option in ("--ids", "--recordings"):
        out = tmp_path / option[2:]
        subprocess.run([*subset, option, "/dev/stdin", data, out], input="c\na\n", text=True, check=True)
        assert sorted(DataDir(out).text) == ["a", "c"]
        command = [*subset, option, "/dev/stdin", data, tmp_path / "no"]
        empty = subprocess.run(command, input="\n", text=True, capture_output=True)
        assert empty.returncode == 1 and "/dev/stdin: it is empty" in empty.stderr and not (tmp_path / "no").exists()


def test_a_subset_stays_where_another_choice_is_refused(data, tmp_path):
    (tmp_path / "good").write_text("a\n")
    (tmp_path / "bad").write_text("a\nq\n")
    (tmp_path / "utf16").write_text("a\n", encoding="utf-16")
    assert tool("subset", "--ids", tmp_path / "good", data, tmp_path / "out").returncode == 0
    for option in ("--ids", "--recordings"):
        refused = tool("subset", option, tmp_path / "bad", data, tmp_path / "out")
        assert refused.returncode == 1 and "'q'" in refused.stderr
        assert "not UTF-8 at byte" in tool("subset", option, tmp_path / "utf16", data, tmp_path / "no").stderr
        assert tool("subset", option, "", data, tmp_path / "no").returncode == 1
    for option, value in (("--number", 0), ("--number", -1), ("--hours", 0), ("--hours", "nan")):
        assert tool("subset", option, value, data, tmp_path / "no").returncode == 2
    assert sorted(DataDir(tmp_path / "out").text) == ["a"] and not (tmp_path / "no").exists()
    (tmp_path / "half").mkdir()
    (tmp_path / "half/.begun.json").write_text('{"key": "abc", "step": "select"}')
    (tmp_path / "half/text").write_text("a x\n")
    unfinished = tool("subset", "--ids", tmp_path / "half/text", data, tmp_path / "no")
    assert unfinished.returncode == 1 and "half: not finished" in unfinished.stderr


def test_subset_by_list_number_and_hours(data, tmp_path):
    (tmp_path / "list").write_text("c anything\na\n")
    assert tool("subset", "--ids", tmp_path / "list", data, tmp_path / "x").returncode == 0
    assert list(DataDir(tmp_path / "x").segments) == ["a", "c"]
    assert tool("subset", "--recordings", tmp_path / "list", data, tmp_path / "y").returncode == 0
    assert list(DataDir(tmp_path / "y").segments) == ["a", "c"]
    for seed, said in ((1, "2 of 4 utterances"), (1, "is done; nothing to do"), (2, "2 of 4 utterances")):
        assert said in tool("subset", "--number", 2, "--seed", seed, data, tmp_path / f"n{seed}").stdout
    assert "fewer than 9" in tool("subset", "--number", 9, data, tmp_path / "z").stderr
    write_numbers(data / "utt2dur", {"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0})
    tool("subset", "--hours", 6 / 3600, data, tmp_path / "h")
    assert 0 < sum(DataDir(tmp_path / "h").utt2dur.values()) <= 6


def test_combine_of_data_directories(data, tmp_path):
    tool("split", "--nj", 2, data)
    result = tool("combine", tmp_path / "again", *(data / "split2").iterdir())
    assert "4 utterances of 2 parts" in result.stdout, result.stderr
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        assert (tmp_path / "again" / name).read_bytes() == (data / name).read_bytes()


def test_what_is_read_stays_where_it_is(data, tmp_path):
    few = tmp_path / "few"
    assert tool("subset", "--number", 3, data, few).returncode == 0
    assert "is read here" in tool("subset", "--number", 2, few, few).stderr
    assert tool("combine", tmp_path / "both", few).returncode == 0
    assert "is read here" in tool("combine", tmp_path / "both", tmp_path / "both", data).stderr
    assert len(DataDir(few).wav) == len(DataDir(tmp_path / "both").wav) == 3
    assert "is not a data directory" in tool("combine", tmp_path / "none", few / "step.json").stderr


def test_any_corpora_can_be_combined(data, tmp_path):
    tool("split", "--nj", 2, data)
    for part in (data / "split2/1", data / "split2/2"):
        record = {"step": "synthesize", "key": part.name, "options": {"set": part.name}, "inputs": {}}
        (part / "step.json").write_text(json.dumps(record))
    result = tool("combine", tmp_path / "again", data / "split2/1", data / "split2/2")
    assert result.returncode == 0, result.stderr


def test_combine_refuses_parts_that_were_made_otherwise(data, tmp_path):
    tool("split", "--nj", 2, data)
    one, two = data / "split2/1", data / "split2/2"

    def made_with(part, model, revision="r"):
        inputs = {"model": {"digest": model}, "data": {"digest": part.name}}
        key = f"{model} {part.name}"
        record = {"step": "label", "key": key, "options": {"beam": 1}, "revision": revision, "inputs": inputs}
        (part / "step.json").write_text(json.dumps(record))

    made_with(one, "x")
    made_with(two, "x")
    assert tool("combine", tmp_path / "same", one, two).returncode == 0
    record = json.loads((tmp_path / "same/step.json").read_text())
    assert record["labels"]["step"] == "label" and set(record["inputs"]) == {str(one), str(two)}
    for fault, options in (("inputs", ("y",)), ("revision", ("x", "other"))):
        made_with(two, *options)
        result = tool("combine", tmp_path / "other", one, two)
        assert result.returncode == 1 and f"made with other {fault}" in result.stderr
        assert not (tmp_path / "other/wav.scp").exists()
    result = tool("combine", tmp_path / "other", tmp_path / "same", two)
    assert result.returncode == 1 and "made with other revision" in result.stderr, "also than what was joined before"


def test_a_part_of_labels_says_what_made_them(data, tmp_path):
    record = {"step": "label", "key": "k", "options": {"beam": 1}, "inputs": {"data": {"digest": "d"}}}
    (data / "step.json").write_text(json.dumps(record))
    for name in ("a", "b"):
        (tmp_path / f"{name}.list").write_text(f"{name}\n")
        tool("subset", "--ids", tmp_path / f"{name}.list", data, tmp_path / name)
    record = json.loads((tmp_path / "a/step.json").read_text())
    assert (record["step"], record["labels"]["step"]) == ("subset_data", "label")
    assert set(record["inputs"]) == {"whole", "ids"}
    assert tool("combine", tmp_path / "both", tmp_path / "a", tmp_path / "b").returncode == 0, "made alike"
    assert tool("split", "--nj", 2, data).returncode == 0
    assert tool("combine", tmp_path / "again", data / "split2/1", data / "split2/2").returncode == 0
    for joined in ("both", "again"):
        assert json.loads((tmp_path / joined / "step.json").read_text())["labels"] == record["labels"]


def test_validate_counts_and_complains(data):
    result = tool("validate", data)
    assert "is in order: 4 utterances\n" in result.stdout
    (data / "segments").write_text("".join(f"{name} {name} 0 1\n" for name in "abcd"))
    assert "is in order: 4 recordings, 4 utterances\n" in tool("validate", data).stdout
    (data / "segments").unlink()
    result = tool("validate", "--audio", data)
    assert result.returncode == 1
    assert "d: " in result.stderr and "missing" in result.stderr
    (data / "text").unlink()
    assert "needs references" in tool("validate", "--text", data).stderr


def test_durations_are_made_and_what_has_none_is_named(data):
    result = run("get_utt2dur.py", data)
    assert result.returncode == 0 and "durations of 3 of 4 recordings" in result.stdout
    assert "d: " in result.stderr and "missing" in result.stderr
    assert DataDir(data).utt2dur == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_fix_repairs_what_can_be_repaired(data):
    (data / "text").write_bytes(b"\xef\xbb\xbfb two\r\na one\r\n\r\nb two\nzz nowhere\nc  three\n")
    (data / "spk2utt").write_text("nonsense x\n")
    assert tool("validate", data).returncode == 1
    result = tool("fix", data)
    assert result.returncode == 0, result.stderr
    assert "3 of 4 utterances" in result.stdout and "dropped 5 lines" in result.stdout  # d's in two tables, too
    assert DataDir(data).validate() == []
    assert read_table(data / "text") == {"a": "one", "b": "two", "c": "three"}
    assert read_table(data / "spk2utt") == invert(read_table(data / "utt2spk"))
    assert (data / ".backup/text").read_bytes().startswith(b"\xef\xbb\xbf")


def test_fix_parts_lines_at_the_returns_of_a_macintosh_and_names_every_utterance_that_goes(data):
    (data / "text").write_bytes(b"a one\rb two\rc four\r\nd five\rsix\ra seven\r\n")
    (data / "utt2lang").write_text("a zh\nb zh\nd zh\n")
    result = tool("fix", data)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines() == [f"fix_data.py: {data}: dropped: 'c' has no line in utt2lang"]
    assert read_table(data / "text") == {"a": "one", "b": "two", "d": "five six a seven"}


def test_what_is_being_read_is_not_repaired(data):
    with DirectoryLock(data, shared=True):
        result = tool("fix", data)
    assert result.returncode == 1 and "in use by " in result.stderr
    assert tool("fix", data).returncode == 0


def test_an_utterance_of_two_speakers_is_named(data):
    (data / "utt2spk").unlink()
    (data / "spk2utt").write_text("one a b c\ntwo a d\n")
    result = tool("fix", data)
    assert result.returncode == 1 and "spk2utt: 'a' is of 'one' and of 'two'; remove it from one" in result.stderr


def test_fix_makes_utt2spk_of_spk2utt_alone(data):
    (data / "utt2spk").unlink()
    (data / "spk2utt").write_text("two c\none a b d\n")
    assert "there is no utt2spk beside it; repair with utils/fix_data.py" in tool("validate", data).stderr
    result = tool("fix", data)
    assert result.returncode == 0, result.stderr
    assert read_table(data / "utt2spk") == {"a": "one", "b": "one", "c": "two", "d": "one"}
    assert DataDir(data).validate() == []


def test_the_lines_of_before_the_first_repair_stay(data):
    (data / "text").write_text("a one\n\nb two\nc three\n")
    for _ in range(3):
        assert tool("fix", data).returncode == 0
    assert (data / ".backup/text").read_text() == "a one\n\nb two\nc three\n"
    assert (data / ".backup.2/text").read_text() == "a one\nb two\nc three\n"
    assert not (data / ".backup.3").exists()  # the third found what the second did


def test_fix_changes_nothing_where_a_folder_stands_in_the_place_of_a_table(data):
    (data / "text").write_text("b two\na one\nc three\n")
    (data / "spk2utt").unlink()
    (data / "spk2utt").mkdir()
    result = tool("fix", data)
    assert result.returncode == 1 and "spk2utt: a folder, expected a file" in result.stderr
    assert (data / "text").read_text().startswith("b two") and not (data / ".backup").exists()


def test_fix_mends_ids_in_every_table_alike(data):
    """White space in an id becomes _, what is invisible goes, and other white space that parts id and value a space."""
    wav = read_table(data / "wav.scp")
    lines = {
        "wav.scp": f"\ufeffa\u00a01 {wav['a']}\n\u200eb {wav['b']}\nc\u3000{wav['c']}\nd {wav['d']}\n",
        "text": "a\u00a01 one\nb\u3000第二 句\x7f\nc 第\0三\u2028句\n\u200bd\u3000\n",
        "utt2spk": "a\r1 John Smith\nb\u2003b\nc c\nd d\n",
        "utt2dur": "a\u00a01 1.0\nb nan\nc 3\nd -1\n",
    }
    for name, text in lines.items():
        (data / name).write_text(text, encoding="utf-8")
    found = tool("validate", data).stderr
    for what in ("wav.scp:1: a byte order mark", "text:1: id 'a\\xa01'", "text:3: the value of 'c' holds U+0000",
                 "utt2dur:2: 'b' has 'nan'", "utt2dur:4: 'd'"):  # fmt: skip
        assert what in found
    result = tool("fix", data)
    assert result.returncode == 0, result.stderr
    assert "4 of 4 utterances" in result.stdout and "utt2dur:2: dropped" in result.stderr
    assert tool("validate", data).returncode == 0
    assert read_table(data / "wav.scp") == {"a_1": wav["a"], "b": wav["b"], "c": wav["c"], "d": wav["d"]}
    assert read_table(data / "text") == {"a_1": "one", "b": "第二 句", "c": "第 三\u2028句", "d": ""}
    assert read_table(data / "utt2spk") == {"a_1": "John_Smith", "b": "b", "c": "c", "d": "d"}
    assert read_table(data / "utt2dur") == {"a_1": "1.0", "c": "3"}
    assert (data / ".backup/text").read_text(encoding="utf-8") == lines["text"]
    before = {p.name: p.read_bytes() for p in data.iterdir() if p.is_file()}
    assert tool("fix", data).returncode == 0
    assert {p.name: p.read_bytes() for p in data.iterdir() if p.is_file()} == before
    assert (data / ".backup/text").read_text(encoding="utf-8") == lines["text"]


def test_ids_that_look_the_same_get_one_unicode_form(data):
    """A Macintosh writes é as two characters, and most else as one."""
    wav = read_table(data / "wav.scp")
    (data / "wav.scp").write_text(f"cafe\u0301 {wav['a']}\n")
    (data / "segments").write_text("uü café 0.0 0.5\n")
    (data / "text").write_text("uu\u0308 x\n")
    (data / "utt2spk").write_text("uu\u0308 s\n")
    (data / "spk2utt").unlink()
    assert "1 in that Unicode form" in tool("validate", data).stderr
    assert tool("fix", data).returncode == tool("validate", data).returncode == 0
    assert read_table(data / "segments") == {"uü": "cafe\u0301 0.0 0.5"}
    assert read_table(data / "text") == {"uü": "x"}


def test_fix_mends_segments_and_reads_utf_16(data):
    (data / "segments").write_text(
        "u\u00a01 a\u00a01 0.0 1.0\nu2\u3000b\u30000.5\u30001.5\nu3 c 2.0 nan\nu4 c 2 1\nu5 c 0 1e0\n", encoding="utf-8"
    )
    wav = (data / "wav.scp").read_text().replace("a ", "a\u00a01 ", 1)
    (data / "wav.scp").write_bytes(wav.encode("utf-16"))
    (data / "text").write_bytes("u\u00a01 x\ru2 y\ru3 z\ru4 z\ru5 z\r".encode())
    for name in ("utt2spk", "spk2utt"):
        (data / name).unlink()
    result = tool("fix", data)
    assert result.returncode == 0, result.stderr
    assert "segments:3: dropped" in result.stderr and "segments:4: dropped" in result.stderr
    assert "kept 3 of 5 utterances, 3 of 4 recordings" in result.stdout
    assert read_table(data / "segments") == {"u_1": "a_1 0.0 1.0", "u2": "b 0.5 1.5", "u5": "c 0 1e0"}
    assert read_table(data / "text") == {"u_1": "x", "u2": "y", "u5": "z"}
    assert list(read_table(data / "wav.scp")) == ["a_1", "b", "c"]


def test_fix_removes_every_byte_order_mark(data):
    (data / "text").write_text("\ufeff\ufeffa one\n\ufeffb two\nc three\n", encoding="utf-8")
    assert "text:1: a byte order mark" in tool("validate", data).stderr
    result = tool("fix", data)
    assert result.returncode == 0, result.stderr
    assert read_table(data / "text") == {"a": "one", "b": "two", "c": "three"}


def test_fix_changes_nothing_where_two_ids_would_become_one(data):
    with open(data / "wav.scp", "a") as lines:
        lines.write("x\u00a0y 1.wav\nx_y 2.wav\n")
    before = (data / "wav.scp").read_bytes()
    result = tool("fix", data)
    assert result.returncode == 1 and "wav.scp:6: 'x_y' is also on line 5" in result.stderr
    assert (data / "wav.scp").read_bytes() == before


def test_fix_leaves_contradictions_to_the_user(data):
    (data / "text").write_text("a one\na two\n")
    result = tool("fix", data)
    assert result.returncode == 1
    assert "text:2: 'a' is also on line 1" in result.stderr


DATA_TOOLS = [path.name for path in sorted((ROOT / "utils").glob("*.py")) if "from k2d" in path.read_text()]


@pytest.mark.parametrize("script", DATA_TOOLS)
def test_a_tool_runs_with_any_python_and_says_what_to_do_where_nothing_is_installed(tmp_path, script):
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def help_in(root):
        words = [sys._base_executable, "-S", root / "utils" / script, "--help"]  # -S: of no package that is installed
        return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60)

    assert help_in(ROOT).stdout.startswith(f"usage: {script}")
    shutil.copytree(ROOT / "utils", tmp_path / "utils")
    assert help_in(tmp_path).stderr == f"{script}: K2D is not installed here; run {tmp_path}/tools/install.sh first\n"
