"""Tables and ids of every set: what the stages that read it need.

In: a set, which is a data directory and what it is for. Out: findings.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2d.audio.durations import make_durations, recording_seconds
from k2d.audio.stamps import is_command
from k2d.check.findings import Finding, fails, note, some, warning
from k2d.corpus.clips import TAG
from k2d.datadir import DataDir
from k2d.errors import DataError, may_not
from k2d.held_out import AUDIT
from k2d.text import timestamps
from k2d.wording import counted
from k2d.work import machine

TRAIN, DEV, TEST, TEST_LONG = "train", "dev", "test", "test_long"
# The tables of unlabelled recordings that any stage reads: their references and segments none does.
_READ_OF_TRAIN = ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "reco2dur")
_SHOWN_PROBLEMS = 10
_QUOTED = re.compile(r"'[^']*'")  # what is of one line in a message


@dataclass(frozen=True)
class Set:
    """A data directory and its part: train (recordings decoded whole, no reference read), dev and test (utterances),
    test_long (recordings, one text each). unmeasured: recordings that have no duration, and why.
    """

    data: DataDir
    part: str
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.data.path

    @property
    def whole(self) -> bool:
        """Whether recordings are read from their start to their end, whatever segments there are."""
        return self.part in (TRAIN, TEST_LONG)

    @property
    def noun(self) -> str:
        return "recording" if self.whole else "utterance"

    @property
    def names(self) -> list[str]:
        return list(self.data.wav if self.whole else self.data.segments)

    def recording_of(self, name: str) -> str:
        return name if self.whole else self.data.segments[name].recording

    def source(self, name: str) -> str:
        """What wav.scp says of the recording that `name` is or lies in."""
        return self.data.wav.get(self.recording_of(name), "")


def open_set(path: str | Path, part: str, allow_pipes: bool = False) -> tuple[Set | None, list[Finding]]:
    """The set, or None where its tables cannot be read, and what is wrong with them. Durations that lack are made."""
    try:
        data = DataDir(path)
    except DataError as error:
        if os.path.isfile(Path(path) / AUDIT):
            return None, [fails(path, "drawn, but nothing answered yet", f"k2d audit --output_dir {path}")]
        message, refused, todo = _without(error, path).partition("; give ")
        make = "make it, by k2d recordings, in local/data.sh or by hand; or correct the name"
        todo = f"give {todo}" if refused else make
        return None, [fails(path, message, todo)]
    unmeasured: dict[str, str] = {}
    found, refused = [], []
    try:
        # Before the tables are looked at: durations that were made here follow a corpus that has grown or shrunk.
        unmeasured = make_durations(data, machine.threads(), allow_pipes)
    except OSError as error:
        if not may_not(error):
            raise
        found = [warning(error.filename, f"missing, and may not be written ({error.strerror})",
                         "let its owner run utils/get_utt2dur.py, or copy the directory; until then lengths are "
                         "unknown, or measured again by each stage")]  # fmt: skip
    except DataError as error:
        refused = [str(error)]
    # Tables that cannot be read are each named by the data directory itself.
    found += _problems(data.path, data.validate() or refused, part)
    if part != TRAIN and not (data.path / "text").is_file():
        found.append(
            fails(f"{path}/text", "missing", "give it a line an utterance: a set to score, or to choose the epoch by, "
                  "needs references")
        )  # fmt: skip
    try:  # what follows reads these
        one = Set(DataDir(path), part, unmeasured)
        data = one.data
        names = one.names
        _ = data.utt2dur, recording_seconds(data), part == TRAIN or (data.text, data.segments)
    except DataError:
        return None, found or [fails(path, "its tables cannot be read", f"utils/fix_data.py {path}")]
    if part == TRAIN and data.has_segments:
        found.append(note(f"{path}/segments", "not looked at: recordings are decoded from their start to their end"))
    if part == TEST_LONG:
        found += _ids_of_long_form(one)
    if part != TRAIN:
        found += _texts(one, names)
    return one, found


def _without(problem: object, path: object) -> str:
    """The sentence without the path that stands in the first column already."""
    return str(problem).removeprefix(f"{path}: ")


def _problems(folder: Path, problems: Sequence[str], part: str) -> list[Finding]:
    """The sentences of `DataDir.validate` as rows: one for what is wrong of many lines of a file."""
    of_kind: dict[tuple[str, str], tuple[str, list[str]]] = {}  # file and kind -> the first message, lines
    more: dict[str, str] = {}  # file -> how many lines are not listed
    for problem in problems:
        where, line, message = _place(folder, problem)
        if message.startswith("and "):
            more[where] = f" {message}"
            continue
        of_kind.setdefault((where, _QUOTED.sub("", message)), (message, []))[1].append(line)
    found = []
    for (where, _), (message, numbers) in of_kind.items():
        what = f"{folder}/{where}" if where else str(folder)
        message, _, todo = message.partition("; ")
        if numbers[0]:
            message = f"{'line' if len(numbers) == 1 else 'lines'} {some(numbers)}{more.pop(where, '')}: {message}"
        if where and part == TRAIN and where not in _READ_OF_TRAIN:
            found.append(note(what, message, "nothing, unless --labels text:… names this folder's text"))
        else:
            mend = f"correct it, or let utils/fix_data.py {folder} leave out what does not fit"
            found.append(fails(what, message, todo or mend))
    if len(found) > _SHOWN_PROBLEMS:
        rest = len(found) - _SHOWN_PROBLEMS
        todo = f"utils/validate_data.py {folder} lists all"
        found[_SHOWN_PROBLEMS:] = [fails(folder, counted(rest, "more problem"), todo)]
    return found


def _place(folder: Path, problem: str) -> tuple[str, str, str]:
    """(file, line, what is wrong) of "data/dev/text:3: …"; "" for a file or line that it does not name."""
    if not problem.startswith(f"{folder}/"):
        return "", "", _without(problem, folder)
    where, _, message = problem.removeprefix(f"{folder}/").partition(":")
    line, _, rest = message.partition(":")
    return (where, line, rest.strip()) if line.isdecimal() else (where, "", message.strip())


def _ids_of_long_form(one: Set) -> list[Finding]:
    """References of long form are a text a recording, by the recording's id."""
    text = one.data.text or {}
    other = sorted(text.keys() - one.data.wav.keys())
    if not text or not other:
        return []
    return [
        fails(f"{one.path}/text", f"{counted(len(other), 'id')} of no recording ({some(other)}): what is decoded "
              "long-form is scored by recordings",
              "join the references to one line a recording, under its id in wav.scp, and leave out segments; or name "
              "the set without _long at the end")
    ]  # fmt: skip


def _texts(one: Set, names: Sequence[str]) -> list[Finding]:
    text = one.data.text or {}
    empty = [name for name in names if name in text and not text[name].strip()]
    if text and len(empty) == len(text):
        return [fails(f"{one.path}/text", "every reference is empty", "write what is said behind the ids")]
    found = []
    if empty:
        found = [warning(f"{one.path}/text", f"no words for {counted(len(empty), 'utterance')} ({some(empty)})",
                      "nothing, if nothing is said there; whatever a model writes of it is an error",
                      ((name, "empty reference") for name in empty))]  # fmt: skip
    tags = {name: tag[0] for name in names if (tag := TAG.search(timestamps.strip(text.get(name, ""))))}
    if tags:
        such = f"tags such as {next(iter(tags.values()))}"
        found.append(
            warning(f"{one.path}/text", f"{such} in {counted(len(tags), 'utterance')} ({some(list(tags))})",
                 "take them out: their letters count as words, which no model writes", tags.items())
        )  # fmt: skip
    return found


def commands(one: Set) -> list[Finding]:
    """Commands among the sources, which are allowed to run."""
    piped = [name for name, source in one.data.wav.items() if is_command(source)]
    if not piped:
        return []
    return [note(f"{one.path}/wav.scp", f"{counted(len(piped), 'command')} in place of files, run by every stage that "
                 f"reads them ({some(piped)})")]  # fmt: skip


def shared_recordings(sets: Sequence[Set]) -> list[Finding]:
    """Test and development recordings that are also trained on, by the files they name.

    A set that k2d audit made has chunks of these recordings, which every selection leaves out: there is nothing to do.
    """
    train = next((one for one in sets if one.part == TRAIN), None)
    if train is None:
        return []
    labelled = {os.path.normpath(source) for source in train.data.wav.values()}
    found = []
    for one in sets:
        if one is train or (Path(one.path) / AUDIT).is_file():
            continue
        both = sorted(name for name, source in one.data.wav.items() if os.path.normpath(source) in labelled)
        if both:
            found.append(
                _shared(one, both, "recording", train, "what a student was trained on says nothing of how well it does")
            )
    return found


def _shared(one: Set, both: Sequence[str], noun: str, other: Set, why: str) -> Finding:
    """A warning of what stands in two sets that must not share anything."""
    also = f"also in {other.path}"
    return warning(
        one.path,
        f"{counted(len(both), noun)} {also} ({some(both)})",
        f"take them out of one of the two: {why}",
        ((name, also) for name in both),
    )


def dev_in_tests(sets: Sequence[Set]) -> list[Finding]:
    """Test utterances, or recordings of long form, that are also in the development set, by file and place."""
    dev = next((one for one in sets if one.part == DEV), None)
    if dev is None:
        return []
    found = []
    for one in sets:
        if one.part not in (TEST, TEST_LONG):
            continue
        chosen_by = {_place_of(dev, name, one.whole) for name in dev.names}
        if both := [name for name in one.names if _place_of(one, name, one.whole) in chosen_by]:
            why = "the epoch is chosen by the development set, and looks better there than it is"
            found.append(_shared(one, both, one.noun, dev, why))
    return found


def _place_of(one: Set, name: str, whole: bool) -> tuple:
    source = os.path.normpath(one.source(name))
    return (source,) if whole else (source, one.data.segments[name].start, one.data.segments[name].end)
