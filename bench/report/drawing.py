"""Drawing one panel: axes with readable ticks, lines with intervals, and labels at the lines themselves.

Intervals come from the estimates and are drawn with `Axes.errorbar`; nothing is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import IdentityTransform

from bench.quantity import Unit, format_tick
from bench.report import svg
from bench.report.ranking import ends
from bench.report.scales import Scale
from bench.report.svg import GRID, INK, MUTED, PAPER, Look
from bench.stats import Estimate

WIDTH, HEIGHT = 400, 290
_LEFT, _TOP, _BOTTOM = 58, 50, 42
_LETTER = 6.2
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
class Level:
    """A height that says something in itself, in words at its line; `shaded` means that nothing can be above it."""

    value: float
    words: str
    shaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small chart: a heading, what its vertical axis shows, and its series.

    Attributes:
        runs_out: its heights are what is too small where something does not fit: a dotted way leads up to the cross there.
        left: the room for the ticks' words, in pixels.
    """

    heading: str
    shows: str
    series: tuple[Series, ...]
    x: Scale
    y: Scale
    levels: tuple[Level, ...] = ()
    runs_out: bool = False
    height: int = HEIGHT
    left: int = _LEFT


def canvas(panel: Panel) -> tuple[Figure, Axes]:
    """A figure with the panel's heading and axes, nothing in them yet; must be called under `svg.STYLE`."""
    figure = Figure(figsize=(WIDTH / 72, panel.height / 72))
    right = 14 + _LETTER * max((len(shorten(series.label)) for series in panel.series), default=0)
    up = panel.height - _TOP - _BOTTOM
    axes = figure.add_axes(
        (panel.left / WIDTH, _BOTTOM / panel.height, 1 - (panel.left + right) / WIDTH, up / panel.height)
    )
    figure.text(2 / WIDTH, 1 - 14 / panel.height, panel.heading, weight="bold", size=12)
    figure.text(2 / WIDTH, 1 - 31 / panel.height, panel.shows, color=MUTED)
    _set_scale(axes, panel)
    axes.tick_params(length=0, pad=5)
    axes.set_xlabel(panel.x.title, labelpad=6)
    axes.grid(visible=False, axis="x")
    return figure, axes


def _set_scale(axes: Axes, panel: Panel) -> None:
    """Ranges, logarithms and ticks of both axes, as the panel says."""
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


def lines(panel: Panel, prefix: str, description: str) -> Markup:
    """The panel with its series as lines, for a page."""
    with rc_context(svg.STYLE):
        figure, axes = canvas(panel)
        draw_lines(axes, panel)
    return svg.inline(figure, prefix, f"{panel.shows}, {panel.heading}", description)


def draw_lines(axes: Axes, panel: Panel) -> None:
    """A line per series, its intervals and spots, marks where it does not fit, and its label at its end."""
    drawn = [series for series in panel.series if series.spots]
    for series in drawn:
        xs, ys = [spot.x for spot in series.spots], [spot.estimate.value or 0.0 for spot in series.spots]
        line = axes.plot(xs, ys, color=series.look.color, linestyle=series.look.line, linewidth=1.6)
        svg.tag(line, series.look)
    _draw_levels(axes, panel)
    for series in drawn:
        _draw_spots(axes, series)
    _draw_unfit(axes, panel)
    label_ends(axes, drawn)


def _draw_levels(axes: Axes, panel: Panel) -> None:
    for level in panel.levels:
        if level.shaded:
            axes.axhspan(level.value, panel.y.high, facecolor=GRID, edgecolor="none", zorder=0.5)
        axes.axhline(level.value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
        axes.annotate(
            level.words,
            (0, level.value),
            (3, 3),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            color=MUTED,
            size=10,
        )


def _draw_spots(axes: Axes, series: Series) -> None:
    """The values of a series with their intervals."""
    told = [spot for spot in series.spots if spot.estimate.low is not None]
    if told:
        values = [spot.estimate.value or 0.0 for spot in told]
        errors = [[abs(value - end) for value, end in zip(values, side, strict=True)] for side in _sides(told)]
        xs = [spot.x for spot in told]
        bars = axes.errorbar(xs, values, yerr=errors, fmt="none", ecolor=series.look.color, elinewidth=1.2)
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


def _draw_unfit(axes: Axes, panel: Panel) -> None:
    """A cross at the top where a series does not fit, and words at its first."""
    met: dict[float, int] = {}
    for series in panel.series:
        for x in sorted(series.unfit):
            row = met[x] = met.get(x, -1) + 1
            down = -8 - 12 * row
            place: dict[str, Any] = {
                "xy": (x, 1.0),
                "xycoords": axes.get_xaxis_transform(),
                "textcoords": "offset points",
                "va": "center",
            }
            drawn: list[Artist] = [axes.annotate("✕", xytext=(0, down), ha="center", color=series.look.color, **place)]
            if x == min(series.unfit):
                right = axes.transData.transform((x, 1.0))[0] > (axes.bbox.x0 + axes.bbox.x1) / 2
                beside: dict[str, Any] = {"ha": "right" if right else "left", "size": 10, "color": MUTED, **place}
                text = f"{shorten(series.label)}: does not fit"
                drawn.append(axes.annotate(text, xytext=(-8 if right else 8, down), **beside))
                drawn += _way_to(axes, series, (x, axes.bbox.y1 + down)) if panel.runs_out else []
            svg.tag(drawn, series.look)


def _way_to(axes: Axes, series: Series, cross: tuple[float, float]) -> list[Line2D]:
    """A dotted line from the last spot before a cross to it; the cross is given by its place and its height in pixels."""
    before = [spot for spot in series.spots if spot.x < cross[0]]
    if not before:
        return []
    last = max(before, key=lambda spot: spot.x)
    height = axes.transData.inverted().transform((0, cross[1]))[1]
    xs, ys = (last.x, cross[0]), (last.estimate.value or 0.0, float(height))
    return axes.plot(xs, ys, color=series.look.color, linewidth=1, linestyle=(0, (1, 2)))


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
        svg.tag(label_end(axes, series.label, (x + 5, y), height, series.look.color), series.look)


def label_end(axes: Axes, label: str, start: tuple[float, float], height: float, color: str) -> list[Artist]:
    """A label on the right of the axes at a height, with a line in its colour from where it belongs; all in pixels."""
    end = (axes.bbox.x1 + 8, height)
    words = axes.annotate(shorten(label), end, xycoords="figure pixels", va="center", color=INK, annotation_clip=False)
    if math.dist(start, end) <= 12:
        return [words]
    # a plain line: arrows take long to draw
    xs, ys = zip(start, (end[0] - 1, end[1]), strict=True)
    leader = Line2D(xs, ys, transform=IdentityTransform(), color=color, linewidth=0.7)
    return [words, axes.add_line(leader)]


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
