"""What is drawn of a run: which cases make which panel. A chart is a few small panels, their caption and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from matplotlib import rc_context

from bench import estimates
from bench.quantity import Better, Metric, Unit
from bench.records import Outcome
from bench.report import drawing, svg
from bench.report import view as views
from bench.report.blocks import Chart
from bench.report.curves import Curve, draw_curves
from bench.report.drawing import Panel, Series, Spot
from bench.report.grids import Kind, kinds, memory_of, of_kind, speed_of
from bench.report.ranking import ends
from bench.report.roofline import roofline
from bench.report.scales import Scale, even_scale, measured_scale, swept_scale
from bench.report.scatter import Dot, draw_scatter
from bench.report.svg import Look
from bench.report.tables import Table
from bench.report.view import Shown, View
from bench.stats import Estimate


def looks(view: View) -> dict[str, Look]:
    """The look of every variant of a run, by its id; alike in all runs of a page.

    Variants of one architecture share its colour, and differ by marker and line. Where most are of one architecture, colours
    would tell nothing: then every variant has its own.
    """
    families = list(dict.fromkeys(variant.architecture for variant in view.order))
    shared = 2 * len(families) > len(view.order)
    every: dict[str, Look] = {}
    for place, variant in enumerate(view.order):
        family = families.index(variant.architecture)
        before = sum(other.architecture == variant.architecture for other in view.order[:place])
        every[variant.variant_id] = Look(place, family, before) if shared else Look(place)
    return {variant.variant_id: every[variant.variant_id] for variant in view.variants}


def charts(view: View, task: str, chance: float | None, prefix: str) -> list[Chart]:
    """Every chart of a task that there is something to draw for; `prefix` keeps ids apart on a page."""
    made = [
        _accuracy_against_throughput(view, task, chance, f"{prefix}a"),
        _training_curves(view, task, f"{prefix}c"),
        _losses(view, task, f"{prefix}l"),
        _over_axes(view, task, _THROUGHPUT, f"{prefix}t"),
        _over_axes(view, task, _MEMORY, f"{prefix}m"),
        _rooflines(view, task, f"{prefix}r"),
    ]
    return [chart for chart in made if chart is not None]


def _draw(panel: Panel, prefix: str, description: str) -> Markup:
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        drawing.draw_lines(axes, panel)
    return svg.inline(figure, prefix, f"{panel.shows}, {panel.heading}", description)


# ── throughput and memory over length or batch size ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a chart over the axes shows of a case."""

    title: str
    shows: str
    unit: Unit
    found: Callable[[Shown], Estimate | None]
    tables: Callable[[View, str], list[Table]]
    intervals: bool


_THROUGHPUT = Quantity(
    title="Throughput",
    shows="items per second",
    unit=Unit.ITEMS_PER_SECOND,
    found=lambda shown: shown.figure("throughput_items_per_s"),
    tables=speed_of,
    intervals=True,
)
_MEMORY = Quantity(
    title="Peak memory",
    shows="peak memory",
    unit=Unit.BYTES,
    found=lambda shown: shown.memory,
    tables=memory_of,
    intervals=False,
)
_AXIS = {"sequence_length": "sequence length", "batch_size": "batch size"}


def _over_axes(view: View, task: str, quantity: Quantity, prefix: str) -> Chart | None:
    panels: list[Markup] = []
    over: set[str] = set()
    for kind in kinds(view, task):
        cases = of_kind(view, task, kind)
        values = [end for shown in cases if (one := quantity.found(shown)) for end in ends(one)]
        if not values:
            continue
        y = measured_scale(values, quantity.unit)
        groups, axis = _split(cases)
        for heading, members in groups:
            panel = Panel(
                heading=f"{_kind_words(view, task, kind)}{heading}",
                shows=quantity.shows,
                series=tuple(_series(view, members, axis, quantity)),
                x=swept_scale([_place(shown, axis) for shown in members], _AXIS[axis]),
                y=y,
            )
            if any(series.spots for series in panel.series):
                description = f"{quantity.title} over {_AXIS[axis]}; the figures stand below."
                panels.append(_draw(panel, f"{prefix}{len(panels)}-", description))
                over.add(_AXIS[axis])
    if not panels:
        return None
    return Chart(
        title=f"{quantity.title} over {' and '.join(sorted(over))}",
        panels=tuple(panels),
        caption=_caption(view.timed(task), quantity),
        tables=tuple(quantity.tables(view, task)),
    )


def _split(cases: Sequence[Shown]) -> tuple[list[tuple[str, list[Shown]]], str]:
    """A panel for each batch size where lengths are swept; else one panel over batch sizes."""
    lengths = {shown.case.sequence_length for shown in cases}
    if len(lengths) == 1:
        (length,) = lengths
        return [(f", {views.place_words(length, None)}" if length else "", list(cases))], "batch_size"
    batches = sorted({shown.case.batch_size for shown in cases})
    members = {batch: [shown for shown in cases if shown.case.batch_size == batch] for batch in batches}
    return [(f", {views.place_words(None, batch)}", members[batch]) for batch in batches], "sequence_length"


def _place(shown: Shown, axis: str) -> int:
    return (shown.case.sequence_length if axis == "sequence_length" else shown.case.batch_size) or 1


def _kind_words(view: View, task: str, kind: Kind) -> str:
    workload, setting = kind
    if len({replace(other, new_tokens=None) for _, other in kinds(view, task)}) > 1:
        return f"{workload} ({setting})"
    return f"{workload}, {setting.new_tokens} new tokens" if setting.new_tokens else workload


def _series(view: View, cases: Sequence[Shown], axis: str, quantity: Quantity) -> Iterator[Series]:
    for variant_id, look in looks(view).items():
        mine = [shown for shown in cases if shown.case.variant.variant_id == variant_id]
        if mine:
            spots = [
                Spot(
                    x=_place(shown, axis),
                    estimate=estimate,
                    hollow=bool(shown.marks),
                    says=_tip(shown, estimate, quantity),
                )
                for shown in sorted(mine, key=lambda shown: _place(shown, axis))
                if (estimate := quantity.found(shown))
            ]
            unfit = [_place(shown, axis) for shown in mine if _does_not_fit(shown, quantity)]
            yield Series(label=mine[0].case.variant.label, look=look, spots=tuple(spots), unfit=tuple(unfit))


def _tip(shown: Shown, estimate: Estimate, quantity: Quantity) -> str:
    """What stands beside a spot where a pointer rests on it."""
    case = shown.case
    place = views.place_words(case.sequence_length, case.batch_size, case.new_tokens)
    words = f"{case.variant.label}, {case.workload}, {place}: {views.value_words(estimate, quantity.unit)}"
    return f"{words} ({'; '.join(shown.marks)})" if shown.marks else words


def _does_not_fit(shown: Shown, quantity: Quantity) -> bool:
    return quantity.found(shown) is None and Outcome.OUT_OF_MEMORY in (shown.outcome, shown.memory_outcome)


def _caption(cases: Sequence[Shown], quantity: Quantity) -> str:
    """How to read a chart, and which of its cases are marked or missing."""
    parts = ["Bars are 95 % intervals over trials."] if quantity.intervals else []
    doubts = views.counted(mark for shown in cases if shown.good for mark in shown.marks)
    if doubts:
        parts.append(f"Hollow: {doubts}.")
    missing = [
        f"{shown.case.variant.label}, {shown.case.workload}, "
        f"{views.place_words(shown.case.sequence_length, shown.case.batch_size, shown.case.new_tokens)} "
        f"({views.outcome_words(shown.outcome)})"
        for shown in cases
        if not shown.good and shown.outcome not in (None, Outcome.OUT_OF_MEMORY)
    ]
    if missing:
        parts.append(f"Not drawn: {'; '.join(missing)}.")
    return " ".join(parts)


def _rooflines(view: View, task: str, prefix: str) -> Chart | None:
    drawn = (
        roofline(of_kind(view, task, kind), looks(view), _kind_words(view, task, kind), f"{prefix}{number}-")
        for number, kind in enumerate(kinds(view, task))
    )
    panels = tuple(panel for panel in drawn if panel is not None)
    if not panels:
        return None
    caption = (
        "A mark a case: what it achieves, over its FLOPs for each byte. The roof is what this machine reached in a large copy "
        "(slope) and in a large matrix product (level); data in a cache may lift a case above the slope."
    )
    if any(shown.marks for shown in view.timed(task)):
        caption += " Hollow: marked in the tables."
    return Chart(title="Roofline", panels=panels, caption=caption)


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
    floors = view.floors(task)
    where = views.place_words(place.sequence_length, place.batch_size)
    title = f"{metric.title[:1].upper()}{metric.title[1:]} against throughput"
    panel = Panel(
        heading=f"{place.workload}, {where}",
        shows=metric.title,
        series=(),
        x=measured_scale(
            [end for dot in dots for end in ends(dot.x)], Unit.ITEMS_PER_SECOND, "throughput, items per second"
        ),
        y=_score_scale([end for dot in dots for one in dot.ys for end in ends(one)], metric, floors.values()),
    )
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        draw_scatter(axes, panel, dots, ({} if chance is None else {"chance": chance}) | floors)
    description = f"{metric.title} of each architecture over its throughput; figures in the table above."
    drawn = svg.inline(figure, f"{prefix}-", title, description)
    upwards = "Down" if metric.better is Better.LOWER else "Up"
    items = " thin bars: other test items;" if any(len(dot.ys) > 1 for dot in dots) else ""
    caption = f"{upwards} and right is better. Thick bars: other seeds;{items} across: other trials (95 % each)."
    if any(dot.hollow for dot in dots):
        caption += " Hollow: marked in the table."
    if floors:
        caption += " Dotted: what simple rules score on the same test items."
    return Chart(title=title, panels=(drawn,), caption=caption)


def _score_scale(values: Sequence[float], metric: Metric, floors: Iterable[float]) -> Scale:
    """A scale of scores that holds the floors too, where what is above them can still be told apart."""
    near = [floor for floor in floors if abs(floor - min(values)) < 4 * (max(values) - min(values) or abs(max(values)))]
    if metric.better is Better.LOWER:
        return measured_scale([*values, *near], metric.unit)
    scale = even_scale([*values, *near], metric.unit)
    return replace(scale, high=min(scale.high, 1.0)) if metric.unit is Unit.SHARE else scale


def _dot(timed: Shown | None, fitted: Shown | None, metric: Metric, look: Look) -> Dot | None:
    if timed is None or fitted is None:
        return None
    x, y = timed.figure("throughput_items_per_s"), fitted.figure(metric.name)
    if x is None or y is None:
        return None
    items = estimates.item_interval(fitted.result) if metric.name == "accuracy" else None
    ys = (y, items) if items else (y,)
    label = timed.case.variant.label
    speed, score = views.value_words(x, Unit.ITEMS_PER_SECOND), views.value_words(y, metric.unit)
    says = f"{label}: {speed}, {metric.title} {score}"
    return Dot(label=label, look=look, x=x, ys=ys, hollow=bool(timed.marks or fitted.marks), says=says)


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
    x = Scale(low=epochs[0] - room, high=epochs[-1] + room, log=False, ticks=ticks, unit=Unit.NUMBER, title="epoch")
    panel = Panel(
        heading="epoch by epoch",
        shows=f"{metric.title} on the validation split",
        series=tuple(series),
        x=x,
        y=measured_scale(values, metric.unit),
    )
    drawn = _draw(panel, f"{prefix}-", "Validation score after every epoch, a line for each seed and fold.")
    return Chart(
        title="Learning curves", panels=(drawn,), caption="A line for each seed and fold, at the learning rate chosen."
    )


def _losses(view: View, task: str, prefix: str) -> Chart | None:
    """Of models whose step has several phases: the loss of each over the epochs of the first seed."""
    panels: list[Markup] = []
    for shown in view.fits(task):
        seeds = [epoch.seed for epoch in shown.result.epochs if epoch.losses]
        epochs = [epoch for epoch in shown.result.epochs if epoch.losses and epoch.seed == min(seeds)]
        epochs = [epoch for epoch in epochs if epoch.learning_rate == epochs[0].learning_rate]
        if len(epochs) < 2:
            continue
        color = looks(view)[shown.case.variant.variant_id].color
        curves = [
            Curve(name=name, x=[one.epoch for one in epochs], y=[one.losses[name] for one in epochs], color=color)
            for name in epochs[0].losses
        ]
        drawn = draw_curves(
            curves,
            heading=shown.case.variant.label,
            shows="training loss of each phase, nats",
            x_title="epoch",
            prefix=f"{prefix}{len(panels)}-",
            description="Mean training loss of each phase over epochs.",
        )
        panels.append(drawn)
    if not panels:
        return None
    return Chart(
        title="Losses against each other",
        panels=tuple(panels),
        caption="A step of such a model has phases with losses of their own; neither need fall. One seed.",
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
