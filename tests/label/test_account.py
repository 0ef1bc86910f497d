"""Where the hours went: sums that add up, from facts that transcripts hold."""

import pytest
from decoding_material import segment

from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.label import account
from k2d.label.labelling import ChunkLayout, chunks_of, in_place, write_chunk_directory
from k2d.score.selections import hours_table
from k2d.text.transcript import Transcript


def account_of(folder, *transcripts, continued=False):
    (folder / "in").mkdir()
    (folder / "in" / "wav.scp").write_text("".join(f"{one.recording} nowhere.wav\n" for one in transcripts))
    data, found = DataDir(folder / "in"), account.AudioAccount()
    for transcript in transcripts:
        found.add(transcript)
    chunks = chunks_of(transcripts, ChunkLayout(continued=continued, no_copy=True))
    return found.rows(write_chunk_directory(folder / "out", in_place(chunks, data), data, copied=False))


def test_everything_is_accounted_for(tmp_path):
    lecture = Transcript(
        "a", 100.0, "zh", [segment(0, 10), segment(12, 25), segment(60, 60.05), segment(99, 103)],
        {"no_speech": 30.0, "failed": 13.0},
    )  # fmt: skip
    rows = account_of(tmp_path, lecture)
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


def test_what_two_chunks_hold_is_counted_once(tmp_path):
    segments = [segment(first, first + 10) for first in (0, 11, 22, 33, 44)]
    rows = account_of(tmp_path, Transcript("a", 60.0, "zh", segments), continued=True)
    # Chunks: 0 to 30, into which the segment at 22 s reaches, and 22 to 52, with that at 44 s, and 44 to 54.
    seconds = {row.name: row.seconds for row in rows}
    assert seconds == pytest.approx({"recordings": 60, "chunks": 54, "pauses": 6, "dropped": 0})


def test_a_segment_that_no_chunk_holds_is_dropped_and_no_pause(tmp_path):
    rows = account_of(tmp_path, Transcript("a", 60.0, "zh", [segment(0, 35), segment(36, 40)]))
    assert {row.name: row.seconds for row in rows} == pytest.approx(
        {"recordings": 60, "chunks": 4, "pauses": 21, "dropped": 35}
    )


def test_what_other_programs_transcribed_tells_of_no_windows(tmp_path):
    rows = account_of(tmp_path, Transcript("a", 10.0, None, [segment(0, 4)]))
    assert [row.name for row in rows] == ["recordings", "chunks", "pauses", "dropped"]
    assert account.in_words(rows) == "of 10.0 s, 40.0% became chunks; 60.0% " + account.MEANING["pauses"]
    assert account.read_account(tmp_path) == []
    (tmp_path / account.SUMMARY).write_text("what\tseconds\nchunks\tmany\n")
    with pytest.raises(DataError, match="no table of k2d label"):
        account.read_account(tmp_path)


def test_a_report_shows_the_pauses_of_a_short_run_too(tmp_path):
    (tmp_path / account.SUMMARY).write_text("what\tseconds\tshare\nrecordings\t260\t1\npauses\t15.6\t0.06\n")
    shown = [row[1:] for row in hours_table(tmp_path).rows]
    assert shown == [["4.3 min", "100.0"], ["15.6 s", "6.0"]]
