"""Transcribe long recordings with a teacher and pack the text into chunks of at most 30 s.

    python -m k2d.bin.label --model exp/teacher --data data/lectures --output_dir data/lectures_teacher

Reads wav.scp (segments are not looked at: every recording is transcribed from its start to its end, as
openai-whisper's `transcribe` does). Writes a data directory of chunks: wav.scp (FLAC in archives), text with
timestamps, text.prev, utt2spk, spk2utt, utt2dur, utt2avg_logprob, utt2no_speech, utt2compression,
utt2temperature, utt2confidence (where the engine tells it); transcripts.jsonl with everything; skipped.txt,
conf.yaml, .done.

A run that was killed goes on where it stopped when the same command is given again. `--num_jobs 8 --job 3`
does the third of eight parts, its chunks' audio included; when all are done, the same command without --job joins
them.
"""

import argparse
import dataclasses
import heapq
import json
import sys
from pathlib import Path

from k2d.audio import sources
from k2d.constants import WINDOW as LONGEST
from k2d.datadir import DataDir
from k2d.errors import UsageError, guarded
from k2d.label.archive import ShardWriter
from k2d.label.chunk_directory import chunks_of, in_place, write_chunk_directory
from k2d.tables import atomic
from k2d.whisper import checkpoint, subtitles
from k2d.whisper.engine_options import (
    add_decoding_arguments,
    add_engine_arguments,
    decoding_options,
    load_engine,
    resolve_batch_size,
    resolve_engine,
    resolve_workers,
    true_or_false,
    work_key,
)
from k2d.whisper.long_form import Transcript, transcribe_all
from k2d.work.journal import OutputLock
from k2d.work.provenance import write_provenance
from k2d.work.session import Session, add_work_arguments, bad_record, times_real_time


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", required=True, help="teacher: any checkpoint, or a name")
    p.add_argument("--data", required=True, help="data directory of recordings")
    p.add_argument("--output_dir", required=True, help="chunk data directory to write")
    p.add_argument("--max_chunk", type=float, default=30.0, help="seconds (default %(default)s)")
    p.add_argument(
        "--continued",
        action="store_true",
        help="a chunk into which the next segment reaches by over 1 s lasts 30 s and says <|continued|>",
    )
    p.add_argument(
        "--no_copy",
        nargs="?",
        const=True,
        default=False,
        type=true_or_false,
        metavar="true|false",
        help="write segments that point into the recordings instead of copies of the audio",
    )
    p.add_argument("--subtitles", default="", help="srt, vtt or srt,vtt: one file a recording under subtitles/")
    add_engine_arguments(p)
    add_decoding_arguments(p)
    add_work_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    out = Path(args.output_dir)
    data = DataDir(args.data)
    options = decoding_options(args)
    formats = subtitles.formats(args.subtitles)
    model_hash = checkpoint.content_hash(args.model)
    key = work_key(args, options, model_hash, "long form")
    source = sources.recordings(data, args.allow_pipes)
    workers = resolve_workers(args)
    session = Session("label", out, key, source, list(data.wav), args.num_jobs, workers, args.max_skipped)
    if not 0 < args.max_chunk <= LONGEST:
        raise UsageError(f"--max_chunk {args.max_chunk}: expected more than 0 and at most {LONGEST:.0f} s")
    speakers = sorted((data.utt2spk or {}).items())
    layout = (args.max_chunk, args.continued, bool(args.no_copy), formats, speakers)
    if session.done(*layout):
        print(f"label: {out} is complete; nothing to do")
        return 0

    def work(engine, seconds, journal, progress):
        for result in transcribe_all(engine, seconds, source, options, resolve_batch_size(args), journal, progress):
            yield [result.record() if isinstance(result, Transcript) else bad_record(result)]

    with OutputLock(out, shared=args.job is not None):
        for job in [args.job] if args.job is not None else range(1, args.num_jobs + 1):
            session.run_job(job, lambda: load_engine(args, options, workers), work)
        if args.job is not None:
            if not args.no_copy:
                for _ in place_chunks(args, session, layout, args.job):
                    pass
            print(f"label: job {args.job} of {args.num_jobs} is complete")
            return 0
        print(join(args, session, data, layout))
        resolved = dict(zip(("engine", "device", "dtype"), resolve_engine(args)))
        decoding = dataclasses.asdict(options)
        write_provenance(out, {**vars(args), "decoding": decoding, "resolved": resolved}, {args.model: model_hash})
        session.mark_done(*layout)
    return 0


def place_chunks(args: argparse.Namespace, session: Session, layout: tuple, job: int | None):
    """(chunk, place of its audio, samples) of one job or all, in order; audio that is not yet copied is."""
    folder = session.out / "audio"
    if session.num_jobs > 1:
        if job is None:  # a job writes its own chunks, so that joining copies nothing
            jobs = (place_chunks(args, session, layout, one) for one in range(1, session.num_jobs + 1))
            return heapq.merge(*jobs, key=lambda placed: (placed[0].recording, placed[0].start))
        folder /= f"job{job}of{session.num_jobs}"
    transcripts = map(Transcript.from_record, session.results(job))
    chunks = chunks_of(transcripts, args.max_chunk, args.continued)
    return ShardWriter(folder, session.done_key(*layout[:3])).write(chunks, session.source.read)


def join(args: argparse.Namespace, session: Session, data: DataDir, layout: tuple) -> str:
    """Write the chunk directory out of all jobs' transcripts; returns the summary line."""
    out, formats = session.out, subtitles.formats(args.subtitles)
    session.clear_for_joining()
    skipped = session.bad_inputs()
    session.report_skipped(skipped)  # before hours of copying: are there too many?
    recordings, audio_seconds = 0, 0.0
    with atomic(out / "transcripts.jsonl") as handle:
        for record in session.results():
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")
            recordings += 1
            audio_seconds += record["duration"]
            for form in formats:
                subtitles.write(out / "subtitles" / f"{record['id']}.{form}", Transcript.from_record(record))
    if args.no_copy:
        transcripts = map(Transcript.from_record, session.results())
        placed = in_place(chunks_of(transcripts, args.max_chunk, args.continued), data)
    else:
        placed = place_chunks(args, session, layout, None)
    counts = write_chunk_directory(out, placed, data, copied=not args.no_copy)
    return (
        f"label: {recordings} recordings ({audio_seconds / 3600:.2f} h) -> {counts.chunks} chunks "
        f"({counts.chunk_seconds / 3600:.2f} h), {len(skipped)} skipped; "
        f"{times_real_time(session.costs(), audio_seconds, args.num_jobs)}"
    )


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("label", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
