"""What the benchmark of labelling counts as found."""

import sys
from pathlib import Path

import numpy as np

from k2d.constants import SAMPLE_RATE

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from bench_label import dithered, in_common, without_loops


def test_of_a_loop_two_rounds_count():
    assert without_loops(list("abcabcabcabx")) == list("abcabcabx")
    assert without_loops(list("aaaab")) == list("aab")
    assert without_loops(list("abab")) == list("abab")


def test_units_in_common_are_those_that_somebody_said():
    once, often = "我們 try 一下 thank you", "我們 try 一下 thank you" + " thank you" * 9
    assert in_common({"r": often}, {"r": once + " thank you"}) == (9, 9)
    assert in_common({"r": once}, {"r": "我們 一下 thank you"}) == (6, 7)


def test_dither_is_what_rounding_to_16_bits_adds():
    audio = np.zeros(SAMPLE_RATE, np.float32)
    noise = dithered(audio) - audio
    assert 0 < np.abs(noise).max() < 1 / 32768 and abs(noise.mean()) < 1e-6
    assert np.array_equal(dithered(audio), dithered(audio))
