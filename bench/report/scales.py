"""Axes with ticks that people read: round figures where something was measured, the settings themselves where it was swept."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.quantity import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """An axis: its range, whether sizes double along it, and its ticks."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]
    unit: Unit
    title: str = ""


def log_scale(values: Iterable[float], unit: Unit, title: str = "") -> Scale:
    """A logarithmic scale that holds these positive values, and at least fourfold of range around them."""
    low, high = min(kept := [*values]), max(kept)
    middle = math.sqrt(low * high)
    return measured_scale([low, high, middle / 2.01, middle * 2.01], unit, title)


def measured_scale(values: Iterable[float], unit: Unit, title: str = "") -> Scale:
    """A scale that holds these values: logarithmic where they spread fourfold, with round ticks."""
    low, high = min(kept := [value for value in values if math.isfinite(value)]), max(kept)
    if low > 0 and high / low > 4:
        low, high = low / (high / low) ** 0.06, high * (high / low) ** 0.1
        return Scale(low=low, high=high, log=True, ticks=_log_ticks(low, high, unit), unit=unit, title=title)
    room = (high - low or abs(high) or 1.0) * 0.12
    low, high = max(0.0, low - room) if low >= 0 else low - room, high + room
    if unit is Unit.SHARE:  # an interval may reach beyond what a share can be
        low, high = max(0.0, low), min(1.0, high)
    return Scale(low=low, high=high, log=False, ticks=_even_ticks(low, high, unit), unit=unit, title=title)


def even_scale(values: Iterable[float], unit: Unit, title: str = "", room: float = 0.12) -> Scale:
    """A linear scale that holds these values, with round ticks and a share of its range to spare on both sides."""
    low, high = min(kept := [value for value in values if math.isfinite(value)]), max(kept)
    spare = (high - low or abs(high) or 1.0) * room
    low, high = max(0.0, low - spare) if low >= 0 else low - spare, high + spare
    return Scale(low=low, high=high, log=False, ticks=_even_ticks(low, high, unit), unit=unit, title=title)


def lifted(scale: Scale, share: float) -> Scale:
    """The same scale with a share of its range more at its upper end, and no further ticks there."""
    if scale.log:
        return replace(scale, high=scale.high * (scale.high / scale.low) ** share)
    return replace(scale, high=scale.high + (scale.high - scale.low) * share)


def swept_scale(values: Iterable[int], title: str) -> Scale:
    """A scale of settings, each of them a tick: 64, 128, 256."""
    places = sorted(set(values))
    room = (places[-1] / places[0]) ** 0.05 if len(places) > 1 else 2.0
    ticks = tuple(float(place) for place in places)
    return Scale(low=places[0] / room, high=places[-1] * room, log=True, ticks=ticks, unit=Unit.NUMBER, title=title)


def _log_ticks(low: float, high: float, unit: Unit) -> tuple[float, ...]:
    if unit is Unit.BYTES:
        every = [2.0**power for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
        return tuple(every[:: max(1, math.ceil(len(every) / 6))])
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = tuple(step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high)
        if len(ticks) <= 6:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / 6))]


def _even_ticks(low: float, high: float, unit: Unit) -> tuple[float, ...]:
    rough = (high - low) / 5
    if unit is Unit.BYTES:
        step = max(1.0, 2.0 ** math.ceil(math.log2(rough)))
    else:
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    return tuple(number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1))
