"""Decode utterances (short form) or whole recordings (--long_form) with one model.

    python -m k2d.bin.decode --model exp/student_comp --data data/test_in --output_dir
    exp/student_comp/decode_test_in

Short form takes the utterances of the data directory in batches of similar length; one that is longer than
30 s is transcribed as a recording is. Writes text (with timestamps unless --timestamps false),
utt2avg_logprob, utt2no_speech, utt2compression, utt2temperature, utt2confidence (where the engine tells
it), results.jsonl with everything, speed.json, skipped.txt, conf.yaml, .done. Given again after a kill, the
same command goes on where it stopped.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from k2d.audio import sources
from k2d.datadir import DataDir
from k2d.errors import BadAudio, guarded
from k2d.tables import TableWriters, atomic
from k2d.text import timestamps
from k2d.whisper import checkpoint
from k2d.whisper.decoding import FALLBACK_TEMPERATURES, DecodingOptions, compression_ratio, mean_confidence, one_line
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
from k2d.whisper.long_form import Transcript, joined_text, transcribe_all
from k2d.whisper.short_form import LONGEST, Decoded, decode_all, plan_batches
from k2d.work.journal import OutputLock
from k2d.work.provenance import write_provenance
from k2d.work.session import Session, add_work_arguments, bad_record, times_real_time

TOLERANCE = 0.1  # seconds: rounded segment ends, not speech worth a second window


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d decode", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", required=True, help="any checkpoint, or a name")
    p.add_argument("--data", required=True, help="data directory")
    p.add_argument("--output_dir", required=True)
    p.add_argument("--long_form", action="store_true", help="decode whole recordings, one text each")
    p.add_argument(
        "--timestamps",
        type=true_or_false,
        default=True,
        metavar="true|false",
        help="decode with timestamps, keep them in text (default true); long form needs them anyway",
    )
    add_engine_arguments(p)
    add_decoding_arguments(p, temperatures=None)
    add_work_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    out = Path(args.output_dir)
    data = DataDir(args.data)
    if args.temperatures is None:
        # Utterances are decoded once, as the validator's are in the paper; long form falls back as Whisper
        # does.
        args.temperatures = FALLBACK_TEMPERATURES if args.long_form else (0.0,)
    options = decoding_options(args, timestamps=args.timestamps or args.long_form)
    model_hash = checkpoint.content_hash(args.model)
    form = "long form" if args.long_form else "short form"
    key = work_key(args, options, model_hash, form)
    if args.long_form:
        source, names = sources.recordings(data, args.allow_pipes), list(data.wav)
    else:
        source, names = sources.utterances(data, args.allow_pipes), list(data.segments)
    workers = resolve_workers(args)
    session = Session("decode", out, key, source, names, args.num_jobs, workers, args.max_skipped)
    if session.done(args.timestamps):
        print(f"decode: {out} is complete; nothing to do")
        return 0

    def work(engine, seconds, journal, progress):
        long = [n for n in seconds if args.long_form or seconds[n] > LONGEST + TOLERANCE]
        window = options if args.long_form else dataclasses.replace(options, timestamps=True)
        for result in transcribe_all(engine, long, source, window, resolve_batch_size(args), journal, progress):
            yield [bad_record(result) if isinstance(result, BadAudio) else _record_of(result, engine.tokenizer)]
        short = {n: s for n, s in seconds.items() if n not in set(long)}
        batches = plan_batches(short, resolve_batch_size(args), engine.trim_padding)
        for batch in decode_all(engine, batches, source, options, journal, progress):
            yield [bad_record(r) if isinstance(r, BadAudio) else _record(r, engine.tokenizer, options) for r in batch]

    with OutputLock(out, shared=args.job is not None):
        for job in [args.job] if args.job is not None else range(1, args.num_jobs + 1):
            session.run_job(job, lambda: load_engine(args, options, workers), work)
        if args.job is not None:
            print(f"decode: job {args.job} of {args.num_jobs} is complete")
            return 0
        print(join(args, session))
        resolved = dict(zip(("engine", "device", "dtype"), resolve_engine(args)))
        decoding = dataclasses.asdict(options)
        write_provenance(out, {**vars(args), "decoding": decoding, "resolved": resolved}, {args.model: model_hash})
        session.mark_done(args.timestamps)
    return 0


def join(args: argparse.Namespace, session: Session) -> str:
    """Write the tables out of all jobs' results; returns the summary line."""
    session.clear_for_joining()
    skipped = session.bad_inputs()
    session.report_skipped(skipped)
    audio_seconds = _write_tables(session.out, session.results(), args.timestamps)
    costs = session.costs()
    with atomic(session.out / "speed.json") as handle:
        json.dump(_speed(costs, audio_seconds), handle, indent=1)
        handle.write("\n")
    what = "recordings" if args.long_form else "utterances"
    return (
        f"decode: {len(session.names) - len(skipped)} {what} ({audio_seconds / 3600:.2f} h), {len(skipped)} skipped; "
        f"{times_real_time(costs, audio_seconds, args.num_jobs)}"
    )


def _record(decoded: Decoded, tokenizer, options: DecodingOptions) -> dict:
    """A short-form result as a JSON object."""
    h = decoded.hypothesis
    with_times = tokenizer.decode_with_timestamps(h.tokens) if options.timestamps else None
    return {
        "id": decoded.utterance,
        "duration": decoded.duration,
        "language": h.language,
        "text": one_line(tokenizer.decode(h.tokens)).strip(),
        "text_with_times": None if with_times is None else one_line(with_times),
        "avg_logprob": h.avg_logprob,
        "no_speech": h.no_speech_prob,
        "compression": h.compression_ratio,
        "temperature": h.temperature,
        "confidence": mean_confidence([p for t, p in zip(h.tokens, h.token_logprobs) if t < tokenizer.eot]),
        "tokens": h.tokens,
    }


def _record_of(transcript: Transcript, tokenizer) -> dict:
    """A long-form result as a JSON object; facts are means over the segments, weighted by tokens, or the
    worst.
    """
    weights = [len(s.tokens) for s in transcript.segments]
    text = one_line(joined_text(transcript, tokenizer))

    def mean(values):
        return sum(w * v for w, v in zip(weights, values)) / sum(weights) if sum(weights) else 0.0

    known = [s.confidence for s in transcript.segments]
    return {
        "id": transcript.recording,
        "duration": transcript.duration,
        "language": transcript.language,
        "text": text,
        "text_with_times": timestamps.format([(s.start, s.end, s.text) for s in transcript.segments]),
        "avg_logprob": mean([s.avg_logprob for s in transcript.segments]),
        "no_speech": max((s.no_speech_prob for s in transcript.segments), default=1.0),
        "compression": compression_ratio(text),
        "temperature": max((s.temperature for s in transcript.segments), default=0.0),
        "confidence": mean(known) if known and None not in known else None,
        "segments": transcript.record()["segments"],
    }


def _write_tables(out: Path, records, with_times: bool) -> float:
    """Write text, utt2… and results.jsonl; returns seconds of audio."""
    facts = ("avg_logprob", "no_speech", "compression", "temperature")
    seconds = 0.0
    with atomic(out / "results.jsonl") as handle, TableWriters(out, "text", *(f"utt2{n}" for n in facts)) as tables:
        for record in records:
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")
            seconds += record["duration"]
            timed = with_times and record["text_with_times"] is not None
            tables.write("text", record["id"], record["text_with_times"] if timed else record["text"])
            for name in (*facts, "confidence"):
                if record[name] is not None:
                    tables.write_number(f"utt2{name}", record["id"], record[name])
    return seconds


def _speed(costs: dict[str, float], audio_seconds: float) -> dict[str, float]:
    seconds = costs.get("seconds", 0.0)
    return {
        "audio_seconds": round(audio_seconds, 3),
        "seconds": round(seconds, 3),
        "encode_seconds": round(costs.get("encode_seconds", 0.0), 3),
        "decode_seconds": round(costs.get("decode_seconds", 0.0), 3),
        "tokens": int(costs.get("tokens", 0)),
        "real_time_factor": round(audio_seconds / seconds, 2) if seconds else None,
    }


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("decode", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
