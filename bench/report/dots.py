"""Dots with intervals, a row a variant, the best on top: for what was measured at one place only, and for scores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes

from bench.quantity import Better, Unit, format_tick, format_value
from bench.report import svg
from bench.report.drawing import Panel, Series, canvas, draw_marks, shorten
from bench.report.ranking import ends
from bench.report.scales import Scale, measured_scale
from bench.report.svg import INK, MUTED, Look
from bench.stats import Estimate

_ROW, _AROUND = 22, 92


@dataclass(frozen=True, slots=True, kw_only=True)
class DotRow:
    """A variant; `estimates` is its figure with one interval after the other."""

    label: str
    look: Look
    estimates: tuple[Estimate, ...]
    hollow: bool
    says: str = ""


def draw_dots(
    rows: Sequence[DotRow],
    *,
    heading: str,
    shows: str,
    unit: Unit,
    better: Better,
    prefix: str,
    description: str,
    floors: Mapping[str, float] | None = None,
) -> Markup:
    """One panel; `floors` are drawn as lines across it with their names below the axis."""
    sign = -1 if better is Better.HIGHER else 1
    order = sorted(rows, key=lambda row: sign * (row.estimates[0].value or 0.0))
    values = [end for row in rows for one in row.estimates for end in ends(one)]
    lines = floors or {}
    x = measured_scale([*values, *lines.values()], unit, ", ".join(_floor_words(lines, unit)))
    panel = Panel(
        heading=heading,
        shows=shows,
        # the room on the right is for the figures
        series=tuple(Series(label=format_value(row.estimates[0].value, unit), look=row.look) for row in rows),
        x=x,
        y=Scale(low=-0.5, high=len(rows) - 0.5, log=False, ticks=(), unit=Unit.NUMBER),
        height=_AROUND + _ROW * len(rows),
        left=20 + round(6.2 * max(len(shorten(row.label)) for row in rows)),
    )
    with rc_context(svg.STYLE):
        figure, axes = canvas(panel)
        axes.grid(visible=True, axis="x")
        for value in lines.values():
            axes.axvline(value, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        for place, row in enumerate(reversed(order)):
            _draw_row(axes, row, place, unit)
    return svg.inline(figure, prefix, f"{shows}, {heading}", description)


def _floor_words(floors: Mapping[str, float], unit: Unit) -> list[str]:
    return [f"{name} {format_tick(value, unit)}" for name, value in floors.items()]


def _draw_row(axes: Axes, row: DotRow, height: int, unit: Unit) -> None:
    value = row.estimates[0].value or 0.0
    drawn = []
    for width, estimate in zip((2.6, 0.9), row.estimates, strict=False):
        low, high = ends(estimate)
        if high > low:
            drawn += axes.plot([low, high], [height, height], color=row.look.color, linewidth=width)
    words: dict[str, Any] = {"textcoords": "offset points", "va": "center", "xycoords": axes.get_yaxis_transform()}
    label = axes.annotate(shorten(row.label), (0, height), (-8, 0), ha="right", color=INK, **words)
    figure = axes.annotate(format_value(value, unit), (1, height), (8, 0), ha="left", color=INK, **words)
    svg.tag([*drawn, label, figure], row.look)
    draw_marks(axes, row.look, [(value, height)], hollow=row.hollow, tips=[row.says])
