"""Encoder outputs that models share are the encoder's own, whatever becomes of their folder."""

import errno

import pytest
import torch
from decoding_material import random_model

from k2d.whisper import checkpoint, encoder_cache
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.encoder_cache import EncoderCache
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.engine_torch import TorchEngine

MELS = [torch.randn(80, n, generator=torch.Generator().manual_seed(n)) for n in (200, 300, 220)]


@pytest.fixture
def engine(tmp_path):
    model, tokenizer = random_model()
    engine = TorchEngine(Checkpoint(model, tokenizer, "random", "random", {"trim_padding": True}))
    engine.cache = EncoderCache(tmp_path / "cache", model.encoder, "float32")
    return engine


def mels(engine):
    n_mels = engine.model.encoder.conv1.weight.shape[1]
    return [mel[:n_mels] for mel in MELS]


def encoded(engine, windows=None) -> tuple[list[torch.Tensor], int]:
    """Outputs, and how many windows the encoder was run on for them."""
    asked = []
    handle = engine.model.encoder.register_forward_hook(lambda *_: asked.append(1))
    outputs = engine.encode(windows or mels(engine))
    handle.remove()
    return outputs, len(asked)


def test_what_is_stored_is_what_the_encoder_gives(engine):
    cache, engine.cache = engine.cache, None
    expected, _ = encoded(engine)
    engine.cache = cache
    for runs in (3, 0):
        found, asked = encoded(engine)
        assert asked == runs
        assert all(torch.equal(a, b) for a, b in zip(found, expected))


def test_models_with_one_encoder_share_the_folder_of_their_engines(tmp_path):
    model, tokenizer = random_model()
    config = EngineConfig(engine="torch", device="cpu", dtype="float32", encoder_cache=str(tmp_path / "cache"))
    for name, runs in (("teacher", 3), ("student", 0)):
        checkpoint.save(tmp_path / name, model, tokenizer)
        assert encoded(load_engine(tmp_path / name, config, DecodingOptions()))[1] == runs
        with torch.no_grad():
            model.decoder.ln.bias += 1


def test_another_encoder_and_other_products_have_outputs_of_their_own(engine):
    encoded(engine)
    folder, encoder = engine.cache.folder, engine.model.encoder
    engine.cache = EncoderCache(folder, encoder, "bfloat16")
    assert encoded(engine)[1] == 3
    with torch.no_grad():
        encoder.ln_post.bias += 1
    engine.cache = EncoderCache(folder, encoder, "float32")
    assert encoded(engine)[1] == 3


def test_the_sign_of_a_zero_makes_no_other_encoder(engine):
    encoder = engine.model.encoder
    with torch.no_grad():
        encoder.ln_post.bias[0] = -0.0
        minus = EncoderCache(engine.cache.folder, encoder).key.digest()
        encoder.ln_post.bias[0] = 0.0
    assert EncoderCache(engine.cache.folder, encoder).key.digest() == minus


def test_a_torn_file_is_encoded_again(engine):
    expected, _ = encoded(engine)
    first, *_ = sorted(engine.cache.folder.rglob("*.safetensors"))
    first.write_bytes(first.read_bytes()[:-5])
    found, asked = encoded(engine)
    assert asked == 1
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


def test_a_full_disk_is_said_once_and_decoding_goes_on(engine, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoder_cache, "atomic", full)
    outputs, asked = encoded(engine)
    assert (len(outputs), asked) == (3, 3)
    assert [r.getMessage() for r in caplog.records] == [
        f"{engine.cache.folder}: no more encoder outputs are stored: No space left on device; decoding goes on"
    ]


def test_a_folder_deleted_while_it_is_written_to_is_filled_again(engine, monkeypatch):
    def gone(*_):
        raise OSError(errno.ENOENT, "No such file or directory")

    with monkeypatch.context() as patched:
        patched.setattr(encoder_cache, "atomic", gone)
        encoded(engine)
    assert [encoded(engine)[1] for _ in range(2)] == [3, 0]
