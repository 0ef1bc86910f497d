"""ASCEND's preparation: both published forms, sessions in spoken order, what is left out, what is refused."""

import os
import subprocess
import sys

import corpora
import numpy as np
import pytest

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir, read_segments
from k2d.score.corpus import score
from k2d.score.scored import RESULT, TextCounts, write_counts
from k2d.tables import read_table, write_table
from k2d.text.units import units

RATE = 16000


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ascend")
    corpora.ascend_parquet(folder / "ASCEND")
    result = corpora.prepare("ascend", folder / "ASCEND", folder / "data")
    assert result.returncode == 0, result.stderr
    return folder, result


def test_sets_keep_the_data_contract(prepared):
    folder, _ = prepared
    for name in ("train", "dev", "dev_long", "test", "test_long"):
        corpora.whole(folder / "data" / name)
    assert DataDir(folder / "data/train").text is None, "labels of the training set are not for training"
    assert not DataDir(folder / "data/test_long").has_segments


def test_a_session_is_put_together_in_the_order_spoken(prepared):
    folder, _ = prepared
    published = {row["id"]: row for row in corpora.ascend_rows("test")}
    places = sorted(read_segments(folder / "data/test/segments").values(), key=lambda s: s.start)
    starts = [float(published[s.id.rsplit("-", 1)[1]]["name"].split("_")[3]) for s in places]
    assert starts == sorted(starts)
    assert [s.id for s in places] != sorted(s.id for s in places), "ids alone would give another order"


def test_an_utterance_is_the_published_clip(prepared):
    folder, _ = prepared
    opened = open_utterances(DataDir(folder / "data/test"))
    spoken = dict(corpora.speech())
    for row in corpora.ascend_rows("test")[2:6]:
        ours, published = opened[f"ascend-test-ses03-{row['id']}"], spoken[row["transcription"]]
        assert 0 <= len(ours) - len(published) < 8
        assert np.abs(ours[: len(published)] - published).max() < 1e-4


def test_tags_are_no_words_and_scoring_folds_the_rest(prepared):
    folder, _ = prepared
    text = read_table(folder / "data/test/text")
    published = {f"ascend-test-ses03-{row['id']}": row["transcription"] for row in corpora.ascend_rows("test")}
    assert "unk" not in units(" ".join(text.values()))
    assert "ascend-test-ses03-00006" not in text, "nothing but a tag"
    wide = text["ascend-test-ses03-00001"]
    assert wide == published["ascend-test-ses03-00001"]
    # Full-width letters in the reference and plain ones in the hypothesis are the same words.
    plain = {i: t.translate({c + 0xFEE0: c for c in range(ord("a"), ord("z") + 1)}) for i, t in text.items()}
    assert score(text, plain).total.errors == 0


def test_long_form_text_is_that_of_its_utterances(prepared):
    folder, _ = prepared
    places = sorted(read_segments(folder / "data/test/segments").values(), key=lambda s: s.start)
    text = read_table(folder / "data/test/text")
    long = read_table(folder / "data/test_long/text")
    assert long == {"ascend-test-ses03": " ".join(text[s.id] for s in places)}


def test_missing_and_cut_off_clips_are_named_with_reasons(prepared):
    folder, result = prepared
    assert "1 × missing, 1 × wrong duration" in result.stdout
    rejects = (folder / "data/rejects.txt").read_text()
    assert "train ascend-train-ses01-00000: " in rejects and "missing" in rejects
    assert "the corpus says 9.00 s" in rejects
    left = read_table(folder / "data/train/reference/text")
    assert len(left) == 8 and "ascend-train-ses01-00000" not in left


def test_languages_and_topics_stand_beside_the_utterances(prepared):
    folder, _ = prepared
    assert set(read_table(folder / "data/test/utt2topic").values()) == {"education", "sports"}
    assert set(read_table(folder / "data/test/utt2language").values()) <= {"zh", "mixed", "en"}


def test_a_second_run_makes_only_what_changed(prepared):
    folder, _ = prepared
    made = {p: p.stat().st_mtime_ns for p in (folder / "data/audio").rglob("*.flac")}
    (folder / "data/audio/test/ascend-test-ses03.flac").unlink()
    again = corpora.prepare("ascend", folder / "ASCEND", folder / "data")
    assert again.returncode == 0, again.stderr
    changed = [p.name for p, time in made.items() if p.stat().st_mtime_ns != time]
    assert changed == ["ascend-test-ses03.flac"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_original_form_gives_the_same_sets(prepared, tmp_path, packed):
    folder, _ = prepared
    corpus = corpora.ascend_original(tmp_path / "ASCEND")
    if packed:
        corpus = corpora.zipped(corpus, tmp_path / "ASCEND.zip")
    result = corpora.prepare("ascend", corpus, tmp_path / "data", "--sets", "train test")
    assert result.returncode == 0, result.stderr
    for name in ("train/reference/text", "train/utt2dur", "test_long/text", "test/utt2topic"):
        assert set(read_table(tmp_path / "data" / name).values()) == set(read_table(folder / "data" / name).values())


def test_what_another_command_made_is_not_overwritten(prepared, tmp_path):
    for name in ("my_train_long", "my_test_long"):  # the first is never written
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "step.json").write_text('{"step": "label"}')
    refused = corpora.prepare("ascend", prepared[0] / "ASCEND", tmp_path / "data", "--prefix", "my_")
    assert refused.returncode == 1 and "data/my_test_long: holds what label made" in refused.stderr
    assert not (tmp_path / "data/my_train").exists()


def test_another_release_is_refused_unless_asked_for(prepared, tmp_path):
    folder, result = prepared
    assert "WARNING: ASCEND: these are not the files of the stated release" in result.stderr
    refused = corpora.prepare("ascend", folder / "ASCEND", tmp_path / "data", counts="stated")
    assert refused.returncode == 1
    assert "train: 10 instead of 9,869" in refused.stderr and "COUNTS=any" in refused.stderr
    assert not (tmp_path / "data/train").exists()


def test_another_folder_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music/song.mp3").write_bytes(b"x")
    refused = corpora.prepare("ascend", tmp_path / "music", tmp_path / "data")
    assert refused.returncode == 1
    assert "does not look like ASCEND: looked for main/*.parquet" in refused.stderr
    assert "found song.mp3" in refused.stderr
    nowhere = corpora.prepare("ascend", "", tmp_path / "data")
    assert "db.sh: ASCEND is empty" in nowhere.stderr


def test_a_damaged_download_is_named(tmp_path):
    folder = corpora.ascend_parquet(tmp_path / "ASCEND")
    shard = folder / "main/test-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    refused = corpora.prepare("ascend", folder, tmp_path / "data")
    assert refused.returncode == 1
    assert f"{shard}: no parquet file" in refused.stderr and "download it again" in refused.stderr
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git lfs pull" in corpora.prepare("ascend", folder, tmp_path / "data").stderr


def test_error_rates_by_language_and_topic_are_added_to_the_results_once(tmp_path):
    data, decoded = tmp_path / "data/test", tmp_path / "exp/teacher/decode_test/score"
    data.mkdir(parents=True)
    write_table(data / "utt2language", {"a": "zh", "b": "mixed", "c": "zh"})
    write_table(data / "utt2topic", {"a": "sports", "b": "sports", "c": "education"})
    write_counts(decoded, TextCounts({"a": 1, "b": 2, "c": 0}, {"a": 4, "b": 4, "c": 6}, dict.fromkeys("abc", "talk")))
    (decoded / RESULT).write_text("{}")
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\nThe tables of every recipe.\n")
    command = [sys.executable, str(corpora.ROOT / "egs/ascend/k2d1/local/score_groups.py")]
    command += ["--data", "data/test", "--exp", "exp", "--output", "RESULTS.md"]
    command += ["--models", "teacher student_comp"]
    environment = {**os.environ, "PYTHONPATH": str(corpora.ROOT)}
    for _ in range(2):
        subprocess.run(command, cwd=tmp_path, check=True, env=environment, capture_output=True)
    text = results.read_text()
    assert text.startswith("# Results\n\nThe tables of every recipe.\n\n## By language label\n")
    # zh: 1 error in 10 units, mixed: 2 in 4; sports: 3 in 8.
    assert text.count("| teacher | 50.00 | 10.00 |") == 1
    assert text.count("| teacher | 0.00 | 37.50 |") == 1
    assert text.count("| student_comp | – | – |") == 2
