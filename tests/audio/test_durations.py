"""utt2dur and reco2dur of directories that lack them: what reading gives, measured once."""

import os

import numpy as np
import pytest
import soundfile

from k2d.audio import sources
from k2d.audio.durations import make_durations, recording_seconds, utterance_seconds
from k2d.audio.stamps import FileStamps
from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir, Segment, write_segments
from k2d.tables import read_numbers, write_numbers, write_table

RATE = 16000


@pytest.fixture
def data(tmp_path):
    """Recordings of 1 and 2.5 s, and one that is missing."""
    folder = tmp_path / "data"
    rng = np.random.default_rng(0)
    for name, seconds in (("a", 1), ("b", 2.5)):
        soundfile.write(tmp_path / f"{name}.flac", rng.uniform(-0.1, 0.1, round(seconds * RATE)), RATE)
    write_table(folder / "wav.scp", {name: str(tmp_path / f"{name}.flac") for name in "abc"})
    return folder


def durations(folder, name="utt2dur"):
    return read_numbers(folder / name)


def test_what_can_be_read_is_measured_and_the_rest_is_named(data):
    bad = make_durations(DataDir(data), nj=2)
    assert durations(data) == {"a": 1.0, "b": 2.5}
    assert list(bad) == ["c"] and bad["c"].startswith("missing: ") and "no such file" in bad["c"]
    assert DataDir(data).validate() == []


def test_what_has_no_samples_takes_away_no_other_duration(data, tmp_path):
    soundfile.write(tmp_path / "c.flac", np.empty(0), RATE, format="WAV")
    write_table(data / ".durations", {"c": f"0.0000 {FileStamps()(str(tmp_path / 'c.flac'))}"})
    segments = [Segment("a-1", "a", 0.25, 1), Segment("a-2", "a", 0.9999, None), Segment("b-1", "b", 1, 1.01)]
    write_segments(data / "segments", segments)
    assert make_durations(DataDir(data))["c"].startswith("too short: ")
    assert durations(data, "reco2dur") == {"a": 1.0, "b": 2.5}
    assert durations(data) == {"a-1": 0.75}


def test_nothing_is_measured_twice_but_what_has_changed(data, tmp_path):
    make_durations(DataDir(data))
    written = (data / "utt2dur").stat().st_ino
    path = tmp_path / "a.flac"
    status, size = path.stat(), len(path.read_bytes())
    path.write_bytes(bytes(size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(make_durations(DataDir(data))) == ["c"], "a is not opened"
    assert (data / "utt2dur").stat().st_ino == written, "nor is the table written"
    soundfile.write(path, np.full(4 * RATE, 0.1), RATE)
    make_durations(DataDir(data))
    assert durations(data) == {"a": 4.0, "b": 2.5}


def test_a_length_is_not_believed_once_the_audio_is_another(data, tmp_path):
    make_durations(DataDir(data))
    assert recording_seconds(DataDir(data)) == utterance_seconds(DataDir(data)) == {"a": 1.0, "b": 2.5}
    soundfile.write(tmp_path / "b.flac", np.full(5 * RATE, 0.1), RATE)
    again = DataDir(data)
    assert recording_seconds(again) == utterance_seconds(again) == {"a": 1.0}
    assert sources.recordings(again).seconds("b") == open_utterances(again).duration("b") == 5.0


def test_entries_that_came_with_the_data_stay(data):
    write_numbers(data / "utt2dur", {"a": 7.0})
    make_durations(DataDir(data))
    assert durations(data) == {"a": 7.0, "b": 2.5}
    make_durations(DataDir(data))
    assert durations(data) == {"a": 7.0, "b": 2.5}


def test_a_length_that_came_with_the_data_is_measured_once_the_audio_is_replaced(data, tmp_path):
    write_numbers(data / "utt2dur", {"a": 7.0, "b": 2.5})
    make_durations(DataDir(data))
    soundfile.write(tmp_path / "a.flac", np.full(4 * RATE, 0.1), RATE)
    assert recording_seconds(DataDir(data)) == {"b": 2.5}, "the old length is not believed"
    make_durations(DataDir(data))
    assert durations(data) == {"a": 4.0, "b": 2.5}
    write_numbers(data / "utt2dur", {"a": 3.0, "b": 2.5})
    make_durations(DataDir(data))
    assert durations(data) == {"a": 3.0, "b": 2.5}, "what somebody has written stays, till the next one"


def test_a_directory_that_grows_and_shrinks(data, tmp_path):
    make_durations(DataDir(data))
    write_table(data / "wav.scp", {name: str(tmp_path / f"{name[0]}.flac") for name in ("a", "a2")})
    make_durations(DataDir(data))
    assert durations(data) == {"a": 1.0, "a2": 1.0}


def test_segments_have_utt2dur_and_recordings_reco2dur(data):
    segments = [Segment("a-1", "a", 0.25, 1), Segment("b-1", "b", 1.0, None), Segment("c-1", "c", 1.0, None)]
    write_segments(data / "segments", segments)
    make_durations(DataDir(data))
    assert durations(data, "reco2dur") == {"a": 1.0, "b": 2.5}
    assert durations(data) == {"a-1": 0.75, "b-1": 1.5}


def test_commands_are_measured_only_when_they_may_run(data, tmp_path):
    write_table(data / "wav.scp", {"a": f"cat {tmp_path / 'a.flac'} |"})
    assert "--allow_pipes" in make_durations(DataDir(data))["a"] and not (data / "utt2dur").exists()
    assert make_durations(DataDir(data), allow_pipes=True) == {} and durations(data) == {"a": 1.0}
