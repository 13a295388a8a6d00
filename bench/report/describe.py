"""What is to be seen in a chart, in words for those who do not see it: who is highest and lowest, if that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.quantity import Better, Unit, format_value
from bench.report import view as views
from bench.report.ranking import leaders
from bench.stats import Estimate

_NAMED = 3


def extremes(found: Mapping[str, Estimate], unit: Unit, compared: Mapping[str, Estimate] | None = None) -> str:
    """`highest nbow, 12.3 k/s ±1.3 %; lowest gru, 1.20 k/s ±0.9 %`, by label, and who cannot be told apart from them.

    `compared` are the figures in the intervals by which they are compared, where those are not their own.
    """
    if len(found) < 2:
        return "".join(f"{label}, {views.value_words(estimate, unit)}" for label, estimate in found.items())
    high, low = (leaders(compared or found, better) for better in (Better.HIGHER, Better.LOWER))
    if len(high) == len(found):
        ends = (format_value(found[label].value, unit) for label in (low[0], high[0]))
        return f"{' to '.join(ends)}; no two of these {len(found)} can be told apart"
    return f"highest {_told(found, high, unit)}; lowest {_told(found, low, unit)}"


def _told(found: Mapping[str, Estimate], chosen: Sequence[str], unit: Unit) -> str:
    first = f"{chosen[0]}, {views.value_words(found[chosen[0]], unit)}"
    others = chosen[1:]
    if not others:
        return first
    names = views.listed(others) if len(others) <= _NAMED else f"{len(others)} others"
    return f"{first} (not to be told apart from {names})"
