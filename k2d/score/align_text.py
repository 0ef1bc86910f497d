"""A score in, a text out in which a person sees every error: reference above hypothesis,
unit by unit, the worst utterance first."""

from collections.abc import Iterator, Sequence

from k2d.score.alignment import HIT, Pair
from k2d.score.corpus import Score, Utterance
from k2d.text.columns import width
from k2d.wording import counted

COLUMNS = 110  # display columns of a line; a Chinese character takes two
GAP = "*"


def _blocks(pairs: Sequence[Pair]) -> Iterator[list[tuple[Pair, int]]]:
    """Lines of at most COLUMNS: each step with the width of its column."""
    line: list[tuple[Pair, int]] = []
    used = 0
    for pair in pairs:
        columns = max(width(pair.ref or ""), width(pair.hyp or ""), 1)
        if line and used + columns + 1 > COLUMNS:
            yield line
            line, used = [], 0
        line.append((pair, columns))
        used += columns + 1
    if line:
        yield line


def _row(name: str, cells: list[tuple[str, int]]) -> str:
    return (name + " " + " ".join(text + " " * (columns - width(text)) for text, columns in cells)).rstrip()


def utterance_text(utterance: Utterance) -> str:
    counts = utterance.counts
    head = (
        f"{utterance.id}  MER {100 * utterance.rate:.1f} %  (units {counts.units}, hits {counts.hits}, "
        f"S {counts.substitutions}, I {counts.insertions}, D {counts.deletions})"
    )
    if utterance.missing:
        head += "  NO HYPOTHESIS"
    if utterance.looping_windows:
        head += "  LOOP"
    lines = [head]
    for block in _blocks(utterance.pairs):
        lines += [
            _row("REF:", [(GAP * columns if p.ref is None else p.ref, columns) for p, columns in block]),
            _row("HYP:", [(GAP * columns if p.hyp is None else p.hyp, columns) for p, columns in block]),
            _row("    ", [("" if p.op == HIT else p.op, columns) for p, columns in block]),
        ]
    return "\n".join(line for line in lines if line.strip())


def corpus_text(score: Score) -> str:
    wrong = [u for u in score.utterances if u.counts.errors]
    wrong.sort(key=lambda u: (-u.rate, -u.counts.errors, u.id.encode()))
    total = score.total
    head = (
        f"{counted(len(score.utterances), 'text')}, {len(score.utterances) - len(wrong)} without error (not shown). "
        f"S substitution, I insertion, D deletion.\n"
        f"Total: units {total.units}, hits {total.hits}, S {total.substitutions}, I {total.insertions}, "
        f"D {total.deletions}"
    )
    return "\n\n".join([head, *(utterance_text(u) for u in wrong)]) + "\n"
