"""What kinds of errors an aligned text has, for those who look for one kind: cheap rules, no model.

A run is a stretch of errors without a hit between them. Kinds, each the mark of a failure of Whisper's:

english      an English word of the reference is substituted
translated   a run with English on one side and Chinese on the other: the term was translated, or spelt by its sound
omitted      three or more deletions in a row, or an empty hypothesis
hallucinated three or more insertions in a row
loop         a window that repeats itself (k2d.text.loops)
switch       an error beside a change of language
"""

from k2d.score.aligned import Aligned
from k2d.score.alignment import DELETION, HIT, INSERTION, SUBSTITUTION
from k2d.score.rates import error_runs, longest_run, other_language, switch_pairs
from k2d.text.units import language_of

KINDS = ("english", "translated", "omitted", "hallucinated", "loop", "switch")
RUN = 3  # units: a phrase, no longer a misheard word


def kinds_of(text: Aligned) -> list[str]:
    """The kinds of errors in a text, in the order of KINDS."""
    pairs = text.pairs
    errors = [p for p in pairs if p.op != HIT]
    if not errors:
        return ["loop"] if text.loops else []
    runs = list(error_runs(pairs))
    others = [run for run in runs if not other_language(run)]  # a longer word for the same is no hallucination
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
