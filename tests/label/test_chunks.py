"""Chunk packing: greedy, at most 30 s, every segment once, timestamps relative to the chunk."""

import itertools

import pytest
from decoding_material import segment
from hypothesis import given
from hypothesis import strategies as st

from k2d.label.chunks import pack
from k2d.text import timestamps


@st.composite
def recordings(draw):
    """(segments, duration): as a window of 30 s gives them, on the 0.02 s grid."""
    segments, time = [], 0.0
    for index in range(draw(st.integers(0, 25))):
        start = time + draw(st.sampled_from([0.0, 0.0, 0.5, 7.0, 45.0]))
        end = start + draw(st.integers(1, 1500)) * 0.02
        segments.append(segment(round(start, 2), round(end, 2), f" w{index}"))
        time = end
    return segments, round(time + draw(st.floats(-3, 2)), 2)


@given(recordings(), st.sampled_from([10.0, 30.0]))
def test_packing_is_greedy_and_loses_nothing(recording, longest):
    segments, duration = recording
    chunks = pack("r", segments, duration, longest)
    kept = [s for c in chunks for s in c.segments]
    lengths = {s.text: min(s.end, duration) - min(s.start, duration) for s in segments}
    lost = [s for s in segments if lengths[s.text] >= 0.02 - 1e-6 and s not in kept]
    assert kept == [s for s in segments if lengths[s.text] >= 0.02 - 1e-6 and s not in lost]
    assert all(lengths[s.text] < 0.1 for s in lost), "only what is too short for any later stage"
    for chunk in chunks:
        assert chunk.end - chunk.start >= 0.1 - 1e-6
        assert chunk.end - chunk.start <= longest + 1e-6 or len(chunk.segments) == 1
        assert chunk.end - chunk.start <= 30.0 + 1e-6
        assert chunk.end <= max(duration, 0) + 1e-6
    for chunk, following in itertools.pairwise(chunks):
        assert chunk.end <= following.start + 1e-6
        assert min(following.segments[0].end, duration) - chunk.start > longest  # it would have overflowed


@given(recordings())
def test_text_holds_times_relative_to_the_chunk(recording):
    segments, duration = recording
    for chunk in pack("r", segments, duration):
        parsed = timestamps.parse(chunk.text)
        assert [t for *_, t in parsed] == [s.text.strip() for s in chunk.segments]
        for (start, end, _), s in zip(parsed, chunk.segments):
            assert start == pytest.approx(s.start - chunk.start, abs=0.011)
            assert end == pytest.approx(min(s.end, chunk.end) - chunk.start, abs=0.021)
            assert 0 <= start <= end <= 30.0


def test_ids_sort_by_time():
    segments = [segment(t, t + 20) for t in (0, 25, 1000, 20000)]
    ids = [c.id for c in pack("talk", segments, 30000)]
    assert ids == [
        "talk-0000000-0002000",
        "talk-0002500-0004500",
        "talk-0100000-0102000",
        "talk-2000000-2002000",
    ]
    assert ids == sorted(ids)


def test_the_segment_that_runs_on_is_marked_on_request():
    segments = [segment(0, 25), segment(26, 40)]
    plain = pack("r", segments, 40)
    assert [c.text for c in plain] == ["<|0.00|> word<|25.00|>", "<|0.00|> word<|14.00|>"]
    marked = pack("r", segments, 40, continued=True)
    assert marked[0].text == "<|0.00|> word<|25.00|><|26.00|><|continued|>"
    assert (marked[0].start, marked[0].end, marked[0].id) == (0, 30, "r-0000000-0003000")
    assert marked[1].text == plain[1].text
    # Less than 1.0 s of it inside, or none: no mark.
    late = pack("r", [segment(0, 25), segment(29.5, 40)], 40, continued=True)
    assert late[0].text == "<|0.00|> word<|25.00|>" and late[0].end == 25


def test_segments_beyond_the_recording_are_cut_or_dropped():
    chunks = pack("r", [segment(0, 5), segment(5, 12), segment(12, 14)], 10.5)
    assert [(c.start, c.end, len(c.segments)) for c in chunks] == [(0, 10.5, 2)]
    assert chunks[0].text == "<|0.00|> word<|5.00|><|5.00|> word<|10.50|>"


def test_facts_are_means_or_the_worst():
    segments = [
        segment(0, 5, " ha ha ha", tokens=1, avg_logprob=-1.0, temperature=0.0, no_speech_prob=0.5, confidence=0.9),
        segment(5, 9, " ha ha ha", tokens=3, avg_logprob=-0.2, temperature=0.4, no_speech_prob=0.1, confidence=0.5),
    ]
    facts = pack("r", segments, 9)[0].facts()
    assert facts["avg_logprob"] == pytest.approx(-0.4)
    assert facts["confidence"] == pytest.approx(0.6)
    assert (facts["temperature"], facts["no_speech"]) == (0.4, 0.5)
    assert facts["compression"] > 1.0
    assert "confidence" not in pack("r", [segment(0, 2)], 2)[0].facts()


def test_chunks_longer_than_whispers_context_are_refused():
    with pytest.raises(ValueError, match="at most 30 s"):
        pack("r", [], 10, longest=31)
