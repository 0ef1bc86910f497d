"""Decode utterances (short form) or whole recordings (--long_form) with one model.

    python -m k2d.bin.decode --model exp/student_comp/average --data data/test_in --output_dir
    exp/student_comp/decode_test_in

Short form takes the utterances of the data directory in batches of similar length; one that is longer than
30 s is transcribed as a recording is. Writes text (with timestamps unless --timestamps false),
utt2avg_logprob, utt2no_speech, utt2compression, utt2temperature, utt2confidence (where the engine tells
it), results.jsonl with everything, speed.json, skipped.txt, step.json. Given again after a kill, the
command goes on where it stopped, with other jobs, workers or batches if you like.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from k2d.audio import sources
from k2d.datadir import DataDir
from k2d.errors import BadAudio, guarded
from k2d.options import add_options, options_of, true_or_false
from k2d.tables import TableWriters, atomic
from k2d.text import timestamps
from k2d.text.transcript import Transcript
from k2d.whisper.decoding import FALLBACK_TEMPERATURES, DecodingOptions, compression_ratio, mean_confidence, one_line
from k2d.whisper.engine import EngineConfig, load_engine, what_decides, work_key
from k2d.whisper.identity import model_identity
from k2d.work import identity
from k2d.work.session import Session, WorkOptions, bad_record
from k2d.work.step import Step, add_step_arguments, run_step

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
    add_options(p, EngineConfig, "engine")
    add_options(p, DecodingOptions, "decoding (Whisper's defaults)", temperatures=None)
    add_options(p, WorkOptions, "work")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    """UsageError for options that do not fit each other."""
    decoding_of(args)
    options_of(EngineConfig, args)
    options_of(WorkOptions, args)


def decoding_of(args: argparse.Namespace) -> DecodingOptions:
    """Utterances are decoded once, as the validator's are in the paper; long form falls back as Whisper does."""
    temperatures = args.temperatures or (FALLBACK_TEMPERATURES if args.long_form else (0.0,))
    return options_of(DecodingOptions, args, temperatures=temperatures, timestamps=args.timestamps or args.long_form)


def run(args: argparse.Namespace) -> int:
    engine, decoding, work = options_of(EngineConfig, args), decoding_of(args), options_of(WorkOptions, args)
    form = "long form" if args.long_form else "short form"
    model, decides = model_identity(args.model), what_decides(engine, decoding, form, work.allow_pipes)
    step = Step(
        "decode",
        args.output_dir,
        inputs={"model": model, "data": identity.of_data(args.data, "wav.scp", "segments")},
        options={**decides, "timestamps": args.timestamps},
        arguments=args,
    )

    def decode() -> dict[str, object] | None:
        data = DataDir(args.data)
        if args.long_form:
            source, names = sources.recordings(data, work.allow_pipes), list(data.wav)
        else:
            source, names = sources.utterances(data, work.allow_pipes), list(data.segments)
        workers = engine.workers_of(work.num_jobs)
        session = Session("decode", step.out, work_key(model, decides), source, names, work, workers)
        for job in work.jobs:
            make_results(session, job, args.model, engine, decoding, args.long_form)
        if work.job is None:
            return write_results(session, args.timestamps, "recordings" if args.long_form else "utterances")
        print(f"decode: job {work.job} of {work.num_jobs} is complete")
        return None

    return run_step(step, args, decode, shared=work.job is not None)


def make_results(
    session: Session, job: int, model: str, config: EngineConfig, decoding: DecodingOptions, long_form: bool
) -> None:
    """Decode the inputs of one job into the session's results, all that are not there yet."""

    def decode(engine, seconds, journal, progress):
        from k2d.whisper.long_form import transcribe_all
        from k2d.whisper.short_form import LONGEST, decode_all, plan_batches

        source, batch_size = session.source, config.resolved().batch_size
        long = [n for n in seconds if long_form or seconds[n] > LONGEST + TOLERANCE]
        window = decoding if long_form else dataclasses.replace(decoding, timestamps=True)
        for result in transcribe_all(engine, long, source, window, batch_size, journal, progress):
            yield [bad_record(result) if isinstance(result, BadAudio) else _record_of(result, engine.tokenizer)]
        short = {n: s for n, s in seconds.items() if n not in set(long)}
        batches = plan_batches(short, batch_size, engine.trim_padding)
        for batch in decode_all(engine, batches, source, decoding, journal, progress):
            yield [bad_record(r) if isinstance(r, BadAudio) else _record(r, engine.tokenizer, decoding) for r in batch]

    session.run_job(job, lambda: load_engine(model, config, decoding, session.workers), decode)


def write_results(session: Session, with_times: bool, what: str) -> dict[str, object]:
    """Write the tables out of all jobs' results; returns facts for the record. what: they are, in a word."""
    skipped = session.bad_inputs()
    session.report_skipped(skipped)
    audio_seconds = _write_tables(session.out, session.results(), with_times)
    decoded = len(session.names) - len(skipped)
    print(
        f"decode: {decoded} {what} ({audio_seconds / 3600:.2f} h), {len(skipped)} skipped; "
        f"{session.write_speed(audio_seconds)}"
    )
    return {what: decoded, "skipped": len(skipped)}


def _record(decoded, tokenizer, options: DecodingOptions) -> dict:
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
    text = one_line(tokenizer.decode([t for s in transcript.segments for t in s.tokens]).strip())

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


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("decode", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
