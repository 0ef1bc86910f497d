"""Recordings and a teacher in, a data directory of labelled chunks out: wav.scp, text with timestamps, text.prev,
utt2spk, spk2utt, utt2dur, and the decoding facts (`utt2avg_logprob` …).

Transcripts go into the session's results, item by item (k2d/work/session.py); audio and text of the chunks are written
from there. A job of several writes its own transcripts and audio, and the last to come joins them.
"""

import heapq
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from k2d.atomic import atomic
from k2d.constants import SAMPLE_RATE, WINDOW, file_name
from k2d.datadir import DataDir, DataDirWriter, Segment
from k2d.errors import BadAudio, UsageError
from k2d.label.account import AudioAccount, ChunkTotals, in_words, write_account
from k2d.label.archive import ShardWriter
from k2d.label.chunks import PackedChunk, pack
from k2d.options import option
from k2d.text import subtitles
from k2d.text.transcript import Transcript
from k2d.transcribers import Transcriber
from k2d.wording import audio_length, counted
from k2d.work.session import Session, bad_record
from k2d.work.skipped import in_numbers, why


@dataclass(frozen=True)
class ChunkLayout:
    """How transcripts become chunks."""

    GROUP = "chunks"
    max_chunk: float = option(WINDOW, "longest chunk, in seconds; a longer segment is a chunk by itself")
    continued: bool = option(
        False, "a chunk into which the next segment reaches by over 1 s lasts 30 s and says <|continued|>"
    )
    no_copy: bool = option(False, "write segments that point into the recordings instead of copies of the audio")
    subtitles: str = option("", "also write subtitles/: txt, srt, vtt, tsv, json, several separated by commas, or all")

    def __post_init__(self):
        if not 0 < self.max_chunk <= WINDOW:
            raise UsageError(f"--max_chunk {self.max_chunk}: expected more than 0 and at most {WINDOW:.0f} s")
        subtitles.formats(self.subtitles)


def label(session: Session, transcriber: Transcriber, data: DataDir, layout: ChunkLayout, key: str) -> dict | None:
    """Transcribe and write the chunk directory; facts for the record, None of one job of several. key: of the step."""
    work = session.options
    for job in work.jobs:
        make_transcripts(session, job, transcriber)
    if work.job is None:
        return write_chunks(session, key, data, layout)
    if not layout.no_copy:
        for _ in place_chunks(session, key, layout, work.job, {}):
            pass
    print(f"label: job {work.job} of {work.num_jobs} is complete")
    return None


def make_transcripts(session: Session, job: int, transcriber: Transcriber) -> None:
    """Transcribe the recordings of one job into the session's results, all that are not there yet."""

    def transcribe(transcriber, seconds, journal, progress):
        for batch in transcriber.transcribe(seconds, session.source, True, journal, progress):
            yield [one.record() if isinstance(one, Transcript) else bad_record(one) for one in batch]

    session.run_job(job, lambda: transcriber.load(session.workers), transcribe)


# Below here, a session is where transcripts come from, whoever wrote them: `results` of a job or all, `bad_inputs`.


def place_chunks(
    session: Session, key: str, layout: ChunkLayout, job: int | None, lost: dict[str, BadAudio]
) -> Iterator[tuple[PackedChunk, str, int]]:
    """(chunk, place of its audio, samples) of one job or all, in order; audio that is not yet copied is.

    lost: where recordings are added that cannot be read any more.
    """
    folder, num_jobs = session.out / "audio", session.options.num_jobs
    if num_jobs > 1:
        if job is None:  # a job writes its own chunks, so that joining copies nothing
            jobs = (place_chunks(session, key, layout, one, lost) for one in session.options.jobs)
            return heapq.merge(*jobs, key=lambda placed: (placed[0].recording, placed[0].start))
        folder /= f"job{job}of{num_jobs}"
    transcripts = map(Transcript.from_record, session.results(job))
    chunks = chunks_of(transcripts, layout)
    return ShardWriter(folder, key, lost=lost).write(chunks, session.source.blocks)


def write_chunks(session: Session, key: str, data: DataDir, layout: ChunkLayout) -> dict[str, object]:
    """Write the chunk directory out of all jobs' transcripts; returns facts for the record."""
    out, formats = session.out, subtitles.formats(layout.subtitles)
    skipped = session.bad_inputs()
    session.report_skipped(skipped)  # before hours of copying: are there too many?
    remove_other_copies(session)
    lost: dict[str, BadAudio] = {}
    recordings, account = 0, AudioAccount()
    with atomic(out / "transcripts.jsonl") as handle:
        for record in session.results():
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")
            transcript = Transcript.from_record(record)
            recordings += 1
            account.add(transcript)
            for form in formats:
                subtitles.write(out / "subtitles" / file_name(transcript.recording), form, transcript)
    if layout.no_copy:
        transcripts = map(Transcript.from_record, session.results())
        placed = in_place(chunks_of(transcripts, layout), data)
    else:
        placed = place_chunks(session, key, layout, None, lost)
    counts = write_chunk_directory(out, placed, data, copied=not layout.no_copy)
    if lost:
        skipped |= {name: f"{why(error)} (decoded, but not read again for its chunks)" for name, error in lost.items()}
        session.report_skipped(skipped)
    again = session.out_of_reach(skipped, data)
    rows = account.rows(counts)
    write_account(out, rows)
    print(
        f"label: {counted(recordings, 'recording')} ({audio_length(account.recordings)}) -> "
        f"{counted(counts.chunks, 'chunk')} ({audio_length(counts.seconds)}), {in_numbers(skipped)}; "
        f"{session.write_speed(account.recordings)}"
    )
    print(f"label: {in_words(rows)}")
    return {"recordings": recordings, "chunks": counts.chunks, "skipped": len(skipped), "again": again}


def chunks_of(transcripts: Iterable[Transcript], layout: ChunkLayout) -> Iterator[PackedChunk]:
    """The chunks of recordings, in their order."""
    for each in transcripts:
        yield from pack(each.recording, each.segments, each.duration, layout.max_chunk, layout.continued)


def in_place(chunks: Iterable[PackedChunk], data: DataDir) -> Iterator[tuple[PackedChunk, str, int]]:
    """(chunk, source of its recording, samples), for chunks whose audio is not copied."""
    for chunk in chunks:
        yield chunk, data.wav[chunk.recording], round((chunk.end - chunk.start) * SAMPLE_RATE)


def write_chunk_directory(
    out: Path, placed: Iterable[tuple[PackedChunk, str, int]], data: DataDir, copied: bool
) -> ChunkTotals:
    """Write chunks that come in order of recording and time, each with the place of its audio and its samples.

    copied: the place is that of the chunk alone; otherwise `segments` point into the recordings.
    """
    totals = ChunkTotals()
    before: PackedChunk | None = None
    names = ("text", "text.prev", "utt2spk", "utt2dur") + (() if copied else ("segments",))
    with DataDirWriter(out, *names) as tables:
        for chunk, place, samples in placed:
            follows = before is not None and before.recording == chunk.recording
            if copied:
                tables.write("wav.scp", chunk.id, place)
            else:
                if not follows:
                    tables.write("wav.scp", chunk.recording, place)
                tables.segment(Segment(chunk.id, chunk.recording, chunk.start, chunk.end))
            tables.write("text", chunk.id, chunk.text)
            tables.write("text.prev", chunk.id, before.text if follows else "")
            # The recording's speaker where the data say it; else the recording stands for its speaker.
            tables.write("utt2spk", chunk.id, (data.utt2spk or {}).get(chunk.recording, chunk.recording))
            tables.write_number("utt2dur", chunk.id, samples / SAMPLE_RATE)
            for name, value in chunk.facts().items():
                tables.write_number(f"utt2{name}", chunk.id, value)
            totals.chunks += 1
            totals.seconds += samples / SAMPLE_RATE
            totals.overlap += max(0.0, before.end - chunk.start) if follows else 0.0
            totals.segments += sum(min(s.end, chunk.end) - s.start for s in chunk.segments)
            before = chunk
    return totals


def remove_other_copies(session: Session) -> None:
    """Remove audio that a killed run with another --num_jobs has copied."""
    audio, num_jobs = session.out / "audio", session.options.num_jobs
    mine = {f"job{job}of{num_jobs}" for job in session.options.jobs} if num_jobs > 1 else set()
    for folder in audio.glob("job*of*"):
        if folder.name not in mine:
            shutil.rmtree(folder)
    if mine:
        for file in [*audio.glob("chunks.*"), *audio.glob("key")]:
            file.unlink()
