"""How a quantity grows with length, and what still fits. Pure: numbers in, answers or reasons out.

Everything is in logs, where a power law y = c L^k is a straight line. What is known of one length is the mean of the logs of
independent replicates, whose spread may differ from length to length; so every answer adds variances and takes its degrees of
freedom from Welch (1947) and Satterthwaite (1946).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy.special import fdtrc, ndtri, stdtrit

from bench.stats import spread

LEVEL = 0.05
# fewer points cannot show whether they lie on a line
LEAST_POINTS = 3
# beyond this, degrees of freedom no longer matter; F at infinity is not a number
_MANY = 1e9

Parts = Sequence[tuple[float, float]]
"""Independent variances that add up, each with its degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The log of a quantity at one length: its mean, the variance of that mean, and on how many degrees of freedom.

    `freedom` is 0 where a single replicate says nothing of the spread.
    """

    length: int
    mean: float
    variance: float
    freedom: float


def level(length: int, logs: Sequence[float]) -> Level:
    """What replicates say of one length; `logs` are theirs, one or more."""
    count = len(logs)
    variance = spread(logs) ** 2 / count if count > 1 else 0.0
    return Level(length=length, mean=fmean(logs), variance=variance, freedom=count - 1)


def level_within(length: int, value: float, tolerance: float) -> Level:
    """A positive value whose repeats fall within a share of it (a 95 % half-width)."""
    error = math.log1p(tolerance) / float(ndtri(0.975))
    return Level(length=length, mean=math.log(value), variance=error**2, freedom=math.inf)


def freedom_of(parts: Parts) -> float:
    """Degrees of freedom of a sum of variances: (sum v)^2 / sum(v^2 / f) (Satterthwaite 1946) less one, at least the least f.

    Less one, because variances that are themselves known from few replicates make them look too many: between two lengths
    of two curves, with 3 replicates each and spreads of 1 to 10, intervals would cover 93.8 % (`tests/test_scaling.py`).
    """
    together = math.fsum(variance for variance, _ in parts)
    least = min(freedom for _, freedom in parts)
    if together == 0:
        return min(least, _MANY)
    # shares and not squares of variances, which may be too small for a float
    shares = math.fsum((variance / together) ** 2 / freedom for variance, freedom in parts)
    return min(max(1 / max(shares, 1 / _MANY) - 1, least), _MANY)


def _half_width(parts: Parts) -> float:
    """Half of the 95 % t interval of a sum of independent means."""
    error = math.sqrt(math.fsum(variance for variance, _ in parts))
    return float(stdtrit(freedom_of(parts), 1 - LEVEL / 2)) * error


# ── growth ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponent:
    """The k of y = c L^k with its 95 % interval; None with a reason where it is unknown.

    Attributes:
        first, last, points: the range of lengths that it was fitted on, and how many these were.
        bent: these do not lie on a line either: k changes over the range, and this is its average.
        early, late: of what is bent, the k between the first two of its lengths, and between the last two.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    first: int | None = None
    last: int | None = None
    points: int = 0
    bent: bool = False
    early: float | None = None
    late: float | None = None
    reason: str = ""


def exponent(levels: Iterable[Level]) -> Exponent:
    """The slope of the logs over log length, by least squares.

    The slope is sum(c y) with c = (x - mean x) / sum (x - mean x)^2; its variance sum(c^2 s^2/n) takes the spread of every
    length as it is. Short lengths are often ruled by a constant cost of each call: while the points lie off the line by more
    than their noise explains, the shortest is dropped, down to three. If those are bent still, the interval is the wider of
    that and of the one from the residuals (t with n - 2 degrees of freedom).

    Plain and not weighted by precision: of points on a curve it then is the slope of the straight line nearest to the curve,
    whatever the noise; weights would let the quietest lengths decide.
    """
    given = sorted(levels, key=lambda one: one.length)
    known = [one for one in given if one.freedom > 0]
    if len(known) < 2:
        few = "one length" if len(given) < 2 else "a single trial a length has no interval"
        return Exponent(value=None, reason=few)
    bent = _is_bent(known)
    while bent and len(known) > LEAST_POINTS:
        known = known[1:]
        bent = _is_bent(known)
    weights = _weights(known)
    value = math.fsum(weight * one.mean for weight, one in zip(weights, known, strict=True))
    half = _half_width([(weight**2 * one.variance, one.freedom) for weight, one in zip(weights, known, strict=True)])
    if bent:
        half = max(half, _residual_half_width(known))
    return Exponent(
        value=value,
        low=value - half,
        high=value + half,
        first=known[0].length,
        last=known[-1].length,
        points=len(known),
        bent=bent,
        early=_steepness(*known[:2]) if bent else None,
        late=_steepness(*known[-2:]) if bent else None,
        reason="two lengths" if len(known) == 2 else "",
    )


def _steepness(before: Level, after: Level) -> float:
    return (after.mean - before.mean) / math.log(after.length / before.length)


def _weights(levels: Sequence[Level]) -> list[float]:
    places = [math.log(one.length) for one in levels]
    middle = fmean(places)
    total = math.fsum((place - middle) ** 2 for place in places)
    return [(place - middle) / total for place in places]


def _residual_maker(levels: Sequence[Level]) -> np.ndarray:
    """M = I - X (X'X)^-1 X', which takes values to their distances from the line of least squares."""
    design = np.column_stack([np.ones(len(levels)), np.log([one.length for one in levels])])
    made: np.ndarray = np.eye(len(levels)) - design @ np.linalg.pinv(design)
    return made


def _is_bent(levels: Sequence[Level]) -> bool:
    """Whether points lie off their line by more than their noise explains, at 5 %.

    The residual sum of squares over what noise alone lets expect, sum(m_ii v_i), is held against F: the test of Brown &
    Forsythe (1974), which lets spreads differ, with the degrees of freedom of Box (1954) for a quadratic form.
    """
    if len(levels) < LEAST_POINTS:
        return False
    maker = _residual_maker(levels)
    means, variances = np.array([one.mean for one in levels]), np.array([one.variance for one in levels])
    squares = float(np.square(maker @ means).sum())
    diagonal = np.diag(maker)
    expected = float(diagonal @ variances)
    # without noise, off by more than rounding is bent
    if expected <= 1e-24:
        return squares > 1e-20
    upper = expected**2 / float(variances @ np.square(maker) @ variances)
    lower = freedom_of([(float(share), one.freedom) for share, one in zip(diagonal * variances, levels, strict=True)])
    return float(fdtrc(upper, lower, squares / expected)) < LEVEL


def _residual_half_width(levels: Sequence[Level]) -> float:
    """Half of the textbook's interval of a slope, which takes every distance from the line for noise."""
    freedom = len(levels) - 2
    squares = float(np.square(_residual_maker(levels) @ [one.mean for one in levels]).sum())
    weights = _weights(levels)
    return float(stdtrit(freedom, 1 - LEVEL / 2)) * math.sqrt(squares / freedom * math.fsum(w**2 for w in weights))


# ── what fits ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The largest size that fitted, and the smallest above it that did not; None where there is none."""

    fits: int | None
    fails: int | None


def reach(tried: Iterable[tuple[int, bool]]) -> Reach:
    """How far sizes go, from those that were tried: (size, whether it fitted)."""
    known = list(tried)
    fits = max((size for size, fitted in known if fitted), default=None)
    return Reach(
        fits=fits, fails=min((size for size, fitted in known if not fitted and size > (fits or 0)), default=None)
    )


def within(needs: Mapping[int, float], budget_bytes: float) -> int | None:
    """The largest size that needs no more than a budget; None where none does."""
    return max((size for size, need in needs.items() if need <= budget_bytes), default=None)


def budgets(needs: Iterable[float], most: int) -> list[int]:
    """Powers of two, in bytes, from the first that the least of some needs fits into to the first that all fit into.

    At most so many, the largest ones.
    """
    powers = [math.ceil(math.log2(need)) for need in needs if need > 0]
    return [2**power for power in range(min(powers), max(powers) + 1)][-most:] if powers else []
