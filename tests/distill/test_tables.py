"""`k2d training_tables`: labels, versions, shapes, and the validation set beside them."""

import json
import shutil
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from k2d.bin import encode, training_tables
from k2d.distill.batches import log_mels
from k2d.distill.sources import UtteranceReader, encoder_frames
from k2d.tables import read_table, write_table
from k2d.whisper.processor import KINDS


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def tables(world, *words: str, output: str = "tables") -> Path:
    words = ["--data", str(world.data), "--valid_data", str(world.few), "--output_dir", output, *words]
    assert training_tables.main(words) == 0
    return Path(output)


def test_audio_and_labels_of_both_sets_lie_in_one_folder(world):
    folder = tables(world)
    assert read_table(folder / "text") == read_table(world.data / "text")
    assert read_table(folder / "text.prev") == read_table(world.data / "text.prev")
    assert read_table(folder / "valid/text") == read_table(world.few / "text")
    assert not (folder / "valid/text.prev").exists()
    assert len(UtteranceReader(str(folder / "wav.scp"))) == 12
    for of, data in ((folder, world.data), (folder / "valid", world.few)):
        durations = read_table(data / "utt2dur")
        assert read_table(of / "frames_shape") == {u: str(round(float(d) * 50)) for u, d in durations.items()}


def test_frames_are_counted_in_one_way(world):
    """0.29 s · 50 is 14.499999999999998 and 0.58 · 50 is 28.999999999999996."""
    assert [encoder_frames(s) for s in (0.29, 0.58, 30.0, 30.05)] == [14, 29, 1500, 1500]
    speech = UtteranceReader(str(world.data / "wav.scp"))["utt03"]
    assert log_mels([speech], 80, True)[1].tolist() == [encoder_frames(len(speech) / 16000)]


def test_missing_durations_come_from_headers(world):
    for name in ("data", "few"):
        shutil.copytree(getattr(world, name), name)
        Path(name, "utt2dur").unlink()
    assert training_tables.main("--data data --valid_data few --output_dir made".split()) == 0
    for of in ("made", "made/valid"):
        audio = UtteranceReader(f"{of}/wav.scp")
        frames = {uid: str(encoder_frames(len(audio[uid]) / 16000)) for uid in audio}
        assert read_table(Path(of, "frames_shape")) == frames


def test_versions_share_label_and_have_their_own_audio(world):
    for name, data, noise in (
        ("clean", world.data, ""), ("noisy", world.data, "--noise_snr 0,9"), ("dev", world.few, "")
    ):  # fmt: skip
        assert encode.main(f"--model {world.teacher} --data {data} --output_dir {name} {noise}".split()) == 0
    folder = tables(world, "--encoder_out", "clean", "noisy", "--valid_encoder_out", "dev")
    text, stored = read_table(folder / "text"), read_table(folder / "encoder_out.scp")
    assert len(text) == 24 and text["utt03+1"] == text["utt03"]
    assert stored["utt03"] == read_table("clean/encoder_out.scp")["utt03"]
    assert stored["utt03+1"] == read_table("noisy/encoder_out.scp")["utt03"]
    assert read_table(folder / "frames_shape")["utt03+1"] == read_table("noisy/utt2num_frames")["utt03"]
    assert read_table(folder / "valid/encoder_out.scp") == read_table("dev/encoder_out.scp")
    assert not (folder / "wav.scp").exists()


def test_the_encoder_computes_as_the_processor_was_measured(world, monkeypatch):
    assert encode.main(f"--model {world.teacher} --data {world.few} --output_dir exact".split()) == 0
    times = {part: {kind: 1.0 / place for place, kind in enumerate(kinds, 1)} for part, kinds in KINDS.items()}
    Path("processor.json").write_text(json.dumps({"processor": "P", "torch": "2", "seconds": times}))
    monkeypatch.setenv("K2D_PROCESSOR", "processor.json")
    assert encode.main(f"--model {world.teacher} --data {world.few} --output_dir rounded".split()) == 0
    options = json.loads(Path("rounded/step.json").read_text())["options"]
    assert (options["encoder"], options["attention"]) == ("bfloat16", "products")
    exact, rounded = (kaldiio.load_scp(f"{name}/encoder_out.scp") for name in ("exact", "rounded"))
    for uid in exact:
        difference = np.linalg.norm(rounded[uid].astype(float) - exact[uid]) / np.linalg.norm(exact[uid].astype(float))
        assert 0 < difference < 0.05


@pytest.mark.parametrize(("weight", "line"), [(None, ""), ("0", ":4"), ("1.5", ":4")])
def test_a_weight_that_cannot_be_one_is_named(world, capsys, weight, line):
    shutil.copytree(world.data, "data")
    weights = dict.fromkeys(read_table("data/text"), "0.5") | {"utt03": weight}
    write_table(Path("data/utt2weight"), {uid: each for uid, each in weights.items() if each is not None})
    assert training_tables.main(f"--data data --valid_data {world.few} --output_dir made".split()) == 1
    found = f"{weight!r}, expected a weight above 0 and at most 1" if weight else "no weight; run k2d select again"
    assert f"data/utt2weight{line}: 'utt03' has {found}" in capsys.readouterr().err


def test_weights_may_be_written_by_hand(world):
    """However small, and whenever they change."""
    shutil.copytree(world.data, "data")
    for weight in ("0.5", "0.00001", "0.00002"):
        write_table(Path("data/utt2weight"), dict.fromkeys(read_table("data/text"), weight))
        assert training_tables.main(f"--data data --valid_data {world.few} --output_dir made".split()) == 0
        assert set(read_table("made/utt2weight").values()) == {weight}


def test_a_set_that_was_not_encoded_is_named(world, capsys):
    assert encode.main(["--model", str(world.teacher), "--data", str(world.few), "--output_dir", "few"]) == 0
    words = ["--data", str(world.data), "--output_dir", "tables", "--encoder_out", "few"]
    assert training_tables.main(words) == 1
    assert "few: utt04 is not stored" in capsys.readouterr().err
    words[-1] = str(world.data)
    assert training_tables.main(words) == 1
    assert "not finished" in capsys.readouterr().err


def test_a_label_without_audio_is_named(world, capsys):
    shutil.copytree(world.data, "data")
    write_table("data/text", {**read_table("data/text"), "zzz": "今天"})
    assert training_tables.main("--data data --output_dir tables".split()) == 1
    assert "data/text: zzz has a label and no audio" in capsys.readouterr().err
