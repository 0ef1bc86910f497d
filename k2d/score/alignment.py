"""Two lists of units in, the cheapest alignment out.

A unit is one Chinese character or one Latin word (`k2d.text.units`). The edit
distance itself is rapidfuzz's. Many alignments share the same cost, and which
of them is taken decides what a substitution is *of*: inside each run of errors
the pairing that joins units of the same language is chosen, so that "机 器
learning" against "learn" counts as two lost characters and one misheard word,
and not as one lost word and a Mandarin error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from k2d.text.units import is_chinese, is_english

HIT, SUBSTITUTION, DELETION, INSERTION = "=", "S", "D", "I"
LANGUAGES = ("zh", "en", "other")

# A run of errors of n reference and m hypothesis units is paired by a table of
# n * m cells. Past this size (a whole paragraph lost against another one
# invented) the pairing says nothing any more, and the leading units are paired.
MAX_PAIRING_CELLS = 250_000


@dataclass(frozen=True)
class Pair:
    """One step of an alignment. `ref` is None for an insertion, `hyp` for a deletion."""

    op: str
    ref: str | None
    hyp: str | None


def language(unit: str) -> str:
    """`zh` for a Chinese character, `en` for a word with a Latin letter, `other` for the rest (numbers,
    words of other scripts)."""
    return "zh" if is_chinese(unit) else "en" if is_english(unit) else "other"


def _pair_run(ref: Sequence[str], hyp: Sequence[str]) -> list[Pair]:
    """Align two runs that share no unit in the best alignment: the longer run's length is the
    cost of every order-preserving pairing of min(n, m) units; take one with most pairs of
    the same language."""
    n, m = len(ref), len(hyp)
    if n == m or not n or not m or n * m > MAX_PAIRING_CELLS:
        k = min(n, m)
        return (
            [Pair(SUBSTITUTION, r, h) for r, h in zip(ref[:k], hyp[:k], strict=True)]
            + [Pair(DELETION, r, None) for r in ref[k:]]
            + [Pair(INSERTION, None, h) for h in hyp[k:]]
        )
    if n < m:
        swapped = _pair_run(hyp, ref)
        return [Pair(INSERTION if p.op == DELETION else p.op, p.hyp, p.ref) for p in swapped]
    # Here n > m: all m hypothesis units are paired, n - m reference units are deleted.
    # gain[i][j]: most same-language pairs of ref[i:] with hyp[j:], all of hyp[j:] paired.
    ref_language, hyp_language = [language(u) for u in ref], [language(u) for u in hyp]
    impossible = -1
    gain = [[impossible] * (m + 1) for _ in range(n + 1)]
    for i in range(n, -1, -1):
        gain[i][m] = 0
        for j in range(m - 1, -1, -1):
            if n - i < m - j:
                continue
            pair = gain[i + 1][j + 1] + (ref_language[i] == hyp_language[j])
            gain[i][j] = max(pair, gain[i + 1][j]) if n - i > m - j else pair
    pairs, i, j = [], 0, 0
    while i < n:
        if j < m and gain[i][j] == gain[i + 1][j + 1] + (ref_language[i] == hyp_language[j]):
            pairs.append(Pair(SUBSTITUTION, ref[i], hyp[j]))
            i, j = i + 1, j + 1
        else:
            pairs.append(Pair(DELETION, ref[i], None))
            i += 1
    return pairs


def align(ref: Sequence[str], hyp: Sequence[str]) -> list[Pair]:
    """A cheapest alignment of two lists of units, in reading order."""
    pairs: list[Pair] = []
    run_ref: list[str] = []
    run_hyp: list[str] = []
    for op in Levenshtein.opcodes(ref, hyp):
        if op.tag == "equal":
            pairs += _pair_run(run_ref, run_hyp)
            run_ref, run_hyp = [], []
            pairs += [Pair(HIT, unit, unit) for unit in ref[op.src_start : op.src_end]]
        else:
            run_ref += ref[op.src_start : op.src_end]
            run_hyp += hyp[op.dest_start : op.dest_end]
    return pairs + _pair_run(run_ref, run_hyp)
