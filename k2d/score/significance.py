"""Per-utterance error and unit counts in, confidence intervals and p-values out.

Bootstrap over utterances (Bisani and Ney, "Bootstrap estimates for confidence intervals
in ASR performance evaluation", ICASSP 2004): draw as many utterances as there are, with
replacement, and compute the corpus rate of the draw. Comparing two systems, both are
scored on the *same* draws, so that utterances hard for both cancel out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 2000
# Draws are made in blocks of about this many numbers: 17,000 utterances x 2,000 samples
# at once would take 270 MB.
BLOCK = 2_000_000


@dataclass(frozen=True)
class Comparison:
    """Rates of two systems on the same utterances. `difference` is first - second (negative: the
    first makes fewer errors), `low` and `high` its interval, `p_value` two-sided."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    utterances: int
    samples: int


def _draws(utterances: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of (samples in block, utterances): how often each utterance was drawn."""
    generator = np.random.default_rng(seed)
    probabilities = np.full(utterances, 1.0 / utterances)
    block = max(1, BLOCK // utterances)
    for start in range(0, samples, block):
        yield generator.multinomial(utterances, probabilities, size=min(block, samples - start))


def _rates(errors: np.ndarray, units: np.ndarray) -> np.ndarray:
    # A draw in which no utterance has a reference unit has no rate.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(units > 0, errors / units, np.nan)


def confidence_interval(
    errors: Sequence[int], units: Sequence[int], *, level: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval of the corpus rate; None with fewer than two utterances or no unit.

    errors, units : (utterances,) counts of each utterance
    """
    e, u = np.asarray(errors, dtype=np.float64), np.asarray(units, dtype=np.float64)
    if len(e) < 2 or not u.sum():
        return None
    rates = np.concatenate([_rates(w @ e, w @ u) for w in _draws(len(e), samples, seed)])
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(rates, [tail, 1.0 - tail])
    return float(low), float(high)


def compare(
    first: Sequence[int],
    second: Sequence[int],
    units: Sequence[int],
    *,
    level: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Comparison | None:
    """Paired bootstrap of the difference of two corpus rates; None where it cannot be made.

    first, second : (utterances,) errors of the two systems on the same utterances
    units : (utterances,) reference units

    The p-value is twice the smaller share of draws in which the difference is not on one side
    of zero, counting the observed corpus as one more draw, so that it is never zero.
    """
    a, b, u = (np.asarray(x, dtype=np.float64) for x in (first, second, units))
    if not len(a) == len(b) == len(u):
        raise ValueError(f"compare: {len(a)}, {len(b)} error counts and {len(u)} unit counts; expected one each")
    if len(a) < 2 or not u.sum():
        return None
    delta = np.concatenate([_rates(w @ (a - b), w @ u) for w in _draws(len(a), samples, seed)])
    delta = delta[~np.isnan(delta)]
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(delta, [tail, 1.0 - tail])
    beyond = min(np.count_nonzero(delta <= 0), np.count_nonzero(delta >= 0))
    p_value = min(1.0, 2.0 * (beyond + 1) / (len(delta) + 1))
    rate_a, rate_b = a.sum() / u.sum(), b.sum() / u.sum()
    return Comparison(
        first=float(rate_a),
        second=float(rate_b),
        difference=float(rate_a - rate_b),
        low=float(low),
        high=float(high),
        p_value=float(p_value),
        utterances=len(a),
        samples=samples,
    )
