"""Speed, memory and energy over lengths or batch sizes: a chart a workload and setting, a panel a batch size and quantity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from markupsafe import Markup

from bench.quantity import Unit, format_tick
from bench.records import Outcome
from bench.report import drawing
from bench.report import view as views
from bench.report.blocks import Block, Chart
from bench.report.charts import Selection
from bench.report.describe import extremes
from bench.report.dots import DotRow, draw_dots
from bench.report.drawing import Level, Panel, Series, Spot
from bench.report.grids import Kind, grid
from bench.report.measured import (
    ENERGY,
    LATENCY,
    MEMORY,
    THROUGHPUT,
    Quantity,
    device_bytes,
    does_not_fit,
    tip,
)
from bench.report.ranking import ends, tolerated
from bench.report.scales import Scale, lifted, measured_scale, swept_scale
from bench.report.tables import Table
from bench.report.view import Shown, View
from bench.stats import Estimate

MOST_BATCHES = 3
_MOST_MISSING = 6
_FAR = 16
"""A limit this many times above everything measured would only press the lines together."""


_AXES = {"sequence_length": "sequence length", "batch_size": "batch size"}


def speed(selection: Selection) -> Block | None:
    """Throughput and latency of every kind of speed case."""
    return _block(selection, "Speed", (THROUGHPUT, LATENCY), "s")


def memory(selection: Selection) -> Block | None:
    """Peak memory, and where variants stop fitting into it."""
    return _block(selection, "Memory", (MEMORY,), "m")


def energy(selection: Selection) -> Block | None:
    """Energy per item, where it was measured."""
    return _block(selection, "Energy", (ENERGY,), "e")


def _block(selection: Selection, title: str, quantities: Sequence[Quantity], prefix: str) -> Block | None:
    axes = {axis for cases in selection.kinds.values() if (axis := swept(cases))}
    charts = [
        _chart(selection, kind, quantities, f"{selection.prefix}{prefix}{number}-")
        for number, kind in enumerate(selection.kinds)
    ]
    kept = tuple(chart for chart in charts if chart is not None)
    if not kept:
        return None
    over = " and ".join(_AXES[axis] for axis in sorted(axes, reverse=True))
    says = (selection.left_out,) if selection.left_out else ()
    return Block(title=f"{title} over {over}" if over else title, says=says, charts=kept)


def swept(cases: Sequence[Shown]) -> str:
    """Over which axis cases are drawn: length where there are several, else batch size; empty where all are at one place."""
    if len({shown.case.sequence_length for shown in cases}) > 1:
        return "sequence_length"
    return "batch_size" if len({shown.case.batch_size for shown in cases}) > 1 else ""


def _chart(selection: Selection, kind: Kind, quantities: Sequence[Quantity], prefix: str) -> Chart | None:
    every = selection.drawn(selection.kinds[kind])
    known = [quantity for quantity in quantities if any(quantity.found(shown) for shown in every)]
    axis, place = swept(every), selection.place
    shown_already = selection.told and place is not None and kind == (place.workload, place.setting)
    if not known or (not axis and shown_already and known[0].in_choice):
        return None
    if not axis:
        panels = [_dots(every, selection, known[0], prefix)]
        cut, marked = "", every
    else:
        groups, cut = _groups(every, axis, selection)
        marked = [shown for _, cases in groups for shown in cases]
        # half of a run may have figures only where nothing is drawn
        drawn = [one for one in known if any(one.found(shown) for shown in marked)]
        panels = list(_panels(selection, groups, axis, drawn, prefix))
    return Chart(
        title=selection.kind_words(kind)[:1].upper() + selection.kind_words(kind)[1:],
        panels=tuple(panels),
        caption=" ".join(filter(None, [_reading(known, axis), cut, _caption(marked, known, selection.view)])),
        tables=tuple(_tables(selection, kind, known)),
    )


def _tables(selection: Selection, kind: Kind, quantities: Sequence[Quantity]) -> Iterator[Table]:
    view = selection.view
    for quantity in quantities:
        made = grid(view, selection.task, kind, partial(quantity.column, view), quantity.what)
        yield replace(made, title=f"{made.title}, {quantity.what.lower()}")


def _groups(cases: Sequence[Shown], axis: str, selection: Selection) -> tuple[list[tuple[str, list[Shown]]], str]:
    """The cases of each panel with its heading, and in words which batch sizes are left out."""
    if axis == "batch_size":
        length = cases[0].case.sequence_length
        return [(views.place_words(length, None), list(cases))], ""
    batches = sorted({shown.case.batch_size for shown in cases})
    kept, cut = batches, ""
    if len(batches) > MOST_BATCHES:
        asked = selection.place.batch_size if selection.place else 0
        middle = asked if asked in batches[1:-1] else batches[len(batches) // 2]
        kept = [batches[0], middle, batches[-1]]
        cut = f"{len(kept)} of {len(batches)} batch sizes: the smallest, {middle} and the largest."
    members = {batch: [shown for shown in cases if shown.case.batch_size == batch] for batch in kept}
    return [(views.place_words(None, batch), members[batch]) for batch in kept], cut


def _panels(
    selection: Selection,
    groups: Sequence[tuple[str, Sequence[Shown]]],
    axis: str,
    quantities: Sequence[Quantity],
    prefix: str,
) -> Iterator[Markup]:
    """A row a group, a column a quantity; all of a quantity share their scale."""
    every = [shown for _, cases in groups for shown in cases]
    x = swept_scale([_place(shown, axis) for shown in every], _AXES[axis])
    scales = {quantity.what: _scale(selection.view, every, quantity) for quantity in quantities}
    for row, (heading, cases) in enumerate(groups):
        case = cases[0].case
        written = views.place_words(None, None, case.new_tokens)
        for column, quantity in enumerate(quantities):
            y, levels = scales[quantity.what]
            series = tuple(_series(selection, cases, axis, quantity))
            panel = Panel(
                heading=", ".join(filter(None, [case.workload, written, heading])),
                shows=quantity.shows,
                series=series,
                x=x,
                y=y,
                levels=levels,
                runs_out=quantity.unit is Unit.BYTES,
            )
            if any(one.spots for one in series):
                description = _description(panel, axis, quantity)
                yield drawing.lines(panel, f"{prefix}{row}{'abc'[column]}", description)


def _scale(view: View, cases: Sequence[Shown], quantity: Quantity) -> tuple[Scale, tuple[Level, ...]]:
    """A scale for all of a quantity; where something does not fit it has room above for that, and the limit if it is near."""
    values = [end for shown in cases if (one := quantity.found(shown)) for end in ends(one)]
    unfit: dict[tuple[int, int], int] = {}
    for shown in cases:
        if does_not_fit(shown, quantity.found(shown)):
            at = (shown.case.sequence_length or 0, shown.case.batch_size)
            unfit[at] = unfit.get(at, 0) + 1
    if not unfit:
        return measured_scale(values, quantity.unit), ()
    limit = device_bytes(view, cases[0]) if quantity.unit is Unit.BYTES else None
    levels: tuple[Level, ...] = ()
    if limit and max(values) < limit < _FAR * max(values):
        words = f"no more than {format_tick(limit, Unit.BYTES)} here"
        levels, values = (Level(value=limit, words=words, shaded=True),), [*values, limit]
    return lifted(measured_scale(values, quantity.unit), 0.07 * max(unfit.values())), levels


def _place(shown: Shown, axis: str) -> int:
    return (shown.case.sequence_length if axis == "sequence_length" else shown.case.batch_size) or 1


def _series(selection: Selection, cases: Sequence[Shown], axis: str, quantity: Quantity) -> Iterator[Series]:
    mine: dict[str, list[Shown]] = {}
    for shown in cases:
        mine.setdefault(shown.case.variant.variant_id, []).append(shown)
    for variant_id, look in selection.looks.items():
        if own := sorted(mine.get(variant_id, []), key=lambda shown: _place(shown, axis)):
            spots = [_spot(shown, axis, quantity, one) for shown in own if (one := quantity.found(shown))]
            unfit = [_place(shown, axis) for shown in own if does_not_fit(shown, quantity.found(shown))]
            yield Series(label=own[0].case.variant.label, look=look, spots=tuple(spots), unfit=tuple(unfit))


def _spot(shown: Shown, axis: str, quantity: Quantity, estimate: Estimate) -> Spot:
    return Spot(
        x=_place(shown, axis), estimate=estimate, hollow=bool(shown.marks), says=tip(shown, estimate, quantity.unit)
    )


def _description(panel: Panel, axis: str, quantity: Quantity) -> str:
    """The extremes where the most lines can be compared, at the largest such place, and what does not fit."""
    at: dict[float, dict[str, Estimate]] = {}
    for one in panel.series:
        for spot in one.spots:
            at.setdefault(spot.x, {})[one.label] = spot.estimate
    x = max(at, key=lambda place: (len(at[place]), place))
    words = f"{len(panel.series)} lines over {_AXES[axis]}. At {x:.0f}: {_extremes(at[x], quantity)}."
    unfit = [f"{one.label} does not fit at {min(one.unfit):.0f}" for one in panel.series if one.unfit]
    return f"{words} {'; '.join(unfit)}." if unfit else words


def _extremes(found: Mapping[str, Estimate], quantity: Quantity) -> str:
    if quantity.unit is not Unit.BYTES:
        return extremes(found, quantity.unit)
    wide = {label: one for label, estimate in found.items() if (one := tolerated(estimate))}
    return extremes(found, quantity.unit, compared=wide)


def _dots(cases: Sequence[Shown], selection: Selection, quantity: Quantity, prefix: str) -> Markup:
    """All at one place: a row a variant."""
    at = cases[0].case
    rows = [
        DotRow(
            label=shown.case.variant.label,
            look=selection.looks[shown.case.variant.variant_id],
            estimates=(estimate,),
            hollow=bool(shown.marks),
            says=tip(shown, estimate, quantity.unit),
        )
        for shown in cases
        if (estimate := quantity.found(shown))
    ]
    seen = {row.label: row.estimates[0] for row in rows}
    return draw_dots(
        rows,
        heading=f"{at.workload}, {views.place_words(at.sequence_length, at.batch_size, at.new_tokens)}",
        shows=quantity.shows,
        unit=quantity.unit,
        better=quantity.better,
        prefix=prefix,
        description=f"{_extremes(seen, quantity)[:1].upper()}{_extremes(seen, quantity)[1:]}.",
    )


def _reading(quantities: Sequence[Quantity], axis: str) -> str:
    both = axis and len(quantities) > 1
    words = "Throughput, and beside it or below the latency of one call, which holds a whole batch." if both else ""
    bars = "Bars: 95 % intervals over trials." if any(quantity.intervals for quantity in quantities) else ""
    return f"{words} {bars}".strip()


def _caption(cases: Sequence[Shown], quantities: Sequence[Quantity], view: View) -> str:
    """Which of the cases are marked or missing."""
    parts = []
    doubts = views.counted(mark for shown in cases if shown.good for mark in shown.marks)
    if doubts:
        parts.append(f"Hollow: {doubts}.")
    if any(does_not_fit(shown, quantity.found(shown)) for shown in cases for quantity in quantities):
        limit = device_bytes(view, cases[0])
        parts.append("✕: does not fit" + (f" into {format_tick(limit, Unit.BYTES)}." if limit else "."))
    bare = sum(
        quantity.found(shown) is None and not does_not_fit(shown, None)
        for shown in cases
        if shown.good
        for quantity in quantities
    )
    if bare:
        parts.append(f"{bare} without a figure: see the table.")
    missing = [
        f"{shown.case.variant.label}, {views.place_words(shown.case.sequence_length, shown.case.batch_size)} "
        f"({views.outcome_words(shown.outcome)})"
        for shown in cases
        if not shown.good and shown.outcome not in (None, Outcome.OUT_OF_MEMORY)
    ]
    if missing:
        more = f" and {len(missing) - _MOST_MISSING} others" if len(missing) > _MOST_MISSING else ""
        parts.append(f"Not drawn: {'; '.join(missing[:_MOST_MISSING])}{more}.")
    return " ".join(parts)
