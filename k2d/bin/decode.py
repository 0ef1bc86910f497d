"""Transcribe utterances, or whole recordings (--long_form), with one model.

    k2d decode --model exp/student_comp/average --data data/test_in --output_dir exp/student_comp/decode_test_in

Short form takes the utterances of the data directory in batches of similar length; one longer than 30 s is transcribed
like a recording. Writes text (with timestamps unless --timestamps false), utt2avg_logprob, utt2no_speech,
utt2compression, utt2temperature, utt2confidence (if the engine provides it), results.jsonl with everything, speed.json,
skipped.txt, step.json. An interrupted run resumes with the same command; jobs, workers and batches may differ.
"""

import argparse
import json
from pathlib import Path

from k2d.audio import sources
from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import BadAudio
from k2d.options import BOOLEAN, CommandParser, add_options, command, options_of
from k2d.tables import TableWriters, atomic
from k2d.text import timestamps
from k2d.text.transcript import Transcript, mean_fact, worst_fact
from k2d.transcribers import Transcriber, open_transcriber
from k2d.transcribers.options import accepted
from k2d.whisper.decoding import FALLBACK_TEMPERATURES, DecodingOptions, compression_ratio, mean_confidence, one_line
from k2d.whisper.engine import EngineConfig, work_key
from k2d.work import identity
from k2d.work.session import Session, WorkOptions, bad_record
from k2d.work.skipped import in_numbers
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 2)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("decode", __doc__)
    p.add_argument("--model", required=True, help="checkpoint or name, text:FILE, espnet:DIR, transformers:DIR")
    p.add_argument("--data", required=True, help="data directory")
    p.add_argument("--output_dir", required=True, help="directory to write")
    p.add_argument("--long_form", action="store_true", help="decode whole recordings, one text each")
    p.add_argument(
        "--timestamps",
        **BOOLEAN,
        default=True,
        help="decode with timestamps, keep them in text (default true); long form needs them anyway",
    )
    add_options(p, EngineConfig, "engine")
    add_options(p, DecodingOptions, "decoding (Whisper's defaults)", temperatures=None)
    add_options(p, AudioOptions, "recordings")
    add_options(p, WorkOptions, "work")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    """UsageError for options that do not fit each other or the model."""
    options_of(WorkOptions, args)
    accepted_options(args)


def accepted_options(args: argparse.Namespace) -> dict[str, object]:
    """Utterances are decoded once, as the validator's are in the paper; long form falls back as Whisper does."""
    temperatures = args.temperatures or (FALLBACK_TEMPERATURES if args.long_form else (0.0,))
    timestamps = args.timestamps or args.long_form
    return accepted(args.model, args, parser().get_default, temperatures=temperatures, timestamps=timestamps)


def run(args: argparse.Namespace) -> int:
    work, audio, data = options_of(WorkOptions, args), options_of(AudioOptions, args), DataDir(args.data)
    transcriber = open_transcriber(args.model, data, **accepted_options(args))
    form = "long form" if args.long_form else "short form"
    decides = {**transcriber.decides, "form": form, **audio.reading}
    model = transcriber.identity
    step = Step(
        "decode",
        args.output_dir,
        inputs={"model": model, "data": identity.of_data(args.data, "wav.scp", "segments")},
        options={**decides, "timestamps": args.timestamps},
        arguments=args,
    )

    def decode() -> dict[str, object] | None:
        if args.long_form:
            source, names = sources.recordings(data, **audio.reading), list(data.wav)
        else:
            source, names = sources.utterances(data, **audio.reading), list(data.segments)
        workers = transcriber.workers_of(work.num_jobs)
        session = Session("decode", step.out, work_key(model, decides), source, names, work, workers)
        for job in work.jobs:
            make_results(session, job, transcriber, args.long_form)
        if work.job is None:
            return write_results(session, data, args.timestamps, "recordings" if args.long_form else "utterances")
        print(f"decode: job {work.job} of {work.num_jobs} is complete")
        return None

    return run_step(step, args, decode, shared=work.job is not None)


def make_results(session: Session, job: int, transcriber: Transcriber, long_form: bool) -> None:
    """Decode the inputs of one job into the session's results, all that are not there yet."""

    def decode(transcriber, seconds, journal, progress):
        for batch in transcriber.transcribe(seconds, session.source, long_form, journal, progress, decoded=True):
            yield [_record_of(one, transcriber) for one in batch]

    session.run_job(job, lambda: transcriber.load(session.workers), decode)


def write_results(session: Session, data: DataDir, with_times: bool, what: str) -> dict[str, object]:
    """Write the tables out of all jobs' results; returns facts for the record. what: they are, in a word."""
    skipped = session.bad_inputs()
    session.report_skipped(skipped)
    audio_seconds = _write_tables(session.out, session.results(), with_times)
    decoded = len(session.names) - len(skipped)
    print(
        f"decode: {decoded} {what} ({audio_seconds / 3600:.2f} h), {in_numbers(skipped)}; "
        f"{session.write_speed(audio_seconds)}"
    )
    return {what: decoded, "skipped": len(skipped), "again": session.out_of_reach(skipped, data)}


def _record_of(result, transcriber: Transcriber) -> dict:
    """A result as a JSON object: a recording that cannot be used, a Transcript or, of Whisper, a decoded utterance."""
    if isinstance(result, BadAudio):
        return bad_record(result)
    if isinstance(result, Transcript):
        return _of_transcript(result, transcriber.engine.tokenizer if transcriber.kind == "whisper" else None)
    return _of_utterance(result, transcriber.engine.tokenizer, transcriber.decoding.timestamps)


def _of_utterance(decoded, tokenizer, timed: bool) -> dict:
    h = decoded.hypothesis
    timed_text = one_line(tokenizer.decode_with_timestamps(h.tokens)) if timed else None
    return {
        "id": decoded.utterance,
        "duration": decoded.duration,
        "language": h.language,
        "text": one_line(tokenizer.decode(h.tokens)).strip(),
        "text_with_times": timestamps.within(timed_text, decoded.duration) if timed else None,
        "avg_logprob": h.avg_logprob,
        "no_speech": h.no_speech_prob,
        "compression": h.compression_ratio,
        "temperature": h.temperature,
        "confidence": mean_confidence([p for t, p in zip(h.tokens, h.token_logprobs) if t < tokenizer.eot]),
        "tokens": h.tokens,
    }


def _of_transcript(transcript: Transcript, tokenizer) -> dict:
    """Facts are means over the segments, weighted by tokens, or the worst. tokenizer: Whisper's, which says how its
    text is spaced, or None.
    """
    segments, text, nothing = transcript.segments, transcript.text, {}
    if tokenizer is not None:
        text = tokenizer.decode([t for s in segments for t in s.tokens]).strip()
        # Whisper has looked, and found silence.
        nothing = {} if segments else {"avg_logprob": 0.0, "no_speech": 1.0, "temperature": 0.0}
    text = one_line(text)
    return {
        "id": transcript.recording,
        "duration": transcript.duration,
        "language": transcript.language,
        "text": text,
        "text_with_times": transcript.text_with_times if transcript.timed else None,
        "avg_logprob": mean_fact(segments, "avg_logprob"),
        "no_speech": worst_fact(segments, "no_speech_prob"),
        "compression": compression_ratio(text),
        "temperature": worst_fact(segments, "temperature"),
        "confidence": mean_fact(segments, "confidence"),
        "segments": transcript.record()["segments"],
    } | nothing


def _write_tables(out: Path, records, with_times: bool) -> float:
    """Write text, utt2… and results.jsonl; returns seconds of audio."""
    facts = ("avg_logprob", "no_speech", "compression", "temperature", "confidence")
    seconds = 0.0
    with atomic(out / "results.jsonl") as handle, TableWriters(out, "text") as tables:
        for record in records:
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")
            seconds += record["duration"]
            timed = with_times and record["text_with_times"] is not None
            tables.write("text", record["id"], record["text_with_times"] if timed else record["text"])
            for name in facts:
                if record[name] is not None:
                    tables.write_number(f"utt2{name}", record["id"], record[name])
    return seconds


main = command(parser, run)
