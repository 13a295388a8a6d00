"""Quantiles and intervals. The replicate is the trial (or the seed), never the sample inside one: see docs/method.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

# of the pairs, at either end: as Wilcox (2012) advises where spreads are unknown
TRIMMED = 0.2


class IntervalKind(StrEnum):
    """What an interval was computed over, 95 % each."""

    T95_TRIALS = "t95_trials"
    T95_SEEDS = "t95_seeds"
    WILSON95 = "wilson95"
    MOVER95 = "mover95"  # of two estimates put together: a ratio or a difference, never a stored metric
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point value with its interval; `low` and `high` are None where fewer than two replicates exist."""

    value: float | None
    low: float | None = None
    high: float | None = None
    interval: IntervalKind = IntervalKind.NONE
    reason: str = ""

    def inverted(self, numerator: float) -> Estimate:
        """`numerator / value`, with the ends of the interval exchanged: a throughput from a latency."""
        if not self.value:
            return Estimate(value=None, reason=self.reason or "no latency")
        return Estimate(
            value=numerator / self.value,
            low=numerator / self.high if self.high else None,
            high=numerator / self.low if self.low else None,
            interval=self.interval,
            reason=self.reason,
        )


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile by linear interpolation between order statistics (numpy's default, Hyndman & Fan type 7)."""
    return _between(sorted(values), share)


def quantiles(values: Sequence[float], *shares: float) -> list[float]:
    """Several quantiles of the same values."""
    ordered = sorted(values)
    return [_between(ordered, share) for share in shares]


def _between(ordered: Sequence[float], share: float) -> float:
    # not np.quantile, which takes ten times as long for the few values of a trial: the live view asks hundreds of times
    place = share * (len(ordered) - 1)
    below = int(place)
    rest = place - below
    low, high = ordered[below], ordered[below + (rest > 0)]
    return high - (high - low) * (1 - rest) if rest >= 0.5 else low + (high - low) * rest


def t_half_width(values: Sequence[float], confidence: float = 0.95) -> float | None:
    """Half-width of the t interval of the mean of independent values; None for fewer than two."""
    count = len(values)
    if count < 2:
        return None
    return float(stdtrit(count - 1, 0.5 + confidence / 2)) * spread(values) / math.sqrt(count)


def spread(values: Sequence[float]) -> float:
    """The standard deviation of what at least two values were drawn from."""
    return math.sqrt(_moments(values)[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far apart two arms are: a mean with its standard error and degrees of freedom, in the unit of the values (logs)."""

    mean: float
    error: float
    freedom: float
    count: int

    def half_width(self, confidence: float = 0.95) -> float:
        """Half-width of the t interval of the mean."""
        return float(stdtrit(self.freedom, 0.5 + confidence / 2)) * self.error

    def p_above(self, margin: float) -> float:
        """The p of a one-sided t test: that the true difference lies above a margin."""
        distance = self.mean - margin
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.freedom, -distance / self.error))

    def mirrored(self) -> Difference:
        """The same seen from the other arm."""
        return Difference(mean=-self.mean, error=self.error, freedom=self.freedom, count=self.count)


def paired(values: Sequence[float]) -> Difference | None:
    """The mean of differences that were taken in pairs, without the lowest and the highest fifth; None for fewer than two.

    Its error is that of the trimmed mean (Tukey & McLaughlin 1963): a few pairs that met a noisy neighbour neither move it nor
    widen it. With fewer than five pairs nothing is left out, and it is the usual t test's.
    """
    count = len(values)
    if count < 2:
        return None
    cut, ordered = _cut(count), sorted(values)
    kept = ordered[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    return Difference(
        mean=math.fsum(kept) / len(kept),
        error=spread(winsorized) * math.sqrt(count) / len(kept),
        freedom=len(kept) - 1,
        count=count,
    )


def _cut(count: int) -> int:
    """How many of the lowest, and of the highest, a trimmed mean leaves out."""
    return int(TRIMMED * count)


def welch(base: Sequence[float], head: Sequence[float]) -> Difference | None:
    """The mean of `head` less that of `base`, of unlike spread (Welch 1947); None where a side has fewer than two values."""
    if len(base) < 2 or len(head) < 2:
        return None
    (low, first), (high, second) = _moments(base), _moments(head)
    parts = first / len(base), second / len(head)
    together = sum(parts)
    # shares and not squares of variances, which may be too small for a float
    share = parts[0] / together if together > 0 else 0.5
    freedom = 1 / (share**2 / (len(base) - 1) + (1 - share) ** 2 / (len(head) - 1))
    count = min(len(base), len(head))
    return Difference(mean=high - low, error=math.sqrt(together), freedom=freedom, count=count)


def pooled(base: Sequence[float], head: Sequence[float]) -> Difference:
    """The mean of `head` less that of `base`, of equal spread (Student 1908); each side has two values or more."""
    (low, first), (high, second) = _moments(base), _moments(head)
    freedom = len(base) + len(head) - 2
    variance = ((len(base) - 1) * first + (len(head) - 1) * second) / freedom
    error = math.sqrt(variance * (1 / len(base) + 1 / len(head)))
    return Difference(mean=high - low, error=error, freedom=freedom, count=min(len(base), len(head)))


def _moments(values: Sequence[float]) -> tuple[float, float]:
    # not numpy, whose calls cost more than the sums over the few values of a case
    mean = math.fsum(values) / len(values)
    return mean, math.fsum([(value - mean) ** 2 for value in values]) / (len(values) - 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: below a level, a test holds at that level among all of them (Holm 1979)."""
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def smallest_seen(difference: Difference, *, margin: float, threshold: float, level: float, power: float) -> float:
    """The smallest true difference that would have been called one, with a probability of `power`.

    To be called one, a difference must be above `margin` by a one-sided t test at `level`, and above `threshold` as seen.
    The power of the test is that of a noncentral t distribution (Abramowitz & Stegun 26.7.10).
    """
    freedom, chance = difference.freedom, float(ndtri(power))
    needed = float(stdtrit(freedom, 1 - level))
    tested = needed * (1 - 1 / (4 * freedom)) + chance * math.sqrt(1 + needed**2 / (2 * freedom))
    return max(margin + tested * difference.error, threshold + chance * difference.error)


def pairs_needed(
    spread: float, effect: float, *, margin: float, threshold: float, level: float, power: float, least: int, most: int
) -> int | None:
    """The fewest pairs with which a true difference of `effect` is called one; None where `most` are not enough.

    Args:
        spread: the error of the mean of the differences, times the root of their count.
        effect: the true difference that is to be found.
        margin: what it must be above, by a one-sided t test.
        threshold: what it must be above as seen.
        level: of the test.
        power: how likely it is to be found.
        least: the fewest pairs that are taken at all.
        most: the most.
    """
    for count in range(least, most + 1):
        freedom = count - 2 * _cut(count) - 1
        expected = Difference(mean=effect, error=spread / math.sqrt(count), freedom=freedom, count=count)
        if smallest_seen(expected, margin=margin, threshold=threshold, level=level, power=power) <= effect:
            return count
    return None


def ratio(one: Estimate, other: Estimate) -> Estimate:
    """How many times `other` a positive estimate is: the interval from the two intervals, by logs (Zou & Donner 2008).

    For two that vary independently; where both vary together, as in rounds of one run, it is too wide rather than too narrow.
    Where the two intervals lie apart, it does not hold 1.

    Raises:
        ValueError: an end of an interval is not positive.
    """
    return _together(one, other, math.log, math.exp)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """How far above `other` an estimate is, in its unit; as `ratio`, without logs."""
    return _together(one, other, float, float)


def _together(
    one: Estimate, other: Estimate, scaled: Callable[[float], float], back: Callable[[float], float]
) -> Estimate:
    """MOVER: the distance, less and plus the root of the squares of the gaps between figures and ends that face each other."""
    if one.value is None or other.value is None:
        return Estimate(value=None, reason=(one if one.value is None else other).reason or "a figure is not known")
    first, second = scaled(one.value), scaled(other.value)
    if one.low is None or one.high is None or other.low is None or other.high is None:
        known = one if one.low is None else other
        return Estimate(value=back(first - second), reason=known.reason or "a figure has no interval")
    below = math.hypot(first - scaled(one.low), scaled(other.high) - second)
    above = math.hypot(scaled(one.high) - first, second - scaled(other.low))
    return Estimate(
        value=back(first - second),
        low=back(first - second - below),
        high=back(first - second + above),
        interval=IntervalKind.MOVER95,
    )


def log_t_estimate(values: Sequence[float], kind: IntervalKind = IntervalKind.T95_TRIALS) -> Estimate:
    """Median of positive replicates, with the t interval of their logs widened, if need be, to hold the median."""
    middle = quantile(values, 0.5)
    logs = [math.log(value) for value in values]
    half = t_half_width(logs)
    if half is None:
        return Estimate(value=middle, reason="a single trial has no interval")
    centre = sum(logs) / len(logs)
    return Estimate(
        value=middle,
        low=min(middle, math.exp(centre - half)),
        high=max(middle, math.exp(centre + half)),
        interval=kind,
    )


def relative_half_width(values: Sequence[float]) -> float | None:
    """Half-width of the t interval of the logs: 0.02 reads as two per cent either way; None for fewer than two."""
    return t_half_width([math.log(value) for value in values])


def mean_t_estimate(values: Sequence[float], kind: IntervalKind = IntervalKind.T95_SEEDS) -> Estimate:
    """Mean of replicates with its t interval."""
    mean = float(np.mean(np.asarray(values, dtype=np.float64)))
    half = t_half_width(values)
    if half is None:
        return Estimate(value=mean, reason="a single seed has no seed interval")
    return Estimate(value=mean, low=mean - half, high=mean + half, interval=kind)


def wilson(successes: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927): what drawing other test items would have given.

    Raises:
        ValueError: nothing was counted.
    """
    if total <= 0:
        raise ValueError(f"an interval of a proportion needs at least one item, found {total}")
    z = float(ndtri(0.5 + confidence / 2))
    share = successes / total
    denominator = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)
