"""k2d.datadir: tables round-trip, broken ones say where, directories split and combine without loss."""

import gzip
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from k2d.datadir import DataDir, DataDirWriter, Segment, invert, read_segments, write_segments
from k2d.errors import DataError
from k2d.tables import (
    Cursor,
    TableWriters,
    fault_of_id,
    fits_no_id,
    read_numbers,
    read_table,
    write_numbers,
    write_table,
)

ROOT = str(Path(__file__).resolve().parents[1])
IDS = st.text(
    st.characters(exclude_categories=["Cs"]).filter(lambda c: not fits_no_id(c)), min_size=1, max_size=8
)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=20)


# ---------------------------------------------------------------------------------------------- tables


# What a model may write, and no table holds.
SPACES = re.compile("[\0-\x08\x0b-\x1f\x7f]")


@given(st.dictionaries(IDS, VALUES, max_size=8))
@example({"a": "\x1f", "b": "x\0y\x7f"})
def test_a_table_comes_back_as_written(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("table") / "text"
    write_table(path, table)
    assert read_table(path) == {key: SPACES.sub(" ", value).strip(" \t") for key, value in table.items()}


@given(st.sets(IDS, max_size=12))
def test_tables_are_in_c_order(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("table") / "text"
    write_table(path, dict.fromkeys(ids, "x"))
    lines = path.read_bytes().split(b"\n")[:-1]
    assert lines == sorted(lines, key=lambda line: line.split(b" ")[0])


@given(st.dictionaries(IDS, st.tuples(VALUES, st.floats(-1e4, 1e4)), max_size=8), st.randoms())
def test_tables_written_entry_by_entry_are_those_written_at_once(tmp_path_factory, table, random):
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    write_table(one / "text", {key: value for key, (value, _) in table.items()})
    write_numbers(one / "utt2x", {key: number for key, (_, number) in table.items()})
    with TableWriters(other, "text", "utt2x") as tables:
        for key in random.sample(sorted(table), len(table)):
            tables.write("text", key, table[key][0])
            tables.write_number("utt2x", key, table[key][1])
        assert not (other / "text").exists(), "a table appears when it is complete"
    for name in ("text", "utt2x"):
        assert (other / name).read_bytes() == (one / name).read_bytes()


def test_tables_that_were_not_finished_leave_nothing(tmp_path):
    with pytest.raises(DataError), TableWriters(tmp_path, "text") as tables:
        tables.write("text", "a", "x")
        tables.write_number("utt2x", "a", float("nan"))
    assert not list(tmp_path.iterdir())


@given(st.dictionaries(IDS, st.one_of(st.integers(-9999, 9999), st.floats(-1e4, 1e4)), max_size=8))
def test_numbers_come_back_to_four_decimals(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("table") / "utt2avg_logprob"
    write_numbers(path, numbers)
    back = read_numbers(path)
    assert back.keys() == numbers.keys()
    for key, number in numbers.items():
        assert abs(back[key] - number) <= 5.1e-5
        assert isinstance(number, float) or read_table(path)[key] == str(number)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a x\nb \xb4\xfa\n", r"text:2: byte 0xb4 is not UTF-8"),
        (b"a x\na y\n", r"text:2: id 'a' appears twice"),
        (b"a x\nc y\na z\n", r"text:3: id 'a' appears twice"),
        (b"b x\na y\n", r"text:2: id 'a' follows 'b'"),
        (b"a x\n\nb y\n", r"text:2: expected an id"),
        (b" a x\n", r"text:1: expected an id"),
        (b"a x\r\nb y\r\n", r"text:1: Windows line end"),
        (b"a x\ry\n", r"text:1: Windows line end, or a carriage return"),
        (b"\xef\xbb\xbfa x\n", r"text:1: a byte order mark"),
        ("a x\n".encode("utf-16"), r"text:1: this is UTF-16"),
        ("a x\n".encode("utf-16-be"), r"text:1: this is UTF-16-BE"),
        ("a x\n".encode("utf-32"), r"text:1: this is UTF-32"),
        (gzip.compress(b"a x\n", mtime=0), r"text:1: the file is compressed; unpack it with gunzip"),
        ("a x\nb\u00a0c y\n".encode(), r"text:2: id 'b\\xa0c' holds U\+00A0, NO-BREAK SPACE"),
        (b"a x\nb y\0z\n", r"text:2: the value of 'b' holds U\+0000, a control character; repair with"),
        ("\u200ea x\n".encode(), r"text:1: id '\\u200ea' holds U\+200E, LEFT-TO-RIGHT MARK"),
    ],
)
def test_a_broken_table_names_file_and_line(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "text")


def test_a_missing_table_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="missing"):
        read_table(tmp_path / "text")


def test_a_last_line_without_end_and_tabs_are_read(tmp_path):
    (tmp_path / "text").write_bytes("a\t你好 world\nb".encode())
    assert read_table(tmp_path / "text") == {"a": "你好 world", "b": ""}


@pytest.mark.parametrize("table", [{"": "x"}, {"a b": "x"}, {"a\u3000b": "x"}, {"a": "x\ny"}, {"a": "x\ry"}])
def test_what_could_not_be_read_back_is_not_written(tmp_path, table):
    with pytest.raises(DataError):
        write_table(tmp_path / "text", table)
    assert list(tmp_path.iterdir()) == []


WITHIN = " \t\u00a0\u3000\u2028\x85\v\x01\u202e\u200b\ufeff\u3164\ufe0f\u034f"
NO_IDS = ["", *(f"a{character}b" for character in WITHIN), "\ufeffa"]


@pytest.mark.parametrize("key", NO_IDS)
def test_readers_and_writers_refuse_the_same_ids(tmp_path, key):
    with pytest.raises(DataError, match=r"x: id .*(empty|holds U\+)"):
        write_table(tmp_path / "x", {key: "y"})
    assert fault_of_id(key)
    if not {" ", "\t"} & set(key):
        (tmp_path / "x").write_text(f"{key} y\n", encoding="utf-8")
        with pytest.raises(DataError, match="x:1: "):
            read_table(tmp_path / "x")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=6))
def test_what_a_writer_takes_a_reader_gives_back_and_no_more(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("table") / "x"
    path.write_bytes(f"{text} value\n".encode())
    try:
        read = list(read_table(path))
    except DataError:
        read = []
    assert read in ([], [text.split(" ")[0].split("\t")[0]])
    assert all(fault_of_id(key) is None for key in read)


@pytest.mark.parametrize("name", ["utt2dur", "utt2comp", "utt2avg_logprob"])
@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-inf", "1_0", "１", "", "x", "0x1", "1 2", "1,5"])
def test_what_is_no_number_is_named_by_every_reader(tmp_path, name, value):
    path = tmp_path / name
    path.write_text(f"a 1\nb {value}\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"{name}:2: 'b' has"):
        read_numbers(path)
    cursor = Cursor(path)
    assert cursor.number("a") == 1
    with pytest.raises(DataError, match=f"{name}:2: 'b' has"):
        cursor.number("b")
    write_table(tmp_path / "wav.scp", {"a": "a.wav", "b": "b.wav"})
    assert any(f"{name}:2: 'b' has" in problem for problem in DataDir(tmp_path).validate())


def test_tables_of_others_may_hold_words_that_look_like_numbers(tmp_path):
    for name, words in {"utt2lang": ("nan", "zh"), "utt2room": ("101", "B12"), "utt2uniq": ("1e5", "x3")}.items():
        write_table(tmp_path / name, dict(zip("ab", words, strict=True)))
    write_table(tmp_path / "wav.scp", {"a": "a.wav", "b": "b.wav"})
    assert DataDir(tmp_path).validate() == []


@pytest.mark.parametrize(("name", "value"), [("utt2dur", 0), ("reco2dur", -1), ("utt2mer", -0.5), ("utt2comp", -1)])
def test_the_range_of_numbers_follows_from_the_name_of_the_table(tmp_path, name, value):
    with pytest.raises(DataError, match=f"{name}: 'a' has {value}, expected"):
        write_numbers(tmp_path / name, {"a": value})
    (tmp_path / name).write_text(f"a {value}\n")
    with pytest.raises(DataError, match=f"{name}:1: 'a' has '{value}', expected"):
        read_numbers(tmp_path / name)
    write_numbers(tmp_path / "utt2avg_logprob", {"a": value})
    assert read_numbers(tmp_path / "utt2avg_logprob") == {"a": value}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_awk_would_misread_are_not_written(tmp_path, number):
    with pytest.raises(DataError, match="finite"):
        write_numbers(tmp_path / "utt2mer", {"a": number})


def test_numbers_that_are_none_name_the_line(tmp_path):
    write_table(tmp_path / "utt2mer", {"a": "0.5", "b": "much"})
    with pytest.raises(DataError, match="utt2mer:2: 'b' has 'much'"):
        read_numbers(tmp_path / "utt2mer")


def test_a_message_quotes_no_more_than_the_beginning_of_an_id(tmp_path):
    """A line without a blank may be a whole book."""
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    (tmp_path / "text").write_text(f"{'好' * 10_000}\na x\n", encoding="utf-8")
    problems = DataDir(tmp_path).validate()
    assert any("'好好" in problem for problem in problems) and max(map(len, problems)) < 500


def test_a_folder_in_the_place_of_a_file_is_named_before_the_work(tmp_path):
    (tmp_path / "text").mkdir()
    with pytest.raises(DataError, match="text: a folder is where a file is to be written; move or remove it"):
        write_table(tmp_path / "text", {"a": "x"})
    assert list(tmp_path.iterdir()) == [tmp_path / "text"]


# ------------------------------------------------------------------------------------- data directories


def make(path: Path, recordings: dict[str, list[float]], segments=True, prefix="") -> DataDir:
    """A directory whose recordings hold utterances of the given lengths, one after the other."""
    cuts, start = {}, {}
    for recording, lengths in recordings.items():
        start[recording] = 0.0
        for number, seconds in enumerate(lengths):
            name = f"{prefix}{recording}-{number}" if segments else recording
            cuts[name] = Segment(name, recording, start[recording], start[recording] + seconds)
            start[recording] += seconds
    write_table(path / "wav.scp", {r: f"audio/{r}.flac" for r in recordings})
    if segments:
        write_segments(path / "segments", cuts.values())
    write_table(path / "text", {u: f"說 {u}" for u in cuts})
    write_table(path / "text.prev", dict.fromkeys(cuts, ""))
    utt2spk = {u: f"spk_{s.recording}" for u, s in cuts.items()}
    write_table(path / "utt2spk", utt2spk)
    write_table(path / "spk2utt", invert(utt2spk))
    write_numbers(path / "utt2dur", {u: s.end - s.start for u, s in cuts.items()})
    write_numbers(path / "reco2dur", start)
    (path / "conf.yaml").write_text("command: x\n")
    return DataDir(path)


TWO = {"a": [1.0, 2.5], "b": [4.0], "c": [0.5, 0.25, 0.25]}


def test_a_directory_reads_what_is_there(tmp_path):
    data = make(tmp_path, TWO)
    assert data.wav["b"] == "audio/b.flac"
    assert data.segments["a-1"] == Segment("a-1", "a", 1.0, 3.5)
    assert data.text["c-0"] == "說 c-0"
    assert data.utt2spk["a-0"] == "spk_a"
    assert data.utt2dur["b-0"] == 4.0
    assert data.has_segments
    assert data.validate() == []


def test_without_segments_every_recording_is_one_utterance(tmp_path):
    write_table(tmp_path / "wav.scp", {"a": "a.wav"})
    data = DataDir(tmp_path)
    assert data.segments == {"a": Segment("a", "a", 0.0, None)}
    assert (data.has_segments, data.text, data.utt2spk, data.utt2dur) == (False, None, None, None)
    assert data.validate() == []


def test_a_directory_without_wav_scp_is_none(tmp_path):
    with pytest.raises(DataError, match=r"no wav\.scp"):
        DataDir(tmp_path)


@pytest.mark.parametrize(
    "line",
    ["r 1.0", "r 2.0 1.0", "r x 1.0", "r -1 1.0", "r 1 2 3", "", "r nan 1", "r 0 inf", "r 0 1e999", "r 0 1e8",
     "r 1e8 -1", "r\u30000 1"],
)
def test_segments_that_are_none_name_the_line(tmp_path, line):
    write_table(tmp_path / "segments", {"a": "r 0.00 1.00", "b": line})
    with pytest.raises(DataError, match="segments:2: 'b' has"):
        read_segments(tmp_path / "segments")


def test_segments_come_back_as_written(tmp_path):
    segments = [Segment("a", "r", 0.0, 1.5), Segment("b", "r", 1.5, 2.0625), Segment("c", "r", 3.0, None)]
    write_segments(tmp_path / "segments", segments)
    assert list(read_segments(tmp_path / "segments").values()) == segments
    assert (tmp_path / "segments").read_text().splitlines()[0] == "a r 0.00 1.50"


def test_validate_names_every_problem_at_once(tmp_path):
    make(tmp_path, TWO)
    write_table(tmp_path / "text", {"a-0": "x", "zz": "y"})
    utterances = read_segments(tmp_path / "segments")
    write_table(tmp_path / "utt2dur", {u: {"a-0": 1e300, "b-0": -1}.get(u, 1) for u in utterances})
    write_table(tmp_path / "spk2utt", {"spk_a": "a-0"})
    write_table(tmp_path / "wav.scp", {"a": "x.wav", "b": ""})
    (tmp_path / "utt2mer").write_bytes(b"\xff 1\n")
    problems = "\n".join(DataDir(tmp_path).validate())
    for part in (
        "text: utterances that segments/wav.scp lack: zz",
        "text: no entry for: a-1 b-0",
        "utt2dur:1: 'a-0' has '1e+300', expected seconds, more than 0 and at most 10000000",
        "utt2dur:3: 'b-0' has '-1', expected seconds, more than 0",
        "spk2utt: does not agree",
        "recordings that wav.scp does not have: c",
        "wav.scp:2: 'b' has no source",
        "utt2mer:1: byte 0xff",
    ):
        assert part in problems


def test_subset_cuts_every_table_and_drops_the_rest(tmp_path):
    data = make(tmp_path / "all", TWO)
    part = data.subset(["a-1", "c-0"], tmp_path / "some")
    assert list(part.wav) == ["a", "c"]
    assert part.segments == {u: data.segments[u] for u in ("a-1", "c-0")}
    assert part.text == {"a-1": "說 a-1", "c-0": "說 c-0"}
    assert read_table(part.path / "text.prev") == {"a-1": "", "c-0": ""}
    assert read_table(part.path / "spk2utt") == {"spk_a": "a-1", "spk_c": "c-0"}
    assert read_numbers(part.path / "reco2dur") == {"a": 3.5, "c": 1.0}
    assert not (part.path / "conf.yaml").exists()
    assert part.validate() == []
    with pytest.raises(DataError, match="no utterance 'x'"):
        data.subset(["x"], tmp_path / "none")


@given(st.dictionaries(IDS, st.tuples(IDS, IDS), min_size=1, max_size=12))
def test_a_directory_written_entry_by_entry_is_one_that_is_in_order(tmp_path_factory, utterances):
    out = tmp_path_factory.mktemp("data") / "new"
    with DataDirWriter(out, "text") as new:
        for utterance, (recording, speaker) in utterances.items():
            new.segment(Segment(utterance, recording, 0.0, 1.5))
            new.write("utt2spk", utterance, speaker)
        new.table("wav.scp", {recording: "x.wav" for recording, _ in utterances.values()})
        assert not out.joinpath("wav.scp").exists()
    (out / "text").unlink()  # it was to be there, empty as it is
    assert DataDir(out).validate() == []
    assert read_table(out / "spk2utt") == invert({u: speaker for u, (_, speaker) in utterances.items()})


def test_a_writer_that_fails_leaves_the_earlier_directory_whole(tmp_path):
    old = make(tmp_path / "data", {"a": [1.0]})
    before = {path.name: path.read_bytes() for path in old.path.iterdir()}
    with pytest.raises(DataError, match="white space"), DataDirWriter(old.path) as new:
        new.write("wav.scp", "b", "b.wav")
        new.write("utt2x", "b", "1")
        new.write("text", "b c", "x")
    assert {path.name: path.read_bytes() for path in old.path.iterdir()} == before
    with DataDirWriter(old.path) as new:
        new.write("wav.scp", "b", "b.wav")
    assert sorted(path.name for path in old.path.iterdir()) == ["conf.yaml", "wav.scp"]


def test_a_subset_written_over_another_leaves_nothing_of_it(tmp_path):
    data = make(tmp_path / "all", TWO)
    data.subset(["a-0"], tmp_path / "some")
    write_table(tmp_path / "some/utt2old", {"a-0": "x"})
    again = data.subset(["b-0"], tmp_path / "some")
    assert list(again.segments) == ["b-0"]
    assert not (tmp_path / "some/utt2old").exists()


LENGTHS = st.lists(st.integers(1, 400).map(lambda n: n / 4), min_size=1, max_size=4)
RECORDINGS = st.dictionaries(st.sampled_from("abcdefgh"), LENGTHS, min_size=1, max_size=8)


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file() and p.name != "conf.yaml"}


@settings(max_examples=10)  # every example syncs some thirty files to disk
@given(RECORDINGS, st.integers(1, 5), st.booleans())
def test_split_then_combine_gives_the_same_bytes(tmp_path_factory, recordings, n, segments):
    tmp_path = tmp_path_factory.mktemp("split")
    if not segments:
        recordings = {recording: lengths[:1] for recording, lengths in recordings.items()}
    data = make(tmp_path / "all", recordings, segments)
    parts = data.split(n, tmp_path / "parts")
    assert len(parts) == min(n, len(recordings))
    held = [set(part.wav) for part in parts]
    assert sum(map(len, held)) == len(recordings)  # no recording is in two parts
    loads = [sum(part.utt2dur.values()) for part in parts]
    longest = max(sum(lengths) for lengths in recordings.values())
    assert max(loads) - min(loads) <= longest  # longest first: no part is ahead by more than one recording
    combined = DataDir.combine(parts, tmp_path / "again")
    assert contents(combined.path) == contents(data.path)
    for first, second in zip(parts, data.split(n, tmp_path / "twice"), strict=True):
        assert contents(first.path) == contents(second.path)


def test_split_measures_bytes_where_no_table_tells_the_length(tmp_path):
    for name, size in (("a", 900), ("b", 400), ("c", 400)):
        (tmp_path / name).write_bytes(b"\0" * size)
    write_table(tmp_path / "wav.scp", {name: str(tmp_path / name) for name in "abc"})
    assert [set(part.wav) for part in DataDir(tmp_path).split(2, tmp_path / "two")] == [{"a"}, {"b", "c"}]
    by_argument = DataDir(tmp_path).split(2, tmp_path / "given", durations={"a": 1.0, "b": 1.0, "c": 5.0})
    assert [set(part.wav) for part in by_argument] == [{"c"}, {"a", "b"}]
    with pytest.raises(ValueError, match="at least one"):
        DataDir(tmp_path).split(0, tmp_path / "none")


def test_combine_keeps_common_tables_and_all_skipped_lines(tmp_path):
    one, two = make(tmp_path / "1", {"a": [1.0]}), make(tmp_path / "2", {"b": [2.0]})
    write_table(one.path / "utt2mer", {"a-0": "0.1"})
    (one.path / "skipped.txt").write_text("x missing\n")
    (two.path / "skipped.txt").write_text("w silence\n")
    both = DataDir.combine([one, tmp_path / "2"], tmp_path / "both")
    assert list(both.segments) == ["a-0", "b-0"]
    assert not (both.path / "utt2mer").exists()
    assert (both.path / "skipped.txt").read_text() == "w silence\nx missing\n"


def test_combine_of_directories_with_and_without_segments(tmp_path):
    one, two = make(tmp_path / "1", {"a": [1.0]}), make(tmp_path / "2", {"b": [2.0]}, segments=False)
    both = DataDir.combine([one, two], tmp_path / "both")
    assert both.segments["b"] == Segment("b", "b", 0.0, None)
    assert both.validate() == []


def test_combine_refuses_an_utterance_that_is_in_two_directories(tmp_path):
    one, two = make(tmp_path / "1", {"a": [1.0]}), make(tmp_path / "2", {"a": [1.0]})
    with pytest.raises(DataError, match="'a-0' is also in another"):
        DataDir.combine([one, two], tmp_path / "both")
    shared = make(tmp_path / "3", {"a": [1.0]}, prefix="other-")
    assert list(DataDir.combine([one, shared], tmp_path / "both").segments) == ["a-0", "other-a-0"]


def test_copies_of_tables_are_none_and_links_that_lead_nowhere_are_named(tmp_path):
    write_table(tmp_path / "wav.scp", {"a": "a.wav"})
    write_table(tmp_path / "text", {"a": "x"})
    for name in ("text.bak", "text.swp", "utt2spk~", "utt2dur.orig", "reco2dur.old"):
        (tmp_path / name).write_bytes(b"\xff")
    assert DataDir(tmp_path).validate() == []
    (tmp_path / "utt2spk").symlink_to("/a drive that is not there/utt2spk")
    assert DataDir(tmp_path).validate() == [
        f"{tmp_path / 'utt2spk'}: a link that leads nowhere, expected a file; correct it"
    ]


def test_what_stands_in_the_place_of_a_table_is_named(tmp_path):
    (tmp_path / "wav.scp").symlink_to("wav.scp")
    with pytest.raises(DataError, match=r"no wav\.scp there, but a link that leads nowhere of its name"):
        DataDir(tmp_path)
    (tmp_path / "wav.scp").unlink()
    write_table(tmp_path / "wav.scp", {"a": "a.wav"})
    (tmp_path / "segments").mkdir()
    os.mkfifo(tmp_path / "text")
    problems = [f"{tmp_path / 'segments'}: a folder, expected a file; correct it",
                f"{tmp_path / 'text'}: not a regular file, expected a file; correct it"]  # fmt: skip
    assert DataDir(tmp_path).validate() == problems


def test_a_packed_wav_scp_is_seen(tmp_path):
    (tmp_path / "wav.scp.gz").write_bytes(gzip.compress(b"a a.wav\n", mtime=0))
    with pytest.raises(DataError, match=r"no wav.scp there, but wav.scp.gz"):
        DataDir(tmp_path)
