"""`k2d label` on a random model: complete, resumable to the same bytes, never decoding twice."""

import hashlib
import json
import multiprocessing
import os
import random
import signal
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
from decoding_material import random_model, write_data_dir

from k2d.audio.read import read_audio
from k2d.bin import label
from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.label import account
from k2d.tables import read_numbers, read_table, write_table
from k2d.text import timestamps

FAST = ["--temperatures", "0,0.6", "--max_new_tokens", "24", "--batch_size", "3", "--engine", "torch"]


@pytest.fixture
def data(noise_recordings, tmp_path):
    return write_data_dir(tmp_path / "data", noise_recordings)


@pytest.fixture
def run(small_model, data, tmp_path):
    def call(out: str, *options: str, expected: int = 0):
        arguments = ["--model", str(small_model), "--data", str(data), "--output_dir", str(tmp_path / out)]
        assert label.main([*arguments, *FAST, *options]) == expected
        return tmp_path / out

    return call


def digests(folder) -> dict[str, str]:
    """Content of every file of an output directory, apart from what tells the time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("cost.jsonl", "speed.json", "step.json") and path.suffix != ".lock"
    }


def decoded_windows(folder) -> list[tuple[str, int]]:
    return [
        (name, seek)
        for journal in folder.rglob("journal.jsonl")
        for line in journal.read_text().splitlines()
        for name, seek, _ in json.loads(line).get("round", [])
    ]


def test_a_chunk_directory_keeps_the_data_contract(run, noise_recordings, capsys):
    out = run("chunks")
    chunks = DataDir(out)
    assert chunks.validate() == []
    assert not chunks.has_segments
    assert set(chunks.text) == set(chunks.wav) == set(chunks.utt2dur)
    previous = ""
    for name, text in chunks.text.items():
        recording, start, end = name.rsplit("-", 2)
        assert (len(start), len(end)) == (7, 7)
        assert chunks.utt2spk[name] == recording
        audio = read_audio(chunks.wav[name])
        whole = read_audio(noise_recordings[recording])[round(int(start) * 160) : round(int(end) * 160)]
        np.testing.assert_allclose(audio, whole, atol=1.6e-5)
        assert len(audio) / 16000 == pytest.approx(chunks.utt2dur[name], abs=1e-4)
        assert chunks.utt2dur[name] <= 30.0
        assert timestamps.parse(text)[0][0] == 0.0
        assert len(kaldiio.load_mat(chunks.wav[name])[1]) == len(audio)
    by_recording: dict[str, list[str]] = {}
    for name in chunks.text:
        by_recording.setdefault(name.rsplit("-", 2)[0], []).append(name)
    assert set(by_recording) == set(noise_recordings)
    before = read_table(out / "text.prev")
    for names in by_recording.values():
        for previous, name in zip(["", *names], names):
            assert before[name] == (chunks.text[previous] if previous else "")
    for fact in ("avg_logprob", "no_speech", "compression", "temperature", "confidence"):
        assert set(read_numbers(out / f"utt2{fact}")) == set(chunks.text)
    assert (out / "skipped.txt").read_text() == ""
    lines = [json.loads(line) for line in (out / "transcripts.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == sorted(noise_recordings)
    message = capsys.readouterr().out
    assert message.startswith("label: 6 recordings (3.9 min) -> ") and "times real time (encoder " in message
    assert "\nlabel: of 3.9 min, " in message and "% became chunks" in message
    rows = {row.name: row.seconds for row in account.read_account(out)}
    assert rows["recordings"] == pytest.approx(sum(line["duration"] for line in lines), abs=0.01)
    assert rows["chunks"] == pytest.approx(sum(chunks.utt2dur.values()), abs=0.01)

    run("chunks")
    assert capsys.readouterr().out.endswith("is done; nothing to do\n")
    windows = decoded_windows(out)
    assert len(windows) == len(set(windows))


def _killed_run(arguments, moment: int, torn: bool):
    """Run the command and die at the `moment`-th time that something reaches the disk."""
    count = 0
    write, replace, fsync = os.write, os.replace, os.fsync

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def step() -> bool:
        nonlocal count
        count += 1
        return count == moment

    def dying_write(descriptor, content):
        if step():
            if torn:
                write(descriptor, content[: len(content) // 2])
            die()
        return write(descriptor, content)

    def dying_replace(source, target):
        if step():
            die()
        return replace(source, target)

    def dying_fsync(descriptor):
        if step():
            die()
        return fsync(descriptor)

    os.write, os.replace, os.fsync = dying_write, dying_replace, dying_fsync
    label.main(arguments)
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(run, small_model, data, tmp_path):
    whole = run("chunks")
    expected = digests(whole)
    # The same name, for file names are among the bytes.
    whole.rename(tmp_path / "whole")
    arguments = ["--model", str(small_model), "--data", str(data), "--output_dir", str(whole), *FAST]
    rng = random.Random(0)
    # Where there is a GPU it is used already, and does not follow into a fork.
    processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    killed = 0
    for attempt in range(10):
        # Near the start first, later on anywhere in what is left.
        process = processes.Process(target=_killed_run, args=(arguments, rng.randint(1, 14), attempt % 2 == 0))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        killed += process.exitcode == -signal.SIGKILL
    run("chunks")
    assert killed >= 8
    assert digests(whole) == expected
    windows = decoded_windows(whole)
    assert len(windows) == len(set(windows))
    assert not list(whole.rglob(".*.tmp"))


def killed_at(moment: int, arguments) -> None:
    processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    process = processes.Process(target=_killed_run, args=(arguments, moment, False))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("moment", [12, 30, 44])
def test_half_way_work_survives_other_jobs_and_batches(run, small_model, data, tmp_path, moment):
    others = ["--num_jobs", "2", "--batch_size", "2", "--workers", "2"]
    whole = run("chunks", *others)
    expected = digests(whole)
    whole.rename(tmp_path / "whole")
    arguments = ["--model", str(small_model), "--data", str(data), "--output_dir", str(whole), *FAST]
    killed_at(moment, [*arguments, "--num_jobs", "4"])
    before = decoded_windows(whole)
    assert before
    run("chunks", *others)
    windows = decoded_windows(whole)
    assert len(windows) == len(set(windows)), "nothing is decoded twice"
    assert set(windows) == set(decoded_windows(tmp_path / "whole"))
    found = digests(whole)
    outputs = {name for name in expected if not name.startswith("work/")}
    assert {name for name in found if not name.startswith("work/")} == outputs, "nothing of the other split is left"
    # Probabilities are rounded in another batch.
    assert {n: found[n] for n in outputs - {"transcripts.jsonl"}} == {
        n: expected[n] for n in outputs - {"transcripts.jsonl"}
    }
    for ours, theirs in zip(transcripts_of(whole), transcripts_of(tmp_path / "whole"), strict=True):
        assert numbers_apart(ours)[0] == numbers_apart(theirs)[0]
        assert numbers_apart(ours)[1] == pytest.approx(numbers_apart(theirs)[1], abs=1e-3)


def test_finished_work_stays_whatever_the_options_of_speed(run, capsys):
    out = run("chunks")
    record = (out / "step.json").read_bytes()
    run("chunks", "--num_jobs", "3", "--batch_size", "1", "--workers", "2", "--num_threads", "1", "--device", "cpu")
    assert capsys.readouterr().out.endswith("is done; nothing to do\n")
    assert (out / "step.json").read_bytes() == record


def test_a_corpus_that_grows_keeps_its_decoded_windows(run, data, noise_recordings):
    write_data_dir(data, {name: noise_recordings[name] for name in "abc"})
    out = run("chunks")
    windows = decoded_windows(out)
    write_data_dir(data, noise_recordings)
    run("chunks")
    more = decoded_windows(out)
    assert len(more) == len(set(more)) > len(windows)
    assert set(read_table(out / "text")) == set(read_table(run("fresh") / "text"))


def test_audio_replaced_in_place_is_noticed(run, data, tmp_path):
    audio = tmp_path / "z.wav"
    soundfile.write(audio, np.random.default_rng(1).standard_normal(16000 * 20) * 0.1, 16000)
    write_data_dir(data, {"z": audio})
    before = read_table(run("chunks") / "utt2dur")
    soundfile.write(audio, np.random.default_rng(2).standard_normal(16000 * 10) * 0.1, 16000)
    after = read_table(run("chunks") / "utt2dur")
    assert after != before
    assert json.loads((tmp_path / "chunks/step.json").read_text())["inputs"]["data"]["path"] == str(data)


def test_references_are_no_input_of_labelling(run, data, capsys):
    run("chunks")
    (data / "text").write_text("a what was said\n")
    run("chunks")
    assert capsys.readouterr().out.endswith("is done; nothing to do\n")


def test_bad_recordings_are_named_and_the_rest_is_labelled(run, data, tmp_path, capsys):
    (data / "broken.wav").write_bytes(b"RIFF")
    soundfile.write(data / "silent.wav", np.zeros(16000), 16000)
    with open(data / "wav.scp", "a") as handle:
        handle.write(f"v {data / 'broken.wav'}:99999999999\nw {data}/nul\0.wav\nx {data / 'broken.wav'}\n")
        handle.write(f"y {data / 'silent.wav'}\nz touch {tmp_path / 'ran'} |\n")
    out = run("chunks")
    skipped = read_table(out / "skipped.txt")
    assert {name: text.split(":")[0] for name, text in skipped.items()} == {
        "v": "not audio",
        "w": "missing",
        "x": "truncated",
        "y": "silence",
        "z": "command",
    }
    assert not (tmp_path / "ran").exists()  # commands run only when allowed
    assert "5 skipped" in capsys.readouterr().out
    assert not any(name.startswith(("v", "w", "x", "y", "z")) for name in read_table(out / "text"))

    run("strict", "--max_skipped", "2", expected=1)
    assert "5 inputs could not be used, more than --max_skipped 2" in capsys.readouterr().err
    assert not (tmp_path / "strict" / "step.json").exists()


def test_a_command_that_fails_while_chunks_are_copied_is_named(run, data, tmp_path, capsys):
    table = read_table(data / "wav.scp")
    first, path = min(table.items())
    (tmp_path / "once.sh").write_text(f"cat {path}; echo x >> {tmp_path}/ran; test $(wc -l < {tmp_path}/ran) -le $1")
    sources = {**table, first: f"bash {tmp_path}/once.sh $(cat {tmp_path}/times) |"}
    write_table(data / "wav.scp", sources)
    (tmp_path / "times").write_text("2")  # its length is asked for, then it is decoded
    out = run("chunks", "--allow_pipes")
    said = read_table(out / "skipped.txt")[first]
    assert said.startswith("command failed: ") and said.endswith("(decoded, but not read again for its chunks)")
    assert "1 skipped" in capsys.readouterr().out
    recordings = {name.rsplit("-", 2)[0] for name in read_table(out / "text")}
    assert recordings == set(table) - {first}


def test_a_drive_that_vanished_is_read_by_the_next_run_and_nothing_else_again(run, data, tmp_path, capsys):
    jobs = ["--num_jobs", "2"]
    table = read_table(data / "wav.scp")
    first, last = min(table), max(table)
    (drive := tmp_path / "drive").mkdir()
    (drive / "x.wav").write_bytes(Path(table[last]).read_bytes())
    vanish = f"test -e {tmp_path}/was || mv {drive} {tmp_path}/was; cat {table[first]}"  # once the work has begun
    write_table(data / "wav.scp", {**table, first: f"{vanish} |", last: str(drive / "x.wav")})
    out = run("chunks", "--allow_pipes", *jobs)
    assert read_table(out / "skipped.txt")[last].startswith("missing: ")
    assert "1 skipped, of which the next run tries 1 again" in capsys.readouterr().out
    decoded, key = decoded_windows(out), json.loads((out / "step.json").read_text())["key"]

    (tmp_path / "was").rename(drive)
    (tmp_path / "was").touch()
    assert run("chunks", "--allow_pipes", "--begin", *jobs, expected=3) == out
    run("chunks", "--allow_pipes", *jobs)
    assert read_table(out / "skipped.txt") == {}
    assert len(set(decoded_windows(out))) == len(decoded_windows(out))
    assert {name for name, _ in set(decoded_windows(out)) - set(decoded)} == {last}
    assert read_table(out / "text") == read_table(run("fresh", "--allow_pipes") / "text")
    assert json.loads((out / "step.json").read_text())["key"] != key  # what is made of it is made again
    capsys.readouterr()
    run("chunks", "--allow_pipes", *jobs)
    assert capsys.readouterr().out.endswith("is done; nothing to do\n")


def test_nothing_usable_is_an_error(small_model, tmp_path, capsys):
    data = write_data_dir(tmp_path / "none", {"x": "/nowhere.wav"})
    arguments = ["--model", str(small_model), "--data", str(data), "--output_dir", str(tmp_path / "o")]
    assert label.main(arguments) == 1
    assert "none of 1 input could be used" in capsys.readouterr().err


def test_other_options_never_mix_with_old_results(run):
    whole = read_table(run("chunks") / "text")
    out = run("chunks", "--max_new_tokens", "4")
    cut = read_table(out / "text")
    assert cut == read_table(run("fresh", "--max_new_tokens", "4") / "text") != whole
    assert read_table(run("chunks") / "text") == whole  # and back, from the first run's work
    run("chunks", "--beam_size", "2")
    assert len(list((out / "work").iterdir())) == 3


def test_a_changed_recording_is_decoded_again(run, data, tmp_path):
    out = run("chunks")
    before = read_table(out / "text")
    fresh = tmp_path / "b.wav"
    soundfile.write(fresh, np.random.default_rng(9).standard_normal(20 * 16000) * 0.1, 16000)
    table = read_table(data / "wav.scp")
    table["b"] = str(fresh)
    write_data_dir(data, table)
    windows = set(decoded_windows(out))
    run("chunks")
    after = read_table(out / "text")
    assert {n: t for n, t in after.items() if not n.startswith("b-")} == {
        n: t for n, t in before.items() if not n.startswith("b-")
    }
    assert any(n.startswith("b-") and n not in before for n in after)
    assert {name for name, _ in set(decoded_windows(out)) - windows} <= {"b"}


def test_segments_can_point_into_the_recordings(run, noise_recordings):
    copied, pointing = DataDir(run("chunks")), DataDir(run("pointing", "--no_copy"))
    assert pointing.validate() == []
    assert pointing.text == copied.text
    assert set(pointing.wav) == set(noise_recordings)
    for name, segment in pointing.segments.items():
        assert segment.end - segment.start == pytest.approx(copied.utt2dur[name], abs=1e-3)
    assert not (pointing.path / "audio").exists()


def test_jobs_are_joined_to_what_one_run_gives(run, capsys, tmp_path):
    # Rounding follows the number of threads and where memory lies: the words are equal, probabilities nearly.
    one = run("one", "--batch_size", "1")
    run("split", "--batch_size", "1", "--num_jobs", "3", "--job", "2")
    assert not (tmp_path / "split" / "step.json").exists()
    assert "job 2 of 3 is complete" in capsys.readouterr().out
    run("split", "--batch_size", "1", "--num_jobs", "3", "--job", "1")
    run("split", "--batch_size", "1", "--num_jobs", "3", "--job", "1")  # a second time: nothing
    archives = {path: path.stat().st_mtime_ns for path in (tmp_path / "split/audio").glob("job[12]of3/chunks.*.ark")}
    split = run("split", "--batch_size", "1", "--num_jobs", "3")  # does the third and joins
    assert len(archives) == 2, "a job copies its chunks itself"
    assert all(path.stat().st_mtime_ns == written for path, written in archives.items())
    for name, place in read_table(split / "wav.scp").items():
        assert (read_audio(place) == read_audio(read_table(one / "wav.scp")[name])).all()
    assert read_table(split / "text") == read_table(one / "text")
    joined, whole = transcripts_of(split), transcripts_of(one)
    assert [numbers_apart(record)[0] for record in joined] == [numbers_apart(record)[0] for record in whole]
    for ours, theirs in zip(joined, whole, strict=True):
        assert numbers_apart(ours)[1] == pytest.approx(numbers_apart(theirs)[1], abs=1e-3)
    windows = decoded_windows(split)
    assert len(windows) == len(set(windows))


def transcripts_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "transcripts.jsonl").read_text().splitlines()]


def test_copies_of_another_split_do_not_stay(run):
    run("split", "--num_jobs", "3", "--job", "2")
    assert (run("split", "--num_jobs", "2") / "audio/job2of2").exists()
    assert not list((run("split", "--num_jobs", "2") / "audio").glob("*of3"))


def numbers_apart(value) -> tuple[object, list[float]]:
    """A JSON value with None for its fractions, and the fractions in order."""
    numbers: list[float] = []

    def without(part):
        if isinstance(part, float):
            numbers.append(part)
            return None
        if isinstance(part, dict):
            return {key: without(inner) for key, inner in part.items()}
        return [without(inner) for inner in part] if isinstance(part, list) else part

    return without(value), numbers


def test_a_second_process_on_the_same_output_stops(run, tmp_path, capsys):
    from k2d.work.lock import DirectoryLock

    lock = DirectoryLock(tmp_path / "chunks")
    run("chunks", expected=1)
    assert "in use by" in capsys.readouterr().err
    lock.release()
    run("chunks")


def test_subtitles_on_request(run):
    out = run("chunks", "--subtitles", "srt,vtt")
    assert (out / "subtitles" / "a.srt").read_text().startswith("1\n00:00:")
    assert (out / "subtitles" / "a.vtt").read_text().startswith("WEBVTT\n\n00:00:")
    run("other", "--subtitles", "docx", expected=1)


def test_no_id_names_a_file_outside_of_the_folder(run, data, noise_recordings, tmp_path):
    names = ["../../escaped", "/absolute", ".hidden", "a" * 300, "a" * 299 + "b", "會議_1"]
    write_data_dir(data, dict.fromkeys(names, noise_recordings["b"]))
    out = run("chunks", "--subtitles", "srt")
    assert len(list((out / "subtitles").iterdir())) == len(names)
    assert (out / "subtitles" / "會議_1.srt").exists()
    assert not (tmp_path / "escaped.srt").exists()


def test_mixed_languages_replace_one_embedding(tmp_path, data, small_model):
    from k2d.whisper.engine import mix_languages

    model, tokenizer = random_model()
    before = model.decoder.token_embedding.weight.clone()
    mix_languages(model, tokenizer, ("zh", "en"), "zh")
    after = model.decoder.token_embedding.weight
    zh, en = tokenizer.language_token("zh"), tokenizer.language_token("en")
    assert (after[zh] - (before[zh] + before[en]) / 2).abs().max() < 1e-6
    changed = (after != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == [zh]
    with pytest.raises(ValueError, match="fixed --language"):
        mix_languages(model, tokenizer, ("zh", "en"), None)
    with pytest.raises(UsageError, match="--mix_languages: language 'xx' is not in this vocabulary"):
        mix_languages(model, tokenizer, ("zh", "xx"), "zh")


def test_the_engines_agree_on_whole_recordings(run, tmp_path):
    torch_text = read_table(run("chunks") / "text")
    options = ["--engine", "ctranslate2", "--dtype", "float32", "--cache_dir", str(tmp_path / "cache")]
    # --max_new_tokens and sampling are left to torch inside the engine; without them CTranslate2 decodes.
    assert read_table(run("ct2", *options) / "text") == torch_text
