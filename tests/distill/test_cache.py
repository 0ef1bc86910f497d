"""What frozen models made of a corpus: what the archives hold, and that a killed run goes on where it stopped."""

import json
import shutil
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch
import yaml

from k2d.atomic import atomic
from k2d.audio.utterances import open_utterances
from k2d.bin import cache_teacher, encode, training_tables
from k2d.datadir import DataDir
from k2d.distill.batches import MakeExample, log_mels
from k2d.distill.config import BatchConfig
from k2d.distill.sources import ArchiveReader, write_rows
from k2d.errors import DataError
from k2d.tables import read_table, write_table
from k2d.whisper import checkpoint

CONF = {"trim_padding": True, "timestamps": 0.5, "prompt": 0.5}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(world, tmp_path):
    def build(output: str, k: int = 5, model_conf=None, **conf) -> list[str]:
        config = yaml.safe_dump({"batch_conf": {**CONF, **conf}, "model_conf": model_conf or {}})
        (tmp_path / "conf.yaml").write_text(config, encoding="utf-8")
        words = f"--teacher {world.teacher} --data {world.data} --output_dir {output}"
        return f"{words} --config conf.yaml --k {k} --shard_rows 60 --batch_size 2".split()

    return build


class Killed(BaseException):
    pass


def contents(folder) -> dict:
    """Archives and tables, paths in them as if the folder had one name."""
    return {
        file.name: file.read_bytes().replace(f" {folder}/".encode(), b" folder/")
        for file in sorted(Path(folder).iterdir())
        if not file.name.startswith(".") and file.name != "step.json"
    }


def dying_after(monkeypatch, writes: int) -> None:
    count = 0

    def dying(archive, uid, rows):
        nonlocal count
        count += 1
        if count > writes:
            raise Killed
        return write_rows(archive, uid, rows)

    monkeypatch.setattr("k2d.distill.sources.write_rows", dying)


def test_few_tokens_of_a_flat_distribution_are_a_warning(world, command, capsys):
    hot = {"losses": {"kl": {"weight": 1.0, "temperature": 100.0}}}
    assert cache_teacher.main(command("few", model_conf=hot)) == 0
    assert "the 5 tokens stored at a position hold only" in (said := capsys.readouterr().err), said
    everything = checkpoint.load_tokenizer(world.teacher).vocab_size
    assert cache_teacher.main(command("all", k=everything, model_conf=hot)) == 0
    assert "tokens stored" not in capsys.readouterr().err


def test_rows_are_the_teachers_most_probable_tokens(world, command):
    assert cache_teacher.main([*command("out"), "--store", "float32"]) == 0
    ids, log_probs = (ArchiveReader(f"out/{name}.scp") for name in ("topk_ids", "topk_log_probs"))
    teacher, data = checkpoint.load(world.teacher), DataDir(world.data)
    make = MakeExample(teacher.tokenizer, BatchConfig(**CONF), train=True, fixed=True)
    previous, utterances = read_table(world.data / "text.prev"), open_utterances(data)
    assert list(ids) == list(data.text)
    for uid in ("utt00", "utt05", "utt11"):
        speech = utterances[uid]
        row = make(uid, {"text": data.text[uid], "text_prev": previous[uid], "speech": speech})
        mel, _ = log_mels([speech], 80, True)
        with torch.no_grad():
            logits = teacher.model(mel, torch.from_numpy(row["text"])[None, :-1])[0]
        want = (logits / 2.0).log_softmax(-1).topk(5)
        torch.testing.assert_close(torch.from_numpy(log_probs[uid]), want.values, atol=1e-5, rtol=0)
        assert (torch.from_numpy(ids[uid]) == want.indices).all()


@pytest.mark.parametrize("writes", [1, 7, 14])
def test_a_killed_run_continues_and_ends_with_the_same_bytes(command, monkeypatch, capsys, writes):
    cache_teacher.main(command("whole"))
    assert len(list(Path("whole").glob("topk_ids.*.ark"))) >= 4
    with monkeypatch.context() as accident, pytest.raises(Killed):
        dying_after(accident, writes)
        cache_teacher.main(command("killed"))
    assert not Path("killed/topk_ids.scp").exists()
    done = len(list(Path("killed").glob(".shard.*.json")))
    capsys.readouterr()
    cache_teacher.main(command("killed"))
    summary = capsys.readouterr().out
    tokens, fresh = (int(summary.split(mark)[0].split()[-1]) for mark in (" tokens,", " of them now"))
    assert (fresh < tokens) == (done > 0)
    assert contents("killed") == contents("whole")
    cache_teacher.main(command("killed"))
    assert "is done" in capsys.readouterr().out


def test_a_lost_archive_is_made_again_alone(command, capsys):
    cache_teacher.main(command("out"))
    whole = contents("out")
    Path("out/topk_ids.1.ark").unlink()
    capsys.readouterr()
    cache_teacher.main(command("out"))
    said = capsys.readouterr()
    tokens, fresh = (int(said.out.split(mark)[0].split()[-1]) for mark in (" tokens,", " of them now"))
    assert 0 < fresh < tokens / 2
    assert "gone or changed: 1 file listed in step.json" in said.err
    assert contents("out") == whole


def test_other_options_start_anew_and_the_first_ones_come_back(command, capsys):
    cache_teacher.main(command("out"))
    first = contents("out")
    cache_teacher.main(command("out", k=6))
    assert contents("out") != first
    cache_teacher.main(command("out", model_conf={"losses": {"kl": {"temperature": 3.0}}}))
    assert json.loads(Path("out/step.json").read_text())["options"]["temperature"] == 3.0
    capsys.readouterr()
    assert cache_teacher.main([*command("out"), "--nj", "3"]) == 0
    assert "is done" in capsys.readouterr().out
    assert contents("out") == first


def test_the_summary_bounds_the_error(command, capsys):
    cache_teacher.main(command("out"))
    summary = capsys.readouterr().out
    rows = ArchiveReader("out/topk_log_probs.scp")
    left = torch.cat([1 - torch.from_numpy(rows[uid]).float().exp().sum(-1) for uid in rows])
    mean = float(summary.split("leave ")[1].split()[0])
    bound = float(summary.split("off by at most ")[1].split()[0])
    assert mean == pytest.approx(left.mean().item(), abs=1e-3)
    assert bound == pytest.approx(4 * mean, abs=1e-4)


def test_moved_timestamps_are_refused(command, capsys):
    assert cache_teacher.main(command("out", tempo=[0.9])) == 1
    assert "speed and tempo move the timestamps" in capsys.readouterr().err
    assert not Path("out").exists()


def test_an_empty_selection_is_refused(world, command, capsys):
    shutil.copytree(world.data, "empty")
    write_table("empty/text", {})
    assert training_tables.main(["--data", "empty", "--output_dir", "tables"]) == 1
    assert "no utterance was selected; raise --alpha" in capsys.readouterr().err
    words = command("out")
    words[words.index("--data") + 1] = "empty"
    assert cache_teacher.main(words) == 1
    assert "no labels" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- encoder output


def encoded(world, output: str, *words: str, data=None) -> dict:
    data = data or world.data
    assert encode.main(["--model", str(world.teacher), "--data", str(data), "--output_dir", output, *words]) == 0
    return contents(output)


def test_encoder_output_depends_on_no_number_of_jobs_or_threads(world, monkeypatch):
    one = encoded(world, "one", "--nj", "1")
    torch.set_num_threads(2)
    try:
        assert encoded(world, "three", "--nj", "3") == one
    finally:
        torch.set_num_threads(1)
    reader = ArchiveReader("one/encoder_out.scp")
    model, speech = checkpoint.load(world.teacher).model, open_utterances(DataDir(world.data))["utt03"]
    with torch.inference_mode():
        want = model.encoder(log_mels([speech], 80, True)[0])[0].half().numpy()
    np.testing.assert_array_equal(reader["utt03"], want)
    assert reader["utt03"].dtype == np.float16
    frames = {uid: str(len(reader[uid])) for uid in reader}
    assert read_table("one/utt2num_frames") == frames


def test_a_killed_encode_keeps_whole_archives(world, monkeypatch, capsys):
    monkeypatch.setattr("k2d.distill.encoder_out.SHARD", 5)
    whole = encoded(world, "whole")
    with monkeypatch.context() as accident, pytest.raises(Killed):
        dying_after(accident, 7)
        encoded(world, "killed")
    kept = Path("killed/encoder_out.0.ark").stat().st_mtime_ns
    assert not list(Path("killed").glob("encoder_out.1.ark"))
    capsys.readouterr()
    assert encoded(world, "killed") == whole
    assert "12 utterances, 7 of them now" in capsys.readouterr().out
    assert Path("killed/encoder_out.0.ark").stat().st_mtime_ns == kept


def test_encode_into_the_folder_of_another_model_moves_that_aside(world, capsys):
    of_teacher = encoded(world, "out")
    student = ["--model", str(world.student), "--data", str(world.few), "--output_dir", "out"]
    assert encode.main(student) == 0
    assert "moved to" in capsys.readouterr().err
    assert contents("out") != of_teacher
    assert encoded(world, "out") == of_teacher


def test_noise_is_of_its_seed(world):
    plain, noisy = encoded(world, "a"), encoded(world, "b", "--noise_snr", "0,15", "--seed", "1")
    assert plain != noisy
    assert encoded(world, "c", "--noise_snr", "0,15", "--seed", "1", "--nj", "2") == noisy
    assert encoded(world, "d", "--noise_snr", "0,15", "--seed", "2") != noisy
    assert encode.main(["--model", "x", "--data", "x", "--output_dir", "e", "--noise_snr", "15,0"]) == 1


# ------------------------------------------------------------------------------------------------------- archives


def archive(path: str, **arrays: np.ndarray) -> dict[str, str]:
    """An archive as k2d writes it; the lines of its table."""
    with atomic(path, "wb") as stream:
        return {uid: f"{path}:{write_rows(stream, uid, array)}" for uid, array in arrays.items()}


A, B = np.arange(6, dtype="<f2").reshape(3, 2), np.arange(8, dtype="<i4").reshape(2, 4)


def test_an_archive_is_kaldis_and_types_stay_what_they_are():
    write_table("x.scp", archive("x.ark", a=A, b=B))
    ours, theirs = ArchiveReader("x.scp"), kaldiio.load_scp("x.scp")
    for uid, array in (("a", A), ("b", B)):
        for found in (ours[uid], theirs[uid]):
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype
    assert dict(kaldiio.load_ark("x.ark")).keys() == {"a", "b"}


def test_a_version_of_an_utterance_may_have_its_entry():
    lines = archive("x.ark", a=A)
    write_table("x.scp", {"a+1": lines["a"]})
    np.testing.assert_array_equal(ArchiveReader("x.scp")["a+1"], A)


@pytest.mark.parametrize(
    "line, message",
    [
        ("x.ark:-7", "expected 'archive.ark:offset', found 'x.ark:-7'"),
        ("x.ark", "expected 'archive.ark:offset'"),
        ("x.ark:0", "no entry of 'a' begins"),
        ("x.ark:3", "no entry of 'a' begins"),
        ("x.ark:{b}", "no entry of 'a' begins"),
        ("x.ark:99999", "no entry of 'a' begins"),
        ("gone.ark:2", "the archive gone.ark cannot be read"),
        (".:2", "the archive . cannot be read (Is a directory)"),
        ("cat x.ark |:2", "the archive cat x.ark | cannot be read"),
    ],
)
def test_a_line_that_points_elsewhere_gives_nobody_elses_rows(line, message):
    lines = archive("x.ark", a=A, b=B)
    write_table("t.scp", {"a": line.format(b=lines["b"].rpartition(":")[2])})
    with pytest.raises(DataError) as error:
        ArchiveReader("t.scp")["a"]
    assert message in str(error.value) and "t.scp: a: " in str(error.value)


def test_nothing_is_unpickled():
    class Trap:
        def __reduce__(self):
            return open, ("sprung", "w")

    with open("x.ark", "wb") as stream:
        kaldiio.save_ark(stream, {"a": Trap()}, write_function="pickle")
    with open("y.ark", "wb") as stream:
        kaldiio.save_ark(stream, {"a": np.array([[Trap()]], dtype=object)}, write_function="numpy")
    for name in ("x", "y"):
        write_table("t.scp", {"a": f"{name}.ark:2"})
        with pytest.raises(DataError):
            ArchiveReader("t.scp")["a"]
    assert not Path("sprung").exists()


def test_a_truncated_archive_is_named(command):
    cache_teacher.main(command("out"))
    shard = sorted(Path("out").glob("topk_ids.*.ark"))[0]
    shard.write_bytes(shard.read_bytes()[:-8])
    reader = ArchiveReader("out/topk_ids.scp")
    with pytest.raises(DataError, match="the archive ends inside an entry"):
        for uid in reader:
            reader[uid]
