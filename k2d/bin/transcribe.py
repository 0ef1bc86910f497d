"""Transcribe audio files: `k2d transcribe talk.m4a --model exp/student_comp/publish/model.pt`.

Prints each segment with its times, or writes files: `--format srt,vtt,txt,json --output_dir subtitles`. Reads
wav, flac, mp3, ogg, opus, and m4a, mp4, webm where the package `av` is installed. The language is detected
unless --language names it.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from k2d.audio import sources
from k2d.audio.options import AudioOptions
from k2d.errors import BadAudio, guarded
from k2d.options import add_options, options_of
from k2d.text import subtitles
from k2d.transcribers import open_transcriber
from k2d.transcribers.options import accepted
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="k2d transcribe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("files", nargs="+", help="audio files")
    p.add_argument("--model", required=True, help="checkpoint or name, espnet:DIR, transformers:DIR")
    p.add_argument("--format", default="", help="srt, vtt, txt, json or several: write files instead of printing")
    p.add_argument("--output_dir", default=".", help="where files go (default: here)")
    add_options(p, EngineConfig, "engine", without=("workers",))
    add_options(p, DecodingOptions, "decoding (Whisper's defaults)", language="auto")
    add_options(p, AudioOptions, "recordings", without=("allow_pipes",))
    return p


def check(args: argparse.Namespace) -> None:
    """UsageError for options that do not fit each other or the model."""
    subtitles.formats(args.format)
    accepted(args.model, args, parser().get_default)


def run(args: argparse.Namespace) -> int:
    formats = subtitles.formats(args.format)
    transcriber = open_transcriber(args.model, **accepted(args.model, args, parser().get_default)).load()
    names = _names(args.files)
    source = sources.files(names, options_of(AudioOptions, args).damaged)
    seconds = {name: source.seconds(name) for name in names}
    bad = 0
    total = round(sum(seconds.values()))
    with tqdm(total=total, unit="s", desc="transcribe (audio)", disable=None) as bar:
        for result in chain.from_iterable(transcriber.transcribe(names, source, True, progress=bar.update)):
            if isinstance(result, BadAudio):
                bad += 1
                bar.write(f"transcribe: skipped {names[result.recording]}: {result}", file=sys.stderr)
                continue
            for form in formats:
                path = subtitles.write(Path(args.output_dir), form, result)
                bar.write(f"{path}", file=sys.stderr)
            if not formats:
                _print(names[result.recording], result, bar)
    return 1 if bad else 0


def _print(file: str, transcript, bar: tqdm) -> None:
    language = f" ({transcript.language})" if transcript.language else ""
    bar.write(f"# {file}{language}", file=sys.stdout)
    for s in transcript.segments:
        times = f"{subtitles.time_code(s.start, '.')} {subtitles.time_code(s.end, '.')}"
        bar.write(f"{times}  {s.text.strip()}", file=sys.stdout)


def _names(files: list[str]) -> dict[str, str]:
    """A short name for each file: its stem, numbered where two files share one."""
    names: dict[str, str] = {}
    for file in files:
        stem, number = Path(file).stem, 1
        name = stem
        while name in names:
            number += 1
            name = f"{stem}.{number}"
        names[name] = file
    return names


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return guarded("transcribe", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
