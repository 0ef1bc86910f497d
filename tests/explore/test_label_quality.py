"""What was said in a chunk, the one measure of its label, and the pages that show both."""

import base64
import io
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import soundfile
from PIL import Image

from k2d.bin.audit import main as audit_main
from k2d.bin.explore import main
from k2d.bin.report import main as report
from k2d.datadir import DataDir, Segment, write_segments
from k2d.errors import DataError
from k2d.explore.label_quality import label_quality
from k2d.explore.sounds import located
from k2d.explore.spectrogram import HEIGHT, LEVELS, PALETTE, WIDTH, spectrogram
from k2d.tables import read_table, write_numbers, write_table
from k2d.work.models import ModelRecord, write_record

LABELS = {
    "rec-0000000-0001000": "<|0.00|>今天 讲 attention<|10.00|>",
    "rec-0001000-0002000": "<|0.00|>谢谢 大家 收看 再见<|10.00|>",
    "rec-0002000-0003000": "<|0.00|>model 的 decode<|10.00|>",
    "other-0000000-0001000": "<|0.00|>没有 reference<|10.00|>",
}
SAID = {
    "s1": Segment("s1", "rec", 0.5, 9.5),
    # Its middle lies in the third chunk, its first two units in the second.
    "s2": Segment("s2", "rec", 18.0, 24.0),
    "s3": Segment("s3", "rec", 45.0, 46.0),
}
TEXTS = {"s1": "今天讲 attention", "s2": "看 model 的 decoder 好 吗", "s3": "好"}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Chunks with sound, their scores and references, as the stages leave them."""
    monkeypatch.chdir(tmp_path)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(160000) / 16000)
    soundfile.write("tone.wav", tone, 16000)
    write_table("chunks/wav.scp", dict.fromkeys(LABELS, "tone.wav"))
    write_table("chunks/text", LABELS)
    write_numbers("chunks/utt2dur", dict.fromkeys(LABELS, 10.0))
    write_table("reference/text", TEXTS)
    write_segments("reference/segments", SAID.values())
    for name in ("mer", "per", "comp"):
        write_numbers(f"scores/utt2{name}", dict(zip(LABELS, (0.0, 0.55, 0.25, 0.9), strict=True)))
    write_table("scores/text", LABELS)
    return tmp_path


def test_units_belong_to_the_chunk_in_which_they_are_said(corpus):
    quality = label_quality(DataDir("chunks"), "reference")
    spoken = {chunk: " ".join(units) for chunk, units in quality.references.spoken.items()}
    assert spoken == {
        "rec-0000000-0001000": "今 天 讲 attention",
        "rec-0001000-0002000": "看 model",
        "rec-0002000-0003000": "的 decoder 好 吗",
    }
    assert (quality.references.uncovered, quality.references.total) == (1, 11)
    rates = [counts.text_rate for counts in quality.chunks.values()]
    assert rates == [0, 7 / 2, 4 / 4]  # a recording without any reference is not judged


def test_a_reference_utterance_that_is_called_like_a_chunk_hides_no_other(corpus):
    """mini_cs names its true utterances as chunks are named; where both are cut alike, the ids are the same."""
    chunk = "rec-0000000-0001000"
    write_table("reference/text", {chunk if key == "s1" else key: text for key, text in TEXTS.items()})
    named = [Segment(chunk if s.id == "s1" else s.id, "rec", s.start, s.end) for s in SAID.values()]
    write_segments("reference/segments", sorted(named, key=lambda segment: segment.id))
    quality = label_quality(DataDir("chunks"), "reference")
    assert [counts.text_rate for counts in quality.chunks.values()] == [0, 7 / 2, 4 / 4]


def test_a_unit_a_little_outside_belongs_to_the_nearest_chunk(corpus):
    write_table("reference/text", {"s": "早"})
    for middle, held in ((30.4, 1), (30.6, 0)):
        write_segments("reference/segments", [Segment("s", "rec", middle - 1, middle + 1)])
        quality = label_quality(DataDir("chunks"), "reference")
        assert len(quality.references.spoken["rec-0002000-0003000"]) == held


def test_references_by_chunk_are_the_same_measure(corpus):
    by_time = label_quality(DataDir("chunks"), "reference")
    write_table("said", {chunk: " ".join(units) for chunk, units in by_time.references.spoken.items()})
    assert label_quality(DataDir("chunks"), "said").chunks == by_time.chunks


def test_references_without_a_time_or_of_other_recordings_are_named(corpus):
    write_segments("reference/segments", [Segment("s1", "rec", 0.0, None), *list(SAID.values())[1:]])
    with pytest.raises(DataError, match="'s1' has no end"):
        label_quality(DataDir("chunks"), "reference")
    write_segments("reference/segments", [Segment(i, "elsewhere", s.start, s.end) for i, s in SAID.items()])
    with pytest.raises(DataError, match="not one recording"):
        label_quality(DataDir("chunks"), "reference")
    write_table("said", {"nobody": "好"})
    with pytest.raises(DataError, match="not one chunk"):
        label_quality(DataDir("chunks"), "said")


def explore(*more: str) -> int:
    return main(["--data", "chunks", "--scores", "validator=scores", *more])


def audit(*more: str) -> int:
    argv = ["--data", "chunks", "--scores", "validator=scores", "--page", "out/audit.html", "--count", "100"]
    return audit_main([*argv, *more])


def payload(path, name: str = "data") -> dict:
    script = rf'id="{name}" type="application/json">(.*?)</script>'
    return json.loads(re.search(script, path.read_text(), re.DOTALL)[1])


def test_the_explorer_and_the_report_give_the_same_figures(corpus):
    assert explore("--output_dir", "page", "--reference", "reference") == 0
    page = payload(corpus / "page/explorer.html")
    shown = {card["id"]: card["true_error"] for card in page["sample"] if "true_error" in card}
    quality = label_quality(DataDir("chunks"), "reference")
    assert shown == {chunk: counts.text_rate for chunk, counts in quality.chunks.items()}

    record = ModelRecord("labels", "student", "text:none", "full", data="chunks")
    write_record("exp/labels", record)
    arguments = ["--exp", "exp", "--models", "labels", "--test_sets", "none", "--output_dir", "exp/report"]
    arguments += ["--train_data", "chunks", "--reference", "reference", "--scores", "validator:scores"]
    assert report(arguments) == 0
    text = (corpus / "exp/report/RESULTS.md").read_text()
    found = page["analysis"]
    assert (found["bad"], found["chunks"]) == (2, 3)
    for name, row in found["metrics"].items():
        recall, precision = row["mean_recall"][0], row["mean_precision"][0]
        assert f"| validator | {name} | {recall:.2f} | {precision:.2f} | 2 | 3 |" in text
        recalls = " | ".join(f"{value:.2f}" for value, _, _ in row["recall"])
        assert f"| validator | {name} | {recalls} |" in text


def picture(uri: str) -> np.ndarray:
    """(height, width, 3) of a data URI."""
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


@pytest.mark.parametrize("command", [explore, audit])
def test_every_player_has_its_spectrogram_within_the_pages_room(corpus, command):
    assert command("--output_dir", "out") == 0
    page = corpus / "out" / f"{'audit' if command is audit else 'explorer'}.html"
    audio = payload(page, "sounds")
    assert sorted(audio) == sorted(LABELS)
    sizes = [len(sound) + len(image) for sound, image in audio.values()]
    assert all(sound.startswith("data:audio/") and picture(image).shape[0] == HEIGHT for sound, image in audio.values())
    assert command("--output_dir", "out", "--audio_mb", f"{2.5 * max(sizes) / 1e6}") == 0
    assert len(payload(page, "sounds")) == 2 == len(payload(page)["with_sound"])


def test_a_spectrogram_shows_a_tone_that_rises():
    time = np.arange(16000 * 20) / 16000
    chirp = np.sin(2 * np.pi * (200 + 150 * time / 2) * time).astype(np.float32)
    rows = picture(spectrogram(chirp))
    assert rows.shape[0] == HEIGHT and WIDTH - 2 <= rows.shape[1] <= WIDTH
    loudest = rows.sum(axis=2).argmax(axis=0)  # row of each frame, counted from above
    assert loudest[20] > loudest[200] > loudest[380]


def test_its_colours_are_matplotlibs():
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, LEVELS))[:, :3]
    assert (255 * colours).astype(np.uint8).tobytes() == PALETTE


def test_silence_has_a_picture_too():
    assert picture(spectrogram(np.zeros(1600, np.float32))).shape[0] == HEIGHT


def test_a_page_made_in_another_folder_finds_its_sounds_and_says_when_it_cannot(corpus, tmp_path, monkeypatch, capsys):
    (corpus / "elsewhere").mkdir()
    monkeypatch.chdir(corpus / "elsewhere")
    options = ["--data", "../chunks", "--scores", "validator=../scores"]
    assert main([*options, "--output_dir", "page"]) == 0
    assert sorted(payload(Path("page/explorer.html"))["with_sound"]) == sorted(LABELS)
    (corpus / "tone.wav").rename(corpus / "gone.wav")
    capsys.readouterr()
    assert main([*options, "--output_dir", "silent"]) == 0
    assert "no sound for 4 sampled chunks: tone.wav: missing" in capsys.readouterr().err
    silent = payload(Path("silent/explorer.html"))
    assert silent["with_sound"] == []
    assert silent["sound_note"].startswith("The audio of 4 cannot be read (tone.wav: missing")


def test_a_data_directory_that_was_moved_whole_keeps_its_sounds(corpus):
    write_table("chunks/wav.scp", dict.fromkeys(LABELS, "old/chunks/audio/tone.wav"))
    (corpus / "chunks/audio").mkdir()
    (corpus / "tone.wav").rename(corpus / "chunks/audio/tone.wav")
    assert located("old/chunks/audio/tone.wav:12", Path("chunks")) == f"{corpus.resolve()}/chunks/audio/tone.wav:12"
    assert located("cat tone.wav |", Path("chunks")) == "cat tone.wav |"
    assert explore("--output_dir", "page") == 0
    assert len(payload(corpus / "page/explorer.html")["with_sound"]) == 4


def test_the_text_of_a_page_ends_no_script(corpus):
    write_table("chunks/text", {**read_table("chunks/text"), "rec-0000000-0001000": "</script><b>x"})
    assert explore("--output_dir", "page") == 0
    assert "</script><b>x" not in (corpus / "page/explorer.html").read_text()
