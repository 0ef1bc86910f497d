"""Anything that turns recordings into text can be teacher or validator.

In: a name, as `--model` has it. Out: a `Transcriber`.

    DIR, FILE or a published name   a Whisper checkpoint in any form
    OWNER/NAME                      one of the Hugging Face Hub; also behind espnet: and transformers:
    text:FILE                       a Kaldi text file, by id of recording, utterance or chunk
    text:FOLDER                     .json, .vtt, .srt and .txt files of other programs, one a recording
    espnet:DIR                      an ESPnet ASR model
    transformers:DIR                a Hugging Face CTC or sequence-to-sequence model

`open_transcriber` looks at files and loads nothing: models are loaded with the first recording.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from k2d.errors import UsageError
from k2d.options import options_of
from k2d.transcribers.base import Transcriber
from k2d.whisper import hub
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig
from k2d.whisper.identity import check_language, check_name, check_path, english_only

if TYPE_CHECKING:
    from k2d.datadir import DataDir

__all__ = [
    "KINDS",
    "Transcriber",
    "accepted",
    "check_exists",
    "check_whisper",
    "class_of",
    "kind_of",
    "open_transcriber",
    "refused",
]

KINDS = ("text", "espnet", "transformers")


def kind_of(name: str) -> str:
    """ "text", "espnet", "transformers" or "whisper"."""
    prefix = str(name).partition(":")[0]
    return prefix if prefix in KINDS and ":" in str(name) else "whisper"


def class_of(name: str) -> type[Transcriber]:
    kind = kind_of(name)
    if kind == "text":
        from k2d.transcribers.text import ReadyTranscripts as Class
    elif kind == "espnet":
        from k2d.transcribers.espnet import ESPnetRecogniser as Class
    elif kind == "transformers":
        from k2d.transcribers.huggingface import HuggingFaceRecogniser as Class
    else:
        from k2d.transcribers.whisper import WhisperTranscriber as Class
    return Class


def check_exists(name: str) -> None:
    """UserError for a path where nothing lies, and no stage puts anything: recipes write below data/."""
    kind, place = kind_of(name), name.partition(":")[2]
    if kind == "whisper":
        check_path(name)
        return
    downloaded = kind != "text" and hub.parts_of(place)
    if not (downloaded or Path(place).exists() or Path(place).absolute().is_relative_to(Path("data").absolute())):
        raise UsageError(f"{name}: no such file or folder; correct the path behind {kind}:")


def refused(name: str, option: str) -> UsageError:
    known = ", ".join(f"--{each}" for each in class_of(name).accepts)
    return UsageError(f"{name}: --{option} does not apply to it; it takes {known}. Leave the option out")


def open_transcriber(name: str, data: DataDir | None = None, **options) -> Transcriber:
    """The transcriber of a name. data: directory of the recordings, by whose files ready transcripts are found.

    options (device, dtype, beam_size …) are those its class `accepts`. Raises UserError for what is missing, not
    what the name says, or an option that it does not know.
    """
    Class = class_of(name)
    for option in options:
        if option not in Class.accepts:
            raise refused(name, option)
    if Class.kind == "text":
        options["data"] = data
    return Class(name if Class.kind == "whisper" else name.partition(":")[2], **options)


def check_whisper(name: str, language: str | None) -> None:
    """CheckpointError for a name that stands for no checkpoint, UsageError for a language that it does not know, as far
    as both are known before it is read. language: None for whichever it knows.
    """
    check_name(name)
    check_language(name, language, english_only(name))


def accepted(args: Namespace, parser: ArgumentParser, **changed) -> dict[str, object]:
    """Those of the options of a command that its --model accepts; of Whisper, all of engine and decoding.

    changed: options of decoding. UsageError for one of decoding that was given and means nothing to the transcriber, or
    for a language that it does not know; CheckpointError for a name that stands for no model. How to compute, the seed,
    and whether times are wanted, may be said to all alike.
    """
    engine, decoding = options_of(EngineConfig, args), options_of(DecodingOptions, args, **changed)
    name, given = args.model, vars(args)
    if kind_of(name) == "whisper":
        check_whisper(name, decoding.language)
        return vars(engine) | vars(decoding)
    place = name.partition(":")[2]
    if kind_of(name) != "text" and hub.parts_of(place):
        hub.check(place, kind_of(name))
    accepts = class_of(name).accepts
    for option in vars(decoding):
        meant = option in given and given[option] != parser.get_default(option)
        if meant and option not in (*accepts, "seed", "timestamps"):
            raise refused(name, option)
    return {option: value for option, value in given.items() if option in accepts}
