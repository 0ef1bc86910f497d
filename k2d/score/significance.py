"""Error and unit counts of texts in, confidence intervals and p-values out: over recordings and seeds together.

What could have come out otherwise are the recordings of a test set and the chance of training, so both are drawn.
Texts of one recording share its voice, room and noise, and are drawn together. With e_sj and u_j the errors of seed s
and the reference units of recording j, R recordings and S seeds:

    r_s(w) = Σ_j w_j e_sj / Σ_j w_j u_j       rate of seed s where recording j was drawn w_j times, Σ w_j = R
    m(w)   = mean of r_s(w) over seeds,  v(w) = their variance (divided by S − 1)
    θ      = m(w) + T sqrt(v(w) / S)          T from Student's t with S − 1 degrees of freedom

θ is one draw of the rate that this way of training has on recordings like these. Seeds enter by Student's law, since
drawing three of three with replacement knows ten means and an interval of them holds the truth three times in four
(tests/score/test_significance.py measures both). A model without a seed, a teacher, has no such term.

Two systems are compared on the same draws of recordings, so that what is hard for both cancels out, and their seeds are
independent, with one variance v, pooled, since they are trained alike:

    δ = m_A(w) − m_B(w) + T sqrt(v(w) · (1/S_A + 1/S_B))      S_A + S_B − 2 degrees of freedom

Where every student has one seed nothing is known of the chance of training: the interval is over recordings alone, and
speaks of these models only.

Draws over R recordings are a little too narrow, with few of them much too. So their distance from what was observed is
widened by sqrt(R / (R − 1)) · t_{R−1} / z, quantiles at 97.5 %: 1.44 for six recordings, 1.03 for sixty (Hesterberg,
"What teachers should know about the bootstrap", The American Statistician 69, 2015); but never past 100 % where no draw
is, which two or three recordings would else reach. Where nothing differs between recordings, since no error was made,
draws know nothing: `none_seen` then says how many there may be. The bootstrap of error rates is that of Bisani and Ney,
"Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 2000
# Draws are made in blocks of about this many numbers: 17,000 utterances x 2,000 samples
# at once would take 270 MB.
BLOCK = 2_000_000


@dataclass(frozen=True)
class Comparison:
    """Rates of two systems on the same texts, means over their seeds. `difference` is first - second (negative: the
    first makes fewer errors), `low` and `high` its interval, `p_value` two-sided. seeds: of each, 0 for a system
    that has none."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    utterances: int
    samples: int
    recordings: int
    seeds: tuple[int, int] = (0, 0)

    @property
    def counts_training(self) -> bool:
        """Whether the chance of training is in the interval, where there is any."""
        return not any(self.seeds) or max(self.seeds) > 1

    @property
    def in_points(self) -> str:
        """ "difference -2.52 points [-3.10, -1.94], paired bootstrap p = 0.0010" """
        return f"difference {self.figures(' points')}, paired bootstrap p = {self.p_value:.4f}"

    def figures(self, unit: str = "") -> str:
        """ "-2.52 [-3.10, -1.94]", in points."""
        points, low, high = (100 * each for each in (self.difference, self.low, self.high))
        return f"{points:+.2f}{unit} [{low:+.2f}, {high:+.2f}]"


class _System:
    """Errors by seed and recording, (seeds, recordings); `random`: whether it was trained from a seed."""

    def __init__(self, errors, places: np.ndarray, recordings: int):
        rows = np.asarray(errors, dtype=np.float64)
        self.random = rows.ndim == 2
        rows = np.atleast_2d(rows)
        self.errors = np.stack([np.bincount(places, row, recordings) for row in rows])
        self.seeds = len(rows)

    def rates(self, weights: np.ndarray, units: np.ndarray) -> np.ndarray:
        """(draws, seeds); NaN for a draw without any reference unit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(units[:, None] > 0, weights @ self.errors.T / units[:, None], np.nan)


def recording_draws(
    recordings: int, samples: int, generator: np.random.Generator, width: int | None = None
) -> Iterator[np.ndarray]:
    """Blocks of (samples in block, recordings): how often each recording was drawn. width: numbers that the caller
    makes of a sample, if they are not one a recording.
    """
    probabilities = np.full(recordings, 1.0 / recordings)
    block = max(1, BLOCK // (width or recordings))
    for start in range(0, samples, block):
        yield generator.multinomial(recordings, probabilities, size=min(block, samples - start))


def widening(recordings: int) -> float:
    """By how much a bootstrap of so few recordings is too narrow."""
    from scipy.special import ndtri, stdtrit  # quantiles; scipy.stats has them too, and takes a second to import

    return float(np.sqrt(recordings / (recordings - 1)) * stdtrit(recordings - 1, 0.975) / ndtri(0.975))


def none_seen(units: float) -> float:
    """Upper end, as a share, of the 95 % interval of something that none of so many units has: the exact one of Clopper
    and Pearson, about 3.7 / units (the rule of three, but for both sides)."""
    return 1.0 - 0.025 ** (1.0 / units)


def _ends(draws: np.ndarray, everything: float, recordings: int) -> tuple[float, float]:
    """The 95 % interval of draws; where all are 0, what may have gone unseen in `everything`, the reference units."""
    low, high = (float(x) for x in np.quantile(draws, [0.025, 0.975]))
    if low == high == 0:
        high = min(1.0, widening(recordings) * none_seen(everything))
        low = -high
    return low, high


def share_difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """95 % interval of the difference of two shares, (how many, of how many) each: Newcombe's, "Interval estimation for
    the difference between independent proportions", Statistics in Medicine 17, 1998, method 10. That the two are of
    the same windows is not used, which makes it rather too wide."""
    from scipy.special import ndtri

    z = float(ndtri(0.975))
    shares, ends = [], []
    for some, n in (first, second):
        share = some / n
        middle, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        shares.append(share)
        ends.append(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))
    (low, high), (other_low, other_high) = ends
    difference = shares[0] - shares[1]
    return (
        float(difference - np.hypot(shares[0] - low, other_high - shares[1])),
        float(difference + np.hypot(high - shares[0], shares[1] - other_low)),
    )


def ratio_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the ratio of two positive quantities, (measurements,) each and measured in pairs: Student's, of
    the logarithms; None of fewer than two pairs."""
    from scipy.special import stdtrit

    logs = np.log(first) - np.log(second)
    if len(logs) < 2:
        return None
    half = stdtrit(len(logs) - 1, 0.975) * logs.std(ddof=1) / np.sqrt(len(logs))
    return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


def _distribution(
    systems: Sequence[_System], units: np.ndarray, samples: int, seed: int
) -> tuple[float, np.ndarray]:
    """The observed rate of the first system, less that of the second where there is one, and its draws."""
    generator = np.random.default_rng(seed)
    degrees = sum(s.seeds - 1 for s in systems if s.random)
    spread = sum(1 / s.seeds for s in systems if s.random)
    signs = (1.0, -1.0)

    def mean(rates: Sequence[np.ndarray]) -> np.ndarray:
        return sum(sign * each.mean(1) for sign, each in zip(signs, rates, strict=False))

    everything = np.ones((1, len(units)))
    observed = float(mean([s.rates(everything, everything @ units) for s in systems])[0])
    found = []
    for weights in recording_draws(len(units), samples, generator):
        rates = [s.rates(weights, weights @ units) for s in systems]
        drawn = observed + widening(len(units)) * (mean(rates) - observed)
        if degrees:
            squares = sum(((r - r.mean(1, keepdims=True)) ** 2).sum(1) for r in rates)
            drawn = drawn + generator.standard_t(degrees, len(weights)) * np.sqrt(squares / degrees * spread)
        found.append(drawn)
    draws = np.concatenate(found)
    return observed, draws[~np.isnan(draws)]


def _places(texts: int, recordings: Sequence[Hashable] | None) -> tuple[np.ndarray, int]:
    """(texts,) number of each text's recording, and how many there are."""
    if recordings is None:
        return np.arange(texts), texts
    if len(recordings) != texts:
        raise ValueError(f"recordings: {len(recordings)}, texts: {texts}; expected a recording for each text")
    numbers: dict[Hashable, int] = {}
    places = np.array([numbers.setdefault(r, len(numbers)) for r in recordings], dtype=np.int64)
    return places, len(numbers)


def confidence_interval(
    errors: Sequence[int] | Sequence[Sequence[int]],
    units: Sequence[int],
    recordings: Sequence[Hashable] | None = None,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % interval of the corpus rate; None with fewer than two recordings or no unit.

    errors : (texts,) counts, or (seeds, texts) of a model trained from several seeds
    units : (texts,) reference units
    recordings : (texts,) which recording a text is of; None: every text is one of its own
    """
    u = np.asarray(units, dtype=np.float64)
    places, count = _places(len(u), recordings)
    if count < 2 or not u.sum():
        return None
    system = _System(errors, places, count)
    observed, draws = _distribution([system], np.bincount(places, u, count), samples, seed)
    low, high = _ends(draws, u.sum(), count)
    highest = observed + (float(draws.max()) - observed) / widening(count)  # as drawn, before it was widened
    return max(0.0, low), min(high, max(1.0, highest))


def compare(
    first: Sequence[int] | Sequence[Sequence[int]],
    second: Sequence[int] | Sequence[Sequence[int]],
    units: Sequence[int],
    recordings: Sequence[Hashable] | None = None,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Comparison | None:
    """Paired bootstrap of the difference of two corpus rates; None where it cannot be made.

    first, second : errors of the two systems on the same texts, (texts,), or (seeds, texts) of one trained from seeds
    units : (texts,) reference units
    recordings : (texts,) which recording a text is of; None: every text is one of its own

    The p-value is twice the smaller share of draws in which the difference is not on one side
    of zero, counting the observed corpus as one more draw, so that it is never zero.
    """
    u = np.asarray(units, dtype=np.float64)
    texts = [np.asarray(x).shape[-1] if np.size(x) else 0 for x in (first, second)]
    if not texts[0] == texts[1] == len(u):
        raise ValueError(f"compare: {texts[0]}, {texts[1]} error counts and {len(u)} unit counts; expected one each")
    places, count = _places(len(u), recordings)
    if count < 2 or not u.sum():
        return None
    a, b = (_System(x, places, count) for x in (first, second))
    delta, draws = _distribution([a, b], np.bincount(places, u, count), samples, seed)
    low, high = _ends(draws, u.sum(), count)
    beyond = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    p_value = min(1.0, 2.0 * (beyond + 1) / (len(draws) + 1))
    rates = [s.errors.sum() / s.seeds / u.sum() for s in (a, b)]
    return Comparison(
        first=float(rates[0]),
        second=float(rates[1]),
        difference=float(delta),
        low=float(low),
        high=float(high),
        p_value=float(p_value),
        utterances=len(u),
        samples=samples,
        recordings=count,
        seeds=tuple(s.seeds if s.random else 0 for s in (a, b)),
    )
