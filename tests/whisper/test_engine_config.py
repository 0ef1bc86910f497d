"""An option is written once, and the key holds what decides the text, nothing else. All without torch."""

import argparse
import dataclasses
import json
import subprocess
import sys

import pytest

from k2d.errors import UsageError
from k2d.options import add_options, options_of
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, what_decides, work_key
from k2d.whisper.processor import KINDS
from k2d.work import machine
from k2d.work.identity import Identity


def parsed(*words: str):
    p = argparse.ArgumentParser()
    add_options(p, EngineConfig)
    add_options(p, DecodingOptions)
    args = p.parse_args(words)
    return options_of(EngineConfig, args), options_of(DecodingOptions, args)


def test_fields_are_options_and_defaults_stay():
    assert parsed() == (EngineConfig(), DecodingOptions())
    engine, decoding = parsed(
        *"--dtype bfloat16 --batch_size 5 --language auto --temperatures 0,0.4 --length_penalty none".split(),
        *"--mix_languages zh,en --condition_on_previous false --token_confidence --max_new_tokens 7".split(),
    )
    assert engine == EngineConfig(dtype="bfloat16", batch_size=5)
    assert decoding == DecodingOptions(
        language=None, temperatures=(0.0, 0.4), mix_languages=("zh", "en"), condition_on_previous=False,
        token_confidence=True, max_new_tokens=7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--dtype int8 --engine torch", "is for --engine ctranslate2"),
        ("--dtype float16 --engine ctranslate2 --device cpu", "computes in int8 or float32"),
        ("--batch_size -1", "--batch_size -1: expected at least 0"),
        ("--workers -1", "--workers -1"),
        ("--beam_size 0", "beam_size 0"),
    ],
)
def test_what_no_machine_can_do_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        parsed(*words.split())


def key(*words: str, form: str = "short form", model: str = "m") -> str:
    return work_key(Identity("path", model), {**what_decides(*parsed(*words)), "form": form})


def test_options_of_speed_are_not_in_the_key():
    same = ["--batch_size 9", "--workers 3", "--num_threads 2", "--device cuda:1", "--cache_dir /x", "--dtype float16"]
    same += ["--encoder_cache /x"]
    assert {key(*words.split()) for words in same} == {key()}


def test_every_option_that_decides_the_text_is_in_the_key():
    others = ["--beam_size 5", "--condition_on_previous false", "--seed 1", "--dtype float32", "--engine ctranslate2"]
    keys = [key(), key(form="long form"), key(model="n"), *(key(*words.split()) for words in others)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("engine", ["torch", "ctranslate2"])
@pytest.mark.parametrize(("gpu", "device"), [(False, "cpu"), (True, "cuda")])
def test_auto_has_the_key_of_the_device_it_means(tmp_path, monkeypatch, engine, gpu, device):
    place = tmp_path / "processor.json"
    monkeypatch.setenv("K2D_PROCESSOR", str(place))
    monkeypatch.setattr(machine, "has_gpu", lambda: gpu)
    other = {"cpu": "cuda", "cuda": "cpu"}[device]

    def key_on(device: str) -> str:
        return key("--engine", engine, "--device", device)

    assert key_on("auto") == key_on(device)
    if engine == "ctranslate2":
        assert key_on("auto") != key_on(other), "int8 on a CPU, float16 on a GPU"
    seconds = {part: dict.fromkeys(kinds, 1.0) for part, kinds in KINDS.items()}
    seconds["encoder"]["bfloat16"] = 0.5
    place.write_text(json.dumps({"processor": "Any", "torch": "2", "seconds": seconds}))
    assert key_on("auto") == key_on(device) != key_on(other)


def test_keys_of_finished_work_stay():
    decides = {engine: EngineConfig(engine=engine, device="cpu").decides for engine in ("auto", "ctranslate2")}
    assert decides["auto"] == {"engine": "torch", "dtype": "float16"}
    assert decides["ctranslate2"] == {"engine": "ctranslate2", "dtype": "auto"}


def test_auto_is_resolved_for_the_machine():
    config = EngineConfig(engine="ctranslate2", device="cpu").resolved()
    assert (config.engine, config.dtype, config.batch_size) == ("ctranslate2", "int8", 8)
    assert EngineConfig(device="cuda").resolved().batch_size == 32
    assert EngineConfig(device="cpu").workers_of(1) == 2
    assert EngineConfig(device="cuda").workers_of(1) == EngineConfig(device="cpu").workers_of(4) == 1
    assert dataclasses.replace(EngineConfig(), workers=3).workers_of(4) == 3


def test_parsing_checking_and_the_key_need_no_torch(small_model, noise_recordings, tmp_path):
    (tmp_path / "wav.scp").write_text("".join(f"{name} {path}\n" for name, path in sorted(noise_recordings.items())))
    words = ["--model", str(small_model), "--data", str(tmp_path), "--begin"]
    code = f"""
import sys
from k2d.bin import decode, label, transcribe
for command, out in (label, "l"), (decode, "d"):
    words = [*{words!r}, "--output_dir", {str(tmp_path)!r} + out]
    command.check(command.parser().parse_args(words))
    assert command.main(words) == 3  # there is something to do
transcribe.check(transcribe.parser().parse_args(["x.wav", "--model", "tiny"]))
heavy = {{"torch", "whisper", "espnet", "transformers", "librosa"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
