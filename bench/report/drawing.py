"""Drawing one panel: axes with readable ticks, lines with intervals, and labels at the lines themselves.

Intervals come from the estimates and are drawn with `Axes.errorbar`; seaborn computes none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.quantity import Unit, format_tick
from bench.report.svg import INK, MUTED, PAPER, Look
from bench.stats import Estimate

WIDTH, HEIGHT = 360, 290
_LEFT, _TOP, _BOTTOM, _LINE = 58, 50, 42, 13
_LONGEST_LABEL = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One value of a series; hollow where the case behind it has a mark."""

    x: float
    estimate: Estimate
    hollow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is drawn of one variant; `unfit` are the places where it does not fit into memory."""

    label: str
    look: Look
    spots: tuple[Spot, ...] = ()
    unfit: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """An axis: its range, whether sizes double along it, and its ticks."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]
    unit: Unit
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small chart: a heading, what its vertical axis shows, and its series."""

    heading: str
    shows: str
    series: tuple[Series, ...]
    x: Scale
    y: Scale


def ends(estimate: Estimate) -> tuple[float, float]:
    """The interval of an estimate that has a value; without one, the value twice."""
    value = estimate.value or 0.0
    return (value if estimate.low is None else estimate.low), (value if estimate.high is None else estimate.high)


def measured_scale(values: Iterable[float], unit: Unit, title: str = "") -> Scale:
    """A scale that holds these values: logarithmic where they spread fourfold, with round ticks."""
    low, high = min(kept := [value for value in values if math.isfinite(value)]), max(kept)
    if low > 0 and high / low > 4:
        low, high = low / (high / low) ** 0.06, high * (high / low) ** 0.1
        return Scale(low=low, high=high, log=True, ticks=_log_ticks(low, high, unit), unit=unit, title=title)
    room = (high - low or abs(high) or 1.0) * 0.12
    low, high = max(0.0, low - room) if low >= 0 else low - room, high + room
    return Scale(low=low, high=high, log=False, ticks=_even_ticks(low, high), unit=unit, title=title)


def swept_scale(values: Iterable[int], title: str) -> Scale:
    """A scale of settings, each of them a tick: 64, 128, 256."""
    places = sorted(set(values))
    room = (places[-1] / places[0]) ** 0.05
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
    return ticks


def _even_ticks(low: float, high: float) -> tuple[float, ...]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    return tuple(number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1))


def canvas(panel: Panel) -> tuple[Figure, Axes]:
    """A figure with the panel's heading and axes, nothing in them yet; must be called under `svg.STYLE`."""
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
    right = 14 + 6.2 * max((len(shorten(series.label)) for series in panel.series), default=0)
    box = (_LEFT / WIDTH, _BOTTOM / HEIGHT, 1 - (_LEFT + right) / WIDTH, 1 - (_TOP + _BOTTOM) / HEIGHT)
    axes = figure.add_axes(box)
    figure.text(2 / WIDTH, 1 - 14 / HEIGHT, panel.heading, weight="bold", size=12)
    figure.text(2 / WIDTH, 1 - 31 / HEIGHT, panel.shows, color=MUTED)
    for axis, scale in ((axes.xaxis, panel.x), (axes.yaxis, panel.y)):
        axis.set_major_locator(FixedLocator(scale.ticks))
        axis.set_minor_locator(NullLocator())
    set_scale(axes, panel)
    axes.tick_params(length=0, pad=5)
    axes.set_xlabel(panel.x.title, labelpad=6)
    axes.grid(visible=False, axis="x")
    return figure, axes


def set_scale(axes: Axes, panel: Panel) -> None:
    """Ranges, logarithms and ticks of both axes, as the panel says (seaborn may have touched them)."""
    for name, axis, scale in (("x", axes.xaxis, panel.x), ("y", axes.yaxis, panel.y)):
        axes.set(**{f"{name}scale": "log" if scale.log else "linear"})
        axes.set(**{f"{name}lim": (scale.low, scale.high)})
        axis.set_major_locator(FixedLocator(scale.ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_tick(scale)))


def _tick(scale: Scale) -> Any:
    plain = scale.unit is Unit.NUMBER
    return lambda value, _place: f"{value:g}" if plain else format_tick(value, scale.unit)


def shorten(label: str) -> str:
    """A label short enough to stand in a chart; the legend has it in full."""
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def draw_lines(axes: Axes, panel: Panel) -> None:
    """A line per series, its intervals and spots, marks where it does not fit, and its label at its end."""
    drawn = [series for series in panel.series if series.spots]
    names = {str(place): series for place, series in enumerate(drawn)}
    frame = pd.DataFrame(
        [(spot.x, spot.estimate.value, name) for name, series in names.items() for spot in series.spots],
        columns=["x", "y", "name"],
    )
    sns.lineplot(
        frame,
        x="x",
        y="y",
        hue="name",
        palette={name: series.look.color for name, series in names.items()},
        estimator=None,
        errorbar=None,
        legend=False,
        linewidth=1.6,
        ax=axes,
    )
    for line, series in zip(axes.get_lines(), drawn, strict=True):
        line.set_linestyle(series.look.line)
    axes.set(xlabel=panel.x.title, ylabel="")
    set_scale(axes, panel)
    for series in drawn:
        for spot in series.spots:
            draw_spot(axes, series.look, spot)
    _draw_unfit(axes, panel.series)
    _label_ends(axes, drawn)


def draw_spot(axes: Axes, look: Look, spot: Spot, size: float = 5.5) -> None:
    """A value with its interval."""
    low, high = ends(spot.estimate)
    value = spot.estimate.value or 0.0
    if high > low:
        axes.errorbar(
            [spot.x],
            [value],
            yerr=[[value - low], [high - value]],
            fmt="none",
            ecolor=look.color,
            elinewidth=1.2,
            capsize=2.5,
        )
    draw_mark(axes, look, spot.x, value, spot.hollow, size)


def draw_mark(axes: Axes, look: Look, x: float, y: float, hollow: bool, size: float = 5.5) -> None:
    """The marker alone: filled, or hollow."""
    face = PAPER if hollow else look.color
    axes.plot([x], [y], look.marker, ms=size, mfc=face, mec=look.color, mew=1.3, zorder=4)


def _draw_unfit(axes: Axes, every: Sequence[Series]) -> None:
    met: dict[float, int] = {}
    for series in every:
        for x in series.unfit:
            row = met[x] = met.get(x, -1) + 1
            text = f"{shorten(series.label)}: does not fit"
            place: dict[str, Any] = {
                "xy": (x, 1.0),
                "xycoords": axes.get_xaxis_transform(),
                "textcoords": "offset points",
                "va": "center",
            }
            axes.annotate("✕", xytext=(0, -2 - 12 * row), ha="center", color=series.look.color, **place)
            axes.annotate(text, xytext=(-8, -2 - 12 * row), ha="right", size=10, color=MUTED, **place)


def _label_ends(axes: Axes, drawn: Sequence[Series]) -> None:
    """A label beside the end of each line; of several lines of one variant, beside the longest."""
    longest: dict[Look, Series] = {}
    for series in drawn:
        if series.look not in longest or len(series.spots) > len(longest[series.look].spots):
            longest[series.look] = series
    spots = [max(series.spots, key=lambda spot: spot.x) for series in longest.values()]
    points = [axes.transData.transform((spot.x, spot.estimate.value or 0.0)) for spot in spots]
    heights = spread([float(y) for _, y in points], _LINE, axes.bbox.y0, axes.bbox.y1)
    for series, (x, y), height in zip(longest.values(), points, heights, strict=True):
        start, end = (x + 5, y), (axes.bbox.x1 + 8, height)
        leader = {
            "arrowstyle": "-",
            "color": series.look.color,
            "lw": 0.7,
            "shrinkA": 0,
            "shrinkB": 0,
            "relpos": (0, 0.5),
        }
        axes.annotate(
            shorten(series.label),
            xy=start,
            xytext=end,
            xycoords="figure pixels",
            textcoords="figure pixels",
            va="center",
            color=INK,
            arrowprops=leader if math.dist(start, end) > 12 else None,
        )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights within bounds, a gap apart, their squared distances from the wanted ones as small as can be.

    Neighbours that would come too close are pooled around their mean (isotonic regression on what is left after the gaps).
    More than fit between the bounds reach beyond the upper one.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    pools: list[list[float]] = []
    for rank, place in enumerate(order):
        pools.append([wanted[place] - rank * gap])
        while len(pools) > 1 and sum(pools[-2]) / len(pools[-2]) > sum(pools[-1]) / len(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    rests = [sum(pool) / len(pool) for pool in pools for _ in pool]
    highest = max(low, high - gap * (len(wanted) - 1))
    heights = dict(zip(order, (min(max(rest, low), highest) for rest in rests), strict=True))
    ranks = {place: rank for rank, place in enumerate(order)}
    return [heights[place] + ranks[place] * gap for place in range(len(wanted))]
