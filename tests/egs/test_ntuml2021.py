"""NTUML2021's preparation: lectures out of rows, shards that lack, text as published."""

import sys

import corpora
import pytest

from k2d.datadir import DataDir, read_segments
from k2d.tables import read_table
from k2d.text.units import units

sys.path.insert(0, str(corpora.ROOT / "egs/ntuml2021/k2d1/local"))
from prepare import lectures

sys.path.pop(0)
del sys.modules["prepare"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ntuml2021")
    corpora.ntuml2021(folder / "ML2021_ASR_ST")
    result = corpora.prepare("ntuml2021", folder / "ML2021_ASR_ST", folder / "data")
    assert result.returncode == 0, result.stderr
    return folder, result


def test_sets_keep_the_data_contract(prepared):
    folder, _ = prepared
    for name in ("train", "dev", "dev_long", "test", "test_long"):
        corpora.whole(folder / "data" / name)
    assert DataDir(folder / "data/train").text is None


def test_lectures_are_rebuilt_in_the_order_of_the_rows(prepared):
    folder, result = prepared
    assert "train: lectures by the column file, 2 recordings" in result.stdout
    places = read_segments(folder / "data/train/reference/segments")
    assert {s.recording for s in places.values()} == {
        "ntuml2021-train-ml2021_train_01",
        "ntuml2021-train-ml2021_train_02",
    }
    said = read_table(folder / "data/train/reference/text")
    spoken = [said[s.id] for s in sorted(places.values(), key=lambda s: (s.recording, s.start))]
    published = [text for text, _ in corpora.speech()[:12]]
    assert spoken == published[:2] + published[3:], "all rows in order, but for the one cut off"


def test_the_row_cut_off_is_left_out(prepared):
    folder, result = prepared
    assert "1 × truncated" in result.stdout
    assert "ntuml2021-train-ml2021_train_01-00002" in (folder / "data/rejects.txt").read_text()


def test_full_width_and_traditional_text_count_as_the_same_words(prepared):
    folder, _ = prepared
    text = list(read_table(folder / "data/test/text").values())
    assert units(text[0]) == units(corpora.speech()[16][0])
    assert units(text[1])[:2] == ["这", "个"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.wav"] * 4 + ["b.wav"] * 4, ["a"] * 4 + ["b"] * 4),
        ([f"lec1_{n}.wav" for n in range(8)], ["lec1"] * 8),
        ([f"lec_01-{n:04d}-{n + 1:04d}.wav" for n in range(8)], ["lec_01"] * 8),
        ([""] * 8, None),
        ([f"{chr(97 + n)}x.wav" for n in range(8)], None),
    ],
)
def test_names_of_audio_tell_lectures(names, expected):
    assert lectures(names) == expected


def test_without_names_rows_make_recordings(tmp_path):
    corpora.ntuml2021(tmp_path / "corpus", with_file=False)
    result = corpora.prepare("ntuml2021", tmp_path / "corpus", tmp_path / "data", "--sets", "dev")
    assert result.returncode == 0, result.stderr
    assert "no column tells the lectures" in result.stdout
    assert list(DataDir(tmp_path / "data/dev_long").wav) == ["ntuml2021-dev-block0000"]


def test_a_missing_shard_is_named(tmp_path):
    folder = corpora.ntuml2021(tmp_path / "corpus")
    next(folder.glob("data/train-00000-*")).unlink()
    refused = corpora.prepare("ntuml2021", folder, tmp_path / "data")
    assert refused.returncode == 1
    assert "train has 2 shards and 00000 are missing" in refused.stderr


def test_other_columns_are_not_the_corpus(tmp_path):
    rows = [{"audio": {"bytes": b"x", "path": "x"}, "transcription": "x"}]
    features = {name: corpora.NTUML_FEATURES[name] for name in rows[0]}
    (tmp_path / "data").mkdir()
    corpora.write_parquet(tmp_path / "data/train-00000-of-00001.parquet", rows, features)
    refused = corpora.prepare("ntuml2021", tmp_path, tmp_path / "out")
    assert "looked for the columns audio, transcription, translation, found audio, transcription" in refused.stderr
