"""Where two curves over length cross, and whether that can be said. Pure: numbers in, answers or reasons out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

from scipy.special import stdtr

from bench.scaling import LEVEL, Level, Parts, freedom_of

# halvings of a stretch between two lengths: to a millionth of it
_HALVINGS = 20


class Order(StrEnum):
    """What can be said of two quantities over a range of lengths."""

    CROSSES = "crosses"
    SAME = "same"  # one is below the other at every measured length
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A length at which two curves cross, with the 95 % confidence set around it; `rising` if the first comes to lie above."""

    at: float
    low: float
    high: float
    rising: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Which of two quantities is lower at which lengths.

    Attributes:
        first, last: the lengths between which both are known; None where there are fewer than two.
        crossings: where they cross, if they do.
        short, long: who is lower at the shortest and at the longest: -1 the first of the pair, 1 the second, 0 unknown.
        low, high: of an unknown order, the range in which it is; None where it reaches beyond what was measured.
    """

    order: Order
    first: int | None = None
    last: int | None = None
    crossings: tuple[Crossing, ...] = ()
    short: int = 0
    long: int = 0
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """The difference of two logs at a log length, with the variances that it is made of."""

    place: float
    mean: float
    parts: Parts

    def sign(self, chance: float = LEVEL / 2) -> int:
        """Which way the difference goes, by a one-sided t test at this level; 0 where that is in doubt."""
        error = math.sqrt(math.fsum(variance for variance, _ in self.parts))
        if error == 0:
            return (self.mean > 0) - (self.mean < 0)
        if float(stdtr(freedom_of(self.parts), -abs(self.mean) / error)) > chance:
            return 0
        return 1 if self.mean > 0 else -1

    def towards(self, other: _Gap, share: float) -> _Gap:
        """The difference part of the way to another, in a straight line."""
        rest = 1 - share
        return _Gap(
            place=rest * self.place + share * other.place,
            mean=rest * self.mean + share * other.mean,
            parts=[(rest**2 * variance, freedom) for variance, freedom in self.parts]
            + [(share**2 * variance, freedom) for variance, freedom in other.parts],
        )


def crossover(one: Iterable[Level], other: Iterable[Level]) -> Crossover:
    """Where one curve comes to lie above another, between the lengths at which both are known.

    Between two lengths the difference of the logs is taken to be linear in log length, which is exact for power laws. The
    confidence set holds every length at which a t test cannot tell the difference from 0: |d| <= t se (Fieller 1954), with
    the degrees of freedom of Welch (1947).

    Two curves are said to cross only if one is lower beyond doubt at one measured length and the other at another, each by a
    one-sided test at 5 % over all lengths (Bonferroni): of two that do not cross, one in twenty at most is said to.
    """
    gaps, first, last, reason = _gaps(one, other)
    if len(gaps) < 2:
        return Crossover(order=Order.UNKNOWN, first=first, last=last, reason=reason)
    signs = [gap.sign() for gap in gaps]
    strict = min(LEVEL / 2, LEVEL / len(gaps))
    sure = [place for place, gap in enumerate(gaps) if gap.sign(strict)]
    crossings = tuple(
        _crossing(gaps[before : after + 1], signs[before : after + 1])
        for before, after in pairwise(sure)
        if signs[before] != signs[after]
    )
    same = all(sign == signs[0] != 0 for sign in signs)
    unknown = not same and not crossings
    return Crossover(
        order=Order.SAME if same else Order.UNKNOWN if unknown else Order.CROSSES,
        first=first,
        last=last,
        crossings=crossings,
        short=signs[0],
        long=signs[-1],
        low=_edge(gaps, signs) if unknown and signs[0] else None,
        high=_edge(gaps[::-1], signs[::-1]) if unknown and signs[-1] else None,
    )


def _gaps(one: Iterable[Level], other: Iterable[Level]) -> tuple[list[_Gap], int | None, int | None, str]:
    """The differences at common lengths, the range of these, and why there are too few of them."""
    mine, theirs = ({level.length: level for level in levels} for levels in (one, other))
    common = sorted(mine.keys() & theirs.keys())
    kept = [length for length in common if mine[length].freedom > 0 and theirs[length].freedom > 0]
    reason = "" if len(kept) > 1 else "fewer than two lengths in common" if len(common) < 2 else "single trials"
    gaps = [
        _Gap(
            place=math.log(length),
            mean=mine[length].mean - theirs[length].mean,
            parts=[(level.variance, level.freedom) for level in (mine[length], theirs[length])],
        )
        for length in kept
    ]
    return gaps, (kept[0] if kept else None), (kept[-1] if kept else None), reason


def _crossing(gaps: Sequence[_Gap], signs: Sequence[int]) -> Crossing:
    """The crossing between two lengths at which the signs are sure and differ."""
    zeros = [
        before.towards(after, before.mean / (before.mean - after.mean)).place
        for before, after in pairwise(gaps)
        if (before.mean > 0) != (after.mean > 0)
    ]
    return Crossing(
        at=math.exp(median(zeros)),  # an odd number of them
        low=_edge(gaps, signs),
        high=_edge(gaps[::-1], signs[::-1]),
        rising=signs[0] < 0,
    )


def _edge(gaps: Sequence[_Gap], signs: Sequence[int]) -> float:
    """The length at which the confidence set begins, walking from a first gap whose sign is sure towards the last.

    Where the sign is lost between two lengths it is lost once: d is linear there, and the error of a mixture of two
    is convex, so the set of lengths with a sure sign has no hole.
    """
    lost = next(place for place, sign in enumerate(signs) if sign != signs[0])
    before, after = gaps[lost - 1], gaps[lost]
    sure, doubtful = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (sure + doubtful) / 2
        if before.towards(after, middle).sign() == signs[0]:
            sure = middle
        else:
            doubtful = middle
    return math.exp(before.towards(after, doubtful).place)
