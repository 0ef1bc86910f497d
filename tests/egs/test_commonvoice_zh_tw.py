"""Common Voice zh-TW's preparation: the release directory, clips joined by speaker, mp3, lengths."""

import shutil
from itertools import pairwise

import corpora
import numpy as np
import pytest

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir, read_segments
from k2d.tables import read_table

RATE = 16000


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cv")
    release = corpora.common_voice(folder)
    result = corpora.prepare("commonvoice_zh_tw", release, folder / "data")
    assert result.returncode == 0, result.stderr
    return folder, release, result


@pytest.fixture
def release(prepared, tmp_path):
    """A copy of the release, to be damaged."""
    whole = prepared[1].parent
    return shutil.copytree(whole, tmp_path / whole.name) / "zh-TW"


def test_sets_keep_the_data_contract(prepared):
    folder, _, _ = prepared
    for name in ("train", "dev", "dev_long", "test", "test_long"):
        corpora.whole(folder / "data" / name)
    assert DataDir(folder / "data/train").text is None


def test_clips_of_one_speaker_make_a_recording(prepared):
    folder, _, _ = prepared
    train = DataDir(folder / "data/train")
    assert len(train.wav) == 2 == len(set(train.utt2spk.values()))
    places = read_segments(folder / "data/train/reference/segments")
    for recording in train.wav:
        own = sorted((s for s in places.values() if s.recording == recording), key=lambda s: s.start)
        assert [s.id for s in own] == sorted(s.id for s in own), "the order of the table"
        for before, after in pairwise(own):
            assert after.start - before.end == pytest.approx(0.3, abs=0.001)


def test_an_utterance_is_the_clip_at_16_khz(prepared):
    folder, _, _ = prepared
    opened = open_utterances(DataDir(folder / "data/test"))
    text = read_table(folder / "data/test/text")
    spoken = dict(corpora.speech()[14:20])
    compared = 0
    for utterance, said in text.items():
        if said in spoken:
            ours, original = opened[utterance], spoken[said]
            length = min(len(ours), len(original))
            # mp3 delays by some hundred samples: the best of the lags is what counts.
            ours, original = ours[:length], original[: length - 2000]
            lag = np.correlate(ours, original, "valid").argmax()
            assert np.corrcoef(ours[lag : lag + len(original)], original)[0, 1] > 0.95
            compared += 1
    assert compared >= 4


def test_missing_and_cut_off_clips_are_left_out(prepared):
    folder, _, result = prepared
    assert "1 × missing, 1 × wrong duration" in result.stdout
    assert len(read_table(folder / "data/train/reference/text")) == 8


def test_a_sentence_with_a_quotation_mark_is_one_sentence(prepared):
    folder, _, _ = prepared
    assert sum(text.startswith('"') for text in read_table(folder / "data/test/text").values()) == 1
    assert len(read_table(folder / "data/test/text")) == 6


def test_training_on_validated_clips_keeps_out_the_speakers_of_tests(prepared, tmp_path):
    _, release, _ = prepared
    options = ("--sets", "train", "--train_from", "validated")
    result = corpora.prepare("commonvoice_zh_tw", release.parent, tmp_path / "data", *options)
    assert result.returncode == 0, result.stderr
    said = set(read_table(tmp_path / "data/train/reference/text").values())
    assert "另外一位" in said
    assert said.isdisjoint(read_table(release.parents[1] / "data/test/text").values())


def test_recordings_are_at_most_ten_minutes(prepared, tmp_path):
    """As the tables say: a speaker of many clips gives several recordings."""
    _, release, _ = prepared
    name = "common_voice_zh-TW_17380000.mp3"
    client = "cd" * 64
    row = dict.fromkeys(corpora.CV_COLUMNS, "")
    clips = tmp_path / "zh-TW/clips"
    clips.mkdir(parents=True)
    rows, lengths = [], []
    for number in range(12):
        (clips / f"c{number}.mp3").write_bytes((release / "clips" / name).read_bytes())
        rows.append({**row, "client_id": client, "path": f"c{number}.mp3", "sentence": "好"})
        lengths.append({"clip": f"c{number}.mp3", "duration[ms]": "100000" if number < 11 else "4000"})
    for table in ("train", "dev", "test", "validated"):
        corpora.write_tsv(tmp_path / f"zh-TW/{table}.tsv", corpora.CV_COLUMNS, rows)
    corpora.write_tsv(tmp_path / "zh-TW/clip_durations.tsv", ("clip", "duration[ms]"), lengths)
    result = corpora.prepare("commonvoice_zh_tw", tmp_path, tmp_path / "data", "--sets", "train")
    assert "no folder above says which version" in result.stderr
    # Five clips of 100 s and their gaps fit, and the copies are all too short but the last.
    assert list(DataDir(tmp_path / "data/train").wav) == ["cv-train-cdcdcdcdcdcd-0002"]


def test_counts_of_a_known_release_are_checked(release, tmp_path):
    known = release.parents[1] / "cv-corpus-16.1-2023-12-06"
    release.parent.rename(known)
    refused = corpora.prepare("commonvoice_zh_tw", known / "zh-TW", tmp_path / "data", counts="stated")
    assert refused.returncode == 1
    assert "Common Voice zh-TW 16.1" in refused.stderr and "test: 6 instead of 4,976" in refused.stderr
    old = tmp_path / "cv-corpus-9.0-2022-04-27"
    known.rename(old)
    refused = corpora.prepare("commonvoice_zh_tw", old, tmp_path / "data", counts="stated")
    assert "version 9.0, expected 16 or later" in refused.stderr


def test_another_folder_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "clips").mkdir()
    refused = corpora.prepare("commonvoice_zh_tw", tmp_path, tmp_path / "data")
    assert refused.returncode == 1
    assert "looked for clips/, train.tsv, dev.tsv, test.tsv, validated.tsv" in refused.stderr
    assert "found clips/" in refused.stderr


def test_a_damaged_release_is_named(release, tmp_path):
    clip = sorted((release / "clips").iterdir())[-1]
    clip.write_bytes(b"\0" * 500)
    left_out = corpora.prepare("commonvoice_zh_tw", release, tmp_path / "data", "--sets", "test")
    assert left_out.returncode == 0, left_out.stderr
    assert clip.name.removesuffix(".mp3") in (tmp_path / "data/rejects.txt").read_text()
    assert len(read_table(tmp_path / "data/test/text")) == 5
    table = release / "test.tsv"
    table.write_bytes(table.read_bytes()[:-30])  # cut off in its last line
    refused = corpora.prepare("commonvoice_zh_tw", release, tmp_path / "data")
    assert refused.returncode == 1
    assert f"{table}:7: fewer fields than the header has; unpack it again" in refused.stderr
