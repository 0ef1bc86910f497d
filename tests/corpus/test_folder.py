"""A folder of recordings as people have it → a data directory."""

import json
import os
import pydoc
import re
import signal
import sys
import tempfile
from pathlib import Path

import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "egs"))
import corpora

from k2d.audio.inputs import SOUND, VIDEO
from k2d.bin import recordings
from k2d.corpus.folder import prepare_folder
from k2d.datadir import DataDir
from k2d.errors import BadAudio
from k2d.tables import read_table, write_table
from k2d.transcribers import open_transcriber
from k2d.work.lock import DirectoryLock


def write(path: Path, seconds: float = 1.5, level: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, [level, -level] * round(seconds * 8000), 16000)
    return path


def prepare(folder: Path, out: Path) -> int:
    return recordings.main(["--recordings", str(folder), "--output_dir", str(out)])


def test_every_kind_is_found_named_and_listed(tmp_path, capsys):
    folder, out = corpora.mixed_folder(tmp_path / "my lectures", sentences=1), tmp_path / "data/mine"
    assert prepare(folder, out) == 0
    said = capsys.readouterr().out
    data = DataDir(out)
    assert data.validate() == []
    assert set(data.wav) == {"intro", "intro.2", "end", "screen", "two_ears", "課程_一_第一講_介紹", "課程_一_phone",
                             "課程_一_-2024.01.02_1", "課程_一_week_2_talk_one", "課程_一_week_2_talk_two",
                             "課程_一_week_2_talk_three", "課程_一_week_2_intro"}  # fmt: skip
    assert len({Path(path).suffix for path in data.wav.values()}) == 11
    assert re.search(r"^mine +\d\.\d\d +12 +12 ", said, re.MULTILINE)
    assert "1 × duplicate, 1 × other format, 1 × truncated" in said
    assert "ignored 1 other file: 1 .pdf" in said
    assert "transcripts beside 1 of 12 recordings (1 .srt)" in said
    assert f"--labels text:{out}/labels" in said
    rejects = (tmp_path / "data/mine_rejects.txt").read_text()
    assert "copy of intro.wav: the same file as" in rejects
    assert "broken.mp4: truncated" in rejects and "talk three.mkv: another format of talk three.wav" in rejects
    listed = [line.split("\t") for line in (out / "recordings.tsv").read_text().splitlines()[1:]]
    assert {row[0]: row[2] for row in listed} == dict(data.wav)
    assert [row[3] for row in listed if row[3]] == [str(folder / "課程 一/第一講 介紹.srt")]


def test_the_data_directory_says_what_made_it_and_of_what(tmp_path):
    out = tmp_path / "data/x"

    def record() -> dict:
        assert prepare(tmp_path / "in", out) == 0
        return json.loads((out / "step.json").read_text())

    write(tmp_path / "in/one.wav")
    first = record()
    assert first["step"] == "recordings" and first["inputs"]["recordings"]["path"] == str(tmp_path / "in")
    assert {"command", "options", "revision", "machine", "started", "finished"} <= first.keys()
    assert {"wav.scp", "utt2dur", "recordings.tsv"} <= first["outputs"].keys()
    assert record() == first, "nothing has changed"
    write(tmp_path / "in/two.wav", 2)
    assert record()["key"] != first["key"]


def test_a_preparation_signs_only_what_it_has_made_and_removes_what_a_killed_one_left(tmp_path):
    for name in ("x", "x_long"):
        write(tmp_path / f"{name}/one.wav")
    assert prepare(tmp_path / "x_long", tmp_path / "data/x_long") == 0
    others = (tmp_path / "data/x_long/step.json").read_bytes()
    for path in (tmp_path / "data/x/.half.tmp", tmp_path / "data/x_long/.another_writes_it.tmp"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert prepare(tmp_path / "x", tmp_path / "data/x") == 0
    assert (tmp_path / "data/x_long/step.json").read_bytes() == others
    assert [path.name for path in tmp_path.glob("data/*/.*.tmp")] == [".another_writes_it.tmp"]


def test_what_another_command_made_is_not_overwritten(tmp_path, capsys):
    write(tmp_path / "talks/a.wav")
    labels = tmp_path / "data/talks_teacher"
    write_table(labels / "wav.scp", {"a": "a.wav"})
    (labels / "step.json").write_text(json.dumps({"step": "label", "key": "k", "outputs": {"wav.scp": 8}}))
    assert prepare(tmp_path / "talks", labels) == 1
    assert "holds what label made; give another --output_dir" in capsys.readouterr().err
    assert read_table(labels / "wav.scp") == {"a": "a.wav"}


def test_two_preparations_of_one_corpus_at_a_time_are_refused(tmp_path, capsys):
    write(tmp_path / "in/one.wav")
    with DirectoryLock(tmp_path / "data/x_preparation"):
        assert prepare(tmp_path / "in", tmp_path / "data/x") == 1
        assert "data/x_preparation: in use by " in capsys.readouterr().err
        assert not (tmp_path / "data/x").exists()
        assert prepare(tmp_path / "in", tmp_path / "data/y") == 0
    given = json.loads((tmp_path / "data/y/step.json").read_text())["arguments"]
    assert given == {"recordings": str(tmp_path / "in"), "output_dir": str(tmp_path / "data/y"), "nj": given["nj"]}


def test_what_is_being_read_is_not_changed_and_what_is_done_may_be_read(tmp_path, capsys):
    out = tmp_path / "data/x"
    write(tmp_path / "in/one.wav")
    (tmp_path / "in/one.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    assert prepare(tmp_path / "in", out) == 0
    before = {path: path.lstat().st_ino for path in out.rglob("*.srt")}
    with DirectoryLock(out, shared=True):
        assert prepare(tmp_path / "in", out) == 0
        assert before and {path: path.lstat().st_ino for path in out.rglob("*.srt")} == before
        tables = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
        write(tmp_path / "in/two.wav", 2)
        write(tmp_path / "other/three.wav", 3)
        for folder in ("in", "other"):
            assert prepare(tmp_path / folder, out) == 1
            assert "data/x: in use by " in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == tables
    assert prepare(tmp_path / "in", out) == 0


@pytest.mark.parametrize("place", ["data", "disk"])
def test_recordings_of_another_folder_take_the_place_and_the_earlier_ones_come_back(tmp_path, capsys, place):
    one, other, out = tmp_path / "one", tmp_path / "other", tmp_path / "data/x"
    if place == "disk":
        (tmp_path / "disk/x").mkdir(parents=True)
        (tmp_path / "data").mkdir()
        out.symlink_to(tmp_path / "disk/x")
    write(one / "a.wav")
    write(other / "b.wav", 2)
    assert prepare(one, out) == 0
    (out / "notes").write_text("mine")
    first = (out / "step.json").read_bytes()
    assert prepare(other, out) == 0
    assert f"x was made from {one} in place of {other}: moved to {tmp_path}/{place}/.k2d/x/" in capsys.readouterr().err
    assert read_table(out / "wav.scp") == {"b": str(other / "b.wav")} and not (out / "notes").exists()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.mp3").write_bytes(b"")
    assert prepare(tmp_path / "bad", out) == 1 and read_table(out / "wav.scp").keys() == {"b"}, "nothing to put there"
    assert "x was moved back and is as it was" in capsys.readouterr().err
    assert prepare(one, out) == 0
    assert "was moved back from" in capsys.readouterr().err
    assert (out / "step.json").read_bytes() == first and (out / "notes").read_text() == "mine"
    write(one / "c.wav", 2)
    assert prepare(one, out) == 0
    assert read_table(out / "wav.scp").keys() == {"a", "c"} and (out / "notes").exists(), "updated where it is"
    assert "moved" not in capsys.readouterr().err
    assert prepare(other, out) == 0
    write(one / "d.wav", 3)
    assert prepare(one, out) == 0
    assert read_table(out / "wav.scp").keys() == {"a", "c", "d"} and (out / "notes").exists(), "grown while aside"
    assert len(list((tmp_path / f"{place}/.k2d/x").iterdir())) == 1


@pytest.mark.parametrize("last", ["k2d.work.step._move", "k2d.corpus.folder._link"])
def test_a_preparation_from_another_folder_that_was_killed_is_not_mixed_with_the_earlier_one(
    tmp_path, monkeypatch, last
):
    one, other, out = tmp_path / "one", tmp_path / "other", tmp_path / "data/x"
    write(one / "a.wav")
    write(other / "b.wav", 2)
    assert prepare(one, out) == 0
    first = (out / "step.json").read_bytes()
    does = pydoc.locate(last)

    def dies(*given):
        does(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        try:
            monkeypatch.setattr(last, dies)
            prepare(other, out)
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert not (out / "step.json").exists()
    assert prepare(one, out) == 0
    assert (out / "step.json").read_bytes() == first and read_table(out / "wav.scp").keys() == {"a"}
    assert prepare(other, out) == 0
    assert read_table(out / "wav.scp").keys() == {"b"}


def test_tables_made_by_hand_are_not_overwritten(tmp_path, capsys):
    data = tmp_path / "data/mine"
    write(tmp_path / "in/one.wav")
    data.mkdir(parents=True)
    for name in ("wav.scp", "text", "segments"):
        (data / name).write_text("x y\n")
    assert prepare(tmp_path / "in", data) == 1
    assert "data/mine: holds files that no step.json explains" in capsys.readouterr().err
    assert sorted(path.name for path in data.iterdir()) == ["segments", "text", "wav.scp"]
    with pytest.raises(SystemExit):
        prepare(tmp_path / "in", "/")
    assert prepare(tmp_path / "nothing", tmp_path / "data/new") == 1 and not (tmp_path / "data/new").exists()


def test_labels_beside_recordings_are_read_as_ready_transcripts(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "data/x"
    for name in ("a", "b b", "c", "d", "e", "f", "g"):
        write(folder / f"{name}.wav", level=0.1 + 0.05 * "abcdefg".index(name[0]))
    (folder / "a.json").write_text(json.dumps({"segments": [{"start": 0.0, "end": 1.0, "text": "好 one"}]}))
    (folder / "b b.txt").write_text("好 two\n")
    (folder / "c.info.json").write_text(json.dumps({"title": "of a downloader"}))
    (folder / "d.json").write_text(json.dumps({"formats": []}))
    (folder / "d.zh-TW.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\n好 four\n")
    (folder / "e.srt").write_bytes("1\n00:00:00,000 --> 00:00:01,000\n國立\n".encode("big5"))
    (folder / "f.txt").write_text("0:00\n好\n0:01\nsix\n")
    (folder / "g.txt").write_text("[00:00.000 --> 00:01.000]  好 seven\n")
    assert prepare(folder, out) == 0
    said = capsys.readouterr().out
    assert "transcripts beside 4 of 7 recordings (2 .txt, 1 .json, 1 .vtt)" in said
    assert "unusable: 2 transcripts beside recordings" in said and f"{out / 'recordings.tsv'} has them all" in said
    listed = [line.split("\t") for line in (out / "recordings.tsv").read_text().splitlines()[1:]]
    unusable = {row[0]: row[4] for row in listed if row[4]}
    assert unusable.keys() == {"e", "f"} and "begin with times" in unusable["f"]
    assert unusable["e"].startswith(f"{folder / 'e.srt'}:3: not UTF-8")
    assert sorted(path.name for path in (out / "labels").iterdir()) == ["a.json", "b_b.txt", "d.vtt", "g.txt"]
    ready = open_transcriber(f"text:{out / 'labels'}", DataDir(out))
    texts = {name: ready.segments(name, 1.5, timed=True)[0].text.strip() for name in ("a", "b_b", "d", "g")}
    assert texts == {"a": "好 one", "b_b": "好 two", "d": "好 four", "g": "好 seven"}
    # Labels that have gone are no longer linked.
    (folder / "a.json").unlink()
    assert prepare(folder, out) == 0
    assert sorted(path.name for path in (out / "labels").iterdir()) == ["b_b.txt", "d.vtt", "g.txt"]


def test_labels_of_a_recording_whose_id_is_longer_than_a_file_name_are_found(tmp_path):
    folder = tmp_path / "in"
    path = write(folder / ("課" * 60) / ("講" * 60) / "talk.wav")
    path.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n我們\n")
    assert prepare(folder, tmp_path / "data") == 0
    data = DataDir(tmp_path / "data")
    [name] = data.wav
    assert len(name.encode()) > 255
    ready = open_transcriber(f"text:{tmp_path / 'data/labels'}", data)
    assert ready.segments(name, 1.5, timed=True)[0].text.strip() == "我們"


def test_a_transcript_that_was_refused_is_not_called_missing(tmp_path):
    folder, data = tmp_path / "in", tmp_path / "data"
    write(folder / "good.wav", 3.0)
    write(folder / "bad.wav", 4.0)
    (folder / "good.txt").write_text("hello")
    (folder / "bad.txt").write_text("Wang 00:01\nhello\nLi 00:02\nhi\n")
    prepare_folder(folder, data)
    labels = open_transcriber(f"text:{data / 'labels'}", data=DataDir(data))
    with pytest.raises(BadAudio, match=r"bad: unusable transcript; .*/bad.txt: lines end with times, .* stage 1 again"):
        labels.segments("bad", 4.0, timed=True)
    assert [segment.text for segment in labels.segments("good", 3.0, timed=True)] == [" hello"]


def test_transcripts_in_forms_that_are_not_read_are_told(tmp_path, capsys):
    folder = tmp_path / "in"
    for number, name in enumerate("abcde"):
        write(folder / f"{name}.wav", level=0.1 + 0.05 * number)
    (folder / "a.lrc").write_text("[00:00.00]好\n")
    (folder / "b.en.ttml").write_text("<tt/>\n")
    (folder / "c.json").write_text(json.dumps({"recognizedPhrases": [{"offset": "PT1S"}]}))
    (folder / "c.info.json").write_text(json.dumps({"title": "of a downloader"}))
    (folder / "d.docx").write_bytes(b"PK\3\4")
    (folder / "d.tsv").write_text("start\tend\ttext\n0\t1000\t好\n")  # so that nothing is lost
    (folder / "e.json").write_text('{"segments": [{"start": 0, "e')
    (folder / "slides.docx").write_bytes(b"PK\3\4")  # of no recording
    assert prepare(folder, tmp_path / "data/x") == 0
    said = capsys.readouterr().out
    assert "transcripts beside 1 of 5 recordings (1 .tsv)" in said
    assert "passed over: 3 transcripts beside recordings" in said
    assert "not read (1 .lrc, 1 .ttml, 1 .json of speech services)" in said
    assert f"such as {folder}/a.lrc; convert them to .srt" in said and "ffmpeg -i TALK.lrc TALK.srt" in said
    assert f"unusable: 1 transcript beside recordings, the first: {folder}/e.json: not understood (no JSON" in said
    assert "2 .docx" in (tmp_path / "data/x_preparation.md").read_text()


def test_which_of_several_languages_is_taken_is_told(tmp_path, capsys):
    write(tmp_path / "in/a.wav")
    for language in ("en", "zh"):
        (tmp_path / f"in/a.{language}.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n國立\n")
    assert prepare(tmp_path / "in", tmp_path / "data/x") == 0
    assert f"such as {tmp_path}/in/a.en.srt in place of a.zh.srt; if" in capsys.readouterr().out
    (tmp_path / "in/a.en.srt").unlink()
    assert prepare(tmp_path / "in", tmp_path / "data/x") == 0
    assert "in place of a." not in capsys.readouterr().out


def test_names_that_no_table_can_hold_and_links_in_circles(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "data/x"
    write(folder / "sub/全形　空白 a.caf")
    write(folder / "line\nbreak.wav", level=0.2)
    (folder / "sub/round").symlink_to(folder)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    assert prepare(folder, out) == 0
    assert list(DataDir(out).wav.values()) == [str(folder / "sub/全形　空白 a.caf")]
    said = capsys.readouterr().out
    assert "1 × missing, 1 × unusable name" in said


def test_what_may_not_be_read_is_named_and_the_rest_is_taken(capsys, as_nobody):
    """A folder, a recording, its twin, and subtitles, as a user sees them who may not read them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        out, folder = Path(place) / "data/x", Path(place) / "in"
        for name in ("a", "b", "below/c", "d"):
            write(folder / f"{name}.wav", level=0.1 if name in "ad" else 0.2)
        (folder / "b.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n國立\n")
        for name in ("below", "d.wav", "b.srt"):
            (folder / name).chmod(0)
        with as_nobody(Path(place), folder):
            assert prepare(folder, out) == 0
        for name in ("below", "d.wav", "b.srt"):
            (folder / name).chmod(0o755)
        assert set(DataDir(out).wav) == {"a", "b"}
        rejects = (out.parent / "x_rejects.txt").read_text()
        assert f"{folder}/below: Permission denied; give the right to read this folder" in rejects
        assert f"{folder}/d.wav: out of reach; Permission denied" in rejects
        said = capsys.readouterr().out
        assert prepare(folder, out) == 0  # the files are the same as before
        assert "out of reach" not in (out.parent / "x_rejects.txt").read_text()
        assert "b.srt: cannot be read (Permission denied)" in said


def test_however_a_folder_is_spelt_its_recordings_have_the_same_paths(tmp_path, monkeypatch):
    write(tmp_path / "lectures/a.wav")
    (tmp_path / "recipe").mkdir()
    monkeypatch.chdir(tmp_path / "recipe")
    for spelt in ("../lectures", tmp_path / "lectures/", tmp_path / "recipe/../lectures"):
        assert prepare(Path(spelt), Path("data/x")) == 0
        assert DataDir("data/x").wav == {"a": str(tmp_path / "lectures/a.wav")}


def test_where_the_sound_beside_a_video_is_broken_the_video_is_taken(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "data/x"
    write(folder / "a.mp4.wav").rename(folder / "a.mp4")
    (folder / "a.flac").write_bytes(b"fLaC")
    (folder / "a.wav").touch()
    (folder / "b.wav").touch()
    (folder / "b.mp3").touch()
    write(folder / "a.webm.wav", level=0.2).rename(folder / "a.webm")
    for _ in range(2):  # with what the first has remembered
        assert prepare(folder, out) == 0
        assert DataDir(out).wav == {"a": str(folder / "a.mp4")}
        said = dict(line.split(": ", 1) for line in (tmp_path / "data/x_rejects.txt").read_text().splitlines())
        assert {Path(path.removeprefix("x ")).name for path in said} == {"a.flac", "a.wav", "a.webm", "b.wav", "b.mp3"}
        assert said[f"x {folder / 'a.webm'}"] == "another format of a.mp4, which is used"


def test_of_two_copies_the_one_with_a_transcript_is_taken(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "data/x"
    write(folder / "a.wav")
    write(folder / "b.wav").with_suffix(".txt").write_text("好\n")
    assert prepare(folder, out) == 0
    assert list(DataDir(out).wav) == ["b"]


def test_what_cannot_be_a_folder_of_recordings_is_refused_and_what_was_there_stays(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "data/x"
    write(folder / "a.wav")
    assert prepare(folder, out) == 0
    before = (out / "wav.scp").read_text()
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.mp3").write_bytes(b"")
    (tmp_path / "bad/notes.docx").write_bytes(b"x")
    write(tmp_path / "line\nbreak/a.wav")
    for path, message in (
        ("nowhere", "no such folder"),
        ("in/a.wav", "is a file; give the folder it lies in"),
        ("empty", "looked for audio or video files"),
        ("bad", "nothing is left (left out: 1 × empty)"),
        ("line\nbreak", "no table can hold this name; rename the file, or the folder"),
    ):
        assert prepare(tmp_path / path, out) == 1
        assert message in capsys.readouterr().err
    assert (out / "wav.scp").read_text() == before


def test_a_text_without_times_cannot_label_a_long_recording(tmp_path):
    write(tmp_path / "long.wav", 31)
    (tmp_path / "long.txt").write_text("好 " * 20)
    assert prepare(tmp_path, tmp_path / "data/x") == 0
    ready = open_transcriber(f"text:{tmp_path / 'data/x/labels'}", DataDir(tmp_path / "data/x"))
    with pytest.raises(BadAudio, match="cannot be cut into chunks"):
        ready.segments("long", 31.0, timed=True)


def test_the_docs_list_every_ending_that_is_taken_from_a_folder():
    page = (Path(__file__).parents[2] / "docs/recordings.md").read_text(encoding="utf-8")
    assert [ending for ending in SOUND + VIDEO if f"`{ending}`" not in page] == []


def test_recordings_that_only_share_their_stem_are_all_used(tmp_path):
    """A recorder that counts from 1 again; two formats of one recording are of one length, or nearly."""
    folder = tmp_path / "lec"
    for name, seconds in (("REC1.flac", 11.0), ("REC1.ogg", 11.1), ("REC1.wav", 7.0), ("REC1.aiff", 7.0)):
        write(folder / name, seconds)
    prepared = prepare_folder(folder, tmp_path / "data/recordings")
    used = {name: recording.path.name for name, recording in prepared.recordings.items()}
    assert used == {"REC1": "REC1.aiff", "REC1.flac": "REC1.flac"}
    said = {Path(reject.id).name: reject.message for reject in prepared.account.rejects}
    assert said["REC1.ogg"].endswith("another format of REC1.flac, which is used")
    assert said["REC1.wav"].endswith("another format of REC1.aiff, which is used")


def test_a_transcript_belongs_to_the_recording_whose_name_is_longest(tmp_path):
    folder = tmp_path / "lec"
    for name in ("talk.wav", "talk.part2.flac"):
        write(folder / name)
    (folder / "talk.part2.txt").write_text("of part two")
    prepared = prepare_folder(folder, tmp_path / "data/recordings")
    assert {name: path.name for name, path in prepared.labels.items()} == {"talk.part2": "talk.part2.txt"}
