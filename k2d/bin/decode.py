"""Transcribe utterances, or whole recordings (--long_form), with one model.

    k2d decode --model exp/student_comp/average --data data/test_in --output_dir exp/student_comp/decode_test_in

Short form takes the utterances of the data directory in batches of similar length; one longer than 30 s is transcribed
like a recording. Writes text (with timestamps unless --timestamps false), utt2avg_logprob, utt2no_speech,
utt2compression, utt2temperature, utt2confidence (if the engine provides it), results.jsonl with everything, speed.json,
skipped.txt, step.json. An interrupted run resumes with the same command; jobs, workers and batches may differ.
"""

import argparse
from pathlib import Path

from k2d.audio import sources
from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.options import BOOLEAN, CommandParser, add_options, command, options_of
from k2d.transcribers import accepted, open_transcriber
from k2d.transcribers.hypotheses import decode
from k2d.whisper.decoding import FALLBACK_TEMPERATURES, DecodingOptions
from k2d.whisper.engine import EngineConfig, work_key
from k2d.work import identity
from k2d.work.session import Session, WorkOptions
from k2d.work.step import Step, add_step_arguments, looks_only, run_step

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
        help="decode with timestamps and keep them in text; --long_form always does (default true)",
    )
    add_options(p, EngineConfig)
    add_options(p, DecodingOptions, temperatures=None)
    add_options(p, AudioOptions)
    add_options(p, WorkOptions)
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
    return accepted(args, parser(), temperatures=temperatures, timestamps=timestamps)


def run(args: argparse.Namespace) -> int:
    work, audio, data = options_of(WorkOptions, args), options_of(AudioOptions, args), DataDir(args.data)
    transcriber = open_transcriber(args.model, data, **accepted_options(args))
    model = transcriber.identity
    inputs = {"model": model, "data": identity.of_data(args.data, "wav.scp", "segments")}
    form = "long form" if args.long_form else "short form"
    decides = {**transcriber.decides, "form": form, **audio.decides(inputs["data"].commands)}
    options = {**decides, "timestamps": args.timestamps}
    step = Step("decode", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    if not step.done and not looks_only() and (data.path / "text").is_file():
        from k2d.score.scoring import refuse_learnt

        refuse_learnt(data.path / "text", [Path(args.model)])

    def work_on() -> dict | None:
        if args.long_form:
            source, names = sources.recordings(data, **audio.reading), list(data.wav)
        else:
            source, names = sources.utterances(data, **audio.reading), list(data.segments)
        workers = transcriber.workers_of(work.num_jobs)
        session = Session("decode", step.out, work_key(model, decides), source, names, work, workers)
        return decode(session, transcriber, data, args.long_form, args.timestamps)

    return run_step(step, args.begin, work_on, shared=work.job is not None)


main = command(parser, run)
