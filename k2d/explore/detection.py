"""Does a distance find the bad labels? Precision, recall, ROC and AUC where references exist.

In: for each audited chunk whether its label is bad, its scores and its recording. Out: the numbers of the paper's
Table 5 for your own data. A label is bad when its true MER is above a limit (0.4 in the paper); a distance above α says
that it is.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from k2d.score.significance import recording_draws
from k2d.text.markdown import table

DETECTION_ALPHAS = tuple(i / 10 for i in range(1, 10))
RESAMPLES = 1000


@dataclass(frozen=True)
class AuditedChunks:
    """Arrays of shape (chunks,): bad (bool), the name of its recording, and one array of each score."""

    bad: np.ndarray
    recording: np.ndarray
    scores: Mapping[str, np.ndarray]


def auc(bad: np.ndarray, weight: np.ndarray, score: np.ndarray) -> float:
    """Chance that a bad label has the higher score than a good one, ties counting half; NaN without both.

    The area under the ROC curve, weighted.
    """
    return float(aucs(bad, np.asarray(weight, float)[None], score)[0]) if len(score) else float("nan")


def aucs(bad: np.ndarray, weights: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The same for several weightings of the same labels: (draws, labels) to (draws,)."""
    order = np.argsort(score, kind="stable")
    steps = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))  # where a new value begins
    weights, bad = weights[:, order], bad[order]
    positive, negative = (np.add.reduceat(weights * side, steps, axis=1) for side in (bad, ~bad))
    below = np.cumsum(negative, axis=1) - negative
    ordered, pairs = (positive * (below + negative / 2)).sum(1), positive.sum(1) * negative.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(pairs > 0, ordered / pairs, np.nan)


def roc(bad: np.ndarray, weight: np.ndarray, score: np.ndarray) -> list[tuple[float, float]]:
    """(share of good labels dropped, share of bad labels dropped) from the strictest to the mildest α."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    positive = np.cumsum((weight * bad)[order])[ends] / max((weight * bad).sum(), 1e-12)
    negative = np.cumsum((weight * ~bad)[order])[ends] / max((weight * ~bad).sum(), 1e-12)
    return [(0.0, 0.0), *zip(negative.round(4).tolist(), positive.round(4).tolist(), strict=True)]


def precision_recall(
    bad: np.ndarray, weight: np.ndarray, score: np.ndarray, alpha: float
) -> tuple[float, float]:
    """(precision, recall) of "distance above α" for bad labels; NaN where there is nothing to divide by."""
    dropped = score > alpha
    found = (weight * (bad & dropped)).sum()
    said, there = (weight * dropped).sum(), (weight * bad).sum()
    return (float(found / said) if said else float("nan"), float(found / there) if there else float("nan"))


def analyse(audit: AuditedChunks, seed: int = 0, resamples: int = RESAMPLES) -> dict:
    """All of it, each number as [value, low, high]: 95 % intervals by resampling the recordings, whose chunks fail
    alike; none of one recording alone.

    Means are over DETECTION_ALPHAS: of recall over all, of precision over those at which a chunk is dropped. A number
    that cannot be had, such as the recall where no label is bad, is None.
    """
    count = len(audit.bad)
    names, place = np.unique(audit.recording, return_inverse=True)
    blocks = recording_draws(len(names), resamples, np.random.default_rng(seed)) if len(names) > 1 else ()
    drawn = [times for block in blocks for times in block]
    out = {
        "chunks": count,
        "bad": int(audit.bad.sum()),
        "bad_share": _number(audit.bad.sum() / max(count, 1)),
        "alphas": list(DETECTION_ALPHAS),
        "metrics": {},
    }
    for name, score in audit.scores.items():

        def curve(weight: np.ndarray, score=score) -> np.ndarray:
            """precision at each α, recall at each α, their means, AUC."""
            pairs = [precision_recall(audit.bad, weight, score, alpha) for alpha in DETECTION_ALPHAS]
            precisions, recalls = ([pair[i] for pair in pairs] for i in (0, 1))
            known = [p for p in precisions if p == p]
            means = [float(np.mean(known)) if known else float("nan"), float(np.mean(recalls))]
            return np.array(precisions + recalls + means + [auc(audit.bad, weight, score)])

        value = curve(np.ones(count)) if count else np.full(2 * len(DETECTION_ALPHAS) + 3, np.nan)
        spread = np.array([curve(times[place]) for times in drawn] or [np.full(len(value), np.nan)])
        with warnings.catch_warnings(action="ignore"):  # of what no draw can tell
            low, high = np.nanquantile(spread, (0.025, 0.975), axis=0)
        triples = [[_number(x) for x in triple] for triple in zip(value, low, high, strict=True)]
        n = len(DETECTION_ALPHAS)
        out["metrics"][name] = {
            "precision": triples[:n],
            "recall": triples[n : 2 * n],
            "mean_precision": triples[2 * n],
            "mean_recall": triples[2 * n + 1],
            "auc": triples[2 * n + 2],
            "roc": roc(audit.bad, np.ones(count), score) if count else [],
        }
    return out


def _number(value) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def markdown(result: dict) -> str:
    """The analysis as tables: recall of bad labels by α (the paper's Table 5), precision, AUC."""
    alphas, metrics = result["alphas"], result["metrics"]
    lines = [
        f"{result['chunks']} audited chunks, {result['bad']} with a bad label ({result['bad_share']:.1%}).",
        "",
    ]
    for kind in ("recall", "precision"):
        rows = [[name, *map(_cell, row[kind]), _cell(row[f"mean_{kind}"], True)] for name, row in metrics.items()]
        lines += [*table([kind, *(f"α {a:g}" for a in alphas), "mean"], rows), ""]
    lines += table(["", "AUC (95 %)"], [[name, _cell(row["auc"], True)] for name, row in metrics.items()])
    return "\n".join(lines) + "\n"


def _cell(triple: Sequence[float | None], interval: bool = False) -> str:
    value, low, high = triple
    if value is None:
        return "–"
    return f"{value:.2f} ({low:.2f}–{high:.2f})" if interval and low is not None else f"{value:.2f}"
