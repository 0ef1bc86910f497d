"""Fallback, silence and keys: the decisions around a hypothesis."""

import math

import pytest
import torch

from k2d.text.tokenizer import WhisperTokenizer
from k2d.text.transcript import compression_ratio, mean_confidence, one_line
from k2d.whisper.decoding import (
    DecodingOptions,
    Hypothesis,
    initial_tokens,
    needs_fallback,
    rank,
    should_skip,
    window_seed,
)
from k2d.whisper.fallback import Window, decode_windows, halve_when_out_of_memory, side_by_side

OPTIONS = DecodingOptions(language="en")


@pytest.mark.parametrize(
    ("logprob", "ratio", "no_speech", "fallback", "skipped"),
    [
        (-0.3, 1.5, 0.1, False, False),  # good
        (-1.2, 1.5, 0.1, True, False),  # improbable
        (-0.3, 2.5, 0.1, True, False),  # a loop
        (-1.2, 1.5, 0.7, False, True),  # improbable, and probably silence
        (-0.3, 1.5, 0.7, False, False),  # clear text although "silence"
        (-0.3, 2.5, 0.7, True, False),
    ],
)
def test_fallback_and_silence(logprob, ratio, no_speech, fallback, skipped):
    hypothesis = Hypothesis([1], logprob, no_speech, 0.0, ratio)
    assert needs_fallback(hypothesis, OPTIONS) is fallback
    assert should_skip(hypothesis, OPTIONS) is skipped


def test_thresholds_can_be_switched_off():
    options = DecodingOptions(compression_ratio_threshold=None, logprob_threshold=None, no_speech_threshold=None)
    bad = Hypothesis([1], -5.0, 0.9, 0.0, 9.0)
    assert not needs_fallback(bad, options)
    assert not should_skip(bad, options)


class Scripted:
    """An engine whose results are written down: (window, temperature) to average log-probability."""

    tokenizer = WhisperTokenizer(51864)
    trim_padding = False

    class dims:
        n_text_ctx = 448

    def __init__(self, logprobs):
        self.logprobs, self.calls = logprobs, []

    def encode(self, mels):
        return list(mels)

    def generate(self, features, prompts, options, temperatures, seeds):
        (temperature,) = temperatures
        self.calls.append((temperature, [int(f) for f in features]))
        return [Hypothesis([1], self.logprobs[int(f), temperature], 0.0, temperature, 1.0) for f in features]


def test_only_failed_windows_are_decoded_again():
    engine = Scripted({(0, 0.0): -0.1, (1, 0.0): -2.0, (2, 0.0): -3.0, (1, 0.5): -0.5, (2, 0.5): -4.0})
    windows = [Window("r", i, torch.tensor(i)) for i in range(3)]
    found = decode_windows(engine, windows, DecodingOptions(language="en", temperatures=(0.0, 0.5)))
    assert engine.calls == [(0.0, [0, 1, 2]), (0.5, [1, 2])]
    # The last temperature's result stays, even if it is worse: so does Whisper.
    assert [(h.temperature, h.avg_logprob) for h in found] == [(0.0, -0.1), (0.5, -0.5), (0.5, -4.0)]


def test_temperatures_above_0_are_sampled_side_by_side():
    assert side_by_side(DecodingOptions()) == [(0.0,), (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert side_by_side(DecodingOptions(best_of=2)) == [(0.0,), (0.2, 0.4), (0.6, 0.8), (1.0,)]
    assert side_by_side(DecodingOptions(temperatures=(0.4, 0.0, 0.2))) == [(0.4,), (0.0,), (0.2,)]


def test_a_batch_too_large_for_the_memory_is_halved():
    done = []

    def work(items):
        if len(items) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        done.append(list(items))
        return [i * 10 for i in items]

    assert halve_when_out_of_memory(work, [1, 2, 3, 4, 5]) == [10, 20, 30, 40, 50]
    assert done == [[1, 2], [3], [4, 5]]


def test_other_errors_and_single_items_are_not_retried():
    def fails(items):
        raise RuntimeError("shapes do not fit")

    def full(items):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="shapes"):
        halve_when_out_of_memory(fails, [1, 2])
    with pytest.raises(RuntimeError, match="allocate"):
        halve_when_out_of_memory(full, [1])


def test_prompts_keep_the_latest_half_of_the_context():
    tokenizer = WhisperTokenizer(51865)
    ids = initial_tokens(tokenizer, 448, list(range(1000)), DecodingOptions(language="zh"), None)
    assert ids[0] == tokenizer.sot_prev
    assert ids[1:224] == list(range(777, 1000))
    assert ids[224:] == tokenizer.sot_sequence("zh")
    detected = initial_tokens(tokenizer, 448, [], DecodingOptions(language=None), "en")
    assert detected == tokenizer.sot_sequence("en")


def test_small_things():
    assert compression_ratio("") == 0.0
    assert compression_ratio("ha " * 50) > 10
    assert rank([-4.0, -6.0], [2, 6], None) == 1  # -2 a token against -1 a token
    assert rank([-4.0, -6.0], [2, 6], 0.0) == 0  # no penalty at all
    assert rank([-1.0, -0.5], [0, 3], None) == 1
    assert mean_confidence([]) is None
    assert mean_confidence([math.log(0.5), math.log(0.125)]) == pytest.approx(0.25)
    assert one_line("a \n\r b\nc\x0cd\u2028e") == "a b c d e"
    assert window_seed(0, "r", 1, 0.2) != window_seed(0, "r", 1, 0.4)
    with pytest.raises(ValueError, match="beam_size"):
        DecodingOptions(beam_size=0)
