"""COOL's preparation: any tree of recordings, subtitles as labels, hand-corrected test sets."""


import corpora
import pytest
import soundfile

from k2d.bin import label
from k2d.datadir import DataDir
from k2d.tables import read_table
from k2d.text import timestamps

RATE = 16000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cool")
    return folder, corpora.cool(folder)


def options(paths):
    return ("--dev", str(paths["COOL_DEV"]), "--test", str(paths["COOL_TEST"]))


@pytest.fixture(scope="module")
def prepared(corpus):
    folder, paths = corpus
    result = corpora.prepare("cool", paths["COOL"], folder / "data", *options(paths))
    assert result.returncode == 0, result.stderr
    return folder / "data", result


def test_sets_keep_the_data_contract(prepared):
    data, _ = prepared
    for name in ("train", "cool_dev", "cool_test", "cool_test_long"):
        assert DataDir(data / name).validate() == []
    corpora.whole(data / "cool_test")


def test_every_form_of_recording_is_found_and_stays_where_it_is(prepared):
    data, result = prepared
    train = DataDir(data / "train")
    assert {path.rsplit(".", 1)[1] for path in train.wav.values()} == {"mp4", "mp3", "m4a"}
    assert train.utt2spk["CSIE_5043_week_1"] == "CSIE_5043" == train.utt2spk["CSIE_5043_week_2"]
    assert train.utt2dur["微積分_第一週"] == pytest.approx(len(corpora.lecture(10, 5)[0]) / RATE, abs=0.2)
    assert "1 × empty, 1 × truncated" in result.stdout, "and neither the PDF nor the hidden file is a recording"


def test_a_test_set_comes_from_corrected_subtitles(prepared):
    data, result = prepared
    cues = corpora.lecture(19, 4)[1]
    assert list(read_table(data / "cool_test/text").values()) == [text for _, _, text in cues]
    assert read_table(data / "cool_test_long/text") == {"test_01": " ".join(text for _, _, text in cues)}
    assert "1 × empty, 1 × no subtitles" in result.stdout, "and the whole one of two formats is taken"


@pytest.fixture(scope="module")
def labelled(corpus):
    folder, paths = corpus
    out = folder / "ready"
    result = corpora.prepare("cool", paths["COOL"], out, *options(paths), "--subtitles", "true")
    assert result.returncode == 0, result.stderr
    words = ["--model", f"text:{out / 'train/subtitles'}", "--data", str(out / "train")]
    assert label.main([*words, "--output_dir", str(out / "train_subtitles")]) == 0
    return out, result


def test_subtitles_become_chunks_with_timestamps(labelled):
    out, result = labelled
    chunks = DataDir(out / "train_subtitles")
    corpora.whole(chunks.path)
    assert list(chunks.text) == ["CSIE_5043_week_1-0000000-0001969", "CSIE_5043_week_2-0000000-0002317"]
    cues = corpora.lecture(0, 5)[1]
    parsed = timestamps.parse(chunks.text["CSIE_5043_week_1-0000000-0001969"])
    assert [text for _, _, text in parsed] == [text for _, _, text in cues], "mark-up of the cues is gone"
    for (start, end, _), (a, b, _) in zip(parsed, cues, strict=True):
        assert (start, end) == (pytest.approx(a, abs=0.011), pytest.approx(b, abs=0.011))
    assert not (chunks.path / "utt2avg_logprob").exists(), "what no decoder said is not made up"
    assert "3 × no subtitles" in result.stdout


def test_subtitles_of_another_recording_are_not_taken(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    soundfile.write(corpus / "short.wav", corpora.speech()[0][1], RATE)
    corpora.write_srt(corpus / "short.srt", [(n * 10.0, n * 10.0 + 5, "字") for n in range(20)])
    soundfile.write(corpus / "good.wav", corpora.speech()[1][1], RATE)
    corpora.write_srt(corpus / "good.srt", [(0.0, 2.0, "好")])
    soundfile.write(corpus / "big5.wav", corpora.speech()[2][1], RATE)
    (corpus / "big5.srt").write_bytes("1\n00:00:00,000 --> 00:00:01,000\n國立臺灣大學\n".encode("big5"))
    result = corpora.prepare("cool", corpus, tmp_path / "data", "--subtitles", "true")
    assert result.returncode == 0, result.stderr
    assert "2 × unusable subtitles" in result.stdout
    rejects = (tmp_path / "data/rejects.txt").read_text()
    assert "19 of 20 cues end after" in rejects and "big5.srt:3: not UTF-8" in rejects
    assert list(DataDir(tmp_path / "data/train").wav) == ["good"]


def test_a_lecture_in_two_forms_is_taken_once(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    audio = corpora.speech()[0][1]
    soundfile.write(corpus / "week1.flac", audio, RATE)
    corpora.write_video(corpus / "week1.mp4", audio)
    result = corpora.prepare("cool", corpus, tmp_path / "data")
    assert result.returncode == 0, result.stderr
    assert list(DataDir(tmp_path / "data/train").wav.values()) == [str(corpus / "week1.flac")]
    assert "1 × other format" in result.stdout


def test_what_another_command_made_is_not_overwritten(corpus, tmp_path):
    for name in ("dev", "cool_test_long"):  # the first is none of COOL's
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "step.json").write_text('{"step": "label"}')
    refused = corpora.prepare("cool", corpus[1]["COOL"], tmp_path / "data", *options(corpus[1]))
    assert refused.returncode == 1 and "data/cool_test_long: holds what label made" in refused.stderr
    assert not (tmp_path / "data/train").exists()


def test_a_folder_without_recordings_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/week1.pdf").write_bytes(b"%PDF")
    refused = corpora.prepare("cool", tmp_path / "notes", tmp_path / "data")
    assert refused.returncode == 1
    assert "does not look like COOL: looked for audio or video files" in refused.stderr
    assert "found week1.pdf" in refused.stderr
