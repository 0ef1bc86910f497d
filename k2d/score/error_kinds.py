"""What kinds of errors an aligned text has, for those who look for one kind: cheap rules, no model.

A run is a stretch of errors without a hit between them. Kinds, each the mark of a failure of Whisper's:

english      an English word of the reference is substituted
translated   a run with English in the reference and only Chinese in the hypothesis, or the other way round: the term
             was translated, or spelt by its sound
omitted      three or more deletions in a row, or an empty hypothesis
hallucinated three or more insertions in a row
loop         a window that repeats itself (k2d.text.loops)
switch       an error beside a change of language
"""

from collections.abc import Sequence

from k2d.score.aligned import Aligned
from k2d.score.alignment import DELETION, HIT, INSERTION, SUBSTITUTION, Pair
from k2d.score.rates import error_runs, longest_run, switch_pairs
from k2d.text.units import language_of

KINDS = ("english", "translated", "omitted", "hallucinated", "loop", "switch")
RUN = 3  # units: a phrase, no longer a misheard word
_FEWEST_CHARACTERS = 2  # of a Chinese word that stands for an English one


def kinds_of(text: Aligned) -> list[str]:
    """The kinds of errors in a text, in the order of KINDS."""
    pairs = text.pairs
    errors = [p for p in pairs if p.op != HIT]
    if not errors:
        return ["loop"] if text.loops else []
    runs = list(error_runs(pairs))
    others = [run for run in runs if not _translated(run)]  # a longer word for the same is no hallucination
    nothing = all(p.hyp is None for p in pairs)
    found = {
        "english": any(p.op == SUBSTITUTION and language_of(p.ref) == "en" for p in errors),
        "translated": len(others) < len(runs),
        "omitted": nothing or any(longest_run(run, DELETION) >= RUN for run in others),
        "hallucinated": any(longest_run(run, INSERTION) >= RUN for run in others),
        "loop": text.loops > 0,
        "switch": any(p.op != HIT for p in switch_pairs(pairs)),
    }
    return [kind for kind in KINDS if found[kind]]


def _translated(run: Sequence[Pair]) -> bool:
    ref = [language_of(p.ref) for p in run if p.ref is not None]
    hyp = [language_of(p.hyp) for p in run if p.hyp is not None]
    if "en" in ref and "en" not in hyp:
        return hyp.count("zh") >= _FEWEST_CHARACTERS
    return "en" in hyp and "en" not in ref and "zh" not in hyp and ref.count("zh") >= _FEWEST_CHARACTERS
