"""Aligned texts of every model in, what the report's error browser shows out: utterances with the words of all.

A page of 10,000 utterances and six models is about 15 MB, so texts are kept as scoring wrote them (aligned.py) and the
page takes them apart when they are looked at.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import Utterances
from k2d.errors import BadAudio
from k2d.explore.sounds import Sounds, of_data, sounds
from k2d.score.aligned import ALIGNED, Aligned, errors_in, read_aligned
from k2d.score.error_kinds import KINDS, kinds_of
from k2d.score.experiment import Experiment
from k2d.score.scored import score_dir
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


def read_texts(experiment: Experiment) -> tuple[list[Shown], list[str]]:
    """(utterances of all test sets, "model on set" that scoring has left no aligned text of)."""
    found: dict[tuple[int, str], Shown] = {}
    absent = []
    for number, test_set in enumerate(experiment.test_sets):
        for place, model in enumerate(experiment.models):
            path = score_dir(experiment.root, model.name, test_set) / ALIGNED
            if (model.name, test_set) not in experiment.results:
                continue
            if not path.is_file():
                absent.append(f"{model.name} on {test_set}")
                continue
            for text in read_aligned(path):
                shown = found.setdefault((number, text.id), Shown(number, text.id, text.reference, text.units))
                if shown.units == text.units:  # of other references the table's comparison speaks
                    shown.texts[place] = text
    return [found[key] for key in sorted(found)], absent


def browse(experiment: Experiment, data: Path, megabytes: float, audio: AudioOptions) -> tuple[dict, Sounds]:
    """(what the page's script reads, the sounds). data: where the test sets' data directories lie, for the sounds."""
    utterances, absent = read_texts(experiment)
    opened = {n: of_data(data / name, audio) for n, name in enumerate(experiment.test_sets)}
    clips = sounds(_worth_hearing(utterances, opened), megabytes)
    if clips.unreadable:
        print(f"report: no sound for {counted(clips.unreadable, 'utterance')}: {clips.reason}", file=sys.stderr)
    silent = [experiment.test_sets[n] for n, source in opened.items() if source is None]
    words = [clips.says()] if clips.says() else []
    if silent and utterances:
        words.append(f"No audio of {', '.join(silent)}: there is no data directory of that name in {data}.")
    if absent:
        words.append(f"Not shown, since scored by an earlier version: {', '.join(absent)}; score again.")
    rows = []
    for shown in utterances:
        texts = {
            place: [text.steps, text.hypothesis, [KINDS.index(kind) for kind in kinds_of(text)]]
            for place, text in shown.texts.items()
        }
        rows.append([shown.set_number, shown.id, shown.reference, shown.units, texts])
    return {"kinds": KINDS, "utterances": rows, "words": " ".join(words)}, clips


def name_of(shown: Shown) -> str:
    """What a sound is called on the page: ids may be the same in two sets."""
    return f"{shown.set_number}/{shown.id}"


def _worth_hearing(
    utterances: Sequence[Shown], opened: dict[int, Utterances | None]
) -> Iterator[tuple[str, Utterances, str]]:
    """Those with most errors first: a page that has not room for all should have what one wants to hear."""
    for shown in sorted(utterances, key=lambda u: (-u.errors, u.set_number, u.id)):
        source = opened[shown.set_number]
        if source is not None and shown.id in source and _seconds(source, shown.id) <= LONGEST_SOUND:
            yield name_of(shown), source, shown.id


def _seconds(source: Utterances, utterance: str) -> float:
    try:
        return source.duration(utterance)
    except BadAudio:
        return 0.0  # reading it says why
