"""Transcribe long recordings with a teacher, into labelled chunks of at most 30 s.

    k2d label --model exp/teacher --data data/lectures --output_dir data/lectures_teacher

Reads wav.scp (not segments: every recording is transcribed from its start to its end, as by openai-whisper's
`transcribe`). Writes a data directory of chunks: wav.scp (FLAC in archives), text with timestamps, text.prev,
utt2spk, spk2utt, utt2dur, utt2avg_logprob, utt2no_speech, utt2compression, utt2temperature, utt2confidence (if the
engine provides it); transcripts.jsonl with everything; summary.tsv, how the hours of the recordings were used;
skipped.txt, speed.json, step.json.

An interrupted run resumes with the same command; jobs, workers and batches may differ. `--num_jobs 8 --job 3` does the
third of eight parts, including the audio of its chunks; when all are done, the same command without --job joins them.
"""

import argparse

from k2d.audio import sources
from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.label.labelling import ChunkLayout, label
from k2d.options import CommandParser, add_options, command, options_of
from k2d.transcribers import accepted, open_transcriber
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, work_key
from k2d.work import identity
from k2d.work.session import Session, WorkOptions
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("labels", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("label", __doc__)
    p.add_argument("--model", required=True, help="teacher: checkpoint, name, text:FILE, espnet:DIR, transformers:DIR")
    p.add_argument("--data", required=True, help="data directory of recordings")
    p.add_argument("--output_dir", required=True, help="chunk data directory to write")
    add_options(p, ChunkLayout)
    add_options(p, EngineConfig)
    add_options(p, DecodingOptions)
    add_options(p, AudioOptions)
    add_options(p, WorkOptions)
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    """UsageError for options that do not fit each other or the model."""
    for kind in (ChunkLayout, AudioOptions, WorkOptions):
        options_of(kind, args)
    accepted(args, parser())


def run(args: argparse.Namespace) -> int:
    layout, work, data = options_of(ChunkLayout, args), options_of(WorkOptions, args), DataDir(args.data)
    audio = options_of(AudioOptions, args)
    _ = data.wav, data.utt2spk  # read now, so that what is wrong with them costs no decoding
    transcriber = open_transcriber(args.model, data, **accepted(args, parser()))
    model = transcriber.identity
    inputs = {"model": model, "data": identity.of_data(args.data, "wav.scp", "utt2spk")}
    decides = {**transcriber.decides, "form": "long form", **audio.decides(inputs["data"].commands)}
    options = {**decides, "layout": vars(layout)}
    step = Step("label", args.output_dir, inputs=inputs, options=options, arguments=vars(args))

    def work_on() -> dict | None:
        source = sources.recordings(data, **audio.reading)
        workers = transcriber.workers_of(work.num_jobs)
        session = Session("label", step.out, work_key(model, decides), source, list(data.wav), work, workers)
        return label(session, transcriber, data, layout, step.key)

    return run_step(step, args.begin, work_on, shared=work.job is not None)


main = command(parser, run)
