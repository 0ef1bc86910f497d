"""Cutting at silence: every sound lies in a piece, no piece is too long, cuts lie in pauses where there are any."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from k2d.constants import SAMPLE_RATE
from k2d.transcribers.pieces import Loudness, pieces


def sound(spans, seconds: float) -> np.ndarray:
    """Noise in the spans (start, end), a thousandth of it elsewhere."""
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32) * 0.1
    loud = np.zeros(len(audio), bool)
    for start, end in spans:
        loud[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = True
    return np.where(loud, audio, 0.001 * audio)


def in_seconds(audio, **options):
    loudness = Loudness()
    for _ in loudness.of(np.split(audio, range(7001, len(audio), 7001))):
        pass
    found = list(pieces(loudness.sounds(), lambda start, end: audio[start:end], **options))
    assert all((piece == audio[start : start + len(piece)]).all() for start, piece in found)
    return [(start / SAMPLE_RATE, (start + len(piece)) / SAMPLE_RATE) for start, piece in found]


def test_a_long_pause_ends_a_piece_and_a_short_one_does_not():
    found = in_seconds(sound([(1, 3), (3.5, 5), (8, 9)], 10))
    np.testing.assert_allclose(found, [(0.9, 5.1), (7.9, 9.1)], atol=0.07)


def test_a_piece_that_would_be_too_long_ends_at_its_last_pause():
    found = in_seconds(sound([(0, 12), (12.5, 24), (24.5, 40)], 40))
    np.testing.assert_allclose(found, [(0, 24.1), (24.4, 40)], atol=0.07)


def test_sound_without_a_pause_is_cut_where_it_is_quietest():
    audio = sound([(0, 70)], 70)
    for second in (27, 55):
        audio[second * SAMPLE_RATE : round((second + 0.15) * SAMPLE_RATE)] *= 0.2
    found = in_seconds(audio)
    np.testing.assert_allclose(found, [(0, 27.07), (27.07, 55.07), (55.07, 70)], atol=0.05)


def test_silence_has_no_pieces_and_a_knock_does_not_hide_speech():
    assert in_seconds(np.zeros(5 * SAMPLE_RATE, np.float32)) == []
    audio = 0.05 * sound([(2, 4)], 6)
    audio[: SAMPLE_RATE // 100] = 1.0
    assert any(start < 2.2 and end > 3.9 for start, end in in_seconds(audio))


@given(st.lists(st.tuples(st.floats(0.3, 8), st.floats(0.05, 3)), min_size=1, max_size=8), st.floats(2, 10))
def test_every_sound_is_in_a_piece_and_none_is_too_long(parts, longest):
    spans, now = [], 0.0
    for length, gap in parts:
        spans.append((now, now + length))
        now += length + gap
    found = in_seconds(sound(spans, now), longest=longest)
    assert all(0 < end - start <= longest + 1e-6 for start, end in found)
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    covered = np.zeros(round(now * 100) + 1, bool)
    for start, end in found:
        covered[round(start * 100) : round(end * 100) + 1] = True
    for start, end in spans:
        assert covered[round(start * 100) + 4 : round(end * 100) - 4].all()
