"""What can be said of models where nobody has transcribed anything: how far they are from teacher and validator.

In: held-out chunks (k2d hold_out: the teacher's labels and the validator's transcripts) and the models' hypotheses.
Out: a table of differences, loops and language switches. None of it is an error rate: a student that repeats its
teacher's mistakes agrees with it.
"""

from itertools import pairwise
from pathlib import Path

from k2d.errors import DataError
from k2d.label.hold_out import VALIDATOR_TEXT
from k2d.score.corpus import score
from k2d.score.experiment import Experiment
from k2d.score.report import COSTS, costs
from k2d.score.tables import ABSENT, Table, mixed_rate, percent
from k2d.tables import read_table
from k2d.text import loops, timestamps
from k2d.text.units import language_of, units
from k2d.wording import counted

HELD_OUT = "held_out"
FEWEST = 20  # chunks, below which a difference or an error rate says next to nothing
WITNESSES = ("text", VALIDATOR_TEXT)  # of the held-out chunks: labels of the teacher, transcripts of the validator
NO_ERROR_RATE = (
    "No error rate is known: nobody has transcribed any of these recordings. How far a model is from the teacher's "
    "labels and from the validator's transcripts shows that it has learnt, not that it is right; for that, make a test "
    "set (k2d audit; --test_sets)."
)


def hypothesis_file(root: Path, model: str) -> Path:
    return root / model / f"decode_{HELD_OUT}" / "text"


def switches(text: str) -> int:
    """Changes between Chinese and English from one unit to the next; numbers and other scripts are passed over."""
    languages = [each for each in map(language_of, units(text)) if each != "other"]
    return sum(a != b for a, b in pairwise(languages))


def agreement_table(experiment: Experiment, held_out: Path) -> Table:
    """A row for the labels, for the validator's transcripts, and for every model that has been decoded."""
    texts = {name: read_table(held_out / name) for name in WITNESSES if (held_out / name).is_file()}
    if "text" not in texts:
        raise DataError(f"{held_out}/text: not there; run stage 4 again")
    rows = []
    for name, witness in (("labels", "text"), ("validator's transcripts", VALIDATOR_TEXT)):
        if witness in texts:
            rows.append([name, *[ABSENT] * (len(COSTS) + 4), *_counts(texts[witness])])
    for model in experiment.models:
        path = hypothesis_file(experiment.root, model.name)
        hypotheses = read_table(path) if path.is_file() else None
        results = [score(texts[w], hypotheses).as_dict() if hypotheses and w in texts else None for w in WITNESSES]
        rows.append(
            [
                model.name,
                *costs(experiment, model),
                mixed_rate(results[0]),
                *(percent(results[0]["languages"][name]["rate"]) if results[0] else ABSENT for name in ("zh", "en")),
                mixed_rate(results[1]),
                *(_counts(hypotheses) if hypotheses else [ABSENT] * 3),
            ]
        )
    return Table(
        "Agreement on held-out recordings",
        f"{said_first(len(texts['text']))} {counted(len(texts['text']), 'chunk')} of recordings that no student has "
        "learnt from. Differences are in percent of the labels' (the validator's) units, Chinese characters and words "
        "of other scripts, with 95 % bootstrap intervals in brackets. Loops: transcripts in which a character 6-gram "
        "occurs more than 5 times; switches: between Chinese and English; empty: no text. Speed of generation is "
        "relative to the teacher; data is the share of labelled hours kept.",
        ["model", *COSTS, "differs from labels", "zh", "en", "from the validator",
         "loops", "switches", "empty"],
        rows,
        unit="differences in % of the units, with 95 % intervals",
    )  # fmt: skip


def said_first(chunks: int) -> str:
    """What to know before reading the table, of so many held-out chunks."""
    if chunks >= FEWEST:
        return NO_ERROR_RATE
    return (
        f"{NO_ERROR_RATE} Only {counted(chunks, 'chunk')} {'is' if chunks == 1 else 'are'} held out, too few to "
        f"compare models by; the differences mean something from about {FEWEST} on, which takes more recordings."
    )


def _counts(texts: dict[str, str]) -> list[str]:
    plain = [timestamps.strip(text) for text in texts.values()]
    counts = (sum(map(loops.has_loop, plain)), sum(map(switches, plain)), sum(not text.strip() for text in plain))
    return [f"{count:,}" for count in counts]
