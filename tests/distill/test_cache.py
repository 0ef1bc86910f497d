"""The teacher's cache: what it holds, and that a killed run goes on where it stopped."""

import shutil

import pytest
import torch
import yaml

from k2d.audio.utterances import open_utterances
from k2d.bin import cache_teacher, training_tables
from k2d.datadir import DataDir
from k2d.distill.batches import BatchConfig, MakeExample, log_mels
from k2d.distill.sources import RowReader
from k2d.errors import DataError
from k2d.tables import read_table, write_table
from k2d.whisper import checkpoint

CONF = {"trim_padding": True, "timestamps": 0.5, "prompt": 0.5, "fixed_choices": True}


@pytest.fixture
def command(world, tmp_path):
    def build(output: str, k: int = 5, **conf) -> list[str]:
        config = yaml.safe_dump({"batch_conf": {**CONF, **conf}})
        (tmp_path / "conf.yaml").write_text(config, encoding="utf-8")
        words = f"--teacher {world.teacher} --data {world.data} --output_dir {tmp_path / output}"
        return f"{words} --config {tmp_path / 'conf.yaml'} --k {k} --shard_rows 60 --batch_size 2".split()

    return build


class Killed(BaseException):
    pass


def contents(folder) -> dict:
    return {
        file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.name.startswith("topk")
    }


def test_rows_are_the_teachers_most_probable_tokens(world, tmp_path, command):
    cache_teacher.main([*command("out"), "--store", "float32"])
    ids, log_probs = (RowReader(f"{tmp_path}/out/{name}.scp") for name in ("topk_ids", "topk_log_probs"))
    teacher, data = checkpoint.load(world.teacher), DataDir(world.data)
    make = MakeExample(teacher.tokenizer, BatchConfig(**CONF), train=True)
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
def test_a_killed_run_continues_and_ends_with_the_same_bytes(tmp_path, command, monkeypatch, capsys, writes):
    cache_teacher.main(command("whole"))
    assert len(list((tmp_path / "whole").glob("topk_ids.*.i32"))) >= 4
    write, count = cache_teacher.RowWriter.write, 0

    def dying(self, uid, rows):
        nonlocal count
        count += 1
        if count > writes:
            raise Killed
        write(self, uid, rows)

    monkeypatch.setattr(cache_teacher.RowWriter, "write", dying)
    with pytest.raises(Killed):
        cache_teacher.main(command("killed"))
    monkeypatch.undo()
    assert not (tmp_path / "killed" / "topk_ids.scp").exists()
    done = len(list((tmp_path / "killed").glob("shard.*.json")))
    capsys.readouterr()
    cache_teacher.main(command("killed"))
    summary = capsys.readouterr().out
    tokens, fresh = (int(summary.split(mark)[0].split()[-1]) for mark in (" tokens,", " of them now"))
    assert (fresh < tokens) == (done > 0)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob("shard.*.json"))
    cache_teacher.main(command("killed"))
    assert "is complete" in capsys.readouterr().out


def test_other_options_start_anew(tmp_path, command, capsys):
    cache_teacher.main(command("out"))
    first = contents(tmp_path / "out")
    cache_teacher.main(command("out", k=6))
    assert "is complete" not in capsys.readouterr().out
    assert contents(tmp_path / "out") != first


def test_the_summary_bounds_the_error(world, tmp_path, command, capsys):
    cache_teacher.main(command("out"))
    summary = capsys.readouterr().out
    rows = RowReader(f"{tmp_path}/out/topk_log_probs.scp")
    left = torch.cat([1 - torch.from_numpy(rows[uid]).float().exp().sum(-1) for uid in rows])
    mean = float(summary.split("leave ")[1].split()[0])
    bound = float(summary.split("off by at most ")[1].split()[0])
    assert mean == pytest.approx(left.mean().item(), abs=1e-3)
    assert bound == pytest.approx(4 * mean, abs=1e-4)


def test_without_fixed_choices_it_is_refused(command, capsys):
    with pytest.raises(SystemExit):
        cache_teacher.main(command("out", fixed_choices=False))
    assert "needs fixed_choices: true" in capsys.readouterr().err


def test_an_empty_selection_is_refused(world, tmp_path, command, capsys):
    empty = tmp_path / "empty"
    shutil.copytree(world.data, empty)
    write_table(empty / "text", {})
    with pytest.raises(SystemExit):
        training_tables.main(["--data", str(empty), "--output_dir", str(tmp_path / "tables")])
    assert "no utterance was selected; raise --alpha" in capsys.readouterr().err
    words = command("out")
    words[words.index("--data") + 1] = str(empty)
    with pytest.raises(SystemExit):
        cache_teacher.main(words)
    assert "no labels" in capsys.readouterr().err


def test_a_truncated_shard_is_named(tmp_path, command):
    cache_teacher.main(command("out"))
    shard = sorted((tmp_path / "out").glob("topk_ids.*.i32"))[0]
    shard.write_bytes(shard.read_bytes()[:-8])
    reader = RowReader(f"{tmp_path}/out/topk_ids.scp")
    with pytest.raises(DataError, match="ends before its rows"):
        for uid in reader:
            reader[uid]
