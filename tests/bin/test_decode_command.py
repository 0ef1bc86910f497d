"""`k2d decode`: utterances and whole recordings, with and without timestamps."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from decoding_material import write_data_dir

from k2d.bin import decode
from k2d.datadir import Segment, write_segments
from k2d.tables import read_numbers, read_table
from k2d.text import timestamps
from k2d.whisper import short_form

FAST = ["--max_new_tokens", "16", "--batch_size", "2", "--engine", "torch"]


@pytest.fixture
def data(noise_recordings, tmp_path):
    """Utterances of 0.5 to 30 s of two recordings, and one of 40 s."""
    folder = write_data_dir(tmp_path / "data", noise_recordings)
    spans = [
        ("a", 0, 7),
        ("a", 7, 9),
        ("a", 9, 12.5),
        ("d", 0, 30),
        ("d", 1, 1.5),
        ("d", 2, 12),
        ("f", 5, 45),
    ]
    write_segments(
        folder / "segments", [Segment(f"{r}-{i}", r, float(s), float(e)) for i, (r, s, e) in enumerate(spans)]
    )
    return folder


@pytest.fixture
def run(small_model, data, tmp_path):
    def call(out: str, *options: str, expected: int = 0):
        arguments = ["--model", str(small_model), "--data", str(data), "--output_dir", str(tmp_path / out)]
        assert decode.main([*arguments, *FAST, *options]) == expected
        return tmp_path / out

    return call


def test_every_utterance_is_decoded(run, capsys):
    out = run("short")
    text = read_table(out / "text")
    assert sorted(text) == ["a-0", "a-1", "a-2", "d-3", "d-4", "d-5", "f-6"]
    assert all(timestamps.parse(t) for t in text.values())
    for fact in ("avg_logprob", "no_speech", "compression", "temperature", "confidence"):
        assert set(read_numbers(out / f"utt2{fact}")) == set(text)
    speed = json.loads((out / "speed.json").read_text())
    assert speed["audio_seconds"] == pytest.approx(93)
    assert speed["tokens"] > 0 and speed["encode_seconds"] > 0 and speed["decode_seconds"] > 0
    assert speed["real_time_factor"] == pytest.approx(speed["seconds"] / 93, rel=0.02)
    assert speed["times_real_time"] == pytest.approx(93 / speed["seconds"], rel=0.02)
    # The one of 40 s does not fit a window: it is decoded as recordings are, to its end.
    assert max(end for _, end, _ in timestamps.parse(text["f-6"])) > 30
    assert capsys.readouterr().out.startswith("decode: 7 utterances (1.6 min), 0 skipped; ")
    run("short")
    assert "nothing to do" in capsys.readouterr().out


def test_without_timestamps(run):
    text = read_table(run("plain", "--timestamps", "false") / "text")
    assert not any("<|" in t for t in text.values())
    assert any(text.values())


def test_long_form_gives_a_text_a_recording(run, noise_recordings):
    text = read_table(run("long", "--long_form") / "text")
    assert sorted(text) == sorted(noise_recordings)
    assert max(end for _, end, _ in timestamps.parse(text["a"])) > 60
    plain = read_table(run("long_plain", "--long_form", "--timestamps", "false") / "text")
    assert not any("<|" in t for t in plain.values())


@pytest.mark.parametrize("other", [(), ("--num_jobs", "2", "--batch_size", "3")], ids=["the same", "other jobs"])
def test_a_killed_run_decodes_only_what_is_missing(run, monkeypatch, other):
    expected = read_table(run("whole") / "text")
    decoded = []
    original = short_form._decode

    def dies_after_two(engine, audio, *rest):
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decoded.append(list(audio))
        return original(engine, audio, *rest)

    monkeypatch.setattr(short_form, "_decode", dies_after_two)
    run("killed", expected=130)
    first = {u for batch in decoded for u in batch}
    decoded.clear()
    monkeypatch.setattr(short_form, "_decode", lambda e, a, *r: decoded.append(list(a)) or original(e, a, *r))
    assert read_table(run("killed", *other) / "text") == expected
    again = [u for batch in decoded for u in batch]
    assert first and not first & set(again)
    assert len(again) == len(set(again))


def test_another_tokenizer_or_configuration_is_another_model(run, small_model, data, tmp_path):
    """Not the weights alone decide."""
    model = tmp_path / "model"
    shutil.copytree(small_model, model)
    arguments = ["--model", str(model), "--data", str(data), "--output_dir", str(tmp_path / "out"), *FAST]
    assert decode.main(arguments) == 0
    config = json.loads((model / "config.json").read_text())
    config["dims"]["n_audio_head"] = 4
    (model / "config.json").write_text(json.dumps(config))
    before = read_table(tmp_path / "out/text")
    assert decode.main(arguments) == 0
    assert read_table(tmp_path / "out/text") != before


def test_bad_utterances_are_skipped(run, data, capsys):
    soundfile.write(data / "s.wav", np.zeros(32000), 16000)
    table = read_table(data / "wav.scp")
    write_data_dir(data, {**table, "s": str(data / "s.wav")})
    segments = read_table(data / "segments")
    lines = {**segments, "s-7": "s 0.00 1.00"}
    (data / "segments").write_text("".join(f"{k} {v}\n" for k, v in sorted(lines.items())))
    out = run("short")
    assert read_table(out / "skipped.txt")["s-7"].startswith("silence")
    assert "s-7" not in read_table(out / "text")
