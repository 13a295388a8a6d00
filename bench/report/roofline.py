"""The roofline: what each case achieves, under what this machine could do at most at its FLOPs per byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes

from bench.observations import Ceiling
from bench.quantity import Unit, format_value
from bench.report import drawing, svg
from bench.report.drawing import Panel, Series, Spot
from bench.report.inside import intensity
from bench.report.scales import log_scale
from bench.report.svg import INK, MUTED, Look
from bench.report.view import Shown


def roofline(cases: Sequence[Shown], looks: Mapping[str, Look], heading: str, prefix: str) -> Markup | None:
    """A panel over cases of one setting; None where no ceiling was measured or nothing was counted.

    `looks` are by variant id, in the order in which variants are told; `prefix` makes ids unique on the page.
    """
    ceiling = next((shown.result.ceiling for shown in cases), None)
    series = tuple(_series(cases, looks))
    if ceiling is None or not ceiling.flops_per_s or not ceiling.bytes_per_s or not series:
        return None
    ridge = ceiling.flops_per_s / ceiling.bytes_per_s
    spots = [spot for one in series for spot in one.spots]
    panel = Panel(
        heading=heading,
        shows="FLOP/s",
        series=series,
        x=log_scale([ridge, *(spot.x for spot in spots)], Unit.NUMBER, "FLOPs per byte"),
        y=log_scale([ceiling.flops_per_s, *(spot.estimate.value or 0.0 for spot in spots)], Unit.COUNT),
    )
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        drawing.set_scale(axes, panel)
        _draw_roof(axes, panel, ceiling, ridge)
        for one in series:
            for hollow in (False, True):
                alike = [spot for spot in one.spots if spot.hollow is hollow]
                drawing.draw_marks(axes, one.look, [(s.x, s.estimate.value or 0.0) for s in alike], hollow=hollow)
        drawing.label_ends(axes, series)
    description = (
        f"FLOP/s over FLOPs per byte of {len(spots)} cases, below ceilings of {_flops(ceiling)} and {_bytes(ceiling)}; "
        "the figures stand below, under Cost."
    )
    return svg.inline(figure, prefix, f"Roofline, {heading}", description)


def _flops(ceiling: Ceiling) -> str:
    return format_value(ceiling.flops_per_s, Unit.FLOPS)


def _bytes(ceiling: Ceiling) -> str:
    return format_value(ceiling.bytes_per_s, Unit.BYTES_PER_SECOND)


def _series(cases: Sequence[Shown], looks: Mapping[str, Look]) -> Iterator[Series]:
    """The variants of which a point is known, with a spot for each case."""
    for variant_id, look in looks.items():
        mine = [shown for shown in cases if shown.case.variant.variant_id == variant_id]
        spots = tuple(spot for shown in mine if (spot := _spot(shown)) is not None)
        if spots:
            yield Series(label=mine[0].case.variant.label, look=look, spots=spots)


def _spot(shown: Shown) -> Spot | None:
    per_byte, achieved = intensity(shown), shown.figure("flops_per_s")
    if per_byte is None or not per_byte.value or achieved is None or not achieved.value:
        return None
    return Spot(x=per_byte.value, estimate=achieved, hollow=bool(shown.marks))


def _draw_roof(axes: Axes, panel: Panel, ceiling: Ceiling, ridge: float) -> None:
    """The slope that memory allows, the level that arithmetic allows, and what each of them is."""
    bandwidth, level = ceiling.bytes_per_s or 0.0, ceiling.flops_per_s or 0.0
    ends = (panel.x.low, ridge, panel.x.high)
    axes.plot(ends, [min(level, bandwidth * x) for x in ends], color=INK, linewidth=1.2)
    place: dict[str, Any] = {"textcoords": "offset points", "color": MUTED, "size": 10}
    axes.annotate(_flops(ceiling), (panel.x.high, level), (0, 5), ha="right", va="bottom", **place)
    # the slope meets the left edge or the lower one
    start = max(panel.x.low, panel.y.low / bandwidth)
    middle = (start * ridge) ** 0.5
    axes.annotate(_bytes(ceiling), (middle, bandwidth * middle), (-6, 3), ha="right", va="bottom", **place)
