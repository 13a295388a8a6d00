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
from bench.report.blocks import Block, Chart
from bench.report.charts import Selection
from bench.report.describe import extremes
from bench.report.drawing import Panel, Series, Spot
from bench.report.grids import Fact, by_size, case_table
from bench.report.inside import intensity
from bench.report.measured import tip
from bench.report.scales import log_scale
from bench.report.svg import INK, MUTED, Look
from bench.report.tables import Cell, empty, value_cell
from bench.report.view import Shown
from bench.stats import Estimate

_SAYS = (
    "A mark a case: what it achieves, over its FLOPs for each byte. The roof is what this machine reached in a large copy "
    "(slope) and in a large matrix product (level); data in a cache may lift a case above the slope."
)
_CAPTION = (
    "Close below the level: the arithmetic is what limits it; close below the slope: memory; far below both: neither."
)
_MARKED = " Hollow: marked in the tables."
_FACTS: tuple[Fact, ...] = (
    ("FLOPs per byte", lambda shown: _cell(intensity(shown), Unit.NUMBER)),
    ("achieved", lambda shown: _cell(shown.figure("flops_per_s"), Unit.FLOPS)),
)


def rooflines(selection: Selection) -> Block | None:
    """A panel for each kind of speed case of which ceilings and costs are known."""
    charts = []
    for number, (kind, cases) in enumerate(selection.kinds.items()):
        every, words = selection.drawn(cases), selection.kind_words(kind)
        panel = roofline(every, selection.looks, words, f"{selection.prefix}r{number}-")
        if panel is not None:
            known = [shown for shown in by_size(every) if _spot(shown) is not None]
            charts.append(
                Chart(
                    title=words[:1].upper() + words[1:],
                    panels=(panel,),
                    caption=_CAPTION + (_MARKED if any(shown.marks for shown in known) else ""),
                    tables=(case_table(selection.task, known, _FACTS),),
                )
            )
    if not charts:
        return None
    says = (_SAYS, *([selection.left_out] if selection.left_out else []))
    return Block(title="Roofline", says=says, charts=tuple(charts))


def _cell(estimate: Estimate | None, unit: Unit) -> Cell:
    return value_cell(estimate, unit) if estimate else empty()


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
        _draw_roof(axes, panel, ceiling, ridge)
        for one in series:
            for hollow in (False, True):
                alike = [spot for spot in one.spots if spot.hollow is hollow]
                places, tips = [(spot.x, spot.estimate.value or 0.0) for spot in alike], [spot.says for spot in alike]
                drawing.draw_marks(axes, one.look, places, hollow=hollow, tips=tips)
        drawing.label_ends(axes, series)
    best = {spot.says.partition(":")[0]: spot.estimate for spot in spots}
    description = (
        f"FLOP/s over FLOPs per byte of {len(spots)} cases, below ceilings of {_flops(ceiling)} and {_bytes(ceiling)}. "
        f"FLOP/s: {extremes(best, Unit.FLOPS)}."
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
    return Spot(x=per_byte.value, estimate=achieved, hollow=bool(shown.marks), says=tip(shown, achieved, Unit.FLOPS))


def _draw_roof(axes: Axes, panel: Panel, ceiling: Ceiling, ridge: float) -> None:
    """The slope that memory allows, the level that arithmetic allows, and what each of them is."""
    bandwidth, level = ceiling.bytes_per_s or 0.0, ceiling.flops_per_s or 0.0
    # the slope meets the left edge or the lower one
    start = max(panel.x.low, panel.y.low / bandwidth)
    ends = (start, ridge, panel.x.high)
    axes.plot(ends, [min(level, bandwidth * x) for x in ends], color=INK, linewidth=1.2)
    place: dict[str, Any] = {"textcoords": "offset points", "color": MUTED, "size": 10}
    axes.annotate(_flops(ceiling), (panel.x.high, level), (0, 5), ha="right", va="bottom", **place)
    middle = (start * ridge) ** 0.5
    axes.annotate(_bytes(ceiling), (middle, bandwidth * middle), (-6, 3), ha="right", va="bottom", **place)
