"""Audio and video files in, their transcripts out: printed as they come, or written in the formats of subtitles.

In: a transcriber that is loaded, files, where they go. Out: what became of the files.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from k2d.audio import sources
from k2d.audio.inputs import AudioFile
from k2d.audio.read import recording_duration
from k2d.errors import BadAudio, UsageError
from k2d.text import subtitles
from k2d.text.transcript import Transcript
from k2d.transcribers.base import Transcriber
from k2d.work.session import AUDIO_BAR, whole_seconds

_NO_SOUND = ("not audio", "empty", "missing", "out of reach")  # of a file in a folder that does not look like sound


@dataclass
class Outcome:
    """Seconds of audio, files that were left out, files of a folder that are no audio."""

    seconds: float = 0.0
    skipped: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def check_outputs(files: Sequence[AudioFile], forms: Sequence[str], folder: Path) -> None:
    """Raises UsageError where an output would replace a recording that is among the files; other files that are in its
    place, such as outputs of an earlier run, may be replaced."""
    by_path = {os.path.realpath(file.path): file for file in files}
    for file in files:
        for form in forms:
            output = subtitles.path_of(folder / file.output, form)
            replaced = by_path.get(os.path.realpath(output))
            if replaced and _holds_sound(replaced):
                raise UsageError(
                    _legible(f"the {form} of {file.shown} would replace the recording {replaced.shown}; ")
                    + "give another --output_dir"
                )


def _holds_sound(file: AudioFile) -> bool:
    try:
        recording_duration(file.path)
    except BadAudio as error:
        return error.reason not in _NO_SOUND
    return True


def transcribe_files(
    transcriber: Transcriber,
    files: Sequence[AudioFile],
    damaged: str,
    forms: Sequence[str],
    folder: Path,
    word_timestamps: bool = False,
    highlight_words: bool = False,
) -> Outcome:
    """Write each transcript in these forms into the folder as soon as it is there; without forms print them, in the
    order of the files. damaged: as AudioOptions. What is left out is named as it comes."""
    by_name = {str(n): file for n, file in enumerate(files)}
    source = sources.files({name: file.path for name, file in by_name.items()}, damaged)
    total, outcome = round(sum(source.seconds(name) for name in by_name)), Outcome()
    with tqdm(total=total, desc="transcribe", disable=None, **AUDIO_BAR) as bar:
        results = chain.from_iterable(transcriber.transcribe(by_name, source, True, progress=whole_seconds(bar)))
        for result in results if forms else _in_order(by_name, results):
            file = by_name[result.recording]
            if isinstance(result, BadAudio):
                message = str(result).replace(file.path, file.shown, 1)
                if result.reason in _NO_SOUND and not file.looks_like_audio:
                    outcome.foreign.append(file.shown)
                else:
                    outcome.skipped.append(file.shown)
                    bar.write(_legible(f"transcribe: left out {message}"), file=sys.stderr)
                continue
            outcome.seconds += result.duration
            if word_timestamps:
                transcriber.add_words(result, source)
            result.recording = _legible(file.output.name)
            for form in forms:
                written = subtitles.write(folder / file.output, form, result, highlight_words)
                bar.write(_legible(f"{written}"), file=sys.stderr)
            if not forms:
                _print(file.shown, result, bar)
        bar.update(bar.total - bar.n)
    return outcome


def _legible(name: str) -> str:
    """A file's name without the bytes that are not UTF-8: those can neither be written nor printed."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _in_order(names: Iterable[str], results: Iterable[Transcript | BadAudio]) -> Iterator[Transcript | BadAudio]:
    """Results, which come as they end, in the order of names; each as soon as those before it are there."""
    waiting: dict[str, Transcript | BadAudio] = {}
    order = iter(names)
    wanted = next(order, None)
    for result in results:
        waiting[result.recording] = result
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted = next(order, None)


def _print(file: str, transcript: Transcript, bar: tqdm) -> None:
    language = f" ({transcript.language})" if transcript.language else ""
    bar.write(f"# {_legible(file)}{language}", file=sys.stdout)
    for s in transcript.segments:
        end = transcript.duration if s.end is None else s.end
        times = f"{subtitles.time_code(s.start, '.')} {subtitles.time_code(end, '.')}"
        bar.write(f"{times}  {s.text.strip()}", file=sys.stdout)
