"""`k2d label` and `k2d decode` with every kind of model: chunks, resume, and nothing made up."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from decoding_material import write_data_dir
from other_models import WORDS, pause, tone

from k2d.bin import decode, label, transcribe
from k2d.datadir import DataDir
from k2d.errors import UsageError
from k2d.tables import read_table
from k2d.text import timestamps


@pytest.fixture
def data(tones, tmp_path):
    """Recordings talk (38 s), low (1 s), and broken, which is none."""
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    files = {"talk": tones["talk"], "low": tones["low"], "broken": tmp_path / "broken.wav"}
    return write_data_dir(tmp_path / "data", files)


def words(model, data, out, *more) -> list[str]:
    return ["--model", str(model), "--data", str(data), "--output_dir", str(out), *more]


def tables(folder) -> set[str]:
    return {path.name for path in folder.glob("utt2*")}


def test_label_with_espnet_and_decode_with_ctc(espnet_model, ctc_model, data, tmp_path, capsys):
    out = tmp_path / "chunks"
    assert label.main(words(f"espnet:{espnet_model}", data, out, "--beam_size", "2")) == 0
    chunks = DataDir(out)
    assert chunks.validate() == []
    names = list(chunks.wav)
    assert names[0] == "low-0000000-0000100" and len(names) == 3, "38 s are two chunks"
    assert timestamps.strip(chunks.text[names[0]]) == WORDS[0]
    assert all(seconds <= 30 for seconds in chunks.utt2dur.values())
    assert tables(out) == {"utt2spk", "utt2dur", "utt2avg_logprob", "utt2compression"}
    assert list(read_table(out / "skipped.txt")) == ["broken"]
    assert "2 recordings (39.0 s) -> 3 chunks" in capsys.readouterr().out
    record = json.loads((out / "step.json").read_text())
    assert record["options"]["beam_size"] == 2 and record["inputs"]["model"]["path"] == str(espnet_model)

    assert label.main(words(f"espnet:{espnet_model}", data, out, "--beam_size", "2", "--device", "cpu")) == 0
    assert capsys.readouterr().out.endswith("is done; nothing to do\n")

    heard = tmp_path / "decode"
    assert decode.main(words(f"transformers:{ctc_model}", out, heard)) == 0
    assert set(read_table(heard / "text")) == set(names)
    assert read_table(heard / "text")[names[0]] == "<|0.00|>低<|1.00|>"
    assert tables(heard) == {"utt2compression", "utt2confidence"}
    plain = tmp_path / "plain"
    assert decode.main(words(f"transformers:{ctc_model}", out, plain, "--timestamps", "false")) == 0
    assert read_table(plain / "text")[names[1]] == "低 h 低 h 低 h 低 h"


def test_ready_transcripts_label_and_validate(data, tmp_path):
    ready = tmp_path / "ready"
    ready.mkdir()
    segments = [{"start": 2.0 + 4 * n, "end": 3.0 + 4 * n, "text": f" {WORDS[n % 2]}"} for n in range(9)]
    (ready / "talk.json").write_text(json.dumps({"segments": segments}))
    out, heard = tmp_path / "chunks", tmp_path / "decode"
    assert label.main(words(f"text:{ready}", data, out, "--subtitles", "srt")) == 0
    chunks = DataDir(out)
    assert list(chunks.wav) == ["talk-0000200-0003100", "talk-0003400-0003500"]
    assert chunks.text["talk-0003400-0003500"] == "<|0.00|>低音<|1.00|>"
    assert chunks.text["talk-0000200-0003100"].startswith("<|0.00|>低音<|1.00|><|4.00|> high<|5.00|>")
    assert tables(out) == {"utt2spk", "utt2dur", "utt2compression"}, "of scores that were never told there are none"
    skipped = read_table(out / "skipped.txt")
    assert set(skipped) == {"low", "broken"} and skipped["low"].startswith("no transcript: expected ")
    assert (out / "subtitles/talk.srt").read_text().startswith("1\n00:00:02,000 --> 00:00:03,000\n低音\n")

    assert decode.main(words(f"text:{out / 'text'}", out, heard)) == 0
    assert read_table(heard / "text") == chunks.text
    assert tables(heard) == {"utt2compression"}
    assert decode.main(words(f"text:{ready}", out, tmp_path / "again")) == 0
    assert read_table(tmp_path / "again/text") == chunks.text

    (ready / "talk.json").write_text(json.dumps({"segments": segments[:1]}))
    assert label.main(words(f"text:{ready}", data, out)) == 0
    assert list(DataDir(out).wav) == ["talk-0000200-0000300"], "other transcripts are other work"


def test_a_killed_run_recognises_nothing_twice(ctc_model, tones, tmp_path):
    rng = np.random.default_rng(5)
    files = {}
    for n in range(6):
        files[f"r{n}"] = tmp_path / f"r{n}.wav"
        audio = [pause(1, rng), tone(n % 2, 1.0, rng), pause(2, rng), tone(1 - n % 2, 1.0, rng)]
        soundfile.write(files[f"r{n}"], np.concatenate(audio), 16000)
    data = write_data_dir(tmp_path / "data", files)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    model = f"transformers:{ctc_model}"
    assert label.main(words(model, data, whole)) == 0
    code = f"""
import os, signal
from k2d.bin import label
from k2d.work.journal import Journal
note, count = Journal.note_round, 0
def dying(self, results):
    global count
    note(self, results)
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.note_round = dying
label.main({words(model, data, killed)!r})
"""
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == -signal.SIGKILL
    assert label.main(words(model, data, killed)) == 0
    noted = [
        name
        for path in killed.rglob("journal.jsonl")
        for line in path.read_text().splitlines()
        for name, *_ in json.loads(line).get("round", [])
    ]
    assert sorted(noted) == sorted(files)
    for name in ("text", "text.prev", "utt2dur", "utt2confidence", "transcripts.jsonl", "skipped.txt"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    said = [timestamps.strip(text) for text in DataDir(killed).text.values()]
    assert said == ["低 h", "h 低"] * 3


def test_jobs_share_the_recordings(ctc_model, data, tmp_path):
    model = f"transformers:{ctc_model}"
    assert label.main(words(model, data, tmp_path / "one")) == 0
    for job in ("1", "2"):
        assert label.main(words(model, data, tmp_path / "two", "--num_jobs", "2", "--job", job)) == 0
    assert label.main(words(model, data, tmp_path / "two", "--num_jobs", "2")) == 0
    for name in ("text", "utt2dur", "skipped.txt"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_options_that_mean_nothing_to_a_model_are_refused_before_anything_is_read():
    def check(command, model, *more):
        command.check(command.parser().parse_args(words(model, "no/data", "no/out", *more)))

    for model in ("text:none", "espnet:none", "transformers:none"):
        for command in (label, decode):
            check(command, model, "--device", "cuda", "--dtype", "bfloat16", "--batch_size", "9", "--seed", "3")
            check(command, model, "--language", "en", "--workers", "2")
            with pytest.raises(UsageError, match=f"{model}: --patience does not apply to it; it takes"):
                check(command, model, "--patience", "2")
        check(decode, model, "--timestamps", "false")
    with pytest.raises(UsageError, match="text:none: --beam_size does not apply to it"):
        check(label, "text:none", "--beam_size", "5")
    check(label, "espnet:none", "--beam_size", "5")
    check(label, "transformers:none", "--max_new_tokens", "5")


def test_a_model_that_is_not_there_is_one_sentence(data, tmp_path, capsys):
    for model, said in (
        ("text:nowhere", "no such file or folder"),
        ("espnet:nowhere", "no such folder; expected an ESPnet experiment"),
        ("transformers:nowhere", "no config.json there"),
    ):
        assert label.main(words(model, data, tmp_path / "out")) == 1
        error = capsys.readouterr().err
        assert error.startswith("label: nowhere: ") and said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_files_are_transcribed_by_any_model(ctc_model, tones, tmp_path, capsys):
    assert transcribe.main([tones["talk"], tones["low"], "--model", f"transformers:{ctc_model}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"# {tones['talk']}" and len([line for line in printed if line.endswith("低")]) == 6
