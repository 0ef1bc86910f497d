"""Utterances or whole recordings in, what a transcriber makes of them out: the files of `k2d decode`.

In: a transcriber and a session (k2d/work/session.py). Out, in its folder: text, utt2avg_logprob, utt2no_speech,
utt2compression, utt2temperature and utt2confidence as far as they are known, results.jsonl with everything, speed.json,
skipped.txt.
"""

import json
from pathlib import Path

from k2d.atomic import atomic
from k2d.datadir import DataDir
from k2d.errors import BadAudio
from k2d.tables import TableWriters
from k2d.text import timestamps
from k2d.text.transcript import DECODING_FACTS, Transcript, facts_of, mean_confidence, one_line
from k2d.transcribers.base import Transcriber
from k2d.wording import audio_length, counted
from k2d.work.session import Session, bad_record
from k2d.work.skipped import in_numbers


def decode(session: Session, transcriber: Transcriber, data: DataDir, long_form: bool, with_times: bool) -> dict | None:
    """Decode the session's inputs and write the tables; facts for the record, None of one job of several. with_times:
    timestamps stay in `text`."""
    work = session.options
    for job in work.jobs:
        make_results(session, job, transcriber, long_form)
    if work.job is None:
        return write_results(session, data, with_times, "recording" if long_form else "utterance")
    print(f"decode: job {work.job} of {work.num_jobs} is complete")
    return None


def make_results(session: Session, job: int, transcriber: Transcriber, long_form: bool) -> None:
    """Decode the inputs of one job into the session's results, all that are not there yet."""

    def decode(transcriber, seconds, journal, progress):
        for batch in transcriber.transcribe(seconds, session.source, long_form, journal, progress, decoded=True):
            yield [_record_of(one, transcriber) for one in batch]

    session.run_job(job, lambda: transcriber.load(session.workers), decode)


def write_results(session: Session, data: DataDir, with_times: bool, what: str) -> dict[str, object]:
    """Write the tables out of all jobs' results; returns facts for the record. what: one of them is, in a word."""
    skipped = session.bad_inputs()
    session.report_skipped(skipped)
    audio_seconds = _write_tables(session.out, session.results(), with_times)
    decoded = len(session.names) - len(skipped)
    print(
        f"decode: {counted(decoded, what)} ({audio_length(audio_seconds)}), {in_numbers(skipped)}; "
        f"{session.write_speed(audio_seconds)}"
    )
    return {f"{what}s": decoded, "skipped": len(skipped), "again": session.out_of_reach(skipped, data)}


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
    """tokenizer: Whisper's, which says how its text is spaced, or None."""
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
        **facts_of(segments, text),
        "segments": transcript.record()["segments"],
    } | nothing


def _write_tables(out: Path, records, with_times: bool) -> float:
    """Write text, utt2… and results.jsonl; returns seconds of audio."""
    seconds = 0.0
    with atomic(out / "results.jsonl") as handle, TableWriters(out, "text") as tables:
        for record in records:
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")
            seconds += record["duration"]
            timed = with_times and record["text_with_times"] is not None
            tables.write("text", record["id"], record["text_with_times"] if timed else record["text"])
            for name in DECODING_FACTS:
                if record[name] is not None:
                    tables.write_number(f"utt2{name}", record["id"], record[name])
    return seconds
