"""Models of transformers as transcribers: CTC with times and confidence, sequence to sequence with neither."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from decoding_material import random_model
from other_models import WORDS, half, pause, tone

from k2d.audio import sources
from k2d.errors import CheckpointError, UsageError
from k2d.publish.huggingface import save_huggingface
from k2d.transcribers import open_transcriber


def transcripts(name, files, long_form, **options):
    found = open_transcriber(f"transformers:{name}", **options).transcribe(files, sources.files(files), long_form)
    return {one.recording: one for (one,) in found}


def test_ctc_tells_segments_at_pauses_and_how_sure_it_is(ctc_model, tones, tmp_path):
    rng = np.random.default_rng(3)
    audio = np.concatenate([tone(0, 1, rng), pause(0.2, rng), tone(1, 1, rng), pause(0.8, rng), tone(0, 1, rng)])
    soundfile.write(tmp_path / "three.wav", audio, 16000)
    found = transcripts(ctc_model, {"three": str(tmp_path / "three.wav"), "low": tones["low"]}, long_form=False)
    assert found["low"].text == WORDS[0][0]
    three = found["three"]
    assert [s.text.strip() for s in three.segments] == ["低h", "低"], "a pause of 0.2 s is inside a segment"
    times = [t for s in three.segments for t in (s.start, s.end)]
    assert times == pytest.approx([0.0, 2.2, 3.0, 4.0], abs=0.1)
    assert all(0.5 < s.confidence <= 1 and s.avg_logprob is None for s in three.segments)


def test_equal_letters_with_a_blank_between_stay_two(ctc_model, tmp_path):
    rng = np.random.default_rng(4)
    audio = np.concatenate([tone(1, 0.8, rng), pause(0.3, rng), tone(1, 0.8, rng)])
    soundfile.write(tmp_path / "twice.wav", audio, 16000)
    files = {"twice": str(tmp_path / "twice.wav")}
    assert transcripts(ctc_model, files, long_form=False)["twice"].text == "hh"


def test_a_long_recording_is_cut_at_silence(ctc_model, tones):
    talk = transcripts(ctc_model, {"talk": tones["talk"]}, long_form=True)["talk"]
    assert [s.text.strip() for s in talk.segments] == [WORDS[n % 2][0] for n in range(9)]
    assert [s.start for s in talk.segments] == pytest.approx([2 + 4 * n for n in range(9)], abs=0.1)
    assert [s.end for s in talk.segments] == pytest.approx([3 + 4 * n for n in range(9)], abs=0.1)


def test_sequence_to_sequence_writes_what_generate_does(speech2text_model, tones):
    from transformers import Speech2TextForConditionalGeneration, Speech2TextProcessor

    model = Speech2TextForConditionalGeneration.from_pretrained(speech2text_model)
    processor = Speech2TextProcessor.from_pretrained(speech2text_model)
    audio, _ = soundfile.read(tones["low"], dtype="float32")
    inputs = processor(audio, sampling_rate=16000, return_tensors="pt")
    for beams in (1, 3):
        found = transcripts(speech2text_model, {"low": tones["low"]}, False, beam_size=beams, max_new_tokens=7)["low"]
        ids = model.generate(**inputs, num_beams=beams, max_new_tokens=7, length_penalty=1.0, do_sample=False)
        assert found.text == processor.decode(ids[0], skip_special_tokens=True).strip() != ""
        (segment,) = found.segments
        with torch.inference_mode():
            logits = model(**inputs, decoder_input_ids=ids[:, :-1]).logits[0].log_softmax(-1)
        mean = logits.gather(1, ids[0, 1:, None]).mean().item()
        assert segment.avg_logprob == pytest.approx(mean, abs=2e-3) and segment.end is None
        assert segment.tokens == ids[0, 1:].tolist() and segment.confidence is None


def test_a_whisper_of_transformers_is_one_of_them(tmp_path, tones):
    save_huggingface(tmp_path / "whisper", *random_model())
    found = transcripts(tmp_path / "whisper", {"low": tones["low"]}, True, language="zh", max_new_tokens=20)["low"]
    assert all((s.start, s.end) == (0.0, 1.0) and s.avg_logprob < 0 for s in found.segments)
    assert found.language == "zh"


def test_what_is_missing_or_no_recogniser_is_named(ctc_model, tones, tmp_path):
    def refused(folder, **options):
        with pytest.raises(CheckpointError) as error:
            transcripts(folder, {"low": tones["low"]}, False, **options)
        return str(error.value)

    assert "no config.json there; expected a folder of save_pretrained" in refused(tmp_path)
    config = json.loads((ctc_model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "holds no weights; expected model.safetensors" in refused(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((ctc_model / "model.safetensors").read_bytes())
    assert "expected preprocessor_config.json" in refused(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    assert "BertModel does not recognise speech" in refused(tmp_path)
    with pytest.raises(UsageError, match="--temperatures does not apply to it"):
        open_transcriber(f"transformers:{ctc_model}", temperatures=(0.0,))


def nothing(file):
    file.write_bytes(b"")


def page(file):
    file.write_bytes(b"<!DOCTYPE html><html>Sign in</html>")


def not_a_number(file):
    state = safetensors.torch.load_file(file)
    state["lm_head.weight"][1, 2] = float("nan")
    safetensors.torch.save_file(state, file, metadata={"format": "pt"})


def token_beyond(file):
    file.write_text(json.dumps({**json.loads(file.read_text()), "extra": 99}))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("model.safetensors", nothing, "is empty; download it again"),
        ("model.safetensors", half, "cut short or damaged"),
        ("model.safetensors", page, "a web page in place of the file"),
        ("model.safetensors", not_a_number, "lm_head.weight holds 1 values of .* NaN"),
        ("config.json", half, "not JSON, cut short or damaged"),
        ("vocab.json", half, "not JSON, cut short or damaged"),
        ("vocab.json", token_beyond, "'extra' is token 99, and .*config.json says vocab_size 7"),
        ("tokenizer_config.json", nothing, "is empty; download it again"),
    ],
)
def test_a_damaged_file_is_named_before_anything_is_loaded(ctc_model, tmp_path, name, damage, said):
    shutil.copytree(ctc_model, tmp_path / "model")
    damage(tmp_path / "model" / name)
    transcriber = open_transcriber(f"transformers:{tmp_path / 'model'}")
    for look in (transcriber.inspect, transcriber.load):
        with pytest.raises(CheckpointError, match=said) as error:
            look()
        assert str(tmp_path / "model" / name) in str(error.value)


def test_a_folder_of_another_program_is_named_before_anything_is_loaded(ctc_model, tmp_path):
    shutil.copytree(ctc_model, tmp_path / "model")
    file = tmp_path / "model/config.json"
    file.write_text(json.dumps({"dims": {"n_mels": 80}}))
    with pytest.raises(CheckpointError, match=f"{file}: says no model_type, .*; give a folder that save_pretrained"):
        open_transcriber(f"transformers:{file.parent}").inspect()


def test_a_whole_model_says_what_it_is(ctc_model, speech2text_model):
    (said,) = open_transcriber(f"transformers:{ctc_model}").inspect()
    assert said == f"{ctc_model}: Wav2Vec2ForCTC of transformers, 7 tokens"
    assert "Speech2TextForConditionalGeneration" in open_transcriber(f"transformers:{speech2text_model}").inspect()[0]


def test_the_identity_is_that_of_the_files_that_decide(ctc_model, tmp_path):
    for path in ctc_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("a model")
    (tmp_path / "trainer_state.json").write_text("{}")
    first = open_transcriber(f"transformers:{ctc_model}").identity.digest
    assert open_transcriber(f"transformers:{tmp_path}").identity.digest == first
    (tmp_path / "vocab.json").write_text((tmp_path / "vocab.json").read_text().replace("低", "高"))
    assert open_transcriber(f"transformers:{tmp_path}").identity.digest != first
