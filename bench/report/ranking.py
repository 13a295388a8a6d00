"""Who is ahead, and whether that can be said: by intervals, never by point values alone."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import TypeVar

from bench import estimates
from bench.observations import MEMORY_RESOLUTION_BYTES
from bench.quantity import Better, Unit, format_value
from bench.report.view import Shown
from bench.stats import Estimate, IntervalKind

# METHOD.md: repeats of a memory measurement agree within 2 %.
MEMORY_REPEATS = 0.02

K = TypeVar("K", bound=Hashable)


def widest(shown: Shown, name: str) -> Estimate | None:
    """An estimate of a fit with both its doubts in one interval: other seeds, and for a share of test items other items."""
    estimate = shown.figure(name)
    items = estimates.item_interval(shown.result) if _of_items(shown, name) else None
    if estimate is None or items is None:
        return estimate
    lows = [low for low in (estimate.low, items.low) if low is not None]
    highs = [high for high in (estimate.high, items.high) if high is not None]
    return replace(estimate, low=min(lows), high=max(highs), interval=items.interval)


def _of_items(shown: Shown, name: str) -> bool:
    """Whether a metric is the share of test items that were right, of every fit."""
    fits = estimates.good_fits(shown.result)
    return all(
        fit.total and name in fit.metrics and math.isclose(fit.metrics[name], (fit.correct or 0) / fit.total)
        for fit in fits
    )


def tolerated(estimate: Estimate | None) -> Estimate | None:
    """A memory figure with the range in which repeats of it fall."""
    if estimate is None or estimate.value is None:
        return estimate
    share = estimate.value * MEMORY_REPEATS
    return replace(estimate, low=estimate.value - share, high=estimate.value + share, interval=IntervalKind.NONE)


def needed(shown: Shown) -> Estimate | None:
    """All the memory that a case holds at its peak, with the range in which repeats fall; None where that is not known.

    On a CPU the peak is what a step adds, so weights and optimizer state come on top. Of a peak too small to be measured the
    most that it can be is counted.
    """
    figures = (
        [shown.figure(name) for name in ("weights_bytes", "optimizer_bytes")] if shown.case.device == "cpu" else []
    )
    held = sum(figure.value or 0.0 for figure in figures if figure)
    if shown.memory_too_small:
        most = held + MEMORY_RESOLUTION_BYTES
        return Estimate(value=most, low=held, high=most)
    peak = tolerated(shown.memory)
    if peak is None or peak.value is None:
        return None
    low, high = ends(peak)
    return replace(peak, value=peak.value + held, low=low + held, high=high + held)


def memory_words(known: Estimate) -> str:
    """What `needed` found, in words: `13.7 MiB`, or `at most 256 KiB`."""
    text = format_value(known.value, Unit.BYTES)
    return f"at most {text}" if known.value == known.high else text


def leaders(found: Mapping[K, Estimate | None], better: Better) -> list[K]:
    """All whom no other is better than beyond doubt, by their figures, the best first: their intervals meet, each with each.

    An estimate that should have an interval and has none (a single trial) cannot be told apart from anything.
    """
    known = {key: estimate for key, estimate in found.items() if estimate is not None and estimate.value is not None}
    if not known or better is Better.NEITHER:
        return []
    sign = 1 if better is Better.HIGHER else -1
    near = {key: min(sign * end for end in ends(one)) for key, one in known.items() if not unsure(one)}
    bar = max(near.values(), default=-math.inf)
    kept = [key for key, one in known.items() if unsure(one) or max(sign * end for end in ends(one)) >= bar]
    return sorted(kept, key=lambda key: -sign * (known[key].value or 0.0))


def beyond(one: Estimate, other: Estimate, better: Better) -> bool:
    """Whether one is better than the other beyond doubt: their intervals do not meet, and it is on the better side.

    An estimate that should have an interval and has none is never beyond another, nor another beyond it.
    """
    if better is Better.NEITHER or unsure(one) or unsure(other):
        return False
    (low, high), (other_low, other_high) = ends(one), ends(other)
    return low > other_high if better is Better.HIGHER else high < other_low


def unsure(estimate: Estimate) -> bool:
    """Whether it should have an interval and has none."""
    return estimate.low is None and bool(estimate.reason)


def ends(estimate: Estimate) -> tuple[float, float]:
    """The interval of an estimate that has a value; without one, the value twice."""
    value = estimate.value or 0.0
    return (value if estimate.low is None else estimate.low), (value if estimate.high is None else estimate.high)
