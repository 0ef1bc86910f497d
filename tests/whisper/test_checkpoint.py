"""Every published form of a checkpoint loads into the same model, and what does not fit is named."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.torch
import torch
import whisper
from published_models import transformers_model, whisper_model

from k2d.errors import CheckpointError
from k2d.text.tokenizer import WhisperTokenizer, train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.identity import PUBLISHED, TINY_EN, check_name, model_identity, resolve
from k2d.whisper.model import ModelDimensions, Whisper
from k2d.work.models import ModelRecord, write_record

DIMS = ModelDimensions(80, 1500, 64, 2, 2, 51865, 448, 64, 2, 3)


@pytest.fixture(scope="module")
def model():
    return whisper_model(DIMS)


@pytest.fixture(scope="module")
def huggingface(model, tmp_path_factory):
    """The model as transformers itself writes it, in three shards."""
    theirs = transformers_model(model)
    folder = tmp_path_factory.mktemp("hf")
    theirs.save_pretrained(folder, max_shard_size="6MB")
    return folder, theirs


@pytest.fixture(scope="module")
def small():
    """A small model with a vocabulary of its own."""
    tokenizer = train_sentencepiece(["今天 weather 不错", "我们用 model 来训练"] * 5, 320)
    torch.manual_seed(1)
    dims = dataclasses.replace(DIMS, n_vocab=tokenizer.vocab_size)
    return Whisper(dims).eval(), tokenizer


def assert_same(a: Whisper, b: Whisper, tolerance: float = 0.0) -> None:
    assert a.dims == b.dims
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        # Quantisation errs in proportion to the largest weight of a row.
        torch.testing.assert_close(x, y, atol=tolerance * float(y.abs().max()), rtol=0, msg=name)


def test_our_folder_keeps_model_tokenizer_and_config(small, tmp_path):
    model, tokenizer = small
    checkpoint.save(tmp_path / "m", model, tokenizer, {"trim_padding": True})
    loaded = checkpoint.load(tmp_path / "m")
    assert_same(loaded.model, model)
    assert loaded.tokenizer.tokens() == tokenizer.tokens()
    assert loaded.trim_padding
    assert loaded.hash == model_identity(tmp_path / "m").digest


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_checkpoint_in_half_precision_computes_what_it_does_in_float32(small, tmp_path, dtype):
    model, tokenizer = small
    checkpoint.save(tmp_path, model, tokenizer)
    half = checkpoint.load(tmp_path, dtype=dtype).model
    assert half.encoder.conv1.weight.dtype == dtype
    mel, tokens = torch.randn(1, 80, 200), torch.tensor([tokenizer.sot_sequence()])
    with torch.no_grad():
        want, got = model(mel, tokens), half(mel.to(dtype), tokens)
    assert (got.softmax(-1) - want.softmax(-1)).abs().max() < 0.02


def test_openai_file_is_read_by_us_and_by_openai_whisper(model, tmp_path):
    checkpoint.save_openai(tmp_path / "m.pt", model)
    assert_same(checkpoint.load(tmp_path / "m.pt").model, model)
    theirs = whisper.load_model(str(tmp_path / "m.pt"), device="cpu")
    mel, tokens = torch.randn(1, 80, 3000), torch.tensor([[50258, 50260, 50359]])
    with torch.no_grad():
        torch.testing.assert_close(theirs(mel, tokens), model(mel, tokens))


def test_sharded_huggingface_folder_is_read(model, huggingface):
    folder, theirs = huggingface
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    loaded = checkpoint.load(folder)
    assert_same(loaded.model, model)
    mel, tokens = torch.randn(1, 80, 3000), torch.tensor([[50258, 50260, 50359]])
    with torch.no_grad():
        want = theirs(input_features=mel, decoder_input_ids=tokens).logits
        torch.testing.assert_close(loaded.model(mel, tokens), want, atol=1e-4, rtol=0)


def test_missing_shard_is_named(huggingface, tmp_path):
    folder, _ = huggingface
    for file in folder.iterdir():
        if not file.name.startswith("model-00002"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match=r"model-00002.* missing; .*: download"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(("quantization", "tolerance"), [("float32", 0.0), ("float16", 1e-3), ("int8", 1e-2)])
def test_ctranslate2_folder_is_read(model, huggingface, tmp_path, quantization, tolerance):
    """CTranslate2's own converter writes, our reader reads."""
    from ctranslate2.converters import TransformersConverter

    class WithoutTokenizer(TransformersConverter):
        def load_tokenizer(self, tokenizer_class, name, **kwargs):
            class Vocabulary:
                def get_vocab(self):
                    return {token: i for i, token in enumerate(WhisperTokenizer(DIMS.n_vocab).tokens())}

            return Vocabulary()

    folder = tmp_path / "ct2"
    WithoutTokenizer(str(huggingface[0])).convert(str(folder), quantization=quantization)
    assert_same(checkpoint.load(folder).model, model, tolerance)


def test_loading_draws_no_random_numbers(small, tmp_path):
    checkpoint.save(tmp_path, *small)
    before = torch.get_rng_state()
    assert_same(checkpoint.load(tmp_path).model, small[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_frozen_source_is_not_stored_and_comes_back(tmp_path):
    source = checkpoint.load(TINY_EN)
    tokenizer = train_sentencepiece(["今天 weather 不错"] * 5, 300)
    dims = dataclasses.replace(source.dims, n_vocab=tokenizer.vocab_size, n_audio_layer=2, n_text_layer=1)
    model = Whisper(dims)
    state = source.model.state_dict()
    kept = {name: state[name] for name in model.state_dict() if name.startswith("encoder.")}
    model.load_state_dict(kept, strict=False)
    checkpoint.save(tmp_path / "m", model, tokenizer, {"frozen": {"source": TINY_EN}})
    stored = safetensors.torch.load_file(tmp_path / "m" / "model.safetensors")
    assert stored and not any(name.startswith("encoder.") for name in stored)
    assert_same(checkpoint.load(tmp_path / "m").model, model)


def test_tensors_that_do_not_fit_are_named(small, tmp_path):
    model, tokenizer = small
    checkpoint.save(tmp_path, model, tokenizer)
    state = safetensors.torch.load_file(tmp_path / "model.safetensors")
    state["decoder.extra"] = torch.zeros(1)
    del state["decoder.ln.bias"]
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"missing: decoder.ln.bias; unexpected: decoder.extra"):
        checkpoint.load(tmp_path)


def test_wrong_paths_say_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match="no such file or folder, nor a known model name"):
        checkpoint.load("medium-rare")
    with pytest.raises(CheckpointError, match=r"holds no weights; expected model\.safetensors"):
        checkpoint.load(tmp_path)
    write_record(tmp_path / "exp/teacher_big", ModelRecord("teacher_big", "teacher", "models/big"))
    with pytest.raises(CheckpointError, match=r"teacher_big: is the record of a teacher.* its checkpoint models/big"):
        checkpoint.load(tmp_path / "exp/teacher_big")
    with pytest.raises(CheckpointError, match="a model is wanted and none is named"):
        check_name("")
    (tmp_path / "x.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"text in place of the file .* Expected an OpenAI Whisper checkpoint"):
        checkpoint.load(tmp_path / "x.pt")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    torch.save({"dims": {}, "model_state_dict": Evil()}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "x.pt")


def test_truncated_ctranslate2_file_is_named(tmp_path):
    whole = (resolve(TINY_EN) / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated or not a CTranslate2 model"):
        checkpoint.load(tmp_path)


def test_a_vocabulary_of_another_model_is_refused(small, tmp_path):
    model, _ = small
    checkpoint.save(tmp_path, model, train_sentencepiece(["其他的 words"] * 5, 305))
    with pytest.raises(CheckpointError, match=r"the vocabulary has .* tokens, the model"):
        checkpoint.load(tmp_path)


def test_real_tiny_en_knows_silence():
    """Real weights through the CTranslate2 reader: their dimensions, and that they know silence."""
    loaded = checkpoint.load(TINY_EN)
    assert loaded.dims == ModelDimensions(80, 1500, 384, 6, 4, 51864, 448, 384, 6, 4)
    silence = whisper.log_mel_spectrogram(np.zeros(480000, dtype=np.float32))
    with torch.no_grad():
        logits = loaded.model(silence[None], torch.tensor([loaded.tokenizer.sot_sequence()]))
    probability = logits[0, -1].softmax(-1)[loaded.tokenizer.no_speech]
    assert probability > 0.3


def test_config_that_is_not_json_is_named(small, tmp_path):
    model, tokenizer = small
    checkpoint.save(tmp_path, model, tokenizer)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config.json: not JSON"):
        checkpoint.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="not a Whisper configuration"):
        checkpoint.load(tmp_path)


def test_what_decides_a_models_text_is_its_identity(small, tmp_path):
    model, tokenizer = small
    checkpoint.save(tmp_path / "m", model, tokenizer)

    def digest() -> str:
        return model_identity(tmp_path / "m").digest

    seen = {digest()}
    (tmp_path / "m/notes.txt").write_text("nothing that counts")
    (tmp_path / "m/model.json").write_text("{}")
    assert {digest()} == seen
    for name in ("config.json", "tokenizer.model", "model.safetensors", "generation_config.json"):
        with open(tmp_path / "m" / name, "ab") as handle:
            handle.write(b" ")
        seen.add(digest())
    assert len(seen) == 5


def test_a_frozen_source_is_part_of_the_identity(small, tmp_path):
    source, copy = tmp_path / "source", tmp_path / "m"
    checkpoint.save(source, *small)
    checkpoint.save(copy, *small, {"frozen": {"source": str(source)}})
    before = model_identity(copy).digest
    with open(source / "tokenizer.model", "ab") as handle:
        handle.write(b" ")
    assert model_identity(copy).digest != before


def test_published_names_stand_for_themselves():
    assert set(PUBLISHED) == set(whisper.available_models())
    assert model_identity("large-v2") != model_identity("large-v3")  # and nothing is downloaded
    assert model_identity(TINY_EN).path == TINY_EN
    with pytest.raises(CheckpointError, match="nor a known model name"):
        model_identity("medium-rare")
