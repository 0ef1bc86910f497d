"""Stored work survives kills, full disks, changed files and another split, and is shared out evenly."""

import os

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from k2d.audio.stamps import FileStamps
from k2d.datadir import balanced
from k2d.errors import BadAudio, Incomplete
from k2d.work.journal import (
    Journal,
    JsonLines,
    Results,
    bad_inputs,
    costs_of,
    finished_results,
    job_folder,
)

RESULT = {"tokens": [1, 2], "avg_logprob": -0.25, "language": "zh", "text": "今天"}


def test_windows_come_back_exactly(tmp_path):
    journal = Journal(tmp_path, lambda name: "same")
    journal.note_opened("r", 4000, "digest")
    journal.note_round([("r", 0, RESULT), ("s", 30, RESULT)])
    journal.close()
    again = Journal(tmp_path, lambda name: "same")
    assert again.opened("r") == 4000
    assert again.window("r", 0) == RESULT
    assert again.window("s", 30) == RESULT
    assert again.window("r", 30) is None
    assert again.opened("s") is None


def test_a_torn_line_is_cut_off(tmp_path):
    journal = Journal(tmp_path, lambda name: "")
    journal.note_round([("r", 0, RESULT)])
    journal.close()
    whole = (tmp_path / "journal.jsonl").read_bytes()
    with open(tmp_path / "journal.jsonl", "ab") as handle:
        handle.write(whole[:40])
    again = Journal(tmp_path, lambda name: "")
    assert again.window("r", 0) == RESULT
    assert (tmp_path / "journal.jsonl").read_bytes() == whole


def test_a_file_that_was_only_touched_keeps_its_windows_and_a_changed_one_loses_them(tmp_path):
    stamps = {"r": "1", "s": "1"}
    journal = Journal(tmp_path, stamps.__getitem__)
    journal.note_all_opened([("r", 4000, "audio r"), ("s", 4000, "audio s")])
    journal.note_round([("r", 0, RESULT), ("s", 0, RESULT)])
    stamps.update(r="2", s="2")
    again = Journal(tmp_path, stamps.__getitem__)
    assert again.opened("r") is None  # it has to be read again
    again.note_opened("r", 4000, "audio r")
    again.note_opened("s", 4000, "other audio")
    assert again.window("r", 0) == RESULT
    assert again.window("s", 0) is None


def test_what_was_wrong_with_a_recording_comes_back(tmp_path):
    journal = Journal(tmp_path, lambda name: "")
    journal.note_opened("r", BadAudio("x.wav", "truncated", "copy it again"), "")
    found = Journal(tmp_path, lambda name: "").opened("r")
    assert isinstance(found, BadAudio)
    assert (found.source, found.reason, str(found)) == (
        "x.wav",
        "truncated",
        "x.wav: truncated; copy it again",
    )


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    lines = JsonLines(tmp_path / "x.jsonl")
    lines.append({"n": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(OSError, match="No space left"):
        lines.append({"n": 2})
    monkeypatch.undo()
    lines.append({"n": 3})
    assert list(lines) == [{"n": 1}, {"n": 3}]


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(0, 5000), max_size=40), st.integers(1, 7))
def test_jobs_share_the_work_evenly_and_leave_nothing_out(seconds, num_jobs):
    shares = balanced(seconds, num_jobs)
    assert sorted(n for share in shares for n in share) == sorted(seconds)
    loads = [sum(max(seconds[n], 0.01) for n in share) for share in shares]
    # Longest first, each to the least loaded: jobs differ by no more than the longest recording.
    assert max(loads) - min(loads) <= max([*seconds.values(), 0.01]) + 1e-6


def test_results_are_joined_in_order_and_only_when_all_jobs_are_complete(tmp_path):
    for job, ids in ((1, ["c", "a"]), (2, ["d", "b"])):
        results = Results(job_folder(tmp_path, "k", job, 2), "data")
        results.add_all([{"id": i, "job": job} for i in ids])
        results.add_all([{"id": ids[0], "job": "again"}])  # a finished one is not written twice
        if job == 1:
            results.finish()
    with pytest.raises(RuntimeError, match="job2of2 is not complete"):
        list(finished_results(tmp_path, "k", 2))
    results.finish()
    assert [(r["id"], r["job"]) for r in finished_results(tmp_path, "k", 2)] == [
        ("a", 1), ("b", 2), ("c", 1), ("d", 2),
    ]  # fmt: skip


def test_results_of_one_job_and_inputs_that_could_not_be_used(tmp_path):
    for job, ids in ((1, ["c", 'a"b']), (2, ["d", "b"])):
        results = Results(job_folder(tmp_path, "k", job, 2), "data")
        results.add_all([{"id": i, "text": '"bad": says "bad":'} for i in ids])
        results.add_all([{"id": f"x{job}", "bad": "silence", "message": f"silence: {job}"}])
        results.finish()
    assert [record["id"] for record in finished_results(tmp_path, "k", 2, [1])] == ['a"b', "c", "x1"]
    assert bad_inputs(tmp_path, "k", 2) == {"x1": "silence: 1", "x2": "silence: 2"}


def test_results_of_other_audio_are_dropped(tmp_path):
    results = Results(tmp_path, "data 1")
    results.add_all([{"id": "a"}])
    results.finish()
    assert Results(tmp_path, "data 1").complete
    again = Results(tmp_path, "data 2")
    assert not again.complete
    assert again.ids == set()


def test_stamps_follow_the_file_and_the_place_in_an_archive(tmp_path):
    wav = tmp_path / "a.wav"
    soundfile.write(wav, np.zeros(1600), 16000)
    stamps = FileStamps()
    first = stamps(str(wav))
    assert stamps(f"{wav}:100") != stamps(f"{wav}:200")
    os.utime(wav, (1, 1))
    assert FileStamps()(str(wav)) != first
    assert FileStamps()("cat x |") == "cat x |"
    assert "missing" in FileStamps()("/nowhere")


def test_costs_are_summed_over_runs_and_splits(tmp_path):
    for job, num_jobs in ((1, 1), (1, 1), (2, 3)):
        folder = job_folder(tmp_path, "k", job, num_jobs)
        journal = Journal(folder, lambda name: "")
        journal.note_round([("r", 0, RESULT)])
        journal.close()
    costs = costs_of(tmp_path, "k")
    assert costs["windows"] == 3
    assert costs["seconds"] >= 0
    assert costs_of(tmp_path, "another") == {}


def test_windows_are_found_in_the_journals_of_another_split(tmp_path):
    first = Journal(job_folder(tmp_path, "k", 1, 4), lambda name: "same")
    first.note_opened("r", 4000, "digest")
    first.note_round([("r", 0, RESULT), ("s", 30, RESULT)])
    path = first.lines.path
    with open(path, "ab") as handle:  # the other one has just been killed, or is still writing
        handle.write(b'{"round":[["r",60,')
    content = path.read_bytes()
    second = Journal(job_folder(tmp_path, "k", 1, 2), lambda name: "same", ["r"])
    assert second.opened("r") == 4000
    assert second.window("r", 0) == RESULT
    assert second.window("s", 30) is None  # another job's
    assert path.read_bytes() == content, "only its owner writes to a journal"
    assert Journal(job_folder(tmp_path, "k", 2, 2), lambda name: "same", ["s"]).window("s", 30) == RESULT
    assert Journal(job_folder(tmp_path, "other", 1, 2), lambda name: "same", ["r"]).window("r", 0) is None


def test_of_a_recording_that_changed_between_two_splits_the_latest_windows_count(tmp_path):
    for number, (audio, result) in enumerate((("old", RESULT), ("new", {"tokens": [3]}))):
        journal = Journal(job_folder(tmp_path, "k", 1, 9 - number), lambda name, audio=audio: audio)
        journal.note_opened("r", 4000, audio)
        journal.note_round([("r", 0, result)])
        os.utime(journal.lines.path, (number, number))
    found = Journal(job_folder(tmp_path, "k", 1, 1), lambda name: "new", ["r"])
    assert found.opened("r") == 4000
    assert found.window("r", 0) == {"tokens": [3]}


def test_a_job_is_complete_only_while_its_results_are_there(tmp_path):
    folder = job_folder(tmp_path, "k", 1, 1)
    results = Results(folder, "data")
    results.add_all([{"id": "a"}])
    results.finish()
    results.close()
    assert Results(folder, "data").complete and list(finished_results(tmp_path, "k", 1)) == [{"id": "a"}]
    (folder / "results.jsonl").unlink()
    with pytest.raises(Incomplete):
        list(finished_results(tmp_path, "k", 1))
    assert not Results(folder, "data").complete
