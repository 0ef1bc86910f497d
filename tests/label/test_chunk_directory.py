"""Chunks of any data directory: of ids that tell places, of segments, and of neither."""

import math

import pytest

from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.label.chunk_directory import read_chunks


def chunks_of(folder, segments, text="u1 one\nu2 two\n"):
    (folder / "text").write_text(text)
    (folder / "wav.scp").write_text("r1 r1.wav\n")
    (folder / "segments").write_text(segments)
    return list(read_chunks(DataDir(folder)))


def test_a_segment_to_the_end_of_its_recording_has_no_length_that_is_known(tmp_path):
    first, second = chunks_of(tmp_path, "u1 r1 3.0 -1\nu2 r1 1.0 2.5\n")
    assert first.recording == "r1" and first.start == 3.0 and math.isnan(first.end) and math.isnan(first.seconds)
    assert (second.start, second.end, second.seconds) == (1.0, 2.5, 1.5)


def test_a_segment_that_is_none_is_named(tmp_path):
    with pytest.raises(DataError, match="text:2: 'u2' has no line in segments"):
        chunks_of(tmp_path, "u1 r1 0 1\n")
    with pytest.raises(DataError, match="segments:2: 'u2' has 'r1 2 1', expected"):
        chunks_of(tmp_path, "u1 r1 0 1\nu2 r1 2 1\n")
