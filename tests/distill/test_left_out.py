"""An utterance that cannot be used is left out and named, by every command of stage 5, and training goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_material import through_commands

from k2d.audio.options import AudioOptions
from k2d.bin import cache_teacher, encode, training_tables
from k2d.distill.batches import LEFT_OUT, Collate, MakeExample, MakeRow
from k2d.distill.config import BatchConfig
from k2d.distill.sources import ArchiveReader, UtteranceReader
from k2d.errors import DataError
from k2d.tables import read_table, write_table
from k2d.work.skipped import read_skipped

REASONS = {"utt00": "missing", "utt01": "truncated", "utt02": "silence", "utt03": "too long"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bad(world, tmp_path):
    """The 12 utterances, of which one is missing, one cut, one silent and one of 31 s."""
    folder = Path("bad")
    shutil.copytree(world.data, folder)
    wav = {uid: str(folder / f"{uid}.wav") for uid in read_table(folder / "wav.scp")}
    write_table(folder / "wav.scp", wav)
    (folder / "utt2dur").unlink()
    text = read_table(folder / "text")
    (folder / "utt00.wav").unlink()
    soundfile.write("whole.flac", np.random.RandomState(1).randn(32000) * 0.1, 16000)
    (folder / "utt01.wav").write_bytes(Path("whole.flac").read_bytes()[:2000])
    soundfile.write(folder / "utt02.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "utt03.wav", np.random.RandomState(1).randn(31 * 16000) * 0.1, 16000)
    write_table(folder / "text", text | {"utt03": "请 open the door"})
    return folder


def reasons(folder) -> dict[str, str]:
    return {uid: why.partition(":")[0] for uid, why in read_skipped(Path(folder)).items()}


def test_a_validation_set_is_read_before_training_begins(world, bad, capsys):
    words = ["--data", str(world.data), "--valid_data", str(bad), "--output_dir", "tables", "--damaged", "skip"]
    assert training_tables.main(words) == 0
    assert reasons("tables/valid") == REASONS
    assert list(read_table("tables/valid/text")) == list(read_table("tables/valid/frames_shape"))
    assert len(read_table("tables/valid/text")) == 8 and len(read_table("tables/text")) == 12
    said = capsys.readouterr()
    assert "8 utterances to validate with, 4 skipped" in said.out and "utt02 of bad is left out: silence" in said.err


def test_a_validation_set_of_which_nothing_is_left_is_an_error(world, bad, capsys):
    shutil.copytree(bad, "none")
    for uid in list(read_table("none/wav.scp"))[4:]:
        Path("bad", f"{uid}.wav").unlink()
    words = f"--data {world.data} --valid_data none --output_dir tables".split()
    assert training_tables.main([*words, "--damaged", "skip"]) == 1
    assert "none of 12 inputs could be used; tables/valid/skipped.txt says why" in capsys.readouterr().err
    write_table(Path("none/text"), {})
    assert training_tables.main(words) == 1
    assert "none/text: empty" in capsys.readouterr().err


def test_training_labels_whose_audio_is_not_there_are_left_out(world, bad):
    assert training_tables.main(f"--data {bad} --valid_data {world.few} --output_dir tables".split()) == 0
    assert reasons("tables") == {"utt00": "missing", "utt01": "truncated", "utt03": "too long"}  # by their headers
    assert set(read_table("tables/text")) == set(read_table("tables/frames_shape"))
    words = f"--data {bad} --valid_data {world.few} --output_dir other --max_skipped 1".split()
    assert training_tables.main(words) == 1


def test_encode_and_cache_teacher_name_what_they_leave_out_and_tables_follow(world, bad):
    assert encode.main(f"--model {world.teacher} --data {bad} --output_dir enc --damaged skip".split()) == 0
    assert reasons("enc") == REASONS
    assert set(read_table("enc/utt2num_frames")) == set(ArchiveReader("enc/encoder_out.scp"))
    assert len(read_table("enc/utt2num_frames")) == 8
    Path("conf.yaml").write_text("batch_conf: {trim_padding: true}\n")
    words = f"--teacher {world.teacher} --data {bad} --config conf.yaml --k 3 --shard_rows 60 --batch_size 2".split()
    assert cache_teacher.main([*words, "--output_dir", "topk", "--encoder_out", "enc"]) == 0
    assert reasons("topk") == REASONS
    assert cache_teacher.main([*words, "--output_dir", "by_audio", "--damaged", "skip"]) == 0
    assert set(reasons("by_audio")) == set(REASONS)
    words = f"--data {bad} --encoder_out enc --teacher_topk topk --valid_data {bad} --valid_encoder_out enc".split()
    assert training_tables.main([*words, "--output_dir", "tables"]) == 0
    assert reasons("tables") == reasons("tables/valid") == REASONS
    assert set(read_table("tables/topk_ids.scp")) == set(read_table("tables/encoder_out.scp"))
    assert json.loads(Path("enc/step.json").read_text())["skipped"] == 4


def test_commands_in_wav_scp_run_with_allow_pipes_only_in_every_command(world):
    shutil.copytree(world.few, "piped")
    through_commands(Path("piped"))
    Path("piped/utt2dur").unlink()
    Path("conf.yaml").write_text("batch_conf: {trim_padding: true}\n")
    commands = {
        encode.main: f"--model {world.teacher} --data piped --output_dir enc",
        cache_teacher.main: f"--teacher {world.teacher} --data piped --output_dir topk --config conf.yaml --k 3",
        training_tables.main: "--data piped --valid_data piped --output_dir tables",
    }
    for main, words in commands.items():
        assert main(words.split()) == 1
        assert main([*words.split(), "--allow_pipes"]) == 0
        out = Path(words.split("--output_dir ")[1].split()[0])
        assert not read_skipped(out)
    assert UtteranceReader("tables/wav.scp")["utt01"] is None
    assert len(UtteranceReader("tables/wav.scp", AudioOptions(allow_pipes=True))["utt01"])


@pytest.mark.parametrize("piped", [False, True])
def test_allowing_commands_asks_for_work_anew_only_where_there_are_some(world, tmp_path, piped):
    data = tmp_path / "data"
    shutil.copytree(world.few, data)
    if piped:
        through_commands(data)
    tables, encoded = tmp_path / "tables", tmp_path / "enc"
    commands = {
        training_tables.main: f"--data {data} --valid_data {data} --output_dir {tables}".split(),
        encode.main: f"--model {world.teacher} --data {data} --output_dir {encoded}".split(),
    }
    for main, words in commands.items():
        assert main([*words, "--allow_pipes"]) == 0
        assert main([*words, "--begin"]) == (3 if piped else 0)


def test_a_batch_goes_on_without_what_cannot_be_used(world, bad, caplog):
    text, reader = read_table(bad / "text"), UtteranceReader(str(bad / "wav.scp"))
    make = MakeRow(MakeExample(world.tokenizer, BatchConfig(trim_padding=True), train=True))

    def rows(*ids):
        return [(uid, make(uid, {"speech": reader[uid], "text": text[uid]})) for uid in ids]

    made = rows("utt00", "utt03", "utt04", "utt05")
    assert [LEFT_OUT in row for _, row in made] == [True, True, False, False]
    collate = Collate(80, True)
    ids, batch = collate(made)
    assert ids == ["utt04", "utt05"] and len(batch["text"]) == len(batch["mel"]) == 2
    assert "utt00 cannot be read: " in caplog.text and "left out: utt03: the label has 31.0 s of audio" in caplog.text
    ids, batch = collate(rows("utt00", "utt03"))  # a process of a training that had no batch would hold up all others
    assert ids == ["utt00"] and batch["text"].shape[1] == batch["loss_start"].item() and len(batch["mel"]) == 1
    with pytest.raises(DataError, match=r"utt00: no utterance of this batch .* is the disk"):
        for _ in range(20):
            collate(rows("utt00"))
