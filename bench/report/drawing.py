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
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.quantity import Unit, format_tick
from bench.report import svg
from bench.report.ranking import ends
from bench.report.scales import Scale
from bench.report.svg import INK, MUTED, PAPER, Look
from bench.stats import Estimate

WIDTH, HEIGHT = 400, 290
_LEFT, _TOP, _BOTTOM = 58, 50, 42
LINE = 13
"""Pixels from one label to the next."""
_LONGEST_LABEL = 15
MOST_MARKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One value of a series; hollow where the case behind it has a mark. `says` is shown where a pointer rests on it."""

    x: float
    estimate: Estimate
    hollow: bool = False
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What is drawn of one variant; `unfit` are the places where it does not fit into memory."""

    label: str
    look: Look
    spots: tuple[Spot, ...] = ()
    unfit: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small chart: a heading, what its vertical axis shows, and its series."""

    heading: str
    shows: str
    series: tuple[Series, ...]
    x: Scale
    y: Scale


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
        svg.tag([line], series.look)
    axes.set(xlabel=panel.x.title, ylabel="")
    set_scale(axes, panel)
    for series in drawn:
        _draw_spots(axes, series)
    _draw_unfit(axes, panel.series)
    label_ends(axes, drawn)


def _draw_spots(axes: Axes, series: Series) -> None:
    """The values of a series with their intervals."""
    told = [spot for spot in series.spots if spot.estimate.low is not None]
    if told:
        values = [spot.estimate.value or 0.0 for spot in told]
        errors = [[abs(value - end) for value, end in zip(values, side, strict=True)] for side in _sides(told)]
        xs = [spot.x for spot in told]
        bars = axes.errorbar(xs, values, yerr=errors, fmt="none", ecolor=series.look.color, elinewidth=1.2, capsize=2.5)
        svg.tag(bars.get_children(), series.look)
    # of many the marks would hide the line
    marked = series.spots if len(series.spots) <= MOST_MARKS else series.spots[-1:]
    for hollow in (False, True):
        alike = [spot for spot in marked if spot.hollow is hollow]
        points = [(spot.x, spot.estimate.value or 0.0) for spot in alike]
        draw_marks(axes, series.look, points, hollow=hollow, tips=[spot.says for spot in alike])


def _sides(spots: Sequence[Spot]) -> Iterable[tuple[float, ...]]:
    return zip(*(ends(spot.estimate) for spot in spots), strict=True)


def draw_marks(
    axes: Axes,
    look: Look,
    points: Sequence[tuple[float, float]],
    *,
    hollow: bool,
    size: float = 5.5,
    tips: Sequence[str] = (),
) -> None:
    """The markers alone: filled, or hollow; `tips` say what each of them stands for."""
    if not points:
        return
    face = PAPER if hollow else look.color
    xs, ys = [x for x, _ in points], [y for _, y in points]
    drawn = axes.plot(xs, ys, look.marker, color=look.color, ms=size, mfc=face, mec=look.color, mew=1.3, zorder=4)
    svg.tag(drawn, look, tips if any(tips) else ())


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
            cross = axes.annotate("✕", xytext=(0, -2 - 12 * row), ha="center", color=series.look.color, **place)
            words = axes.annotate(text, xytext=(-8, -2 - 12 * row), ha="right", size=10, color=MUTED, **place)
            svg.tag([cross, words], series.look)


def label_ends(axes: Axes, drawn: Sequence[Series]) -> None:
    """A label beside the end of each line; of several lines of one variant, beside the longest."""
    longest: dict[Look, Series] = {}
    for series in drawn:
        if series.look not in longest or len(series.spots) > len(longest[series.look].spots):
            longest[series.look] = series
    spots = [max(series.spots, key=lambda spot: spot.x) for series in longest.values()]
    points = [axes.transData.transform((spot.x, spot.estimate.value or 0.0)) for spot in spots]
    heights = spread([float(y) for _, y in points], LINE, axes.bbox.y0, axes.bbox.y1)
    for series, (x, y), height in zip(longest.values(), points, heights, strict=True):
        label = label_end(axes, series.label, (x + 5, y), height, series.look.color)
        svg.tag([label, *([label.arrow_patch] if label.arrow_patch else [])], series.look)


def label_end(axes: Axes, label: str, start: tuple[float, float], height: float, color: str) -> Annotation:
    """A label on the right of the axes at a height, with a line in its colour from where it belongs; all in pixels."""
    end = (axes.bbox.x1 + 8, height)
    leader = {"arrowstyle": "-", "color": color, "lw": 0.7, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
    return axes.annotate(
        shorten(label),
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
