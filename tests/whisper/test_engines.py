"""Both engines choose openai-whisper's tokens, in any batch, with any prompt."""

import dataclasses
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
import whisper
from decoding_material import random_model

from k2d.errors import DataError, UsageError
from k2d.whisper import ctranslate2_conversion as conversion
from k2d.whisper import engine as engines
from k2d.whisper import processor, products, search
from k2d.whisper.caches import AudioCache, TextCache
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.ctranslate2_conversion import converted, digest
from k2d.whisper.decoding import DecodingOptions, initial_tokens, needs_fallback
from k2d.whisper.encoding import attend
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.engine_ctranslate2 import CTranslate2Engine
from k2d.whisper.engine_torch import TorchEngine
from k2d.whisper.fallback import Window, decode_windows
from k2d.whisper.features import log_mel
from k2d.whisper.incremental import DecoderState
from k2d.whisper.processor import KINDS, Parts
from k2d.whisper.vocabulary import Vocabulary, top

BFLOAT16 = Parts("bfloat16", "products", "bfloat16", "bfloat16")
PREVIOUS = [[], [2000, 300, 500, 600], [1000] * 20]  # prompts of three lengths in one batch


@pytest.fixture(scope="session")
def windows(real, speech):
    """Encoder outputs of three windows of speech under tiny.en."""
    audio = [np.concatenate(speech[:2]), speech[2], np.concatenate(speech[3:5])]
    mels = [log_mel(whisper.pad_or_trim(a)) for a in audio]
    return mels, TorchEngine(real).encode(mels)


def prompts_of(engine, options):
    return [initial_tokens(engine.tokenizer, engine.dims.n_text_ctx, p, options, None) for p in PREVIOUS]


@pytest.fixture(scope="session")
def small():
    """A random model with a sentencepiece vocabulary, and eight windows of two lengths."""
    model, tokenizer = random_model()
    checkpoint = Checkpoint(model, tokenizer, "random", "random", {"trim_padding": True})
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(100 if i % 3 else 150, 32, generator=generator) for i in range(8)]
    previous = [list(range(40, 40 + n)) for n in (0, 1, 3, 17, 17, 45, 0, 45)]
    return checkpoint, features, previous


@pytest.mark.parametrize("beam_size", [1, 3])
def test_tokens_equal_openai_whispers(real, windows, beam_size):
    engine = TorchEngine(real)
    mels, features = windows
    options = DecodingOptions(language="en", beam_size=beam_size)
    found = engine.generate(features, prompts_of(engine, options), options)
    beam = beam_size if beam_size > 1 else None
    for hypothesis, mel, previous in zip(found, mels, PREVIOUS):
        expected = whisper.decode(
            real.model,
            mel,
            whisper.DecodingOptions(language="en", beam_size=beam, prompt=previous or None, fp16=False),
        )
        assert hypothesis.tokens == expected.tokens
        # The sum over unlikely tokens is rough, `Vocabulary`; it shows where a wild prompt leaves many of them.
        assert hypothesis.avg_logprob == pytest.approx(expected.avg_logprob, abs=5e-3)
        assert hypothesis.no_speech_prob == pytest.approx(expected.no_speech_prob, abs=1e-4)
        assert hypothesis.compression_ratio == expected.compression_ratio


def test_encoder_output_does_not_depend_on_the_batch(real, windows):
    mels, features = windows
    assert torch.equal(TorchEngine(real).encode(mels[1:2])[0], features[1])


@pytest.mark.parametrize(("beam_size", "temperature", "best_of"), [(1, 0.0, 1), (4, 0.0, 1), (1, 0.6, 1), (1, 0.6, 3)])
def test_a_window_decodes_the_same_in_any_batch(small, beam_size, temperature, best_of):
    checkpoint, features, previous = small
    engine = TorchEngine(checkpoint)
    options = DecodingOptions(beam_size=beam_size, best_of=best_of, max_new_tokens=40)
    prompts = [initial_tokens(engine.tokenizer, 448, p, options, "zh") for p in previous]
    seeds = [[seed] for seed in range(100, 108)]
    together = engine.generate(features, prompts, options, (temperature,), seeds)
    assert len({tuple(h.tokens) for h in together}) > 4  # the windows do differ
    for i in (0, 3, 7):
        alone = engine.generate(features[i : i + 1], prompts[i : i + 1], options, (temperature,), seeds[i : i + 1])
        assert alone[0].tokens == together[i].tokens
        assert alone[0].avg_logprob == pytest.approx(together[i].avg_logprob, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_token_probabilities_add_up(small, beam_size):
    checkpoint, features, previous = small
    engine = TorchEngine(checkpoint)
    options = DecodingOptions(beam_size=beam_size, max_new_tokens=12)
    prompts = [initial_tokens(engine.tokenizer, 448, p, options, "zh") for p in previous]
    for h in engine.generate(features, prompts, options):
        total = h.avg_logprob * (len(h.tokens) + 1)
        end = total - sum(h.token_logprobs)  # the end of text has a probability too, unless it was cut off
        assert len(h.token_logprobs) == len(h.tokens)
        assert end <= 1e-3
        if len(h.tokens) == 12:
            assert end == pytest.approx(0.0, abs=1e-2)


def test_longest_prompts_leave_room_for_half_a_context(small):
    checkpoint, features, _ = small
    engine = TorchEngine(checkpoint)
    options = DecodingOptions(temperatures=(0.0,))
    long, short = (initial_tokens(engine.tokenizer, 448, [50] * n, options, "zh") for n in (300, 5))
    prompts = [long, short, short, short, short]
    found = engine.generate(features[:5], prompts, options)
    # The last token is sampled and never fed back. The first window stays in the batch with those that have more room.
    assert [len(h.tokens) for h in found[:2]] == [449 - len(long), 224]
    for i, prompt in enumerate(prompts):
        assert engine.generate(features[i : i + 1], [prompt], options)[0].tokens == found[i].tokens


@pytest.mark.parametrize("best_of", [1, 2])
def test_temperatures_side_by_side_give_what_they_give_in_turn(small, best_of):
    checkpoint, features, previous = small
    engine, temperatures = TorchEngine(checkpoint), (0.2, 0.5, 1.0)
    prompts = [initial_tokens(engine.tokenizer, 448, p, DecodingOptions(), "zh") for p in previous]
    seeds = [[100 * window + number for number in range(3)] for window in range(len(prompts))]
    options = DecodingOptions(best_of=best_of, max_new_tokens=60, compression_ratio_threshold=None)
    in_turn = [
        engine.generate(features, prompts, options, (t,), [[of_window[n]] for of_window in seeds])
        for n, t in enumerate(temperatures)
    ]
    middle = float(np.mean(sorted(h.avg_logprob for h in in_turn[0] + in_turn[1])[7:9]))
    options = dataclasses.replace(options, logprob_threshold=middle, no_speech_threshold=None)
    expected = [next((h for h in of if not needs_fallback(h, options)), of[-1]) for of in zip(*in_turn)]
    assert len({h.temperature for h in expected}) > 1
    found = engine.generate(features, prompts, options, temperatures, seeds)
    for f, e in zip(found, expected):
        assert (f.temperature, f.tokens) == (e.temperature, e.tokens)
        assert f.avg_logprob == pytest.approx(e.avg_logprob, abs=1e-3)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_loop_that_will_be_decoded_again_is_not_finished(small, beam_size):
    """At the last temperature a text goes on to its end. The model knows of a text its last token alone: it loops."""
    features = small[1][:4]
    model, tokenizer = random_model()
    with torch.no_grad():
        model.decoder.positional_embedding.zero_()
        for block in model.decoder.blocks:
            block.attn.out.weight.zero_()
    engine = TorchEngine(Checkpoint(model, tokenizer, "", "", {}))
    options = DecodingOptions(
        beam_size=beam_size, no_speech_threshold=None, timestamps=False, max_new_tokens=120
    )
    prompts = [initial_tokens(tokenizer, 448, [], options, "zh")] * len(features)
    last, before = (
        engine.generate(features, prompts, dataclasses.replace(options, temperatures=t)) for t in ((0.0,), (0.0, 1.0))
    )
    stopped = [(b, h) for b, h in zip(before, last) if len(b.tokens) < len(h.tokens)]
    assert stopped
    for b, h in stopped:
        assert needs_fallback(b, options) and needs_fallback(h, options)
        assert beam_size > 1 or b.tokens == h.tokens[: len(b.tokens)]


@pytest.mark.parametrize(("beam_size", "temperature", "best_of"), [(1, 0.0, 1), (4, 0.0, 1), (1, 0.6, 2)])
def test_steps_of_one_shape_choose_the_same(small, beam_size, temperature, best_of):
    checkpoint, features, previous = small
    engine = TorchEngine(checkpoint)
    options = DecodingOptions(beam_size=beam_size, best_of=best_of, max_new_tokens=60)
    prompts = [initial_tokens(engine.tokenizer, 448, p, options, "zh") for p in previous]
    sampling = (temperature,), [[seed] for seed in range(8)]
    expected = engine.generate(features, prompts, options, *sampling)
    engine.static = True
    for h, e in zip(engine.generate(features, prompts, options, *sampling), expected):
        assert h.tokens == e.tokens
        assert h.avg_logprob == pytest.approx(e.avg_logprob, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_ctranslate2_in_float32_equals_torch(small, beam_size, tmp_path):
    checkpoint, features, previous = small
    options = DecodingOptions(beam_size=beam_size)
    torch_engine = TorchEngine(checkpoint)
    engine = CTranslate2Engine(checkpoint, "float32", tmp_path)
    prompts = [initial_tokens(engine.tokenizer, 448, p, options, "zh") for p in previous]
    expected = torch_engine.generate(features, prompts, options)
    found = engine.generate(features, prompts, options)
    same = [f.tokens == e.tokens for f, e in zip(found, expected)]
    # Greedy search has to agree everywhere; beams may part where two of them weigh the same.
    assert all(same) if beam_size == 1 else sum(same) >= 6
    for f, e, equal in zip(found, expected, same):
        if equal:
            assert f.avg_logprob == pytest.approx(e.avg_logprob, abs=1e-3)
            assert f.no_speech_prob == pytest.approx(e.no_speech_prob, abs=1e-5)


def test_ctranslate2_with_int8_hears_the_same_words(real, windows, tmp_path):
    options = DecodingOptions(language="en", token_confidence=True)
    engine = CTranslate2Engine(real, "int8", tmp_path)
    prompts = [engine.tokenizer.sot_sequence("en")] * 2
    expected = TorchEngine(real).generate(windows[1][:2], prompts, options)
    found = engine.generate(windows[1][:2], prompts, options)
    words = [engine.tokenizer.decode(h.tokens).lower().split() for h in found]
    wanted = [engine.tokenizer.decode(h.tokens).lower().split() for h in expected]
    errors = sum(len(set(w) ^ set(v)) for w, v in zip(words, wanted))
    assert errors <= 0.1 * sum(map(len, wanted))
    for h, e in zip(found, expected):  # confidences come from a pass of the float32 decoder
        assert len(h.token_logprobs) == len(h.tokens)
        assert np.mean(h.token_logprobs) == pytest.approx(np.mean(e.token_logprobs), abs=0.3)


def test_ctranslate2_tells_confidence_at_every_temperature_or_at_none(small, tmp_path):
    checkpoint, features, previous = small
    engine = CTranslate2Engine(checkpoint, "float32", tmp_path)
    for wanted in (False, True):
        options = DecodingOptions(token_confidence=wanted)
        prompts = [initial_tokens(engine.tokenizer, 448, p, options, "zh") for p in previous[:2]]
        for temperature in (0.0, 0.8):
            for h in engine.generate(features[:2], prompts, options, (temperature,), [[1], [2]]):
                assert bool(h.token_logprobs) == wanted


def test_of_conversions_that_were_killed_nothing_stays(tmp_path, monkeypatch):
    def write(model, tokenizer, dtype, folder):
        (folder / "model.bin").write_text("whole")

    def killed(*given):
        write(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(conversion, "digest", lambda *_: "digest")
    for _ in range(2):
        monkeypatch.setattr(conversion, "convert", killed)
        if (child := os.fork()) == 0:
            try:
                converted(None, None, "int8", tmp_path)
            finally:
                os._exit(1)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert len(list(tmp_path.glob("ctranslate2/.*.tmp"))) == 1
    monkeypatch.setattr(conversion, "convert", write)
    made = converted(None, None, "int8", tmp_path)
    assert {path.name for path in made.parent.iterdir()} == {made.name, ".k2d"}


def test_a_model_that_another_process_converts_is_waited_for(tmp_path, monkeypatch):
    calls = []

    def convert(model, tokenizer, dtype, folder):
        calls.append(folder)
        time.sleep(0.2)
        (folder / "model.bin").write_text("whole")

    monkeypatch.setattr(conversion, "digest", lambda *_: "digest")
    monkeypatch.setattr(conversion, "convert", convert)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda _: converted(None, None, "int8", tmp_path), range(3)))
    assert len(calls) == 1 and len(set(made)) == 1 and (made[0] / "model.bin").exists()


def test_conversion_is_kept_by_content_and_leaves_the_model_alone(small, tmp_path):
    checkpoint, *_ = small
    before = {name: tensor.clone() for name, tensor in checkpoint.model.state_dict().items()}
    first = converted(checkpoint.model, checkpoint.tokenizer, "int8", tmp_path)
    stamp = (first / "model.bin").stat().st_mtime_ns
    assert converted(checkpoint.model, checkpoint.tokenizer, "int8", tmp_path) == first
    assert (first / "model.bin").stat().st_mtime_ns == stamp
    assert converted(checkpoint.model, checkpoint.tokenizer, "float32", tmp_path) != first
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    other, tokenizer = random_model(seed=1)
    assert digest(other, tokenizer) != digest(checkpoint.model, checkpoint.tokenizer)
    assert sorted(p.name for p in first.parent.iterdir()) == sorted(
        {".k2d", first.name, first.name.replace("int8", "float32")}
    )  # nothing half made is left


@pytest.mark.parametrize("published", [True, False])
def test_projections_compute_in_float32(published):
    """Weights that float16 holds exactly are kept so, and others are not rounded."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(96, 64, generator=generator), torch.randn(96, generator=generator)
    if published:
        weight = weight.half().float()
    x = torch.randn(5, 64, generator=generator)
    expected = x.double() @ weight.double().t() + bias.double()
    torch.testing.assert_close(products.float32(weight, bias)(x).double(), expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(products.float32(weight, None)(x).double(), expected - bias, atol=2e-5, rtol=1e-5)


def test_the_likeliest_tokens_and_all_special_ones_are_exact():
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(9000, 64, generator=generator).half().float() / 8
    hidden = torch.randn(7, 64, generator=generator)
    vocabulary, expected = Vocabulary(embedding, 8500), hidden @ embedding.T
    if vocabulary.rough is None:
        pytest.skip("this torch has no int8 product for this processor")
    found = vocabulary(hidden)
    likely = expected[:, :8500].topk(8, dim=-1).indices
    torch.testing.assert_close(found.gather(1, likely), expected.gather(1, likely), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, 8500:], expected[:, 8500:], atol=1e-4, rtol=1e-4)
    assert (found - expected).abs().max() > 1e-3  # the others are what is saved
    torch.testing.assert_close(found.logsumexp(-1), expected.logsumexp(-1), atol=2e-2, rtol=0)
    torch.testing.assert_close(vocabulary.exact(hidden), expected, atol=1e-4, rtol=1e-4)
    assert Vocabulary(embedding[:500], 400).rough is None  # a small vocabulary is no work


@pytest.mark.parametrize("n", [64, 1000, 51864])
def test_the_largest_by_blocks(n):
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(5, n, generator=generator)
    x[0, : n // 2] = -float("inf")
    x[1] = -float("inf")
    x[1, n - 3 :] = torch.tensor([1.0, 3.0, 2.0])
    for k in (1, 3, 6):
        values, ids = top(x, k)
        assert torch.equal(values, x.topk(k, dim=-1).values)
        assert torch.equal(x.gather(1, ids), values)
        assert all(len(set(row)) == k for row in ids.tolist())


def test_by_default_a_cpu_decodes_with_torch_and_weights_in_float16(small_model):
    def loaded(**options):
        config = EngineConfig(device="cpu", **options).resolved()
        return (config.engine, config.device, config.dtype), load_engine(small_model, config, DecodingOptions())

    def weights(engine):
        return [weight for weight in engine.model.decoder.parameters() if weight.dim() == 2]

    resolved, engine = loaded()
    assert resolved == ("torch", "cpu", "float16")
    assert engine.dtype == torch.float32  # of the arithmetic
    assert all(torch.equal(w, w.half().float()) for w in weights(engine))
    resolved, engine = loaded(dtype="float32")
    assert resolved == ("torch", "cpu", "float32")
    assert not any(torch.equal(w, w.half().float()) for w in weights(engine))


def test_languages_are_detected(small):
    checkpoint, features, _ = small
    engine = TorchEngine(checkpoint)
    found = engine.detect_language(features)
    assert all(set(p) == {"en", "zh"} and sum(p.values()) == pytest.approx(1) for p in found)
    assert engine.detect_language(features[2:3])[0]["zh"] == pytest.approx(found[2]["zh"], abs=1e-5)


def test_windows_without_a_language_are_decoded_in_the_likeliest(small):
    engine = TorchEngine(small[0])
    generator = torch.Generator().manual_seed(1)
    mels = [torch.randn(80, 200, generator=generator) for _ in range(6)]
    likeliest = [max(odds, key=odds.get) for odds in engine.detect_language(engine.encode(mels))]
    other = {"en": "zh", "zh": "en"}[likeliest[0]]
    windows = [Window("r", i, mel, language=None if i else other) for i, mel in enumerate(mels)]
    options = DecodingOptions(language=None, temperatures=(0.0,), max_new_tokens=2)
    found = decode_windows(engine, windows, options)
    assert [h.language for h in found] == [other, *likeliest[1:]]


def test_english_only_models_have_no_languages(real, windows):
    with pytest.raises(ValueError, match="give the language"):
        TorchEngine(real).detect_language(windows[1])


def test_half_precision_decodes(small):
    checkpoint, features, previous = small
    model, tokenizer = random_model()
    half = dataclasses.replace(checkpoint, model=model.to(torch.bfloat16))
    engine = TorchEngine(half)
    options = DecodingOptions(max_new_tokens=8)
    prompts = [initial_tokens(tokenizer, 448, p, options, "zh") for p in previous]
    found = engine.generate([f.to(torch.bfloat16) for f in features], prompts, options)
    assert all(np.isfinite(h.avg_logprob) and h.tokens for h in found)


@pytest.fixture(scope="module")
def rounded(real, windows):
    """An engine that rounds, and its encoder output of a window: bfloat16 is slow where the CPU lacks it."""
    engine = TorchEngine(real, parts=BFLOAT16)
    return engine, engine.encode(windows[0][:1])


def test_a_rounding_encoder_stays_near_float32(real, windows, rounded):
    mels, expected = windows
    engine, encoded = rounded
    for found, wanted in zip(encoded, expected):
        assert found.dtype == torch.float32 and found.shape == wanted.shape
        assert (found - wanted).norm() / wanted.norm() < 0.05
    short = [mel[:, :400] for mel in mels[:2]]  # a context shorter than 30 s
    alone, together = engine.encode(short[:1])[0], engine.encode(short)[0]
    assert torch.equal(alone, together)
    exact = TorchEngine(real).encode(short[:1])[0]
    assert (alone - exact).norm() / exact.norm() < 0.05
    with pytest.raises(ValueError, match="do not fit"):
        engine.encode([torch.zeros(80, 3002)])


def test_a_cpu_computes_as_it_was_measured(small_model, tmp_path, monkeypatch, caplog):
    """Here and where the file was made on another kind of processor; without a file nothing is rounded."""
    place = tmp_path / "processor.json"
    monkeypatch.setenv("K2D_PROCESSOR", str(place))
    config = EngineConfig(device="cpu")
    assert "parts" not in config.decides
    assert load_engine(small_model, config, DecodingOptions()).rounding_encoder is None
    seconds = {
        "encoder": {"float32": 2.0, "bfloat16": 1.5},
        "attention": {"float32": 2.0, "bfloat16": 9.0},
        "decoder": {"float32": 2.0, "bfloat16": 1.9},  # hardly faster
        "caches": {"float32": 2.0, "bfloat16": 1.0},
        "vocabulary": {"float32": 2.0, "int8": 1.0},
    }
    place.write_text(json.dumps({"processor": "Another 1", "torch": "2", "seconds": seconds}))
    assert config.parts == Parts("bfloat16", "float32", "float32", "bfloat16", "int8")
    assert config.decides["parts"]["encoder"] == "bfloat16"
    assert dataclasses.replace(config, dtype="bfloat16").parts == config.parts
    for exact in ({"dtype": "float32"}, {"device": "cuda"}):
        assert "parts" not in dataclasses.replace(config, **exact).decides
    engine = load_engine(small_model, config, DecodingOptions())
    assert engine.rounding_encoder is not None and engine.decoder.audio_dtype == torch.bfloat16
    assert engine.dtype == torch.float32  # of everything else
    assert "measured, Another 1 (" in caplog.text


DAMAGES = {
    "no parts": lambda record: record.clear(),
    "no processor": lambda record: record.pop("processor"),
    "a part is missing": lambda record: record["seconds"].pop("caches"),
    "another part": lambda record: record["seconds"].update(more={"float32": 1.0}),
    "no float32": lambda record: record["seconds"]["encoder"].pop("float32"),
    "no times": lambda record: record["seconds"].update(encoder={}),
    "a list": lambda record: record["seconds"].update(encoder=[1.0]),
    "no number": lambda record: record["seconds"]["encoder"].update(bfloat16=None),
    "a later version's": lambda record: record["seconds"]["attention"].update(amx=0.1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_record_that_cannot_be_followed_is_named(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("K2D_PROCESSOR", str(tmp_path / "processor.json"))
    record = {"processor": "P", "seconds": {part: dict.fromkeys(kinds, 1.0) for part, kinds in KINDS.items()}}
    DAMAGES[damage](record)
    (tmp_path / "processor.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"processor.json.*measure anew"):
        processor.parts_of("auto")


def test_a_processor_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv("K2D_PROCESSOR", str(tmp_path / "processor.json"))
    first = EngineConfig(device="cpu", dtype="bfloat16").parts
    written = (tmp_path / "processor.json").read_bytes()
    assert EngineConfig(device="cpu", dtype="bfloat16").parts == first
    assert (tmp_path / "processor.json").read_bytes() == written
    assert processor.stranger() is None
    # Virtual machines tell the maker's name alone.
    monkeypatch.setattr(processor.machine, "instructions", lambda: ["avx2"])
    assert "(avx2), is not the one that was measured" in processor.stranger()
    record = json.loads(written)
    del record["instructions"]
    (tmp_path / "processor.json").write_text(json.dumps(record))
    assert processor.stranger() is None, "an older file knows only the name"


def test_what_is_slow_the_first_time_alone_is_measured_again():
    """Kernels are made in the first call; a processor without them takes seconds in every one."""
    calls = {"float32": 0, "bfloat16": 0, "int8": 0}

    def work(kind: str, first: int, later: int) -> None:
        calls[kind] += 1
        end = time.thread_time() + (first if calls[kind] == 1 else later) / 1000
        while time.thread_time() < end:
            pass

    works = {"float32": (6, 6), "bfloat16": (50, 1), "int8": (500, 1)}
    times = processor._race({kind: partial(work, kind, *took) for kind, took in works.items()})
    assert times["bfloat16"] < times["float32"] and calls["bfloat16"] > 1
    assert times["int8"] > times["float32"] and calls["int8"] == 1


@pytest.mark.parametrize("kind", KINDS["attention"])
def test_attention_of_the_encoder(kind):
    qkv = torch.randn(1100, 3, 2, 16, generator=torch.Generator().manual_seed(0))
    q, k, v = qkv.transpose(0, 1).transpose(1, 2)  # (heads, length, size)
    expected = ((q @ k.mT / 4).softmax(dim=-1) @ v).transpose(0, 1)
    found = attend(kind, qkv).float()
    assert found.shape == expected.shape
    assert (found - expected).norm() / expected.norm() < (1e-5 if kind == "float32" else 0.02)


@pytest.mark.parametrize("kind", KINDS["attention"])
@pytest.mark.parametrize("sign", [1, -1])
def test_attention_with_scores_whose_powers_are_out_of_range(kind, sign):
    generator = torch.Generator().manual_seed(0)
    place = torch.arange(600) % 4
    direction = torch.nn.functional.one_hot(place, 16)[:, None] * 64.0
    qkv = torch.stack([direction, sign * direction, torch.randn(600, 1, 16, generator=generator)], dim=1)
    # Scores are ±1024 between the same places, else 0.
    same = place[:, None] == place
    weight = (same if sign > 0 else ~same).float()
    expected = (weight / weight.sum(1, keepdim=True)) @ qkv[:, 2, 0]
    assert (attend(kind, qkv)[:, 0].float() - expected).norm() / expected.norm() < 0.02
    qkv[:, 1] = -64.0  # scores of -1024 alone
    expected = qkv[:, 2, 0].mean(0).expand(600, -1)
    assert (attend(kind, qkv)[:, 0].float() - expected).norm() / expected.norm() < 0.05


@pytest.mark.parametrize("kind", KINDS["attention"])
def test_attention_where_rows_differ_by_more_than_the_range_of_powers(kind):
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(600, 3, 1, 16, generator=generator)
    qkv[::2, 0] *= 300.0  # every other query: scores of some hundreds beside those of about 1
    q, k, v = (x.to(torch.bfloat16).double() for x in qkv[:, :, 0].unbind(1))
    expected = (q @ k.T / 4).softmax(dim=-1) @ v
    found = attend(kind, qkv)[:, 0].double()
    assert (found - expected)[1::2].norm() / expected[1::2].norm() < 0.02
    assert (found - expected)[::2].norm() / expected[::2].norm() < 0.2, "scores are rounded by units there"


def test_what_all_keys_have_in_common_is_not_rounded():
    qkv = torch.randn(600, 3, 2, 16, generator=torch.Generator().manual_seed(0))
    qkv[:, 1] += 20.0
    qkv = qkv.to(torch.bfloat16).float()
    expected = attend("float32", qkv)
    assert (attend("products", qkv).float() - expected).norm() / expected.norm() < 0.02


@pytest.mark.parametrize("beam_size", [1, 2])
def test_words_of_a_rounding_engine_are_float32s(real, windows, rounded, beam_size):
    options = DecodingOptions(language="en", beam_size=beam_size)
    engine, encoded = rounded
    prompts = [engine.tokenizer.sot_sequence("en")]
    expected = TorchEngine(real).generate(windows[1][:1], prompts, options)
    found = engine.generate(encoded, prompts, options)
    for f, e in zip(found, expected):
        assert engine.tokenizer.decode(f.tokens).split() == engine.tokenizer.decode(e.tokens).split()
        assert f.avg_logprob == pytest.approx(e.avg_logprob, abs=0.02)
        assert f.no_speech_prob == pytest.approx(e.no_speech_prob, abs=0.02)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_bfloat16_decodes_a_window_the_same_in_any_batch(small, beam_size):
    checkpoint, features, previous = small
    engine = TorchEngine(checkpoint, parts=BFLOAT16)
    options = DecodingOptions(beam_size=beam_size, max_new_tokens=40)
    prompts = [initial_tokens(engine.tokenizer, 448, p, options, "zh") for p in previous]
    together = engine.generate(features, prompts, options)
    assert len({tuple(h.tokens) for h in together}) > 4
    for i in (0, 3, 7):
        alone = engine.generate(features[i : i + 1], prompts[i : i + 1], options)
        assert alone[0].tokens == together[i].tokens
        assert alone[0].avg_logprob == pytest.approx(together[i].avg_logprob, abs=5e-3)


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("caches", ["float32", "bfloat16"])
@pytest.mark.parametrize("decoder", ["float32", "bfloat16"])
@pytest.mark.parametrize("encoder", ["float32", "bfloat16"])
def test_every_part_has_a_type_of_its_own(small, encoder, decoder, caches, group):
    checkpoint, features, _ = small

    def logits(parts: Parts) -> torch.Tensor:
        engine = TorchEngine(checkpoint, parts=parts)
        prompts = [engine.tokenizer.sot_sequence("zh"), [300, 500, *engine.tokenizer.sot_sequence("zh")]]
        with torch.inference_mode():
            state = DecoderState(engine.decoder, features[:2], 12, group)
            state.prefill(prompts)
            return torch.stack([state.step(torch.full((2 * group,), 700), at) for at in range(len(prompts[1]), 12)])

    expected = logits(Parts())
    found = logits(Parts(encoder, "products", decoder, caches, "float32"))
    assert (found - expected).norm() / expected.norm() < 0.05


def test_products_in_bfloat16_and_int8():
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(96, 64, generator=generator), torch.randn(96, generator=generator)
    x = torch.randn(5, 64, generator=generator).bfloat16()
    expected = x.float() @ weight.T
    tolerance = dict(atol=0.1, rtol=1e-2)
    torch.testing.assert_close(products.product("bfloat16", weight, bias)(x).float(), expected + bias, **tolerance)
    gelu = torch.nn.functional.gelu(expected + bias)
    torch.testing.assert_close(products.product("bfloat16", weight, bias, gelu=True)(x).float(), gelu, **tolerance)
    for int8, there in ((products.int8, products.has_fbgemm()), (products.onednn_int8, products.has_onednn())):
        if there:
            torch.testing.assert_close(int8(weight)(x.float()), expected, atol=0.6, rtol=0)
    if products.has_fbgemm():
        rows = torch.cat([x.float(), 100 * x.float()])  # a row's steps are its own
        assert torch.equal(products.int8(weight)(rows)[:5], products.int8(weight)(x.float()))


def test_beams_stay_where_their_parents_are():
    assert search._in_place([1, 1, 0, 1, 5, 5, 5, 7]) == [2, 0, 1, 3, 5, 4, 6, 7]
    assert search._in_place([0, 1, 2]) == [0, 1, 2] and search._in_place([2, 2, 2]) == [1, 2, 0]


@pytest.mark.parametrize("frames", [[70, 70], [70, 50]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("queries", [1, 3])
def test_attention_to_the_audio(queries, dtype, frames):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, queries, 16, generator=generator)
    keys, values = torch.randn(2, 2, 70, 64, generator=generator)
    audio = AudioCache(4, dtype)
    audio.add(torch.cat([keys, values], dim=-1), frames)
    mask = torch.zeros(2, 1, 1, 70)
    mask[1, ..., frames[1] :] = float("-inf")
    split = [x.view(2, 70, 4, 16).transpose(1, 2) for x in (keys, values)]
    expected = torch.nn.functional.scaled_dot_product_attention(q, *split, mask, scale=1.0)
    bound = 1e-5 if dtype == torch.float32 else 0.03
    assert (audio.attend(0, q).float() - expected).norm() / expected.norm() < bound
    audio.keep(torch.tensor([1]))
    assert (audio.attend(0, q[1:]).float() - expected[1:]).norm() / expected[1:].norm() < bound


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("group", [1, 3])
def test_attention_to_the_text(group, static):
    """Rows share their window's prompt, which is padded on the left; a row goes on from another; a window ends."""
    generator = torch.Generator().manual_seed(0)
    prompt, said = (torch.randn(2, n, 4, length, 16, generator=generator) for n, length in ((2, 9), (2 * group, 5)))
    q = torch.randn(2 * group, 4, 1, 16, generator=generator)
    text = TextCache(1, 2 * group, group, 4, 16, 8, q, zero=static)
    text.add_prompt(*prompt)
    for step in range(5):
        if static:
            text.put_at(0, torch.tensor([step]), *said[..., step : step + 1, :])
        else:
            text.put(0, step, *said[..., step : step + 1, :])
    hidden = torch.zeros(8).masked_fill_(torch.arange(8) > 4, float("-inf")) if static else None
    padding = torch.zeros(2, 1, 1, 9)
    padding[1, ..., :4] = float("-inf")
    if group > 1:
        text.reorder([2], [1])
        said[:, 2] = said[:, 1]
    keys, values = torch.cat([prompt.repeat_interleave(group, dim=1), said], dim=3)
    for mask in (None, padding):
        every = None if mask is None else torch.cat([mask, torch.zeros(2, 1, 1, 5)], -1).repeat_interleave(group, dim=0)
        expected = torch.nn.functional.scaled_dot_product_attention(q, keys, values, every, scale=1.0)
        torch.testing.assert_close(text.attend(0, q, mask, hidden), expected)
    text.keep(torch.tensor([1]), torch.arange(group, 2 * group))
    torch.testing.assert_close(text.attend(0, q[group:], padding[1:], hidden), expected[group:])


def test_ctranslate2_on_a_gpu_without_its_library_is_refused(small_model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engines, "CUBLAS", "libno_such_cublas.so.12")
    with pytest.raises(UsageError, match=r"libno_such_cublas.so.12.*--engine torch"):
        load_engine(small_model, EngineConfig(device="cuda", engine="ctranslate2"), DecodingOptions())
