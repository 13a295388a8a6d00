"""Quantiles and intervals. The replicate is the trial (or the seed), never the sample inside one: see docs/method.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit


class IntervalKind(StrEnum):
    """What an interval was computed over, 95 % each."""

    T95_TRIALS = "t95_trials"
    T95_SEEDS = "t95_seeds"
    WILSON95 = "wilson95"
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
    # not np.quantile, which takes ten times as long for the few values of a trial: the live view asks hundreds of times
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    rest = place - below
    low, high = ordered[below], ordered[math.ceil(place)]
    return high - (high - low) * (1 - rest) if rest >= 0.5 else low + (high - low) * rest


def t_half_width(values: Sequence[float], confidence: float = 0.95) -> float | None:
    """Half-width of the t interval of the mean of independent values; None for fewer than two."""
    count = len(values)
    if count < 2:
        return None
    spread = float(np.std(np.asarray(values, dtype=np.float64), ddof=1))
    return float(stdtrit(count - 1, 0.5 + confidence / 2)) * spread / math.sqrt(count)


def t_p_above(values: Sequence[float], margin: float) -> float:
    """The p of a one-sided t test: that the mean of independent values lies above a margin.

    Raises:
        ValueError: fewer than two values.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"a t test needs at least two values, found {count}")
    data = np.asarray(values, dtype=np.float64)
    distance, error = float(data.mean()) - margin, float(np.std(data, ddof=1)) / math.sqrt(count)
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(count - 1, -distance / error))


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
