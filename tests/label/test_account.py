"""Where the hours went: sums that add up, from facts that transcripts hold."""

import pytest
from decoding_material import segment

from k2d.errors import DataError
from k2d.label import account
from k2d.label.chunk_directory import ChunkTotals, chunks_of
from k2d.text.transcript import Transcript


def account_of(*transcripts):
    totals, found = ChunkTotals(), account.AudioAccount()
    for chunk in chunks_of(transcripts, 30.0, False):
        totals.chunk_seconds += chunk.end - chunk.start
        totals.segment_seconds += sum(min(s.end, chunk.end) - s.start for s in chunk.segments)
    for transcript in transcripts:
        found.add(transcript)
    return found.rows(totals)


def test_everything_is_accounted_for(tmp_path):
    lecture = Transcript(
        "a", 100.0, "zh", [segment(0, 10), segment(12, 25), segment(60, 60.05), segment(99, 103)],
        {"no_speech": 30.0, "failed": 13.0},
    )  # fmt: skip
    rows = account_of(lecture)
    seconds = {row.name: row.seconds for row in rows}
    # Chunks: 0 to 25 with the pause of 2 s, and 99 to 100, where the recording ends; 60 to 60.05 holds no word.
    assert seconds == pytest.approx(
        {"recordings": 100, "chunks": 26, "pauses": 40.95, "no_speech": 30, "dropped": 3.05, "failed": 13}
    )
    assert sum(row.share for row in rows if row.name not in ("recordings", "failed")) == pytest.approx(1)
    assert account.in_words(rows).startswith("of 1.7 min, 26.0% became chunks; 41.0% pauses")
    account.write_account(tmp_path, rows)
    again = account.read_account(tmp_path)
    assert [(r.name, r.share) for r in again] == [(r.name, pytest.approx(r.share, abs=1e-4)) for r in rows]


def test_what_other_programs_transcribed_tells_of_no_windows(tmp_path):
    rows = account_of(Transcript("a", 10.0, None, [segment(0, 4)]))
    assert [row.name for row in rows] == ["recordings", "chunks", "pauses", "dropped"]
    assert account.in_words(rows) == "of 10.0 s, 40.0% became chunks; 60.0% " + account.MEANING["pauses"]
    assert account.read_account(tmp_path) == []
    (tmp_path / account.SUMMARY).write_text("what\tseconds\nchunks\tmany\n")
    with pytest.raises(DataError, match="no table of k2d label"):
        account.read_account(tmp_path)
