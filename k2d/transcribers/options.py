"""Which options on a command line are a transcriber's.

In: a model's name and the options of a command that decodes. Out: what `open_transcriber` takes.
"""

from collections.abc import Callable, Mapping

from k2d.transcribers import class_of, kind_of, refused
from k2d.whisper import hub
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig
from k2d.whisper.identity import check_language, check_name, english_only


def check_whisper(name: str, language: str | None) -> None:
    """CheckpointError for a name that stands for no checkpoint, UsageError for a language that it does not know, as far
    as both are known before it is read. language: None for whichever it knows.
    """
    check_name(name)
    check_language(name, language, english_only(name))


def accepted(
    name: str,
    engine: EngineConfig,
    decoding: DecodingOptions,
    given: Mapping[str, object],
    default: Callable[[str], object],
) -> dict[str, object]:
    """Those of the options `given` that the transcriber accepts; of Whisper, `engine` and `decoding`.

    default(option): what it is if not given. UsageError for one of decoding that was given and means nothing to the
    transcriber, or for a language that it does not know; CheckpointError for a name that stands for no model. How to
    compute, the seed, and whether times are wanted, may be said to all alike.
    """
    if kind_of(name) == "whisper":
        check_whisper(name, decoding.language)
        return vars(engine) | vars(decoding)
    place = name.partition(":")[2]
    if kind_of(name) != "text" and hub.parts_of(place):
        hub.check(place, kind_of(name))
    accepts = class_of(name).accepts
    for option in vars(decoding):
        if option in given and option not in (*accepts, "seed", "timestamps") and given[option] != default(option):
            raise refused(name, option)
    return {option: value for option, value in given.items() if option in accepts}
