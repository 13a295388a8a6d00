"""Plain lines in one panel, each with its name at its end: a forecast beside the truth, losses that play against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context

from bench.quantity import Unit
from bench.report import svg
from bench.report.drawing import LINE, Panel, Series, canvas, label_end, spread
from bench.report.scales import even_scale

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line and its name; `color` is one of the stand-ins of `bench.report.svg`."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str


def draw_curves(
    curves: Sequence[Curve], *, heading: str, shows: str, x_title: str, prefix: str, description: str
) -> Markup:
    """One panel with all of them on even scales; lines of one colour differ by their dashes."""
    panel = Panel(
        heading=heading,
        shows=shows,
        series=tuple(Series(label=curve.name, look=svg.Look(0)) for curve in curves),
        x=even_scale([one for curve in curves for one in curve.x], Unit.NUMBER, x_title, room=0.02),
        y=even_scale([one for curve in curves for one in curve.y], Unit.NUMBER),
    )
    with rc_context(svg.STYLE):
        figure, axes = canvas(panel)
        met: dict[str, int] = {}
        for curve in curves:
            dash = _DASHES[met.setdefault(curve.color, 0) % len(_DASHES)]
            met[curve.color] += 1
            axes.plot(curve.x, curve.y, color=curve.color, linestyle=dash, linewidth=1.5)
        ends = [axes.transData.transform((curve.x[-1], curve.y[-1])) for curve in curves]
        heights = spread([float(y) for _, y in ends], LINE, axes.bbox.y0, axes.bbox.y1)
        for curve, (x, y), height in zip(curves, ends, heights, strict=True):
            label_end(axes, curve.name, (float(x) + 1, float(y)), height, curve.color)
    return svg.inline(figure, prefix, f"{shows}, {heading}", description)
