"""How good the labels are and what finds the bad ones: analyses of a training set's references in, tables out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from k2d.explore.detection import DETECTION_ALPHAS
from k2d.explore.kinds import KINDS
from k2d.explore.label_quality import BAD, LabelQuality
from k2d.explore.references import EDGE
from k2d.explore.spotting import FINDERS, WORSE, Interval, Spotting
from k2d.score import paper
from k2d.score.experiment import Experiment
from k2d.score.rates import Counts
from k2d.score.selections import Selection
from k2d.score.tables import ABSENT, Table, interval, percent

_READS = "This analysis reads references of labelled chunks: the corpus's, or an audit's."


def label_table(selections: Mapping[str, Selection], quality: LabelQuality) -> Table:
    """True error rates of the labels that each selection kept and of those that it dropped."""
    rows = []
    for selection in selections.values():
        kept, dropped = _kept_and_dropped(selection, quality)
        counts, rest = quality.of(kept), quality.of(dropped)
        bad_kept = str(sum(quality.chunks[c].text_rate > BAD for c in kept))
        good_dropped = str(sum(quality.chunks[c].text_rate <= BAD for c in dropped))
        if selection.trusted is not None:
            counts, rest = quality.of_segments(selection.trusted, kept | dropped)
            bad_kept = good_dropped = ABSENT  # these are numbers of chunks
        rows.append(
            [
                selection.name,
                str(len(kept)),
                ABSENT if selection.hours is None else f"{selection.hours:.2f}",
                f"{percent(selection.share, 1)}",
                percent(counts.rate),
                percent(_part(counts.insertions, counts)),
                percent(_part(counts.deletions, counts)),
                percent(rest.rate),
                bad_kept,
                good_dropped,
            ]
        )
    return Table(
        "Label quality",
        "This analysis reads the references of the training set, which no stage of labelling, selection "
        "or training has read. Error rates of the labels in percent; reference words are placed in chunks "
        f"by time, spread evenly over their utterance, with {EDGE:g} s of tolerance at the edges. "
        f"{quality.references.uncovered} of {quality.references.total} reference units lie in no chunk. A bad label "
        f"has a true error rate above {100 * BAD:g} %. Where segments were selected, hours and error rates are "
        "those of segments, aligned within their chunks.",
        ["selection", "chunks", "hours", "data %", "label MER", "insertions", "deletions", "MER of dropped",
         "bad kept", "good dropped"],
        rows,
    )  # fmt: skip


def _kept_and_dropped(selection: Selection, quality: LabelQuality) -> tuple[set[str], set[str]]:
    """Chunks with a reference, of those that a selection chose from."""
    everything = set(quality.chunks)
    kept = everything & set(selection.ids)
    return kept, everything - kept if selection.dropped is None else everything & set(selection.dropped)


def kept_kinds_table(selections: Mapping[str, Selection], quality: LabelQuality) -> Table:
    """What is still wrong with the labels that a selection kept, by kind."""
    rows = []
    for selection in selections.values():
        kept, dropped = _kept_and_dropped(selection, quality)
        there, left = (Counter(quality.kinds[c] for c in ids if c in quality.kinds) for ids in (kept | dropped, kept))
        rows.append([selection.name, *(f"{left[kind]} of {there[kind]}" for kind in KINDS)])
    return Table(
        "Bad labels kept",
        "This analysis reads the references of the training set. Chunks with a true error rate above "
        f"{100 * BAD:g} % that a selection kept, of those there were, by the kind that most of their errors are of. "
        "Where segments were selected, a student learns from the trusted segments of these chunks alone.",
        ["selection", *KINDS],
        rows,
    )


def _part(errors: int, counts: Counts) -> float | None:
    return errors / counts.units if counts.units else None


def _value(interval: Sequence[float | None]) -> str:
    return ABSENT if interval[0] is None else f"{interval[0]:.2f}"


def detection_table(found: Mapping[str, dict], show_paper: bool) -> Table:
    """The paper's Table 5: validator -> what `detection.analyse` found."""
    rows = []
    for validator, analysis in found.items():
        for distance, row in analysis["metrics"].items():
            means = [_value(row[f"mean_{kind}"]) for kind in ("recall", "precision")]
            rows.append([validator, distance, *means, str(analysis["bad"]), str(analysis["chunks"])])
    for validator, recalls in paper.RECALL.items() if show_paper else ():
        for distance, recall in zip(("mer", "per"), recalls, strict=True):
            rows.append([f"{validator} (paper)", distance, f"{recall:.2f}", ABSENT, ABSENT, ABSENT])
    return Table(
        "Spotting bad labels",
        f"{_READS} Labels with a true error rate above "
        f"{100 * BAD:g} % are bad; a chunk is dropped when its distance exceeds α. Recall is the share of "
        "bad labels dropped, precision the share of dropped labels that are bad, both averaged over α = "
        f"{DETECTION_ALPHAS[0]} … {DETECTION_ALPHAS[-1]}.",
        ["validator", "distance", "recall", "precision", "bad", "chunks"],
        rows,
    )


def spotting_table(found: Mapping[str, Sequence[Spotting]]) -> Table:
    """Every signal as a finder of bad labels: validator -> what `spotting.spot` found."""
    rows = []
    for validator, each in _by_validator(found):
        rows.append(
            [
                each.signal,
                validator,
                str(each.labels),
                *(_with_interval(each.auc[above]) for above in (BAD, WORSE)),
                ABSENT if each.limit is None else f"{each.limit:.3g}",
                _with_interval(each.precision),
                _with_interval(each.recall),
            ]
        )
    for signal, published in paper.SPOTTING.items():
        rows.append([f"{signal} (published)", ABSENT, ABSENT, ABSENT, f"{published:.2f}", *[ABSENT] * 3])
    return Table(
        "Signals that spot bad labels",
        f"{_READS} AUC is the chance that a bad label looks worse to "
        f"the signal than a good one, for labels whose true error rate is above {100 * BAD:g} % and above "
        f"{100 * WORSE:g} %; precision and recall are of labels above {100 * BAD:g} %, where the signal is beyond its "
        "limit; that of *fused* keeps three quarters of the labels. In brackets 95 % bootstrap intervals over "
        "recordings. Labels are chunks, for *segment* segments. The published figures are of another corpus and other "
        "models (uDistil-Whisper, 2024).",
        ["signal", "validator", "labels", f"AUC > {100 * BAD:g} %", f"AUC > {100 * WORSE:g} %", "limit", "precision",
         "recall"],
        rows,
    )  # fmt: skip


def kinds_table(found: Mapping[str, Sequence[Spotting]], quality: LabelQuality) -> Table:
    """Which kinds of bad labels each signal finds."""
    there = Counter(quality.kinds.values())
    rows = [
        [each.signal, validator, *(f"{seen / of:.2f}" if of else ABSENT for seen, of in each.kinds.values())]
        for validator, each in _by_validator(found)
        if each.kinds is not None
    ]
    return Table(
        "Kinds of bad labels found",
        f"{_READS} Share of the bad labels of each kind that a signal "
        "is beyond its limit for; in brackets how many there are. A label is of the kind that most of its errors are "
        "of: a loop; text over silence; words of one language where the other was spoken, translated or transliterated "
        "(told apart by their consonants, so roughly); missing words; other words of the same language. For *segment*, "
        "of the bad segments in labels of the kind.",
        ["signal", "validator", *(f"{kind} ({there[kind]})" for kind in KINDS)],
        rows,
    )


def _by_validator(found: Mapping[str, Sequence[Spotting]]) -> Iterator[tuple[str, Spotting]]:
    """Signals that need no validator once, without one."""
    of_label = {signal.name for signal in FINDERS if signal.of_label}
    for number, (validator, signals) in enumerate(found.items()):
        for each in signals:
            if each.signal not in of_label:
                yield validator, each
            elif number == 0:
                yield ABSENT, each


def _with_interval(found: Interval) -> str:
    if found.value is None:
        return ABSENT
    return f"{found.value:.2f}{interval(found.low, found.high, '{:.2f}'.format)}"


def recall_table(found: Mapping[str, dict]) -> Table:
    """Recall at each α, of which the paper's Table 5 is the mean."""
    rows = [
        [validator, distance, *map(_value, row["recall"])]
        for validator, analysis in found.items()
        for distance, row in analysis["metrics"].items()
    ]
    return Table(
        "Bad labels found by α",
        "Recall of the table above at each α.",
        ["validator", "distance", *(f"α {alpha:g}" for alpha in DETECTION_ALPHAS)],
        rows,
    )


def alpha_of(experiment: Experiment, validator: str) -> float:
    """The α that most students' labels were selected at by this validator, or by any; the paper's where none says."""
    records = [group.record for group in experiment.groups if group.record.alpha is not None]
    by_it = [record for record in records if record.validator == validator]
    alphas = Counter(record.alpha for record in by_it or records)
    return alphas.most_common(1)[0][0] if alphas else paper.ALPHA
