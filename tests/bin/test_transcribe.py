"""`k2d transcribe`: what people have on their disks in, text and subtitles out, and one line on what was left out."""

import io
import json
import os
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from decoding_material import REAL

from k2d.audio import inputs
from k2d.bin import transcribe
from k2d.errors import CheckpointError, UsageError
from k2d.whisper import checkpoint

FAST = ["--temperatures", "0", "--max_new_tokens", "24", "--engine", "torch", "--language", "zh"]


@pytest.fixture
def run(small_model, capsys):
    def call(*words, expected=0):
        assert transcribe.main([*map(str, words), "--model", str(small_model), *FAST]) == expected
        return capsys.readouterr()

    return call


@pytest.fixture
def tree(noise_recordings, tmp_path):
    """talk.wav, and in a folder below it talk.wav, 會議 1.wav, a video cut short, a text file and a hidden file."""
    folder = tmp_path / "my tree"
    below = folder / "week 2"
    below.mkdir(parents=True)
    shutil.copy(noise_recordings["b"], folder / "talk.wav")
    shutil.copy(noise_recordings["b"], below / "talk.wav")
    shutil.copy(noise_recordings["e"], below / "會議 1.wav")
    (below / "cut.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (below / "notes.txt").write_text("buy milk")
    (below / ".hidden.wav").write_bytes(b"")
    return folder


def test_it_prints_segments_in_the_order_of_the_files(run, noise_recordings):
    files = [noise_recordings["e"], noise_recordings["b"]]
    printed = run(*files)
    heads = [line for line in printed.out.splitlines() if line.startswith("# ")]
    assert heads == [f"# {file} (zh)" for file in files] and "00:00:0" in printed.out
    assert "transcribe: 2 files, 15.5 s of audio in " in printed.err and "times real time" in printed.err


def test_a_folder_is_searched_and_what_is_no_audio_is_named(run, tree, tmp_path):
    out = tmp_path / "out"
    printed = run(tree, "--output_format", "txt,srt", "--output_dir", out, expected=1)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        "talk.srt", "talk.txt", "week 2/talk.srt", "week 2/talk.txt", "week 2/會議 1.srt", "week 2/會議 1.txt",
    ]  # fmt: skip
    assert f"left out {tree}/week 2/cut.mp4: truncated; " in printed.err
    last = printed.err.splitlines()[-1]
    assert "3 files, 18.5 s of audio" in last and f"left out 1: {tree}/week 2/cut.mp4" in last
    assert last.endswith(f"not audio, ignored: {tree}/week 2/notes.txt")
    assert ".hidden" not in printed.err and "wav.scp" not in printed.err
    (tree / "week 2/cut.mp4").unlink()
    run(tree, "--output_format", "txt", "--output_dir", out)  # a text file beside recordings is no mistake


def test_outputs_beside_the_recordings_keep_their_names_in_the_next_run(run, tree):
    (tree / "week 2/cut.mp4").unlink()
    run(tree, "--output_format", "txt", "--output_dir", tree)
    made = sorted(path.name for path in tree.rglob("*.txt"))
    assert made == ["notes.txt", "talk.txt", "talk.txt", "會議 1.txt"]
    run(tree, "--output_format", "txt", "--output_dir", tree)
    assert sorted(path.name for path in tree.rglob("*.txt")) == made


def test_a_folder_without_audio_and_an_output_that_is_no_folder(run, tree, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/notes.txt").write_text("buy milk")
    printed = run(tmp_path / "texts", expected=1)
    assert f"transcribe: nothing was transcribed; not audio, ignored: {tmp_path}/texts/notes.txt" in printed.err
    printed = run(tree / "talk.wav", "--output_dir", tree / "week 2/notes.txt", expected=1)
    assert f"{tree}/week 2/notes.txt is not a folder; name another place" in printed.err


def test_a_folder_that_may_not_be_read_is_named_and_the_rest_is_found(noise_recordings, as_nobody):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        for name in ("closed/a.wav", "open/b.wav"):
            (Path(place) / name).parent.mkdir()
            shutil.copy(noise_recordings["b"], Path(place) / name)
        (Path(place) / "open/nothing.txt").touch()
        (Path(place) / "open/gone.txt").symlink_to("nowhere")
        (Path(place) / "closed").chmod(0)
        with as_nobody(place):
            files, nowhere = inputs.gather([place], place)
        (Path(place) / "closed").chmod(0o755)
    assert [file.path for file in files if file.looks_like_audio] == [f"{place}/open/b.wav"]
    assert list(nowhere.values()) == [
        f"{place}/closed: Permission denied; give the right to read this folder, or look at the disk"
    ]


def test_patterns_and_files_that_are_not_there(run, tree, tmp_path):
    printed = run(f"{tree}/*.wav", tree / "talk.wav", "/nowhere.wav", f"{tree}/*.ogg", expected=1)
    assert "1 file, 3.0 s" in printed.err, "named twice, transcribed once"
    assert "/nowhere.wav: no such file or folder" in printed.err
    assert f"{tree}/*.ogg: matches no file" in printed.err
    (tmp_path / "empty/below").mkdir(parents=True)
    printed = run("/nowhere.wav", tmp_path / "empty", expected=1)
    assert "nothing to transcribe" in printed.err and "/empty: no files in this folder\n" in printed.err


def test_all_that_was_named_and_cannot_be_reached_is_named(run, tree, tmp_path):
    gone, itself = tree / "gone.wav", tmp_path / "itself.wav"
    gone.symlink_to("nowhere.wav")
    itself.symlink_to(itself)
    printed = run(gone, itself, tree / "talk.wav", expected=1)
    assert f"{gone}: a link to nowhere.wav, which is not there" in printed.err
    assert f"{itself}: Too many levels of symbolic links" in printed.err
    assert printed.err.splitlines()[-1].endswith(f"left out 2: {gone}, {itself}")
    assert f"{gone}: a link to nowhere.wav" in run(gone, expected=1).err
    assert f"{gone}: a link to nowhere.wav" in run(f"{tree}/g*.wav", expected=1).err


def test_a_folder_that_a_pattern_matches_is_searched(tree, tmp_path):
    files, nowhere = inputs.gather([f"{tree}/w*", f"{tree}/**"], tmp_path)
    assert [str(file.output) for file in files] == ["cut", "notes", "talk.wav", "會議 1", "talk.2.wav"]
    assert not nowhere
    (tmp_path / "e/empty").mkdir(parents=True)
    files, nowhere = inputs.gather([f"{tree}/w*", f"{tmp_path}/e/*"], tmp_path)
    assert files and not nowhere, "an empty folder beside others"
    (tmp_path / "e/-").write_bytes(b"")
    assert [file.path for file in inputs.gather([f"{tmp_path}/e/-*"], tmp_path)[0]] == [f"{tmp_path}/e/-"]
    (tmp_path / "e/-").unlink()
    pattern = f"{tmp_path}/e/*"
    assert inputs.gather([pattern], tmp_path) == ([], {pattern: f"{pattern}: no files there"})


def test_files_in_a_folder_that_may_not_be_entered(noise_recordings, as_nobody):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        closed = Path(place) / "closed"
        closed.mkdir()
        shutil.copy(noise_recordings["b"], closed / "a.wav")
        closed.chmod(0)
        with as_nobody(place):
            files, nowhere = inputs.gather([f"{closed}/a.wav", f"{closed}/*.wav"], place)
        closed.chmod(0o755)
    assert not files
    assert [why.partition(";")[0] for why in nowhere.values()] == [
        f"{closed}: Permission denied", f"{closed}/a.wav: Permission denied",
    ]  # fmt: skip


def test_a_recording_is_never_replaced_by_a_transcript(run, tree, tmp_path, monkeypatch):
    """Whatever it is called; a text of that name may be an output of an earlier run."""
    monkeypatch.chdir(tree)
    odd = Path("odd")
    odd.mkdir()
    shutil.copy("talk.wav", odd / "talk.txt")
    before = (odd / "talk.txt").read_bytes()
    refused = "the txt of odd/talk.txt would replace the recording odd/talk.txt; give another --output_dir"
    assert refused in run(odd, "-f", "srt,txt", "-o", odd, expected=1).err
    assert refused in run(odd / "talk.txt", "-f", "txt", "-o", odd, expected=1).err
    (tmp_path / "link").symlink_to(tree / "odd")
    assert refused in run(odd, "-f", "txt", "-o", tmp_path / "link", expected=1).err
    assert os.listdir(odd) == ["talk.txt"] and (odd / "talk.txt").read_bytes() == before
    run(odd, "-f", "srt", "-o", odd)
    assert sorted(os.listdir(odd)) == ["talk.srt", "talk.txt"]


def test_a_transcript_is_written_when_it_is_there_whatever_comes_before_it(tree, tmp_path):
    """Printed transcripts come in the order of the files, written ones as they are finished."""
    from k2d.audio.inputs import AudioFile
    from k2d.text.transcript import Transcript
    from k2d.transcribers.files import transcribe_files

    class SecondFirst:
        def transcribe(self, names, *_, **__):
            first, second = names
            yield [Transcript(second, 3.0, "zh")]
            assert (tmp_path / "out/second.srt").exists()
            yield [Transcript(first, 3.0, "zh")]

    path = str(tree / "talk.wav")
    files = [AudioFile(path, name, Path(name), True) for name in ("first", "second")]
    made = transcribe_files(SecondFirst(), files, "warn", ["srt"], tmp_path / "out")
    assert made.seconds == 6.0 and (tmp_path / "out/first.srt").exists()


def test_an_output_folder_that_may_not_be_written_is_told_before_the_model_is_loaded(
    noise_recordings, tmp_path, as_nobody, capsys, monkeypatch
):
    monkeypatch.setattr(transcribe, "open_transcriber", lambda *_, **__: pytest.fail("a model is opened"))
    shutil.copy(noise_recordings["b"], tmp_path / "talk.wav")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)  # that of the suite is closed to other users
        shutil.copy(noise_recordings["b"], place)
        (Path(place) / "out").mkdir(mode=0o555)
        with as_nobody(place):
            words = [f"{place}/{noise_recordings['b'].name}", "-o", f"{place}/out", "--model", "base", "-f", "srt"]
            assert transcribe.main(words) == 1
    said = capsys.readouterr().err
    assert f"transcribe: {place}/out: Permission denied; give the right to read and write it" in said
    assert said.rstrip().endswith("and run the command again"), "it does not go on where it stopped"


def test_a_file_that_was_named_and_is_no_audio_is_an_error(run, tree):
    printed = run(tree / "week 2/notes.txt", expected=1)
    assert "notes.txt: not audio; " in printed.err and "left out 1" in printed.err


def test_standard_input(run, tree, tmp_path, monkeypatch):
    audio = (tree / "talk.wav").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(audio), isatty=lambda: False))
    printed = run("-", "-")
    assert printed.out.startswith("# standard input (zh)\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no audio"), isatty=lambda: False))
    printed = run("-", "--output_dir", tmp_path / "out", expected=1)
    assert "left out standard input: not audio; " in printed.err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert "pipe a file" in run("-", expected=1).err


def test_every_form_is_that_of_the_whisper_command(run, noise_recordings, tmp_path):
    run(noise_recordings["b"], "--output-dir", tmp_path / "ours")  # all forms; hyphens for underscores
    ours = {path.suffix: path.read_text() for path in (tmp_path / "ours").iterdir()}
    assert sorted(ours) == [".json", ".srt", ".tsv", ".txt", ".vtt"]
    found = json.loads(ours[".json"])
    assert list(found)[:3] == ["text", "segments", "language"] and found["language"] == "zh"
    assert {"id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob"} <= set(found["segments"][0])
    # openai-whisper's own writers read what we wrote as JSON, and write the same.
    from whisper.utils import get_writer

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for form in ("srt", "tsv", "txt"):
        get_writer(form, str(theirs))(found, "b.wav")
        assert (theirs / f"b.{form}").read_text().strip() == ours[f".{form}"].strip(), form


def test_two_files_of_one_stem_keep_their_endings(run, noise_recordings, tmp_path):
    audio, rate = soundfile.read(noise_recordings["b"])
    for name in ("talk.wav", "talk.flac"):
        soundfile.write(tmp_path / name, audio, rate)
    run(tmp_path / "talk.wav", tmp_path / "talk.flac", "-f", "txt", "-o", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["talk.flac.txt", "talk.wav.txt"]


def test_of_two_files_of_one_name_it_is_said_which_the_numbered_outputs_are_of(run, noise_recordings, tmp_path):
    for folder in ("monday", "friday"):
        (tmp_path / folder).mkdir()
        shutil.copy(noise_recordings["b"], tmp_path / folder / "talk.wav")
    files = tmp_path / "monday/talk.wav", tmp_path / "friday/talk.wav"
    printed = run(*files, "-f", "txt", "-o", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["talk.2.wav.txt", "talk.wav.txt"]
    assert printed.err.splitlines()[-2] == f"transcribe: talk.2.wav.* is {files[1]}"
    assert ".* is" not in run(*files).err, "what is printed has its file above it"


def test_a_file_that_is_called_like_a_command_is_a_file(run, noise_recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(noise_recordings["b"], "touch evaluated |")
    assert "1 file, 3.0 s" in run("touch evaluated |").err
    assert os.listdir() == ["touch evaluated |"]


def test_hotwords_and_prompt_stand_before_every_window(run, small_model, noise_recordings, monkeypatch):
    from k2d.whisper import checkpoint, fallback

    windows = []
    real = fallback._generate

    def seen(engine, ws, *rest):
        windows.extend((w.seek, w.previous) for w in ws)
        return real(engine, ws, *rest)

    monkeypatch.setattr(fallback, "_generate", seen)
    encode = checkpoint.load_tokenizer(small_model).encode
    run(noise_recordings["c"], "--initial_prompt", "今天", "--hotwords", "weather")
    before = encode(" 今天") + encode(" weather")
    assert len(windows) > 1 and all(previous[: len(before)] == before for _, previous in windows)
    assert any(len(previous) > len(before) for _, previous in windows), "the text so far comes behind them"
    windows.clear()
    run(noise_recordings["c"], "--initial_prompt", "今天", "--carry_initial_prompt", "false")
    assert [previous == encode(" 今天") for _, previous in windows][:2] == [True, False]


def test_a_students_folder_is_a_model(small_model, noise_recordings, tmp_path, capsys):
    student = tmp_path / "exp/student_comp"
    shutil.copytree(small_model, student / "average")
    (student / "model.json").write_text("{}")
    shutil.copytree(small_model, tmp_path / "publish/k2d")
    for model in (student, tmp_path / "publish"):
        assert transcribe.main([str(noise_recordings["b"]), "--model", str(model), *FAST]) == 0
    assert capsys.readouterr().out.count("# ") == 2


def test_what_does_not_fit_the_model_is_said_before_it_is_loaded():
    def check(*words):
        transcribe.check(transcribe.parser().parse_args(["talk.mp3", "--model", *words]))

    check("base.en", "--language", "en")
    check("base.en")
    with pytest.raises(UsageError, match=r"--language zh: base.en knows English only; give --language en"):
        check("base.en", "--language", "zh")
    with pytest.raises(UsageError, match=r"no format 'sbv'.*txt, srt, vtt, tsv, json and all"):
        check("base", "--output_format", "sbv")
    with pytest.raises(CheckpointError, match=r"did you mean large-v3-turbo\?"):
        check("large-v3-turb")
    with pytest.raises(UsageError, match="k2d label takes them"):
        check("text:subtitles")


def test_a_language_that_the_model_does_not_know(small_model, noise_recordings, capsys):
    words = [str(noise_recordings["b"]), "--model", str(small_model)]
    assert transcribe.main([*words, "--language", "fr"]) == 1
    assert "language 'fr' is not in this vocabulary; it has: en, zh" in capsys.readouterr().err
    assert transcribe.main([*words, "--language", "Chinese", "--max_new_tokens", "4", "--temperatures", "0"]) == 0
    assert "(zh)" in capsys.readouterr().out


def test_words_have_their_times(speech, tmp_path):
    """Those that openai-whisper finds with a tokenizer of its own, of speech and a real model."""
    from whisper.timing import add_word_timestamps
    from whisper.tokenizer import get_tokenizer

    from k2d.whisper.features import RecordingFeatures

    audio = np.concatenate([speech[0], np.zeros(8000, np.float32), speech[3]])
    soundfile.write(tmp_path / "one.wav", audio, 16000)
    words = ["--model", REAL, "--temperatures", "0", "--word-timestamps", "-f", "json", "-o", str(tmp_path)]
    assert transcribe.main([str(tmp_path / "one.wav"), *words]) == 0
    found = json.loads((tmp_path / "one.json").read_text())
    ours = [word for segment in found["segments"] for word in segment["words"]]
    assert "".join(word["word"] for word in ours).strip() == found["text"]
    assert all(a["start"] <= a["end"] <= b["end"] <= len(audio) / 16000 for a, b in pairwise(ours))

    model = checkpoint.load(REAL).model
    features = RecordingFeatures([audio], 80)
    theirs = [dict(segment) for segment in found["segments"]]
    add_word_timestamps(
        segments=theirs, model=model, tokenizer=get_tokenizer(False), mel=features.window(0, features.frames, False),
        num_frames=features.frames, last_speech_timestamp=0.0,
    )  # fmt: skip
    theirs = [word for segment in theirs for word in segment["words"]]
    assert [word["word"] for word in ours] == [word["word"] for word in theirs]
    assert max(abs(a["start"] - b["start"]) for a, b in zip(ours, theirs)) <= 0.1


def test_words_are_underlined_while_they_are_said(tmp_path):
    """As openai-whisper's --highlight_words does, from the same JSON."""
    from whisper.utils import get_writer

    from k2d.text import subtitles
    from k2d.text.transcript import TimedText, Transcript

    def word(text, start, end):
        return {"word": text, "start": start, "end": end, "probability": 0.5}

    first = [word("我", 0.5, 0.7), word("们", 0.7, 0.9), word(" use", 1.2, 1.5), word(" model。", 1.5, 2.0)]
    second = [word(" it's", 3.0, 3.2), word(" <b>", 3.4, 3.6)]
    transcript = Transcript(
        "r", 4.0, "zh",
        [TimedText(0.5, 2.0, "我们 use model。", words=first), TimedText(3.0, 3.6, " it's <b>", words=second)],
    )  # fmt: skip
    found = json.loads(subtitles.as_json(transcript))
    for form in ("srt", "vtt"):
        ours = subtitles.write(tmp_path / "ours", form, transcript, highlight=True).read_text()
        get_writer(form, str(tmp_path))(found, "theirs.wav", highlight_words=True)
        theirs = (tmp_path / f"theirs.{form}").read_text()
        assert "我们<u> use</u>" not in ours and "我们 <u>use</u> model。" in ours
        if form == "srt":
            assert ours.strip() == theirs.strip()
        else:  # openai-whisper leaves out the hours
            assert ours.replace("00:00:", "00:").strip() == theirs.strip()
    assert "<u>" not in subtitles.write(tmp_path / "plain", "srt", transcript).read_text()
    with pytest.raises(UsageError, match="--highlight_words needs the times of words; give --word_timestamps too"):
        transcribe.check(transcribe.parser().parse_args(["a.mp3", "--model", "base", "--highlight_words"]))


def test_words_after_a_long_silence_of_hot_windows_and_of_a_batch(speech, real):
    """Word times hold where a recording begins with silence, and for windows that were decoded at a temperature, and do
    not depend on what was decoded beside them."""
    from k2d.audio.sources import AudioSource
    from k2d.whisper.decoding import DecodingOptions
    from k2d.whisper.engine_torch import TorchEngine
    from k2d.whisper.long_form import transcribe_all
    from k2d.whisper.words import add_words

    quiet = np.random.default_rng(0).standard_normal(4 * 16000).astype(np.float32) * 1e-4
    audio = {"late": np.concatenate([quiet, speech[0], quiet[:16000], speech[3]]), "other": np.concatenate(speech[:3])}
    engine, source = TorchEngine(real, 1), AudioSource(lambda name: [audio[name]], lambda n: 0.0, lambda n: "")

    def words_of(names, **options):
        decoding = DecodingOptions(language="en", **options)
        found = {transcript.recording: transcript for transcript in transcribe_all(engine, names, source, decoding)}
        for name in names:
            add_words(engine, found[name], [audio[name]])
        return found["late"]

    alone = words_of(["late"], temperatures=(0.0,))
    batch = words_of(["late", "other"], temperatures=(0.0,))
    hot = words_of(["late"], temperatures=(0.4,), best_of=1)
    assert [s.words for s in alone.segments] == [s.words for s in batch.segments]
    assert {s.temperature for s in hot.segments} == {0.4}
    for transcript in (alone, hot):
        words = [word for segment in transcript.segments for word in segment.words]
        assert len(words) > 10 and words[0]["start"] > 3.5
        assert all(word["end"] > word["start"] for word in words)
        assert all(a["end"] <= b["start"] for a, b in pairwise(words))
        for segment in transcript.segments:
            assert segment.start <= segment.words[0]["start"] and segment.words[-1]["end"] <= segment.end


def test_words_of_code_switched_text(small_model):
    from k2d.whisper import words

    tokenizer = checkpoint.load_tokenizer(small_model)
    tokens = tokenizer.encode("我们用 model 来训练 weather")
    said, ids = words._Words(tokenizer, "zh").split_to_word_tokens([*tokens, tokenizer.eot])
    assert [word.strip() for word in said] == ["我", "们", "用", "model", "来", "训", "练", "weather", ""]
    assert [i for word in ids for i in word] == [*tokens, tokenizer.eot]


def test_word_times_are_of_whispers_attention_alone():
    def check(*words):
        transcribe.check(transcribe.parser().parse_args(["talk.mp3", "--word_timestamps", "--model", *words]))

    check("base")
    with pytest.raises(UsageError, match="only Whisper's attention"):
        check("transformers:somewhere")
    with pytest.raises(UsageError, match="needs the attention of --engine torch"):
        check("base", "--dtype", "int8")


def test_damaged_files_are_left_out_where_that_is_asked_for(run, noise_recordings, tmp_path):
    cut = tmp_path / "cut.wav"
    cut.write_bytes(Path(noise_recordings["b"]).read_bytes()[:-9000])
    assert "1 file, " in run(cut).err
    assert f"{cut}: truncated; damaged or cut short" in run(cut, "--damaged", "skip", expected=1).err


def test_names_that_are_no_text_or_as_long_as_can_be_end_no_job(run, noise_recordings, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in (b"bad\xff.wav", b"x" * 251 + b".wav", "長".encode() * 83 + b".wav"):
        shutil.copy(noise_recordings["b"], os.path.join(os.fsencode(folder), name))
    run(folder, "--output_format", "json,srt", "--output_dir", out)
    assert len(list(out.glob("*.json"))) == len(list(out.glob("*.srt"))) == 3
    assert "bad\ufffd.wav" in run(folder).out
