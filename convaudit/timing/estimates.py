"""A median with the interval that holds it, of samples that drift, come in bursts, and depend on each other.

The interval runs from one order statistic to another, so it assumes no distribution: ``x[k]`` to ``x[n+1-k]``
of n independent samples in order holds the median unless fewer than k of them fall on one side of it, which
has the probability ``2*P(Binomial(n, 1/2) < k)`` (David & Nagaraja, "Order Statistics", 2003, section 7.1).
Hoefler & Belli, "Scientific benchmarking of parallel computing systems" (SC 2015), say why times need that.

Times of runs are not independent: a machine warms up, and another tenant slows down several runs in a row.
Then n samples are worth ``n/tau``, with tau the integrated autocorrelation time of what the interval rests
on, the signs of ``x - median`` (Heidelberger & Lewis, "Quantile estimation in dependent sequences", 1984),
estimated by Geyer's initial positive sequence ("Practical Markov chain Monte Carlo", 1992). Samples that
drift from one end to the other are worth two: their interval is their whole range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist, median

CONFIDENCE = 0.95
FEWEST = 6
"""Samples below which no two of them hold the median with 95 % confidence: ``1 - 2*(1/2)**5`` is 93.75 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A median, and the interval that holds it with 95 % confidence.

    Of fewer than six samples no such interval exists: then it is the samples' range, and not ``sure``.
    """

    value: float
    low: float
    high: float
    count: int  # samples that it rests on

    @property
    def sure(self) -> bool:
        """Whether the interval has its confidence."""
        return self.count >= FEWEST

    @property
    def interval(self) -> tuple[float, float] | None:
        """``(low, high)`` if it has its confidence."""
        return (self.low, self.high) if self.sure else None

    @property
    def spread(self) -> float | None:
        """Half of the interval, or of few samples' range, relative to the median; None of one sample."""
        return (self.high - self.low) / 2 / self.value if self.count > 1 and self.value else None

    def excludes(self, value: float) -> bool:
        """Whether the interval is sure and does not hold ``value``: what a verdict needs."""
        return self.sure and not self.low <= value <= self.high

    def widened(self, factor: float) -> Estimate:
        """The same, if everything may be wrong by a factor as well, in either direction."""
        factor = max(factor, 1 / factor)
        return Estimate(value=self.value, low=self.low / factor, high=self.high * factor, count=self.count)


def median_of(samples: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """The median of samples in the order in which they were taken, with its interval; None of none."""
    if not samples:
        return None
    ordered, count = sorted(samples), len(samples)
    middle = median(ordered)
    rank = _rank(count, dependence(samples, middle), confidence)
    return Estimate(value=middle, low=ordered[rank - 1], high=ordered[count - rank], count=count)


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> Estimate | None:
    """The median of ``above / below`` over rounds, in each of which both were measured in turn.

    What slows down a whole round, or all from some round on, cancels; what hits one of the two makes an
    outlier, which a median ignores. None without samples.

    Raises:
        ValueError: There is not one of each in every round.
    """
    return median_of([a / b for a, b in zip(above, below, strict=True) if b > 0])


def unpaired_ratio(above: Estimate | None, below: Estimate | None) -> Estimate | None:
    """The ratio of medians that were measured apart; its interval is the widest that theirs allow."""
    if above is None or below is None or not below.low > 0:
        return None
    return Estimate(
        value=above.value / below.value,
        low=above.low / below.high,
        high=above.high / below.low,
        count=min(above.count, below.count),
    )


def share_in_runs(part: Sequence[float], runs: Sequence[float]) -> float | None:
    """What part of runs something takes, by the faster half of them; None where a part is missing.

    Shares of all that a run consists of add up to 1, as medians need not: what disturbs a run meets another
    part of it each time, so that the median of each hides it and that of the whole does not.

    Args:
        part: Seconds of the part in each run.
        runs: Seconds of each run.
    """
    if len(part) != len(runs) or not runs:
        return median(part) / median(runs) if part and runs and median(runs) else None
    limit = median(runs)
    kept = [(seconds, run) for seconds, run in zip(part, runs, strict=True) if run <= limit]
    whole = sum(run for _, run in kept)
    return sum(seconds for seconds, _ in kept) / whole if whole else None


def ratio_of_rounds(above: Sequence[float], below: Sequence[float]) -> Estimate | None:
    """``paired_ratio`` where there is one of each in every round, else ``unpaired_ratio``."""
    if len(above) == len(below):
        return paired_ratio(above, below)
    return unpaired_ratio(median_of(above), median_of(below))


def narrow_enough(estimate: Estimate | None, within: float = 0.02, least: int = 12) -> bool:
    """Whether a timer may stop taking samples.

    Args:
        estimate: Of the samples so far.
        within: Half of the interval, relative to the median, that is narrow enough.
        least: Samples without which the interval is not trusted: to stop as soon as it happens to be
            narrow would make it too narrow in the mean.
    """
    spread = estimate.spread if estimate is not None and estimate.count >= least else None
    return spread is not None and spread <= within


def dependence(samples: Sequence[float], middle: float) -> float:
    """How many samples are worth one independent sample, for the median: 1 if they do not depend.

    It is ``1 + 2*sum(autocorrelation)`` of the signs of ``x - middle``, over the lags up to which pairs of
    neighbouring lags have a positive sum; it is not looked for beyond what leaves fewer than six samples.
    """
    count = len(samples)
    signs = [(x > middle) - (x < middle) for x in samples]
    mean = sum(signs) / count
    centred = [sign - mean for sign in signs]
    variance = sum(x * x for x in centred)
    if count < FEWEST or not variance:
        return 1.0

    def correlation(lag: int) -> float:
        return sum(x * y for x, y in zip(centred, centred[lag:], strict=False)) / variance

    total = -1.0
    for lag in range(0, count - 1, 2):
        pair = correlation(lag) + correlation(lag + 1)
        if pair <= 0 or total > count / 2:
            break
        total += 2 * pair
    return max(total, 1.0)


def _rank(count: int, worth: float, confidence: float) -> int:
    """Rank from either end at which the interval begins: 1 is the samples' range."""
    independent = int(count / worth)
    share = _independent_rank(independent, confidence) / (independent + 1)
    return max(int(share * (count + 1)), 1)


def _independent_rank(count: int, confidence: float) -> int:
    """The largest k with ``2*P(Binomial(count, 1/2) < k) <= 1 - confidence``; 0 if there is none."""
    if count > 1000:  # beyond what a float holds of 2**count; the normal approximation is off by less than 1
        return int(count / 2 - NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(count) / 2)
    allowed = (1 - confidence) / 2 * 2.0**count
    rank, outside = 0, 1
    while outside <= allowed:
        rank += 1
        outside += comb(count, rank)
    return rank
