"""What a person names as audio: files, folders, patterns, standard input.

In: words of a command line. Out: the files behind them in order, each with the name its outputs get; what is left out.
"""

import glob
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.errors import UsageError

STDIN = "-"
# Endings of the files that are looked for in folders.
SOUND = tuple(
    ".wav .wave .flac .mp3 .m4a .m4b .aac .ogg .oga .opus .spx .wma .aif .aiff .aifc .caf .au .snd .w64 .mka .weba "
    ".amr .awb .3ga .qcp .gsm .g722 .g729 .sln .ra .dss .ds2 .mp2 .mpga .ac3 .eac3 .ec3 .dts .wv .ape .tta .voc "
    ".sph".split()
)
VIDEO = tuple(
    ".mp4 .m4v .mkv .webm .mov .qt .avi .flv .f4v .wmv .asf .mpg .mpeg .ts .mts .m2ts .vob .ogv .3gp .3gpp .3g2 .rm "
    ".rmvb .mxf .dv .dav".split()
)


@dataclass(frozen=True)
class AudioFile:
    """path: where it lies. shown: as the person named it. output: its outputs' path without an ending, relative. given:
    named itself, not found in a folder.
    """

    path: str
    shown: str
    output: Path
    given: bool

    @property
    def numbered(self) -> bool:
        """Whether its outputs have a number in their name, because another file's have the name."""
        return not Path(self.path).name.startswith(self.output.name)

    @property
    def looks_like_audio(self) -> bool:
        """Whether it is worth a message that it turns out to be no audio; of other files in a folder it is not."""
        return self.given or _has_sound(self.path)


def _has_sound(path: str) -> bool:
    return Path(path).suffix.lower() in SOUND + VIDEO


def gather(words: Sequence[str], stdin_folder: str | Path) -> tuple[list[AudioFile], dict[str, str]]:
    """(files, words that stand for none and what cannot be reached -> why). A folder, also one that a pattern matches,
    is searched to its depth, links followed, hidden files left out; the outputs of its files lie in a tree like its
    own. "-" is standard input, copied into `stdin_folder`. A file that is named twice is taken once. Outputs of
    recordings with one stem keep the files' endings: talk.mp3.srt, talk.wav.srt; a transcript beside a recording,
    perhaps of an earlier run, does not count.
    """
    found: list[tuple[str, str, Path, bool]] = []  # path, shown, folder of outputs, given
    nowhere = {}
    named: dict[str, bool] = {}  # path -> given
    for word in words:
        if not glob.has_magic(word) or os.path.lexists(word):
            named[word] = True
        elif matches := sorted(glob.glob(word, recursive=True)):
            for match in matches:
                named.setdefault(match, False)
        else:
            nowhere[word] = _unmatched(word)
    for path, given in named.items():
        if path == STDIN and given:
            found.append((_standard_input(stdin_folder), "standard input", Path(), True))
        elif os.path.isdir(path):
            before = len(found), len(nowhere)
            for here, names, why in walk(Path(path)):
                found += [(str(here / name), str(here / name), here.relative_to(path), False) for name in names]
                nowhere |= {str(here): why} if why else {}
            if given and before == (len(found), len(nowhere)):
                nowhere[path] = f"{path}: no files in this folder"
        elif why := _out_of_reach(path):
            nowhere[path] = why
        else:
            found.append((path, path, Path(), given))
    if not found and not nowhere:
        nowhere = {word: f"{word}: no files there" for word in words}  # patterns of empty folders
    once = {os.path.realpath(entry[0]): entry for entry in reversed(found)}
    kept = [entry for entry in found if once.get(os.path.realpath(entry[0])) is entry]
    stems = Counter(folder / Path(path).stem for path, _, folder, given in kept if given or _has_sound(path))
    files, taken = [], set()
    for path, shown, folder, given in kept:
        stem = folder / Path(path).stem
        others = stems[stem] - (given or _has_sound(path))
        output = folder / Path(path).name if others else stem
        number = 1
        while output in taken:  # files of one name in two folders that were named themselves
            number += 1
            output = folder / f"{Path(path).stem}.{number}{Path(path).suffix}"
        taken.add(output)
        files.append(AudioFile(path, shown, output, given))
    return files, nowhere


def _unmatched(pattern: str) -> str:
    """Why a pattern stands for nothing."""
    folder = os.path.dirname(pattern)
    try:
        os.listdir(folder or ".")
    except PermissionError as error:
        return _why_refused(error)
    except OSError:  # it is not there, or a pattern itself
        pass
    return f"{pattern}: matches no file"


def _out_of_reach(path: str) -> str:
    """Why there is nothing to open at a path; "" if there is."""
    try:
        os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            return f"{path}: a link to {os.readlink(path)}, which is not there; correct or remove it"
        return f"{path}: no such file or folder"
    except OSError as error:
        return f"{path}: {error.strerror}; give the right to read it, or correct the path"
    return ""


def walk(folder: Path) -> Iterator[tuple[Path, list[str], str]]:
    """(folder, names of its files, why it cannot be read or "") of a tree in order of path, links followed, hidden ones
    left out. A folder that links lead to twice is walked once.
    """
    seen, refused = set(), []
    for here, folders, names in os.walk(folder, onerror=refused.append, followlinks=True):
        while refused:
            yield _refused(refused.pop())
        seen.add(os.path.realpath(here))
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if os.path.realpath(os.path.join(here, name)) not in seen]
        yield Path(here), sorted(name for name in names if not name.startswith(".")), ""
    while refused:
        yield _refused(refused.pop())


def _refused(error: OSError) -> tuple[Path, list[str], str]:
    return Path(error.filename), [], _why_refused(error)


def _why_refused(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}; give the right to read this folder, or look at the disk"


def _standard_input(folder: str | Path) -> str:
    if sys.stdin.isatty():
        raise UsageError("- is standard input, and nothing comes from there; pipe a file: k2d transcribe - < talk.mp3")
    path = Path(folder) / "stdin"
    with open(path, "wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    return str(path)
