"""Transcribe audio and video files: text, subtitles or JSON, by any model.

    k2d transcribe talk.m4a --model exp/student_comp
    k2d transcribe lectures/ --model openai/whisper-large-v3 --output_format srt,txt --output_dir subtitles
    ffmpeg … -f wav - | k2d transcribe - --model large-v3-turbo --hotwords "K²D, ESPnet"

Takes files, folders with all that is below them, patterns in quotes ('*.mp3'), and - for standard input. Prints each
segment with its times; with --output_format or --output_dir it writes files instead, named after the audio, those of a
folder into a tree like its own. Files that are not audio are reported and skipped; of a damaged file the intact part is
transcribed. The last line says how long it took and what was skipped; the exit status is 1 if a file was skipped that
you named or that should be audio.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from k2d.audio import inputs
from k2d.audio.options import AudioOptions
from k2d.errors import UsageError
from k2d.options import BOOLEAN, CommandParser, add_options, command, options_of
from k2d.text import subtitles
from k2d.transcribers import accepted, kind_of, open_transcriber
from k2d.transcribers.files import check_outputs, transcribe_files
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig
from k2d.wording import counted

LISTED = ("use", 1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("transcribe", __doc__)
    p.add_argument("audio", nargs="+", metavar="AUDIO", help="files, folders, patterns in quotes, or -")
    p.add_argument(
        "--model",
        required=True,
        help="a student's folder, a checkpoint in any format, a name (large-v3), a Hub id "
        "(openai/whisper-large-v3), espnet:MODEL or transformers:MODEL",
    )
    p.add_argument(
        "--output_format",
        "-f",
        default="",
        metavar="FORMAT",
        help=f"{', '.join(subtitles.WRITERS)}, several separated by commas, or all "
        "(default: print; with --output_dir all)",
    )
    p.add_argument("--output_dir", "-o", type=Path, help="output folder (default: the current one)")
    p.add_argument(
        "--word_timestamps",
        **BOOLEAN,
        default=False,
        help="word timestamps in the JSON, from cross-attention; segments begin and end where their words do "
        "(--engine torch)",
    )
    p.add_argument(
        "--highlight_words",
        **BOOLEAN,
        default=False,
        help="with --word_timestamps: in srt and vtt each word is underlined while it is said",
    )
    add_options(p, EngineConfig, without=("workers",))
    add_options(p, DecodingOptions, language="auto", carry_initial_prompt=True)
    add_options(p, AudioOptions, without=("allow_pipes",))
    return p


def check(args: argparse.Namespace) -> None:
    """UsageError for options that do not fit each other or the model."""
    subtitles.formats(args.output_format)
    if kind_of(args.model) == "text":
        raise UsageError(f"--model {args.model}: ready transcripts belong to a data directory; k2d label takes them")
    options = accepted(args, parser())
    if args.highlight_words and not args.word_timestamps:
        raise UsageError("--highlight_words needs the times of words; give --word_timestamps too")
    if args.word_timestamps:
        if kind_of(args.model) != "whisper":
            raise UsageError(f"--word_timestamps: only Whisper's attention tells times of words, {args.model} does not")
        if options_of(EngineConfig, args).program != "torch":
            raise UsageError("--word_timestamps needs the attention of --engine torch (and not --dtype int8)")
        if options["task"] == "translate":
            raise UsageError("--word_timestamps: words of a translation are not said at any time")


def run(args: argparse.Namespace) -> int:
    check(args)
    forms = subtitles.formats(args.output_format or (subtitles.ALL if args.output_dir else ""))
    with tempfile.TemporaryDirectory(prefix="k2d-") as folder:  # for what standard input holds
        files, nowhere = inputs.gather(args.audio, folder)
        for why in nowhere.values():
            _say(why)
        if not files:
            raise UsageError("nothing to transcribe; give files, folders or patterns that exist")
        output = args.output_dir or Path()
        if forms:  # before any work, if it cannot be done
            check_outputs(files, forms, output)
            _make_writable(output)
        began = time.monotonic()
        transcriber = open_transcriber(args.model, **accepted(args, parser())).load()
        loading = time.monotonic() - began
        words = args.word_timestamps, args.highlight_words
        made = transcribe_files(transcriber, files, args.damaged, forms, output, *words)
    skipped, foreign = made.skipped, made.foreign
    for file in files:
        if forms and file.numbered and file.shown not in (*skipped, *foreign):
            _say(f"{file.output}.* is {file.shown}")
    took = time.monotonic() - began - loading
    _say(_summary(len(files) - len(skipped) - len(foreign), made.seconds, took, loading, [*nowhere, *skipped], foreign))
    return 1 if nowhere or skipped or len(foreign) == len(files) else 0


def _make_writable(folder: Path) -> None:
    """Make a folder. Raises OSError where it cannot be made, or nothing can be written into it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = str(folder)  # rather than the name of the file that was tried
        raise


def _summary(done: int, seconds: float, took: float, loading: float, skipped: list[str], foreign: list[str]) -> str:
    speed = f", {seconds / took:.1f} times real time" if took > 0 and seconds else ""
    words = f"{counted(done, 'file')}, {seconds:.1f} s of audio in {took:.1f} s{speed}"
    words += f" (and {loading:.1f} s to load the model)"
    if not done:
        words = "nothing was transcribed"
    if skipped:
        words += f"; left out {len(skipped)}: {_few(skipped)}"
    if foreign:
        words += f"; not audio, ignored: {_few(foreign)}"
    return words


def _few(names: list[str]) -> str:
    """The first names, uncut, since people copy paths."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _say(text: str) -> None:
    print(f"transcribe: {text}", file=sys.stderr)


main = command(parser, run, resumes=False)
