"""Throughput of several runs, a panel a run: the same axes, colours and places, so that only the run differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib import rc_context

from bench.quantity import Unit
from bench.records import Outcome
from bench.report import drawing, svg
from bench.report import view as views
from bench.report.blocks import Chart
from bench.report.charts import looks
from bench.report.drawing import Panel, Series, Spot
from bench.report.meeting import Meeting, Side
from bench.report.ranking import ends
from bench.report.scales import measured_scale, swept_scale
from bench.report.svg import Look
from bench.report.tables import Cell, Column, Row, Table, metric_column
from bench.report.view import Point, Shown

MOST_RUNS = 6
MOST_CHARTS = 6
_METRIC = "throughput_items_per_s"
_OF_A_MACHINE = ("device", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """Common places that lie on one line: one length after the other, or one batch size after the other."""

    title: str
    axis: str
    word: str
    places: Mapping[int, Point]


def side_charts(meeting: Meeting, prefix: str) -> tuple[Chart, ...]:
    """A chart a workload, setting and batch size for which several common sizes were timed."""
    sweeps = list(_sweeps(meeting))
    sides = meeting.sides[:MOST_RUNS]
    notes = ["Bars are 95 % intervals over trials. All panels have the same axes."]
    if len(sides) < len(meeting.sides):
        notes.append(f"The first {len(sides)} of {len(meeting.sides)} runs; the others stand in the table.")
    if len(sweeps) > MOST_CHARTS:
        notes.append(f"The first {MOST_CHARTS} of {len(sweeps)} charts; see the part of each run for the others.")
    drawn = (
        _chart(meeting, sweep, sides, f"{prefix}{number}-", " ".join(notes))
        for number, sweep in enumerate(sweeps[:MOST_CHARTS])
    )
    return tuple(chart for chart in drawn if chart is not None)


def _sweeps(meeting: Meeting) -> Iterator[_Sweep]:
    kinds = dict.fromkeys((place.workload, place.setting) for place in meeting.places)
    for workload, setting in kinds:
        places = [place for place in meeting.places if (place.workload, place.setting) == (workload, setting)]
        words = (
            workload
            if len(kinds) == len({name for name, _ in kinds})
            else f"{workload}, {setting.words(without={'device', 'threads'})}"
        )
        lengths = sorted({place.sequence_length or 0 for place in places})
        batches = sorted({place.batch_size for place in places})
        if len(lengths) > 1:
            for batch in batches:
                line = {place.sequence_length or 0: place for place in places if place.batch_size == batch}
                yield _Sweep(title=f"{words}, batch {batch}", axis="sequence length", word="length", places=line)
        elif len(batches) > 1:
            where = views.place_words(lengths[0], None)
            line = {place.batch_size: place for place in places}
            yield _Sweep(
                title=", ".join(part for part in (words, where) if part), axis="batch size", word="batch", places=line
            )


def _chart(meeting: Meeting, sweep: _Sweep, sides: Sequence[Side], prefix: str, caption: str) -> Chart | None:
    panels = [list(_series(meeting, sweep, side)) for side in sides]
    found = [end for series in panels for one in series for spot in one.spots for end in ends(spot.estimate)]
    if not found:
        return None
    x, y = swept_scale(sweep.places, sweep.axis), measured_scale(found, Unit.ITEMS_PER_SECOND)
    drawn = [
        _draw(
            Panel(heading=side.name, shows=f"items per second, {sweep.title}", series=tuple(series), x=x, y=y),
            f"{prefix}{number}-",
            f"Throughput over {sweep.axis} in {side.name}; the figures stand below.",
        )
        for number, (side, series) in enumerate(zip(sides, panels, strict=True))
        if any(one.spots for one in series)
    ]
    title = f"Throughput over {sweep.axis}: {sweep.title}"
    return Chart(title=title, panels=tuple(drawn), caption=caption, tables=(_figures(meeting, sweep, title),))


def _figures(meeting: Meeting, sweep: _Sweep, title: str) -> Table:
    """What stands in a chart, of every run."""
    columns: list[tuple[Column, list[Cell]]] = []
    for side in meeting.sides:
        for x, place in sorted(sweep.places.items()):
            cells = metric_column(meeting.at(side, place), _METRIC)
            columns.append((Column(title=f"{sweep.word} {x}", group=side.name), cells))
    return Table(
        title=title,
        task=meeting.task,
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            Row(label=variant.label, variant_id=variant.variant_id, cells=tuple(cells[place] for _, cells in columns))
            for place, variant in enumerate(meeting.variants)
        ),
    )


def _series(meeting: Meeting, sweep: _Sweep, side: Side) -> Iterator[Series]:
    """What is drawn of one run: a line a common variant."""
    look = looks(side.view)
    cases = {x: meeting.at(side, place) for x, place in sorted(sweep.places.items())}
    for place, variant in enumerate(meeting.variants):
        mine = {x: shown for x, found in cases.items() if (shown := found[place])}
        if mine:
            yield _line(look[variant.variant_id], mine)


def _line(look: Look, cases: Mapping[int, Shown]) -> Series:
    spots = [
        Spot(x=x, estimate=estimate, hollow=bool(shown.marks), says=_tip(shown))
        for x, shown in cases.items()
        if (estimate := shown.figure(_METRIC))
    ]
    label = next(iter(cases.values())).case.variant.label
    unfit = [x for x, shown in cases.items() if shown.outcome is Outcome.OUT_OF_MEMORY]
    return Series(label=label, look=look, spots=tuple(spots), unfit=tuple(unfit))


def _tip(shown: Shown) -> str:
    case, figure = shown.case, shown.found[_METRIC]
    where = views.place_words(case.sequence_length, case.batch_size, case.new_tokens)
    words = f"{case.variant.label}, {where}: {views.value_words(figure, Unit.ITEMS_PER_SECOND)}"
    return f"{words} ({'; '.join(shown.marks)})" if shown.marks else words


def _draw(panel: Panel, prefix: str, description: str) -> Markup:
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        drawing.draw_lines(axes, panel)
    return svg.inline(figure, prefix, f"{panel.shows}, {panel.heading}", description)
