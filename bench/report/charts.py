"""What is drawn of a run: which cases make which panel. A chart is a few small panels, their caption and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib import rc_context

from bench import estimates
from bench.frames import memory_metric
from bench.quantity import METRICS, Metric, Unit
from bench.records import Outcome
from bench.report import drawing, svg
from bench.report import view as views
from bench.report.drawing import Panel, Series, Spot
from bench.report.league import Kind, Table, kinds, memory_of, of_kind, speed_of
from bench.report.scatter import Dot, draw_scatter
from bench.report.svg import Look
from bench.report.view import Shown, View
from bench.stats import Estimate

Found = Callable[[Shown], Estimate | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Panels that belong together; `panels` are SVG elements, `tables` the figures behind them."""

    title: str
    panels: tuple[str, ...]
    caption: str
    tables: tuple[Table, ...] = ()


def looks(view: View) -> dict[str, Look]:
    """The look of every variant, by its id."""
    return {variant.variant_id: Look(place) for place, variant in enumerate(view.variants)}


def charts(view: View, task: str, chance: float | None, prefix: str) -> list[Chart]:
    """Every chart of a task that there is something to draw for; `prefix` keeps ids apart on a page."""
    made = [
        _accuracy_against_throughput(view, task, chance, f"{prefix}a"),
        _over_axes(view, task, "Throughput", lambda shown: shown.found.get("throughput_items_per_s"), f"{prefix}t"),
        _over_axes(view, task, "Peak memory", lambda shown: shown.memory, f"{prefix}m"),
        _training_curves(view, task, f"{prefix}c"),
    ]
    return [chart for chart in made if chart is not None]


def _draw(panel: Panel, prefix: str, description: str) -> str:
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        drawing.draw_lines(axes, panel)
    return svg.inline(figure, prefix, f"{panel.shows}, {panel.heading}", description)


# ── throughput and memory over length or batch size ────────────────────────────────────────────────────────────────


def _over_axes(view: View, task: str, title: str, found: Found, prefix: str) -> Chart | None:
    panels: list[str] = []
    drawn: list[Shown] = []
    over: set[str] = set()
    for kind in kinds(view, task):
        cases = of_kind(view, task, kind)
        panel_cases, axis = _split(cases)
        values = [end for shown in cases if (one := _told(shown, found)) for end in drawing.ends(one)]
        if not values:
            continue
        y = drawing.measured_scale(values, METRICS[_metric(title, cases)].unit)
        for heading, members in panel_cases:
            panel = Panel(
                heading=f"{_kind_words(view, task, kind)}{heading}",
                shows="items per second" if title == "Throughput" else METRICS[_metric(title, cases)].title,
                series=tuple(_series(view, members, axis, found)),
                x=drawing.swept_scale([_place(shown, axis) for shown in members], _AXIS[axis]),
                y=y,
            )
            if any(series.spots for series in panel.series):
                panels.append(_draw(panel, f"{prefix}{len(panels)}-", f"{title} over {_AXIS[axis]}; figures below."))
                over.add(_AXIS[axis])
        drawn += cases
    if not panels:
        return None
    tables = speed_of(view, task) if title == "Throughput" else memory_of(view, task)
    caption = _caption(drawn, intervals=title == "Throughput")
    return Chart(
        title=f"{title} over {' and '.join(sorted(over))}", panels=tuple(panels), caption=caption, tables=tuple(tables)
    )


_AXIS = {"sequence_length": "sequence length", "batch_size": "batch size"}


def _metric(title: str, cases: Sequence[Shown]) -> str:
    return "throughput_items_per_s" if title == "Throughput" else memory_metric(cases[0].case)


def _split(cases: Sequence[Shown]) -> tuple[list[tuple[str, list[Shown]]], str]:
    """A panel for each batch size where lengths are swept; else one panel over batch sizes."""
    if not any(shown.case.sequence_length for shown in cases):
        return [("", list(cases))], "batch_size"
    batches = sorted({shown.case.batch_size for shown in cases})
    members = {batch: [shown for shown in cases if shown.case.batch_size == batch] for batch in batches}
    return [(f", batch {batch}", members[batch]) for batch in batches], "sequence_length"


def _place(shown: Shown, axis: str) -> int:
    return (shown.case.sequence_length if axis == "sequence_length" else shown.case.batch_size) or 1


def _kind_words(view: View, task: str, kind: Kind) -> str:
    workload, setting = kind
    alone = len({other for _, other in kinds(view, task)}) == 1
    return workload if alone else f"{workload} ({setting})"


def _told(shown: Shown, found: Found) -> Estimate | None:
    estimate = found(shown)
    return estimate if shown.good and estimate is not None and estimate.value else None


def _series(view: View, cases: Sequence[Shown], axis: str, found: Found) -> Iterator[Series]:
    for variant_id, look in looks(view).items():
        mine = [shown for shown in cases if shown.case.variant.variant_id == variant_id]
        if mine:
            spots = [
                Spot(x=_place(shown, axis), estimate=estimate, hollow=bool(shown.marks))
                for shown in sorted(mine, key=lambda shown: _place(shown, axis))
                if (estimate := _told(shown, found))
            ]
            unfit = [_place(shown, axis) for shown in mine if _does_not_fit(shown, found)]
            yield Series(label=mine[0].case.variant.label, look=look, spots=tuple(spots), unfit=tuple(unfit))


def _does_not_fit(shown: Shown, found: Found) -> bool:
    return _told(shown, found) is None and Outcome.OUT_OF_MEMORY in (shown.outcome, shown.memory_outcome)


def _caption(cases: Sequence[Shown], *, intervals: bool) -> str:
    """How to read a chart, and which of its cases are marked or missing."""
    parts = ["Bars are 95 % intervals over trials."] if intervals else []
    doubts = views.counted(mark for shown in cases if shown.good for mark in shown.marks)
    if doubts:
        parts.append(f"Hollow: {doubts}.")
    missing = [
        f"{shown.case.variant.label}, {shown.case.workload}, "
        f"{views.place_words(shown.case.sequence_length, shown.case.batch_size)} ({views.outcome_words(shown.outcome)})"
        for shown in cases
        if not shown.good and shown.outcome not in (None, Outcome.OUT_OF_MEMORY)
    ]
    if missing:
        parts.append(f"Not drawn: {'; '.join(missing)}.")
    return " ".join(parts)


# ── accuracy ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _accuracy_against_throughput(view: View, task: str, chance: float | None, prefix: str) -> Chart | None:
    metric, timed = view.headline(task), view.timed(task)
    place = views.point(view.run, [shown.case for shown in timed])
    if place is None:
        return None
    at, fitted = views.at(timed, place), views.fits_for(view.fits(task), place.sequence_length)
    dots = [dot for key, look in looks(view).items() if (dot := _dot(at.get(key), fitted.get(key), metric, look))]
    if not dots:
        return None
    where = views.place_words(place.sequence_length, place.batch_size)
    title = f"{metric.title[:1].upper()}{metric.title[1:]} against throughput"
    panel = Panel(
        heading=f"{place.workload}, {where}",
        shows=metric.title,
        series=(),
        x=drawing.measured_scale(
            [end for dot in dots for end in drawing.ends(dot.x)], Unit.ITEMS_PER_SECOND, "throughput, items per second"
        ),
        y=drawing.measured_scale([end for dot in dots for one in dot.ys for end in drawing.ends(one)], metric.unit),
    )
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        draw_scatter(axes, panel, dots, chance)
    description = f"{metric.title} of each architecture over its throughput; figures in the table above."
    drawn = svg.inline(figure, f"{prefix}-", title, description)
    caption = "Up and right is better. Thick bars: other seeds; thin bars: other test items; across: other trials (95 % each)."
    if any(dot.hollow for dot in dots):
        caption += " Hollow: marked in the table."
    return Chart(title=title, panels=(drawn,), caption=caption)


def _dot(timed: Shown | None, fitted: Shown | None, metric: Metric, look: Look) -> Dot | None:
    if timed is None or fitted is None or not (timed.good and fitted.good):
        return None
    x, y = timed.found.get("throughput_items_per_s"), fitted.found.get(metric.name)
    items = estimates.item_interval(fitted.result) if metric.name == "accuracy" else None
    if x is None or y is None or not x.value or y.value is None:
        return None
    hollow = bool(timed.marks or fitted.marks)
    return Dot(label=timed.case.variant.label, look=look, x=x, ys=(y, *([items] if items else [])), hollow=hollow)


def _training_curves(view: View, task: str, prefix: str) -> Chart | None:
    fits = [
        shown for shown in view.fits(task) if any(epoch.validation_score is not None for epoch in shown.result.epochs)
    ]
    if not fits or max(epoch.epoch for shown in fits for epoch in shown.result.epochs) < 2:
        return None
    metric, look = view.headline(task), looks(view)
    series = [
        Series(label=shown.case.variant.label, look=look[shown.case.variant.variant_id], spots=spots)
        for shown in fits
        for spots in _curves(shown)
    ]
    values = [spot.estimate.value or 0.0 for one in series for spot in one.spots]
    epochs = sorted({int(spot.x) for one in series for spot in one.spots})
    ticks = tuple(float(epoch) for epoch in epochs[:: -(-len(epochs) // 6)])
    room = 0.04 * (epochs[-1] - epochs[0])
    x = drawing.Scale(
        low=epochs[0] - room, high=epochs[-1] + room, log=False, ticks=ticks, unit=Unit.NUMBER, title="epoch"
    )
    panel = Panel(
        heading="fit",
        shows=f"{metric.title} on the validation split",
        series=tuple(series),
        x=x,
        y=drawing.measured_scale(values, metric.unit),
    )
    drawn = _draw(panel, f"{prefix}-", "Validation score after every epoch, a line for each seed and fold.")
    return Chart(
        title="Learning", panels=(drawn,), caption="A line for each seed and fold, at the learning rate chosen."
    )


def _curves(shown: Shown) -> list[tuple[Spot, ...]]:
    """The epochs of each seed and fold, at the learning rate that was chosen for it (the first, where none was)."""
    chosen: Mapping[tuple[int, int | None], float | None]
    chosen = {(fit.seed, fit.fold): fit.learning_rate for fit in shown.result.fits}
    lines: dict[tuple[int, int | None], list[Spot]] = {}
    for epoch in shown.result.epochs:
        key = (epoch.seed, epoch.fold)
        rate = chosen.get(key) or shown.result.epochs[0].learning_rate
        if epoch.learning_rate == rate and epoch.validation_score is not None:
            lines.setdefault(key, []).append(Spot(x=epoch.epoch, estimate=Estimate(value=epoch.validation_score)))
    return [tuple(spots) for spots in lines.values()]
