"""Aligned texts of every model in, what the report's error browser shows out: utterances with the words of all. Where
nobody has transcribed anything, these are held-out chunks beside their labels, whose differences need be no errors.

A page of 10,000 utterances and six models is about 15 MB, so texts are kept as scoring wrote them (aligned.py) and the
page takes them apart when they are looked at.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import Utterances
from k2d.errors import BadAudio
from k2d.explore.sounds import Sounds, of_data, sounds
from k2d.label.hold_out import VALIDATOR_TEXT
from k2d.score.agreement import HELD_OUT, hypothesis_file
from k2d.score.aligned import ALIGNED, Aligned, aligned, errors_in, read_aligned
from k2d.score.corpus import score
from k2d.score.error_kinds import KINDS, kinds_of
from k2d.score.experiment import Experiment
from k2d.score.scored import score_dir
from k2d.tables import read_table
from k2d.wording import counted

LONGEST_SOUND = 120.0  # seconds: a whole lecture would take the room of a hundred utterances


@dataclass
class Shown:
    """An utterance. `texts`: model's number -> its text."""

    set_number: int
    id: str
    reference: str
    units: str
    texts: dict[int, Aligned] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        return sum(errors_in(text.steps) for text in self.texts.values())


@dataclass(frozen=True)
class Compared:
    """What is compared: `sets` -> their data directories, for the sounds; (name, role) of each of `systems`; `texts` of
    systems on sets, by their numbers: (set, system, texts); `absent`: what should be there and is not, in words."""

    sets: Mapping[str, Path]
    systems: Sequence[tuple[str, str]]
    texts: Iterable[tuple[int, int, Iterable[Aligned]]]
    absent: Sequence[str] = ()


def of_test_sets(experiment: Experiment, data: Path) -> Compared:
    """Of all models, as scoring aligned them. data: where the test sets' data directories lie."""
    texts, absent = [], []
    for number, test_set in enumerate(experiment.test_sets):
        for place, model in enumerate(experiment.models):
            path = score_dir(experiment.root, model.name, test_set) / ALIGNED
            if (model.name, test_set) not in experiment.results:
                continue
            if path.is_file():
                texts.append((number, place, read_aligned(path)))
            else:
                absent.append(f"{model.name} on {test_set}")
    return Compared({name: data / name for name in experiment.test_sets}, _systems(experiment), texts, absent)


def of_held_out(experiment: Experiment, held_out: Path) -> Compared:
    """Of all models and the validator on the held-out chunks, aligned with the teacher's labels."""
    labels = read_table(held_out / "text")
    files = [hypothesis_file(experiment.root, m.name) for m in experiment.models] + [held_out / VALIDATOR_TEXT]
    said = {place: read_table(path) for place, path in enumerate(files) if path.is_file()}
    texts = ((0, place, aligned(score(labels, table), labels, table)) for place, table in said.items() if table)
    return Compared({HELD_OUT: held_out}, [*_systems(experiment), ("validator's transcripts", "validator")], texts)


def _systems(experiment: Experiment) -> list[tuple[str, str]]:
    return [(m.name, m.record.role) for m in experiment.models]


def read_texts(compared: Compared) -> list[Shown]:
    """Utterances of all sets."""
    found: dict[tuple[int, str], Shown] = {}
    for number, place, texts in compared.texts:
        for text in texts:
            shown = found.setdefault((number, text.id), Shown(number, text.id, text.reference, text.units))
            if shown.units == text.units:  # of other references the table's comparison speaks
                shown.texts[place] = text
    return [found[key] for key in sorted(found)]


def browse(
    experiment: Experiment, data: Path, held_out: Path | None, megabytes: float, audio: AudioOptions
) -> tuple[dict, Sounds]:
    """(what the page's script reads, the sounds). data: where the test sets' data directories lie. held_out: chunks
    that take their place, where a difference from the label need be no error."""
    compared = of_held_out(experiment, held_out) if held_out else of_test_sets(experiment, data)
    utterances = read_texts(compared)
    opened = [of_data(folder, audio) for folder in compared.sets.values()]
    wanted, words = _worth_hearing(utterances, opened)
    clips = sounds(wanted, megabytes)
    if clips.unreadable:
        print(f"report: no sound for {counted(clips.unreadable, 'utterance')}: {clips.reason}", file=sys.stderr)
    if clips.says():
        words.insert(0, clips.says())
    for (name, folder), utterances_of in zip(compared.sets.items(), opened, strict=True):
        if utterances_of is None and utterances:
            words.append(f"No audio of {name}: {folder} is no data directory.")
    if compared.absent:
        words.append(f"Not shown, since scored by an earlier version: {', '.join(compared.absent)}; score again.")
    rows = []
    for shown in utterances:
        texts = {
            place: [text.steps, text.hypothesis, [KINDS.index(kind) for kind in kinds_of(text)]]
            for place, text in shown.texts.items()
        }
        rows.append([shown.set_number, shown.id, shown.reference, shown.units, texts])
    return {
        "what": "difference" if held_out else "error",
        "reference": "label" if held_out else "reference",
        "kinds": KINDS,
        "sets": list(compared.sets),
        "systems": [name for name, _ in compared.systems],
        "roles": [role for _, role in compared.systems],
        "utterances": rows,
        "words": " ".join(words),
    }, clips


def name_of(shown: Shown) -> str:
    """What a sound is called on the page: ids may be the same in two sets."""
    return f"{shown.set_number}/{shown.id}"


def _worth_hearing(
    utterances: Sequence[Shown], opened: Sequence[Utterances | None]
) -> tuple[list[tuple[str, Utterances, str]], list[str]]:
    """(those with most errors first, since a page that has not room for all should have what one wants to hear; which
    are left out, in sentences)."""
    wanted, long, lacking = [], 0, 0
    for shown in sorted(utterances, key=lambda u: (-u.errors, u.set_number, u.id)):
        source = opened[shown.set_number]
        if source is None:
            continue
        if shown.id not in source:
            lacking += 1
        elif _seconds(source, shown.id) > LONGEST_SOUND:
            long += 1
        else:
            wanted.append((name_of(shown), source, shown.id))
    words = []
    if long:
        of = f"{counted(long, 'utterance')} of more than {LONGEST_SOUND:.0f} s"
        words.append(f"No sound of {of}, to keep the page small.")
    if lacking:
        words.append(f"No sound of {counted(lacking, 'utterance')} missing from the data directory.")
    return wanted, words


def _seconds(source: Utterances, utterance: str) -> float:
    try:
        return source.duration(utterance)
    except BadAudio:
        return 0.0  # reading it says why
