"""Who is ahead, and whether that can be said: by intervals, never by point values alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import TypeVar

from bench import estimates
from bench.quantity import Better
from bench.report.view import Shown
from bench.stats import Estimate, IntervalKind

# METHOD.md: repeats of a memory measurement agree within 2 %.
MEMORY_REPEATS = 0.02

K = TypeVar("K", bound=Hashable)


def widest(shown: Shown, name: str) -> Estimate | None:
    """An estimate of a fit with both its doubts in one interval: other seeds, and for accuracy other test items."""
    estimate = shown.figure(name)
    items = estimates.item_interval(shown.result) if name == "accuracy" else None
    if estimate is None or items is None:
        return estimate
    lows = [low for low in (estimate.low, items.low) if low is not None]
    highs = [high for high in (estimate.high, items.high) if high is not None]
    return replace(estimate, low=min(lows), high=max(highs), interval=items.interval)


def tolerated(estimate: Estimate | None) -> Estimate | None:
    """A memory figure with the range in which repeats of it fall."""
    if estimate is None or estimate.value is None:
        return estimate
    share = estimate.value * MEMORY_REPEATS
    return replace(estimate, low=estimate.value - share, high=estimate.value + share, interval=IntervalKind.NONE)


def leaders(found: Mapping[K, Estimate | None], better: Better) -> list[K]:
    """Who is best, first, and after it all whose intervals overlap with its own: those cannot be told apart from it.

    An estimate that should have an interval and has none (a single trial) cannot be told apart from anything.
    """
    known = {key: estimate for key, estimate in found.items() if estimate is not None and estimate.value is not None}
    if not known or better is Better.NEITHER:
        return []
    sign = 1 if better is Better.HIGHER else -1
    order = sorted(known, key=lambda key: -sign * (known[key].value or 0.0))
    first = known[order[0]]
    return [order[0], *(key for key in order[1:] if _overlap(first, known[key]))]


def _overlap(one: Estimate, other: Estimate) -> bool:
    if any(each.low is None and each.reason for each in (one, other)):
        return True
    (low, high), (other_low, other_high) = ends(one), ends(other)
    return low <= other_high and other_low <= high


def ends(estimate: Estimate) -> tuple[float, float]:
    """The interval of an estimate that has a value; without one, the value twice."""
    value = estimate.value or 0.0
    return (value if estimate.low is None else estimate.low), (value if estimate.high is None else estimate.high)
